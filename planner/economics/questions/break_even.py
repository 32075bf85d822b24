"""Spec of the question API or own: a scenario, an API's price, and the price tiers to compare."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from planner.catalog.market import Tier
from planner.documents.spec import DayOrLatest, Names, Positive, Share, Spec
from planner.economics.questions.question import QuestionFile


class ApiChoice(Spec):
    """Which API answers instead, and what of an answer's tokens it bills."""

    model: str
    """A model of `planner list api-prices`, or of genai-prices where that is installed."""
    as_of: DayOrLatest
    """The day whose price counts; latest is today."""
    batch: bool = False
    """Whether the batch service's price counts: answers within a day, not at once."""
    cached_share: Share | None = None
    """Share of the input tokens read from the provider's cache; null takes the scenario's, and of an
    agent what its last turn left, also where one's own engine frees it (agent.kv_cache)."""
    input_tokens: Positive | None = None
    """Input tokens of an answer in the API's own count; null takes the scenario's."""
    output_tokens: Positive | None = None
    """Generated tokens of an answer, reasoning included, in the API's own count; null takes the scenario's."""


class TierChoice(Spec):
    """A way to pay for machines."""

    tier: Tier
    """on_demand, spot, committed_1y, committed_3y, capacity_block or owned."""
    providers: Names = None
    """Whose prices: surveys and estimates only count where their publisher is named; null takes the scenario's."""


def _tier(value: object) -> object:
    return {"tier": value} if isinstance(value, str) else value


def _several(value: object) -> object:
    return value if isinstance(value, tuple) else (value,)


_TIERS = {"enum": list(get_args(Tier))}
_PROVIDERS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_CHOICE = {
    "type": "object",
    "required": ["tier"],
    "additionalProperties": False,
    "properties": {"tier": _TIERS, "providers": _PROVIDERS},
}
TierOf = Annotated[TierChoice, BeforeValidator(_tier), WithJsonSchema({"anyOf": [_TIERS, _CHOICE]})]
"""A tier by its name, or with the providers whose prices count."""


class DemandRange(Spec):
    """Demands to draw a curve over."""

    least: Positive = 100.0
    """Smallest demand [answers a day]."""
    most: Positive = 1e8
    """Largest demand [answers a day]."""
    points: Annotated[int, Field(ge=2, le=1000)] = 41
    """Demands in between, evenly spaced in their logarithm; the steps of the fleets come on top."""

    @model_validator(mode="after")
    def _in_order(self) -> "DemandRange":
        if self.most <= self.least:
            raise ValueError(f"most, {self.most:g}, is not above least, {self.least:g}; expected a range")
        return self


class BreakEvenFile(QuestionFile):
    """scenarios/break-even/<name>.yaml: does an API or a fleet of one's own answer a scenario for less."""

    scenario: str
    """The answers: a shipped scenario or a file, whose machines are searched at every demand."""
    override: str | None = None
    """A variant of the scenario."""
    changes: Annotated[Mapping[str, Any], Field(default_factory=dict)]
    """Fields of the scenario, by path, and their values here."""
    api: ApiChoice
    tiers: Annotated[tuple[TierOf, ...], BeforeValidator(_several), Field(min_length=1)]
    """One row each."""
    answers_per_day: Annotated[DemandRange, Field(default_factory=DemandRange)]
    """Range of the curve; crossings are looked for beyond it, too."""

    @classmethod
    def for_another_scenario(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data with tiers by name alone: whose prices count is then the scenario's to say."""
        tiers = data.get("tiers", ())
        several = tiers if isinstance(tiers, tuple) else (tiers,)
        return data | {"tiers": tuple(t.get("tier") if isinstance(t, dict) else t for t in several)}
