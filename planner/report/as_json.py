"""JSON: one envelope with the inputs, the results, the warnings and where each input comes from."""

import json
from collections.abc import Sequence
from typing import Any

import planner
from planner.report.document import SCHEMA_VERSION, Report, plain


def render(report: Report) -> str:
    """Return the JSON envelope of the contract."""
    return envelope(report.rows, report.fields, report.inputs, report.warnings, report.provenance)


def render_rows(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> str:
    """Return the same envelope around rows that have no scenario."""
    return envelope(rows, fields, [], [], [])


def envelope(
    rows: Sequence[dict[str, Any]],
    fields: Sequence[str],
    inputs: list[Any],
    warnings: list[str],
    provenance: list[dict[str, Any]],
) -> str:
    """Return the envelope around any rows."""
    found = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": planner.__version__,
        "inputs": inputs,
        "results": [{name: plain(row.get(name)) for name in fields} for row in rows],
        "warnings": warnings,
        "provenance": provenance,
    }
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
