"""CSV by RFC 4180, wide (one row per option) and long (one row per number), with dialects for spreadsheets."""

from planner.documents.csv_table import write
from planner.report.columns import columns, interval_columns
from planner.report.document import Report

LONG_FIELDS = ("scenario", "option", "metric", "unit", "value", "low", "high", "basis", "source")
_LAYOUT_PARTS = (("TP", "tensor"), ("PP", "pipeline"), ("EP", "expert"), ("DP", "data"))
_OPTION_PARTS = ("gpu", "engine", "precision", "provider", "price_tier", "region")


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
