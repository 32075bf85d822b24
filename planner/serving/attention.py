"""Attention inside one engine step: the cache a token reads and the products it takes, for decode and for prefill."""

import numpy as np

from planner.serving.cases import Cases
from planner.serving.lengths import TokenDemand, mean_of_minimum
from planner.serving.memory import cache_bytes, state_bytes
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
    m, mean, second = cases.model, tokens.context_mean, tokens.context_second_moment
    read, macs = _attended(cases, mean, second, (m.decode_macs_full, m.decode_macs_window, m.decode_macs_sparse))
    return _read_s(cases, read + STATE_PASSES * state_bytes(cases)), _products_s(cases, macs)


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
    m, mean, second = cases.model, tokens.prefill_context_mean, tokens.prefill_context_second_moment
    read, macs = _attended(cases, mean, second, (m.prefill_macs_full, m.prefill_macs_window, m.prefill_macs_sparse))
    return _read_s(cases, read / prefill_chunk(cases, tokens)), _products_s(cases, macs)


def prefill_chunk(cases: Cases, tokens: TokenDemand) -> Array:
    """Return the piece in which a prompt is read [tokens]: the mean uncached prompt, at most the step's budget."""
    return np.maximum(np.minimum(tokens.prefill_tokens_mean, cases.engine.max_batched_tokens), 1.0)


def _attended(cases: Cases, mean: Array, second_moment: Array, macs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """Return (cache bytes read, multiply-adds) of a token on one GPU, given the moments of its context.

    Windows and the top k of sparse layers cap the context; indexer keys are all read, whatever is then attended to.
    `macs` are multiply-adds per token of context in full, windowed and sparse layers.
    """
    m, (full, windowed, sparse) = cases.model, macs
    in_window = mean_of_minimum(mean, second_moment, m.window_tokens)
    in_top_k = mean_of_minimum(mean, second_moment, m.sparse_top_k)
    products = full * mean + m.decode_macs_index * mean + windowed * in_window + sparse * in_top_k
    return cache_bytes(cases, mean, in_window, in_top_k), products / cases.layout.tensor_parallel


def _read_s(cases: Cases, read_bytes: Array) -> Array:
    return np.asarray(read_bytes / (cases.gpu.hbm_bytes_per_s * cases.engine.cache_memory_efficiency))


def _products_s(cases: Cases, macs: Array) -> Array:
    rate = cases.gpu.kv_flop_per_s * cases.engine.attention_compute_efficiency
    return np.asarray(FLOP_PER_MAC * macs / rate)
