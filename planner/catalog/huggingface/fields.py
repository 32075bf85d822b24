"""Typed access to a Hugging Face config.json: strict JSON, errors that name file, field and what was expected."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from planner.documents.spec import shown
from planner.documents.text_file import read_text
from planner.documents.yaml_reader import read_document
from planner.errors import BadInputError

DEFAULTS = Path(__file__).with_name("defaults.yaml")
EXPECTED = "expected a decoder-only language model"
_LARGEST = 10**12


@cache
def class_defaults() -> dict[str, Any]:
    """Return hf_defaults.yaml: what configs leave to their model class."""
    return read_document(DEFAULTS, where=DEFAULTS.name).data


@dataclass(frozen=True)
class Fields:
    """The fields of one level of a config; a null counts as absent."""

    data: Mapping[str, Any]
    where: str
    text: str = ""
    """The file's text, where the config was read from one."""
    seen: set[str] = field(default_factory=set, compare=False)
    """Names whose values the reader used, shared by every view of the level: the others are ignored."""
    settled: set[str] = field(default_factory=set, compare=False)
    """Names whose values cannot matter, beside what else the config says; shared by every view of the level."""
    parts: dict[str, set[str]] = field(default_factory=dict, compare=False)
    """Nested mappings the reader went into -> the names used there; shared by every view of the level."""
    around: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Fields of the whole model around this part of it, which nobody reads."""
    assumed: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the model's class takes for fields that the config leaves out; part of `data`."""

    def get(self, name: str) -> Any:  # noqa: ANN401 - whatever the file holds
        """Return a field as it stands, None where it is absent; it counts as used."""
        self.seen.add(name)
        return self.data.get(name)

    def settle(self, *names: str) -> None:
        """Say that some fields, under any spelling, cannot matter here."""
        self.settled.update(spellings(names))

    def view(self, changes: Mapping[str, Any]) -> "Fields":
        """Return the level with some fields changed; what is used there counts as used here."""
        return Fields({**self.data, **changes}, self.where, self.text, self.seen, self.settled, self.parts)

    def has(self, *names: str) -> bool:
        """Return whether any of some fields is given, under any of its spellings."""
        return self.first(names)[1] is not None

    def place(self, name: str) -> str:
        """Return file:line:column of a field, or the file where the field stands nowhere or more than once."""
        return place_of_key(self.text, name, self.where)

    def fail(self, name: str, message: str) -> NoReturn:
        """Raise a BadInputError about a field."""
        raise BadInputError(f"{name}: {message}", where=self.place(name))

    def first(self, names: Iterable[str]) -> tuple[str, Any]:
        """Return the first of several fields that is given, with its value; without one the first and None.

        Every field may stand under any of its spellings in the table of synonyms.
        """
        spelled = spellings(names)
        name = next((n for n in spelled if self.data.get(n) is not None), spelled[0])
        value = self.get(name)
        self.seen.update(n for n in spelled if self.data.get(n) == value)  # said twice is not ignored
        return name, value

    def count(self, *names: str) -> int:
        """Return a whole number of at least 1, under any of several spellings. Raises BadInputError."""
        name, value = self.first(names)
        if value is None:
            others = f" (or {', '.join(rest)})" if (rest := spellings(names)[1:]) else ""
            raise BadInputError(f"{name}{others} is missing; expected a whole number of at least 1", where=self.where)
        return self._whole(name, value, least=1)

    def optional(self, *names: str) -> int | None:
        """Return a whole number, or None where it is absent or zero."""
        name, value = self.first(names)
        return None if value is None or value is False else self._whole(name, value, least=0) or None

    def _whole(self, name: str, value: object, *, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(name, f"{shown(value)} is not a whole number; expected one of at least {least}")
        if value < least:
            self.fail(name, f"{value} is {'negative' if value < 0 else 'zero'}; expected at least {least}")
        if value > _LARGEST:
            self.fail(name, f"{shown(value)} is larger than any real size; expected at most {_LARGEST:,}")
        return value

    def factor(self, name: str) -> float:
        """Return a number above 0."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
            self.fail(name, f"{shown(value)} is not valid here; expected a number above 0")
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a yes/no field."""
        name, value = self.first((name,))
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(name, f"{shown(value)} is not valid here; expected true or false")
        return value

    def string(self, name: str) -> str:
        """Return a text field, empty where it is absent."""
        name, value = self.first((name,))
        if value is not None and not isinstance(value, str):
            self.fail(name, f"{shown(value)} is not valid here; expected text")
        return value or ""

    def per_layer(self, name: str, layers: int) -> tuple[Any, ...] | None:
        """Return a list with one entry per layer (entries of extra layers are dropped), or None where it is absent."""
        name, value = self.first((name,))
        if not isinstance(value, list | tuple) or not value:
            return None  # some fields are a list or one number (moe_layer_freq)
        if len(value) < layers:
            self.fail(name, f"has {len(value)} entries for {layers} layers; expected one per layer")
        return tuple(value[:layers])

    def listing(self, name: str) -> tuple[Any, ...]:
        """Return a list, empty where it is absent."""
        name, value = self.first((name,))
        if value is not None and not isinstance(value, list | tuple):
            self.fail(name, f"{shown(value)} is not valid here; expected a list")
        return tuple(value or ())

    def numbers(self, name: str) -> set[int]:
        """Return a list of layer numbers as a set, empty where it is absent."""
        listed = self.listing(name)
        if any(isinstance(n, bool) or not isinstance(n, int) for n in listed):
            self.fail(name, f"{shown(list(listed))} is not valid here; expected the numbers of layers")
        return set(listed)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return a nested mapping, empty where it is absent."""
        inner = self.inner(name)
        if inner is None:
            return {}
        inner.seen.update(inner.data)
        return inner.data

    def nested(self, name: str, value: object) -> "Fields":
        """Return an entry of a list as fields of its own."""
        if not isinstance(value, Mapping):
            self.fail(name, f"{shown(value)} is not valid here; expected JSON objects")
        return Fields(value, self.where, self.text)

    def inner(self, name: str) -> "Fields | None":
        """Return a nested mapping, or None where it is absent."""
        name, value = self.first((name,))
        if value is None or value == {}:
            return None
        if not isinstance(value, Mapping):
            self.fail(name, f"{shown(value)} is not valid here; expected a JSON object")
        seen = self.parts.setdefault(name, set())
        return Fields({k: v for k, v in value.items() if v is not None}, self.where, self.text, seen)

    def by_layer(self, layers: int) -> "list[Fields]":
        """Return what holds for each layer: entries of lists with one entry per layer, and `per_layer_config`."""
        lists = {
            name: value
            for name, value in self.data.items()
            if isinstance(value, list | tuple)
            and len(value) == layers
            and name not in class_defaults()["layer_numbers"]
        }
        own = {
            int(number): self.nested("per_layer_config", changes).data
            for number, changes in self.mapping("per_layer_config").items()
            if number.isdigit()
        }
        return [
            self.view({**{name: value[i] for name, value in lists.items()}, **own.get(i, {})}) for i in range(layers)
        ]


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    return {name: tuple(others) for name, others in class_defaults()["synonyms"].items()}


@cache
def _own_names() -> dict[str, str]:
    return {other: name for name, others in _synonyms().items() for other in others}


def field_name(spelling: str) -> str:
    """Return the reader's name of a field from any of its spellings."""
    return _own_names().get(spelling, spelling)


def spellings(names: Iterable[str]) -> tuple[str, ...]:
    """Return every spelling of some fields, each field's own name first."""
    return tuple(dict.fromkeys(s for name in names for s in (name, *_synonyms().get(name, ()))))


class LayerPart(NamedTuple):
    """A layer's token mixer or feed-forward block: the fields of its group, and weights that no field counts.

    Without fields, a single matrix stands in for the part.
    """

    fields: dict[str, Any]
    other: float = 0.0


def place_of_key(text: str, name: str, where: str) -> str:
    """Return file:line:column of a JSON key that stands once in the text, else the file."""
    found = list(re.finditer(rf'"{re.escape(name)}"\s*:', text))
    if len(found) != 1:
        return where
    before = text[: found[0].start()]
    return f"{where}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def read_json(path: Path, *, where: str) -> tuple[dict[str, Any], str]:
    """Return the JSON object of a file, and its text. Raises BadInputError for everything else."""
    try:
        text = read_text(path)
    except BadInputError as error:
        message = error.message.replace("a small text file", "a config.json").replace("a YAML file", "a config.json")
        raise BadInputError(message, where=where) from None
    return parse_json(text, where), text


def parse_json(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object of a text: a repeated key and NaN are refused (Infinity is what transformers writes)."""
    if not text.strip():
        raise BadInputError("is empty; expected a Hugging Face config.json", where=where)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(n for n in names if names.count(n) > 1)
            raise BadInputError(f"the key {twice!r} is repeated; expected it once", where=where)
        return data

    def constant(name: str) -> float:
        if name == "NaN":
            raise BadInputError("holds NaN; expected finite numbers", where=where)
        return float(name)

    try:
        data = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}:{error.colno}"
        raise BadInputError(
            f"is not valid JSON: {error.msg}; expected a Hugging Face config.json", where=place
        ) from None
    except RecursionError:
        raise BadInputError("is nested too deeply", where=where) from None
    except ValueError:
        raise BadInputError("holds a number with too many digits", where=where) from None
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise BadInputError(f"holds {kind}; expected a JSON object, a Hugging Face config.json", where=where)
    return data
