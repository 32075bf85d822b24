"""Required revenue: what a spending on GPUs asks its users to earn, and how much of it is missing."""

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.revenue import RevenueFile
from planner.wording import large_money as usd

PAGE = "economics/required_revenue.csv"


def required_revenue(question: Loaded[RevenueFile], catalog: Catalog) -> QuestionResult:  # noqa: ARG001 - every solver takes it
    """Return a row for each spending of the file."""
    spec, page = question.spec, page_formulas(PAGE)
    shared = {"data_centre_factor": spec.data_centre_factor, "gross_margin": spec.gross_margin}
    lines = [
        solve_line(row.name, {"question": spec.name, "row": row.name}, shared | flat("spending", row), page)
        for row in spec.spending
    ]
    verdict = [_words(line) for line in lines]
    return QuestionResult.of("payback", question, PAGE, lines, verdict=verdict, sideways=True)


def _words(line: ResultLine) -> str:
    """Return a row in words; what nobody gave is left out."""
    required = f"{line.label}: requires {usd(line.values['required_revenue_usd_per_year'])} of revenue a year"
    hole = line.value("hole_usd_per_year")
    if hole is None:
        return f"{required}; no reported revenue to compare with"
    earned, spent = line.values["revenue_usd_per_year"], line.values["spend_less_revenue_usd_per_year"]
    gap = f"gap {usd(hole)}" if hole > 0 else f"{usd(-hole)} above the requirement"
    cash = f"spending exceeds revenue by {usd(spent)}" if spent > 0 else f"revenue exceeds spending by {usd(-spent)}"
    return f"{required}; reported {usd(earned)}; {gap} (not a loss: {cash} in that year)"
