"""The column dictionary: unit and meaning of every result field."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Column(NamedTuple):
    """A result field."""

    field: str
    unit: str
    description: str


@cache
def columns() -> dict[str, Column]:
    """Return every result field in the contract's order."""
    text = files("planner.report").joinpath("columns.csv").read_text(encoding="utf-8")
    return {
        row["field"]: Column(row["field"], row["unit"], row["description"]) for row in csv.DictReader(text.splitlines())
    }
