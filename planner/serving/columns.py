"""The inputs of every formula: groups of columns, one array per quantity.

A name ends with its unit (`_s`, `_bytes`, `_bytes_per_s`, `_flop_per_s`, `_tokens`, `_w`, `_hours`); `*_parameters`,
`*_elements`, `*_macs_*` and counts of layers, heads, experts and GPUs are numbers [1], as are shares, efficiencies and
coefficients of variation (`_cv`). Columns broadcast together to the shape of the cases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from planner.serving.normal import Array


@dataclass(frozen=True, eq=False)
class Columns:
    """A group of columns. Each field is an array (or a float) that broadcasts with the others."""

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, column)."""
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name)

    def map(self, change: Callable[[Any], Any]) -> Self:
        """Return the same struct with every column changed."""
        return dataclasses.replace(self, **{name: change(column) for name, column in self.items()})


@dataclass(frozen=True, eq=False)
class GpuColumns(Columns):
    """An accelerator in its system."""

    memory_bytes: Array
    """Memory that processes can take: as the driver reports it, less what it keeps, else nameplate."""
    memory_available_bytes: Array
    """The same, less what the CPU takes of shared memory."""
    hbm_bytes_per_s: Array
    attention_flop_per_s: Array
    """Dense rate at the format the attention and head products run in."""
    ffn_flop_per_s: Array
    """At the format of the dense feed-forward products."""
    expert_flop_per_s: Array
    """At that of the experts' products."""
    kv_flop_per_s: Array
    """Dense rate of the attention products against the KV cache (16 bit)."""
    link_bytes_per_s: Array
    """Of one GPU inside the scale-up domain, one way."""
    scale_up_domain_gpus: Array
    """GPUs that links connect."""
    network_bytes_per_s: Array
    """Of one GPU beyond the domain, one way."""
    gpus_per_node: Array
    tdp_w: Array
    """Rated power."""
    idle_w: Array


@dataclass(frozen=True, eq=False)
class EngineColumns(Columns):
    """A serving engine's factors; see EngineFactors for their meaning."""

    memory_efficiency: Array
    """Share of the data-sheet bandwidth at which dense weights stream."""
    compute_efficiency: Array
    """Share of the data-sheet FLOP rate of dense products."""
    expert_memory_efficiency: Array
    expert_half_width: Array
    """Channels of an expert on one GPU at which its product runs at half speed."""
    cache_memory_efficiency: Array
    attention_compute_efficiency: Array
    link_efficiency: Array
    network_efficiency: Array
    overlap_exponent: Array
    """1 adds memory and compute time, infinity takes the larger."""
    collective_latency_s: Array
    """Start-up of a collective inside the scale-up domain."""
    network_latency_s: Array
    """Start-up of one beyond it."""
    layer_overhead_s: Array
    step_overhead_s: Array
    sequence_overhead_s: Array
    request_overhead_s: Array
    prompt_overhead_s: Array
    scheduling_steps: Array
    """Steps between arrival and first token beside the prompt's own."""
    prefill_first: Array
    """1 where prefill comes before any decode, else 0."""
    expert_imbalance: Array
    """Work of the busiest GPU over the mean, with expert parallelism."""
    memory_utilization: Array
    """Share of the memory the engine takes."""
    left_free_bytes: Array
    """What an engine leaves free beside its share, and the same for every token of a step and GPU of the replica."""
    left_free_bytes_per_batched_token: Array
    left_free_bytes_per_gpu: Array
    runtime_reserve_bytes: Array
    """Context, graphs, slack of the allocator."""
    collective_bytes: Array
    """Buffers of collectives with tensor parallelism."""
    activation_bytes_factor: Array
    """Activations of a token outside its feed-forward block, over one hidden vector."""
    sampler_bytes_per_logit: Array
    encoder_reserve_bytes: Array
    weight_memory_share: Array
    """Part of the weights that comes off the engine's share of memory."""
    activation_memory_share: Array
    other_memory_share: Array
    steps_in_flight: Array
    """Steps whose tokens have blocks of the cache before their results are known."""
    kv_overflow_z: Array
    """Standard normal quantile of how surely the batch must fit the cache."""
    max_running_sequences: Array
    """Of one data-parallel rank and pipeline stage."""
    max_batched_tokens: Array
    """Tokens of one step of a rank."""
    layer_equivalents: Array
    """Layers of the model, each counted by its fixed time over that of a plain one on the engine."""


@dataclass(frozen=True, eq=False)
class LayoutColumns(Columns):
    """How one replica is spread over GPUs."""

    tensor_parallel: Array
    pipeline_parallel: Array
    data_parallel: Array
    expert_parallel: Array
    kv_bytes: Array
    """Bytes per KV cache element."""
    draft_tokens: Array
    """Tokens that speculative decoding drafts for a sequence in every step; 0 is none."""
    acceptance: Array
    """Probability that a drafted token is kept, given that all before it were."""


@dataclass(frozen=True, eq=False)
class WorkloadColumns(Columns):
    """What is asked; every field has a trailing axis of mixture components (request classes, histogram bins)."""

    share: Array
    """Share of answers; sums to 1 over the last axis."""
    input_tokens_mean: Array
    """Of one request."""
    input_tokens_cv: Array
    answer_tokens_mean: Array
    """Visible answer tokens."""
    reasoning_multiplier: Array
    """All generated tokens over visible ones, >= 1."""
    generated_tokens_cv: Array
    answer_tokens_cv: Array
    """Of the visible tokens alone: what is left at a multiplier of 1."""
    thinking_tokens_cv: Array
    """Of the thinking tokens alone, A (m - 1)."""
    cached_share: Array
    """Share of the input found in the prefix cache."""
    samples_per_answer: Array
    """Sequences of one request."""
    turns_per_answer: Array
    """Requests of one answer."""
    max_tokens: Array
    """A sequence is cut there."""
    shared_tokens: Array
    """Tokens at the start of every input that are the same in all requests: a replica's cache holds them once."""

    @property
    def uncut_tokens_mean(self) -> Array:
        """Return the mean tokens a sequence generates where none is cut: visible ones times the multiplier."""
        return self.answer_tokens_mean * self.reasoning_multiplier


@dataclass(frozen=True, eq=False)
class PauseColumns(Columns):
    """What happens between the turns of an answer."""

    pause_s: Array
    """Time of all tools of an answer."""
    held_pause_s: Array
    """That of them during which the KV cache is held."""
    held_tokens: Array
    """Tokens held then, averaged over that time."""


@dataclass(frozen=True, eq=False)
class DemandColumns(Columns):
    """How much is asked."""

    answers_per_s: Array
    """Mean rate in the last month of the horizon."""
    peak_to_mean: Array
    """Rate of the busiest hour over the mean."""
    burst: Array
    """Rate of its busiest minute over that of the hour."""


@dataclass(frozen=True, eq=False)
class CurveColumns(Columns):
    """How the demand varies over a day or a week; its field has a trailing axis of hours."""

    relative_rate: Array
    """Rate of each hour over the mean."""


@dataclass(frozen=True, eq=False)
class SloColumns(Columns):
    """Limits in seconds; NaN does not bind."""

    ttft_p50_s: Array
    ttft_p95_s: Array
    ttft_p99_s: Array
    tpot_p50_s: Array
    tpot_p95_s: Array
    tpot_p99_s: Array
    time_to_answer_p50_s: Array
    time_to_answer_p95_s: Array
    time_to_answer_p99_s: Array
    e2e_p50_s: Array
    e2e_p95_s: Array
    e2e_p99_s: Array


@dataclass(frozen=True, eq=False)
class FleetColumns(Columns):
    """How safely it must be answered."""

    headroom: Array
    """Share of a replica's capacity that stays free at the peak."""
    availability: Array
    """Probability that enough replicas are up."""
    repair_hours: Array
    """Until a failed replica is back."""
    failures_per_gpu_hour: Array
    max_gpus: Array
    """NaN does not bind."""
    bills_mean: Array
    """1 where machines follow demand hour by hour and their mean is paid, 0 where the peak is reserved."""


@dataclass(frozen=True, eq=False)
class OfferColumns(Columns):
    """A price and how the machines are sold."""

    usd_per_gpu_hour: Array
    """NaN where no price is known."""
    gpus_per_instance: Array
    """GPUs of the unit sold; 1 where sold per GPU."""
    sells_nodes: Array
    """1 where whole nodes are billed."""
    extra_share: Array
    """Storage, egress and support as a share of the GPU bill."""


@dataclass(frozen=True, eq=False)
class EnergyColumns(Columns):
    """Power and carbon."""

    busy_power_base: Array
    """Share of TDP a busy GPU draws whatever it does."""
    busy_power_memory: Array
    """What a step adds that only streams."""
    busy_power_compute: Array
    """What a step adds that only multiplies."""
    busy_power_top: Array
    """The most, over TDP."""
    node_power_overhead: Array
    """Power of a node over that of its GPUs."""
    pue: Array
    """Power of the building over that of its nodes."""
    gco2e_per_kwh: Array


@dataclass(frozen=True, eq=False)
class QualityColumns(Columns):
    """How often an answer is right."""

    accuracy: Array
    """Share of right answers; NaN where unknown."""
