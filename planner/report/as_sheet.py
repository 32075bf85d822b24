"""An economic question's rows in every output format."""

from collections.abc import Sequence

from planner.economics.sheet import Line, Row, Sheet
from planner.report import as_csv, as_json
from planner.report.as_csv import LONG_FIELDS
from planner.report.as_markdown import escape
from planner.report.as_table import render_grid, to_ascii
from planner.report.output import Terminal
from planner.words import count, money, seconds, significant, times

FORMATS = ("table", "json", "csv", "long-csv", "markdown")
_MOST_SIDEWAYS = 6
"""Rows that a table on its side has room for."""


def percent(value: float | None) -> str:
    """Return a share with three significant digits: 0.02 % and 99.5 % are both worth telling.

    >>> percent(0.0002), percent(0.66), percent(0.9951), percent(None)
    ('0.02%', '66%', '99.5%', '–')
    """
    return "–" if value is None else f"{value * 100:.3g}%"


_WORDS = {"USD": money, "share": percent, "s": seconds, "x": times, "tokens": count, "samples": count}


def render(sheet: Sheet, form: str, fields: Sequence[str], dialect: str = "plain") -> str:
    """Return a sheet in a format, with only some of its columns."""
    rows = sheet.rows()
    if form == "csv":
        return as_csv.write(fields, ([row.get(name) for name in fields] for row in rows), dialect)
    if form == "long-csv":
        return as_csv.write(LONG_FIELDS, _long(sheet, fields), dialect)
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


def _cells(sheet: Sheet, rows: Sequence[Row]) -> tuple[list[str], list[list[str]], set[int]]:
    """Return (header, rows, text columns) of the table: one row is turned on its side, several where the sheet says."""
    shown = list(sheet.shown or sheet.fields)
    named = [name for name in sheet.identity if name not in sheet.aside]
    if len(rows) == 1 or (sheet.sideways and len(rows) <= _MOST_SIDEWAYS):
        labels = [line.label for line in sheet.lines]
        texts = [
            [name.replace("_", " "), *(word(row[name]) for row in rows), ""]
            for name in named
            if any(row[name] is not None for row in rows)
            and (len(rows) == 1 or [row[name] for row in rows] not in ([sheet.question.spec.name] * len(rows), labels))
        ]
        numbers = [
            [name.replace("_", " "), *(cell(row[name], unit) for row in rows), unit]
            for name in shown
            for unit in [unit_of(sheet, name)]
        ]
        return ["", *(labels if len(rows) > 1 else ["value"]), "unit"], texts + numbers, {0, len(rows) + 1}
    names = [n for n in named if any(row[n] is not None for row in rows)]
    header = [name.replace("_", " ") for name in (*names, *shown)]
    body = [
        [
            *(word(row[n]) for n in names),
            *(cell(row[n], unit_of(sheet, n)) for n in shown),
        ]
        for row in rows
    ]
    return header, body, set(range(len(names)))


def _table(sheet: Sheet, rows: Sequence[Row]) -> str:
    spec = sheet.question.spec
    title = f"{spec.name} – {spec.title}" if spec.title else spec.name
    lines = [title, *(f"  {line}" for line in sheet.verdict), ""]
    header, body, left = _cells(sheet, rows)
    text = "\n".join(lines) + "\n"
    return (to_ascii(text) if Terminal.ascii_only else text) + render_grid(header, body, left=left)


def _markdown(sheet: Sheet, rows: Sequence[Row]) -> str:
    header, body, _ = _cells(sheet, rows)
    lines = [f"## {escape(sheet.question.spec.name)}", ""]
    lines += [f"- {escape(line)}" for line in sheet.verdict]
    lines += ["", "| " + " | ".join(escape(c) for c in header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(escape(c) for c in row) + " |" for row in body]
    lines += ["", *(f"> warning: {escape(w)}" for w in sheet.warnings)] if sheet.warnings else []
    return "\n".join(lines) + "\n"
