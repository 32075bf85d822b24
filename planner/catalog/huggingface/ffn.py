"""Feed-forward blocks of a Hugging Face config: one mapping of FfnGroup's fields per layer."""

from typing import Any

from planner.catalog.huggingface.fields import Fields, LayerPart
from planner.catalog.huggingface.kinds import DENSE

_MATRICES_SCALE = 4
"""Inner over hidden width where a config of the GPT-2 generation leaves it out."""
_NAS_MULTIPLE = 256
_PLAIN_ACTIVATIONS = ("relu", "relu2", "relu_squared", "squared_relu", "xielu")
"""Activations that no gated block has: two matrices, not three."""


def block(f: Fields, h: int, kind: str) -> LayerPart:
    """Return one layer's feed-forward block."""
    if kind == DENSE:
        receptance = h * h + 2 * h if f.string("mixer") == "rwkv" else 0  # gates the block's output, from its input
        return LayerPart({"intermediate_size": _dense_width(f, h)} | _shape(f), float(receptance))
    return _routed(f, h)


def image_experts(f: Fields, h: int) -> int:
    """Return one layer's weights of experts for images, with their router, in ERNIE-VL."""
    experts, widths = f.first(("num_experts",))[1], f.first(("moe_intermediate_size",))[1]
    if not isinstance(widths, list | tuple):
        return 0
    counts = experts if isinstance(experts, list | tuple) else [experts] * len(widths)
    try:
        return sum(int(n) * (3 * h * int(width) + h + 1) for n, width in zip(counts[1:], widths[1:], strict=True))
    except (TypeError, ValueError):
        return f.fail("moe_intermediate_size", "expected one width per kind of token, as many as moe_num_experts has")


def _text(f: Fields, *names: str) -> int:
    """Return a number of the experts for text, the first where each kind of token has its own."""
    name, value = f.first(names)
    if isinstance(value, list | tuple) and value:
        return Fields({name: value[0]}, f.where, f.text).count(name)
    return f.count(*names)


def _shape(f: Fields) -> dict[str, Any]:
    activation = f.string("hidden_act")
    gated = f.flag("gated", default=activation not in _PLAIN_ACTIVATIONS)
    return ({} if gated else {"gated": False}) | ({"bias": True} if f.flag("mlp_bias") else {})


def _dense_width(f: Fields, h: int) -> int:
    if f.has("ffn_proj_factor"):
        multiple = f.count("ffn_round_up_to_multiple_of")
        return -(-int(h * f.factor("ffn_proj_factor")) // multiple) * multiple
    own = f.optional("dense_intermediate_size")
    if own is None and not f.has("intermediate_size") and not f.flag("gated", default=True):
        return (f.optional("expansion_ratio") or _MATRICES_SCALE) * h
    width = own or f.count("intermediate_size")
    if f.flag("block_auto_adjust_ff_dim"):
        multiple = f.count("block_multiple_of")
        factor = f.get("block_ffn_dim_multiplier") or 1
        if not isinstance(factor, int | float):
            f.fail("block_ffn_dim_multiplier", f"{factor!r} is not valid here; expected a number")
        width = -(-int(2 * width / 3 * factor) // multiple) * multiple
    if f.flag("both_projections"):
        width //= 2
    return width * (2 if f.flag("use_double_wide_mlp") and f.flag("shares_cache") else 1)


def _routed(f: Fields, h: int) -> LayerPart:
    experts, top_k = _text(f, "num_experts"), _text(f, "num_experts_per_tok")
    unused = f.optional("zero_expert_num") or 0
    if top_k > experts + unused:
        name = f.first(("num_experts_per_tok",))[0]
        f.fail(name, f"{top_k} is more than the {experts} experts; expected at most that")
    # An expert that computes nothing takes its share of the choices.
    chosen = max(round(top_k * experts / (experts + unused)), 1)
    width = _text(f, "moe_intermediate_size", "intermediate_size")
    group = {"intermediate_size": width, "experts": experts, "experts_per_token": chosen} | _shape(f)
    group |= _shared(f, h, width)
    latent = f.optional("moe_latent_size")
    if latent:
        group["latent_size"] = latent
    biased = f.flag("router_bias") or f.string("topk_method") == "noaux_tc"
    gate = h if f.flag("shared_expert_gate") else 0
    return LayerPart(group, float((experts if biased else 0) + gate + unused * h))


def _shared(f: Fields, h: int, width: int) -> dict[str, Any]:
    """Return the shared experts; a dense block beside the experts (Gemma 4, Grok, Arctic) is one too."""
    if f.flag("enable_moe_block") or f.flag("residual_moe"):
        return {"shared_experts": 1, "shared_intermediate_size": f.count("intermediate_size")}
    if f.flag("use_residual"):
        return {"shared_experts": 1, "shared_intermediate_size": h}
    own = f.optional("shared_intermediate_size")
    count = f.optional("num_shared_experts") or (1 if own else 0)
    if not count:
        return {}
    return {"shared_experts": count} | ({"shared_intermediate_size": own} if own and own != width else {})


def searched_block(f: Fields, h: int, block: Fields) -> LayerPart | None:
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
