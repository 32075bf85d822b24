"""The answer to an economic question as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.economics.page import Sheet
from planner.report.grid import MOST_SIDEWAYS
from planner.report.page import Page, PageRow, Section, Table
from planner.report.tables import table


def question_page(sheet: Sheet, fields: Sequence[str]) -> Page:
    """Return the page of a sheet with some of its columns (a table: those it shows, where all are asked for)."""
    where, spec = sheet.question.document.where, sheet.question.spec
    rows = [
        PageRow({**line.texts, **{n: line.value(n) for n in (*sheet.fields, *_bounds(sheet))}}, spec.name, line.label)
        for line in sheet.lines
    ]
    rows = [replace(row, source=where) for row in rows]
    warnings = list(sheet.warnings)
    units = {name: sheet.page[name].unit for name in sheet.fields if name in sheet.page}
    said = Section(
        spec.name, spec.title or "", verdict=sheet.verdict, table=_table(sheet, fields, units), warnings=warnings
    )
    return Page(
        fields,
        rows,
        [said],
        units={name: units.get(name, "") for name in fields if name in sheet.fields},
        warnings=warnings,
        inputs=[{"question": where, "command": sheet.command}],
        provenance=[i.row() for i in sheet.provenance],
        failed=sheet.failed,
    )


def _bounds(sheet: Sheet) -> list[str]:
    """Return the names of the intervals' ends; a line without them has no value there."""
    return [f"{name}_{bound}" for name in sheet.fields for bound in ("p10", "p90")]


def _table(sheet: Sheet, fields: Sequence[str], units: Mapping[str, str]) -> Table:
    """Return the columns worth a place: of text those not empty and not the question's own name in every row."""
    shown, aside = sheet.shown or sheet.fields, sheet.aside
    if list(fields) != sheet.columns:
        shown = [name for name in fields if name in sheet.fields]
        aside = [name for name in sheet.identity if name not in fields]
    texts = {n: [line.texts[n] for line in sheet.lines] for n in sheet.identity if n not in aside}
    texts = {name: values for name, values in texts.items() if any(value is not None for value in values)}
    own = sheet.question.spec.name
    alike = {n for n, v in texts.items() if len(v) > 1 and all(str(x).partition("/")[0] == own for x in v)}
    named = [n for n in texts if n not in alike] or list(texts)
    rows = [{**line.texts, **{name: line.value(name) for name in shown}} for line in sheet.lines]
    sideways = len(rows) == 1 or (sheet.sideways and len(rows) <= MOST_SIDEWAYS)
    return replace(table((*named, *shown), rows, units, [line.label for line in sheet.lines]), sideways=sideways)
