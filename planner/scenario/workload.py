"""Spec of what is asked: lengths, rates, reasoning, request classes."""

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
"""Rate fields and the factor that turns each into answers per second."""
THINKING_FIELDS = ("reasoning_multiplier", "reasoning_tokens", "effort")
"""The ways to say how much a model thinks; a request class takes one of them."""

Few = Annotated[int, Field(ge=1, le=10**6)]


class Users(Spec):
    """A rate as people who ask."""

    count: Positive
    answers_per_day: Positive
    """Answers one user asks for in a day."""


class TokensPerDay(Spec):
    """Volume where only tokens are known, not answers: needs `measured_rates`, and leaves per-answer results empty."""

    input: Positive
    output: Positive


class Agent(Spec):
    """How the turns of an answer follow each other: each reads all that was said before it."""

    tool_tokens: NonNegative
    """Tokens a tool's result adds to the input of the next turn."""
    tool_time_s: NonNegative = 0.0
    """Time a tool takes before the next turn is asked [s]."""
    keeps_thinking: bool = False
    """Whether the thinking of a turn stays in the context of the next; most chat templates drop it."""
    kv_cache: Literal["held", "freed"] = "held"
    """held: the cache waits for the tool, the next turn finds the context of the last one; freed: it is read again."""


class RequestClass(Spec):
    """What one kind of request looks like; a field left out takes the workload's."""

    input_tokens: AnyLength | None = None
    answer_tokens: AnyLength | None = None
    reasoning_multiplier: AnyLength | None = None
    """All generated tokens over visible answer tokens, as a ratio of means."""
    reasoning_tokens: AnyLength | None = None
    """Thinking tokens beside the visible answer (the answer does not include them)."""
    effort: str | None = None
    """An effort level the model's file gives a multiplier for."""
    cached_share: AnyLength | None = None
    """Share of the input tokens found in the prefix cache."""
    samples_per_answer: Few | None = None
    turns_per_answer: Few | None = None
    agent: Agent | None = None
    """Turns whose context grows; without it every turn reads an input of `input_tokens`."""
    max_tokens: Count | None = None
    """Limit of generated tokens of one sequence; longer ones are cut there."""
    answers_per_second: Positive | None = None
    answers_per_hour: Positive | None = None
    answers_per_day: Positive | None = None
    answers_per_month: Positive | None = None
    users: Users | None = None

    def rate_per_s(self) -> float | None:
        """Return answers per second, or None where no rate is given."""
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
"""Field -> lowest and highest mean (or median), in words."""


class MixedClass(RequestClass):
    """One of several classes of a workload."""

    name: str
    model: str | None = None
    """The model a router sends this class to; the scenario's where it does not say."""
    share: Share | None = None
    """Share of the workload's answers; or give the class its own rate."""


class WorkloadSpec(RequestClass):
    """The workload of a scenario: one class, or several in `classes`."""

    tokens_per_day: TokensPerDay | None = None
    classes: tuple[MixedClass, ...] = ()

    @model_validator(mode="after")
    def _rates(self) -> "WorkloadSpec":
        own = [c for c in self.classes if c.rate_fields()]
        shares = [c for c in self.classes if c.share is not None]
        if own and (shares or self.rate_fields()):
            raise ValueError("give every class its own rate, or the workload one rate and each class a share")
        if self.classes and not own:
            total = sum(c.share or 0.0 for c in self.classes)
            if len(shares) < len(self.classes) or abs(total - 1.0) > _SHARE_TOLERANCE:
                raise ValueError(f"the shares of the classes sum to {total:g}; expected 1, one share each")
        if own and len(own) < len(self.classes):
            raise ValueError("every class needs a rate of its own when one has it")
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
                of = f" of the class {cls.name!r}" if isinstance(cls, MixedClass) else ""
                raise ValueError(f"agent{of} has a single turn; expected turns_per_answer of at least 2 beside it")
        return self

    @model_validator(mode="after")
    def _lengths(self) -> "WorkloadSpec":
        if self.tokens_per_day is not None:
            return self
        for cls in self.classes or (self,):
            of = f" of the class {cls.name!r}" if isinstance(cls, MixedClass) else ""
            for name in ("input_tokens", "answer_tokens"):
                if getattr(cls, name) is None and getattr(self, name) is None:
                    raise ValueError(f"{name}{of} is missing; expected a number or a distribution")
        return self


_SHARE_TOLERANCE = 1e-6
