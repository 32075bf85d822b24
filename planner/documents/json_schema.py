"""JSON Schema of every kind of file, generated from the specs, so that editors accept what the reader accepts."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from planner.documents.length import LENGTH_SCHEMA
from planner.documents.spec import FileSpec, models_in

_SOURCE = {"type": "string", "description": "Name of an entry of `sources`; covers everything inside."}


def json_schema(kind: type[FileSpec]) -> dict[str, Any]:
    """Return the JSON Schema of a kind of file, in terms of draft 7."""
    schema: dict[str, Any] = kind.model_json_schema()
    _describe(schema, kind)
    schema = _shared(_relax(schema), "Length", _relax(LENGTH_SCHEMA)["anyOf"])
    schema["properties"]["source"] = _SOURCE
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _describe(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Add the docstrings below the fields as descriptions.

    (pydantic's use_attribute_docstrings would do this when a class is created: 25 ms at every start.)
    """
    classes = {c.__name__: c for c in _models_of(kind)}
    for name, part in {kind.__name__: schema, **schema.get("$defs", {})}.items():
        docs = field_docs(classes[name]) if name in classes else {}
        for field, prop in part.get("properties", {}).items():
            if field in docs:
                prop["description"] = docs[field]


def _models_of(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a spec class and the spec classes of its fields, at every depth."""
    found, new = set[type[BaseModel]](), {kind}
    while new:
        found |= new
        inner = {m for c in new for info in c.model_fields.values() for m in models_in(info.annotation)}
        new = inner - found
    return found


def field_docs(kind: type[BaseModel]) -> dict[str, str]:
    """Return field -> the docstring below it, for own and inherited fields."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, below in pairwise(getattr(node, "body", [])):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    docs[name] = inspect.cleandoc(text)
    return docs


def _shared(schema: dict[str, Any], name: str, choices: list[Any]) -> dict[str, Any]:
    """Return the schema with a part that occurs at many places moved to $defs."""
    found = False

    def walk(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
        nonlocal found
        if isinstance(node, list):
            return [walk(x) for x in node]
        if not isinstance(node, dict):
            return node
        if node.get("anyOf", [])[: len(choices)] != choices:
            return {k: walk(v) for k, v in node.items()}
        found = True
        return {**node, "anyOf": [{"$ref": f"#/$defs/{name}"}, *node["anyOf"][len(choices) :]]}

    schema = walk(schema)
    return {**schema, "$defs": {**schema["$defs"], name: {"anyOf": choices}}} if found else schema


def _relax(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Allow `source` in every object and {value, source} for numbers and truth values; tuples become draft-7 arrays."""
    if isinstance(node, list):
        return [_relax(x) for x in node]
    if not isinstance(node, dict):
        return node
    relaxed = {"items" if name == "prefixItems" else name: _relax(part) for name, part in node.items()}
    if node.get("type") == "object" and "properties" in node:
        relaxed["properties"].setdefault("source", _SOURCE)
    if node.get("type") in {"number", "integer", "boolean"}:
        keep = {k: relaxed.pop(k) for k in ("description", "title", "default") if k in relaxed}
        sourced = {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {"value": dict(relaxed), "source": _SOURCE, "note": {"type": "string"}},
        }
        return {"anyOf": [relaxed, sourced], **keep}
    return relaxed
