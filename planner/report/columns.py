"""The column dictionary: unit and meaning of every result field, and the fields somebody asks for."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from planner.errors import BadInputError, unknown
from planner.options.intervals import INTERVAL_FIELDS
from planner.options.ranking import RESULT_FIELDS

DIMENSIONLESS = "1"
"""The unit of shares and ratios in the dictionary; beside a number it is not shown."""


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


@cache
def interval_columns() -> dict[str, Column]:
    """Return the columns that --interval appends, in their order."""
    found = {}
    for name in INTERVAL_FIELDS:
        of, _, bound = name.rpartition("_")
        percentile = {"p10": "10th", "p90": "90th"}[bound]
        found[name] = Column(name, columns()[of].unit, f"{percentile} percentile of {of} (only with --interval)")
    return found


def choose_fields(wanted: str | None, known: Sequence[str] = RESULT_FIELDS, *, where: str = "--fields") -> list[str]:
    """Return the fields of `--fields a,b`, or all. Raises BadInputError with the nearest name."""
    if wanted is None:
        return list(known)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            text = unknown("field", name, known, listing="`planner schema --columns` lists them")
            raise BadInputError(text, where=where)
    if not names:
        raise BadInputError("no field given; for example gpu,gpus,cost_usd_per_month", where=where)
    return list(dict.fromkeys(names))
