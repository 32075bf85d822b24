"""Specs of machines: accelerators, systems, number formats, serving engines."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from planner.documents.spec import Confidence, Count, FileSpec, NonNegative, Positive, Share, Spec, shown

Vendor = Literal["nvidia", "amd", "intel", "google"]
Basis = Literal["measured", "calibrated", "datasheet", "assumed"]


class DenseFlops(Spec):
    """Dense matrix rate by operand format (data sheets often quote the sparse rate, twice as high)."""

    fp16: Positive
    """16-bit operands: bf16, or fp16 on cards without bf16."""
    fp8: Positive | None = None
    int8: Positive | None = None
    fp4: Positive | None = None


class GpuSpec(FileSpec):
    """One accelerator."""

    id: str
    name: str
    vendor: Vendor
    released: Annotated[int, Field(ge=2010, le=2100)]
    """Year of first shipment."""
    aliases: tuple[str, ...] = ()
    """Other spellings people use; compared without case, blanks and dashes."""
    nvml_names: tuple[str, ...] = ()
    """Product names as the driver reports them."""
    memory_bytes: Positive
    """Nameplate device memory."""
    memory_usable_bytes: Positive | None = None
    """Total memory as the driver reports it, where known; below the nameplate on some cards."""
    hbm_bytes_per_s: Positive
    """Device memory bandwidth."""
    dense_flop_per_s: DenseFlops
    link: str
    """Name of the scale-up link."""
    link_bytes_per_s: Positive
    """Scale-up bandwidth of one GPU, one direction (data sheets often add both)."""
    scale_up_domain_gpus: Count
    """GPUs that reach each other over the scale-up link; 1 where there is none."""
    tdp_w: Positive | None = None
    """Board power limit."""
    idle_w: Positive | None = None
    gpus_per_node: Count = 8
    """GPUs in the usual node."""
    confidence: Confidence
    notes: str | None = None


class SystemSpec(FileSpec):
    """One node or rack as it is bought."""

    id: str
    name: str
    gpu: str
    gpus_per_node: Count
    """GPUs that share one node (or rack, where the rack is the unit sold)."""
    scale_up_domain_gpus: Count
    network: str | None = None
    network_bytes_per_s_per_gpu: Positive | None = None
    """Scale-out bandwidth of one GPU, one direction."""
    power_w: Positive | None = None
    """Nameplate power of the whole node or rack."""
    capex_usd: Positive | None = None
    aliases: tuple[str, ...] = ()
    confidence: Confidence
    notes: str | None = None


class FormatSpec(Spec):
    """A number format of weights: how much it holds and how it is computed."""

    weight_bytes: Positive
    """Bytes per weight, scales included."""
    compute: Literal["fp16", "fp8", "int8", "fp4"]
    """The format of the matrix product where the GPU has it; else 16 bit (weights are widened on the fly)."""
    activation_scales: Literal["tensor", "blocks"] = "tensor"
    """blocks: activations are narrowed block by block on the fly, by launches of their own."""
    aliases: tuple[str, ...] = ()
    note: str | None = None


class FormatsFile(FileSpec):
    """hardware/formats.yaml."""

    formats: dict[str, FormatSpec]


class EngineLimits(Spec):
    """An engine's default limits on devices of at least this memory, per attention-data-parallel rank."""

    memory_from_bytes: NonNegative
    max_running_sequences: Count
    """Sequences in the running batch."""
    max_batched_tokens: Count
    """Token budget of one step."""


class EngineFactors(Spec):
    """What separates an engine on a real GPU from the data sheet."""

    memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when streaming dense weights."""
    compute_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the dense FLOP rate reached by large matrix products."""
    expert_memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when streaming the routed experts a step touches."""
    expert_half_width: NonNegative
    """Width of an expert's slice on a GPU [intermediate channels] at which its grouped product reaches half of
    compute_efficiency: narrow products waste tiles, and moving tokens to and fro weighs more."""
    cache_memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when attention reads the KV cache or a recurrent state."""
    attention_compute_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the dense FLOP rate reached by attention's own products."""
    link_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the one-way link bandwidth reached by collectives inside the scale-up domain."""
    network_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the one-way network bandwidth reached by collectives that leave it."""
    overlap_exponent: Annotated[float, Field(ge=1, le=8)]
    """p of (t_memory^p + t_compute^p)^(1/p): 1 is no overlap, large is perfect overlap."""
    collective_latency_s: NonNegative
    """Start-up time of one collective inside the scale-up domain."""
    network_latency_s: NonNegative
    """Start-up time of one collective that leaves the scale-up domain."""
    layer_overhead_s: NonNegative
    """Fixed time of one plain layer (grouped-query attention, dense block) in one step: launches, ramps, norms."""
    moe_overhead: NonNegative
    """What routed experts add to that, as a share of it: routing, permutation, grouped launches."""
    shared_expert_overhead: NonNegative
    """What shared experts beside them add, likewise."""
    mla_overhead: NonNegative
    """What multi-head latent attention adds."""
    sparse_overhead: NonNegative
    """What the indexer of sparse attention adds."""
    linear_overhead: NonNegative
    """What a linear mixer adds."""
    fp8_block_overhead: NonNegative
    """What narrowing activations to 8 bit in blocks adds."""
    fp4_overhead: NonNegative
    """What narrowing activations to 4 bit in blocks adds."""
    step_overhead_s: NonNegative
    """Host time of one step (scheduler, input preparation)."""
    sequence_overhead_s: NonNegative
    """Host time of one sequence in one step (sampling, detokenise)."""
    request_overhead_s: NonNegative
    """Host time before a request reaches the scheduler (HTTP, tokenise); part of TTFT."""
    prompt_overhead_s: NonNegative
    """Host time of one prompt; where many arrive at once it is spent on one after the other."""
    scheduling_steps: NonNegative
    """Steps between the arrival of a request and its first token beside its own prompt's: running, planned, shown."""
    prefill_first: bool
    """Prompts are read before any decode goes on, instead of in steps shared with decodes."""
    expert_imbalance: Annotated[float, Field(ge=1, le=4)]
    """Load of the slowest expert-parallel rank over the mean."""
    other_makers_speed: Annotated[float, Field(gt=0, le=2)]
    """Speed on GPUs of other makers than NVIDIA over what the factors above say."""
    memory_utilization: Share
    """Share of the device memory the engine takes."""
    runtime_reserve_bytes: NonNegative
    """CUDA context, graphs, communication buffers, allocator slack, on each GPU."""
    activation_bytes_factor: NonNegative
    """Peak activations over max_batched_tokens x hidden size x 2 bytes."""
    kv_overflow_z: NonNegative
    """Standard normal quantile of the admission margin: how rarely the running batch outgrows the KV cache."""
    limits: Annotated[tuple[EngineLimits, ...], Field(min_length=1)]
    """By device memory, ascending; the last one that applies counts."""

    def limits_for(self, memory_bytes: float) -> EngineLimits:
        """Return the defaults for a device of this memory."""
        return [x for x in self.limits if x.memory_from_bytes <= memory_bytes][-1]


def _a_pair(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if isinstance(value, tuple) and len(value) != 2:  # noqa: PLR2004 - a pair
        raise ValueError(f"{shown(value)} is no pair; expected two numbers, the lower one first")
    return value


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"[{pair[0]:g}, {pair[1]:g}] runs downwards; expected the lower number first")
    return pair


Range = Annotated[tuple[Positive, Positive], BeforeValidator(_a_pair), AfterValidator(_ascending)]
"""The lower number and the higher one."""


class FittedOn(Spec):
    """The runs behind fitted factors: what an answer may lie outside of."""

    gpus: tuple[str, ...]
    models: tuple[str, ...]
    architectures: tuple[str, ...]
    """ModelSpec.architecture of the models."""
    replica_gpus: Count
    """GPUs of the largest replica."""
    input_tokens: Range
    output_tokens: Range


class ErrorRanges(Spec):
    """Measured over predicted: the 10th and the 90th percentile over runs that the prediction had not seen."""

    ttft: Range
    tpot: Range
    throughput: Range
    """Output tokens per second and GPU."""


class EngineErrors(Spec):
    """How far predictions by an engine's factors were off, by what the fit had not seen."""

    known: ErrorRanges
    """Nothing: the runs were fitted."""
    model: ErrorRanges | None = None
    """The model, though others of its architecture."""
    architecture: ErrorRanges | None = None
    """No model of the architecture."""
    gpu: ErrorRanges | None = None
    maker: ErrorRanges | None = None
    """No GPU of the maker."""
    lengths: ErrorRanges | None = None
    """Inputs of that order of length."""
    layout: ErrorRanges | None = None
    """A replica of data-parallel ranks, or of more GPUs than any measured."""
    pools: ErrorRanges | None = None
    """Prompts read by workers of their own."""


class EngineSpec(FileSpec):
    """One serving engine, at a version."""

    id: str
    name: str
    version: str
    vendors: tuple[Vendor, ...]
    basis: Basis
    aliases: tuple[str, ...] = ()
    factors: EngineFactors
    fitted_on: FittedOn | None = None
    errors: EngineErrors | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _errors_say_of_what(self) -> Self:
        if self.errors is not None and self.fitted_on is None:
            raise ValueError("errors are given without fitted_on; expected what the runs behind them were of")
        return self


class AssumptionsFile(FileSpec):
    """hardware/assumptions.yaml: what the model takes for granted where a spec is silent."""

    network_bytes_per_s_per_gpu: Positive
    """Scale-out bandwidth of one GPU, one direction, where no system says otherwise."""
    busy_power_base: Share
    """Share of TDP drawn by a GPU that runs steps, whatever they do."""
    busy_power_memory: NonNegative
    """What a memory that is busy all the time adds, as a share of TDP."""
    busy_power_compute: NonNegative
    """What matrix products all the time would add, as a share of TDP."""
    busy_power_top: Share
    """The most a busy GPU draws, as a share of TDP."""
    idle_power: Share
    """Share of TDP drawn by a GPU that waits."""
    tdp_w_per_byte_per_s: Positive
    """TDP over memory bandwidth for accelerators whose maker publishes no TDP."""
    node_power_overhead: Annotated[float, Field(ge=1)]
    """Node power over the power of its GPUs: CPUs, fans, network."""
    embodied_kgco2e_per_gpu: Positive
    """Emissions of making an accelerator [kgCO2e]."""
    embodied_kgco2e_per_server: Positive
    """Emissions of making a server of `embodied_server_gpus` without its accelerators [kgCO2e]."""
    embodied_server_gpus: Count
    hardware_life_years: Positive
    """Years over which the making is spread."""
    largest_fleet_gpus: Count
    """The largest single fleet on record: a bigger answer is given with a loud warning."""
