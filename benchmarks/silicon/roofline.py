"""What the data sheet allows: rows that are faster than it, whatever the engine, are not what their columns say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import GpuSpec
from planner.catalog.model import ModelSpec
from planner.options.candidates import named_precision
from planner.options.lowering import flop_rate
from planner.options.lowering_model import lower_model
from silicon.row import SiliconRow, contradicts

_MARGIN = 0.95
_FLOP_PER_MAC = 2.0
_NODE_GPUS = 8


@dataclass(frozen=True)
class Sheet:
    """A model in a format on a GPU: what a step must read and multiply."""

    model: Any
    """ModelColumns, each a float."""
    bytes_per_s: float
    """Memory bandwidth [byte/s]."""
    linear_s: float
    """Time of one token's matrix products, experts included, on one GPU [s]."""
    flop_per_s: float
    """Rate of the attention products [FLOP/s]."""
    kv_bytes: float
    """Bytes of one KV cache element."""

    def weights_s(self, tp: int, dp: int, tokens: float) -> float:
        """Return the time to read the weights a step of `tokens` touches: each token picks its experts evenly."""
        m = self.model
        dense = m.attention_parameters * m.attention_weight_bytes + m.ffn_parameters * m.ffn_weight_bytes
        dense += m.head_parameters * m.embedding_weight_bytes
        touched = 1.0 - (1.0 - m.experts_per_token / m.experts) ** tokens
        experts = m.expert_parameters * m.expert_weight_bytes * touched / dp
        return float((dense + experts) / tp / self.bytes_per_s)

    def cache_s(self, tp: int, context: float) -> float:
        """Return the time to read one sequence's KV cache of `context` tokens."""
        m = self.model
        split = min(tp, max(m.kv_heads, 1.0))
        held = m.kv_full_elements * context + m.kv_window_elements * _most(context, m.window_tokens)
        held += m.kv_sparse_elements * _most(context, m.sparse_top_k)
        latent = m.latent_full_elements * context + m.latent_sparse_elements * _most(context, m.sparse_top_k)
        latent += m.index_elements * context
        return float((held / split + latent) * self.kv_bytes / self.bytes_per_s)

    def prompt_s(self, tp: int, tokens: float) -> float:
        """Return the time to multiply a prompt of `tokens`; each attends to half of them on average."""
        attention = self.model.prefill_macs_full * tokens / 2.0 * _FLOP_PER_MAC / self.flop_per_s
        return float(tokens * (self.linear_s + attention) / tp)


def _most(context: float, limit: float) -> float:
    return context if math.isnan(limit) else min(context, limit)


def sheet_of(row: SiliconRow, catalog: Catalog) -> Sheet:
    """Return the sheet of a row's model, formats and GPU. Raises DataMissingError for unknown names."""
    model = catalog.get(ModelSpec, row.model).spec
    gpu = catalog.get(GpuSpec, row.gpu).spec
    precision = named_precision(row.precision, catalog, model)
    m = lower_model(model, [precision]).map(lambda column: float(np.ravel(column)[0]))
    products = (
        (m.attention_parameters, precision.attention),
        (m.ffn_parameters, precision.ffn),
        (m.expert_parameters * m.experts_per_token / m.experts, precision.experts),
    )
    linear = sum(_FLOP_PER_MAC * weights / flop_rate(gpu, fmt) for weights, fmt in products)
    _, kv = catalog.format(row.kv_precision)
    return Sheet(m, gpu.hbm_bytes_per_s, float(linear), gpu.dense_flop_per_s.fp16, kv.weight_bytes)


def least_tpot_s(row: SiliconRow, sheet: Sheet) -> float:
    """Return the least TPOT: the weights its batch touches and its caches, read once a step.

    The batch is what runs, not what waits: concurrency x the decode's share of the cycle (Little's law).
    """
    tp, dp = row.tensor_parallel or 1, row.data_parallel or 1
    running = (row.concurrency or 1) * (row.output_tokens_mean - 1.0) * row.tpot_s / row.cycle_s
    context = row.input_tokens_mean + row.output_tokens_mean / 2.0
    return sheet.weights_s(tp, dp, max(running, 1.0)) + running / dp * sheet.cache_s(tp, context)


def least_cycle_s(row: SiliconRow, sheet: Sheet) -> float:
    """Return the least time of a closed-loop cycle: every request's prompt is multiplied, its caches are read.

    Weights are left out: a step that carries prompts reads them for nothing.
    """
    tp, dp = row.tensor_parallel or 1, row.data_parallel or 1
    per_rank = (row.concurrency or 1) / dp
    running = per_rank * (row.output_tokens_mean - 1.0) * row.tpot_s / row.cycle_s
    context = row.input_tokens_mean + row.output_tokens_mean / 2.0
    caches = (row.output_tokens_mean - 1.0) * running * sheet.cache_s(tp, context)
    return per_rank * sheet.prompt_s(tp, row.input_tokens_mean) + caches


def judged(row: SiliconRow) -> bool:
    """Return whether a bound can be set up: the run's concurrency and its GPUs are what the columns say."""
    known = row.mode == "agg" and row.concurrency is not None
    return known and (row.tensor_parallel or 0) <= _NODE_GPUS and not contradicts(row)


def below_rooflines(rows: Sequence[SiliconRow], catalog: Catalog) -> tuple[set[str], set[str]]:
    """Return (ids with TPOT under 0.95 x the least, ids of vendor sweeps where a cycle is shorter than the least)."""
    sheets: dict[tuple[str, ...], Sheet] = {}
    faster: set[str] = set()
    impossible: set[str] = set()
    for row in filter(judged, rows):
        key = (row.model, row.gpu, row.precision, row.kv_precision)
        if key not in sheets:
            sheets[key] = sheet_of(row, catalog)
        if row.tpot_s < _MARGIN * least_tpot_s(row, sheets[key]):
            faster.add(row.id)
        if row.source == "vendor" and row.cycle_s < least_cycle_s(row, sheets[key]):
            impossible.add(row.source_file)
    return faster, {row.id for row in rows if row.source == "vendor" and row.source_file in impossible}
