"""Memory of one GPU: weights by component, runtime reserve, KV cache; how many sequences fit."""

from dataclasses import dataclass

import numpy as np

from planner.serving.cases import Cases
from planner.serving.columns import LayoutColumns
from planner.serving.kv_cache import held_bytes, in_flight_bytes, kv_split, request_bytes, spread_bytes
from planner.serving.lengths import TokenDemand, deviation_of_minimum, mean_of_minimum
from planner.serving.model_columns import ModelColumns
from planner.serving.normal import Array

BYTES_PER_ACTIVATION = 2.0
"""Activations travel and wait in 16 bits."""


BYTES_PER_ENCODER_WEIGHT = 2.0
"""Vision and audio encoders keep 16 bits whatever the format of the language model."""


_NONE = np.zeros(())


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
    # that TP shards
    sharded_parameters = m.attention_parameters - m.kv_parameters - m.replicated_parameters
    # of keys and values, on a rank
    kv_parameters_per_gpu = m.kv_parameters / kv_split(tensor, m.kv_heads)
    # token mixers, routers and norms on a rank
    attention_bytes = (
        sharded_parameters / tensor + kv_parameters_per_gpu + m.replicated_parameters
    ) * m.attention_weight_bytes
    # dense blocks, shared experts and encoders, over all ranks
    dense_bytes = m.ffn_parameters * m.ffn_weight_bytes + m.encoder_parameters * BYTES_PER_ENCODER_WEIGHT
    # routed experts as kernels pad them, over all ranks
    expert_bytes = m.expert_parameters * m.expert_weight_bytes * m.expert_padding
    # of the output head on the stage of the embedding
    head_parameters = np.where(
        np.asarray(layout.pipeline_parallel) > 1.0, 0.0, m.head_parameters * (1.0 - m.head_is_tied)
    )
    embedding_bytes = (m.embedding_parameters + head_parameters) * m.embedding_weight_bytes
    # all layers, on a rank
    layer_bytes = attention_bytes + dense_bytes / tensor + expert_bytes / (tensor * layout.data_parallel)
    return np.asarray(layer_bytes / layout.pipeline_parallel + embedding_bytes / tensor)


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
    # of one token
    activations_per_token = e.activation_bytes_factor * m.hidden_size + m.block_width / cases.layout.tensor_parallel
    # of a step full of tokens
    step_bytes = BYTES_PER_ACTIVATION * e.max_batched_tokens * activations_per_token
    # that a step samples at most
    sampled_sequences = np.minimum(e.max_running_sequences, e.max_batched_tokens)
    return np.asarray(np.maximum(step_bytes, e.sampler_bytes_per_logit * sampled_sequences * m.vocab_size))


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
    # beside the engine's share, in a replica of so many GPUs
    left_free_bytes = (
        e.left_free_bytes
        + e.left_free_bytes_per_batched_token * e.max_batched_tokens
        + e.left_free_bytes_per_gpu * (layout.tensor_parallel * layout.pipeline_parallel * layout.data_parallel)
    )
    # of the GPU, by the engine
    taken_bytes = np.minimum(gpu.memory_bytes * e.memory_utilization - left_free_bytes, gpu.memory_available_bytes)
    # what comes off it before the cache
    used_bytes = (
        e.weight_memory_share * weights + e.activation_memory_share * activations + e.other_memory_share * others
    )
    return np.asarray(taken_bytes - used_bytes)


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
    # bytes by which the cache of a sequence is exceeded as rarely as asked
    spread_bytes = z * sd_bytes
    # root of the batch
    batch_root = (
        np.sqrt(np.square(spread_bytes) + 4.0 * mean_bytes * np.maximum(capacity_bytes, 0.0)) - spread_bytes
    ) / (2.0 * mean_bytes)
    return np.asarray(np.square(batch_root))


def build_memory(cases: Cases, tokens: TokenDemand, paused_bytes: Array = _NONE) -> Memory:
    """Return the memory of a replica's GPU.

    Parameters
    ----------
    cases : all inputs.
    tokens : token demand of the same cases.
    paused_bytes : cache on one GPU of conversations that wait for a tool [bytes].

    Returns
    -------
    Memory
        Bytes and sequences. `kv_capacity_bytes` is negative and `sequences_that_fit` 0 where the weights do not fit.
    """
    m, e, layout = cases.model, cases.engine, cases.layout
    weights = weight_bytes_per_gpu(m, layout)
    activations, others = activation_bytes_per_gpu(cases), other_bytes_per_gpu(cases)
    capacity = kv_capacity_bytes(cases, weights, activations, others)
    held, second = tokens.held_mean, tokens.held_second_moment
    held_sd_tokens = np.sqrt(np.maximum(second - np.square(held), 0.0))
    mean = request_bytes(cases, held, mean_of_minimum(held, second, m.window_tokens)) / layout.pipeline_parallel
    # bytes are linear in the tokens of each kind of layer, which grow together
    sd = spread_bytes(cases, held_sd_tokens, deviation_of_minimum(held, second, m.window_tokens))
    in_flight = in_flight_bytes(cases) / layout.pipeline_parallel
    shared = held_bytes(cases, tokens.shared_tokens) / layout.pipeline_parallel
    common = in_flight + np.where(tokens.shared_tokens > 0.0, shared, 0.0)
    fitting = running_limit(capacity - common - paused_bytes, mean, sd, e.kv_overflow_z) * layout.data_parallel
    longest = held_bytes(cases, tokens.longest_request_tokens) / layout.pipeline_parallel + in_flight
    return Memory(
        weight_bytes=np.asarray(weights),
        activation_bytes=activations,
        other_bytes=others,
        kv_capacity_bytes=capacity,
        kv_bytes_per_sequence=np.asarray(mean),
        kv_bytes_per_sequence_sd=np.asarray(sd),
        kv_bytes_longest_request=np.asarray(longest),
        sequences_that_fit=np.asarray(fitting),
        max_running_sequences=np.minimum(
            fitting, e.max_running_sequences * layout.data_parallel * layout.pipeline_parallel
        ),
        common_bytes=np.asarray(common),
        paused_bytes=np.asarray(paused_bytes),
    )
