"""The catalogue: finds spec files by id, alias or spelling; user folders come before the shipped one."""

import csv
import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from planner.catalog.checkpoint_names import with_named_format, without_format
from planner.catalog.hardware import AssumptionsFile, FormatsFile, FormatSpec
from planner.catalog.kinds import kind_of_spec
from planner.catalog.model import ModelSpec
from planner.documents.spec import FileSpec, Loaded, Source, load
from planner.documents.text_file import read_text
from planner.documents.yaml_reader import read_document
from planner.errors import BadInputError, DataMissingError, suggestion, unknown

CATALOG_VARIABLE = "PLANNER_CATALOG"
_PACKAGE = Path(__file__).resolve().parents[1]

T = TypeVar("T", bound=FileSpec)

_SUFFIXES = re.compile(r"(instruct|chat|hf|it|base|fp8|nvfp4|bf16|int4|awq|gptq|2507|dynamic|80gb|v\d)$")


class GridFactor(NamedTuple):
    """Carbon intensity of a grid zone according to one source."""

    gco2e_per_kwh: float
    zone: str
    year: str
    """Empty where the source gives none."""
    source_name: str
    source: Source
    where: str
    """File and line."""


class Found(NamedTuple):
    """What a name resolved to; `note` says so where the name is not the id."""

    loaded: Loaded[Any]
    note: str | None


def model_note(found: Found) -> str:
    """Return what a model's name resolved to, and the format of its weights, which a suffix like -fp8 sets."""
    weights = found.loaded.spec.weights
    return f"model {found.note} ({weights.experts or weights.ffn} weights; override with --precision)"


def cache_note(model: ModelSpec) -> str:
    """Return in which format the KV cache is held where the user names none and the checkpoint does."""
    return f"the KV cache of {model.id} is {model.kv_cache_format}, as its checkpoint asks; override with kv_precision"


def normal(name: str) -> str:
    """Return the form by which names are compared: without case, blanks, dashes, underscores and dots.

    >>> normal("H100 SXM"), normal("h100_sxm")
    ('h100sxm', 'h100sxm')
    """
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def shipped_root() -> Path:
    """Return the folder with `hardware/` and `scenarios/`: inside the installed package, or the checkout."""
    inside = _PACKAGE / "_catalog"
    return inside if inside.is_dir() else _PACKAGE.parent


class Catalog:
    """Spec files of one or more roots, each with the folders `hardware/` and `scenarios/`.

    Parameters
    ----------
    extra : a folder, or several, searched first; then those of PLANNER_CATALOG (a path list), then the shipped one.
    """

    def __init__(self, extra: str | Path | Sequence[str | Path] = ()) -> None:
        from_environment = [p for p in os.environ.get(CATALOG_VARIABLE, "").split(os.pathsep) if p]
        folders = (extra,) if isinstance(extra, str | Path) else extra
        self.roots = [Path(p) for p in (*folders, *from_environment)]
        for root in self.roots:
            if not root.is_dir():
                raise BadInputError("is not a folder; expected one with hardware/ and scenarios/", where=str(root))
            if not any((root / name).is_dir() for name in ("hardware", "scenarios")):
                raise BadInputError("has neither hardware/ nor scenarios/; expected one of them", where=str(root))
        self.roots.append(shipped_root())
        self._loaded: dict[Path, Loaded[Any]] = {}

    def files(self, folder: str, suffix: str = ".yaml") -> dict[str, Path]:
        """Return id -> path of the files in a folder; of several roots with an id, the first is used."""
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted((root / folder).glob(f"*{suffix}")):
                found.setdefault(path.stem, path)
        return found

    def read(self, kind: type[T], path: Path) -> Loaded[T]:
        """Return the spec of a file, read and validated once. Raises BadInputError for a bad file or a misnamed one."""
        if path not in self._loaded:
            found = load(kind, read_document(path, where=self.shown(path)))
            own: str | None = getattr(found.spec, "provider", None) or getattr(found.spec, "id", None)
            if own and own != path.stem and any(root in path.parents for root in self.roots):
                place = found.document.place(("provider",) if hasattr(found.spec, "provider") else ("id",))
                raise BadInputError(
                    f"{own!r} differs from the file name {path.name}; expected {path.stem}", where=place
                )
            self._loaded[path] = found
        return self._loaded[path]

    def shown(self, path: Path) -> str:
        """Return a path as outputs show it: relative inside the shipped catalogue, otherwise as given."""
        try:
            return path.relative_to(self.roots[-1]).as_posix()
        except ValueError:
            return str(path)

    def ids(self, kind: type[T]) -> list[str]:
        """Return the sorted ids of a kind."""
        return sorted(self.files(_folder(kind)))

    def all(self, kind: type[T]) -> Iterator[Loaded[T]]:
        """Yield every spec of a kind, sorted by id."""
        for _, path in sorted(self.files(_folder(kind)).items()):
            yield self.read(kind, path)

    def get(self, kind: type[T], name: str, *, where: str = "") -> Loaded[T]:
        """Return the spec that a name means. Raises DataMissingError with the nearest names."""
        return self.find(kind, name, where=where).loaded

    def find(self, kind: type[T], name: str, *, where: str = "") -> Found:
        """Return the spec that a name means, by id, alias, or without its suffixes, and a note where it is not the id.

        Raises DataMissingError with the nearest names.
        """
        files = self.files(_folder(kind))
        if name in files:
            return Found(self.read(kind, files[name]), None)
        by_name = self._names(kind)
        for candidate in _shorter(name):
            path = by_name.get(candidate)
            if path is not None:
                loaded: Loaded[Any] = self.read(kind, path)
                if isinstance(loaded.spec, ModelSpec):
                    loaded = dataclasses.replace(loaded, spec=with_named_format(loaded.spec, name))
                return Found(loaded, f"{name} resolved to {path.stem}")
        entry = kind_of_spec(kind)
        raise DataMissingError(unknown(entry.noun, name, files, listing=entry.listing), where=where)

    def _names(self, kind: type[T]) -> dict[str, Path]:
        """Return spelling -> file, for all spellings of all specs of a kind."""
        names: dict[str, Path] = {}
        for stem, path in self.files(_folder(kind)).items():
            spec: Any = self.read(kind, path).spec
            spellings = [
                stem,
                getattr(spec, "name", ""),
                getattr(spec, "hf_id", None) or "",
                *getattr(spec, "aliases", ()),
                *getattr(spec, "nvml_names", ()),
            ]
            for text in spellings:
                for form in {normal(text), normal(text.rsplit("/", maxsplit=1)[-1])}:
                    if form:
                        names.setdefault(form, path)
        return names

    @cached_property
    def assumptions(self) -> Loaded[AssumptionsFile]:
        """Return hardware/assumptions.yaml."""
        return self.read(AssumptionsFile, self._single("hardware/assumptions.yaml"))

    @cached_property
    def formats(self) -> Loaded[FormatsFile]:
        """Return hardware/formats.yaml."""
        return self.read(FormatsFile, self._single("hardware/formats.yaml"))

    def format(self, name: str, *, where: str = "") -> tuple[str, FormatSpec]:
        """Return (id, spec) of a number format by name or alias. Raises DataMissingError with the nearest names."""
        formats = self.formats.spec.formats
        for key, spec in formats.items():
            if name.lower() in {key, *spec.aliases}:
                return key, spec
        raise DataMissingError(unknown("precision", name, formats), where=where)

    def grid(self, zone: str, source: str | None = None, *, where: str = "", source_where: str = "") -> GridFactor:
        """Return the carbon intensity of a zone; without a source, the one with the newest year.

        `where` and `source_where` are the places of the two names, for errors. Raises DataMissingError for either.
        """
        found = self.grids(zone, where=where)
        named = [g for g in found if source in {None, g.source_name}]
        if not named:
            hint = suggestion(source or "", (g.source_name for g in found))
            raise DataMissingError(f"{source!r} has no figure for the grid of {zone}.{hint}", where=source_where)
        return max(named, key=lambda g: (g.year, g.source_name))

    def grids(self, zone: str, *, where: str = "") -> list[GridFactor]:
        """Return the carbon intensity of a zone from every source, in the file's order. Raises DataMissingError."""
        sources = load(_GridSources, read_document(self._single("hardware/grid_sources.yaml"))).spec.sources
        path = self._single("hardware/grids.csv")
        rows = list(csv.DictReader(read_text(path).splitlines()))
        wanted = zone.lower()
        found = [
            GridFactor(
                gco2e_per_kwh=float(row["gco2e_per_kwh"]),
                zone=row["zone"],
                year=row["year"],
                source_name=row["source"],
                source=sources[row["source"]],
                where=f"{self.shown(path)}:{line}",
            )
            for line, row in enumerate(rows, start=2)
            if wanted in {row["zone"].lower(), row["name"].lower()}
        ]
        if not found:
            names = (row[k] for k in ("zone", "name") for row in rows)
            text = unknown("grid zone", zone, names, listing="A zone is a code such as USA or FRA")
            raise DataMissingError(text, where=where)
        return found

    def _single(self, name: str) -> Path:
        for root in self.roots:
            if (root / name).is_file():
                return root / name
        raise DataMissingError(f"the catalogue has no {name}; is the installation complete?")


def _folder(kind: type[FileSpec]) -> str:
    """Return the catalogue folder of a kind."""
    return str(kind_of_spec(kind).folder)


class _GridSources(FileSpec):
    """hardware/grid_sources.yaml."""


def _shorter(name: str) -> Iterable[str]:
    """Yield the normal forms of a name: whole and without its owner, each with its suffixes dropped one by one."""
    own = name.rsplit("/", maxsplit=1)[-1]
    for text in dict.fromkeys((name, own, without_format(own))):
        form = normal(text)
        while form:
            yield form
            cut = _SUFFIXES.sub("", form)
            if cut == form:
                break
            form = cut
