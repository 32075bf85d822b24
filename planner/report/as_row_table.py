"""The answered rows of a sheet as a table: what tells the rows apart, and the main results."""

from collections.abc import Sequence

from planner.options.ranking import Row
from planner.report.as_page import cell, word
from planner.report.as_table import grid_width, render_grid, table_width
from planner.report.columns import columns, interval_columns

SHOWN = (
    "gpu",
    "gpus",
    "provider",
    "cost_usd_per_month",
    "cost_usd_per_answer",
    "utilization",
    "ttft_p95_s",
    "tpot_p95_s",
    "meets_slo",
)
"""The results a table shows where nobody chooses others."""
_FEWEST = 2


def render(rows: Sequence[Row], given: Sequence[str], results: Sequence[str]) -> str:
    """Return a table with a line for each row, as wide as the terminal, and below it why rows have no answer.

    Parameters
    ----------
    given : the columns of the sheet; one that is empty in every row is left out.
    results : the columns after them. Those that do not fit are dropped from the right and named below the table.
    """
    texts = {name: [_text(row, name) for row in rows] for name in (*given, *results)}
    told = [name for name in given if any(texts[name])]
    for size in range(len(results), min(_FEWEST, len(results)) - 1, -1):
        names = [*told, *results[:size]]
        body = [[texts[name][i] or "–" for name in names] for i in range(len(rows))]
        header = [name.replace("_", " ") for name in names]
        if grid_width(header, body) <= table_width():
            break
    left = {i for i, name in enumerate(names) if not any(_is_number(row.get(name)) for row in rows)}
    hidden = ", ".join(results[size:])
    notes = [f"left out on this width: {hidden} (a wider terminal or --format csv shows all)"] * bool(hidden)
    notes += dict.fromkeys(str(row["error"]) for row in rows if row.get("error"))
    return render_grid(header, body, left=left) + "".join(f"{line}\n" for line in notes)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(row: Row, name: str) -> str:
    """Return a cell as people read it; empty where there is nothing."""
    value = row.get(name)
    if value is None or value == "":
        return ""
    known = columns() | interval_columns()
    return cell(value, known[name].unit if name in known else "") if _is_number(value) else word(value)
