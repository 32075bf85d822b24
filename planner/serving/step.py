"""One engine step: the time of B decoding sequences and P prefill tokens, with its terms kept apart.

t = sum over operations (t_memory^p + t_compute^p)^(1/p) + collectives + overheads.
All that does not depend on B and P is folded into StepCosts once; `step_terms` is then a few products.
"""

from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array

FLOP_PER_MAC = 2.0


@dataclass(frozen=True, eq=False)
class StepCosts:
    """Coefficients of the step time of one data-parallel rank, in seconds."""

    dense_memory_s: Array
    """Streaming the weights every step reads: token mixers, dense blocks, shared experts, output head."""
    tokens_per_sequence: Array
    """Tokens a step computes for a decoding sequence: 1, and those that speculative decoding drafted."""
    dense_compute_s_per_token: Array
    head_compute_s_per_sequence: Array
    expert_memory_s: Array
    """Streaming all routed experts of the GPU."""
    expert_compute_s_per_token: Array
    expert_miss_log_per_token: Array
    """ln of the probability that one more token of the rank leaves an expert untouched: DP ln(1 - k/E)."""
    decode_attention_s_per_sequence: Array
    decode_memory_s_per_sequence: Array
    """The memory side of it alone."""
    decode_products_s_per_sequence: Array
    """The compute side of it alone."""
    prefill_attention_s_per_token: Array
    prefill_memory_s_per_token: Array
    """The memory side of it alone."""
    prefill_products_s_per_token: Array
    """The compute side of it alone."""
    collective_s: Array
    """Start-up of all collectives of a step."""
    collective_s_per_token: Array
    overhead_s: Array
    """Layers and host, per step."""
    overhead_s_per_sequence: Array
    overlap_exponent: Array


@dataclass(frozen=True, eq=False)
class StepTerms:
    """Seconds of one step, by operation."""

    dense_s: Array
    experts_s: Array
    decode_attention_s: Array
    prefill_attention_s: Array
    collectives_s: Array
    overhead_s: Array
    memory_share: Array
    """Time the memory side of all operations takes over the whole step: what the power model needs."""
    compute_share: Array
    """The same of matrix products."""

    @property
    def total_s(self) -> Array:
        """Return the step time [s]."""
        return np.asarray(
            self.dense_s
            + self.experts_s
            + self.decode_attention_s
            + self.prefill_attention_s
            + self.collectives_s
            + self.overhead_s
        )


def overlapped(memory_s: Array, compute_s: Array, p: Array) -> Array:
    """Return (t_memory^p + t_compute^p)^(1/p) without overflow; p = 1 adds, p -> infinity takes the larger.

    >>> float(overlapped(np.array(3.0), np.array(4.0), np.array(2.0)))
    5.0
    """
    large = np.maximum(memory_s, compute_s)
    ratio = np.minimum(memory_s, compute_s) / np.maximum(large, np.finfo(np.float64).tiny)
    powered = np.exp(p * np.log(np.maximum(ratio, np.finfo(np.float64).tiny)))
    return np.asarray(large * np.exp(np.log1p(powered) / p))


def accepted_tokens(drafted: Array, acceptance: Array) -> Array:
    """Return the tokens a step yields a sequence on average, (1 - a^(s + 1))/(1 - a): the drafts kept and one more.

    Y. Leviathan, M. Kalman, Y. Matias, "Fast Inference from Transformers via Speculative Decoding", ICML 2023, eq. 1.

    >>> float(accepted_tokens(np.array(2.0), np.array(0.5)))
    1.75
    """
    a = np.minimum(acceptance, _ALMOST_ALL)
    return np.asarray(-np.expm1((drafted + 1.0) * np.log(np.maximum(a, _NEVER))) / (1.0 - a))


_NEVER = 1e-300
_ALMOST_ALL = 1.0 - 1e-12


def touched_share(miss_log: Array, tokens: Array) -> Array:
    """Return the share of experts a step touches, 1 - (1 - k/E)^T, from T ln(1 - k/E) (uniform routing)."""
    return np.asarray(-np.expm1(miss_log * tokens))


def _operations(costs: StepCosts, sequences: Array, prefill_tokens: Array) -> tuple[tuple[Array, ...], Array, Array]:
    """Return (seconds of each operation in the order of StepTerms, memory seconds of the weights, product seconds)."""
    tokens = costs.tokens_per_sequence * sequences + prefill_tokens
    p = costs.overlap_exponent
    dense_compute = costs.dense_compute_s_per_token * tokens + costs.head_compute_s_per_sequence * sequences
    expert_compute = costs.expert_compute_s_per_token * tokens
    expert_memory = costs.expert_memory_s * touched_share(costs.expert_miss_log_per_token, tokens)
    seconds = (
        overlapped(costs.dense_memory_s, dense_compute, p),
        overlapped(expert_memory, expert_compute, p),
        costs.decode_attention_s_per_sequence * sequences,
        costs.prefill_attention_s_per_token * prefill_tokens,
        costs.collective_s + costs.collective_s_per_token * tokens,
        costs.overhead_s + costs.overhead_s_per_sequence * sequences,
    )
    return seconds, costs.dense_memory_s + expert_memory, dense_compute + expert_compute


def step_terms(costs: StepCosts, sequences: Array, prefill_tokens: Array) -> StepTerms:
    """Return the terms of a step that carries `sequences` decodes and `prefill_tokens` on each rank."""
    seconds, streamed, multiplied = _operations(costs, sequences, prefill_tokens)
    read = costs.decode_memory_s_per_sequence * sequences + costs.prefill_memory_s_per_token * prefill_tokens
    products = costs.decode_products_s_per_sequence * sequences + costs.prefill_products_s_per_token * prefill_tokens
    total = sum(seconds[1:], seconds[0])
    memory_share, compute_share = (np.minimum(side / total, 1.0) for side in (streamed + read, multiplied + products))
    return StepTerms(*[*seconds, memory_share, compute_share])


def mean_step_terms(costs: StepCosts, sequences: Array, prefill_tokens: Array, chunk: Array) -> StepTerms:
    """Return the terms of the average step where some steps carry a chunk of prompts and the others none.

    A prompt is read in few large pieces: between them a step touches only the experts of its decodes.

    Parameters
    ----------
    sequences, prefill_tokens : what a step of a rank carries on average.
    chunk : prefill tokens of a step that has any; prefill_tokens where that is more.
    """
    piece = np.maximum(chunk, prefill_tokens)
    share = prefill_tokens / piece
    alone, mixed = (step_terms(costs, sequences, tokens) for tokens in (np.zeros_like(piece), piece))

    def mean(one: Array, two: Array) -> Array:
        return np.asarray((1.0 - share) * one + share * two)

    names = ("dense_s", "experts_s", "decode_attention_s", "prefill_attention_s", "collectives_s", "overhead_s")
    seconds = {name: mean(getattr(alone, name), getattr(mixed, name)) for name in names}
    whole = mean(alone.total_s, mixed.total_s)
    shares = {
        name: mean(getattr(alone, name) * alone.total_s, getattr(mixed, name) * mixed.total_s) / whole
        for name in ("memory_share", "compute_share")
    }
    return StepTerms(**seconds, **shares)


def mean_step_s(costs: StepCosts, sequences: Array, prefill_tokens: Array, chunk: Array) -> tuple[Array, Array]:
    """Return (the sum of `mean_step_terms`, the time of a step without prefill) [s], for solvers."""
    piece = np.maximum(chunk, prefill_tokens)
    alone = step_time_s(costs, sequences, np.zeros_like(piece))
    return np.asarray(alone + prefill_tokens / piece * (step_time_s(costs, sequences, piece) - alone)), alone


def step_time_s(costs: StepCosts, sequences: Array, prefill_tokens: Array) -> Array:
    """Return the step time alone [s]: the sum of the terms, for solvers."""
    dense, experts, decode, prefill, exchange, overhead = _operations(costs, sequences, prefill_tokens)[0]
    return np.asarray(dense + experts + decode + prefill + exchange + overhead)
