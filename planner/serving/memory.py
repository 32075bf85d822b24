"""Memory of one GPU: weights by component, runtime reserve, KV cache; how many sequences fit."""

from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array

BYTES_PER_ACTIVATION = 2.0


@dataclass(frozen=True, eq=False)
class Memory:
    """Bytes on one GPU of a replica, and the batch that fits."""

    weight_bytes: Array
    reserve_bytes: Array
    """Runtime, communication buffers and activations."""
    kv_capacity_bytes: Array
    """What is left for the KV cache; negative where the weights do not fit."""
    kv_bytes_per_sequence: Array
    """KV cache of a running sequence, averaged over its time."""
    kv_bytes_per_sequence_sd: Array
    kv_bytes_longest_request: Array
    """KV cache of one long request, alone on the replica: 99th percentile of input plus that of output."""
    sequences_that_fit: Array
    """Sequences whose cache finds room in a replica, over all its data-parallel ranks."""
    max_running_sequences: Array
    """The same, or the engine's own limit where that is lower."""
    paused_bytes: Array
    """KV cache on one GPU of conversations that wait for a tool, while a replica runs all it can."""


def weight_bytes_per_gpu(
    attention: Array,
    ffn: Array,
    experts: Array,
    embedding: Array,
    tensor_parallel: Array,
    pipeline_parallel: Array,
    data_parallel: Array,
) -> Array:
    """Return the weight bytes on one GPU [bytes] from the bytes of each component of the whole model.

    Attention, dense blocks and embeddings are sharded by TP and copied on every attention-data-parallel
    rank; experts are spread over all GPUs of the replica (TP x DP), whether as whole experts (EP) or slices.
    """
    shared = (attention + ffn + embedding) / tensor_parallel
    return np.asarray((shared + experts / (tensor_parallel * data_parallel)) / pipeline_parallel)


def kv_split(tensor_parallel: Array, kv_heads: Array) -> Array:
    """Return over how many TP ranks the GQA cache is split: no more than there are KV heads."""
    return np.asarray(np.minimum(tensor_parallel, kv_heads))


def running_limit(capacity_bytes: Array, mean_bytes: Array, sd_bytes: Array, z: Array) -> Array:
    """Return the largest batch B whose KV cache overflows with probability at most 1 - Phi(z).

    B sequences hold B mu +- sqrt(B) sigma bytes (independent sequences), so B mu + z sqrt(B) sigma = K:
    sqrt(B) = (sqrt(z^2 sigma^2 + 4 mu K) - z sigma) / (2 mu). It tends to K / mu for constant lengths.
    """
    spread = z * sd_bytes
    root = (np.sqrt(np.square(spread) + 4.0 * mean_bytes * np.maximum(capacity_bytes, 0.0)) - spread) / (
        2.0 * mean_bytes
    )
    return np.asarray(np.square(root))
