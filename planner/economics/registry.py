"""The kinds of economic question: a new one is a spec, a page of formulas, a solver, and a line here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from planner.economics.sheet import Sheet
from planner.specs.base import FileSpec, Loaded
from planner.specs.break_even import BreakEvenFile
from planner.specs.budget import BudgetFile
from planner.specs.catalog import Catalog
from planner.specs.implied import ImpliedFile
from planner.specs.owning import OwningFile
from planner.specs.plan import PlanFile
from planner.specs.quality import QualityFile
from planner.specs.revenue import RevenueFile


class Question(NamedTuple):
    """A kind of economic question."""

    spec: type[FileSpec]
    folder: str
    """Folder of the shipped ones."""
    page: str
    """File of its formulas."""
    solver: str
    """module:function of (question, catalog) -> Sheet; imported when asked."""
    command: str
    """The command that answers it; one command may answer several kinds."""

    def solve(self, question: Loaded[Any], catalog: Catalog) -> Sheet:
        """Return the answer."""
        module, _, name = self.solver.partition(":")
        function: Callable[[Loaded[Any], Catalog], Sheet] = getattr(import_module(module), name)
        return function(question, catalog)


QUESTIONS = {
    "quality": Question(
        QualityFile,
        "scenarios/quality",
        "economics/quality.csv",
        "planner.economics.quality:quality",
        command="quality",
    ),
    "quota": Question(
        PlanFile, "scenarios/plans", "economics/quota.csv", "planner.economics.quota:quota", command="quota"
    ),
    "break-even": Question(
        BreakEvenFile,
        "scenarios/break-even",
        "economics/break_even.csv",
        "planner.economics.break_even:break_even",
        command="break-even",
    ),
    "payback": Question(
        OwningFile, "scenarios/owning", "economics/payback.csv", "planner.economics.payback:payback", command="payback"
    ),
    "required-revenue": Question(
        RevenueFile,
        "scenarios/required-revenue",
        "economics/required_revenue.csv",
        "planner.economics.required_revenue:required_revenue",
        command="payback",
    ),
    "implied": Question(
        ImpliedFile,
        "scenarios/implied",
        "economics/implied.csv",
        "planner.economics.implied:implied",
        command="implied",
    ),
    "budget": Question(
        BudgetFile, "scenarios/budgets", "economics/budget.csv", "planner.economics.budget:budget", command="budget"
    ),
}
"""Kind -> question."""


def kinds_of(command: str) -> list[Question]:
    """Return the kinds of question a command answers."""
    return [kind for kind in QUESTIONS.values() if kind.command == command]
