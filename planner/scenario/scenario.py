"""Spec of a scenario: model, workload, latency limits, fleet and prices."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from planner.catalog.benchmark_points import no_percentage
from planner.catalog.engine_settings import EngineSettings
from planner.catalog.market import Tier
from planner.documents.spec import (
    Count,
    DayOrLatest,
    Factor,
    FileSpec,
    Names,
    NonNegative,
    Positive,
    Sizes,
    Spec,
    one_or_many,
)
from planner.scenario.workload import WorkloadSpec

USUAL_ACCEPTANCE = 0.7
"""Default probability that a drafted token is accepted: an assumption."""
MOST_DRAFTED = 100
"""Most tokens drafted in a step; no engine drafts more."""


class DemandSpec(Spec):
    """How the load varies over time."""

    curve: str | None = None
    """A demand curve of the catalogue; it gives peak_to_mean where that is not set."""
    peak_to_mean: Factor | None = None
    """Rate in the peak hour divided by the mean rate."""
    growth_per_month: Annotated[float, Field(ge=-0.9, le=10)] = 0.0
    """Relative growth per month; the fleet is sized for the last month of the horizon."""
    horizon_months: Annotated[int, Field(ge=1, le=120)] = 1
    """Number of months for which the fleet must be large enough."""
    burst: Factor = 1.0
    """Rate in the peak minute divided by the rate of the peak hour; multiplies peak_to_mean."""


class SloSpec(Spec):
    """Latency limits in the peak hour; a limit that is left out is not checked."""

    ttft_p50_s: Positive | None = None
    ttft_p95_s: Positive | None = None
    ttft_p99_s: Positive | None = None
    tpot_p50_s: Positive | None = None
    tpot_p95_s: Positive | None = None
    tpot_p99_s: Positive | None = None
    e2e_p50_s: Positive | None = None
    e2e_p95_s: Positive | None = None
    e2e_p99_s: Positive | None = None
    time_to_answer_p50_s: Positive | None = None
    time_to_answer_p95_s: Positive | None = None
    time_to_answer_p99_s: Positive | None = None


class FleetSpec(Spec):
    """Which GPUs may serve, and with what reserves."""

    gpus: Names = None
    """Accelerators of the catalogue, or `any`."""
    systems: Names = None
    """Nodes or racks of the catalogue, or `any`."""
    precisions: Names = None
    """Weight formats, or `any`: the published format, and also fp8 for 16-bit models."""
    kv_precision: str | None = None
    """Format of the KV cache; the checkpoint's own where absent, which is bf16 for most."""
    tensor_parallel: Sizes = None
    """Tensor-parallel sizes to try, or `any`."""
    max_gpus: Count | None = None
    """Largest fleet allowed, in GPUs."""
    headroom: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of each replica's capacity kept free in the peak hour."""
    availability: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Probability that enough replicas are running."""
    repair_hours: NonNegative = 24.0
    """Time until a failed replica runs again."""
    failures_per_gpu_hour: NonNegative = 1.97e-5
    """419 interruptions in 54 days of 16,384 H100 (Llama 3 paper, table 5): an upper bound."""
    pools: Literal["one", "two", "any"] = "one"
    """one: each replica runs prefill and decode; two: disaggregated serving with a prefill pool and a decode pool;
    any: the cheaper of both."""
    speculative_tokens: Annotated[int, Field(ge=0, le=MOST_DRAFTED)] = 0
    """Tokens that speculative decoding drafts per sequence and step; 0 turns it off."""
    acceptance: Annotated[float, Field(ge=0, lt=1)] = USUAL_ACCEPTANCE
    """Probability that a drafted token is accepted, given that all before it were; 0.7 is an assumption."""
    billing: Literal["peak", "mean"] = "peak"
    """peak: the fleet for the peak is paid all month; mean: machines follow demand and their mean number is paid."""


_TIERS = {"enum": list(get_args(Tier))}
Tiers = Annotated[
    tuple[Tier, ...],
    Field(min_length=1),
    BeforeValidator(one_or_many),
    WithJsonSchema({"anyOf": [_TIERS, {"type": "array", "items": _TIERS, "minItems": 1}]}),
]
"""One price tier or a list of them."""


class PricesSpec(Spec):
    """Which offers are searched."""

    tiers: Tiers = ("on_demand",)
    """Price tiers to search."""
    providers: Names = None
    """Providers, or `any`; a named provider may also be a survey, an index or an estimate."""
    regions: Names = None
    """Regions of the offers, or `any`."""
    as_of: DayOrLatest = "latest"
    """Use only prices seen by this day; `latest` means today."""
    max_age_days: Count = 180
    """Quotes older than this cause a warning [days]."""
    extra_share: NonNegative = 0.0
    """Cost of storage, egress and support, as a share of the GPU bill."""


class QualitySpec(Spec):
    """How often an answer is correct."""

    accuracy: Annotated[float, Field(ge=1e-6, le=1), BeforeValidator(no_percentage)] | None = None
    """Share of correct answers; it adds the cost per correct answer to the results."""
    benchmark: str | None = None
    """The benchmark on which the accuracy was measured."""


class EnergySpec(Spec):
    """The electricity grid and the facility."""

    grid: str = "USA"
    """Grid zone of the catalogue (ISO 3166 alpha-3 code)."""
    grid_source: str | None = None
    """A source of grids.csv; by default the one with the newest year."""
    pue: Annotated[float, Field(ge=1, le=10)] = 1.2
    """Facility power divided by IT power."""


class MeasuredRates(Spec):
    """Measured throughput, used instead of the performance model: a node runs prefill or decode at these rates."""

    input_tokens_per_s_per_node: Positive
    """Prefill rate of a node; input tokens include cached ones."""
    output_tokens_per_s_per_node: Positive
    """Decode rate of a node."""


class RoutingSpec(Spec):
    """How several models that serve the classes of a workload share machines."""

    fleet: Literal["each", "shared"] = "each"
    """each: every model has its own fleet; shared: all models fill whole nodes of one GPU type from one offer."""


def _as_text(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return a number as text: YAML reads 0.19 as one. It loses last zeros, so 0.20 needs quotes or its third part."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Release = Annotated[str, BeforeValidator(_as_text)]
"""A release of an engine as its makers write it."""


class ScenarioSpec(FileSpec):
    """A scenario. Its overrides are named variants, each a mapping of field paths to values."""

    name: str
    """Name of the scenario in results."""
    title: str | None = None
    """Description in one line."""
    model: str
    """Catalogue id, spec file, or a Hugging Face config.json."""
    engine: Names = None
    """vllm, sglang, trtllm, a list of them, or `any`."""
    engine_version: Release | None = None
    """Release of the engine, e.g. 0.33.0 or "0.20"; by default the newest in its support table."""
    engine_settings: Annotated[EngineSettings, Field(default_factory=EngineSettings)]
    """Settings of the engine, by vLLM's names; those left out are the release's own."""
    workload: WorkloadSpec
    """Lengths and rate of requests."""
    demand: Annotated[DemandSpec, Field(default_factory=DemandSpec)]
    """How the load varies over time."""
    slo: Annotated[SloSpec, Field(default_factory=SloSpec)]
    """Latency limits in the peak hour."""
    fleet: Annotated[FleetSpec, Field(default_factory=FleetSpec)]
    """Which GPUs may serve, and with what reserves."""
    routing: Annotated[RoutingSpec, Field(default_factory=RoutingSpec)]
    """Whether each model named by a class has its own fleet, or all share nodes."""
    prices: Annotated[PricesSpec, Field(default_factory=PricesSpec)]
    """Which offers are searched."""
    quality: Annotated[QualitySpec, Field(default_factory=QualitySpec)]
    """How often an answer is correct."""
    energy: Annotated[EnergySpec, Field(default_factory=EnergySpec)]
    """The electricity grid and the facility."""
    measured_rates: MeasuredRates | None = None
    """Measured throughput, used instead of the performance model."""
    overrides: Annotated[Mapping[str, Mapping[str, Any]], Field(default_factory=dict)]
    """Named variants, each a mapping of field paths to values."""

    @model_validator(mode="after")
    def _coherent(self) -> "ScenarioSpec":
        if self.engine_version is not None and len(self.engine or ()) != 1:
            raise ValueError("engine_version is given without one engine; expected engine to name the one it is of")
        if self.workload.tokens_per_day is not None and self.measured_rates is None:
            raise ValueError("workload.tokens_per_day needs measured_rates; without them, expected a rate of answers")
        limited = [n for n in type(self.slo).model_fields if getattr(self.slo, n) is not None]
        if self.measured_rates is not None and limited:
            raise ValueError(f"slo.{limited[0]} cannot be checked with measured_rates; expected no slo")
        if self.measured_rates is not None and self.fleet.pools != "one":
            raise ValueError("fleet.pools: nodes with measured_rates already run either phase; expected one")
        agents = [c.agent for c in (self.workload, *self.workload.classes) if c.agent is not None]
        if self.fleet.pools != "one" and any(agent.tool_time_s for agent in agents):
            raise ValueError("fleet.pools: disaggregated serving with tool pauses is not modelled; expected one")
        if self.measured_rates is not None and self.fleet.speculative_tokens:
            raise ValueError("fleet.speculative_tokens does not apply to measured_rates; expected 0")
        return self
