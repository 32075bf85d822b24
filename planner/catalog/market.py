"""Specs of price quotes and demand curves."""

from typing import Annotated, Literal

from pydantic import Field

from planner.documents.spec import Confidence, Count, Day, FileSpec, NonNegative, Positive, Spec

Tier = Literal["on_demand", "spot", "committed_1y", "committed_3y", "capacity_block", "owned"]
FOLLOWS_DEMAND = frozenset({"on_demand", "spot"})
"""Price tiers of machines that can be given back by the hour; the others are paid for all month."""


class Quote(Spec):
    """One price on one date."""

    gpu: str
    """Catalogue id of the accelerator."""
    sku: str | None = None
    tier: Tier
    region: str = "any"
    usd_per_gpu_hour: Positive
    as_of: Day
    """Day the price was seen; with `as_of_is_bound`, the latest day it can have been seen."""
    as_of_is_bound: bool = False
    """True where only the latest possible day is known."""
    valid_until: Day | None = None
    """Last day of a price that has been replaced."""
    sold_by: Literal["gpu", "instance", "node"] = "gpu"
    """gpu: any number of GPUs up to a node; instance: machines with `gpus_per_instance` GPUs; node: whole nodes."""
    gpus_per_instance: Count = 1
    kind: Literal["offer", "survey", "index", "estimate", "assumption"] = "offer"
    """offer: a provider's own price; survey, index: market prices; estimate: a published cost model;
    assumption: a figure that a publisher assumed. Only offers are searched unless a provider is named."""
    confidence: Confidence
    note: str | None = None


class PricesFile(FileSpec):
    """hardware/prices/<provider>.yaml."""

    provider: str
    name: str
    aliases: tuple[str, ...] = ()
    quotes: Annotated[tuple[Quote, ...], Field(min_length=1)]


class DemandCurve(FileSpec):
    """scenarios/demand/<id>.yaml: load over the hours of a day or a week, relative to its mean."""

    id: str
    name: str
    hourly_relative_rate: Annotated[tuple[NonNegative, ...], Field(min_length=24, max_length=168)]
    starts: str
    """Time of the first hour, e.g. "Sunday 00:00 UTC"."""
    peak_minute_over_peak_hour: Annotated[float, Field(ge=1)] | None = None
    notes: str | None = None

    @property
    def relative_rates(self) -> list[float]:
        """Return the rate of each hour over their mean [1]."""
        rates = self.hourly_relative_rate
        return [rate * len(rates) / sum(rates) for rate in rates]
