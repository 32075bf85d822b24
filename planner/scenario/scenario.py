"""Spec of a question: model + workload + candidate fleets + prices."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from planner.catalog.benchmark_points import no_percentage
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
"""Share of drafted tokens kept where nobody says: an assumption."""
MOST_DRAFTED = 100
"""Tokens drafted in a step: more than any engine takes."""


class DemandSpec(Spec):
    """How the load moves around its mean."""

    curve: str | None = None
    """A demand curve of the catalogue; gives peak_to_mean where that is not set."""
    peak_to_mean: Factor | None = None
    """Rate of the peak hour over the mean."""
    growth_per_month: Annotated[float, Field(ge=-0.9, le=10)] = 0.0
    """Relative growth a month; the fleet is sized for the last month of the horizon."""
    horizon_months: Annotated[int, Field(ge=1, le=120)] = 1
    """Months until the fleet must be large enough."""
    burst: Factor = 1.0
    """Rate of the peak minute over the peak hour, on top of peak_to_mean."""


class SloSpec(Spec):
    """Limits at the peak hour; a limit left out does not bind."""

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
    """Which machines may answer, and how safely."""

    gpus: Names = None
    """Accelerators of the catalogue, or `any`."""
    systems: Names = None
    """Nodes or racks of the catalogue, or `any`."""
    precisions: Names = None
    """`any` is the published weights' own format, and fp8 for 16-bit models."""
    kv_precision: str = "bf16"
    """Format of the KV cache."""
    tensor_parallel: Sizes = None
    """Tensor-parallel sizes to try, or `any`."""
    max_gpus: Count | None = None
    """Largest fleet allowed, in GPUs."""
    headroom: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of each replica's capacity kept free at the peak."""
    availability: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Probability that enough replicas are up."""
    repair_hours: NonNegative = 24.0
    """Time until a failed replica is back."""
    failures_per_gpu_hour: NonNegative = 1.97e-5
    """419 interruptions in 54 days of 16,384 H100 (Llama 3 paper, table 5): an upper bound."""
    pools: Literal["one", "two", "any"] = "one"
    """one: each replica reads prompts and writes answers; two: prompts are read by replicas of their own; any: the
    cheaper."""
    speculative_tokens: Annotated[int, Field(ge=0, le=MOST_DRAFTED)] = 0
    """Tokens that speculative decoding drafts for a sequence in every step; 0 is none."""
    acceptance: Annotated[float, Field(ge=0, lt=1)] = USUAL_ACCEPTANCE
    """Probability that a drafted token is kept, given that all before it were; 0.7 is an assumption."""
    billing: Literal["peak", "mean"] = "peak"
    """peak: the fleet for the peak is reserved all month; mean: machines follow demand and the mean is paid."""


_TIERS = {"enum": list(get_args(Tier))}
Tiers = Annotated[
    tuple[Tier, ...],
    Field(min_length=1),
    BeforeValidator(one_or_many),
    WithJsonSchema({"anyOf": [_TIERS, {"type": "array", "items": _TIERS, "minItems": 1}]}),
]
"""One price tier or a list of them."""


class PricesSpec(Spec):
    """Which offers are looked at."""

    tiers: Tiers = ("on_demand",)
    """Kinds of offer."""
    providers: Names = None
    """Sellers, or `any`; a named one may also be a survey, an index or an estimate."""
    regions: Names = None
    """Regions of the offers, or `any`."""
    as_of: DayOrLatest = "latest"
    """Only prices seen by that day; `latest` is today."""
    max_age_days: Count = 180
    """Older quotes warn."""
    extra_share: NonNegative = 0.0
    """Storage, egress, support, as a share of the GPU bill."""


class QualitySpec(Spec):
    """How often an answer is right."""

    accuracy: Annotated[float, Field(ge=1e-6, le=1), BeforeValidator(no_percentage)] | None = None
    """Share of right answers; adds the cost per correct answer."""
    benchmark: str | None = None
    """Where the accuracy was measured."""


class EnergySpec(Spec):
    """Where the power comes from."""

    grid: str = "USA"
    """Zone of the catalogue (ISO 3166 alpha-3)."""
    grid_source: str | None = None
    """A source of grids.csv; the newest year where absent."""
    pue: Annotated[float, Field(ge=1, le=10)] = 1.2
    """Facility power over IT power."""


class MeasuredRates(Spec):
    """Throughput somebody measured, used instead of the model: one node serves either phase at these rates."""

    input_tokens_per_s_per_node: Positive
    """Prefill rate of a node; input tokens include cached ones."""
    output_tokens_per_s_per_node: Positive
    """Decode rate of a node."""


class RoutingSpec(Spec):
    """Where several models answer the classes of a workload."""

    fleet: Literal["each", "shared"] = "each"
    """each: a fleet of its own for every model; shared: one kind of GPU from one offer, whole nodes filled by all."""


class ScenarioSpec(FileSpec):
    """A question. Overrides hold named variants: each maps field paths to values."""

    name: str
    """What results are called."""
    title: str | None = None
    """One line for people."""
    model: str
    """Catalogue id, spec file, or a Hugging Face config.json."""
    engine: Names = None
    """vllm, sglang, trtllm, a list of them, or `any`."""
    workload: WorkloadSpec
    """What is asked, and how often."""
    demand: Annotated[DemandSpec, Field(default_factory=DemandSpec)]
    """How the load moves around its mean."""
    slo: Annotated[SloSpec, Field(default_factory=SloSpec)]
    """Latency limits at the peak hour."""
    fleet: Annotated[FleetSpec, Field(default_factory=FleetSpec)]
    """Which machines may answer, and how safely."""
    routing: Annotated[RoutingSpec, Field(default_factory=RoutingSpec)]
    """Whether the models that classes name have a fleet each, or share nodes."""
    prices: Annotated[PricesSpec, Field(default_factory=PricesSpec)]
    """Which offers are looked at."""
    quality: Annotated[QualitySpec, Field(default_factory=QualitySpec)]
    """How often an answer is right."""
    energy: Annotated[EnergySpec, Field(default_factory=EnergySpec)]
    """Where the power comes from."""
    measured_rates: MeasuredRates | None = None
    """Rates somebody measured, instead of the model."""
    overrides: Annotated[Mapping[str, Mapping[str, Any]], Field(default_factory=dict)]
    """Named variants: each maps field paths to values."""

    @model_validator(mode="after")
    def _coherent(self) -> "ScenarioSpec":
        if self.workload.tokens_per_day is not None and self.measured_rates is None:
            raise ValueError("workload.tokens_per_day needs measured_rates; expected a rate of answers otherwise")
        limited = [n for n in type(self.slo).model_fields if getattr(self.slo, n) is not None]
        if self.measured_rates is not None and limited:
            raise ValueError(f"slo.{limited[0]} cannot be judged with measured_rates; expected no slo beside them")
        if self.measured_rates is not None and self.fleet.pools != "one":
            raise ValueError("fleet.pools: nodes with measured_rates serve either phase already; expected one")
        agents = [c.agent for c in (self.workload, *self.workload.classes) if c.agent is not None]
        if self.fleet.pools != "one" and any(agent.tool_time_s for agent in agents):
            raise ValueError("fleet.pools: which pool holds a cache while a tool works is not modelled; expected one")
        if self.measured_rates is not None and self.fleet.speculative_tokens:
            raise ValueError("fleet.speculative_tokens changes no measured rate; expected none beside measured_rates")
        return self
