"""JSON Schema of a kind of file: what it accepts is what the reader accepts, and it says what the fields mean."""

import json
import re
from typing import Annotated

import jsonschema
import pytest
import yaml
from pydantic import Field

from planner.documents.json_schema import field_docs, json_schema
from planner.documents.length import AnyLength
from planner.documents.spec import FileSpec, Names, Positive, Share, Sizes, Spec, load
from planner.documents.yaml_reader import parse_document
from planner.errors import BadInputError


class Part(Spec):
    """A nested spec."""

    share: Share
    """Part of the whole."""
    thick: bool = True
    span: tuple[Positive, Positive] | None = None


class Wide(Part):
    """A part that inherits fields."""

    share: Share
    """Part of the widest."""
    width: AnyLength | None = None


class Sheet(FileSpec):
    """One field of every shape a schema changes."""

    size: Positive
    """How large it is,
    in meters."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] = ()
    wide: Wide | None = None
    names: Names = None
    sizes: Sizes = None
    length: AnyLength | None = None


class Plain(FileSpec):
    """A file of one number."""

    size: Positive


SCHEMA = json_schema(Sheet)
SOURCES = 'sources: {here: {title: Here, checked: "2026-01-02"}}'


GOOD = [
    "size: 2",
    "size: {value: 2, source: here}",
    "size: {value: 2, source: here, note: counted}",
    "size: 2\nsource: here",
    "size: 2\nparts: [{share: 0.5, source: here}]",
    "size: 2\nparts: [{share: 0.5, thick: {value: false, source: here}}]",
    "size: 2\nparts: [{share: 0.5, span: [1, 2]}]",
    "size: 2\nwide: {share: 0.5, width: {mean: 3, cv: 1}}",
    "size: 2\nnames: [a, b]",
    "size: 2\nsizes: 8",
    "size: 2\nlength: 5",
    "size: 2\nlength: {p50: 5, p90: 9, source: here}",
]
BAD = [
    "size: {value: 2, page: 3}",
    "size: {source: here}",
    "size: -2",
    "size: two",
    "names: any",
    "size: 2\nparts: [{share: 1.5}]",
    "size: 2\nparts: []",
    "size: 2\nparts: [{thick: true}]",
    "size: 2\nparts: [{share: 0.5, span: [1]}]",
    "size: 2\nparts: [{share: 0.5, span: [1, 2, 3]}]",
    "size: 2\nparts: [{share: 0.5, span: [1, two]}]",
    "size: 2\nwide: {share: 0.5, height: 1}",
    "size: 2\nnames: []",
    "size: 2\nsizes: [1, 0]",
    "size: 2\nlength: {p50: 5}",
    "size: 2\nlength: long",
    "size: 2\ncolour: red",
]


def as_editor_sees(fields: str) -> bool:
    """Return whether an editor that has the schema accepts a file."""
    return jsonschema.Draft7Validator(SCHEMA).is_valid(yaml.safe_load(f"{SOURCES}\n{fields}"))


@pytest.mark.parametrize("fields", GOOD)
def test_a_schema_accepts_what_the_reader_accepts(fields: str) -> None:
    """Numbers with a source, one name or several, each form of a length."""
    assert load(Sheet, parse_document(f"{SOURCES}\n{fields}", "s.yaml")).spec.size == 2
    assert as_editor_sees(fields)


@pytest.mark.parametrize("fields", BAD)
def test_a_schema_refuses_what_the_reader_refuses(fields: str) -> None:
    """Unknown fields, numbers out of range, lists that are too short or too long."""
    with pytest.raises(BadInputError):
        load(Sheet, parse_document(f"{SOURCES}\n{fields}", "s.yaml"))
    assert not as_editor_sees(fields)


def test_a_schema_is_one_of_draft_7_and_refers_to_itself_alone() -> None:
    """Editors know draft 7: no newer word is in it, and every reference is to a definition it holds."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert "prefixItems" not in text
    referred = set(re.findall(r'"#/\$defs/(\w+)"', text))
    assert referred == set(SCHEMA["$defs"])
    assert referred >= {"Length", "Part", "Source", "Wide"}
    assert text.count('"cv"') == 1, "the forms of a length stand once"


def test_a_file_without_lengths_has_no_definition_of_one() -> None:
    """Only what is used is defined."""
    assert set(json_schema(Plain)["$defs"]) == {"Source"}


def test_the_docstring_below_a_field_is_its_description() -> None:
    """An editor shows what a field means, at every depth, beside a number as beside a text."""
    assert SCHEMA["properties"]["size"]["description"] == "How large it is,\nin meters."
    assert SCHEMA["$defs"]["Part"]["properties"]["share"]["description"] == "Part of the whole."
    assert SCHEMA["$defs"]["Wide"]["properties"]["share"]["description"] == "Part of the widest."
    assert "description" not in SCHEMA["$defs"]["Part"]["properties"]["thick"]
    assert SCHEMA["$defs"]["Part"]["properties"]["thick"]["default"] is True


def test_a_field_keeps_its_docstring_where_it_is_inherited() -> None:
    """The nearest class that documents a field wins; fields without a docstring are left out."""
    assert field_docs(Part) == {"share": "Part of the whole."}
    assert field_docs(Wide) == {"share": "Part of the widest."}
    assert field_docs(Sheet)["sources"] == field_docs(FileSpec)["sources"]
