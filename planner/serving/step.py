"""One engine step: the time of B decoding sequences and P prefill tokens, with its terms kept apart.

t = sum over operations (t_memory^p + t_compute^p)^(1/p) + collectives + overheads.

B and P are those of one data-parallel rank; t is the time a token takes through all pipeline stages. All that depends
on neither B nor P is folded into StepCosts once; `step_terms` is then a few products.
"""

from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array

_NEVER, _ALMOST_ALL = 1e-300, 1.0 - 1e-12
"""Bounds of an acceptance: its logarithm stays finite, and drafts that are always kept do not give 0/0."""


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
    """Return (t_memory^p + t_compute^p)^(1/p), the time of an operation that streams and multiplies.

    Parameters
    ----------
    memory_s, compute_s : time of either side alone [s], >= 0.
    p : how well they overlap [1], >= 1: 1 adds them, infinity takes the larger.

    Returns
    -------
    Array
        Time of the operation [s]. It is computed from the ratio of the sides: their p-th powers alone would underflow.

    Examples
    --------
    >>> float(overlapped(np.array(3.0), np.array(4.0), np.array(2.0)))
    5.0
    """
    large = np.maximum(memory_s, compute_s)
    ratio = np.minimum(memory_s, compute_s) / np.maximum(large, np.finfo(np.float64).tiny)
    powered = np.exp(p * np.log(np.maximum(ratio, np.finfo(np.float64).tiny)))
    return np.asarray(large * np.exp(np.log1p(powered) / p))


def accepted_tokens(drafted: Array, acceptance: Array) -> Array:
    """Return the tokens a step yields a sequence on average, (1 - a^(s + 1))/(1 - a): the drafts kept and one more.

    Parameters
    ----------
    drafted : tokens s that are drafted for a sequence in every step [tokens], >= 0.
    acceptance : probability a that a draft is kept, given that all before it were [1].

    Returns
    -------
    Array
        Tokens a step [tokens], between 1 and s + 1.

    References
    ----------
    Y. Leviathan, M. Kalman, Y. Matias, "Fast Inference from Transformers via Speculative Decoding", ICML 2023, eq. 1.

    Examples
    --------
    >>> float(accepted_tokens(np.array(2.0), np.array(0.5)))
    1.75
    """
    # probability that a draft is kept
    kept_share = np.minimum(acceptance, _ALMOST_ALL)
    return np.asarray(-np.expm1((drafted + 1.0) * np.log(np.maximum(kept_share, _NEVER))) / (1.0 - kept_share))


def touched_share(miss_log: Array, tokens: Array) -> Array:
    """Return the share of experts a step touches, 1 - (1 - k/E)^T (uniform routing).

    Parameters
    ----------
    miss_log : ln(1 - k/E), the logarithm of the probability that a token leaves an expert untouched [1], <= 0.
    tokens : tokens T of the step [tokens].

    Returns
    -------
    Array
        Share of the experts whose weights are read [1]. exp(x) - 1 keeps its digits where few are touched.
    """
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
    """Return the terms of a step.

    Parameters
    ----------
    costs : coefficients of the replica [s].
    sequences : decodes the step carries on each rank [1].
    prefill_tokens : prefill tokens it carries on each rank [tokens].

    Returns
    -------
    StepTerms
        Seconds by operation. The shares of memory and compute are of the whole step, each at most 1: what overlaps
        poorly adds up to more than the step.
    """
    seconds, streamed, multiplied = _operations(costs, sequences, prefill_tokens)
    read = costs.decode_memory_s_per_sequence * sequences + costs.prefill_memory_s_per_token * prefill_tokens
    products = costs.decode_products_s_per_sequence * sequences + costs.prefill_products_s_per_token * prefill_tokens
    total = sum(seconds[1:], seconds[0])
    memory_share, compute_share = (np.minimum(side / total, 1.0) for side in (streamed + read, multiplied + products))
    return StepTerms(*[*seconds, memory_share, compute_share])


def mean_step_terms(costs: StepCosts, sequences: Array, prefill_tokens: Array, chunk: Array) -> StepTerms:
    """Return the terms of the average step where some steps carry a chunk of prompts and the others none.

    A prompt is read in few large pieces: between them a step touches only the experts of its decodes.
    t(b, P) averaged = (1 - phi) t(b, 0) + phi t(b, c), phi = P/c, c = max(chunk, P).

    Parameters
    ----------
    costs : coefficients of the replica [s].
    sequences, prefill_tokens : what a step of a rank carries on average [1], [tokens].
    chunk : prefill tokens of a step that has any [tokens], > 0.

    Returns
    -------
    StepTerms
        Averages over both kinds of step, in time for the shares.
    """
    piece = np.maximum(chunk, prefill_tokens)
    share = prefill_tokens / piece
    alone, mixed = (step_terms(costs, sequences, tokens) for tokens in (np.zeros_like(piece), piece))

    def mean(one: Array, two: Array) -> Array:
        return np.asarray((1.0 - share) * one + share * two)

    names = ("dense_s", "experts_s", "decode_attention_s", "prefill_attention_s", "collectives_s", "overhead_s")
    seconds = {name: mean(getattr(alone, name), getattr(mixed, name)) for name in names}
    mean_total_s = mean(alone.total_s, mixed.total_s)
    shares = {
        name: mean(getattr(alone, name) * alone.total_s, getattr(mixed, name) * mixed.total_s) / mean_total_s
        for name in ("memory_share", "compute_share")
    }
    return StepTerms(**seconds, **shares)


def mean_step_s(costs: StepCosts, sequences: Array, prefill_tokens: Array, chunk: Array) -> tuple[Array, Array]:
    """Return the average step time alone: the sum of `mean_step_terms`, for solvers.

    Parameters
    ----------
    costs, sequences, prefill_tokens, chunk : as in `mean_step_terms`.

    Returns
    -------
    tuple[Array, Array]
        The average step and a step of the same batch without prefill [s].
    """
    piece = np.maximum(chunk, prefill_tokens)
    alone = step_time_s(costs, sequences, np.zeros_like(piece))
    return np.asarray(alone + prefill_tokens / piece * (step_time_s(costs, sequences, piece) - alone)), alone


def step_time_s(costs: StepCosts, sequences: Array, prefill_tokens: Array) -> Array:
    """Return the step time alone [s]: the sum of `step_terms`, for solvers. Parameters are the same."""
    dense, experts, decode, prefill, exchange, overhead = _operations(costs, sequences, prefill_tokens)[0]
    return np.asarray(dense + experts + decode + prefill + exchange + overhead)
