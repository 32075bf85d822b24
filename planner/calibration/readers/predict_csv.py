"""Our own CSV: the columns of `predict` with measured ones beside them.

Measured columns: measured_ttft_mean_s, measured_tpot_mean_s (mean over requests of
(end to end - TTFT)/(output tokens - 1)) and measured_output_tokens_per_s, all as `predict` defines
them, nothing converted. A row needs one of them. Its own cells win over what is given; a row with
neither concurrency nor request_rate, and none given, is at maximum load, as `predict` takes it.
"""

import math
from collections.abc import Mapping
from pathlib import Path, PurePath

from planner.calibration.readers.base import COLUMNS, LOADS, MEASURED, Reader, check_given
from planner.documents.csv_table import read_rows
from planner.errors import BadInputError, did_you_mean, suggestion
from planner.loadtest.run import NUMBERS, REQUIRED, TEXTS

NAME = "predict-csv"


def recognises(text: str, _path: Path) -> bool:
    """Return whether the first line names a measured column."""
    return "measured_" in text.partition("\n")[0]


def read(text: str, where: str, given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows, gaps filled with what is given."""
    check_given(given)
    sheet = read_rows(text, where)
    _check_header(sheet.header, given, where)
    out = []
    for i, (own, line, fault) in enumerate(zip(sheet.rows, sheet.numbers, sheet.faults, strict=True), 1):
        if fault:
            raise BadInputError(fault.removeprefix(f"{where}:{line}: "), where=f"{where}:{line}")
        filled = {name: given.get(name, "") for name in (*TEXTS, *NUMBERS)}
        if any(own.get(name) for name in LOADS):
            filled |= dict.fromkeys(LOADS, "")
        row = dict.fromkeys(COLUMNS, "") | filled | {k: v for k, v in own.items() if v or k not in filled}
        _check_row(row, f"{where}:{line}")
        named = {"id": row["id"] or f"{PurePath(where).stem}-{i}", "source": row["source"] or f"{where}:{line}"}
        out.append(row | named | {"tool": row["tool"] or NAME})
    return out


def _check_header(header: list[str], given: Mapping[str, str], where: str) -> None:
    if not set(MEASURED) & set(header):
        wrong = next(name for name in (*header, "") if name.startswith("measured_") or not name)
        raise BadInputError(f"has no measured column.{suggestion(wrong, MEASURED)}", where=f"{where}:1")
    for name in REQUIRED:
        if name not in header and name not in given:
            hint = f"{did_you_mean(name, header)} Or give it with --given {name}=VALUE"
            raise BadInputError(f"has no column {name!r}.{hint}", where=f"{where}:1")


def _check_row(row: Mapping[str, str], place: str) -> None:
    for name in REQUIRED:
        if not row[name]:
            raise BadInputError(f"is empty; fill it or give it with --given {name}=VALUE", where=f"{place}:{name}")
    if not any(row[name] for name in MEASURED):
        raise BadInputError(f"no measured value; expected one of {', '.join(MEASURED)}", where=place)
    for name in MEASURED:
        if row[name]:
            try:
                value = float(row[name])
            except ValueError:
                value = math.nan
            if not 0 < value < math.inf:
                raise BadInputError(f"{row[name]!r} is not a positive number", where=f"{place}:{name}")


READER = Reader(NAME, recognises, read)
