"""Spec of the workload: lengths, rates, reasoning, request classes."""

import math
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from planner import units
from planner.documents.length import AnyLength, Length
from planner.documents.spec import Count, NonNegative, Positive, Share, Spec

RATE_FIELDS = {
    "answers_per_second": 1.0,
    "answers_per_hour": 1.0 / units.SECONDS_PER_HOUR,
    "answers_per_day": 1.0 / units.SECONDS_PER_DAY,
    "answers_per_month": 1.0 / units.SECONDS_PER_MONTH,
}
"""Rate fields with the factor that converts each to answers per second."""
THINKING_FIELDS = ("reasoning_multiplier", "reasoning_tokens", "effort")
"""The ways to say how much a model thinks; a request class takes one of them."""

Few = Annotated[int, Field(ge=1, le=10**6)]


class Users(Spec):
    """A rate given as a number of users."""

    count: Positive
    answers_per_day: Positive
    """Answers per user and day."""


class TokensPerDay(Spec):
    """Volume in tokens, where the number of answers is unknown: needs `measured_rates`, has no results per answer."""

    input: Positive
    output: Positive


class Agent(Spec):
    """Turns of an agent: each turn's input includes all earlier turns."""

    tool_tokens: NonNegative
    """Tokens that a tool's result adds to the input of the next turn."""
    tool_time_s: NonNegative = 0.0
    """Time that a tool takes between two turns [s]."""
    keeps_thinking: bool = False
    """Whether the thinking of a turn stays in the context of later turns; most chat templates drop it."""
    kv_cache: Literal["held", "freed"] = "held"
    """held: the KV cache is kept while the tool works; freed: the next turn prefills its context again."""


class RequestClass(Spec):
    """One kind of request; a field left out takes the workload's value."""

    input_tokens: AnyLength | None = None
    answer_tokens: AnyLength | None = None
    reasoning_multiplier: AnyLength | None = None
    """All generated tokens divided by visible answer tokens, as a ratio of means."""
    reasoning_tokens: AnyLength | None = None
    """Thinking tokens in addition to the visible answer."""
    effort: str | None = None
    """An effort level for which the model's file gives a multiplier."""
    cached_share: AnyLength | None = None
    """Share of input tokens found in the prefix cache."""
    samples_per_answer: Few | None = None
    turns_per_answer: Few | None = None
    agent: Agent | None = None
    """Turns with a growing context; without it, every turn has an input of `input_tokens`."""
    max_tokens: Count | None = None
    """Limit on the generated tokens of a sequence; longer sequences are cut off there."""
    answers_per_second: Positive | None = None
    answers_per_hour: Positive | None = None
    answers_per_day: Positive | None = None
    answers_per_month: Positive | None = None
    users: Users | None = None

    def rate_per_s(self) -> float | None:
        """Return answers per second; None where no rate is given."""
        if self.users is not None:
            return self.users.count * self.users.answers_per_day / units.SECONDS_PER_DAY
        for name, factor in RATE_FIELDS.items():
            value = getattr(self, name)
            if value is not None:
                return float(value) * factor
        return None

    def rate_fields(self) -> list[str]:
        """Return the names of the rate fields given."""
        return [name for name in (*RATE_FIELDS, "users") if getattr(self, name) is not None]

    def thinking_fields(self) -> list[str]:
        """Return the names of the fields given that say how much the model thinks."""
        return [name for name in THINKING_FIELDS if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _coherent(self) -> "RequestClass":
        if len(self.thinking_fields()) > 1:
            raise ValueError(f"{' and '.join(self.thinking_fields())} are given together; expected one of them")
        if len(self.rate_fields()) > 1:
            raise ValueError(f"{' and '.join(self.rate_fields())} are given together; expected one rate")
        return self

    @field_validator("input_tokens", "answer_tokens", "reasoning_multiplier", "cached_share")
    @classmethod
    def _in_range(cls, length: Length | None, info: ValidationInfo) -> Length | None:
        low, high, expected = _RANGES[info.field_name or ""]
        typical = [] if length is None else [length.typical(), length.p90 or length.typical()]
        for value in typical:
            if not low <= value <= high:
                raise ValueError(f"{value:g} is out of range; expected {expected}")
        return length


_RANGES = {
    "input_tokens": (1.0, math.inf, "at least 1 token"),
    "answer_tokens": (1.0, math.inf, "at least 1 visible token"),
    "reasoning_multiplier": (1.0, math.inf, "at least 1 (all generated tokens over visible ones)"),
    "cached_share": (0.0, 1.0, "a share between 0 and 1"),
}
"""Field -> lowest and highest mean or median, and the range in words."""


class MixedClass(RequestClass):
    """One of several classes of a workload."""

    name: str
    model: str | None = None
    """The model that a router sends this class to; by default the scenario's model."""
    share: Share | None = None
    """Share of the workload's answers. Instead, each class may have its own rate."""


def _of_class(cls: RequestClass) -> str:
    """Return what a message adds to the field of a class; empty for a field of the workload itself."""
    return f" of the class {cls.name!r}" if isinstance(cls, MixedClass) else ""


class WorkloadSpec(RequestClass):
    """The workload of a scenario: one class, or several in `classes`."""

    shared_tokens: NonNegative = 0.0
    """Tokens at the start of every input that are the same in all requests, as a system prompt: part of `input_tokens`,
    found in the prefix cache, and held there once for all sequences of a replica."""
    tokens_per_day: TokensPerDay | None = None
    classes: tuple[MixedClass, ...] = ()

    @model_validator(mode="after")
    def _rates(self) -> "WorkloadSpec":
        own = [c for c in self.classes if c.rate_fields()]
        shares = [c for c in self.classes if c.share is not None]
        if own and (shares or self.rate_fields()):
            raise ValueError(
                "rates are mixed; expected a rate for every class, or one workload rate and a share for every class"
            )
        if self.classes and not own:
            total = sum(c.share or 0.0 for c in self.classes)
            if len(shares) < len(self.classes) or abs(total - 1.0) > _SHARE_TOLERANCE:
                raise ValueError(f"the shares of the classes sum to {total:g}; expected 1, one share each")
        if own and len(own) < len(self.classes):
            raise ValueError("some classes have a rate and some have none; expected a rate for every class")
        ways = len(self.rate_fields()) + (self.tokens_per_day is not None) + bool(own)
        if ways != 1:
            known = ", ".join((*RATE_FIELDS, "users"))
            raise ValueError(
                f"{'no rate is' if ways == 0 else 'several rates are'} given; expected exactly one of {known}"
            )
        return self

    @model_validator(mode="after")
    def _agents(self) -> "WorkloadSpec":
        for cls in self.classes or (self,):
            agent, turns = cls.agent or self.agent, cls.turns_per_answer or self.turns_per_answer or 1
            if agent is not None and turns == 1:
                raise ValueError(f"agent{_of_class(cls)} has a single turn; expected turns_per_answer of at least 2")
        return self

    @model_validator(mode="after")
    def _lengths(self) -> "WorkloadSpec":
        if self.tokens_per_day is not None:
            return self
        for cls in self.classes or (self,):
            for name in ("input_tokens", "answer_tokens"):
                if getattr(cls, name) is None and getattr(self, name) is None:
                    raise ValueError(f"{name}{_of_class(cls)} is missing; expected a number or a distribution")
        return self


_SHARE_TOLERANCE = 1e-6
