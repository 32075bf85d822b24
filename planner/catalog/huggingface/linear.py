"""Mixers with a state of constant size: DeltaNet, Kimi delta, lightning, Mamba, convolutions, RG-LRU, RWKV, mLSTM.

The recurrent state and the last inputs of the convolution are kept per sequence; both are counted at the
state's number format, which overstates the convolution's few elements where that is 32 bits.
"""

from typing import Any

from planner.catalog.huggingface.fields import Fields
from planner.catalog.huggingface.kinds import CONV, LINEAR, MLSTM, RECURRENT, RWKV
from planner.errors import unknown

_STATE_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}


def recurrent(f: Fields, h: int, kind: str) -> dict[str, Any]:
    """Return a layer with a state: its fields tell which of the kinds that share a name it is."""
    if kind in _ALONE:
        return _ALONE[kind](f, h)
    if kind == LINEAR and (f.inner("linear_attn_config") or f.has("linear_num_heads")):
        return kimi_delta(f, h)
    if kind == LINEAR and f.has("linear_num_value_heads"):
        return delta_net(f, h)
    if f.has("ssm_state_size"):
        return mamba2(f, h) if f.has("mamba_head_dim", "n_groups") else mamba1(f, h)
    if f.string("linear_kind") == "lightning" or f.has("attn_type_list"):
        return lightning(f, h)
    return f.fail(
        "layer_types", "linear attention of an unknown kind; expected the sizes of its heads (linear_*, mamba_*)"
    )


def delta_net(f: Fields, h: int) -> dict[str, Any]:
    """Return a gated DeltaNet layer (Qwen3-Next, Qwen3.5): key and value heads of their own numbers and widths."""
    key_heads, value_heads = f.count("linear_num_key_heads"), f.count("linear_num_value_heads")
    key_dim, value_dim = f.count("linear_key_head_dim"), f.count("linear_value_head_dim")
    keys, values = key_heads * key_dim, value_heads * value_dim
    kernel = f.count("linear_conv_kernel_dim")
    channels = 2 * keys + values
    projections = h * (channels + values + 2 * value_heads) + values * h
    small = channels * kernel + 2 * value_heads + value_dim
    state = value_heads * key_dim * value_dim + channels * (kernel - 1)
    return _linear(f, value_heads, key_dim, state, projections + small) | {"kv_heads": key_heads}


def kimi_delta(f: Fields, h: int) -> dict[str, Any]:
    """Return a Kimi delta attention layer: a decay per channel, from a low-rank projection."""
    own = f.inner("linear_attn_config")
    if own:
        heads, width, kernel = own.count("num_heads"), own.count("head_dim"), own.count("short_conv_kernel_size")
    else:
        heads, width, kernel = (
            f.count("linear_num_heads"),
            f.count("linear_head_dim"),
            f.count("linear_conv_kernel_dim"),
        )
    inner = heads * width
    low_rank = h * width + width * inner
    gate = h * inner if (own or f).flag("use_full_rank_gate") else low_rank
    weights = 4 * h * inner + gate + low_rank + h * heads + 3 * inner * kernel + inner + heads + width
    return _linear(f, heads, width, inner * width + 3 * inner * (kernel - 1), weights)


def lightning(f: Fields, h: int) -> dict[str, Any]:
    """Return a lightning attention layer (MiniMax-Text, Ring-linear): a fixed decay per head, and an output gate."""
    heads = f.count("num_attention_heads")
    width = f.optional("head_dim") or h // heads
    inner = heads * width
    return _linear(f, heads, width, inner * width, 5 * h * inner + inner)


def mamba1(f: Fields, h: int) -> dict[str, Any]:
    """Return a Mamba layer: every channel has a state of its own, its step from a low-rank projection."""
    inner = (f.optional("mamba_expand") or 2) * h
    state, kernel = f.count("ssm_state_size"), f.count("conv_kernel")
    rank = f.optional("time_step_rank") or -(-h // 16)
    weights = 3 * h * inner + inner * (kernel + 1) + inner * (rank + 2 * state) + inner * (rank + 1)
    return _linear(f, inner, 1, inner * state + inner * (kernel - 1), weights + inner * (state + 1))


def mamba2(f: Fields, h: int) -> dict[str, Any]:
    """Return a Mamba-2 layer: B and C are shared by groups of heads."""
    heads = f.count("mamba_num_heads", "num_heads")
    named = f.first(("mamba_head_dim", "head_dim"))[1]  # "auto": the expanded width over the heads
    width = (f.optional("mamba_expand") or 2) * h // heads if named == "auto" else f.count("mamba_head_dim", "head_dim")
    state, groups, kernel = f.count("ssm_state_size"), f.optional("n_groups") or 1, f.count("conv_kernel")
    f.settle("mamba_expand", "mamba_d_ssm", "time_step_rank")
    inner = heads * width
    channels = inner + 2 * groups * state
    weights = h * (inner + channels + heads) + inner * h + channels * (kernel + 1) + 3 * heads + inner
    return _linear(f, heads, width, inner * state + channels * (kernel - 1), weights) | {"kv_heads": groups}


def short_convolution(f: Fields, h: int) -> dict[str, Any]:
    """Return a gated short convolution (LFM2): three projections in, one out, and its last inputs as state."""
    kernel = f.count("conv_L_cache")
    return _linear(f, h, 1, h * kernel, 4 * h * h + h * kernel)


def gated_recurrence(f: Fields, h: int) -> dict[str, Any]:
    """Return a gated linear recurrence (RecurrentGemma): block-diagonal gates, one number of state per channel."""
    width, kernel, heads = f.optional("lru_width") or h, f.count("conv1d_width"), f.count("num_attention_heads")
    gates = 2 * (width * width // heads + width) + width
    weights = 3 * h * width + 2 * width + h + width * (kernel + 1) + gates
    return _linear(f, heads, width // heads, width + width * (kernel - 1), weights)


def rwkv(f: Fields, h: int) -> dict[str, Any]:
    """Return a time-mixing layer of RWKV 4: numerator, denominator and largest exponent per channel, and two inputs."""
    width = f.optional("attention_hidden_size") or h
    return _linear(f, width, 1, 3 * width + 2 * h, 4 * h * width + 2 * width + 3 * h)


def mlstm(f: Fields, h: int) -> dict[str, Any]:
    """Return an mLSTM layer (xLSTM): a matrix of keys and values per head, its normaliser and its largest gate."""
    heads = f.count("num_attention_heads")
    keys, values = (int(h * f.factor(name)) for name in ("qk_dim_factor", "v_dim_factor"))
    key_dim, value_dim = keys // heads, values // heads
    weights = h * (2 * keys + 2 * values) + 2 * heads * (h + 1) + values + values * h
    return _linear(f, heads, key_dim, heads * (key_dim * value_dim + key_dim + 1), weights)


_ALONE = {CONV: short_convolution, RECURRENT: gated_recurrence, RWKV: rwkv, MLSTM: mlstm}
"""Kinds that only one architecture has."""


def _linear(f: Fields, heads: int, head_dim: int, state: int, parameters: int) -> dict[str, Any]:
    name, _ = f.first(("mamba_ssm_dtype",))
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
