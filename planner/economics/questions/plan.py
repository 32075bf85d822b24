"""Spec of a subscription plan: its price, what it allows of which model, what a message costs, who uses it how hard."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner import units
from planner.documents.spec import Count, Day, NonNegative, Positive, Share, Spec, repeated
from planner.economics.questions.message import Message
from planner.economics.questions.question import QuestionFile
from planner.errors import suggestion

_TOLERANCE = 1e-6


class OwnFleet(Spec):
    """Cost of a message on one's own machines: an answer of a scenario."""

    scenario: str
    """A shipped name or a file."""
    override: str | None = None
    """A variant of that file."""
    cost: Literal["reserved", "used"] = "reserved"
    """All the fleet costs over its answers, or the hours in use alone."""


class Limit(Spec):
    """How many messages to a model a subscriber may send in a window."""

    model: str
    """What the plan calls the model."""
    messages: Count
    """Messages allowed in one window."""
    window_hours: Positive
    """Length of the window [h]: 3, 24, 168 (a week) …; it divides a day or is whole days, unless it rolls."""
    rolling: bool = False
    """Whether the window begins with the first message, so that any length is possible."""
    family: str | None = None
    """Limits of one family also get a row together."""
    api: Message | None = None
    """A message and its API price: what the quota is worth at list price, and the cost where nothing else says it."""
    usd_per_message: NonNegative | None = None
    """Known cost of a message [USD]."""
    own: OwnFleet | None = None
    """Cost of a message on one's own machines."""
    seconds_per_message: Positive | None = None
    """Time one message takes a person, question and answer [s]: what bounds how many fit into a window."""
    latency_s: Positive | None = None
    """Time a message is being answered [s]: with the limit it tells how many are at once."""
    revenue_share: Share | None = None
    """Share of the price that this model earns; for all limits or none. Without it each row takes the whole price."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.rolling and not _divides(self.window_hours):
            raise ValueError(
                f"a window of {self.window_hours:g} h does not divide a day, so it would reset at other hours each "
                "day; expected 1, 2, 3, 4, 6, 8, 12, 24 or whole days, or rolling: true"
            )
        room = self.window_hours * units.SECONDS_PER_HOUR
        if self.seconds_per_message and self.messages * self.seconds_per_message > room * (1 + _TOLERANCE):
            raise ValueError(
                f"{self.messages:,} messages of {self.seconds_per_message:g} s do not fit into "
                f"{self.window_hours:g} h, which holds one every {room / self.messages:.4g} s; expected at most "
                f"{math.floor(room / self.seconds_per_message):,} messages"
            )
        if self.usd_per_message is not None and self.own is not None:
            raise ValueError("both usd_per_message and own say what a message costs; expected one of them")
        if self.api is not None:
            self.api.check_pairs("api")
            if not (self.api.tokens or self.api.characters):
                raise ValueError("api.tokens is missing; expected the generated tokens or characters of an answer")
            if self.api.characters and not (self.api.text or self.api.characters_per_token):
                raise ValueError("api.characters needs text (a kind of text) or characters_per_token")
            if not (self.api.price_model or self.api.usd_per_mtok_output):
                raise ValueError("api needs price_model, or usd_per_mtok_input and usd_per_mtok_output")
        return self


def _divides(hours: float) -> bool:
    """Return whether a window fits a day a whole number of times, is whole days, or a month."""
    whole = units.HOURS_PER_DAY / hours if hours < units.HOURS_PER_DAY else hours / units.HOURS_PER_DAY
    return abs(whole - round(whole)) < _TOLERANCE or hours == units.HOURS_PER_MONTH


class Group(Spec):
    """Users who use their limits equally hard."""

    name: str
    share: Share
    """Their share of the users; all shares sum to 1."""
    use: Share | Mapping[str, Share]
    """Share of the limit they use, on average over a month: one for all models, or by model."""

    def of(self, model: str) -> float:
        """Return the use of a model's limit, in 0..1."""
        return self.use[model] if isinstance(self.use, Mapping) else self.use


def _check_models(group: Group, models: Sequence[str]) -> None:
    """Raise ValueError where a group's use by model names another model than the limits do, or leaves one out."""
    used = dict(group.use) if isinstance(group.use, Mapping) else {}
    for model in used:
        if model not in models:
            hint = suggestion(model, models)
            raise ValueError(f"users.groups {group.name!r} uses {model!r}, which has no limit.{hint}")
    if left_out := [m for m in models if m not in used]:
        raise ValueError(f"users.groups {group.name!r} does not say its use of {', '.join(left_out)} (0 where none)")


class Users(Spec):
    """Who pays for the plan, and how hard they use it."""

    count: Positive | None = None
    """Subscribers."""
    groups: Annotated[tuple[Group, ...], Field(min_length=1)] | None = None
    """A distribution of use; without it everybody uses every limit up."""
    exhausting_share: Share | None = None
    """Share of the users who use up a whole window in the same peak hour."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.groups is not None:
            total = math.fsum(g.share for g in self.groups)
            if abs(total - 1.0) > _TOLERANCE:
                raise ValueError(f"the shares of groups sum to {total:.6g}; expected 1")
        if self.exhausting_share is not None and self.count is None:
            raise ValueError("exhausting_share needs count: how many users there are")
        return self


class PlanFile(QuestionFile):
    """scenarios/plans/<name>.yaml: a subscription as it was sold at a date."""

    as_of: Day
    """The day these limits and prices held; API prices are those of that day."""
    usd_per_month: Positive | None = None
    """Price of a subscription [USD/month]; leave out where messages are paid one by one, as with an API key."""
    limits: Annotated[tuple[Limit, ...], Field(min_length=1)]
    """One entry per model of the plan."""
    users: Annotated[Users, Field(default_factory=Users)]
    """Who uses it how hard."""
    margin_target: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the price that shall be left; 0 asks for break-even. The largest quota that keeps it is a result."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        models = [limit.model for limit in self.limits]
        if twice := repeated(models):
            raise ValueError(f"model {twice!r} has two limits; expected one (say which binds)")
        if clash := next((x.family for x in self.limits if x.family in {*models, ALL_MODELS}), None):
            raise ValueError(f"family {clash!r} has the name of a row; expected another name")
        shares = [limit.revenue_share for limit in self.limits]
        if any(s is not None for s in shares):
            if any(s is None for s in shares):
                raise ValueError("some limits have a revenue_share and some have none; expected it for all or none")
            if abs((total := math.fsum(s or 0.0 for s in shares)) - 1.0) > _TOLERANCE:
                raise ValueError(f"revenue_share of the limits sums to {total:.6g}; expected 1")
        for group in self.users.groups or ():
            if isinstance(group.use, Mapping):
                _check_models(group, models)
        return self


ALL_MODELS = "all"
"""The row of the whole plan."""
