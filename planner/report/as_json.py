"""JSON: one envelope with the inputs, the results, the warnings and where each input comes from."""

import datetime as dt
import json
from typing import Any

import planner
from planner.report.page import Page

SCHEMA_VERSION = 1


def render(page: Page) -> str:
    """Return the JSON envelope of the contract."""
    found = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": planner.__version__,
        "inputs": page.inputs,
        "results": [{name: _plain(row.cells.get(name)) for name in page.fields} for row in page.rows],
        "warnings": page.warnings,
        "provenance": page.provenance,
    }
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field value
    """Return a JSON-ready value."""
    return value.isoformat() if isinstance(value, dt.date) else value
