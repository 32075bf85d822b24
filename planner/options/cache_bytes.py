"""What a model's layers cache beside plain elements: scales, indexer keys, blocks of a pool that layers share."""

import math
from collections.abc import Sequence

from planner.catalog.model import AttentionGroup

SCALE_BYTES = 4
"""A scale of 32 bits for every SCALED_ELEMENTS elements of 8 bits."""
SCALED_ELEMENTS = 128
COMPRESSED_SCALES_BYTES = 8
"""All scales of a compressed entry: one byte (a power of two) for each 64 elements, padded."""
ENTRIES_PER_BLOCK = 64
"""Entries of the most finely compressed layers, and tokens of a window, in a block of the pool (vLLM)."""
STATE_BYTES_PER_ELEMENT = 2 * 4
"""A key and a score, in 32 bits."""


def index_elements(group: AttentionGroup) -> float:
    """Return the elements of indexer keys per token that have the format of the cache: those of GQA layers."""
    return 0.0 if _keeps_own_index_format(group) else _index_width(group)


def index_bytes(group: AttentionGroup) -> float:
    """Return the bytes of indexer keys per token that have 8 bits and scales whatever the cache's format.

    Sparse MLA and compressed attention keep them so.
    """
    if not _keeps_own_index_format(group):
        return 0.0
    width = group.index_head_dim or 0
    return _index_width(group) / max(width, 1) * (width + _scales(width))


def _keeps_own_index_format(group: AttentionGroup) -> bool:
    return group.kind == "mla" or group.compression > 1


def _index_width(group: AttentionGroup) -> float:
    return group.layers * (group.index_head_dim or 0) / group.compression


def _scales(elements: int) -> int:
    return SCALE_BYTES * math.ceil(elements / SCALED_ELEMENTS)


def scaled_bytes(group: AttentionGroup) -> float:
    """Return what a token adds to an 8-bit cache beyond one byte per element: scales, and positions of 16 bits.

    Sparse MLA keeps 656 bytes for 576 elements (512 of a latent with 4 scales, 64 of position), compressed attention
    584 for 512 (448, scales padded to 8 bytes, 64 of position). Other layers have scales for whole tensors.

    References
    ----------
    vLLM, cache format `fp8_ds_mla`, in its layouts for DeepSeek-V3.2 and DeepSeek-V4.
    """
    if group.shares_cache:
        return 0.0
    rope = group.qk_rope_head_dim or 0
    if group.kind == "mla" and group.sparse_top_k:
        return group.layers * (rope + _scales(group.kv_lora_rank or 0)) / group.compression
    if group.kind == "gqa" and rope:
        return group.layers * (rope + COMPRESSED_SCALES_BYTES) / group.compression
    return 0.0


def pool_tokens(groups: Sequence[AttentionGroup]) -> tuple[float, float]:
    """Return the tokens of context that take the room of a token in flight, and of a request's windows and states.

    Where compressed layers have a window and states beside their entries (DeepSeek-V4), vLLM draws blocks of equal
    bytes for all of them from one pool. A block has room for 64 entries of the finest compression r, that is 64 r
    tokens of context over all compressed layers; or for 64 tokens of the window of as many layers as one kind has; or
    for a power of two of the tokens whose states wait in the compressor. So a token in flight takes the sum of 1/b over
    these lists of blocks of b tokens, and a request ceil((w - 1)/b) + 1 blocks of each, for the w tokens that it keeps.

    Parameters
    ----------
    groups : a model's attention layers.

    Returns
    -------
    tuple[float, float]
        Tokens per token, and tokens; 0 for models without compressed layers that have a window.

    References
    ----------
    vLLM, issue 54703: blocks of each list for a request of a million tokens, release 0.28.1.
    """
    compressed = [g for g in groups if g.compression > 1 and g.local_window and g.compressor_tokens]
    if not compressed:
        return 0.0, 0.0
    finest = min(g.compression for g in compressed)
    block_bytes = ENTRIES_PER_BLOCK * _entry_bytes(compressed[0])
    windowed = sum(g.layers for g in groups if g.window or g.local_window)
    lists = max(round(windowed / max(g.layers for g in compressed)), 1)
    window = max(g.window or g.local_window or 0 for g in groups)
    kept = [(float(ENTRIES_PER_BLOCK), window)] * lists
    for group in compressed:
        waiting = int(group.compressor_tokens or 0)
        overlap = waiting // group.compression
        state_bytes = STATE_BYTES_PER_ELEMENT * overlap * group.head_dim
        kept.append((2.0 ** math.floor(math.log2(block_bytes / state_bytes)), waiting))
    in_flight = sum(1.0 / block for block, _ in kept)
    blocks = sum(math.ceil((tokens - 1) / block) + 1 for block, tokens in kept)
    context = float(ENTRIES_PER_BLOCK * finest)
    return context * in_flight, context * blocks


def _entry_bytes(group: AttentionGroup) -> float:
    """Return the 8-bit size of one entry of a compressed layer, whose vector is key and value at once."""
    return group.head_dim + scaled_bytes(group) * group.compression / group.layers
