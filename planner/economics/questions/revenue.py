"""Spec of a required-revenue question: what must be earned on what is spent on GPUs (Sequoia's "$600B question")."""

from typing import Annotated

from pydantic import Field

from planner.documents.spec import Day, NonNegative, Positive, Spec
from planner.economics.questions.question import QuestionFile, named_apart


class Spending(Spec):
    """GPUs bought in a year, and what is earned with them."""

    name: str
    """What its row is called."""
    gpu_spend_usd_per_year: Positive
    """What is paid for GPUs [USD/year]; Sequoia takes the maker's run-rate."""
    revenue_usd_per_year: NonNegative | None = None
    """What their users are believed to earn [USD/year]."""


class RevenueFile(QuestionFile):
    """scenarios/required-revenue/<name>.yaml: which revenue a spending on GPUs asks for."""

    as_of: Day
    """The day the newest figure held."""
    data_centre_factor: Annotated[float, Field(ge=1, le=100)]
    """Total cost of data centres over that of their GPUs; 2 where GPUs are half of it."""
    gross_margin: Annotated[float, Field(ge=0, lt=1)]
    """Share of their revenue that those who use the GPUs keep; at 0.5 revenue is twice the cost."""
    spending: Annotated[tuple[Spending, ...], Field(min_length=1), named_apart("rows")]
    """Years, or other cases; a row each."""
