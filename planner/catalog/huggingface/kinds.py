"""Which kind each layer of a Hugging Face config is: full, window or linear attention; dense or routed experts."""

from typing import Any

from planner.catalog.huggingface.fields import Fields
from planner.errors import unknown

FULL, WINDOW, LINEAR, MAMBA, DENSE, MOE, NONE = "full", "window", "linear", "mamba", "dense", "moe", "none"

_PATTERN = {"M": MAMBA, "*": FULL, "-": DENSE, "E": MOE}
_BLOCK_TYPES = {"mamba": MAMBA, "attention": FULL, "mlp": DENSE, "moe": MOE}
_LAYER_TYPES = {
    "full_attention": FULL,
    "attention": FULL,
    "global": FULL,
    "deepseek_sparse_attention": FULL,
    "sliding_attention": WINDOW,
    "chunked_attention": WINDOW,
    "local": WINDOW,
    "linear_attention": LINEAR,
}
_DEEPEST = 10_000
EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")


def depth(f: Fields) -> int:
    """Return how many layers a config has."""
    blocks = f.listing("layers_block_type")
    if blocks and f.data.get("num_hidden_layers") is None:
        return len(blocks)
    layers = f.count("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    if layers > _DEEPEST:
        f.fail("num_hidden_layers", f"{layers:,} is more than any real model has; expected at most {_DEEPEST:,}")
    return layers


def interleaved(f: Fields, layers: int) -> tuple[str, ...] | None:
    """Return the kinds of a model whose layers are either a mixer or a feed-forward block (Nemotron-H), else None."""
    pattern = f.string("hybrid_override_pattern")
    if pattern:
        if len(pattern) != layers or set(pattern) - set(_PATTERN):
            f.fail(
                "hybrid_override_pattern",
                f"{len(pattern)} letters for {layers} layers; expected one of M * - E per layer",
            )
        return tuple(_PATTERN[letter] for letter in pattern)
    names = f.per_layer("layers_block_type", layers)
    return None if names is None else tuple(_known(f, "layers_block_type", n, _BLOCK_TYPES) for n in names)


def window_tokens(f: Fields) -> int | None:
    """Return the window of sliding or chunked attention; None where it is off or never reached."""
    if not f.flag("use_sliding_window", default=True):
        return None
    window = f.optional("sliding_window", "sliding_window_size", "attention_chunk_size")
    longest = f.optional("max_position_embeddings")
    return None if window is None or (longest is not None and window >= longest) else window


def mixer_kinds(f: Fields, layers: int) -> tuple[str, ...]:
    """Return the kind of each layer's token mixer."""
    blocks = interleaved(f, layers)
    if blocks:
        return tuple(k if k in {FULL, MAMBA} else NONE for k in blocks)
    linear = f.inner("linear_attn_config")
    if linear:
        full = linear.listing("full_attn_layers")
        return tuple(FULL if i + 1 in full else LINEAR for i in range(layers))
    named = f.per_layer("layer_types", layers)
    if named:
        return tuple(_known(f, "layer_types", n, _LAYER_TYPES) for n in named)
    pattern = f.per_layer("hybrid_layer_pattern", layers)
    if pattern:
        return tuple(WINDOW if entry else FULL for entry in pattern)
    interval = f.optional("full_attention_interval")
    if interval:
        return tuple(FULL if (i + 1) % interval == 0 else LINEAR for i in range(layers))
    return _window_kinds(f, layers)


def _window_kinds(f: Fields, layers: int) -> tuple[str, ...]:
    if window_tokens(f) is None:
        return (FULL,) * layers
    rope = f.per_layer("no_rope_layers", layers)
    if rope:
        return tuple(WINDOW if entry else FULL for entry in rope)
    period = f.optional("sliding_window_pattern", "no_rope_layer_interval")
    if period:
        return tuple(WINDOW if (i + 1) % period else FULL for i in range(layers))
    first = f.optional("max_window_layers") or 0 if f.flag("use_sliding_window") else 0
    return tuple(WINDOW if i >= first else FULL for i in range(layers))


def block_kinds(f: Fields, layers: int) -> tuple[str, ...]:
    """Return the kind of each layer's feed-forward block."""
    blocks = interleaved(f, layers)
    if blocks:
        return tuple(k if k in {DENSE, MOE} else NONE for k in blocks)
    if f.optional(*EXPERTS) is None or not f.flag("enable_moe_block", default=True):
        return (DENSE,) * layers
    named = f.per_layer("mlp_layer_types", layers)
    if named:
        return tuple(MOE if n == "sparse" else DENSE for n in named)
    frequency = f.per_layer("moe_layer_freq", layers)
    if frequency:
        return tuple(MOE if entry else DENSE for entry in frequency)
    return tuple(MOE if _has_experts(f, i) else DENSE for i in range(layers))


def _has_experts(f: Fields, layer: int) -> bool:
    chosen = f.string("moe_layers_enum")
    if chosen:
        return str(layer) in chosen.replace(" ", "").split(",")
    step = f.optional("interleave_moe_layer_step", "decoder_sparse_step")
    if step:
        return (layer + 1) % step == 0 and layer not in f.listing("mlp_only_layers")
    first, every = f.optional("first_k_dense_replace") or 0, f.optional("moe_layer_freq") or 1
    return layer >= first and layer % every == 0


def _known(f: Fields, field: str, name: Any, known: dict[str, str]) -> str:  # noqa: ANN401 - whatever the file holds
    if not isinstance(name, str) or name not in known:
        f.fail(field, unknown("kind of layer", str(name), known))
    return known[name]
