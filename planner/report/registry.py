"""Output formats by name: a new one is a file beside this and a line here."""

from collections.abc import Callable

from planner.report import as_csv, as_json, as_markdown, as_table
from planner.report.page import Page

FORMATS: dict[str, Callable[[Page, str], str]] = {
    "table": lambda page, _: as_table.render(page),
    "json": lambda page, _: as_json.render(page),
    "csv": as_csv.render,
    "long-csv": as_csv.render_long,
    "markdown": lambda page, _: as_markdown.render(page),
}
"""Name -> function of the page and the CSV dialect."""
