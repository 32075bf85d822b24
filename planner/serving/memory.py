"""Memory of one GPU: weights by component, runtime reserve, KV cache; how many sequences fit."""

from dataclasses import dataclass

import numpy as np

from planner.serving.cases import Cases
from planner.serving.columns import LayoutColumns
from planner.serving.lengths import TokenDemand, deviation_of_minimum, mean_of_minimum
from planner.serving.model_columns import ModelColumns
from planner.serving.normal import Array

BYTES_PER_ACTIVATION = 2.0
"""Activations travel and wait in 16 bits."""


BYTES_PER_ENCODER_WEIGHT = 2.0
"""Vision and audio encoders keep 16 bits whatever the format of the language model."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Bytes on one GPU of a replica, and the batch that fits."""

    weight_bytes: Array
    activation_bytes: Array
    """Peak of a full step and of sampling."""
    other_bytes: Array
    """Context, graphs, buffers of collectives, room for encoders."""
    kv_capacity_bytes: Array
    """What is left for the KV cache; negative where the weights do not fit."""
    kv_bytes_per_sequence: Array
    """KV cache of a running sequence, averaged over its time."""
    kv_bytes_per_sequence_sd: Array
    """Its standard deviation over the running sequences."""
    kv_bytes_longest_request: Array
    """KV cache of one long request, alone on the replica: 99th percentile of input plus that of output."""
    sequences_that_fit: Array
    """Sequences whose cache finds room in a replica, over all its data-parallel ranks."""
    max_running_sequences: Array
    """The same, or the engine's own limit where that is lower."""
    common_bytes: Array
    """KV cache on one GPU that does not grow with the batch: shared tokens, blocks of the tokens in flight."""
    paused_bytes: Array
    """KV cache on one GPU of conversations that wait for a tool, while a replica runs all it can."""


def weight_bytes_per_gpu(model: ModelColumns, layout: LayoutColumns) -> Array:
    """Return the weight bytes on one GPU.

    [(attention + dense + encoders)/TP + experts/(TP DP)]/PP + (embedding + head if untied)/TP, each component with its
    own bytes per weight. Attention, dense blocks and embeddings are sharded by TP and copied on every
    attention-data-parallel rank; experts are spread over all GPUs of the replica (TP x DP), whether as whole experts
    (EP) or slices. Of attention, projections to latents, routers and norms are copied on every TP rank, and those of
    keys and values where there are more ranks than KV heads. With PP, the fullest stage holds embedding or head.

    Parameters
    ----------
    model : weights of each component [1] and bytes per weight, scales included [bytes].
    layout : degrees of TP, PP and DP [GPUs].

    Returns
    -------
    Array
        Weights on one GPU [bytes].
    """
    m, tensor = model, layout.tensor_parallel
    sharded = m.attention_parameters - m.kv_parameters - m.replicated_parameters
    key_value = m.kv_parameters / kv_split(tensor, m.kv_heads)
    attention = (sharded / tensor + key_value + m.replicated_parameters) * m.attention_weight_bytes
    dense = m.ffn_parameters * m.ffn_weight_bytes
    experts = m.expert_parameters * m.expert_weight_bytes * m.expert_padding
    head = np.where(np.asarray(layout.pipeline_parallel) > 1.0, 0.0, m.head_parameters * (1.0 - m.head_is_tied))
    embedding = (m.embedding_parameters + head) * m.embedding_weight_bytes
    encoders = m.encoder_parameters * BYTES_PER_ENCODER_WEIGHT
    layers = attention + (dense + encoders) / tensor + experts / (tensor * layout.data_parallel)
    return np.asarray(layers / layout.pipeline_parallel + embedding / tensor)


def activation_bytes_per_gpu(cases: Cases) -> Array:
    """Return the peak of activations on one GPU [bytes]: of a step full of tokens, or of sampling after it.

    The larger of 2 T (f h + w/TP) and b B V: a step of T tokens holds f hidden vectors of width h beside the widest
    feed-forward block w, which TP shards; sampling B sequences takes b bytes per entry of the vocabulary V, whole on
    every rank. Both never live at once.

    Parameters
    ----------
    cases : token budget T and running sequences B of a rank [1], factors f [1] and b [bytes], widths h, w, V [1], TP.

    Returns
    -------
    Array
        Peak on one GPU [bytes].

    References
    ----------
    vLLM, `GPUModelRunner.profile_run`: a dummy step of max_num_batched_tokens, then one of the sampler on max_num_seqs.
    """
    m, e = cases.model, cases.engine
    token = e.activation_bytes_factor * m.hidden_size + m.block_width / cases.layout.tensor_parallel
    step = BYTES_PER_ACTIVATION * e.max_batched_tokens * token
    sampled = np.minimum(e.max_running_sequences, e.max_batched_tokens)
    return np.asarray(np.maximum(step, e.sampler_bytes_per_logit * sampled * m.vocab_size))


def other_bytes_per_gpu(cases: Cases) -> Array:
    """Return what an engine takes of a GPU besides weights, activations and cache [bytes].

    Its context, graphs and slack; buffers of collectives where TP > 1; room for an encoder's activations.
    """
    e = cases.engine
    collectives = np.where(np.asarray(cases.layout.tensor_parallel) > 1.0, e.collective_bytes, 0.0)
    encoder = np.where(np.asarray(cases.model.encoder_parameters) > 0.0, e.encoder_reserve_bytes, 0.0)
    return np.asarray(e.runtime_reserve_bytes + collectives + encoder)


def kv_capacity_bytes(cases: Cases, weights: Array, activations: Array, others: Array) -> Array:
    """Return the room for the KV cache on one GPU [bytes], negative where there is none.

    min(u M - F, M') - (s_w weights + s_a activations + s_o others): engines differ in what the share u of the memory M
    is of (EngineFactors.memory_share_of), which the parts s say, and some leave F bytes free instead of a share; M' is
    the most a process gets of memory that the CPU shares.
    """
    e, gpu, layout = cases.engine, cases.gpu, cases.layout
    gpus = layout.tensor_parallel * layout.pipeline_parallel * layout.data_parallel
    left = e.left_free_bytes + e.left_free_bytes_per_batched_token * e.max_batched_tokens
    left = left + e.left_free_bytes_per_gpu * gpus
    share = np.minimum(gpu.memory_bytes * e.memory_utilization - left, gpu.memory_available_bytes)
    taken = e.weight_memory_share * weights + e.activation_memory_share * activations + e.other_memory_share * others
    return np.asarray(share - taken)


def kv_split(tensor_parallel: Array, kv_heads: Array) -> Array:
    """Return over how many TP ranks the GQA cache is split [1]: no more than there are KV heads."""
    return np.asarray(np.minimum(tensor_parallel, kv_heads))


def cache_bytes(cases: Cases, full: Array, window: Array, sparse: Array) -> Array:
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


def _pooled(cases: Cases) -> Array:
    """Return where layers of all kinds draw equal blocks from one pool."""
    return np.asarray((cases.model.pool_tokens_per_request > 0.0) & (cases.engine.steps_in_flight > 0.0))


def _growing_bytes(cases: Cases) -> Array:
    """Return what a token adds to the cache once all windows are full [bytes]."""
    return cache_bytes(cases, np.ones(()), np.zeros(()), np.ones(()))


def request_bytes(cases: Cases, full: Array, window: Array) -> Array:
    """Return cache and state of a sequence on one GPU [bytes], were all layers on one pipeline stage.

    Where layers draw equal blocks from one pool, windows and states fill theirs badly: they take the room of as many
    tokens of context as `pool_tokens_per_request` says, instead of their own size.

    Parameters
    ----------
    cases : for the cache of a token and the state.
    full, window : tokens that layers hold without and with a window [tokens].
    """
    alone = cache_bytes(cases, full, window, full) + state_bytes(cases)
    from_pool = (full + cases.model.pool_tokens_per_request) * _growing_bytes(cases)
    return np.where(_pooled(cases), from_pool, alone)


def in_flight_bytes(cases: Cases) -> Array:
    """Return what the tokens in flight take of a pool of equal blocks [bytes], were all layers on one stage.

    0 where layers have caches of their own.
    """
    tokens = cases.model.pool_tokens_in_flight * in_flight_tokens(cases)
    return np.where(_pooled(cases), tokens * _growing_bytes(cases), 0.0)


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
    growing = _growing_bytes(cases)
    windowed = request_bytes(cases, none, one) - request_bytes(cases, none, none)
    fixed = request_bytes(cases, none, none) + in_flight_bytes(cases)
    room = capacity_bytes * cases.layout.pipeline_parallel - fixed
    window = np.where(windowed > 0.0, m.window_tokens, 0.0)
    inside, beyond = room / (growing + windowed), (room - windowed * window) / growing
    tokens = np.where(inside <= window, inside, np.where(room > windowed * window, beyond, inside))
    return np.asarray(np.floor(np.clip(np.nan_to_num(tokens, posinf=np.inf), 0.0, m.max_context_tokens)))


def running_limit(capacity_bytes: Array, mean_bytes: Array, sd_bytes: Array, z: Array) -> Array:
    """Return the largest batch B whose KV cache overflows with probability at most 1 - Phi(z).

    B independent sequences hold B mu +- sqrt(B) sigma bytes, so B mu + z sqrt(B) sigma = K at the limit, whose root is
    sqrt(B) = (sqrt(z^2 sigma^2 + 4 mu K) - z sigma) / (2 mu). It tends to K / mu for constant lengths.

    Parameters
    ----------
    capacity_bytes : room K for the cache [bytes]; none where it is negative.
    mean_bytes, sd_bytes : cache of a running sequence, mean mu > 0 and standard deviation sigma [bytes].
    z : standard normal quantile of how surely the batch must fit [1], >= 0.

    Returns
    -------
    Array
        Sequences B, not rounded [1]; NaN where a sequence holds nothing.
    """
    spread = z * sd_bytes
    root = (np.sqrt(np.square(spread) + 4.0 * mean_bytes * np.maximum(capacity_bytes, 0.0)) - spread) / (
        2.0 * mean_bytes
    )
    return np.asarray(np.square(root))


def build_memory(cases: Cases, tokens: TokenDemand) -> Memory:
    """Return the memory of a replica's GPU, without conversations that wait for tools.

    Parameters
    ----------
    cases : all inputs.
    tokens : token demand of the same cases.

    Returns
    -------
    Memory
        Bytes and sequences. `kv_capacity_bytes` is negative and `sequences_that_fit` 0 where the weights do not fit.
    """
    m, e, layout = cases.model, cases.engine, cases.layout
    weights = weight_bytes_per_gpu(m, layout)
    activations, others = activation_bytes_per_gpu(cases), other_bytes_per_gpu(cases)
    capacity = kv_capacity_bytes(cases, weights, activations, others)
    stage = 1.0 / layout.pipeline_parallel
    held, second = tokens.held_mean, tokens.held_second_moment
    window = mean_of_minimum(held, second, m.window_tokens)
    mean = request_bytes(cases, held, window) * stage
    # Cache bytes are linear in the tokens of each kind of layer, which grow together: the same sum of deviations.
    spread = np.sqrt(np.maximum(second - np.square(held), 0.0))
    windows = np.where(_pooled(cases), 0.0, deviation_of_minimum(held, second, m.window_tokens))
    sd = cache_bytes(cases, spread, windows, spread) * stage
    in_flight, shared = in_flight_bytes(cases), tokens.shared_tokens
    common = (in_flight + np.where(shared > 0.0, held_bytes(cases, shared), 0.0)) * stage
    fitting = running_limit(capacity - common, mean, sd, e.kv_overflow_z) * layout.data_parallel
    limit = e.max_running_sequences * layout.data_parallel * layout.pipeline_parallel
    longest = held_bytes(cases, tokens.longest_request_tokens) + in_flight
    return Memory(
        weight_bytes=np.asarray(weights),
        activation_bytes=activations,
        other_bytes=others,
        kv_capacity_bytes=capacity,
        kv_bytes_per_sequence=np.asarray(mean),
        kv_bytes_per_sequence_sd=np.asarray(sd),
        kv_bytes_longest_request=np.asarray(longest * stage),
        sequences_that_fit=np.asarray(fitting),
        max_running_sequences=np.asarray(np.minimum(fitting, limit)),
        common_bytes=np.asarray(common),
        paused_bytes=np.zeros(()),
    )
