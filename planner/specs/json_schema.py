"""JSON Schema of every kind of file, generated from the specs; what the reader accepts, editors accept."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from planner.specs.api_prices import ApiPricesFile
from planner.specs.base import FileSpec, models_in
from planner.specs.break_even import BreakEvenFile
from planner.specs.budget import BudgetFile
from planner.specs.hardware import AssumptionsFile, EngineSpec, FormatsFile, GpuSpec, SystemSpec
from planner.specs.implied import ImpliedFile
from planner.specs.kinds import kind_of
from planner.specs.market import DemandCurve, PricesFile
from planner.specs.model import ModelSpec
from planner.specs.owning import OwningFile
from planner.specs.plan import PlanFile
from planner.specs.quality import BenchmarkFile, QualityFile
from planner.specs.reader import Document
from planner.specs.revenue import RevenueFile
from planner.specs.scenario import ScenarioSpec
from planner.specs.text import TextFile
from planner.specs.workload import LENGTH_SCHEMA

SCHEMAS: dict[str, type[FileSpec]] = {
    "scenario": ScenarioSpec,
    "gpu": GpuSpec,
    "system": SystemSpec,
    "engine": EngineSpec,
    "prices": PricesFile,
    "api-prices": ApiPricesFile,
    "model": ModelSpec,
    "demand": DemandCurve,
    "plan": PlanFile,
    "benchmark": BenchmarkFile,
    "quality": QualityFile,
    "owning": OwningFile,
    "required-revenue": RevenueFile,
    "implied": ImpliedFile,
    "budget": BudgetFile,
    "text": TextFile,
    "break-even": BreakEvenFile,
    "formats": FormatsFile,
    "assumptions": AssumptionsFile,
}
FOLDERS = dict.fromkeys(
    (
        "scenario",
        "model",
        "demand",
        "plan",
        "owning",
        "required-revenue",
        "benchmark",
        "quality",
        "implied",
        "budget",
        "text",
        "break-even",
    ),
    "scenarios",
)
"""Where a generated schema lies; the others are under hardware/."""
_SOURCE = {"type": "string", "description": "Name of an entry of `sources`; covers everything inside."}


def spec_of(document: Document) -> type[FileSpec] | None:
    """Return the spec of a document by its fields; None for a scenario, and for what cannot be told."""
    kind = kind_of(document)
    return SCHEMAS[kind.word] if kind else None


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 7 words only) of a kind of file."""
    schema: dict[str, Any] = SCHEMAS[kind].model_json_schema()
    _describe(schema, SCHEMAS[kind])
    schema = _shared(_relax(schema), "Length", _relax(LENGTH_SCHEMA)["anyOf"])
    schema["properties"]["source"] = _SOURCE
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def schema_path(kind: str) -> str:
    """Return the file a generated schema is kept in, relative to the catalogue."""
    return f"{FOLDERS.get(kind, 'hardware')}/{kind}.schema.json"


def _describe(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Add the docstrings of the fields, which stand below them in the source.

    (pydantic's use_attribute_docstrings does this when a class is made: 25 ms at every start, for editors only.)
    """
    classes = {c.__name__: c for c in _models_of(kind)}
    for name, part in {kind.__name__: schema, **schema.get("$defs", {})}.items():
        docs = field_docs(classes[name]) if name in classes else {}
        for field, prop in part.get("properties", {}).items():
            if field in docs:
                prop["description"] = docs[field]


def _models_of(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a spec class and the spec classes inside its fields."""
    found, new = set[type[BaseModel]](), {kind}
    while new:
        found |= new
        inner = {m for c in new for info in c.model_fields.values() for m in models_in(info.annotation)}
        new = inner - found
    return found


def field_docs(kind: type[BaseModel]) -> dict[str, str]:
    """Return field -> the docstring below it, own fields and inherited ones."""
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
    """Keep a part that stands at many places once, under $defs."""
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
    relaxed = {
        k: _relax(v)
        for k, v in node.items()
        if k not in {"prefixItems", "minItems", "maxItems"} or "prefixItems" not in node
    }
    if "prefixItems" in node:
        relaxed |= {
            "items": [_relax(x) for x in node["prefixItems"]],
            "minItems": node["minItems"],
            "maxItems": node["maxItems"],
        }
    if node.get("type") == "object" and "properties" in node:
        relaxed["properties"] = (
            {**relaxed["properties"], "source": _SOURCE}
            if "source" not in node["properties"]
            else relaxed["properties"]
        )
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
