"""The layers of a Hugging Face config, one by one: their token mixers and feed-forward blocks."""

from typing import Any

from planner.catalog.huggingface.attention import compressed, mixer, searched_attention
from planner.catalog.huggingface.ffn import block, image_experts, searched_block
from planner.catalog.huggingface.fields import Fields, LayerPart
from planner.catalog.huggingface.ignored import settle
from planner.catalog.huggingface.kinds import DENSE, MAMBA, MOE, block_kinds, layer_kinds
from planner.catalog.huggingface.linear import recurrent


def layers_of(f: Fields, h: int, layers: int) -> tuple[list[LayerPart], list[LayerPart], int]:
    """Return token mixers and feed-forward blocks of all layers, and the weights of experts for image tokens."""
    if searched := f.per_layer("block_configs", layers):
        blocks = [f.nested("block_configs", own) for own in searched]
        mixers = [m for own in blocks if (m := searched_attention(f, h, own)) is not None]
        return mixers, [b for own in blocks if (b := searched_block(f, h, own)) is not None], 0
    if f.flag("shared_block"):
        return _around_a_shared_block(f, h, layers), [], 0
    each = _views(f, layers)
    crossing = f.numbers("cross_attention_layers") if f.flag("cross_attention") else set()
    if f.has("compress_ratios"):
        f.settle("num_key_value_heads")
        ratios = f.per_layer("compress_ratios", layers) or f.fail("compress_ratios", "expected one number per layer")
        mixers = [LayerPart(compressed(f, h, ratio)) for ratio in ratios]
        kinds = block_kinds(f, layers)
    else:
        kinds = tuple(() if i in crossing else names for i, names in enumerate(layer_kinds(f, layers)))
        copies = f.optional("mixers_per_layer") or 1
        mixers = [
            mixer(own, h, k)
            for own, ks in zip(each, kinds, strict=True)
            for k in ks
            if k not in {DENSE, MOE}
            for _ in range(copies)
        ]
    settle(f, {kind for names in kinds for kind in names})
    blocks_ = [block(own, h, k) for own, ks in zip(each, kinds, strict=True) for k in ks if k in {DENSE, MOE}]
    dense = f.optional("dense_blocks_per_layer") or 0  # beside the experts of the same layer (LongCat)
    blocks_ += [block(f, h, DENSE) for _ in range(dense * layers)]
    only_images = len(crossing) * _cross_attention(f, h) if crossing else 0
    return (
        mixers,
        blocks_,
        only_images + sum(image_experts(own, h) for own, ks in zip(each, kinds, strict=True) if MOE in ks),
    )


def _views(f: Fields, layers: int) -> list[Fields]:
    """Return the fields that hold for each layer, with `shares_cache` for the last ones that reuse another's cache."""
    shared = f.optional("num_kv_shared_layers") or 0
    sparse = f.inner("sparse_attention_config")
    chosen = sparse.per_layer("sparse_attention_freq", layers) if sparse else None
    if sparse and chosen:
        _refuse_index_values(sparse, chosen, layers)
    views = f.by_layer(layers)
    for i, own in enumerate(views):
        source = own.get("kv_source_layers")
        reused = i >= layers - shared or (isinstance(source, int) and source != i)
        more: dict[str, Any] = {"shares_cache": True} if reused else {}
        if sparse and chosen:
            more["sparse_attention_config"] = {**sparse.data, "sparse_attention_freq": chosen[i]}
        views[i] = own.view(more)
    return views


def _cross_attention(f: Fields, h: int) -> int:
    """Return the weights of a layer that attends to images alone: text without one passes it by (Llama 3.2 Vision)."""
    heads, kv_heads = f.count("num_attention_heads"), f.count("num_key_value_heads")
    width = h // heads
    return 2 * h * width * (heads + kv_heads) + 2 * width + 2 + 3 * h * f.count("intermediate_size") + 2 * h


def _refuse_index_values(sparse: Fields, chosen: tuple[Any, ...], layers: int) -> None:
    """Raise BadInputError where a block-sparse layer's indexer has values: they would be cached beside its key."""
    off = sparse.per_layer("sparse_disable_index_value", layers)
    if off and any(layer and not gone for layer, gone in zip(chosen, off, strict=True)):
        sparse.fail("sparse_disable_index_value", "is 0 for a sparse layer; expected 1, an indexer without values")


def _around_a_shared_block(f: Fields, h: int, layers: int) -> list[LayerPart]:
    """Return the mixers of a Mamba model with transformer blocks whose weights several layers share (Zamba).

    Each use has a cache of its own, a matrix back to the residual stream, and low-rank adapters (Zamba 2). The
    shared weights are spread over the uses: held and read once, their products understated by as much.
    """
    uses = sum(name == "hybrid" for name in f.per_layer("layers_block_type", layers) or ())
    if not uses:
        f.fail("layers_block_type", "names no layer 'hybrid'; expected the layers that use the shared block")
    wide, width = f.optional("attention_hidden_size") or 2 * h, f.count("head_dim")
    heads, kv_heads, inner = (
        f.count("num_attention_heads"),
        f.count("num_key_value_heads"),
        f.count("intermediate_size"),
    )
    block_weights = width * (wide * (heads + 2 * kv_heads) + heads * h) + 3 * h * inner
    f.settle("hidden_act", "hybrid_layer_ids", "num_query_groups", "attn_layer_offset", "attn_layer_period")
    rank = f.optional("adapter_rank") or 0
    adapters = rank * (h + 2 * inner) + (6 * rank * wide if f.flag("use_shared_attention_adapter") else 0)
    own = h * h + adapters + (f.optional("num_mem_blocks") or 1) * block_weights / uses
    group: dict[str, Any] = {"kind": "gqa", "heads": heads, "kv_heads": kv_heads, "head_dim": width}
    mamba = LayerPart(recurrent(f, h, MAMBA))
    return [mamba] * layers + [LayerPart(group | {"parameters_per_layer": own})] * uses
