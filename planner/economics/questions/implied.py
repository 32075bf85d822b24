"""Spec of an inverse question: what was observed of two models, and so how many times the other one takes."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.documents.spec import Day, NonNegative, Positive, Spec
from planner.economics.questions.message import Message
from planner.economics.questions.question import QuestionFile, named_apart

Basis = Literal["characters", "tokens", "latency", "api", "bill", "quota", "score", "amount"]

_LENGTH = frozenset({"tokens", "characters", "text", "tokenizer", "characters_per_token"})
_PRICE = frozenset({"input_tokens", "cached_share", "usd_per_mtok_input", "usd_per_mtok_output", "price_model"})
_ALLOWED: Mapping[str, frozenset[str]] = {
    "characters": _LENGTH,
    "tokens": _LENGTH,
    "latency": frozenset({"latency_s", "ttft_s", "output_tokens_per_s"}),
    "api": _LENGTH | _PRICE,
    "bill": _PRICE | {"bill_usd", "answers"},
    "quota": frozenset({"messages", "window_hours"}),
    "score": frozenset({"score"}),
    "amount": frozenset({"amount"}),
}
_NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "characters": (("characters",),),
    "tokens": (("tokens",),),
    "latency": (("latency_s",),),
    "api": (("characters", "tokens"), ("price_model", "usd_per_mtok_output")),
    "bill": (("bill_usd",), ("price_model", "usd_per_mtok_output")),
    "quota": (("messages",), ("window_hours",)),
    "score": (("score",),),
    "amount": (("amount",),),
}
"""What a side must say: one of each group."""
_TOKENS_OF = ("characters", "tokens", "latency", "bill")
"""What tells how many tokens one model generated, so that it can be held against its visible answer."""


class Side(Message):
    """What was observed of one model; which fields, the basis says."""

    name: str | None = None
    """Instead of the file's name of this side."""
    latency_s: Positive | None = None
    """From the question to the end of the answer [s]."""
    ttft_s: NonNegative | None = None
    """Part of it before the first token of any kind [s]; with the speed, latency gives tokens."""
    output_tokens_per_s: Positive | None = None
    """Speed of one stream, thinking included [tokens/s]."""
    bill_usd: Positive | None = None
    """What the API charged for all `answers` [USD]."""
    answers: Positive | None = None
    """Answers the bill is for; silence is 1."""
    messages: Positive | None = None
    """Messages a plan allows in a window."""
    window_hours: Positive | None = None
    """Length of that window [h]."""
    score: Positive | None = None
    """Score, percentile or Elo rating; a share of tasks solved is between 0 and 1."""
    amount: Positive | None = None
    """Any quantity with a true zero: people, dollars."""

    def check(self, basis: str, role: str) -> None:
        """Raise ValueError where a field is missing that the basis needs, or stands that it does not use."""
        given = {n for n in type(self).model_fields if n != "name" and getattr(self, n) is not None}
        if unused := sorted(given - _ALLOWED[basis]):
            known = ", ".join(sorted(_ALLOWED[basis]))
            raise ValueError(f"{role}.{unused[0]} has no use under basis {basis}; known there: {known}")
        for group in _NEEDED[basis]:
            if not given & set(group):
                raise ValueError(f"{role}.{group[0]} is missing; basis {basis} needs {' or '.join(group)}")
        self.check_pairs(role)
        if self.ttft_s is not None and self.latency_s is not None and self.ttft_s >= self.latency_s:
            raise ValueError(f"{role}.ttft_s {self.ttft_s:g} is not below latency_s {self.latency_s:g}")


class Observation(Spec):
    """One thing observed of both models, or of one model and its visible answer."""

    label: str | None = None
    """Name of the row; silence is the basis."""
    basis: Basis
    """What was observed: it decides which fields the sides have."""
    base: Side | None = None
    """The model compared with."""
    visible: Side | None = None
    """Instead of a base: what the same model's answer shows, without its thinking (tokens or characters)."""
    model: Side
    """The model asked about."""
    scale: Literal["share", "elo", "percentile"] | None = None
    """What a score is: a share of tasks solved has a ratio, a rating and a percentile have none."""
    unit: str | None = None
    """Unit of an amount."""

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.label or self.basis

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.base is None) == (self.visible is None):
            raise ValueError("expected either a base (another model) or visible (what the same model shows)")
        self.model.check(self.basis, "model")
        if self.base is not None:
            self.base.check(self.basis, "base")
        elif self.visible is not None:
            self._one_model(self.visible)
        if (self.basis == "score") != (self.scale is not None):
            wanted = "a score needs scale: share, elo or percentile" if self.scale is None else "scale is for scores"
            raise ValueError(wanted)
        if (self.basis == "amount") != (self.unit is not None):
            raise ValueError("an amount needs its unit" if self.unit is None else "unit is for amounts")
        self._score()
        return self

    def _one_model(self, visible: Side) -> None:
        if self.basis not in _TOKENS_OF:
            raise ValueError(f"basis {self.basis} does not tell one model's tokens; expected {', '.join(_TOKENS_OF)}")
        visible.check("characters" if visible.characters else "tokens", "visible")
        speed = self.model.output_tokens_per_s and self.model.ttft_s is not None
        if self.basis == "latency" and not speed:
            raise ValueError("latency tells tokens only with model.ttft_s and model.output_tokens_per_s")

    def _score(self) -> None:
        if self.scale == "percentile":
            raise ValueError(
                "a ratio of percentiles is not a multiple: they rank people, and the 62nd is not 5.6 times the 11th; "
                "expected the ratings behind them (scale: elo) or shares of tasks solved (scale: share)"
            )
        sides = {"base": self.base, "model": self.model}
        for role, side in sides.items():
            if self.scale == "share" and side and side.score is not None and side.score > 1:
                raise ValueError(
                    f"{role}.score {side.score:g} is not a share; expected between 0 and 1, as 0.567 for 56.7 %"
                )


class ImpliedFile(QuestionFile):
    """scenarios/implied/<name>.yaml: what was observed of two models at a date."""

    as_of: Day
    """The day the observations and prices held."""
    base: str
    """What the model compared with is called."""
    model: str
    """What the model asked about is called."""
    observations: Annotated[tuple[Observation, ...], Field(min_length=1), named_apart("observations", "a label")]
    """One row each."""
