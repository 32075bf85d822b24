"""Number formats of a published checkpoint, from its quantization_config or the hf_quant_config.json beside it."""

import fnmatch
import re
from collections import Counter

from planner.catalog.huggingface.fields import Fields
from planner.catalog.huggingface.quantization import Scheme, scheme_of
from planner.errors import unknown

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
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
        "mlp.experts.down_proj",
    ),
}
"""Names of matrices in checkpoints, to ask an exclusion list about a component."""
_PREFIXES = ("model.", "", "model.language_model.", "language_model.model.", "backbone.")
"""What stands before `layers` in the names of different checkpoints."""
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
    layers : depth; a component has the format that most of its layers have.

    Notes
    -----
    One format stands for a component: where a checkpoint quantises the output projection of attention but
    not the other ones (NVFP4 of DeepSeek), attention counts as not quantised.
    """
    plain = _plain_format(f)
    formats = dict.fromkeys((*_PROBES, "embedding"), plain)
    if quantization is not None:
        scheme = scheme_of(quantization)
        for component in _PROBES:
            formats[component] = _most_common(scheme, component, layers) or plain
        formats |= _named(scheme)
        if scheme.embedding:
            formats["embedding"] = _hit(scheme, ("model.embed_tokens",), scheme.default) or plain
    if f.string("expert_dtype") == "fp4":
        formats["experts"] = "mxfp4" if formats["experts"] != "nvfp4" else "nvfp4"
    return formats


def _plain_format(f: Fields) -> str:
    name, _ = f.first(("torch_dtype", "dtype"))
    dtype = f.string(name)
    if not dtype:
        return "bf16"
    if dtype not in _DTYPES:
        f.fail(name, unknown("number format", dtype, _DTYPES))
    return _DTYPES[dtype]


def _most_common(scheme: Scheme, component: str, layers: int) -> str | None:
    """Return the format that most layers' matrices of a component have; None where they are not quantised."""
    everywhere: list[tuple[str, str | None]] = []
    by_layer: dict[str, list[tuple[str, str | None]]] = {}
    for rule in scheme.rules:
        if component == "experts" and rule[1] is None and "expert" not in rule[0] and not rule[0].startswith("re:"):
            continue  # a block beside the experts: where theirs are named, so is the word
        found = None if rule[0].startswith("re:") else _LAYER.search(rule[0])
        (by_layer.setdefault(found[1], []) if found else everywhere).append(rule)
    counts: Counter[str | None] = Counter()
    for layer in range(layers):
        own = scheme._replace(rules=(*by_layer.get(str(layer), ()), *everywhere))
        counts[_hit(own, tuple(f"model.layers.{layer}.{p}" for p in _PROBES[component]), scheme.default)] += 1
    # As many layers without as with: counted as not quantised, which needs more memory.
    return max(counts, key=lambda fmt: (counts[fmt], fmt is None, fmt == scheme.default))


def _hit(scheme: Scheme, names: tuple[str, ...], default: str | None) -> str | None:
    """Return the format of the first rule that names one of several matrices, else the default."""
    for pattern, fmt in scheme.rules:
        if any(_matches(name, pattern) for name in names):
            return fmt
    return default


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        inside = name.removeprefix("model.")
        try:
            return any(re.match(pattern.removeprefix("re:"), prefix + inside) for prefix in _PREFIXES)
        except re.error:
            return False
    if "layers." in pattern:
        name, pattern = name.removeprefix("model."), pattern[pattern.find("layers.") :]
    if "*" in pattern:
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")
    return (
        name == pattern
        or name.startswith(f"{pattern}.")
        or name.endswith(f".{pattern}")
        or ("." not in pattern and pattern in name.split("."))
    )


def _named(scheme: Scheme) -> dict[str, str]:
    """Return component -> its most common format, where a checkpoint lists its quantised matrices by name."""
    counts: dict[str, Counter[str]] = {}
    for name, fmt in scheme.listed:
        component = next((c for c, pattern in _COMPONENT_OF_NAME if pattern.search(name)), None)
        if component:
            counts.setdefault(component, Counter())[fmt] += 1
    return {component: found.most_common(1)[0][0] for component, found in counts.items()}
