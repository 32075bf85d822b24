"""The frozen, strict base class of every spec, and pydantic's errors turned into lines with file:line:column."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from planner.documents.yaml_reader import SOURCE_EXPECTED, Document, Key, date_or_text, path_text
from planner.errors import BadInputError, suggestion

LARGEST, SMALLEST, LARGEST_COUNT = 1e21, 1e-21, 10**15
"""Limits of any plausible quantity. Beyond them, products of several could exceed the range of a float."""


def _sane(value: float) -> float:
    if value and not SMALLEST <= abs(value) <= LARGEST:
        raise ValueError(f"{value:g} is out of range; expected between {SMALLEST:g} and {LARGEST:g}")
    return value


def _day(value: object) -> object:
    """Return the date of an ISO text, as JSON writes it; any other value unchanged."""
    return date_or_text(value) if isinstance(value, str) else value


def _day_or_latest(value: object) -> object:
    day = _day(value)
    if isinstance(day, dt.date) or day == "latest":
        return day
    raise ValueError(f"{value!r} is not a day; expected a date, YYYY-MM-DD, or latest")


Day = Annotated[dt.date, BeforeValidator(_day)]
DayOrLatest = Annotated[dt.date | Literal["latest"], BeforeValidator(_day_or_latest)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_sane)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_sane)]
Factor = Annotated[float, Field(ge=1, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Confidence = Literal["high", "medium", "low"]


def today() -> dt.date:
    """Return today's date in UTC, which is what `prices.as_of: latest` means."""
    return dt.datetime.now(tz=dt.UTC).date()


class Spec(BaseModel):
    """Base of every spec: it refuses unknown fields, coerces nothing and is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Source(Spec):
    """Where a number comes from."""

    title: str
    """Document, file or page, with its version or commit where it has one."""
    url: str | None = None
    checked: Day
    """Day the number was last looked up; a note says if that was second hand."""
    published: Day | None = None
    confidence: Confidence | None = None
    note: str | None = None

    def cite(self) -> str:
        """Return the citation as one line: title, link, day of the check."""
        link = f", {self.url}" if self.url else ""
        return f"{self.title}{link} (checked {self.checked.isoformat()})"


class FileSpec(Spec):
    """A spec with a file of its own. It lists its `sources`; `source:` names the one that covers everything else."""

    sources: Annotated[Mapping[str, Source], Field(default_factory=dict)]
    """Sources by the names that `source:` uses."""

    def check_document(self, document: Document) -> None:
        """Check rules between fields that need places. Raises BadInputError. Most kinds have no such rule."""


def repeated(names: Sequence[str]) -> str | None:
    """Return the first repeated name; None where all names differ.

    >>> repeated(["a", "b", "a"]), repeated(["a", "b"])
    ('a', None)
    """
    return next((name for name in names if names.count(name) > 1), None)


def one_or_many(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return a list unchanged, None for `any`, and any other value as a list with one entry."""
    if value in ("any", ("any",), None):
        return None
    return value if isinstance(value, tuple) else (value,)


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_SIZES = {
    "anyOf": [
        {"const": "any"},
        {"type": "integer", "minimum": 1},
        {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
    ]
}
Names = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1)] | None, BeforeValidator(one_or_many), WithJsonSchema(_NAMES)
]
"""`any` (None), one name or a list of names."""
Sizes = Annotated[
    Annotated[tuple[Count, ...], Field(min_length=1)] | None, BeforeValidator(one_or_many), WithJsonSchema(_SIZES)
]
"""`any` (None), one whole number or a list of them."""

AnySpec = TypeVar("AnySpec", bound=Spec)
AnyFileSpec = TypeVar("AnyFileSpec", bound=FileSpec)


@dataclass(frozen=True)
class Loaded(Generic[AnyFileSpec]):
    """A spec together with the document it was read from."""

    spec: AnyFileSpec
    document: Document

    def source(self, *key: str | int) -> Source | None:
        """Return the source of a value of the document; None where the file names none."""
        name = self.document.source_name(key)
        return self.spec.sources.get(name) if name else None


def load(kind: type[AnyFileSpec], document: Document) -> Loaded[AnyFileSpec]:
    """Return the spec of a document. Raises BadInputError with one line and place for each problem."""
    spec = validate(kind, document.data, document)
    for key, name in document.source_names.items():
        if name and name not in spec.sources:
            text = f"source: {name} is not declared; {SOURCE_EXPECTED}.{suggestion(name, spec.sources)}"
            raise BadInputError(text, where=document.place(key))
    spec.check_document(document)
    return Loaded(spec, document)


def validate(kind: type[AnySpec], data: Mapping[str, Any], document: Document) -> AnySpec:
    """Return the spec of plain data; `document` knows the place of each value.

    Raises BadInputError with one line and place for each problem.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        inner = {e["loc"][:size] for e in errors for size in range(len(e["loc"]))}
        own = _of_own_type([e for e in errors if e["loc"] not in inner], document.data)
        problems = dict.fromkeys(_joined([_problem(e, kind, document) for e in same]) for same in own)
    if len(problems) == 1:
        place, message = next(iter(problems))
        raise BadInputError(message, where=place)
    raise BadInputError("\n".join(f"{place}: {message}" for place, message in problems))


def _of_own_type(errors: Sequence[ErrorDetails], data: Any) -> list[list[ErrorDetails]]:  # noqa: ANN401 - plain data
    """Return the errors by value, without type errors of the alternatives that a value does not have.

    Where a field takes a number or a mapping, a number out of range is not also reported as a missing mapping. A value
    of neither type keeps the errors of both.
    """
    keyed = [(_known_part(e["loc"], data), e) for e in errors]
    judged = {key for key, e in keyed if e["type"] not in _WRONG_TYPE} | {
        k[:n] for k, _ in keyed for n in range(len(k))
    }
    found: dict[Any, list[ErrorDetails]] = {}
    for index, (key, e) in enumerate(keyed):
        if e["type"] not in _WRONG_TYPE:
            found[index] = [e]
        elif key not in judged:
            found.setdefault(key, []).append(e)
    return list(found.values())


def _joined(problems: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the problem of a value that has none of the expected types: place, fault and all expected types."""
    place, message = problems[0]
    others = (other.partition("; expected ")[2] for _, other in problems[1:])
    return place, " or ".join((message, *dict.fromkeys(others)))


_EXPECTED = {
    "greater_than": "expected a number above {gt:g}",
    "greater_than_equal": "expected a number of at least {ge:g}",
    "less_than_equal": "expected a number of at most {le:g}",
    "less_than": "expected a number below {lt:g}",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "date_type": "expected a date, YYYY-MM-DD",
    "tuple_type": "expected a list",
    "model_type": "expected a mapping of fields",
    "dict_type": "expected a mapping",
    "mapping_type": "expected a mapping",
    "literal_error": "expected one of {expected}",
    "finite_number": "expected a finite number",
    "too_short": "expected at least {min_length}",
}


_WRONG_TYPE = {name for name in _EXPECTED if name.endswith("_type")}


def _problem(error: ErrorDetails, kind: type[Spec], document: Document) -> tuple[str, str]:
    """Return the place of an error, and the fault with what was expected."""
    key = _known_part(error["loc"], document.data)
    place = document.field_place(key)
    if error["type"] == "extra_forbidden":
        return place, f"unknown field.{suggestion(str(key[-1]), field_names(kind, key[:-1]))}"
    if error["type"] == "missing":
        missing = (*key, *[x for x in error["loc"][len(key) :] if isinstance(x, str)])
        return f"{document.place(key)} {path_text(missing)}", "is missing; expected a value"
    if error["type"] in {"value_error", "assertion_error"}:
        place = document.changed_inside(key) or place
        return place, error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    expected = _EXPECTED.get(error["type"])
    expected = expected.format(**error.get("ctx", {})) if expected else error["msg"][:1].lower() + error["msg"][1:]
    return place, f"{shown(error['input'])}{_fault(error)}; {expected}"


def _fault(error: ErrorDetails) -> str:
    value = error["input"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if error["type"].startswith("greater_than"):
            return " is negative" if value < 0 else " is zero" if value == 0 else " is too small"
        if error["type"].startswith("less_than"):
            return " is too large"
    number_wanted = error["type"] in {"float_type", "int_type"}
    return " is text" if number_wanted and isinstance(value, str) else " is not valid here"


def shown(value: object) -> str:
    """Return a value as a user writes it, shortened.

    >>> shown(("a", 1)), shown({"mean": None})
    ("['a', 1]", '{mean: null}')
    """
    if isinstance(value, bool | None):
        text = {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, tuple):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{k}: {shown(v)}' for k, v in value.items())}}}"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
        if isinstance(value, int) and value > LARGEST_COUNT:
            text = f"{value:g}"
    limit = 60
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _known_part(loc: tuple[str | int, ...], data: Any) -> Key:  # noqa: ANN401 - plain data of any shape
    """Return the parts of a pydantic location that exist in the data; union tags and validators do not."""
    key: list[str | int] = []
    for part in loc:
        in_list = isinstance(data, tuple) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, Mapping) and part in data):
            data = data[part]
            key.append(part)
    return tuple(key)


def field_names(kind: type[BaseModel], key: Key) -> list[str]:
    """Return the field names at a path of a spec, through lists and optional fields; empty where there is no spec."""
    for part in key:
        if isinstance(part, int):
            continue
        info = kind.model_fields.get(part)
        inner = next(models_in(info.annotation), None) if info else None
        if inner is None:
            return []
        kind = inner
    return list(kind.model_fields)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    """Yield the models inside an annotation, through lists, mappings and optional fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
