"""The strict YAML reader: it keeps positions, refuses the traps of YAML, and separates sources from data.

YAML 1.1 reads some scalars as people do not mean them. Here `1e6` is a number; `12:30` (750), `NO` (False) and a
repeated key are refused with file:line:column. A mapping may have `source: name`, which covers everything inside it,
and a number may be written `{value: 1, source: name}`.
"""

import datetime as dt
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from planner.documents.text_file import read_text
from planner.errors import BadInputError

Key = tuple[str | int, ...]
"""A path into a document, e.g. ("workload", "classes", 0, "share")."""

MAX_NODES = 200_000
_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d+)([eE][-+]?\d+)?")
LEADING_ZERO = re.compile(r"[-+]?0\d+")
_SEXAGESIMAL = re.compile(r"[-+]?\d+(:[0-5]?\d)+(\.\d*)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
_YAML11_BOOL = {"yes", "no", "on", "off", "y", "n"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINE_BREAKS = "\n\r\x85\u2028\u2029"
_PROSE = "note"
"""The only field that may have several lines."""
SOURCE_EXPECTED = "expected the name of an entry of `sources`"
_NAMED_BY_PEOPLE = {("sources",), ("overrides",)}
"""Mappings whose keys are names given by people, so that `source` is a name like others there."""
_SOURCED_SCALAR = {"value", "source", "note"}
_LONG = 40
"""Numbers with more digits than this are described instead of shown."""


def path_text(key: Key) -> str:
    """Return a dotted path: ("classes", 0, "share") is classes[0].share.

    >>> path_text(("workload", "classes", 0, "share"))
    'workload.classes[0].share'
    """
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes without YAML's guesses about scalars; `plain_scalar` decides what they mean."""

    def descend_resolver(self, *_: Any) -> None:  # noqa: ANN401 - PyYAML's own nodes
        """Do nothing: tags are not looked up."""

    ascend_resolver = descend_resolver

    def resolve(self, kind: Any, *_: Any) -> str:  # noqa: ANN401 - PyYAML's own nodes
        """Return the default tag of a kind of node."""
        return str(self.DEFAULT_SCALAR_TAG if kind is yaml.ScalarNode else self.DEFAULT_MAPPING_TAG)


@dataclass(frozen=True)
class Document:
    """A YAML document: plain data, the position of each value, and the source it names."""

    data: dict[str, Any]
    where: str
    positions: dict[Key, tuple[int, int]] = field(default_factory=dict)
    source_names: dict[Key, str] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    """Places of values that were set outside the file: an override, --set, a sheet."""

    def place(self, key: Key) -> str:
        """Return file:line:column of a value, or of the nearest ancestor that has a place."""
        if key and key not in self.origins and key not in self.positions:
            inside = (place for k, place in self.origins.items() if k[: len(key)] == key)
            if set_from_elsewhere := next(inside, ""):
                return set_from_elsewhere
        for part in _ancestors(key):
            if part in self.origins:
                return self.origins[part]
            if part in self.positions:
                line, column = self.positions[part]
                return f"{self.where}:{line}:{column}"
        return self.where

    def changed_inside(self, key: Key) -> str:
        """Return the place of the last value inside a part that was set outside the file; empty where none was."""
        inside = [place for k, place in self.origins.items() if len(k) > len(key) > 0 and k[: len(key)] == key]
        return inside[-1] if inside else ""

    def field_place(self, key: Key) -> str:
        """Return the place of a value with its path: file:line:column field.path, or --set field.path."""
        place, path = self.place(key), path_text(key)
        return place if not path or place.endswith((f" {path}", f":{path}")) else f"{place} {path}"

    def source_name(self, key: Key) -> str | None:
        """Return the name of the source of a value or of its nearest ancestor; None where neither names one."""
        return next((self.source_names[part] for part in _ancestors(key) if part in self.source_names), None) or None


def _ancestors(key: Key) -> Iterator[Key]:
    """Yield a path and what it is in, from the inside out."""
    return (key[:size] for size in range(len(key), -1, -1))


def read_document(path: Path, *, where: str | None = None) -> Document:
    """Read a YAML file; `where` replaces its path in messages. Raises PlannerError with file, line and column."""
    return parse_document(read_text(path), where or str(path))


def parse_document(text: str, where: str) -> Document:
    """Return a Document from YAML text, whose top level must be a mapping. Raises BadInputError with a place."""
    node = _compose(text, where)
    if node is None:
        raise BadInputError("is empty; expected a mapping of fields", where=where)
    if not isinstance(node, yaml.MappingNode):
        raise BadInputError("has no fields; expected `key: value` lines", where=_at(node, where))
    builder = _Builder(where)
    try:
        data = builder.build(node, ())
    except RecursionError:
        raise BadInputError("is nested too deeply", where=where) from None
    return Document(data, where, builder.positions, builder.source_names)


def _compose(text: str, where: str) -> Any:  # noqa: ANN401 - a yaml Node or None
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        if "single document" in str(error.context or error.problem):
            raise BadInputError("has a second document; expected one per file", where=place) from None
        detail = " ".join(x for x in (error.context, error.problem) if x)
        raise BadInputError(f"is not valid YAML: {detail}", where=place) from None
    except yaml.reader.ReaderError as error:
        character = f"a character that YAML does not allow (#x{error.character:04x})"
        raise BadInputError(f"contains {character}", where=where) from None
    except RecursionError:
        raise BadInputError("is nested too deeply", where=where) from None
    except UnicodeEncodeError:
        raise BadInputError("is not UTF-8 text", where=where) from None


def _at(node: Any, where: str, key: Key = ()) -> str:  # noqa: ANN401 - a yaml Node
    return f"{where}:{node.start_mark.line + 1}:{node.start_mark.column + 1} {path_text(key)}".rstrip()


class _Builder:
    """Turns YAML nodes into plain data and collects positions and source names."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.positions: dict[Key, tuple[int, int]] = {}
        self.source_names: dict[Key, str] = {}
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Any, key: Key) -> Any:  # noqa: ANN401 - plain data of any shape
        self._count += 1
        if self._count > MAX_NODES:
            raise BadInputError(f"expands to more than {MAX_NODES:,} values (aliases?); refused", where=self.where)
        mark = node.start_mark
        self.positions[key] = (mark.line + 1, mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        if id(node) in self._open:
            raise self._fault("an alias refers to itself", node, key)
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            built: Any = tuple(self.build(child, (*key, i)) for i, child in enumerate(node.value))
        else:
            built = self._mapping(node, key)
        self._open.discard(id(node))
        return built

    def _mapping(self, node: Any, key: Key) -> Any:  # noqa: ANN401 - a dict, or an unwrapped sourced scalar
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value
            if not isinstance(name, str):
                raise self._fault("a key must be plain text", name_node)
            if name == "<<":
                raise self._fault("merge keys (<<) are not supported; use overrides", name_node)
            if fault := control_fault(name):
                raise self._fault(f"a key {fault}", name_node, key)
            if name in data:
                raise self._fault("the key is repeated; expected it once", name_node, (*key, name))
            value = self.build(value_node, (*key, name))
            if name == "source" and key not in _NAMED_BY_PEOPLE and not (isinstance(value, str) and value):
                raise self._fault(f"is not a name; {SOURCE_EXPECTED}", value_node, (*key, name))
            data[sys.intern(name)] = value
        if "source" in data and key not in _NAMED_BY_PEOPLE and ("sources" in data or key):
            self.source_names[key] = data.pop("source")
        if key and "value" in data and set(data) <= _SOURCED_SCALAR and not isinstance(data["value"], dict):
            self.positions[key] = self.positions[(*key, "value")]
            return data["value"]
        return data

    def _scalar(self, node: Any, key: Key) -> Any:  # noqa: ANN401 - a str, number, bool, date or None
        # YAML ends a block scalar with a line break of its own.
        text: str = node.value.rstrip("\n") if node.style in ("|", ">") else node.value
        if fault := control_fault(text, lines=key[-1:] == (_PROSE,)):
            raise self._fault(fault, node, key)
        if node.style in ("'", '"', "|", ">"):
            return text
        try:
            return plain_scalar(text)
        except ValueError as error:
            raise self._fault(str(error), node, key) from None

    def _fault(self, message: str, node: Any, key: Key = ()) -> BadInputError:  # noqa: ANN401 - a yaml Node
        return BadInputError(message, where=_at(node, self.where, key))


def control_fault(text: str, *, lines: bool = False) -> str:
    """Return the fault of a text that would break a table or a terminal; empty for a good text."""
    if text.isprintable():  # the common case, without a search
        return ""
    found = _CONTROL.search(text.replace("\n", "").replace("\t", "") if lines else text)
    if found is None:
        return ""
    if found[0] in _LINE_BREAKS:
        return "contains a line break; expected one line"
    return f"contains a control character (#x{ord(found[0]):04x}); expected text without one"


def plain_scalar(text: str) -> Any:  # noqa: ANN401 - a str, number, bool, date or None
    """Return the value of an unquoted YAML scalar, as people mean it. Raises ValueError with a sentence.

    >>> plain_scalar("1e6"), plain_scalar("4.8e+12"), plain_scalar("0.5"), plain_scalar("true")
    (1000000, 4800000000000, 0.5, True)
    >>> plain_scalar("NO")
    Traceback (most recent call last):
    ...
    ValueError: NO reads as a yes/no value in YAML; expected true, false or a quoted "NO"
    """
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    lower = text.lower()
    if lower in {"true", "false"}:
        return lower == "true"
    if lower in _YAML11_BOOL:
        raise ValueError(f'{text} reads as a yes/no value in YAML; expected true, false or a quoted "{text}"')
    first = text[0]
    if first in ".infNI+-" and _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number; expected a number, or leave the field out")
    if not (first.isdigit() or first in "+-."):
        return text
    return _number_like(text)


def _number_like(text: str) -> Any:  # noqa: ANN401 - a number, date or text
    if _SEXAGESIMAL.fullmatch(text):
        raise ValueError(f'{text} reads as a base-60 number in YAML; expected a number or a quoted "{text}"')
    if LEADING_ZERO.fullmatch(text):
        raise ValueError(f'{text} reads as an octal number in YAML; expected no leading zero, or a quoted "{text}"')
    if _NUMBER.fullmatch(text):
        digits = text.replace("_", "")
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            shown = text if len(text) < _LONG else f"a number of {len(text):,} digits"
            raise ValueError(f"{shown} is too large; expected a number below 1e308")
        if not any(c in digits for c in ".eE"):
            return int(digits)
        exact = "e" in digits.lower() and number.is_integer()
        return int(number) if exact else number
    return date_or_text(text)


def date_or_text(text: str) -> dt.date | str:
    """Return the date of an ISO text, other text unchanged. Raises ValueError for a day that does not exist."""
    if not _DATE.fullmatch(text):
        return text
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text} is not a calendar date; expected YYYY-MM-DD") from None
