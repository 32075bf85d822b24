"""An economic question's rows in every output format."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner.documents import csv_table
from planner.economics.page import Line, Row, Sheet
from planner.report import as_json
from planner.report.as_csv import LONG_FIELDS
from planner.report.as_markdown import escape
from planner.report.as_table import grid_width, render_grid, table_width, to_ascii
from planner.report.output import Terminal
from planner.wording import count, money, seconds, significant, times

FORMATS = ("table", "json", "csv", "long-csv", "markdown")
_MOST_SIDEWAYS = 6
"""Rows that a table on its side has room for."""


def percent(value: float | None) -> str:
    """Return a share with three significant digits: 0.02 % and 99.5 % are both worth telling.

    >>> percent(0.0002), percent(0.66), percent(0.9951), percent(None)
    ('0.02%', '66%', '99.5%', '–')
    """
    if value is None:
        return "–"
    return f"{value * 100:.3g}%" if abs(value) < _TEN else f"{value * 100:,.0f}%"


_TEN = 9.995


_WORDS = {"USD": money, "share": percent, "s": seconds, "x": times, "tokens": count, "samples": count}


def render(sheet: Sheet, form: str, fields: Sequence[str], dialect: str = "plain") -> str:
    """Return a sheet in a format, with only some of its columns (of a table: where not all are asked for)."""
    rows = sheet.rows()
    if list(fields) != sheet.columns:
        named = [name for name in sheet.identity if name not in fields]
        sheet = replace(sheet, shown=[name for name in fields if name in sheet.fields], aside=named)
    if form == "csv":
        return csv_table.write(fields, ([row.get(name) for name in fields] for row in rows), dialect)
    if form == "long-csv":
        return csv_table.write(LONG_FIELDS, _long(sheet, fields), dialect)
    if form == "json":
        inputs = [{"question": sheet.question.document.where, "command": sheet.command}]
        sources = [i.row() for i in sheet.provenance]
        return as_json.envelope(rows, fields, inputs, list(sheet.warnings), sources)
    return _markdown(sheet, rows) if form == "markdown" else _table(sheet, rows)


def _long(sheet: Sheet, fields: Sequence[str]) -> list[tuple[object, ...]]:
    """Return one row per number, with its interval where the page has one; a basis is not known."""
    where = sheet.question.document.where
    return [
        (sheet.question.spec.name, line.label, name, unit_of(sheet, name), value, *_interval(line, name), None, where)
        for line in sheet.lines
        for name in fields
        if name in sheet.fields and (value := line.value(name)) is not None
    ]


def _interval(line: Line, name: str) -> tuple[float | None, float | None]:
    return line.value(f"{name}_p10"), line.value(f"{name}_p90")


def unit_of(sheet: Sheet, name: str) -> str:
    """Return the unit of a column, empty where it is text."""
    return sheet.page[name].unit if name in sheet.page else ""


def cell(value: float | None, unit: str) -> str:
    """Return a number as people read it, by its unit.

    >>> cell(0.153333, "USD"), cell(0.66, "share"), cell(4480.0, "messages"), cell(None, "USD"), cell(1.5, "USD/h")
    ('$0.153', '66%', '4,480', '–', '$1.50')
    """
    if value is None:
        return "–"
    word = _WORDS.get(unit) or _WORDS.get(unit.partition("/")[0])  # USD/year is money, too
    if word:
        return word(value)
    return f"{value:,.0f}" if float(value).is_integer() else significant(value, 4)


def word(value: object) -> str:
    """Return an identity cell as people read it.

    >>> word(True), word(None), word("o1-mini")
    ('yes', '–', 'o1-mini')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)


@dataclass(frozen=True)
class _Grid:
    """A table: header, rows, and which columns are text."""

    header: list[str]
    body: list[list[str]]
    left: set[int]

    def width(self) -> int:
        return grid_width(self.header, self.body)

    def text(self) -> str:
        return render_grid(self.header, self.body, left=self.left)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _names(sheet: Sheet, rows: Sequence[Row]) -> list[str]:
    """Return the text columns worth a place: not empty, and not the question's own name in every row."""
    named = [name for name in sheet.identity if name not in sheet.aside and any(row[name] is not None for row in rows)]
    own = sheet.question.spec.name
    alike = {name for name in named if len(rows) > 1 and all(str(row[name]).partition("/")[0] == own for row in rows)}
    return [name for name in named if name not in alike] or named


def _upright(sheet: Sheet, rows: Sequence[Row], shown: Sequence[str]) -> _Grid:
    """Return a table with a row for each row of the sheet."""
    names = _names(sheet, rows)
    body = [[*(word(row[n]) for n in names), *(cell(row[n], unit_of(sheet, n)) for n in shown)] for row in rows]
    return _Grid([_title(name) for name in (*names, *shown)], body, set(range(len(names))))


def _sideways(sheet: Sheet, lines: Sequence[Line], shown: Sequence[str]) -> _Grid:
    """Return a table with a column for each row of the sheet, and the units at its end."""
    labels = [line.label for line in lines]
    texts = [
        [_title(name), *cells, ""]
        for name in _names(sheet, [dict(line.texts) for line in lines])
        for cells in [[word(line.texts[name]) for line in lines]]
        if len(lines) == 1 or cells != labels
    ]
    numbers = [
        [_title(name), *(cell(line.value(name), unit) for line in lines), unit]
        for name in shown
        for unit in [unit_of(sheet, name)]
    ]
    return _Grid(["", *(labels if len(lines) > 1 else ["value"]), "unit"], texts + numbers, {0, len(lines) + 1})


def _cells(sheet: Sheet, rows: Sequence[Row]) -> _Grid:
    """Return the table of a page of any width: one row is turned on its side, several where the sheet says."""
    shown = list(sheet.shown or sheet.fields)
    if len(rows) == 1 or (sheet.sideways and len(rows) <= _MOST_SIDEWAYS):
        return _sideways(sheet, sheet.lines, shown)
    return _upright(sheet, rows, shown)


def _fitting(sheet: Sheet, rows: Sequence[Row], width: int) -> str:
    """Return the table as it fits a width with numbers whole: on its side, else with fewer columns, else in parts."""
    grid, shown = _cells(sheet, rows), list(sheet.shown or sheet.fields)
    if grid.width() <= width:
        return grid.text()
    aside = _sideways(sheet, sheet.lines, shown)
    if len(rows) <= _MOST_SIDEWAYS and aside.width() <= width:
        return aside.text()
    for size in range(len(shown) - 1, _FEWEST, -1):
        grid = _upright(sheet, rows, shown[:size])
        if grid.width() <= width:
            left_out = ", ".join(shown[size:])
            return f"{grid.text()}left out on this width: {left_out} (a wider terminal or --format csv shows all)\n"
    return "\n".join(f"{line.label}\n{_sideways(sheet, [line], shown).text()}" for line in sheet.lines)


_FEWEST = 2
"""Number columns below which rows stand one under the other instead."""


def _table(sheet: Sheet, rows: Sequence[Row]) -> str:
    spec = sheet.question.spec
    title = f"{spec.name} – {spec.title}" if spec.title else spec.name
    text = "\n".join([title, *(f"  {line}" for line in sheet.verdict), ""]) + "\n"
    return (to_ascii(text) if Terminal.ascii_only else text) + _fitting(sheet, rows, table_width())


def _markdown(sheet: Sheet, rows: Sequence[Row]) -> str:
    grid = _cells(sheet, rows)
    lines = [f"## {escape(sheet.question.spec.name)}", ""]
    lines += [f"- {escape(line)}" for line in sheet.verdict]
    lines += ["", "| " + " | ".join(escape(c) for c in grid.header) + " |", "|" + " --- |" * len(grid.header)]
    lines += ["| " + " | ".join(escape(c) for c in row) + " |" for row in grid.body]
    lines += ["", *(f"> warning: {escape(w)}" for w in sheet.warnings)] if sheet.warnings else []
    return "\n".join(lines) + "\n"
