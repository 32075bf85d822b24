"""The KV cache: bytes of tokens by kind of layer, of a request, of one that an engine counts when it starts."""

import numpy as np

from planner.serving.cases import Cases
from planner.serving.normal import Array


def kv_split(tensor_parallel: Array, kv_heads: Array) -> Array:
    """Return over how many TP ranks the GQA cache is split [1]: no more than there are KV heads."""
    return np.asarray(np.minimum(tensor_parallel, kv_heads))


def cache_bytes(cases: Cases, full: Array | float, window: Array | float, sparse: Array | float) -> Array:
    """Return the KV cache of some tokens on one GPU, were all layers on one pipeline stage.

    q [(F full + V window + S sparse)/min(TP, KV heads) + L full + L' sparse + Z full] + X full + [q <= 1] (Y_F full
    + Y_V window + Y_S sparse). F, V, S are elements per token of GQA layers with full, windowed or sparse attention, L
    and L' those of MLA latents in full and sparse layers, which every TP rank keeps whole, Z those of indexer keys in
    the cache's format, X bytes of indexer keys with a format of their own, Y bytes of scales and of positions that keep
    16 bits, beside a cache of 8 bits.

    Parameters
    ----------
    cases : for elements [1] and bytes per token, bytes per element q and TP.
    full, window, sparse : tokens that the layers of each kind hold or read [tokens].

    Returns
    -------
    Array
        Cache of all layers [bytes].
    """
    m, layout = cases.model, cases.layout
    return np.asarray(
        layout.kv_bytes
        * (
            (m.kv_full_elements * full + m.kv_window_elements * window + m.kv_sparse_elements * sparse)
            / kv_split(layout.tensor_parallel, m.kv_heads)
            + (m.latent_full_elements * full + m.latent_sparse_elements * sparse + m.index_elements * full)
        )
        + m.index_bytes * full
        + (layout.kv_bytes <= 1.0)
        * (m.scaled_full_bytes * full + m.scaled_window_bytes * window + m.scaled_sparse_bytes * sparse)
    )


def state_bytes(cases: Cases) -> Array:
    """Return the recurrent state of a sequence on one GPU [bytes], were all linear layers on one pipeline stage."""
    return np.asarray(cases.model.state_bytes / np.minimum(cases.layout.tensor_parallel, cases.model.state_heads))


def in_flight_tokens(cases: Cases) -> Array:
    """Return the tokens of the steps in flight of a rank, which have room in the cache [tokens]."""
    return np.asarray(cases.engine.steps_in_flight * cases.engine.max_batched_tokens)


def is_pooled(cases: Cases) -> Array:
    """Return whether layers of all kinds draw equal blocks from one pool: 1 or 0 [1]."""
    return np.asarray((cases.model.pool_tokens_per_request > 0.0) * (cases.engine.steps_in_flight > 0.0))


def growing_bytes(cases: Cases) -> Array:
    """Return what a token adds to the cache once all windows are full [bytes]."""
    return cache_bytes(cases, 1.0, 0.0, 1.0)


def request_bytes(cases: Cases, full: Array, window: Array) -> Array:
    """Return cache and state of a sequence on one GPU [bytes], were all layers on one pipeline stage.

    Where layers draw equal blocks from one pool, windows and states fill theirs badly: they take the room of as many
    tokens of context as `pool_tokens_per_request` says, instead of their own size.

    Parameters
    ----------
    cases : for the cache of a token and the state.
    full, window : tokens that layers hold without and with a window [tokens].
    """
    return np.where(
        is_pooled(cases),
        (full + cases.model.pool_tokens_per_request) * growing_bytes(cases),
        cache_bytes(cases, full, window, full) + state_bytes(cases),
    )


def in_flight_bytes(cases: Cases) -> Array:
    """Return what the tokens in flight take of a pool of equal blocks [bytes], were all layers on one stage.

    0 where layers have caches of their own.
    """
    return np.where(
        is_pooled(cases), cases.model.pool_tokens_in_flight * in_flight_tokens(cases) * growing_bytes(cases), 0.0
    )


def spread_bytes(cases: Cases, full: Array, window: Array) -> Array:
    """Return the standard deviation of a sequence's cache on one GPU [bytes], from those of its tokens.

    In a pool windows take their room whatever they hold.
    """
    return np.asarray(
        cache_bytes(cases, full, np.where(is_pooled(cases), 0.0, window), full) / cases.layout.pipeline_parallel
    )


def held_bytes(cases: Cases, tokens: Array) -> Array:
    """Return cache and state of a sequence that holds a known number of tokens [bytes], were all layers on one stage.

    Windowed layers keep no more than their window.
    """
    return request_bytes(cases, tokens, np.minimum(tokens, cases.model.window_tokens))


def startup_bytes(cases: Cases) -> Array:
    """Return the cache on one GPU that an engine counts for one request of the longest length when it starts [bytes].

    Unlike in the steady state, windowed layers keep the steps in flight beside their window, min(W - 1 + F, L).

    Parameters
    ----------
    cases : for the longest length L (the model's context), the window W, the tokens in flight F [tokens] and the cache
        of a token.

    References
    ----------
    vLLM, `SlidingWindowSpec.max_memory_usage_bytes`; "Maximum concurrency" of its start-up log is the room over this.
    """
    longest, window = cases.model.max_context_tokens, cases.model.window_tokens
    windowed = np.minimum(window - 1.0 + in_flight_tokens(cases), longest)
    held = request_bytes(cases, longest, windowed) + in_flight_bytes(cases)
    return np.asarray(held / cases.layout.pipeline_parallel)


def longest_context_tokens(cases: Cases, capacity_bytes: Array) -> Array:
    """Return the longest request that the cache of a replica holds alone, no longer than the model's context.

    The bytes of t tokens are s + b min(t, W) + a t: state and tokens in flight s, windowed layers b up to their window
    W, the others a.

    Parameters
    ----------
    cases : for the cache of a token by kind of layer [bytes], the window and the context [tokens].
    capacity_bytes : room for the cache on one GPU [bytes]; none where it is negative.

    Returns
    -------
    Array
        Input and output together [tokens], rounded down; 0 where not even the state fits.
    """
    none, one, m = np.zeros(()), np.ones(()), cases.model
    growing = growing_bytes(cases)
    windowed = request_bytes(cases, none, one) - request_bytes(cases, none, none)
    fixed = request_bytes(cases, none, none) + in_flight_bytes(cases)
    room = capacity_bytes * cases.layout.pipeline_parallel - fixed
    window = np.where(windowed > 0.0, m.window_tokens, 0.0)
    inside, beyond = room / (growing + windowed), (room - windowed * window) / growing
    tokens = np.where(inside <= window, inside, np.where(room > windowed * window, beyond, inside))
    return np.asarray(np.floor(np.clip(np.nan_to_num(tokens, posinf=np.inf), 0.0, m.max_context_tokens)))
