"""The answer to an economic question as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.economics.page import QuestionResult
from planner.report.grid import MOST_SIDEWAYS
from planner.report.page import Page, PageRow, Section, Table
from planner.report.tables import table


def question_page(result: QuestionResult, fields: Sequence[str]) -> Page:
    """Return the page of a result with some of its columns (a table: those it shows, where all are asked for)."""
    where, spec = result.question.document.where, result.question.spec
    rows = [
        PageRow({**line.texts, **{n: line.value(n) for n in (*result.fields, *_bounds(result))}}, spec.name, line.label)
        for line in result.lines
    ]
    rows = [replace(row, source=where) for row in rows]
    warnings = list(result.warnings)
    units = {name: result.page[name].unit for name in result.fields if name in result.page}
    said = Section(
        spec.name, spec.title or "", verdict=result.verdict, table=_table(result, fields, units), warnings=warnings
    )
    return Page(
        fields,
        rows,
        [said],
        units={name: units.get(name, "") for name in fields if name in result.fields},
        warnings=warnings,
        inputs=[{"question": where, "command": result.command}],
        provenance=[i.row() for i in result.provenance],
        failed=result.failed,
    )


def _bounds(result: QuestionResult) -> list[str]:
    """Return the names of the intervals' ends; a line without them has no value there."""
    return [f"{name}_{bound}" for name in result.fields for bound in ("p10", "p90")]


def _table(result: QuestionResult, fields: Sequence[str], units: Mapping[str, str]) -> Table:
    """Return the columns worth a place: of text those not empty and not the question's own name in every row."""
    shown, aside = result.shown or result.fields, result.aside
    if list(fields) != result.columns:
        shown = [name for name in fields if name in result.fields]
        aside = [name for name in result.identity if name not in fields]
    texts = {n: [line.texts[n] for line in result.lines] for n in result.identity if n not in aside}
    texts = {name: values for name, values in texts.items() if any(value is not None for value in values)}
    own = result.question.spec.name
    alike = {n for n, v in texts.items() if len(v) > 1 and all(str(x).partition("/")[0] == own for x in v)}
    named = [n for n in texts if n not in alike] or list(texts)
    rows = [{**line.texts, **{name: line.value(name) for name in shown}} for line in result.lines]
    sideways = len(rows) == 1 or (result.sideways and len(rows) <= MOST_SIDEWAYS)
    return replace(table((*named, *shown), rows, units, [line.label for line in result.lines]), sideways=sideways)
