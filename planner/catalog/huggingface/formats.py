"""Number formats of a published checkpoint, from its quantization_config or the hf_quant_config.json beside it."""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterator

from planner.catalog.huggingface.fields import Fields
from planner.errors import unknown

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_ALGORITHMS = {
    "FP8": "fp8",
    "FP8_PB_WO": "fp8-block",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "MXFP8": "mxfp8",
    "NVFP4": "nvfp4",
    "W4A16_NVFP4": "nvfp4",
    "MXFP4": "mxfp4",
    "W4A8_MXFP4_FP8": "mxfp4",
    "W4A16_AWQ": "int4",
    "W4A8_AWQ": "int4",
    "W4A16": "int4",
    "W8A16": "int8",
    "W8A8_SQ_PER_CHANNEL": "int8",
}
_FLOAT_BLOCK, _INT_BLOCK, _NVFP4_BLOCK = 32, 32, 16
_BYTE_BITS, _HALF_BYTE_BITS = 8, 4
_BY_METHOD = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "mxfp4"}
_INTEGER_METHODS = ("awq", "gptq", "auto-round")
_PROBES = {
    "attention": (
        "self_attn.q_proj",
        "self_attn.q_b_proj",
        "linear_attn.out_proj",
        "attn.wq_b",
        "mixer.q_proj",
        "mixer.in_proj",
    ),
    "ffn": (
        "mlp.shared_experts.down_proj",
        "mlp.shared_expert.down_proj",
        "ffn.shared_experts.w2",
        "mlp.down_proj",
        "mixer.shared_experts.down_proj",
    ),
    "experts": (
        "mlp.experts.0.down_proj",
        "block_sparse_moe.experts.0.w2",
        "ffn.experts.0.w2",
        "mixer.experts.0.down_proj",
        "experts.0.down_proj",
    ),
}
"""Names of matrices in checkpoints, to ask an exclusion list about a component."""
_LAYER = re.compile(r"layers\.(\d+)")
_COMPONENT_OF_NAME = (
    ("experts", re.compile(r"(?<!shared_)experts\b")),
    ("attention", re.compile(r"attn|attention|mixer\.(q|k|v|o|in|out)_proj")),
    ("ffn", re.compile(r"shared_expert|mlp|ffn|mixer\.(up|down)_proj")),
)


def weight_formats(f: Fields, quantization: Fields | None, layers: int) -> dict[str, str]:
    """Return the formats of attention, dense blocks, experts and embedding.

    Parameters
    ----------
    f : the text model's fields (its dtype is the format of what is not quantised).
    quantization : quantization_config, or the `quantization` part of hf_quant_config.json.
    layers : depth; a component an exclusion list names in half of the layers counts as not quantised.

    Notes
    -----
    One format stands for a component: where a checkpoint quantises the output projection of attention but
    not the other ones (NVFP4 of DeepSeek), attention counts as not quantised.
    """
    plain = _plain_format(f)
    formats = dict.fromkeys(_PROBES, plain)
    if quantization is not None:
        named = _named(quantization)
        if not named:
            formats |= _general(quantization, layers, plain)
        elif quantization.string("quant_method") == "fp8":
            formats = dict.fromkeys(_PROBES, _eight_bit(quantization))
        formats |= named
    if f.string("expert_dtype") == "fp4":
        formats["experts"] = "mxfp4" if formats["experts"] != "nvfp4" else "nvfp4"
    return formats | {"embedding": plain}


def _plain_format(f: Fields) -> str:
    name, _ = f.first(("torch_dtype", "dtype"))
    dtype = f.string(name)
    if not dtype:
        return "bf16"
    if dtype not in _DTYPES:
        f.fail(name, unknown("number format", dtype, _DTYPES))
    return _DTYPES[dtype]


def _general(q: Fields, layers: int, plain: str) -> dict[str, str]:
    """Return the formats where one format holds for all matrices that are not excluded."""
    fmt = _one_format(q)
    if fmt == "mxfp4" and q.string("quant_method") == "mxfp4":
        return {"attention": plain, "ffn": plain, "experts": fmt}
    names = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers")
    excluded = [str(pattern) for name in names for pattern in q.listing(name)]
    return {component: plain if _is_excluded(component, excluded, layers) else fmt for component in _PROBES}


def _one_format(q: Fields) -> str:
    method, algorithm = q.string("quant_method").lower(), q.string("quant_algo").upper()
    groups = [q.nested("config_groups", group) for group in q.mapping("config_groups").values()]
    if algorithm and algorithm != "MIXED_PRECISION":
        return _algorithm(q, algorithm)
    if groups:
        return _scheme(q, groups[0].inner("weights") or q)
    if method == "fp8":
        return _eight_bit(q)
    if method in _BY_METHOD:
        return _BY_METHOD[method]
    if method in _INTEGER_METHODS:
        return _integer(q, q.count("bits"), q.data.get("group_size"))
    if method == "bitsandbytes":
        return "int4" if q.flag("load_in_4bit") else "int8"
    known = (*_BY_METHOD, *_INTEGER_METHODS, "bitsandbytes", "compressed-tensors", "modelopt")
    return q.fail("quant_method", unknown("quantization method", method, known))


def _eight_bit(q: Fields) -> str:
    return "fp8-block" if q.listing("weight_block_size") else "fp8"


def _algorithm(q: Fields, name: str) -> str:
    if name not in _ALGORITHMS:
        q.fail("quant_algo", unknown("quantization algorithm", name, _ALGORITHMS))
    return _ALGORITHMS[name]


def _scheme(q: Fields, weights: Fields) -> str:
    """Return the format of a compressed-tensors scheme: bits, type and group size."""
    bits, kind, block = weights.count("num_bits"), weights.string("type"), weights.data.get("group_size")
    if kind == "int":
        return _integer(q, bits, block)
    if bits == _BYTE_BITS:
        in_blocks = weights.string("strategy") == "block"
        return "mxfp8" if block == _FLOAT_BLOCK else "fp8-block" if in_blocks else "fp8"
    if bits == _HALF_BYTE_BITS and block in (_NVFP4_BLOCK, _FLOAT_BLOCK):
        return "nvfp4" if block == _NVFP4_BLOCK else "mxfp4"
    return q.fail(
        "config_groups", f"{bits}-bit {kind} in groups of {block} is not known; expected fp8, nvfp4, mxfp4 or int"
    )


def _integer(q: Fields, bits: int, block: object) -> str:
    if bits == _BYTE_BITS:
        return "int8"
    if bits != _HALF_BYTE_BITS:
        q.fail("quantization_config", f"{bits}-bit integers are not supported; expected 4 or 8 bits")
    return "int4-g32" if block == _INT_BLOCK else "int4"


def _is_excluded(component: str, excluded: list[str], layers: int) -> bool:
    """Return whether an exclusion list names a component's matrices in at least half of the layers."""
    if component == "experts":
        excluded = [pattern for pattern in excluded if "expert" in pattern]
    by_layer: dict[str, list[str]] = {}
    for pattern in excluded:
        found = _LAYER.search(pattern)
        by_layer.setdefault(found[1] if found else "", []).append(pattern)
    count = 0
    for layer in range(layers):
        patterns = by_layer.get("", []) + by_layer.get(str(layer), [])
        names = [f"model.layers.{layer}.{probe}" for probe in _PROBES[component]]
        count += any(_matches(name, pattern) for name in names for pattern in patterns)
    return 2 * count >= layers


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        try:
            return re.match(pattern.removeprefix("re:"), name) is not None
        except re.error:
            return False
    if "layers." in pattern:
        name, pattern = name.removeprefix("model."), pattern[pattern.find("layers.") :]
    if "*" in pattern:
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")
    return name == pattern or name.startswith(f"{pattern}.") or ("." not in pattern and pattern in name.split("."))


def _named(q: Fields) -> dict[str, str]:
    """Return component -> its most common format, where a checkpoint lists its quantised matrices by name."""
    counts: dict[str, Counter[str]] = {}
    for name, fmt in _listed(q):
        component = next((c for c, pattern in _COMPONENT_OF_NAME if pattern.search(name)), None)
        if component:
            counts.setdefault(component, Counter())[fmt] += 1
    return {component: found.most_common(1)[0][0] for component, found in counts.items()}


def _listed(q: Fields) -> Iterator[tuple[str, str]]:
    """Yield name -> format of the matrices a checkpoint lists."""
    for name, own in q.mapping("quantized_layers").items():
        yield name, _algorithm(q, q.nested("quantized_layers", own).string("quant_algo"))
    for value in q.mapping("config_groups").values():
        group = q.nested("config_groups", value)
        names = [str(target) for target in group.listing("targets") if "." in str(target)]
        fmt = _scheme(q, group.inner("weights") or q) if names else ""
        yield from ((name, fmt) for name in names)
