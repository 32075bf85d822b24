"""Whether an engine starts an option: its kernels on the GPU, and how the model's matrices divide over the ranks."""

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, FormatSpec
from planner.catalog.model import AttentionGroup, FfnGroup, ModelSpec
from planner.catalog.support import Part, Rule, SupportSpec, attention_kinds
from planner.errors import DataMissingError

if TYPE_CHECKING:  # candidates.py leaves out what this module refuses
    from planner.options.candidates import Layout, Machine, Precision

_WORDS = {"mla": "MLA", "sparse-mla": "sparse MLA", "sparse-gqa": "sparse attention", "gqa": "attention"}
_WORDS |= {"sinks": "attention sinks", "linear": "linear attention"}


class Slice(NamedTuple):
    """What one rank holds of a sharded matrix."""

    what: str
    """The matrix and its width, in words."""
    width: int
    """Channels of the whole matrix along the sharded side."""
    ranks: int
    outputs: bool
    """Whether it is cut along its outputs, otherwise along its inputs."""
    merged: bool = False
    """Whether it is one of several that are merged along their outputs."""

    @property
    def words(self) -> str:
        """Return the width of a slice as a sum, e.g. 1536/8 = 192."""
        return f"{self.what} {self.width}/{self.ranks} = {self.width / self.ranks:g}"


def support_of(engine: EngineSpec, catalog: Catalog) -> SupportSpec | None:
    """Return the table of what an engine runs; None for an engine that has none, of which nothing is refused.

    A copied file keeps the name or an alias of the engine it was copied from. Raises DataMissingError where the file
    names a table that is not there.
    """
    if engine.support is not None:
        return catalog.get(SupportSpec, engine.support).spec
    for name in (engine.id, engine.name, *engine.aliases):
        with suppress(DataMissingError):
            return catalog.get(SupportSpec, name).spec
    return None


def as_run(precision: "Precision", machine: "Machine") -> "Precision":
    """Return a precision as an engine runs it on a GPU: formats without products of their own are widened to 16 bit."""
    table, architecture = machine.support, machine.gpu.spec.architecture
    if table is None or architecture is None or machine.version is None:
        return precision
    changes: dict[str, FormatSpec] = {}
    for field, part in _PARTS.items():
        rule = table.for_weights(precision.formats[field], part, architecture, machine.version)
        if rule is not None and rule.outcome in {"weight-only", "emulated"}:
            changes[field] = _widened(getattr(precision, field))
    parts = {field: changes.get(field, getattr(precision, field)) for field in _PARTS}
    return dataclasses.replace(precision, **parts) if changes else precision


_PARTS: dict[str, Part] = {"attention": "dense", "ffn": "dense", "experts": "experts"}
"""Field of a precision -> the part of the model that an engine's rules know."""


def _widened(fmt: FormatSpec) -> FormatSpec:
    """Return a format that is stored as before and multiplied in 16 bit: activations are not quantised."""
    return fmt.model_copy(update={"compute": "fp16", "activation_scales": "tensor"})


def why_not(model: ModelSpec, machine: "Machine", precision: "Precision", layout: "Layout", cache: str = "") -> str:
    """Return why an engine does not start a model in a layout on a GPU; empty where it starts.

    Parameters
    ----------
    model : its attention and feed-forward blocks.
    machine : GPU and engine with its support table; without a table, or without the GPU's architecture, only the rules
        of heads are checked.
    precision : formats of the weights, as published or as asked.
    layout : degrees of parallelism.
    cache : format of the KV cache; the checkpoint's own by default.

    Returns
    -------
    str
        The first reason found, in words.
    """
    settings = _settings(machine, cache or model.cache_format)
    heads, kernels = _heads(model, layout), _kernels(model, machine, precision)
    blocks = _blocks(model, machine, precision, layout)
    return next(chain(settings, _degrees(model, machine, layout), heads, kernels, blocks), "")


def _settings(machine: "Machine", cache: str) -> Iterator[str]:
    """Yield settings that the engine does not take."""
    engine, table = machine.engine.spec, machine.support
    if table is not None and cache not in table.cache_formats:
        yield f"{engine.name} keeps no KV cache in {cache}; it takes {', '.join(table.cache_formats)}"
    limits = engine.factors.limits_for(machine.gpu.spec)
    if engine.budget_holds_sequences and limits.max_running_sequences > limits.max_batched_tokens:
        sequences, tokens = limits.max_running_sequences, limits.max_batched_tokens
        yield f"max_num_seqs {sequences:,} is more than max_num_batched_tokens {tokens:,}"


def _degrees(model: ModelSpec, machine: "Machine", layout: "Layout") -> Iterator[str]:
    """Yield degrees of parallelism that do not go together."""
    if layout.pipeline > model.layers:
        yield f"PP{layout.pipeline} is more than the {model.layers} layers"
    if layout.expert == 1:
        return
    ranks, experts = layout.tensor * layout.data, max((group.experts or 0 for group in model.ffn), default=0)
    if ranks % layout.expert:
        yield f"EP{layout.expert} does not divide TP x DP = {ranks}"
    if machine.support is not None and machine.support.expert_parallel == "all" and layout.expert != ranks:
        yield f"EP{layout.expert} is neither 1 nor TP x DP = {ranks}, as {machine.engine.spec.name} has it"
    if not experts:
        yield f"EP{layout.expert} needs experts, and {model.id} has none"
    elif experts < layout.expert or (experts % layout.expert and not _uneven(model, machine)):
        yield f"EP{layout.expert} does not divide {experts} experts"


def _uneven(model: ModelSpec, machine: "Machine") -> bool:
    """Return whether the engine takes ranks with different numbers of the model's experts.

    Models with compressed attention (DeepSeek V4) have experts of their own in vLLM, which must divide.
    """
    compressed = any(group.compression > 1 for group in model.attention)
    return machine.support is not None and machine.support.uneven_experts and not compressed


def _heads(model: ModelSpec, layout: "Layout") -> Iterator[str]:
    """Yield reasons for which heads do not divide: query heads by TP, and KV heads by TP or TP by them."""
    tensor = layout.tensor
    for group in model.attention:
        if group.heads % tensor:
            kind = "heads of linear attention" if group.kind == "linear" else "attention heads"
            yield f"TP{tensor} does not divide {group.heads} {kind}"
        if group.kind == "linear" and group.kv_heads > 1 and group.kv_heads % tensor:
            yield f"TP{tensor} does not divide {group.kv_heads} groups of linear attention"
        if group.kind == "gqa" and group.kv_heads % tensor and tensor % group.kv_heads:
            yield f"{group.kv_heads} KV heads and TP{tensor}: neither divides the other"


def _used(model: ModelSpec) -> list[str]:
    """Return the fields of a precision that a model has matrices in."""
    dense = any(not g.experts or g.shared_experts for g in model.ffn)
    routed = any(g.experts for g in model.ffn)
    return ["attention", *(["ffn"] if dense else []), *(["experts"] if routed else [])]


def _kernels(model: ModelSpec, machine: "Machine", precision: "Precision") -> Iterator[str]:
    """Yield why the engine has no kernel for the model on the GPU."""
    table, gpu = machine.support, machine.gpu.spec
    if table is None or gpu.architecture is None or machine.version is None:
        return
    for field in _used(model):
        name = precision.formats[field]
        gated = field != "experts" or all(group.gated for group in model.ffn if group.experts)
        rule = table.for_weights(name, _PARTS[field], gpu.architecture, machine.version, gated=gated)
        if rule is not None and rule.outcome == "refused":
            words = "experts" if field == "experts" else "weights"
            yield _said(rule, f"{name} {words}", machine)
    for kind in attention_kinds(model.attention):
        rule = table.for_attention(kind, gpu.architecture, machine.version)
        if rule is not None and rule.outcome == "refused":
            yield _said(rule, _WORDS[kind], machine)


def _said(rule: Rule, what: str, machine: "Machine") -> str:
    gpu, engine = machine.gpu.spec, machine.engine.spec
    return f"{rule.why or 'not supported'} ({what}, {engine.name} {machine.version}, {gpu.id} {gpu.architecture})"


def _blocks(model: ModelSpec, machine: "Machine", precision: "Precision", layout: "Layout") -> Iterator[str]:
    """Yield why slices of the model's matrices do not hold whole blocks of their format, or tiles of the kernel."""
    table = machine.support
    padded = table.padded_formats if table else ()
    aligned = table is None or machine.version is None or table.aligns_outputs(machine.version)
    for field in _used(model):
        name, fmt = precision.formats[field], getattr(precision, field)
        outputs, inputs = _tile(machine, name, _PARTS[field])
        for one, merged in _slices(model, layout, field):
            if one.width % one.ranks:
                yield f"{one.what} {one.width} does not divide by {one.ranks}"
            block = fmt.block_out if one.outputs else fmt.block_in
            free = name in padded or (one.merged and field != "experts" and not aligned)
            if one.ranks > 1 and not free and one.width // one.ranks % block:
                yield f"{one.words} is not a multiple of {name}'s {'block' if one.outputs else 'group'} of {block}"
            multiple, slices = (outputs, merged) if one.outputs else (inputs, 1)
            if one.width * slices // one.ranks % multiple:
                yield f"{one.words} is not a multiple of the {multiple} channels that the kernel takes at once"


def _tile(machine: "Machine", fmt: str, part: Part) -> tuple[int, int]:
    """Return the multiples of channels that the engine's kernel for a format takes along outputs and inputs."""
    table, architecture = machine.support, machine.gpu.spec.architecture
    if table is None or architecture is None or machine.version is None:
        return 1, 1
    rule = table.for_weights(fmt, part, architecture, machine.version)
    return (rule.slice_multiple, rule.input_multiple) if rule else (1, 1)


def _slices(model: ModelSpec, layout: "Layout", field: str) -> Iterator[tuple[Slice, int]]:
    """Yield the slices of a part's matrices, each with how many such slices stand side by side in one product."""
    if field == "attention":
        for group in model.attention:
            yield from _of_attention(group, layout.tensor)
        return
    for ffn in model.ffn:
        if field == "experts" and ffn.experts:
            yield from _of_block("expert width", ffn.intermediate_size, ffn, layout.expert_slices)
        elif field == "ffn" and ffn.experts and ffn.shared_experts:
            width = ffn.shared_experts * (ffn.shared_intermediate_size or ffn.intermediate_size)
            yield from _of_block("shared experts' width", width, ffn, layout.tensor)
        elif field == "ffn" and not ffn.experts:
            yield from _of_block("feed-forward width", ffn.intermediate_size, ffn, layout.tensor)


def _of_block(what: str, width: int, group: FfnGroup, ranks: int) -> Iterator[tuple[Slice, int]]:
    """Yield the slices of a feed-forward block: cut along the width, its outputs first and its inputs second."""
    yield Slice(what, width, ranks, outputs=True, merged=group.gated), 2 if group.gated else 1
    yield Slice(what, width, ranks, outputs=False), 1


def _of_attention(group: AttentionGroup, tensor: int) -> Iterator[tuple[Slice, int]]:
    """Yield the slices of attention that whole heads make up; those of linear mixers are not known by their widths."""
    if group.kind == "linear":
        return
    value = group.v_head_dim or group.head_dim
    separate = group.kind == "mla"
    yield Slice("query width", group.heads * group.head_dim, tensor, outputs=True, merged=not separate), 1
    yield Slice("attention output width", group.heads * value, tensor, outputs=False), 1
    if group.kind == "gqa" and not group.shared_kv:
        copies = max(tensor // group.kv_heads, 1)  # ranks beyond the KV heads hold copies
        yield Slice("key width", group.kv_heads * group.head_dim, tensor // copies, outputs=True, merged=True), 1
