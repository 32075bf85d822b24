"""From a scenario file to a validated scenario: overrides, --set, histogram files, and the place of each value."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.catalog.catalog import Catalog
from planner.catalog.kinds import SCENARIO, kind_of, wrong_kind
from planner.catalog.open_named import FILE_BY_PATH, open_named
from planner.documents.spec import Loaded, load
from planner.documents.text_file import read_text
from planner.documents.yaml_reader import LEADING_ZERO, Document, Key, control_fault, parse_document, plain_scalar
from planner.errors import BadInputError, DataMissingError, unknown
from planner.scenario.scenario import ScenarioSpec
from planner.scenario.workload import RATE_FIELDS, THINKING_FIELDS

_FOLDER = str(SCENARIO.folder)
_PATH = re.compile(r"[A-Za-z_]\w*(\[\d+\])?(\.([A-Za-z_]\w*|\d+)(\[\d+\])?)*")
_FINITE = re.compile(r"\d+\.?\d*([eE][-+]?\d{1,2})?|\.\d+")
EXCLUSIVE = (
    frozenset((*RATE_FIELDS, "users", "tokens_per_day")),
    frozenset(THINKING_FIELDS),
)
"""Fields of which a workload takes one; setting one of them drops the others."""
REPLACES = {
    "usd_per_gpu_hour": frozenset(("provider", "tier", "sku", "region", "as_of")),
    "provider": frozenset(("usd_per_gpu_hour",)),
    "scenario": frozenset(("title", "override", "changes")),
}
"""Fields that a value of one drops: a price as a number, or by who quotes it; what was said of another scenario."""


@dataclass(frozen=True)
class Scenario:
    """A validated scenario with its document and the folder that its file names are relative to."""

    loaded: Loaded[ScenarioSpec]
    folder: Path
    override: str | None = None
    router: str | None = None
    """Label of the router that this is a part of; None where it is a whole scenario."""

    @property
    def spec(self) -> ScenarioSpec:
        """Return the validated fields."""
        return self.loaded.spec

    @property
    def label(self) -> str:
        """Return the name in results: `name`, or `name/override`."""
        return f"{self.spec.name}/{self.override}" if self.override else self.spec.name


def load_scenario(
    name: str | Path, catalog: Catalog, *, override: str | None = None, changes: Mapping[str, Any] | None = None
) -> Scenario:
    """Return a scenario by file, shipped name or `-` (stdin), with an override and single changes applied.

    Raises BadInputError for a bad file and DataMissingError for an unknown name.
    """
    document, folder = open_scenario(name, catalog)
    return build_scenario(document, folder, override=override, changes=changes)


def open_scenario(name: str | Path, catalog: Catalog) -> tuple[Document, Path]:
    """Return the document of a scenario and its folder.

    Raises BadInputError for a file of another kind and DataMissingError for an unknown name.
    """
    document, folder = open_any(name, catalog)
    if kind_of(document) not in {None, SCENARIO}:
        raise wrong_kind(document, "a scenario")
    return document, folder


def open_any(name: str | Path, catalog: Catalog) -> tuple[Document, Path]:
    """Return the document of a file, stdin or a shipped name of any kind, and its folder. Raises DataMissingError."""
    text = str(name)
    if found := open_named(text, catalog, [_FOLDER]):
        return found
    message = unknown("scenario", text, catalog.files(_FOLDER), listing=SCENARIO.listing)
    raise DataMissingError(f"{message} {FILE_BY_PATH}")


def build_scenario(
    document: Document,
    folder: Path,
    *,
    override: str | None = None,
    changes: Mapping[str, Any] | None = None,
    origin: str = "--set ",
) -> Scenario:
    """Return the scenario of a document, with an override and changes applied. Raises PlannerError.

    `origin` is the start of the changes' places in messages.
    """
    overrides = document.data.get("overrides") or {}
    if override is not None:
        if not isinstance(overrides, dict) or override not in overrides:
            known = overrides if isinstance(overrides, dict) else ()
            raise DataMissingError(unknown("override", override, known), where=document.where)
        for path, value in _override_items(document, override, overrides[override]):
            key = parse_path(path, where=document.place(("overrides", override, path)))
            document = changed(
                document,
                key,
                value,
                document.place(("overrides", override, path)),
                document.source_name(("overrides", override, path)),
            )
    for path, value in (changes or {}).items():
        document = changed(document, parse_path(path, where=origin.strip(" :")), value, f"{origin}{path}")
    for key in _histograms(document.data, ()):
        document = _with_histogram(document, key, folder)
    loaded = load(ScenarioSpec, document)
    for name, fields in loaded.spec.overrides.items():
        if override is None:
            for path in fields:
                parse_path(path, where=document.place(("overrides", name, path)))
    return Scenario(loaded, folder, override)


def _override_items(document: Document, name: str, fields: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - from a file
    if not isinstance(fields, dict):
        raise BadInputError(
            f"overrides.{name}: expected a mapping of paths to values", where=document.place(("overrides", name))
        )
    return list(fields.items())


def parse_value(text: str, where: str) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return the value of `--set path=text`: a scalar, or a YAML flow list or mapping."""
    if fault := control_fault(text.strip()):
        raise BadInputError(fault, where=where)
    if text[:1] in {"{", "["}:
        return parse_document(f"value: {text}", where).data["value"]
    try:
        return plain_scalar(text.strip())
    except ValueError as error:
        raise BadInputError(str(error), where=where) from None


def parse_cell(text: str, where: str) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return the value of a sheet's cell. A number with a leading 0 is refused: a cell cannot quote it as text."""
    if LEADING_ZERO.fullmatch(text.strip()):
        raise BadInputError(f"{text} has a leading 0; expected a number without it", where=where)
    return parse_value(text, where)


def parse_path(path: str, *, where: str = "") -> Key:
    """Return the key of a dotted path.

    >>> parse_path("workload.classes[0].share")
    ('workload', 'classes', 0, 'share')
    """
    if not _PATH.fullmatch(path):
        raise BadInputError(f"{path!r} is not a field path; expected e.g. workload.reasoning_multiplier", where=where)
    parts = [int(p) if p.isdigit() else p for p in re.findall(r"\w+", path)]
    if parts[0] in {"overrides", "sources"}:
        raise BadInputError(f"{path!r} cannot be overridden; expected a field of the scenario", where=where)
    return tuple(parts)


def changed(document: Document, key: Key, value: Any, place: str, source: str | None = None) -> Document:  # noqa: ANN401
    """Return a document with one value replaced and the fields dropped that exclude it, such as another rate.

    `place` is where the new value stands, `source` the name of its source.
    """
    data = _assign(document.data, key, _plain(value), place)
    positions = {k: v for k, v in document.positions.items() if k[: len(key)] != key}
    origins = {**{k: v for k, v in document.origins.items() if k[: len(key)] != key}, key: place}
    names = {k: v for k, v in document.source_names.items() if k[: len(key)] != key}
    names[key] = source or ""
    return replace(document, data=data, positions=positions, origins=origins, source_names=names)


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return a value from Python as a document holds it: its lists as tuples, at any depth."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _assign(data: Any, key: Key, value: Any, place: str) -> Any:  # noqa: ANN401 - plain data of any shape
    head, rest = key[0], key[1:]
    if isinstance(head, int):
        if not isinstance(data, tuple):
            raise BadInputError(f"[{head}] is an index, but the field is not a list", where=place)
        if head >= len(data):
            raise BadInputError(f"there is no entry [{head}]; the list has {len(data)}, counted from 0", where=place)
        return (*data[:head], _assign(data[head], rest, value, place) if rest else value, *data[head + 1 :])
    if data is None:
        data = {}
    if not isinstance(data, dict):
        if not rest and head == "mean" and isinstance(data, int | float):
            return value
        raise BadInputError(f"{head!r} is a field of a plain value; expected a mapping", where=place)
    kept = {k: v for k, v in data.items() if value is None or k not in _replaced_by(head)}
    kept[head] = _assign(kept.get(head), rest, value, place) if rest else value
    return kept


def _replaced_by(name: str) -> set[str]:
    """Return the fields that setting this one drops."""
    return {f for group in EXCLUSIVE if name in group for f in group if f != name} | REPLACES.get(name, set())


def undoes(later: Key, new: Any, earlier: Key, value: Any) -> bool:  # noqa: ANN401 - plain data of any shape
    """Return whether setting a field to `new` drops or replaces some of the `value` that another was set to before.

    A field that is added to a mapping set before undoes nothing, nor does null beside an alternative.

    >>> undoes(("fleet", "gpus"), "l4", ("fleet",), {"gpus": "h200-sxm"})
    True
    >>> undoes(("fleet", "headroom"), 0.2, ("fleet",), {"gpus": "h200-sxm"})
    False
    """
    given: Any
    for depth, name in enumerate(later):
        if depth < len(earlier):
            given = {earlier[depth]: value}
        else:
            given = dict(enumerate(value)) if isinstance(value, tuple) else value
        if not isinstance(given, dict):
            return given is not None
        if new is not None and any(_exclude(name, other) and held is not None for other, held in given.items()):
            return True
        if name not in given:
            return False
        value = given[name]
    return len(earlier) > len(later) or bool(value != new)


def _exclude(a: str | int, b: str | int) -> bool:
    """Return whether a mapping takes only one of two fields."""
    return a in _replaced_by(str(b)) and b in _replaced_by(str(a))


def _histograms(data: Any, key: Key) -> list[Key]:  # noqa: ANN401 - plain data of any shape
    """Return the keys of all {histogram: file} mappings."""
    if isinstance(data, dict):
        if isinstance(data.get("histogram"), str):
            return [key]
        return [k for name, value in data.items() for k in _histograms(value, (*key, name))]
    if isinstance(data, tuple):
        return [k for i, value in enumerate(data) for k in _histograms(value, (*key, i))]
    return []


def _with_histogram(document: Document, key: Key, folder: Path) -> Document:
    value: Any = document.data
    for part in key:
        value = value[part]
    place = document.place((*key, "histogram"))
    path = folder / value["histogram"]
    points = read_histogram(path)
    data = _assign(document.data, (*key, "points"), points, place)
    return replace(document, data=data)


def read_histogram(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the (tokens, weight) pairs of a CSV file with these columns. Raises BadInputError with file and line."""
    reader = csv.reader(read_text(path).splitlines())
    header = [name.strip() for name in next(reader, [])]
    if sorted(header) != ["tokens", "weight"]:
        raise BadInputError(f"has the columns {', '.join(header)}; expected tokens,weight", where=f"{path}:1")
    points = []
    for cells in filter(None, reader):
        numbers = [float(c) for c in cells if _FINITE.fullmatch(c.strip())]
        if len(numbers) != len(header) or len(cells) != len(header):
            raise BadInputError("expected two numbers: tokens,weight", where=f"{path}:{reader.line_num}")
        pair = dict(zip(header, numbers, strict=True))
        points.append((pair["tokens"], pair["weight"]))
    return tuple(points)
