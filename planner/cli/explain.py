"""`planner explain`: the chain of formulas behind one number, and the source of every input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.cli.economic import find_result
from planner.economics import energy, thinking
from planner.economics.page import QuestionResult, page_formulas
from planner.errors import BadInputError
from planner.explain.chain import explain, known_formulas
from planner.explain.formulas import Step, lacking
from planner.options.answer import Answer, answer
from planner.options.option import COLUMNS
from planner.options.provenance import Input, file_inputs, inputs
from planner.report.explanation import Explanation, of_result, render, render_input
from planner.report.output import emit
from planner.scenario.load import Scenario, load_scenario

_LEVELS = 3
"""Levels of formulas that text shows where not all are asked for."""


def relevant(sources: list[Input], steps: list[Step]) -> list[Input]:
    """Return the inputs a chain reads: those of power and carbon only where it comes by them, quality likewise."""
    groups = {step.name.split(".")[0] for step in steps if "." in step.name}
    left_out = set() if "energy" in groups else {"energy", "grid", "assumptions"}
    left_out |= set() if "quality" in groups else {"quality"}
    return [i for i in sources if groups and i.name.split(".")[0] not in left_out]


@click.command("explain")
@click.argument("scenario", metavar="SCENARIO")
@click.argument("field", default="cost_usd_per_month", metavar="[FIELD]")
@click.option("--override", metavar="NAME", help="Use a variant of the file.")
@click.option("--row", metavar="LABEL", help="Row of an economic question (default: the first), or model of a router.")
@click.option("--depth", type=click.IntRange(min=0), help="Hide formulas below this level.")
@click.option("--all", "show_all", is_flag=True, help="Show all levels of formulas, not only the first three (text).")
@common.question_options
@common.format_option("text", "json")
@common.output_option
@common.notes_option
@common.catalog_option
def command(
    scenario: str,
    field: str,
    override: str | None,
    row: str | None,
    depth: int | None,
    show_all: bool,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Show the formulas behind a result of the best option, with numbers and sources.

    A field of the scenario, or an input such as gpu.hbm_bytes_per_s, is shown with its value and source. The numbers of
    `planner thinking` and `planner energy` are explained by their names, too.
    A plan or another economic question is explained row by row: name the row with --row.

    \b
    planner explain o1-class cost_usd_per_month
    planner explain o1-class workload.reasoning_multiplier
    planner explain chatgpt-plus-2024-09 usd_per_message_exhausted --row o1-mini
    """
    catalog = Catalog(catalogs)
    levels = None if show_all or depth is not None else _LEVELS
    asked = find_result(scenario, catalog, question["sets"])
    if asked is not None:
        _refuse_options(asked, {"override": override, **question})
        emit(render(_of_question(asked, field, row, depth), form, levels), output)
        return
    whole = load_scenario(scenario, catalog, override=override, changes=common.changes(**question))
    given = _of_class(whole, field)
    if given is not None:
        emit(render_input(whole.label, given, form), output)
        return
    answered = answer(common.part_of(whole, row), catalog)
    found = _of_answer(answered, catalog, field, depth)
    label = answered.scenario.label
    emit(render_input(label, found, form) if isinstance(found, Input) else render(found, form, levels), output)
    common.warn(answered.warnings)
    click.get_current_context().exit(common.check_gates([answered], ()))


def _refuse_options(result: QuestionResult, given: Mapping[str, Any]) -> None:
    """Refuse the options of scenarios for an economic question, which takes only --set and --row."""
    wrong = [name for name, value in given.items() if value and name != "sets"]
    if wrong:
        raise BadInputError(
            f"is of scenarios; a question of `planner {result.command}` takes --set", where=f"--{wrong[0]}"
        )


def _of_class(scenario: Scenario, field: str) -> Input | None:
    """Return a field of a request class as the file gives it; None for other fields."""
    if not field.startswith("workload.classes["):
        return None
    return next((i for i in file_inputs(scenario.loaded) if i.name == field), None)


def _of_answer(found: Answer, catalog: Catalog, field: str, depth: int | None) -> Explanation | Input:
    """Return the explanation of a result field, or of a number of `planner thinking` or `planner energy`; an input."""
    every = inputs(found.scenario, catalog, found.options[0], found.model)
    asked = next((i for i in every if i.name == field), None)
    if asked is not None:
        return asked
    solver = next((of for page, of in _PAGES.items() if field in page_formulas(page)), None)
    if solver is not None and field not in known_formulas(found) and field not in COLUMNS:
        common.refuse_measured(found.scenario)
        result, label = solver(found, catalog)
        return _of_question(result, field, label, depth)
    steps = _down_to(explain(found, field), depth)
    return of_result(found, field, steps, relevant(every, steps))


def _down_to(steps: Sequence[Step], depth: int | None) -> list[Step]:
    return [step for step in steps if depth is None or step.depth <= depth]


_PAGES: dict[str, Callable[[Answer, Catalog], tuple[QuestionResult, str | None]]] = {
    thinking.PAGE: lambda found, catalog: (thinking.thinking(found, catalog), thinking.ASKED),
    energy.PAGE: lambda found, catalog: (energy.energy([found], catalog), None),
}
"""Page -> the result that is made of it for an answer, and the row that is explained."""


def _of_question(result: QuestionResult, field: str, row: str | None, depth: int | None) -> Explanation:
    """Return the explanation of a number of an economic question."""
    line = result.line(row)
    steps = _down_to(result.explain(field, line.label), depth)
    unit = result.page[field].unit if field in result.page else ""
    lacks = [name for name in lacking(field, result.page, line.values) if name != field]
    because = f"{', '.join(lacks)} not known" if lacks else ""
    why = [f"  {text}" for text in result.verdict] if because or steps[0].is_input else []
    return Explanation(
        f"{result.question.spec.name}, {line.label}", field, steps, list(result.provenance), unit, because, why
    )
