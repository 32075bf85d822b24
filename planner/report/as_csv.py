"""CSV by RFC 4180, wide (one row per option) and long (one row per number), with dialects for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from planner.report.columns import columns, interval_columns
from planner.report.document import Report

DIALECTS = ("plain", "excel", "excel-eu")
BOM = "\ufeff"
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
LONG_FIELDS = ("scenario", "option", "metric", "unit", "value", "low", "high", "basis", "source")
_LAYOUT_PARTS = (("TP", "tensor"), ("PP", "pipeline"), ("EP", "expert"), ("DP", "data"))
_OPTION_PARTS = ("gpu", "engine", "precision", "provider", "price_tier", "region")


def cell(value: Any, *, decimal_comma: bool = False) -> str:  # noqa: ANN401 - any field value
    """Return the text of a cell: numbers stay numbers, text that looks like a formula is guarded, None is empty.

    >>> cell(-1.5), cell("=1+1"), cell(None), cell(True), cell(2.5, decimal_comma=True)
    ('-1.5', "'=1+1", '', 'TRUE', '2,5')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        text = repr(value)
        return text.replace(".", ",") if decimal_comma else text
    text = str(value)
    return "'" + text if text.startswith(FORMULA_START) else text


def write(header: Sequence[str], rows: Iterable[Sequence[Any]], dialect: str = "plain") -> str:
    """Return CSV text in a dialect: CRLF, header first, nothing above it."""
    europe = dialect == "excel-eu"
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";" if europe else ",", lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([cell(value, decimal_comma=europe) for value in row])
    return ("" if dialect == "plain" else BOM) + out.getvalue()


def render(report: Report, dialect: str = "plain") -> str:
    """Return one row per option."""
    return write(report.fields, ([row.get(name) for name in report.fields] for row in report.rows), dialect)


def render_long(report: Report, dialect: str = "plain") -> str:
    """Return one row per number: what pivots and queries want. Intervals stand beside the number, in low and high."""
    known = columns() | interval_columns()
    beside = {f"{name}_{bound}" for name in report.fields for bound in ("p10", "p90")}
    rows = []
    for row in report.rows:
        option = " ".join(str(row[p]) for p in _OPTION_PARTS if row.get(p))
        if row.get("tensor_parallel") is not None:
            sizes = (f" {short}{row[f'{name}_parallel']}" for short, name in _LAYOUT_PARTS)
            option += "".join(sizes)
        if row.get("prefill_tensor_parallel") is not None:
            sizes = (f" {short}{row[f'prefill_{name}_parallel']}" for short, name in _LAYOUT_PARTS)
            option += " prefill" + "".join(sizes)
        for name in report.fields:
            value = row.get(name)
            if name in beside or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            low, high = row.get(f"{name}_p10"), row.get(f"{name}_p90")
            unit = known[name].unit if name in known else ""
            rows.append((row["scenario"], option, name, unit, value, low, high, row["basis"], row["price_source"]))
    return write(LONG_FIELDS, rows, dialect)
