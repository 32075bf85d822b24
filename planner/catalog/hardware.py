"""Specs of hardware: accelerators, systems, number formats, serving engines."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from planner.documents.spec import Confidence, Count, FileSpec, NonNegative, Positive, Share, Spec, shown

Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)*")]
"""A release as its engine numbers it, e.g. 0.21 or 1.2.0rc3."""
Vendor = Literal["nvidia", "amd", "intel", "google"]
Basis = Literal["measured", "calibrated", "datasheet", "assumed"]


class DenseFlops(Spec):
    """Dense matrix rate by operand format. Data sheets often quote the sparse rate, which is twice as high."""

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
    architecture: str | None = None
    """Compute capability of an NVIDIA GPU (sm_90; developer.nvidia.com/cuda-gpus), generation of another (cdna3, xe2,
    tpu-v6e): what engines support depends on it. Without it, every option is taken to start."""
    released: Annotated[int, Field(ge=2010, le=2100)]
    """Year of first shipment."""
    aliases: tuple[str, ...] = ()
    """Other spellings of the name; compared without case, blanks and dashes."""
    nvml_names: tuple[str, ...] = ()
    """Product names as the driver reports them."""
    memory_bytes: Positive
    """Nameplate device memory."""
    memory_usable_bytes: Positive | None = None
    """Total memory reported by the driver, where known; less than the nameplate on some cards."""
    memory_available_bytes: Positive | None = None
    """Most that a process gets, where the CPU and its system take the rest of the same memory."""
    hbm_bytes_per_s: Positive
    """Device memory bandwidth."""
    dense_flop_per_s: DenseFlops
    link: str
    """Name of the scale-up link."""
    link_bytes_per_s: Positive
    """Scale-up bandwidth of one GPU, one direction. Data sheets often add both directions."""
    scale_up_domain_gpus: Count
    """GPUs connected by the scale-up link; 1 where there is none."""
    tdp_w: Positive | None = None
    """Board power limit."""
    idle_w: Positive | None = None
    gpus_per_node: Count = 8
    """GPUs in a typical node."""
    confidence: Confidence
    notes: str | None = None


class SystemSpec(FileSpec):
    """One node or rack, as sold."""

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
    """A number format of weights: its size and how it is computed."""

    weight_bytes: Positive
    """Bytes per weight, scales included."""
    compute: Literal["fp16", "fp8", "int8", "fp4"]
    """Format of the matrix product where the GPU supports it; otherwise 16 bit, with weights widened on the fly."""
    activation_scales: Literal["tensor", "blocks"] = "tensor"
    """blocks: activations are quantised block by block on the fly, with kernel launches of their own."""
    block_out: Count = 1
    """Output channels that share a scale: slices of a matrix along its outputs hold whole blocks."""
    block_in: Count = 1
    """Input channels that share a scale (the group size): slices along the inputs hold whole blocks."""
    hidden_size_multiple: Count = 1
    """Kernels of routed experts pad the hidden width to a multiple of this."""
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
    except_architectures: tuple[str, ...] = ()
    """GPU architectures that keep the limits of smaller devices."""


class EngineFactors(Spec):
    """How far an engine on a real GPU stays behind the data sheet."""

    memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when streaming dense weights."""
    compute_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the dense FLOP rate reached by large matrix products."""
    expert_memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when streaming the routed experts a step touches."""
    expert_half_width: NonNegative
    """Width of an expert's slice on a GPU [intermediate channels] at which its grouped product reaches half of
    compute_efficiency: narrow products waste tiles and spend more on moving tokens."""
    cache_memory_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the memory bandwidth reached when attention reads the KV cache or a recurrent state."""
    attention_compute_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the dense FLOP rate reached by the products inside attention."""
    link_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the one-way link bandwidth reached by collectives inside the scale-up domain."""
    network_efficiency: Annotated[float, Field(gt=0, le=1)]
    """Share of the one-way network bandwidth reached by collectives that leave the scale-up domain."""
    overlap_exponent: Annotated[float, Field(ge=1, le=8)]
    """p of (t_memory^p + t_compute^p)^(1/p): 1 is no overlap, large is perfect overlap."""
    collective_latency_s: NonNegative
    """Latency of one collective inside the scale-up domain."""
    network_latency_s: NonNegative
    """Latency of one collective that leaves the scale-up domain."""
    layer_overhead_s: NonNegative
    """Fixed time of one plain layer (grouped-query attention, dense block) in one step: launches and norms."""
    moe_overhead: NonNegative
    """Time that routed experts add, as a share of layer_overhead_s: routing, permutation, grouped launches."""
    shared_expert_overhead: NonNegative
    """Time that shared experts add, as a share of layer_overhead_s."""
    mla_overhead: NonNegative
    """Time that multi-head latent attention adds, as a share of layer_overhead_s."""
    sparse_overhead: NonNegative
    """Time that the indexer of sparse attention adds, as a share of layer_overhead_s."""
    linear_overhead: NonNegative
    """Time that a linear mixer adds, as a share of layer_overhead_s."""
    fp8_block_overhead: NonNegative
    """Time that quantising activations to 8 bit in blocks adds, as a share of layer_overhead_s."""
    fp4_overhead: NonNegative
    """Time that quantising activations to 4 bit in blocks adds, as a share of layer_overhead_s."""
    step_overhead_s: NonNegative
    """Host time of one step (scheduler, input preparation)."""
    sequence_overhead_s: NonNegative
    """Host time of one sequence in one step (sampling, detokenising)."""
    request_overhead_s: NonNegative
    """Host time before a request reaches the scheduler (HTTP, tokenising); part of TTFT."""
    prompt_overhead_s: NonNegative
    """Host time of one prompt; prompts that arrive together are processed one after the other."""
    scheduling_steps: NonNegative
    """Steps between a request's arrival and its first token, besides those of its own prompt."""
    prefill_first: bool
    """Whether prefill runs before decode continues, instead of in steps shared with decode."""
    expert_imbalance: Annotated[float, Field(ge=1, le=4)]
    """Load of the slowest expert-parallel rank over the mean."""
    other_makers_speed: Annotated[float, Field(gt=0, le=2)]
    """Speed on GPUs of other vendors than NVIDIA, relative to the factors above."""
    memory_utilization: Share
    """Share of the memory that the engine takes; `memory_share_of` says of which."""
    memory_share_of: Literal["total", "free_at_start", "free_after_load"] = "total"
    """What memory_utilization is a share of: the device's memory; what is free before the weights are loaded, of which
    weights and cache take the share and activations the rest; what weights and activations leave free for the cache."""
    left_free_bytes: NonNegative = 0.0
    """Memory per GPU that the engine leaves free of weights and cache by default, beside its share, and ..."""
    left_free_bytes_per_batched_token: NonNegative = 0.0
    """... for every token of its budget of a step, and ..."""
    left_free_bytes_per_gpu: NonNegative = 0.0
    """... for every GPU of the replica, for graphs and collectives."""
    runtime_reserve_bytes: NonNegative
    """Memory per GPU for the CUDA context, graphs and allocator slack."""
    collective_bytes: NonNegative = 0.0
    """Memory per GPU for the buffers of collectives, where tensor parallelism runs over a scale-up link."""
    activation_bytes_factor: NonNegative
    """Activations of a token outside its feed-forward block, over hidden size x 2 bytes."""
    sampler_bytes_per_logit: NonNegative = 0.0
    """Peak memory of sampling, per running sequence and entry of the vocabulary: logits, their sort, probabilities."""
    encoder_reserve_bytes: NonNegative = 0.0
    """Memory per GPU kept for the activations of a vision or audio encoder, where a model has one."""
    kv_overflow_z: NonNegative
    """Standard normal quantile of the admission margin: the higher, the more rarely the batch outgrows the KV cache."""
    limits: Annotated[tuple[EngineLimits, ...], Field(min_length=1)]
    """Limits by device memory, ascending; the last one that applies is used."""

    def limits_for(self, gpu: GpuSpec) -> EngineLimits:
        """Return the default limits on a GPU."""
        memory_bytes = gpu.memory_usable_bytes or gpu.memory_bytes
        return [
            one
            for one in self.limits
            if one.memory_from_bytes <= memory_bytes and gpu.architecture not in one.except_architectures
        ][-1]


def _a_pair(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if isinstance(value, tuple) and len(value) != 2:  # noqa: PLR2004 - a pair
        raise ValueError(f"{shown(value)} is not a pair; expected two numbers, the lower one first")
    return value


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"[{pair[0]:g}, {pair[1]:g}] is in descending order; expected the lower number first")
    return pair


Range = Annotated[tuple[Positive, Positive], BeforeValidator(_a_pair), AfterValidator(_ascending)]
"""Two numbers, the lower one first."""


class FittedOn(Spec):
    """What the runs behind fitted factors covered; an answer may lie outside of it."""

    gpus: tuple[str, ...]
    models: tuple[str, ...]
    architectures: tuple[str, ...]
    """Architectures of the models (ModelSpec.architecture)."""
    replica_gpus: Count
    """GPUs of the largest replica."""
    input_tokens: Range
    output_tokens: Range


class ErrorRanges(Spec):
    """Measured over predicted: 10th and 90th percentile over runs that were not used in the fit."""

    ttft: Range
    tpot: Range
    throughput: Range
    """Output tokens per second and GPU."""


class EngineErrors(Spec):
    """Prediction errors of an engine's factors, by what lay outside the fitted data."""

    known: ErrorRanges
    """Nothing: runs like these were fitted."""
    model: ErrorRanges | None = None
    """The model, but other models of its architecture were fitted."""
    architecture: ErrorRanges | None = None
    """The architecture: no model of it was fitted."""
    gpu: ErrorRanges | None = None
    """The GPU, but other GPUs of its vendor were fitted."""
    maker: ErrorRanges | None = None
    """The vendor: none of its GPUs was fitted."""
    lengths: ErrorRanges | None = None
    """The lengths: input or output tokens beyond those of the runs."""
    layout: ErrorRanges | None = None
    """The layout: a replica with data-parallel ranks, or with more GPUs than any that was measured."""
    pools: ErrorRanges | None = None
    """Disaggregated serving: prefill on workers of its own."""


class OlderRelease(Spec):
    """What differed in an engine's older releases; the factors are those of the newest one."""

    before: Version
    """The first release in which this no longer holds."""
    limits: tuple[EngineLimits, ...] | None = None
    memory_utilization: Share | None = None
    left_free_bytes: NonNegative | None = None
    left_free_bytes_per_batched_token: NonNegative | None = None
    left_free_bytes_per_gpu: NonNegative | None = None
    runtime_reserve_bytes: NonNegative | None = None
    collective_bytes: NonNegative | None = None
    sampler_bytes_per_logit: NonNegative | None = None


class EngineSpec(FileSpec):
    """One serving engine, at a version."""

    id: str
    name: str
    version: str
    vendors: tuple[Vendor, ...]
    basis: Basis
    aliases: tuple[str, ...] = ()
    support: str | None = None
    """Id of the table that says what it runs (hardware/engines/support); found by id, name and aliases where absent."""
    factors: EngineFactors
    older_releases: tuple[OlderRelease, ...] = ()
    holds_longest_request: bool = False
    """Whether it does not start where the cache is too small for one request of the longest length."""
    budget_holds_sequences: bool = False
    """Whether it does not start where a step has fewer tokens than the running batch may have sequences."""
    steps_in_flight: NonNegative = 0.0
    """Steps whose tokens windowed layers keep room for when the engine counts requests at start-up."""
    fitted_on: FittedOn | None = None
    errors: EngineErrors | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _errors_say_of_what(self) -> Self:
        if self.errors is not None and self.fitted_on is None:
            raise ValueError("errors are given without fitted_on; expected fitted_on to say what the runs covered")
        return self


class AssumptionsFile(FileSpec):
    """hardware/assumptions.yaml: values used where a spec gives none."""

    network_bytes_per_s_per_gpu: Positive
    """Scale-out bandwidth of one GPU, one direction, where no system gives one."""
    driver_reserved_bytes: NonNegative
    """Memory that NVIDIA's driver counts in the total but does not give to processes."""
    busy_power_base: Share
    """Power of a GPU that runs steps of any kind, as a share of TDP."""
    busy_power_memory: NonNegative
    """Power added by memory that is always busy, as a share of TDP."""
    busy_power_compute: NonNegative
    """Power added by matrix products that never stop, as a share of TDP."""
    busy_power_top: Share
    """Highest power of a busy GPU, as a share of TDP."""
    idle_power: Share
    """Power of an idle GPU, as a share of TDP."""
    tdp_w_per_byte_per_s: Positive
    """TDP over memory bandwidth, for accelerators whose vendor publishes no TDP."""
    node_power_overhead: Annotated[float, Field(ge=1)]
    """Node power over the power of its GPUs: CPUs, fans, network."""
    embodied_kgco2e_per_gpu: Positive
    """Emissions from making an accelerator [kgCO2e]."""
    embodied_kgco2e_per_server: Positive
    """Emissions from making a server for `embodied_server_gpus` accelerators, without the accelerators [kgCO2e]."""
    embodied_server_gpus: Count
    hardware_life_years: Positive
    """Years over which these emissions are spread."""
    largest_fleet_gpus: Count
    """Size of the largest known fleet: a larger answer carries a warning."""
