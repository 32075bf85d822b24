"""Spec of a budget: how many answers of a scenario a monthly sum buys."""

from planner.documents.spec import Positive
from planner.economics.questions.question import QuestionFile


class BudgetFile(QuestionFile):
    """scenarios/budgets/<name>.yaml: a scenario, and what may be spent on it."""

    scenario: str
    """A shipped name or a file; its own rate of answers is what is asked for and plays no part."""
    override: str | None = None
    """A variant of that file."""
    budget_usd_per_month: Positive
    """What the reserved fleet may cost [USD/month]."""
