"""Reads a Hugging Face config.json: any decoder-only text model becomes a ModelSpec.

What a config does not say is taken from its model class (hf_defaults.yaml), never guessed. The text part of
a multimodal checkpoint is read, its vision or audio tower left out; multi-token-prediction layers too.
A config does not say whether a model thinks: `reasoning` stays `none`.

The one source of such a spec is the file itself. Its `checked` is the day this reader was last compared with
published checkpoints (hf_defaults.yaml), not the file's date: the same file gives the same output everywhere.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from planner.catalog.huggingface.class_sizes import assumed_sizes, part_type
from planner.catalog.huggingface.encoders import vision_parameters
from planner.catalog.huggingface.fields import EXPECTED, Fields, LayerPart, class_defaults, place_of_key, read_json
from planner.catalog.huggingface.formats import weight_formats
from planner.catalog.huggingface.ignored import assumed_note, ignored_note
from planner.catalog.huggingface.kinds import depth
from planner.catalog.huggingface.layers import layers_of
from planner.catalog.huggingface.odd_values import refuse_odd_parts, refuse_odd_values
from planner.catalog.huggingface.quantization import cache_format
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded, load, shown
from planner.documents.yaml_reader import Document
from planner.errors import BadInputError

_NESTED = ("thinker_config", "text_config", "llm_config", "language_config")
_FLATTENED = ("ffn_config", "attn_config")
"""Parts of a text model's config that hold its own sizes (DBRX, MPT)."""
_TIED = "tie_word_embeddings"
_INHERITED = (
    "torch_dtype",
    "dtype",
    "quantization_config",
    "quantization",
    _TIED,
    "expert_dtype",
    "architectures",
)
"""Fields of a multimodal config that hold for its text part too."""
_TOWERS = ("vision_config", "audio_config")
_CAPTIONS = ("GitForCausalLM",)
"""Generate text, but from an image alone. (Grok 2's model_type is git too.)"""
_GENERATES = re.compile(r"CausalLM|LMHead|ConditionalGeneration|ForCausal|Reasoning")
_OWNER_AND_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def read_config(path: Path) -> Loaded[ModelSpec]:
    """Read a config.json into a model. Raises BadInputError with one sentence that names the file and the field."""
    where = str(path)
    config, text = read_json(path, where=where)
    data = model_from_config(
        config, name=checkpoint_name(path, config), where=where, text=text, quantization=_sibling_quantization(path)
    )
    return load(ModelSpec, Document(data, where, source_names={(): "config"}))


def model_from_config(
    config: Mapping[str, Any],
    *,
    name: str,
    where: str = "config.json",
    text: str = "",
    quantization: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of a ModelSpec from a parsed config.

    Parameters
    ----------
    config : the parsed config.json.
    name : the checkpoint's name, with its owner where known (Qwen/Qwen3-8B).
    where : what errors call the file.
    text : the file's text, to find the line of a field.
    quantization : the `quantization` part of hf_quant_config.json, where the checkpoint has one.

    Returns
    -------
    Plain data that `load(ModelSpec, Document(...))` validates.
    """
    refuse_odd_parts(config, (*_NESTED, *_TOWERS), where)
    _refuse_others(config, where, text)
    f = text_fields(config, where, text)
    h, layers = f.count("hidden_size"), depth(f)
    refuse_odd_values(f, layers)
    token_mixers, feed_forward, image_experts = layers_of(f, h, layers)
    groups = _grouped(b.fields for b in feed_forward)
    quantized = _quantization(f, quantization, where)
    formats = weight_formats(f, quantized, layers)
    if not any("experts" in group for group in groups):
        formats.pop("experts")
    table, projections = _per_layer_embeddings(f, h, layers)
    other = _other_parameters(f, h, token_mixers, feed_forward) + projections
    data: dict[str, Any] = {
        "id": name.rsplit("/", maxsplit=1)[-1].lower(),
        "name": name.rsplit("/", maxsplit=1)[-1],
        "hf_id": name if "/" in name else None,
        "family": f.string("family") or re.split(r"[^a-z]", f.string("model_type").lower())[0] or "unknown",
        "hidden_size": h,
        "vocab_size": f.count("vocab_size"),
        "max_context_tokens": f.count("max_position_embeddings"),
        "attention": _grouped(mixer.fields for mixer in token_mixers),
        "ffn": groups,
        "tied_embeddings": f.flag("tie_word_embeddings") or None,
        "learned_positions": f.count("max_position_embeddings") if f.flag("learned_positions") else None,
        "other_parameters": other or None,
        "per_layer_embedding_parameters": table or None,
        "unread_parameters": float(image_experts + _adapters(f, h, layers)) or None,
        "weights": formats,
        "kv_cache_format": _cache_format(quantized, token_mixers),
        "encoder_parameters": vision_parameters(config, h),
        "notes": _notes(config, f) or None,
        "sources": {"config": {"title": f"Hugging Face config.json {where}", "checked": class_defaults()["checked"]}},
    }
    return {key: value for key, value in data.items() if value is not None}


def _cache_format(quantized: Fields | None, token_mixers: Iterable[LayerPart]) -> str | None:
    """Return the format that the checkpoint asks for; engines keep compressed attention in 8 bits, whatever it asks."""
    if any("compression" in mixer.fields for mixer in token_mixers):
        return "fp8"
    return cache_format(quantized) if quantized else None


def text_fields(config: Mapping[str, Any], where: str = "config.json", text: str = "") -> Fields:
    """Return the fields of the text model, with what its class adds; nulls dropped."""
    own: Mapping[str, Any] = {k: v for k, v in config.items() if k not in _TOWERS}
    given: set[str] = set(own)
    ties_head: dict[str, Any] = {}
    nested_part = False
    around: dict[str, Any] = {}
    while outer := next((n for n in _NESTED if isinstance(own.get(n), Mapping) and own[n]), None):
        inherited = {n: own[n] for n in _INHERITED if own.get(n) is not None}
        nested = {k: v for k, v in own[outer].items() if v is not None}
        # The class of the whole model ties its head or not, whatever the text part says.
        ties = {n: inherited[n] for n in (_TIED,) if n in inherited}
        given = {*own[outer], *inherited}
        kind = _kind(own, where)
        nested_part = True
        ties_head = ties_head or {n: v for n, v in assumed_sizes(kind, {}, part=True).items() if n == _TIED}
        around |= {n: v for n, v in own.items() if n != outer and n not in own[outer] and n not in _INHERITED}
        own = {"model_type": part_type(kind, outer) or kind} | inherited | nested | ties
    for name in _FLATTENED:
        if isinstance(own.get(name), Mapping):
            own = {**own[name], **{k: v for k, v in own.items() if k != name}}
            given.update(own)
    kind = _kind(own, where) or _kind(config, where)
    facts = class_defaults()["defaults"].get(kind, {})
    assumed = assumed_sizes(kind, dict.fromkeys({*given, *facts}), part=nested_part)
    if _TIED in assumed:
        assumed |= ties_head
    merged = {**assumed, **facts, "model_type": kind, **{k: v for k, v in own.items() if k != "model_type"}}
    data = {k: v for k, v in merged.items() if v is not None}
    return Fields(data, where, text, settled=set(facts) - given, around=around, assumed=assumed)


def _kind(config: Mapping[str, Any], where: str) -> str:
    """Return the model_type of a config, empty where it has none."""
    kind = config.get("model_type") or ""
    if not isinstance(kind, str):
        raise BadInputError(f"model_type: {shown(kind)} is not valid here; expected text", where=where)
    return kind


def checkpoint_name(path: Path, config: Mapping[str, Any]) -> str:
    """Return a checkpoint's name from its file, itself or its folder: owner--name_config.json, _name_or_path, folder.

    >>> checkpoint_name(Path("Qwen--Qwen3-8B_config.json"), {}), checkpoint_name(Path("Qwen3-8B/config.json"), {})
    ('Qwen/Qwen3-8B', 'Qwen3-8B')
    """
    stem = path.stem.removesuffix("config").rstrip("_-.")
    if "--" in stem:
        return stem.replace("--", "/", 1)
    own = config.get("_name_or_path")
    if isinstance(own, str) and _OWNER_AND_NAME.fullmatch(own):
        return own
    return stem or path.resolve().parent.name or "model"


def _refuse_others(config: Mapping[str, Any], where: str, text: str) -> None:
    """Raise BadInputError for what is no decoder-only language model."""
    if "_class_name" in config or "_diffusers_version" in config:
        raise BadInputError(f"is part of a diffusion pipeline; {EXPECTED}", where=where)
    types = [
        config.get("model_type"),
        *(config[n].get("model_type") for n in _NESTED if isinstance(config.get(n), Mapping)),
    ]
    for kind in types:
        word = next((w for w, known in class_defaults()["refused"].items() if kind in known), None)
        if word:
            raise BadInputError(
                f"model_type {kind!r} is {word}; {EXPECTED}", where=place_of_key(text, "model_type", where)
            )
    if config.get("is_encoder_decoder") is True:
        raise BadInputError(
            f"is_encoder_decoder is true; {EXPECTED}", where=place_of_key(text, "is_encoder_decoder", where)
        )
    names = config.get("architectures")
    if (
        isinstance(names, list | tuple)
        and names
        and not any(_GENERATES.search(str(n)) and n not in _CAPTIONS for n in names)
    ):
        listed = ", ".join(str(n) for n in names)
        raise BadInputError(
            f"architectures {listed} does not generate text; {EXPECTED}",
            where=place_of_key(text, "architectures", where),
        )


def _grouped(layers: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return equal layers as one group each, in the order in which they first appear."""
    counts: dict[tuple[tuple[str, Any], ...], int] = {}
    for fields in layers:
        if fields:
            key = tuple(fields.items())
            counts[key] = counts.get(key, 0) + 1
    return tuple({"layers": count, **dict(key)} for key, count in counts.items())


def _other_parameters(f: Fields, h: int, token_mixers: list[LayerPart], feed_forward: list[LayerPart]) -> float:
    """Return the weights no field counts: biases, gates, norms beyond one before each mixer and block."""
    parts = len(token_mixers) + len(feed_forward)
    norms = f.optional("norms_per_layer") or 2
    total = sum(m.other for m in token_mixers) + sum(b.other for b in feed_forward)
    more_norms = (norms - 2) * h * len(token_mixers)
    if f.flag("norm_bias"):
        total += (parts + 1) * h + more_norms
    if f.flag("head_bias"):
        total += f.count("vocab_size")
    return float(max(total + more_norms, 0))


def _per_layer_embeddings(f: Fields, h: int, layers: int) -> tuple[float, float]:
    """Return the weights of the table of per-layer embeddings, and of what feeds its rows to the layers (Gemma 3n, 4).

    Gemma 3n has several copies of the residual stream (AltUp) and a low-rank path around each layer (LAuReL) too.
    """
    width, copies, rank = (
        f.optional(n) or 0 for n in ("hidden_size_per_layer_input", "altup_num_inputs", "laurel_rank")
    )
    table = width * layers * (f.optional("vocab_size_per_layer_input") or f.count("vocab_size")) if width else 0
    layer = (2 * h * width + h if width else 0) + 2 * h * rank + copies * h
    return float(table), float(width * layers * h + layers * layer + 2 * max(copies - 1, 0) * h * h)


def _adapters(f: Fields, h: int, layers: int) -> int:
    """Return the weights that only images and speech use, of a model that states them as low-rank adapters (Phi-4)."""
    adapters = [own.count("r") for name in ("vision_lora", "speech_lora") if (own := f.inner(name))]
    if not adapters:
        return 0
    heads, inner = f.count("num_attention_heads"), f.count("intermediate_size")
    width = f.optional("head_dim") or h // heads
    queries, all_heads = heads * width, (heads + 2 * f.count("num_key_value_heads")) * width
    ends = (h + all_heads) + (queries + h) + (h + 2 * inner) + (inner + h)
    return layers * sum(adapters) * ends + (f.optional("tower_parameters") or 0)


def _quantization(f: Fields, beside: Mapping[str, Any] | None, where: str) -> Fields | None:
    """Return what both files say about quantisation; the one beside the config knows more."""
    own = f.inner("quantization_config") or f.inner("quantization")
    merged = {**(own.data if own else {}), **(beside or {})}
    return Fields(merged, where, f.text) if merged else None


def _sibling_quantization(path: Path) -> Mapping[str, Any] | None:
    """Return the `quantization` part of the hf_quant_config.json beside a config, or None without one."""
    if not path.name.endswith("config.json"):
        return None
    beside = path.with_name(path.name.removesuffix("config.json") + "hf_quant_config.json")
    if not beside.is_file():
        return None
    data, _ = read_json(beside, where=str(beside))
    own = data.get("quantization", data)
    return own if isinstance(own, Mapping) else None


def _notes(config: Mapping[str, Any], f: Fields) -> str:
    towers = [name.removesuffix("_config") for name in _TOWERS if config.get(name)]
    notes = [f"The {' and '.join(towers)} tower is left out: text part only."] if towers else []
    if encoder := vision_parameters(config, f.count("hidden_size")):
        notes = [f"The vision tower, about {encoder / 1e9:.2f}e9 parameters by its sizes, counts in memory alone."]
    if f.optional("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers"):
        notes.append("Multi-token-prediction layers are left out.")
    kinds = [str(kind) for kind in (config.get("model_type"), f.get("model_type")) if kind]
    ignored = ignored_note(f)
    if kinds and not set(kinds) & set(class_defaults()["checked_types"]):
        if ignored:
            expected = "expected one that this version knows, or a model file of your own"
            unread = ignored.removeprefix("ignored: ").removesuffix(".")
            f.fail("model_type", f"{kinds[-1]!r} is unknown, and so is what {unread} means for it; {expected}")
        notes.append(f"model_type {kinds[-1]!r} is none of those checked: read by its fields alone.")
    notes += [note for note in (assumed_note(f), ignored) if note]
    return " ".join(notes)
