"""Feed-forward blocks of a Hugging Face config: one mapping of FfnGroup's fields per layer."""

from typing import Any

from planner.catalog.huggingface.fields import Fields, LayerPart
from planner.catalog.huggingface.kinds import DENSE, EXPERTS, MOE, NONE, block_kinds

_MATRICES_SCALE = 4
"""Inner over hidden width where a config of the GPT-2 generation leaves it out."""
_NAS_MULTIPLE = 256
_TOP_K = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "top_k_experts",
    "moe_top_k",
    "moe_topk",
    "moe_k",
)
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
_SHARED_WIDTH = (
    "moe_shared_expert_intermediate_size",
    "shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
)
_SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")


def blocks(f: Fields, h: int, layers: int) -> list[LayerPart]:
    """Return the feed-forward blocks of all layers that have one."""
    searched = f.per_layer("block_configs", layers)
    if searched:
        return [b for block in searched if (b := _searched(f, h, f.nested("block_configs", block))) is not None]
    kinds = block_kinds(f, layers)
    made = {
        DENSE: lambda: LayerPart({"intermediate_size": _dense_width(f, h)} | _shape(f)),
        MOE: lambda: _routed(f, h),
    }
    of_kind = {kind: made[kind]() for kind in dict.fromkeys(kinds) if kind != NONE}
    return [of_kind[kind] for kind in kinds if kind != NONE]


def _shape(f: Fields) -> dict[str, Any]:
    shape = {} if f.flag("gated", default=True) else {"gated": False}
    return shape | ({"bias": True} if f.flag("mlp_bias") else {})


def _dense_width(f: Fields, h: int) -> int:
    own = f.optional("dense_intermediate_size", "intermediate_size_mlp")
    names = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
    if own is None and f.first(names)[1] is None and not f.flag("gated", default=True):
        return _MATRICES_SCALE * h
    return own or f.count(*names)


def _routed(f: Fields, h: int) -> LayerPart:
    experts, top_k = f.count(*EXPERTS), f.count(*_TOP_K)
    if top_k > experts:
        f.fail(f.first(_TOP_K)[0], f"{top_k} is more than the {experts} experts; expected at most that")
    width = f.count(*_EXPERT_WIDTH)
    group = {"intermediate_size": width, "experts": experts, "experts_per_token": top_k} | _shape(f) | _shared(f, width)
    latent = f.optional("moe_latent_size", "routed_expert_hidden_size")
    if latent:
        group["latent_size"] = latent
    other = (
        experts if f.flag("router_bias") or f.flag("use_routing_bias") or f.string("topk_method") == "noaux_tc" else 0
    )
    return LayerPart(group, float(other + (h if f.flag("shared_expert_gate") else 0)))


def _shared(f: Fields, width: int) -> dict[str, Any]:
    """Return the shared experts; a dense block beside the experts (Gemma 4) is one too."""
    if f.flag("enable_moe_block"):
        return {"shared_experts": 1, "shared_intermediate_size": f.count("intermediate_size")}
    own = f.optional(*_SHARED_WIDTH)
    count = f.optional(*_SHARED) or (1 if own else 0)
    if not count:
        return {}
    return {"shared_experts": count} | ({"shared_intermediate_size": own} if own and own != width else {})


def _searched(f: Fields, h: int, block: Fields) -> LayerPart | None:
    """Return a block of an architecture search (Nemotron-NAS); its width is a multiple of the hidden size."""
    own = block.inner("ffn")
    if own is None or own.flag("no_op"):
        return None
    if own.flag("replace_with_linear"):
        return LayerPart({}, float(h * h))
    multiple = own.data.get("ffn_mult")
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not multiple > 0:
        f.fail("block_configs", f"ffn_mult {multiple!r} is not valid here; expected a number above 0")
    width = int(2 * multiple * h / 3)
    return LayerPart({"intermediate_size": -(-width // _NAS_MULTIPLE) * _NAS_MULTIPLE} | _shape(f))
