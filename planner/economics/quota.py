"""Quotas of a subscription: what a message earns, costs and leaves."""

from planner import units
from planner.economics.sheet import Sheet, solve_line
from planner.formulas import formulas
from planner.provenance import file_inputs
from planner.specs.base import Loaded
from planner.specs.catalog import Catalog
from planner.specs.plan import PlanFile

PAGE = "economics/quota.csv"
IDENTITY = ("plan", "model")
FIELDS = ("messages_per_month", "usd_per_message_exhausted")


def quota(question: Loaded[PlanFile], catalog: Catalog) -> Sheet:  # noqa: ARG001 - every solver takes it
    """Return a plan's rows, one per model."""
    plan, page = question.spec, formulas(PAGE)
    lines = []
    for limit in plan.limits:
        inputs = {
            "plan.usd_per_month": plan.usd_per_month,
            "limit.messages": limit.messages,
            "limit.window_hours": limit.window_hours,
            "hours_per_month": units.HOURS_PER_MONTH,
        }
        lines.append(solve_line(limit.model, {"plan": plan.name, "model": limit.model}, inputs, page))
    return Sheet("quota", question, page, IDENTITY, FIELDS, lines, provenance=file_inputs(question))
