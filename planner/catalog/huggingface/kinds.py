"""Which kind each layer of a Hugging Face config is: its token mixers, and dense or routed feed-forward blocks."""

from typing import Any

from planner.catalog.huggingface.fields import Fields
from planner.errors import unknown

FULL, WINDOW, COMPRESSED, LINEAR, MAMBA, CONV, RECURRENT, RWKV, MLSTM = (
    "full",
    "window",
    "compressed",
    "linear",
    "mamba",
    "conv",
    "recurrent",
    "rwkv",
    "mlstm",
)
DENSE, MOE = "dense", "moe"

_KINDS = {
    "full_attention": (FULL,),
    "attention": (FULL,),
    "global": (FULL,),
    "hybrid": (FULL,),
    "deepseek_sparse_attention": (FULL,),
    "indexed_attention": (FULL,),
    "minimax_m3_sparse": (FULL,),
    "sliding_attention": (WINDOW,),
    "chunked_attention": (WINDOW,),
    "reference_sliding_attention": (WINDOW,),
    "hybrid_sliding": (WINDOW,),
    "local": (WINDOW,),
    "compressed_sparse_attention": (COMPRESSED,),
    "heavily_compressed_attention": (COMPRESSED,),
    "linear_attention": (LINEAR,),
    "mamba": (MAMBA,),
    "mamba2": (MAMBA,),
    "mamba+attention": (MAMBA, FULL),
    "conv": (CONV,),
    "short_conv": (CONV,),
    "recurrent": (RECURRENT,),
    "rwkv": (RWKV,),
    "mlstm": (MLSTM,),
    "mlp": (DENSE,),
    "dense": (DENSE,),
    "sparse": (MOE,),
    "moe": (MOE,),
    "hash_moe": (MOE,),
}
"""What the lists of a config call a layer."""
_LETTERS = {"M": (MAMBA,), "*": (FULL,), "-": (DENSE,), "E": (MOE,)}
_BLOCKS = {DENSE, MOE}
_DEEPEST = 10_000
_NO_EXPERTS = ("enable_moe_block", "is_moe", "use_moe")


def depth(f: Fields) -> int:
    """Return how many layers a config has."""
    lists = [f.listing(name) for name in ("layers_block_type", "layer_types")]
    named = next((len(found) for found in lists if found), None)
    if named and not f.has("num_hidden_layers"):
        return named
    layers = f.count("num_hidden_layers")
    if layers > _DEEPEST:
        f.fail("num_hidden_layers", f"{layers:,} is more than any real model has; expected at most {_DEEPEST:,}")
    return layers


def window_tokens(f: Fields) -> int | None:
    """Return the window of sliding or chunked attention; None where it is off or never reached."""
    if not f.flag("use_sliding_window", default=True):
        return None
    window = f.optional("sliding_window")
    longest = f.optional("max_position_embeddings")
    return None if window is None or (longest is not None and window >= longest) else window


def layer_kinds(f: Fields, layers: int) -> tuple[tuple[str, ...], ...]:
    """Return the parts of each layer: its token mixers, and DENSE or MOE where it has a feed-forward block.

    In some models (Nemotron-H) a layer is either a mixer or a block; in the others every layer has both.
    """
    pattern = f.string("hybrid_override_pattern")
    if pattern:
        if len(pattern) != layers or set(pattern) - set(_LETTERS):
            f.fail(
                "hybrid_override_pattern",
                f"{len(pattern)} letters for {layers} layers; expected one of M * - E per layer",
            )
        return tuple(_LETTERS[letter] for letter in pattern)
    mixers = _mixer_kinds(f, layers)
    if any(_BLOCKS & set(kinds) for kinds in mixers):
        return mixers
    return tuple((*kinds, *block) for kinds, block in zip(mixers, block_kinds(f, layers), strict=True))


def _mixer_kinds(f: Fields, layers: int) -> tuple[tuple[str, ...], ...]:
    """Return each layer's token mixers: listed by name, by number, by period, or one kind for all."""
    if cycle := f.listing("block_types"):
        return tuple(_known(f, "block_types", cycle[i % len(cycle)]) for i in range(layers))
    for name in ("layers_block_type", "layer_types", "attention_layers"):
        if named := f.per_layer(name, layers):
            return tuple(_known(f, name, n) for n in named)
    base = f.string("mixer")
    other = _known(f, "mixer", base) if base else (LINEAR,)
    if (full := _full_layers(f, layers)) is not None:
        return tuple((FULL,) if i in full else other for i in range(layers))
    if windows := f.per_layer("hybrid_layer_pattern", layers):
        return tuple((WINDOW,) if entry else (FULL,) for entry in windows)
    return (other,) * layers if base else tuple((kind,) for kind in _window_kinds(f, layers))


def _full_layers(f: Fields, layers: int) -> set[int] | None:
    """Return the layers with softmax attention in a hybrid; None where the config names none."""
    own = f.inner("linear_attn_config")
    if own:
        return {number - 1 for number in own.numbers("full_attn_layers")}
    if f.has("full_attention_layers"):
        return f.numbers("full_attention_layers")
    if types := f.per_layer("attn_type_list", layers):
        return {i for i, entry in enumerate(types) if entry}
    if every := f.optional("full_attention_interval"):
        last = range(layers // every * every, layers) if f.flag("tail_is_full") else ()
        return {i for i in range(layers) if (i + 1) % every == 0} | set(last)
    if period := f.optional("attn_layer_period"):
        offset = f.optional("attn_layer_offset") or 0
        return {i for i in range(layers) if i % period == offset}
    return None


def _window_kinds(f: Fields, layers: int) -> tuple[str, ...]:
    if window_tokens(f) is None:
        return (FULL,) * layers
    rope = f.per_layer("no_rope_layers", layers)
    if rope:
        return tuple(WINDOW if entry else FULL for entry in rope)
    if isinstance(letters := f.get("sliding_window_pattern"), str):
        return tuple(WINDOW if letters[i % len(letters)] == "L" else FULL for i in range(layers))
    period = f.optional("sliding_window_pattern", "no_rope_layer_interval", "global_attn_every_n_layers")
    if period:
        return tuple(WINDOW if (i + 1) % period else FULL for i in range(layers))
    first = f.optional("max_window_layers") or 0 if f.flag("use_sliding_window") else 0
    return tuple(WINDOW if i >= first else FULL for i in range(layers))


def block_kinds(f: Fields, layers: int) -> tuple[tuple[str, ...], ...]:
    """Return the kind of each layer's feed-forward block; empty for a model that has none."""
    if not f.flag("feed_forward", default=True):
        return ((),) * layers
    if not has_experts(f):
        return ((DENSE,),) * layers
    if named := f.per_layer("mlp_layer_types", layers):
        return tuple(_known(f, "mlp_layer_types", n) for n in named)
    if frequency := f.per_layer("moe_layer_freq", layers):
        f.settle("first_k_dense_replace")
        return tuple((MOE,) if entry else (DENSE,) for entry in frequency)
    return tuple((MOE,) if _is_routed(f, i, layers) else (DENSE,) for i in range(layers))


def has_experts(f: Fields) -> bool:
    """Return whether any layer routes to experts: one expert is a plain block."""
    name, value = f.first(("num_experts",))
    given = any(value) if isinstance(value, list | tuple) else (f.optional(name) or 0) > 1
    return given and all(f.flag(switch, default=True) for switch in _NO_EXPERTS)


def _is_routed(f: Fields, layer: int, layers: int) -> bool:
    """Return whether a layer has experts: by a list of numbers, a period, or after the first dense ones."""
    chosen = f.first(("moe_layers",))[1]
    if isinstance(chosen, str):
        return str(layer) in chosen.replace(" ", "").split(",")
    if chosen:
        return layer in f.listing("moe_layers")
    if layer in f.listing("mlp_only_layers"):
        return False
    first, last = _bound(f, "moe_layer_start_index", 0, min), _bound(f, "moe_layer_end_index", -1, max)
    if not first <= layer <= (last if last >= 0 else layers - 1):
        return False
    step = f.optional("decoder_sparse_step")
    if step:
        return (layer + 1) % step == 0
    dense, every = f.optional("first_k_dense_replace") or 0, f.optional("moe_layer_freq") or 1
    return layer >= dense and layer % every == (f.optional("expert_layer_offset") or 0)


def _bound(f: Fields, name: str, default: int, widest: Any) -> int:  # noqa: ANN401 - min or max
    """Return the first or last layer with experts; where kinds of token have their own, the widest range."""
    value = f.get(name)
    if isinstance(value, list | tuple) and value and all(isinstance(v, int) for v in value):
        return int(widest(value))
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        f.fail(name, f"{value!r} is not a whole number; expected the number of a layer")
    return default if value is None else int(value)


def _known(f: Fields, field: str, name: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever the file holds
    if not isinstance(name, str) or name not in _KINDS:
        f.fail(field, unknown("kind of layer", str(name), _KINDS))
    return _KINDS[name]
