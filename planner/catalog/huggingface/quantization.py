"""What a checkpoint's quantisation says: a format for all linear matrices, and other ones for matrices by name.

Each method writes this in its own way; all of them become a `Scheme`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from planner.catalog.huggingface.fields import Fields
from planner.documents.spec import shown
from planner.errors import unknown

ALGORITHMS = {
    "FP8": "fp8",
    "FP8_PB_WO": "fp8-block",
    "FP8_PB_REAL": "fp8-block",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "MXFP8": "mxfp8",
    "NVFP4": "nvfp4",
    "NVFP4_AWQ": "nvfp4",
    "NVFP4_SVDQUANT": "nvfp4",
    "W4A16_NVFP4": "nvfp4",
    "W4A8_NVFP4_FP8": "nvfp4",
    "MXFP4": "mxfp4",
    "W4A8_MXFP4_FP8": "mxfp4",
    "W4A16_AWQ": "int4",
    "W4A8_AWQ": "int4",
    "INT4_AWQ": "int4",
    "W4A16": "int4",
    "W8A16": "w8a16",
    "W8A8_SQ_PER_CHANNEL": "int8",
    "INT8_SQ": "int8",
}
"""Algorithms of NVIDIA's ModelOpt."""
_TORCHAO = {
    "float8": "fp8",
    "int4": "int4",
    "uint4": "int4",
    "int8": "int8",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "mxfp8": "mxfp8",
    "mxfp": "mxfp4",
}
_INTEGERS = {2: "int2", 3: "int3", 4: "int4", 5: "int5", 6: "int6", 8: "w8a16"}
"""Integer weights widened to 16 bit, by their bits."""
_GROUPED = {32: "int4-g32", 64: "int4-g64"}
"""Four-bit integers by the weights that share a scale; larger groups are int4."""
_FLOAT_BLOCK, _NVFP4_BLOCK = 32, 16
_BYTE_BITS, _HALF_BYTE_BITS = 8, 4
_EXCLUDED = (
    "modules_to_not_convert",
    "ignore",
    "ignored_layers",
    "exclude_modules",
    "exclude",
    "skip_modules",
    "llm_int8_skip_modules",
)
Rules = tuple[tuple[str, str | None], ...]


class Scheme(NamedTuple):
    """Formats of a checkpoint's matrices."""

    default: str | None = None
    """Format of linear matrices that no rule names; None is not quantised."""
    rules: Rules = ()
    """Pattern of a name -> format, None for not quantised; the first that fits wins."""
    listed: tuple[tuple[str, str], ...] = ()
    """Name -> format, where the checkpoint lists every matrix that it quantises."""
    embedding: bool = False
    """Whether token embedding and head have the default format too."""


def scheme_of(q: Fields) -> Scheme:
    """Return what a quantization_config says. Raises BadInputError for a method or a number format we do not know."""
    method, algorithm = q.string("quant_method").lower(), q.string("quant_algo").upper()
    listed = tuple(_listed(q))
    excluded: Rules = tuple((str(p), None) for name in _EXCLUDED for p in q.listing(name))
    if algorithm and algorithm != "MIXED_PRECISION":
        return Scheme(_algorithm(q, algorithm), excluded, listed)
    if method in {"fp8", "fbgemm_fp8"}:
        return Scheme(_eight_bit(q), () if listed else excluded, listed)
    if method == "compressed-tensors" and not q.mapping("config_groups"):
        q.fail("config_groups", "is empty or missing; expected the format of each group of matrices")
    if q.mapping("config_groups"):
        return _compressed_tensors(q, excluded, listed)
    if listed:
        return Scheme(None, (), listed)
    if not method and q.data.get("bits") is not None:
        return _mlx(q, excluded)
    if method not in _METHODS:
        known = ("fp8", "fbgemm_fp8", *_METHODS, "compressed-tensors", "modelopt")
        q.fail("quant_method", unknown("quantization method", method, known))
    own = _METHODS[method](q)
    return own._replace(rules=excluded + own.rules)


def cache_format(q: Fields) -> str | None:
    """Return the format in which the checkpoint means its KV cache to be held, or None where it does not say."""
    for name in ("kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_quant_config"):
        value = q.data.get(name)
        if value in (None, {}, "", "auto", "none"):
            continue
        if isinstance(value, str):
            formats = {"fp8": "fp8", "nvfp4": "nvfp4", "int8": "int8", "static": "fp8", "dynamic": "fp8"}
            return formats.get(value.lower()) or q.fail(name, unknown("number format", value, formats))
        own = q.nested(name, value)
        if name == "kv_cache_quant_config":
            own = own.nested(name, next(iter(own.data.values())))
            return _quark_dtype(q, own.inner("output_tensors") or own)
        kind = own.string("type")
        if own.count("num_bits") == _HALF_BYTE_BITS:
            return "nvfp4" if kind == "float" else "int4"
        return "int8" if kind == "int" else "fp8"
    return None


def _eight_bit(q: Fields) -> str:
    sizes = q.listing("weight_block_size")
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes)
    if sizes and not (whole and len(sizes) == len(("rows", "columns"))):
        q.fail(
            "weight_block_size", f"{list(sizes)} is not valid here; expected the two sides of a block, as [128, 128]"
        )
    return "fp8-block" if sizes else "fp8"


def _algorithm(q: Fields, name: str) -> str:
    if name not in ALGORITHMS:
        q.fail("quant_algo", unknown("quantization algorithm", name, ALGORITHMS))
    return ALGORITHMS[name]


def _integer(q: Fields, bits: int, group: object) -> str:
    """Return the format of integer weights that are widened to 16 bit for the product."""
    if bits not in _INTEGERS:
        q.fail("quantization_config", f"{bits}-bit integers are not supported; expected 2 to 6 or 8 bits")
    if group is not None and (isinstance(group, bool) or not isinstance(group, int) or group == 0 or group < -1):
        q.fail("group_size", f"{shown(group)} is not valid here; expected a whole number, or -1 for whole rows")
    fmt = _INTEGERS[bits]
    return _GROUPED.get(group, fmt) if isinstance(group, int) and bits == _HALF_BYTE_BITS else fmt


def _compressed_tensors(q: Fields, excluded: Rules, listed: tuple[tuple[str, str], ...]) -> Scheme:
    """Return the groups of llm-compressor: targets are patterns of names, or classes of layers (Linear)."""
    default: str | None = None
    rules: list[tuple[str, str | None]] = []
    groups = [q.nested("config_groups", group) for group in q.mapping("config_groups").values()]
    for group in groups:
        if q.string("quant_algo") and group.inner("weights") is None:
            continue
        fmt = _weights(q, group)
        targets = [str(target) for target in group.listing("targets")]
        patterns = [t for t in targets if t.startswith("re:") or ("." in t and "*" in t)]
        rules += [(pattern, fmt) for pattern in patterns]
        if default is None and (not targets or any("." not in t and not t.startswith("re:") for t in targets)):
            default = fmt
    return Scheme(default, excluded + tuple(rules), listed)


def _weights(q: Fields, group: Fields) -> str:
    """Return the format of a compressed-tensors group: bits, type and group size of its weights."""
    weights = group.inner("weights") or q
    bits, kind, block = weights.count("num_bits"), weights.string("type"), weights.data.get("group_size")
    if kind == "int":
        activations = group.inner("input_activations")
        both = activations is not None and activations.data.get("num_bits") == bits == _BYTE_BITS
        return "int8" if both else _integer(q, bits, block)
    if bits == _BYTE_BITS:
        in_blocks = weights.string("strategy") == "block"
        return "mxfp8" if block == _FLOAT_BLOCK else "fp8-block" if in_blocks else "fp8"
    if bits == _HALF_BYTE_BITS and block in (_NVFP4_BLOCK, _FLOAT_BLOCK):
        return "nvfp4" if block == _NVFP4_BLOCK else "mxfp4"
    return q.fail(
        "config_groups", f"{bits}-bit {kind} in groups of {block} is not known; expected fp8, nvfp4, mxfp4 or int"
    )


def _listed(q: Fields) -> Iterator[tuple[str, str]]:
    """Yield name -> format of the matrices a checkpoint lists one by one."""
    for name, own in q.mapping("quantized_layers").items():
        yield name, _algorithm(q, q.nested("quantized_layers", own).string("quant_algo").upper())
    for value in q.mapping("config_groups").values():
        group = q.nested("config_groups", value)
        names = [str(t) for t in group.listing("targets") if "." in str(t) and not str(t).startswith("re:")]
        fmt = _weights(q, group) if names else ""
        yield from ((name, fmt) for name in names if "*" not in name)


def _group_of_integers(q: Fields) -> Scheme:
    """Return AWQ, GPTQ and AutoRound; GPTQModel's `dynamic` and AutoRound's `extra_config` name the exceptions."""
    bits, group = q.count("bits"), q.data.get("group_size")
    rules: list[tuple[str, str | None]] = []
    for pattern, changes in q.mapping("dynamic").items():
        own = q.nested("dynamic", changes)
        fmt = _integer(q, own.optional("bits") or bits, own.data.get("group_size", group))
        rules.append((f"re:{pattern.removeprefix('+:').removeprefix('-:')}", None if pattern[:2] == "-:" else fmt))
    for name, changes in q.mapping("extra_config").items():
        own = q.nested("extra_config", changes)
        width = own.optional("bits") or bits
        quantised = width <= _BYTE_BITS
        rules.append((name, _integer(q, width, own.data.get("group_size", group)) if quantised else None))
    return Scheme(_integer(q, bits, group), tuple(rules))


def _mlx(q: Fields, excluded: Rules) -> Scheme:
    """Return MLX's quantisation: embedding and head too; keys with a dot name a matrix each, false leaves it alone."""

    def fmt(own: Fields) -> str:
        mode = own.string("mode") or q.string("mode") or "affine"
        if mode in {"mxfp4", "nvfp4", "mxfp8"}:
            return mode
        if mode != "affine":
            q.fail("mode", unknown("quantization mode", mode, ("affine", "mxfp4", "mxfp8", "nvfp4")))
        bits, group = own.optional("bits") or q.count("bits"), own.optional("group_size") or q.optional("group_size")
        # A bias of 16 bit stands beside every scale: as many bytes as scales alone in groups half as large.
        return _integer(q, bits, group // 2 if group else None)

    named = {
        name.replace("switch_mlp", "experts"): value
        for name, value in q.data.items()
        if "." in name and isinstance(value, bool | dict)
    }
    rules = tuple(
        (name, None if own is False else fmt(q if own is True else q.nested(name, own))) for name, own in named.items()
    )
    return Scheme(fmt(q), excluded + rules, embedding=True)


def _mxfp4(_: Fields) -> Scheme:
    return Scheme(None, ((r"re:.*\.experts\b.*", "mxfp4"),))


def _bitsandbytes(q: Fields) -> Scheme:
    return Scheme("nf4" if q.flag("load_in_4bit") or q.flag("_load_in_4bit") else "int8")


def _hqq(q: Fields) -> Scheme:
    """Return HQQ's quantisation: one setting, or one by the last part of a matrix's name."""
    own = q.inner("quant_config") or q

    def fmt(setting: Fields) -> str:
        weights = setting.inner("weight_quant_params") or setting
        return _integer(q, weights.count("nbits"), weights.data.get("group_size"))

    if own.inner("weight_quant_params") is not None or own.data.get("nbits") is not None:
        return Scheme(fmt(own))
    rules = tuple(
        (name, None if value is None else fmt(q.nested("quant_config", value)))
        for name, value in own.data.items()
        if isinstance(value, dict)
    )
    return Scheme(None, rules) if rules else q.fail("quant_config", "names no bits; expected weight_quant_params")


def _quark(q: Fields) -> Scheme:
    """Return AMD Quark's quantisation: one setting, and others for layers by pattern."""

    def fmt(setting: Fields) -> str | None:
        weight: Any = setting.data.get("weight")
        if isinstance(weight, list | tuple):
            weight = weight[-1] if weight else None  # in stages: the last is what is stored
        return None if weight is None else _quark_dtype(q, q.nested("weight", weight))

    everywhere = q.inner("global_quant_config")
    rules = tuple(
        (pattern, fmt(q.nested("layer_quant_config", own))) for pattern, own in q.mapping("layer_quant_config").items()
    )
    return Scheme(fmt(everywhere) if everywhere else None, rules)


def _quark_dtype(q: Fields, tensor: Fields) -> str:
    dtype, group = tensor.string("dtype").lower(), tensor.data.get("group_size")
    if dtype.startswith("fp8"):
        return "fp8"
    if dtype in {"fp4", "mx", "mxfp4"}:
        return "nvfp4" if group == _NVFP4_BLOCK else "mxfp4"
    if dtype == "int8":
        return "int8"
    if dtype in {"int4", "uint4"}:
        return _integer(q, _HALF_BYTE_BITS, group)
    return q.fail("dtype", unknown("number format", dtype, ("fp8_e4m3", "fp8_e5m2", "fp4", "int8", "int4", "uint4")))


def _torchao(q: Fields) -> Scheme:
    """Return torchao's quantisation: the name of a function, a configuration, or configurations by name of matrix."""
    kind = q.data.get("quant_type")
    embedding = q.flag("include_input_output_embeddings")
    if isinstance(kind, str):
        options = q.inner("quant_type_kwargs") or q
        return Scheme(_torchao_format(q, kind, options), embedding=embedding)
    own = q.inner("quant_type") or q.fail("quant_type", "is missing; expected a configuration of torchao")
    default = own.inner("default") or own
    by_name = (default.inner("_data") or default).inner("module_fqn_to_config") or (
        default.inner("_data") or default
    ).inner("fqn_to_config")
    if by_name is None:
        return Scheme(_torchao_setting(q, default.data), embedding=embedding)
    rules = tuple((name, _torchao_setting(q, one)) for name, one in by_name.data.items() if name != "_default")
    return Scheme(_torchao_setting(q, by_name.data.get("_default")), rules, embedding=embedding)


def _torchao_setting(q: Fields, value: object) -> str | None:
    if value is None:
        return None
    own = q.nested("quant_type", value)
    return _torchao_format(q, own.string("_type"), own.inner("_data") or own)


def _torchao_format(q: Fields, name: str, options: Fields) -> str:
    """Return the format that a configuration's name says: Int4WeightOnlyConfig, float8_weight_only, ..."""
    plain = name.lower().replace("_", "")
    if "intx" in plain:
        dtype = options.data.get("weight_dtype")
        text = str(dtype.get("_data") if isinstance(dtype, dict) else dtype or "")
        digits = "".join(c for c in text if c.isdigit())
        return _integer(q, int(digits) if digits else _HALF_BYTE_BITS, options.data.get("group_size", _FLOAT_BLOCK))
    # The weights' format is the last one named: Int8DynamicActivationInt4WeightConfig holds int4.
    found = [(plain.rfind(word), len(word), fmt) for word, fmt in _TORCHAO.items() if word in plain]
    if not found:
        known = ("Int4WeightOnlyConfig", "Int8WeightOnlyConfig", "Float8WeightOnlyConfig")
        q.fail("quant_type", unknown("configuration of torchao", name, known))
    fmt = max(found)[2]
    if fmt == "int8" and "activation" not in plain:
        return "w8a16"
    if fmt == "fp8" and "perblock" in str(options.data.get("granularity")).lower():
        return "fp8-block"
    return _integer(q, _HALF_BYTE_BITS, options.data.get("group_size")) if fmt == "int4" else fmt


_METHODS: dict[str, Callable[[Fields], Scheme]] = {
    "mxfp4": _mxfp4,
    "awq": _group_of_integers,
    "gptq": _group_of_integers,
    "auto-round": _group_of_integers,
    "bitsandbytes": _bitsandbytes,
    "hqq": _hqq,
    "quark": _quark,
    "torchao": _torchao,
}
