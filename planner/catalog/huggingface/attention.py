"""Token mixers of a Hugging Face config: one mapping of AttentionGroup's fields per mixer of a layer."""

from typing import Any

from planner.catalog.huggingface.fields import Fields, LayerPart
from planner.catalog.huggingface.kinds import COMPRESSED, FULL, WINDOW, window_tokens
from planner.catalog.huggingface.linear import recurrent
from planner.catalog.model import AttentionGroup
from planner.catalog.parameters import mixer_parameters

_FINE = 4
"""Compression up to which DeepSeek-V4 chooses entries with an indexer; coarser entries are all attended to."""


def mixer(f: Fields, h: int, kind: str) -> LayerPart:
    """Return one token mixer of a layer; `f` holds what is true for that layer."""
    if kind == COMPRESSED:
        f.settle("num_key_value_heads")
        return LayerPart(compressed(f, h, _compress_rate(f)))
    if kind not in {FULL, WINDOW}:
        return LayerPart(recurrent(f, h, kind))
    if f.has("compress_rates", "compress_ratios"):
        return LayerPart(compressed(f, h, 0))
    if f.optional("kv_lora_rank"):
        return _latent(f, h, kind)
    return _heads(f, h, kind)


def _heads(f: Fields, h: int, kind: str) -> LayerPart:
    """Return a layer of grouped-query attention."""
    group = _widths(f, h, sliding=kind == WINDOW)
    if kind == WINDOW:
        group["window"] = window_tokens(f) or f.count("sliding_window")
    group |= _block_sparse(f) | ({"sinks": True} if f.flag("attention_sinks") else {})
    return LayerPart(_with_gates(f, h, group, kind), _small_weights(f, h, group))


def _widths(f: Fields, h: int, *, sliding: bool) -> dict[str, Any]:
    """Return heads and widths of a GQA layer; some models have other ones where attention is local or global."""
    other = f.inner("attention_other_setting")  # Step 3.5: heads of the layers of another kind
    if other and sliding == (other.string("attention_type") == "sliding_attention"):
        f = f.view({name: other.get(name) for name in other.data})

    def named(name: str) -> tuple[str, ...]:
        own = f"swa_{name}"
        return (own, name) if sliding and f.has(own) else (name,)

    wide = not sliding and f.optional("global_head_dim") is not None
    heads = f.count("num_attention_heads_per_layer", *named("num_attention_heads"))
    head_dim = f.optional("global_head_dim" if wide else "", *named("head_dim"))
    if head_dim is None:
        if h % heads and not f.flag("rounds_head_dim"):
            f.fail(
                "num_attention_heads", f"{heads} does not divide the hidden size {h}; expected head_dim or a divisor"
            )
        head_dim = h // heads
    kv_heads = _kv_heads(f, heads, named("num_key_value_heads"), wide=wide)
    if heads % kv_heads:
        f.fail("num_key_value_heads", f"{kv_heads} does not divide the {heads} attention heads; expected a divisor")
    group = {"kind": "gqa", "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    value = f.optional(*named("v_head_dim"))
    return group | ({"v_head_dim": value} if value not in {None, head_dim} else {})


def _kv_heads(f: Fields, heads: int, names: tuple[str, ...], *, wide: bool) -> int:
    """Return the KV heads: given, one (multi-query attention), or as many as query heads."""
    if f.string("model_type") == "falcon" and not f.flag("new_decoder_architecture"):
        f.settle("num_key_value_heads")
        return 1 if f.flag("multi_query") else heads
    if wide and f.optional("num_global_key_value_heads"):
        return f.count("num_global_key_value_heads")
    if f.has(*names):
        f.settle("multi_query")
        return f.count(*names)
    return 1 if f.flag("multi_query") else heads


def _block_sparse(f: Fields) -> dict[str, Any]:
    """Return the indexer of a block-sparse layer (MiniMax-M3), empty for a full one."""
    sparse = f.inner("sparse_attention_config")
    if sparse and sparse.get("sparse_attention_freq") != 0:
        tokens = sparse.count("sparse_topk_blocks") * sparse.count("sparse_block_size")
        heads, width = sparse.count("sparse_num_index_heads"), sparse.count("sparse_index_dim")
    elif f.get("layer_types") == "minimax_m3_sparse":
        tokens = f.count("index_topk_blocks") * f.count("index_block_size")
        heads, width = f.count("index_n_heads"), f.count("index_head_dim")
    else:
        f.settle("index_topk_blocks", "index_block_size", "index_n_heads", "index_head_dim")
        return {}
    return {"sparse_top_k": tokens, "index_heads": heads, "index_head_dim": width}


def _with_gates(f: Fields, h: int, group: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the group with its weights spelled out where its widths do not determine them.

    A gate adds to them; one matrix may make keys and values; a layer that reads the cache of another makes neither.
    """
    value = group.get("v_head_dim") or group["head_dim"]
    extra = 0
    if (
        f.flag("attn_output_gate")
        or f.flag("attention_output_gate")
        or (group["kind"] == "mla" and f.flag("mla_use_output_gate"))
    ):
        extra += h * group["heads"] * value
    if f.flag("shares_cache"):
        if group["kind"] == "mla":
            f.fail("kv_source_layers", "a layer of latent attention reads another's cache; expected one of its own")
        extra -= h * group["kv_heads"] * (group["head_dim"] + value)
        group = group | {"shares_cache": True}
    elif f.flag("attention_k_eq_v") and kind == FULL:
        extra -= h * group["kv_heads"] * value
    if not extra:
        return group
    return group | {"parameters_per_layer": mixer_parameters(AttentionGroup(layers=1, **group), h) + extra}


def _small_weights(f: Fields, h: int, group: dict[str, Any]) -> float:
    """Return biases, norms of queries and keys, and sinks of one GQA layer."""
    heads, kv_heads, width = group["heads"], group["kv_heads"], group["head_dim"]
    value = group.get("v_head_dim") or width
    biased = f.flag("attention_bias")
    total = 0
    if biased or f.flag("qkv_bias"):
        total += heads * width + kv_heads * (width + value)
    if biased and f.flag("output_bias", default=True):
        total += h
    if f.flag("qk_norm") or f.flag("use_qk_norm"):
        total += 2 * width
    if f.flag("attention_sinks"):
        total += heads
    if f.flag("use_head_wise_attn_gate"):
        total += h * heads
    return float(total)


def _latent(f: Fields, h: int, kind: str) -> LayerPart:
    """Return a multi-head latent attention layer, with the indexer of DeepSeek sparse attention where it has one."""
    f.settle("head_dim", "num_key_value_heads", "qk_head_dim")
    rope, nope = f.optional("qk_rope_head_dim") or 0, f.count("qk_nope_head_dim")
    if f.get("no_rope_layers") == 0:  # this layer has no positions: its keys are all latent
        rope, nope = 0, nope + rope
    group: dict[str, Any] = {
        "kind": "mla",
        "heads": f.count("num_attention_heads"),
        "head_dim": nope + rope,
        "v_head_dim": f.count("v_head_dim"),
        "q_lora_rank": f.optional("q_lora_rank"),
        "kv_lora_rank": f.count("kv_lora_rank"),
        "qk_rope_head_dim": rope,
    }
    if kind == WINDOW:
        group["window"] = window_tokens(f) or f.count("sliding_window")
    elif f.optional("index_topk"):
        group["sparse_top_k"] = f.count("index_topk")
        if f.get("indexer_types") != "shared":
            group |= {"index_heads": f.count("index_n_heads"), "index_head_dim": f.count("index_head_dim")}
    return LayerPart(_with_gates(f, h, {k: v for k, v in group.items() if v is not None}, FULL))


def _compress_rate(f: Fields) -> object:
    """Return how many tokens share an entry in a compressed layer, by the layer's name."""
    rates = f.inner("compress_rates")
    return rates.count(str(f.get("layer_types"))) if rates else f.get("compress_ratios")


def compressed(f: Fields, h: int, ratio: object) -> dict[str, Any]:
    """Return a DeepSeek-V4 layer: one vector for keys and values, shared by `ratio` tokens, beside a short window.

    Ratio 0 is the window alone; a fine ratio has an indexer that chooses `index_topk` entries.
    """
    heads, width, window = f.count("num_attention_heads"), f.count("head_dim"), f.count("sliding_window")
    rank, out_rank = f.count("q_lora_rank"), f.count("o_lora_rank")
    weights = h * rank + rank * heads * width + h * width
    weights += heads * width * out_rank + f.count("o_groups") * out_rank * h
    group: dict[str, Any] = {"kind": "gqa", "heads": heads, "kv_heads": 1, "head_dim": width, "shared_kv": True}
    group |= {"qk_rope_head_dim": rope} if (rope := f.optional("qk_rope_head_dim")) else {}
    if isinstance(ratio, bool) or not isinstance(ratio, int) or ratio < 0:
        f.fail("compress_ratios", f"{ratio!r} is not valid here; expected whole numbers of at least 0")
    if not ratio:
        return group | {"window": window, "parameters_per_layer": float(weights)}
    overlapping = 2 if ratio <= _FINE else 1
    weights += 2 * h * width * overlapping
    group |= {"compression": ratio, "state_elements": window * width}
    group |= {"compressor_tokens": ratio * overlapping, "local_window": window}
    if ratio <= _FINE:
        index_heads, index_width = f.count("index_n_heads"), f.count("index_head_dim")
        weights += rank * index_heads * index_width + h * index_heads + 2 * h * index_width * overlapping
        group |= {
            "sparse_top_k": f.count("index_topk") * ratio,
            "index_heads": index_heads,
            "index_head_dim": index_width,
        }
    return group | {"parameters_per_layer": float(weights)}


def searched_attention(f: Fields, h: int, block: Fields) -> LayerPart | None:
    """Return a layer of an architecture search (Nemotron-NAS): attention, a matrix in its place, or nothing."""
    own = block.inner("attention")
    if own is None or own.flag("no_op"):
        return None
    if own.flag("replace_with_linear"):
        return LayerPart({}, float(h * h))
    heads = f.count("num_attention_heads")
    width = f.optional("head_dim") or h // heads
    group = {"kind": "gqa", "heads": heads, "kv_heads": heads // own.count("n_heads_in_group"), "head_dim": width}
    return LayerPart(group, _small_weights(f, h, group))
