"""Output formats by name: a new one is a file beside this and a line here."""

from collections.abc import Callable

from planner.report import as_csv, as_json, as_markdown, as_table
from planner.report.document import Report

FORMATS: dict[str, Callable[[Report, str], str]] = {
    "table": lambda report, _: as_table.render(report),
    "json": lambda report, _: as_json.render(report),
    "csv": as_csv.render,
    "long-csv": as_csv.render_long,
    "markdown": lambda report, _: as_markdown.render(report),
}
"""Name -> function of the report and the CSV dialect."""
