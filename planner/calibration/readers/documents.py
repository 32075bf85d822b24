"""JSON as benchmark tools write it: one document, or one per line; every value asked for by its path in the file."""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import BadInputError

JSON_START = ("{", "[")
_MOST = 1e30
"""More than anything measured, so that sums and products stay finite."""


class _BrokenError(ValueError):
    """JSON that cannot be read: the line, the column and why."""

    def __init__(self, line: int, column: int, why: str) -> None:
        super().__init__(why)
        self.line, self.column, self.why = line, column, why


@dataclass(frozen=True)
class Fields:
    """A JSON object whose values are asked for by path; what is wrong with one is said with file and path."""

    data: Mapping[str, Any]
    where: str
    path: str = ""

    def name(self, *keys: str) -> str:
        """Return the dotted path of a field in the file."""
        return ".".join(p for p in (self.path, *keys) if p)

    def get(self, *keys: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return a value, None where it or something on the way to it is missing."""
        value: Any = self.data
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def inside(self, *keys: str) -> "Fields":
        """Return the object at a path; one that is missing has no fields."""
        value = self.get(*keys)
        return Fields(value if isinstance(value, Mapping) else {}, self.where, self.name(*keys))

    def text(self, *keys: str) -> str:
        """Return a text, empty where it is missing or something else."""
        value = self.get(*keys)
        return value if isinstance(value, str) else ""

    def maybe(self, *keys: str, endless: bool = False) -> float | None:
        """Return a number, None where it is missing. Raises BadInputError for text, NaN and negative numbers."""
        value = self.get(*keys)
        return None if value is None else number(value, self.name(*keys), self.where, endless=endless)

    def number(self, *keys: str) -> float:
        """Return a number that has to be there."""
        self.require([keys])
        return number(self.get(*keys), self.name(*keys), self.where)

    def numbers(self, key: str) -> list[float]:
        """Return a list of numbers, empty where it is missing."""
        values = self.get(key)
        if not isinstance(values, list):
            return []
        return [number(v, f"{self.name(key)}[{i}]", self.where) for i, v in enumerate(values)]

    def require(self, paths: Sequence[tuple[str, ...]], hint: str = "") -> None:
        """Refuse a file that lacks fields, all of them named at once."""
        missing = [self.name(*keys) for keys in paths if self.get(*keys) is None]
        if missing:
            raise BadInputError(f"lacks {', '.join(missing)}{f'; {hint}' if hint else ''}", where=self.where)


def number(value: Any, name: str, where: str, *, endless: bool = False) -> float:  # noqa: ANN401 - any JSON value
    """Return a JSON value as a number of at least zero; infinity passes only where it has a meaning."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"{name} is {json.dumps(value)[:40]}; expected a number", where=where)
    if not value >= 0:
        shown = "negative" if value < 0 else "not a number (NaN)"
        raise BadInputError(f"{name} is {shown}; expected at least 0", where=where)
    if value == math.inf and not endless:
        raise BadInputError(f"{name} is infinite; expected a finite number", where=where)
    if _MOST < value < math.inf:
        raise BadInputError(f"{name} is too large; expected a number below {_MOST:g}", where=where)
    return float(value)


def documents(text: str, where: str) -> list[Fields]:
    """Return the JSON objects of a file: one, or one a line. Raises BadInputError with file:line."""
    try:
        parsed = _parsed(text)
    except _BrokenError as error:
        raise BadInputError(f"is not JSON: {error.why}", where=f"{where}:{error.line}:{error.column}") from None
    several = len(parsed) > 1
    out = []
    for line, value in parsed:
        place = f"{where}:{line}" if several else where
        if not isinstance(value, dict):
            raise BadInputError("is JSON without named fields; expected an object of results", where=place)
        out.append(Fields(value, place))
    return out


def peek(text: str) -> Mapping[str, Any]:
    """Return the first JSON object of a text, empty where there is none: for recognising a format."""
    if not text.lstrip().startswith(JSON_START):
        return {}
    try:
        value = _parsed(text)[0][1]
    except _BrokenError:
        return {}
    return value if isinstance(value, dict) else {}


@functools.lru_cache(maxsize=1)
def _parsed(text: str) -> tuple[tuple[int, Any], ...]:
    """Return each document with the line it starts at."""
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and (_stands_alone(lines[0][1]) or all(line.startswith('{"') for _, line in lines)):
        return tuple((n, _load(line, n)) for n, line in lines)
    return ((1, _load(text, 1)),)


def _stands_alone(line: str) -> bool:
    try:
        return isinstance(_load(line, 1), dict)
    except _BrokenError:
        return False


def _load(text: str, line: int) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cut = not text[error.pos :].strip() or error.msg.startswith("Unterminated")
        why = "it ends in the middle (cut off?)" if cut else error.msg
        raise _BrokenError(line + error.lineno - 1, error.colno, why) from None
    except RecursionError:
        raise _BrokenError(line, 1, "it is nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise _BrokenError(line, 1, str(error).split(";")[0]) from None
