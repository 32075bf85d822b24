"""Attention inside one engine step: the cache a token reads and the products it takes, for decode and for prefill."""

import numpy as np

from planner.serving.cases import Cases
from planner.serving.kv_cache import cache_bytes, state_bytes
from planner.serving.lengths import TokenDemand, mean_of_minimum
from planner.serving.normal import Array

FLOP_PER_MAC = 2.0
STATE_PASSES = 2.0
"""A recurrent state is read and written in every step."""


def decode_attention_s(cases: Cases, tokens: TokenDemand) -> tuple[Array, Array]:
    """Return what one decoding sequence adds to a step; both sides grow with its context.

    Parameters
    ----------
    cases : all inputs.
    tokens : for the length-biased context of a running sequence, E[X] and E[X^2].

    Returns
    -------
    tuple[Array, Array]
        Time of reading cache and state, and of the products of one token [s].
    """
    m, g, e, tp = cases.model, cases.gpu, cases.engine, cases.layout.tensor_parallel
    mean, second = tokens.context_mean, tokens.context_second_moment
    # mean of the context, capped at the window
    window_context = mean_of_minimum(mean, second, m.window_tokens)
    # mean of the context, capped at the top k
    sparse_context = mean_of_minimum(mean, second, m.sparse_top_k)
    # length-biased context; windows and top k cap it, indexer keys are all read; a state is read and written
    decode_read_bytes = cache_bytes(cases, mean, window_context, sparse_context) + STATE_PASSES * state_bytes(cases)
    # multiply-adds of one sequence in one step
    decode_macs = (
        m.decode_macs_full * mean
        + m.decode_macs_index * mean
        + m.decode_macs_window * window_context
        + m.decode_macs_sparse * sparse_context
    )
    return (
        np.asarray(decode_read_bytes / (g.hbm_bytes_per_s * e.cache_memory_efficiency)),
        np.asarray(FLOP_PER_MAC * (decode_macs / tp) / (g.kv_flop_per_s * e.attention_compute_efficiency)),
    )


def prefill_attention_s(cases: Cases, tokens: TokenDemand) -> tuple[Array, Array]:
    """Return what one prefill token adds to a step; each piece of a prompt reads what stands before it once.

    Parameters
    ----------
    cases : all inputs.
    tokens : for the context a prefill token attends to, E[Y] and E[Y^2], and the uncached prompt.

    Returns
    -------
    tuple[Array, Array]
        Time of reading the cache, and of the products [s].
    """
    m, g, e, tp = cases.model, cases.gpu, cases.engine, cases.layout.tensor_parallel
    mean, second = tokens.prefill_context_mean, tokens.prefill_context_second_moment
    # what a prompt token attends to, capped at the window
    prefill_window_context = mean_of_minimum(mean, second, m.window_tokens)
    # what a prompt token attends to, capped at the top k
    prefill_sparse_context = mean_of_minimum(mean, second, m.sparse_top_k)
    # the context before a piece of a prompt
    prefill_read_bytes = cache_bytes(cases, mean, prefill_window_context, prefill_sparse_context)
    # multiply-adds of one prompt token
    prefill_macs = (
        m.prefill_macs_full * mean
        + m.decode_macs_index * mean
        + m.prefill_macs_window * prefill_window_context
        + m.prefill_macs_sparse * prefill_sparse_context
    )
    # each piece reads the cache once
    read_bytes_per_token = prefill_read_bytes / prefill_chunk(cases, tokens)
    return (
        np.asarray(read_bytes_per_token / (g.hbm_bytes_per_s * e.cache_memory_efficiency)),
        np.asarray(FLOP_PER_MAC * (prefill_macs / tp) / (g.kv_flop_per_s * e.attention_compute_efficiency)),
    )


def prefill_chunk(cases: Cases, tokens: TokenDemand) -> Array:
    """Return the piece in which a prompt is read [tokens]: the mean uncached prompt, at most the step's budget."""
    return np.maximum(np.minimum(tokens.prefill_tokens_mean, cases.engine.max_batched_tokens), 1.0)
