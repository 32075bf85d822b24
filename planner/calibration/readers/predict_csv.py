"""Our own CSV: the columns of `predict` with measured ones beside them.

Measured columns: measured_ttft_mean_s, measured_tpot_mean_s (mean over requests of
(end to end - TTFT)/(output tokens - 1)) and measured_output_tokens_per_s, all as `predict` defines
them, nothing converted. A row needs one of them. Its own cells win over what is given; a row with
neither concurrency nor request_rate, and none given, is at maximum load, as `predict` takes it.
"""

import math
from contextlib import suppress
from pathlib import PurePath

from planner.calibration.readers.base import COLUMNS, MEASURED, Reader
from planner.documents.csv_table import read_rows
from planner.errors import BadInputError, did_you_mean, suggestion
from planner.loadtest.layouts import LOADS
from planner.loadtest.run import NUMBERS, REQUIRED, TEXTS, Row

NAME = "predict-csv"


def _recognises(text: str) -> bool:
    """Return whether the first line names a measured column."""
    return "measured_" in text.partition("\n")[0]


def _read(text: str, where: str, given: Row) -> list[Row]:
    """Return the rows, gaps filled with what is given."""
    sheet = read_rows(text, where)
    _check_header(sheet.header, given, where)
    out: list[Row] = []
    for i, (own, line, fault) in enumerate(zip(sheet.rows, sheet.numbers, sheet.faults, strict=True), 1):
        if fault:
            raise BadInputError(fault, where=f"{where}:{line}")
        filled = {name: given.get(name) for name in (*TEXTS, *NUMBERS)}
        if any(own.get(name) for name in LOADS):
            filled |= dict.fromkeys(LOADS)
        row = dict.fromkeys(COLUMNS) | filled | {k: v for k, v in own.items() if v}
        measured = _measured(row, f"{where}:{line}")
        named = {"id": row["id"] or f"{PurePath(where).stem}-{i}", "source": row["source"] or f"{where}:{line}"}
        out.append(row | named | measured | {"tool": row["tool"] or NAME})
    return out


def _check_header(header: list[str], given: Row, where: str) -> None:
    if not set(MEASURED) & set(header):
        wrong = next(name for name in (*header, "") if name.startswith("measured_") or not name)
        raise BadInputError(f"has no measured column.{suggestion(wrong, MEASURED)}", where=f"{where}:1")
    for name in REQUIRED:
        if name not in header and name not in given:
            hint = f"{did_you_mean(name, header)} Or give it with --given {name}=VALUE"
            raise BadInputError(f"has no column {name!r}.{hint}", where=f"{where}:1")


def _measured(row: Row, place: str) -> dict[str, float]:
    """Return what a row measured. Raises BadInputError where that, or what has to be known of a run, is missing."""
    for name in REQUIRED:
        if row[name] in {None, ""}:
            raise BadInputError(f"is empty; fill it or give it with --given {name}=VALUE", where=f"{place}:{name}")
    found = {}
    for name in MEASURED:
        if row[name]:
            with suppress(ValueError):
                found[name] = float(row[name])
            if not 0 < found.get(name, math.nan) < math.inf:
                raise BadInputError(f"{row[name]!r} is not a positive number", where=f"{place}:{name}")
    if not found:
        raise BadInputError(f"no measured value; expected one of {', '.join(MEASURED)}", where=place)
    return found


READER = Reader(NAME, _recognises, _read)
