"""Linear mixers of a Hugging Face config: gated DeltaNet, Kimi delta attention, Mamba-2.

The recurrent state and the last inputs of the convolution are kept per sequence; both are counted at the
state's number format, which overstates the convolution's few elements where that is 32 bits.
"""

from typing import Any

from planner.catalog.huggingface.fields import Fields
from planner.errors import unknown

_STATE_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}


def delta_net(f: Fields, h: int) -> dict[str, Any]:
    """Return a gated DeltaNet layer (Qwen3-Next, Qwen3.5): key and value heads of their own numbers and widths."""
    key_heads, value_heads = f.count("linear_num_key_heads"), f.count("linear_num_value_heads")
    key_dim, value_dim = f.count("linear_key_head_dim"), f.count("linear_value_head_dim")
    keys, values = key_heads * key_dim, value_heads * value_dim
    kernel = f.count("linear_conv_kernel_dim")
    channels = 2 * keys + values
    projections = h * (channels + values + 2 * value_heads) + values * h
    small = channels * kernel + 2 * value_heads + value_dim
    return _linear(
        f, value_heads, key_dim, value_heads * key_dim * value_dim + channels * (kernel - 1), projections + small
    )


def kimi_delta(f: Fields, h: int) -> dict[str, Any]:
    """Return a Kimi delta attention layer: a decay per channel, from a low-rank projection."""
    own = f.inner("linear_attn_config") or f
    heads, width, kernel = own.count("num_heads"), own.count("head_dim"), own.count("short_conv_kernel_size")
    inner = heads * width
    low_rank = h * width + width * inner
    gate = h * inner if own.flag("use_full_rank_gate") else low_rank
    weights = 4 * h * inner + gate + low_rank + h * heads + 3 * inner * kernel + inner + heads + width
    return _linear(f, heads, width, inner * width + 3 * inner * (kernel - 1), weights)


def mamba2(f: Fields, h: int) -> dict[str, Any]:
    """Return a Mamba-2 layer: B and C are shared by groups of heads."""
    heads, width = f.count("mamba_num_heads"), f.count("mamba_head_dim")
    state, groups, kernel = f.count("ssm_state_size"), f.count("n_groups"), f.count("conv_kernel")
    inner = heads * width
    channels = inner + 2 * groups * state
    weights = h * (inner + channels + heads) + inner * h + channels * (kernel + 1) + 3 * heads + inner
    return _linear(f, heads, width, inner * state + channels * (kernel - 1), weights)


def _linear(f: Fields, heads: int, head_dim: int, state: int, parameters: int) -> dict[str, Any]:
    name, _ = f.first(("mamba_ssm_cache_dtype", "mamba_ssm_dtype"))
    dtype = f.string(name)
    if dtype and dtype not in _STATE_BYTES:
        f.fail(name, unknown("number format", dtype, _STATE_BYTES))
    return {
        "kind": "linear",
        "heads": heads,
        "head_dim": head_dim,
        "state_elements": state,
        "state_bytes_per_element": _STATE_BYTES[dtype or "bfloat16"],
        "parameters_per_layer": float(parameters),
    }
