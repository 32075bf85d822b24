"""JSON Schema of every kind of file, generated from the specs; what the reader accepts, editors accept."""

from typing import Any

from planner.specs.base import FileSpec
from planner.specs.hardware import AssumptionsFile, EngineSpec, FormatsFile, GpuSpec, SystemSpec
from planner.specs.market import DemandCurve, PricesFile
from planner.specs.model import ModelSpec
from planner.specs.scenario import ScenarioSpec
from planner.specs.workload import LENGTH_SCHEMA

SCHEMAS: dict[str, type[FileSpec]] = {
    "scenario": ScenarioSpec,
    "gpu": GpuSpec,
    "system": SystemSpec,
    "engine": EngineSpec,
    "prices": PricesFile,
    "model": ModelSpec,
    "demand": DemandCurve,
    "formats": FormatsFile,
    "assumptions": AssumptionsFile,
}
FOLDERS = {"scenario": "scenarios", "model": "scenarios", "demand": "scenarios"}
"""Where a generated schema lies; the others are under hardware/."""
_SOURCE = {"type": "string", "description": "Name of an entry of `sources`; covers everything inside."}


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 7 words only) of a kind of file."""
    schema: dict[str, Any] = SCHEMAS[kind].model_json_schema()
    schema = _shared(_relax(schema), "Length", _relax(LENGTH_SCHEMA)["anyOf"])
    schema["properties"]["source"] = _SOURCE
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def schema_path(kind: str) -> str:
    """Return the file a generated schema is kept in, relative to the catalogue."""
    return f"{FOLDERS.get(kind, 'hardware')}/{kind}.schema.json"


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
    """Allow `source` in every object and {value, source} for every number; tuples become draft-7 arrays."""
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
    if node.get("type") in {"number", "integer"}:
        keep = {k: relaxed.pop(k) for k in ("description", "title", "default") if k in relaxed}
        sourced = {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {"value": dict(relaxed), "source": _SOURCE, "note": {"type": "string"}},
        }
        return {"anyOf": [relaxed, sourced], **keep}
    return relaxed
