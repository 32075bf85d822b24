"""CSV by RFC 4180, wide (one row per result) and long (one row per number), with dialects for spreadsheets."""

from collections.abc import Iterator

from planner.documents.csv_table import write
from planner.report.page import Page

LONG_FIELDS = ("scenario", "option", "metric", "unit", "value", "low", "high", "basis", "source")


def render(page: Page, dialect: str = "plain") -> str:
    """Return one row per result."""
    return write(page.fields, ([row.cells.get(name) for name in page.fields] for row in page.rows), dialect)


def render_long(page: Page, dialect: str = "plain") -> str:
    """Return one row per number: what pivots and queries want. Intervals stand beside the number, in low and high."""
    return write(LONG_FIELDS, _numbers(page), dialect)


def _numbers(page: Page) -> Iterator[tuple[object, ...]]:
    for row in page.rows:
        for name, unit in page.units.items():
            value = row.cells.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                low, high = row.cells.get(f"{name}_p10"), row.cells.get(f"{name}_p90")
                yield row.scenario, row.option, name, unit, value, low, high, row.basis, row.source
