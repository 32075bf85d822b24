"""What an engine runs: per release, which number formats and kinds of attention start on which GPUs, and how."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.catalog.engine_settings import release_key
from planner.catalog.model import AttentionGroup
from planner.documents.spec import Count, Day, FileSpec, Spec
from planner.errors import DataMissingError, did_you_mean

Outcome = Literal["native", "weight-only", "emulated", "refused"]
"""native: products run in the format; weight-only: weights are stored in it and widened to 16 bit for the product;
emulated: the same without a kernel of its own, and slower than predicted; refused: the engine does not start."""
Part = Literal["dense", "experts"]
Attention = Literal["gqa", "mla", "sparse-mla", "sparse-gqa", "sinks", "linear"]


_key = cache(release_key)
_RELEASE = re.compile(r"v?\d+\.\d")


class Release(Spec):
    """A release of an engine."""

    version: str
    released: Day


class Rule(Spec):
    """An outcome, and what it holds for: everything where a field is left out. The first rule that fits wins."""

    formats: tuple[str, ...] | None = None
    """Number formats (names of hardware/formats.yaml)."""
    part: Part | None = None
    """Routed experts, or every other matrix."""
    gated: bool | None = None
    """Experts with a gate (three matrices, as in SwiGLU) or without one."""
    attention: tuple[Attention, ...] | None = None
    """Kinds of attention."""
    architectures: tuple[str, ...] | None = None
    """Architectures of GPUs; shell patterns, e.g. sm_8?."""
    since: str | None = None
    """The first release it holds for."""
    before: str | None = None
    """The first release it no longer holds for."""
    outcome: Outcome
    slice_multiple: Count = 1
    """The kernel takes only output slices of a multiple of this (both projections of a gated block together)."""
    input_multiple: Count = 1
    """The kernel takes only slices with a multiple of this along the inputs."""
    why: str | None = None
    """Why it does not start, or runs as it does."""

    def holds(self, architecture: str, version: str) -> bool:
        """Return whether the rule holds on a GPU for a release."""
        key = _key(version)
        return (
            (self.since is None or _key(self.since) <= key)
            and (self.before is None or key < _key(self.before))
            and (self.architectures is None or any(fnmatchcase(architecture, a) for a in self.architectures))
        )


class SettingName(Spec):
    """What an engine calls a setting, and what it means there."""

    flag: str
    meaning: str | None = None
    """Where it differs from vLLM's."""


class SupportSpec(FileSpec):
    """What one engine runs."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    """Other names by which an engine's file is matched with this one."""
    versions: Annotated[tuple[Release, ...], Field(min_length=1)]
    """Releases, oldest first; the last is the default."""
    weights: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """How weights of a format run, by part of the model."""
    attention: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """Which kinds of attention have a kernel."""
    padded_formats: tuple[str, ...] = ()
    """Formats whose slices the engine pads to whole blocks; the others must divide."""
    expert_parallel: Literal["all", "part"] = "part"
    """all: experts are spread over all ranks of a replica or not at all; part: over any number that divides them."""
    uneven_experts: bool = False
    """Whether ranks may hold different numbers of experts, so that EP need not divide them."""
    unaligned_outputs_since: str | None = None
    """The first release that loads matrices merged along their outputs (query, key and value; gate and up) whose slices
    are not whole blocks; it never does where absent."""
    cache_formats: Annotated[tuple[str, ...], Field(min_length=1)]
    """Formats that a KV cache may have."""
    settings: dict[str, SettingName] = Field(default_factory=dict)
    """Names of vLLM's settings -> this engine's own."""
    notes: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "SupportSpec":
        keys = [_key(one.version) for one in self.versions]
        if keys != sorted(keys):
            raise ValueError("versions are not in order; expected the oldest first")
        return self

    @property
    def newest(self) -> str:
        """Return the newest release."""
        return self.versions[-1].version

    def release(self, name: str, *, where: str = "") -> str:
        """Return the release that a name means: itself, or the newest that it begins, e.g. 0.19 is 0.19.1.

        Raises DataMissingError with the nearest names.
        """
        wanted = name.strip().removeprefix("v")
        known = [one.version for one in self.versions]
        found = [v for v in known if v == wanted or v.startswith(f"{wanted}.")]
        if not found:
            text = f"unknown release of {self.name} {name!r}; known are {known[0]} to {known[-1]}."
            longer = next((v for v in reversed(known) if v.startswith(f"{wanted}0.")), "")
            if longer:  # YAML drops the last 0 of a number
                text += f' Did you mean "{wanted}0" (in quotes in YAML)?'
            elif _RELEASE.match(wanted) and _key(wanted) < _key(known[-1]):
                text += did_you_mean(wanted, known)
            raise DataMissingError(text, where=where)
        return wanted if wanted in found else found[-1]

    def nearest(self, name: str) -> str:
        """Return the release that a text of a benchmark means: itself, the newest it begins, or the last before it.

        A text without a release (a branch, a container) means the newest. Raises DataMissingError for a release that is
        newer or older than all of the table.
        """
        if not _RELEASE.match(name.strip()):
            return self.newest
        known = [one.version for one in self.versions]
        key = _key(name)
        if _key(known[0]) <= key <= _key(known[-1]):
            beginning = [v for v in known if _key(v)[: len(key)] == key]
            return (beginning or [v for v in known if _key(v) <= key])[-1]
        return self.release(name)

    def aligns_outputs(self, version: str) -> bool:
        """Return whether a release needs whole blocks in each slice of matrices that are merged along their outputs."""
        return self.unaligned_outputs_since is None or _key(version) < _key(self.unaligned_outputs_since)

    def for_weights(self, fmt: str, part: Part, architecture: str, version: str, *, gated: bool = True) -> Rule | None:
        """Return the rule for weights of a format on a GPU; None where the table says nothing."""
        matching = (
            rule
            for rule in self.weights
            if (rule.formats is None or fmt in rule.formats)
            and rule.part in {None, part}
            and rule.gated in {None, gated}
        )
        return _first(matching, architecture, version)

    def for_attention(self, kind: Attention, architecture: str, version: str) -> Rule | None:
        """Return the rule for a kind of attention on a GPU; None where the table says nothing."""
        matching = (r for r in self.attention if r.attention is None or kind in r.attention)
        return _first(matching, architecture, version)


def _first(rules: Iterable[Rule], architecture: str, version: str) -> Rule | None:
    return next((rule for rule in rules if rule.holds(architecture, version)), None)


def attention_kinds(groups: Sequence[AttentionGroup]) -> list[Attention]:
    """Return the kinds of attention that a model needs kernels for, in the order of its layers.

    A cached vector that is key and value at once is a latent, whatever the projections around it are called.
    """
    found: list[Attention] = []
    for group in groups:
        latent = group.kind == "mla" or group.shared_kv
        if group.kind == "linear":
            found.append("linear")
        elif group.sparse_top_k:
            found.append("sparse-mla" if latent else "sparse-gqa")
        else:
            found.append("mla" if latent else "gqa")
        if group.sinks:
            found.append("sinks")
    return list(dict.fromkeys(found))
