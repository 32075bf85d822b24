"""Cases: a struct of arrays, one field per input quantity; shapes broadcast, so a point is a case of shape ()."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Any array of floats; formulas take what broadcasts together."""


def ignoring_float_errors() -> np.errstate:
    """Return the context in which cases that cannot work become NaN without a warning."""
    return np.errstate(all="ignore")


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
class ModelColumns(Columns):
    """A language model, lowered to what the formulas need."""

    hidden_size: Array
    layers: Array
    moe_layers: Array
    attention_parameters: Array
    """Weights of token mixers, routers, norms: read by every step, sharded by TP."""
    ffn_parameters: Array
    """Weights of dense feed-forward blocks and shared experts."""
    expert_parameters: Array
    """Weights of all routed experts."""
    embedding_parameters: Array
    """Token embedding (read one row a token)."""
    head_parameters: Array
    """Output head; zero bytes of its own where tied, but the same products."""
    head_is_tied: Array
    """1 where the head shares the embedding's memory, else 0."""
    experts: Array
    """Routed experts of one MoE layer; 1 in dense models."""
    experts_per_token: Array
    expert_width: Array
    """Intermediate width of a routed expert; 1 in dense models."""
    attention_weight_bytes: Array
    """Bytes per weight, scales included."""
    ffn_weight_bytes: Array
    expert_weight_bytes: Array
    embedding_weight_bytes: Array
    kv_heads: Array
    """KV heads of the full-attention layers: the KV cache is split over at most this many TP ranks."""
    kv_full_elements: Array
    """KV cache elements one token adds over all full GQA layers."""
    kv_window_elements: Array
    kv_sparse_elements: Array
    latent_full_elements: Array
    """The same for MLA latents, which every TP rank keeps whole."""
    latent_sparse_elements: Array
    index_elements: Array
    """Indexer keys of sparse layers, per token."""
    window_tokens: Array
    sparse_top_k: Array
    state_heads: Array
    """Heads of the linear layers: their state is split over at most this many TP ranks."""
    state_bytes: Array
    """Recurrent state of one sequence over all linear layers."""
    decode_macs_full: Array
    """Multiply-adds of attention per query token and token of context, full layers."""
    decode_macs_window: Array
    decode_macs_sparse: Array
    decode_macs_index: Array
    prefill_macs_full: Array
    prefill_macs_window: Array
    prefill_macs_sparse: Array
    max_context_tokens: Array


@dataclass(frozen=True, eq=False)
class GpuColumns(Columns):
    """An accelerator in its system."""

    memory_bytes: Array
    """Total memory as the driver reports it, else nameplate."""
    hbm_bytes_per_s: Array
    attention_flop_per_s: Array
    """Dense rate at the format the attention and head products run in."""
    ffn_flop_per_s: Array
    expert_flop_per_s: Array
    kv_flop_per_s: Array
    """Dense rate of the attention products against the KV cache (16 bit)."""
    link_bytes_per_s: Array
    scale_up_domain_gpus: Array
    network_bytes_per_s: Array
    gpus_per_node: Array
    tdp_w: Array
    idle_w: Array


@dataclass(frozen=True, eq=False)
class EngineColumns(Columns):
    """A serving engine's factors; see EngineFactors for their meaning."""

    memory_efficiency: Array
    compute_efficiency: Array
    expert_memory_efficiency: Array
    expert_half_width: Array
    cache_memory_efficiency: Array
    attention_compute_efficiency: Array
    link_efficiency: Array
    network_efficiency: Array
    overlap_exponent: Array
    collective_latency_s: Array
    network_latency_s: Array
    layer_overhead_s: Array
    step_overhead_s: Array
    sequence_overhead_s: Array
    request_overhead_s: Array
    prompt_overhead_s: Array
    scheduling_steps: Array
    prefill_first: Array
    """1 where prompts are read before any decode goes on, else 0."""
    expert_imbalance: Array
    memory_utilization: Array
    runtime_reserve_bytes: Array
    activation_bytes_factor: Array
    kv_overflow_z: Array
    max_running_sequences: Array
    max_batched_tokens: Array
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
    input_tokens_cv: Array
    answer_tokens_mean: Array
    """Visible answer tokens."""
    reasoning_multiplier: Array
    generated_tokens_cv: Array
    answer_tokens_cv: Array
    """Of the visible tokens alone: what is left at a multiplier of 1."""
    thinking_tokens_cv: Array
    """Of the thinking tokens alone, A (m - 1)."""
    cached_share: Array
    samples_per_answer: Array
    turns_per_answer: Array
    max_tokens: Array

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
    burst: Array


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
    availability: Array
    repair_hours: Array
    failures_per_gpu_hour: Array
    max_gpus: Array
    """NaN does not bind."""
    bills_mean: Array
    """1 where machines follow demand and the mean is paid, 0 where the peak is reserved."""


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


@dataclass(frozen=True, eq=False)
class EnergyColumns(Columns):
    """Power and carbon."""

    busy_power_base: Array
    busy_power_memory: Array
    busy_power_compute: Array
    busy_power_top: Array
    node_power_overhead: Array
    pue: Array
    gco2e_per_kwh: Array


@dataclass(frozen=True, eq=False)
class QualityColumns(Columns):
    """How often an answer is right."""

    accuracy: Array
    """Share of right answers; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class Cases:
    """All inputs of `estimate`: groups of columns that broadcast to one shape."""

    model: ModelColumns
    gpu: GpuColumns
    engine: EngineColumns
    layout: LayoutColumns
    workload: WorkloadColumns
    demand: DemandColumns
    slo: SloColumns
    fleet: FleetColumns
    offer: OfferColumns
    energy: EnergyColumns
    quality: QualityColumns
    prefill_layout: LayoutColumns | None = None
    """Of the replicas that read prompts, where those of `layout` only write; NaN in cases with one pool. None: no case
    has two pools."""
    pauses: PauseColumns | None = None
    """None: no case has tools that take time."""

    def groups(self) -> Iterator[tuple[str, Columns]]:
        """Yield (name, group), of those that are there."""
        for field in dataclasses.fields(self):
            group = getattr(self, field.name)
            if group is not None:
                yield field.name, group

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape all columns broadcast to (without the workload's component axis)."""
        shapes = [
            np.shape(column) for name, group in self.groups() if name != "workload" for _, column in group.items()
        ]
        shapes += [np.shape(column)[:-1] for _, column in self.workload.items()]
        return np.broadcast_shapes(*shapes)

    def replaced(self, **columns: Any) -> Cases:  # noqa: ANN401 - arrays or floats
        """Return cases with some columns replaced: `replaced(demand__answers_per_s=np.geomspace(1, 100, 9))`.

        A workload column takes a trailing component axis: `workload__reasoning_multiplier=m[:, None]`.
        """
        changes: dict[str, dict[str, Array]] = {}
        for path, column in columns.items():
            group, _, name = path.partition("__")
            changes.setdefault(group, {})[name] = np.asarray(column, dtype=np.float64)
        groups = {name: dataclasses.replace(getattr(self, name), **fields) for name, fields in changes.items()}
        return dataclasses.replace(self, **groups)

    def rows(self, part: slice | NDArray[np.intp], axis: int = 0) -> Cases:
        """Return a part of an axis; columns that do not vary along it stay as they are."""
        size = self.shape[axis]

        def cut(ndim: int, column: Any) -> Any:  # noqa: ANN401 - arrays or floats
            position = axis - (ndim - np.ndim(column))
            varies = position >= 0 and np.shape(column)[position] == size > 1
            return column[(slice(None),) * position + (part,)] if varies else column

        return self._changed(cut)

    def rows_of_one(self) -> Cases:
        """Return cases of shape () from cases of one row."""
        return self._changed(lambda ndim, column: column[0] if np.ndim(column) == ndim else column, axes=1)

    def _changed(self, change: Callable[[int, Any], Any], axes: int | None = None) -> Cases:
        """Return cases with each column changed; `change` gets the axes it has when it varies fully, and it."""
        axes = len(self.shape) if axes is None else axes
        groups: dict[str, Any] = {
            name: group.map(partial(change, axes + (name == "workload"))) for name, group in self.groups()
        }
        return Cases(**groups)
