"""Spec of a subscription plan: its price, and how many messages of which model it allows in which window."""

import datetime as dt
from typing import Annotated

from pydantic import Field

from planner.specs.base import Count, FileSpec, Positive, Spec


class Limit(Spec):
    """How many messages to a model a subscriber may send in a window."""

    model: str
    """What the plan calls the model."""
    messages: Count
    """Messages allowed in one window."""
    window_hours: Positive
    """Length of the window [h]: 3, 24, 168 (a week) …"""


class PlanFile(FileSpec):
    """scenarios/plans/<name>.yaml: a subscription as it was sold at a date."""

    name: str
    title: str | None = None
    as_of: dt.date
    """The day these limits and this price held."""
    usd_per_month: Positive
    """Price of a subscription [USD/month]."""
    limits: Annotated[tuple[Limit, ...], Field(min_length=1)]
    """One entry per model of the plan."""
