"""What every output format renders: the rows of one or several answers, with their warnings and sources."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from planner.errors import BadInputError, unknown
from planner.options.answer import Answer
from planner.options.provenance import scenario_inputs
from planner.options.ranking import RESULT_FIELDS, Row

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Report:
    """Answers in the shape the formats share."""

    answers: Sequence[Answer]
    rows: list[Row]
    fields: Sequence[str]
    warnings: list[str]
    provenance: list[Row] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    show_all: bool = False
    totals: Sequence[Row] = ()
    """The rows of routers: all models of each together."""


def asked(answers: Sequence[Answer]) -> list[Row]:
    """Return what was asked: each question's file and fields, given or assumed."""
    return [
        {
            "scenario": a.scenario.label,
            "file": a.scenario.loaded.document.where,
            "fields": {i.name: i.value for i in scenario_inputs(a.scenario)},
        }
        for a in answers
    ]


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
        raise BadInputError("names no field; expected e.g. gpu,gpus,cost_usd_per_month", where=where)
    return list(dict.fromkeys(names))


def plain(value: Any) -> Any:  # noqa: ANN401 - any field value
    """Return a JSON-ready value."""
    return value.isoformat() if isinstance(value, dt.date) else value
