"""One way to serve a scenario, with its results: what an answer ranks and every output format prints."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from planner.fleet.result import Estimate
from planner.fleet.result_fields import Column, Results, columns_of, result
from planner.wording import price_tier

Interval = tuple[float | None, float | None]
"""10th and 90th percentile of a result; None where it is missing."""


@dataclass(frozen=True)
class Identity:
    """What an option is: the question, the model, the machine, the offer and the layout."""

    scenario: str = result("", "Name of the question; name/override for a variant")
    model: str = result("", "Catalogue id of the model")
    gpu: str | None = result("", "Catalogue id of the accelerator", models="same")
    system: str | None = result(
        "", "Catalogue id of the node or rack; empty where the catalogue has none", models="same"
    )
    engine: str | None = result("", "Serving engine; empty for a measured backend", models="same")
    precision: str | None = result("", "Format of the linear weights", models="same")
    provider: str | None = result("", "Seller of the offer; empty where no price is known", models="same")
    price_tier: str | None = result(
        "", "on_demand | spot | committed_1y | committed_3y | capacity_block | owned", models="same"
    )
    region: str | None = result("", "Region of the offer", models="same")
    tensor_parallel: int | None = result("GPUs", "GPUs that share every layer")
    pipeline_parallel: int | None = result("stages", "Pipeline stages")
    expert_parallel: int | None = result(
        "GPUs", "GPUs the experts of a layer are spread over; spans TP and DP and does not multiply"
    )
    data_parallel: int | None = result("ranks", "Attention data-parallel ranks of one replica")
    prefill_tensor_parallel: int | None = result(
        "GPUs",
        "Tensor parallelism of a prefill replica; the fields without `prefill` are then of a decode replica",
        since=2,
    )
    prefill_pipeline_parallel: int | None = result("stages", "Pipeline stages of a prefill replica", since=2)
    prefill_expert_parallel: int | None = result("GPUs", "GPUs its experts are spread over; 1 means sliced", since=2)
    prefill_data_parallel: int | None = result("ranks", "Attention-data-parallel ranks of a prefill replica", since=2)


@dataclass(frozen=True)
class Option(Results[float | None, bool, str | None], Identity):
    """One way to serve a scenario, and its results; None where there is no number.

    A result is an attribute, or by its name an item: `option.gpus`, `option["gpus"]`, `option["gpus_p10"]`.
    """

    prices_as_of: str | None = result("date", "Day the price was seen", models="same")
    price_source: str | None = result("", "Where the price was seen")
    basis: str | None = result("", "Weakest link: measured | calibrated | datasheet | assumed")
    scenario_hash: str | None = result("", "Digest of the question as answered")
    engine_version: str | None = result(
        "", "Release of the engine; empty where no support table knows it", models="same", since=3
    )
    why: str | None = result("", "Why the engine does not start it; empty where it starts", since=3)
    intervals: Mapping[str, Interval] | None = None
    """Result -> its interval; None where nobody asked for intervals."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - the type is that of the field
        """Return a result, or an end of its interval, by the name of its column."""
        if name in INTERVAL_COLUMNS:
            of, _, end = name.rpartition("_")
            return self.interval(of)[end == "p90"]
        if name not in COLUMNS:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns, so that an option reads like a mapping of its results."""
        yield from self.keys()

    def keys(self) -> list[str]:
        """Return the names of the columns, those of the intervals too where they were asked for."""
        return [*COLUMNS, *(INTERVAL_COLUMNS if self.intervals is not None else ())]

    @property
    def machine(self) -> str:
        """Return the GPU, engine, weights and offer in one line."""
        return " ".join(part for part in (self.gpu, self.engine, self.precision, self.offer) if part)

    @property
    def offer(self) -> str:
        """Return who sells it and how, as people say it; empty where it has no price."""
        return f"{self.provider} {price_tier(self.price_tier or '')}" if self.provider else ""

    def interval(self, name: str) -> Interval:
        """Return the 10th and 90th percentile of a result; None where they are missing."""
        return (self.intervals or {}).get(name, (None, None))

    def row(self) -> dict[str, Any]:
        """Return the results by column, with the ends of the intervals where they were asked for."""
        return {name: self[name] for name in self.keys()}


COLUMNS = columns_of(Option)
"""Every result field in the contract's order: JSON keys and CSV headers."""
NUMBERS = tuple(n for n in columns_of(Estimate) if n not in {"fits", "meets_slo", "limit"})
INTERVAL_COLUMNS = {
    f"{name}_{end}": Column(column.unit, f"{percentile} percentile of {name} (only with --interval)")
    for name, column in COLUMNS.items()
    if column.interval
    for end, percentile in (("p10", "10th"), ("p90", "90th"))
}
"""The columns that --interval appends."""


def number(value: float, *, whole: bool) -> float | int | None:
    """Return a result as it is printed: None where missing, whole where it counts things, else with 12 digits."""
    if not math.isfinite(value):
        return None
    return int(value) if whole else float(f"{value:.{_DIGITS}g}")


_DIGITS = 12
"""Significant digits of a result: more are noise of the arithmetic."""
