"""A spreadsheet's round trip: one question per row in, the input columns and the answer out."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.catalog.catalog import Catalog
from planner.documents.csv_table import Sheet, read_sheet
from planner.documents.spec import field_names
from planner.documents.text_file import STDIN
from planner.errors import (
    EXIT_BAD_INPUT,
    EXIT_GATE_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    Alarm,
    BadInputError,
    PlannerError,
    suggestion,
)
from planner.options.answer import Answer, answer
from planner.options.caveats import nothing_meets
from planner.options.intervals import with_intervals
from planner.options.option import COLUMNS, INTERVAL_COLUMNS
from planner.report.answers import asked
from planner.report.columns import choose_fields
from planner.report.page import Page, PageRow, Section
from planner.report.tables import table
from planner.scenario.load import build_scenario, open_scenario, parse_cell, parse_path
from planner.scenario.scenario import ScenarioSpec

DEFAULT_BASELINE = "o1-class"
FORMS = ("table", "csv", "json")
"""The formats a sheet is answered in."""
_PASSED_THROUGH = ("scenario", "override", "id", "note")
_SHOWN = (
    "gpu", "gpus", "provider", "cost_usd_per_month", "cost_usd_per_answer", "utilization", "ttft_p95_s", "tpot_p95_s",
    "meets_slo",
)  # fmt: skip
"""The results a table shows where nobody chooses others."""
_SHORT_FORMS = {"gpu": "fleet.gpus", "precision": "fleet.precisions"}


def _passes_through(name: str) -> bool:
    return name in _PASSED_THROUGH or name.startswith("x_")


def _is_result(name: str) -> bool:
    """Return whether a column is a result of an earlier answer, which the new one replaces."""
    return name in (*COLUMNS, *INTERVAL_COLUMNS, "error") and name not in {
        *_PASSED_THROUGH,
        *_SHORT_FORMS,
        "model",
        "engine",
    }


def check_header(header: Sequence[str], where: str) -> None:
    """Refuse columns that are not field paths, with the nearest name; id, note and x_ columns pass through.

    Two columns for one field are refused, too.
    """
    for short, path in _SHORT_FORMS.items():
        if short in header and path in header:
            raise BadInputError(f"the columns {short!r} and {path!r} are the same field", where=f"{where}:1")
    for name in header:
        if _passes_through(name) or name in _SHORT_FORMS or _is_result(name):
            continue
        key = parse_path(name, where=f"{where}:1")
        for size, part in enumerate(key):
            known = field_names(ScenarioSpec, key[:size])
            if isinstance(part, str) and known and part not in known:
                message = f"unknown column {name!r}.{suggestion(part, known)} Columns that start with x_ pass through."
                raise BadInputError(message, where=f"{where}:1")


def _baseline(cells: dict[str, str], baselines: Sequence[str]) -> str:
    return cells.get("scenario") or (baselines or (DEFAULT_BASELINE,))[0]


def answer_row(
    cells: dict[str, str], place: str, baselines: Sequence[str], catalog: Catalog, sets: dict[str, Any]
) -> Answer:
    """Answer the question of one row. Raises a PlannerError that names place:column."""
    document, folder = open_scenario(_baseline(cells, baselines), catalog)
    changes = dict(sets)
    for name, text in cells.items():
        if text and not _passes_through(name) and not _is_result(name):
            changes[_SHORT_FORMS.get(name, name)] = parse_cell(text, f"{place}:{name}")
    override = cells.get("override") or None
    return answer(build_scenario(document, folder, override=override, changes=changes, origin=f"{place}:"), catalog)


def answer_rows(
    sheet: Sheet, baselines: Sequence[str], catalog: Catalog, sets: dict[str, Any], where: str
) -> Iterator[tuple[dict[str, str], Answer | None, str]]:
    """Yield (input cells, answer, error) for each row; a bad row does not stop the others."""
    for cells, number, fault in zip(sheet.rows, sheet.numbers, sheet.faults, strict=True):
        if fault:
            yield cells, None, f"{where}:{number}: {fault}"
            continue
        try:
            found = answer_row(cells, f"{where}:{number}", baselines, catalog, sets)
        except PlannerError as error:
            text = str(error).replace("\n", "; ")
            yield cells, None, text if text.startswith(where) else f"{where}:{number}: {text}"
        else:
            yield cells, found, ""


class _Outcome:
    """What answering a sheet has brought so far: rows and words, not the answers themselves, which are large."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.warnings: dict[str, None] = {}
        self.asked: list[dict[str, Any]] = []
        self.all_meet = True
        self.bad = 0
        self.done = 0

    def add(self, cells: dict[str, str], found: Answer | None, error: str, *, show_all: bool) -> None:
        """Add a row's answer, or why there is none."""
        self.done += 1
        repeated = {name: typed(name, text) for name, text in cells.items() if not _is_result(name)}
        if found is None:
            self.bad += 1
            sys.stderr.write(f"error: {error}\n")
            self.rows.append({**repeated, "error": error})
            return
        self.asked += asked([found])
        self.warnings |= dict.fromkeys(found.warnings)
        self.all_meet = self.all_meet and found.meets
        note = None if found.meets else nothing_meets(found.scenario, found.results)
        self.rows += [{**repeated, **o.row(), "error": note} for o in found.results[: None if show_all else 1]]

    @property
    def exit_code(self) -> int:
        """Return 2 where some row is bad, 1 where one meets nothing."""
        if self.bad:
            return EXIT_BAD_INPUT
        return EXIT_OK if self.all_meet else EXIT_GATE_FAILED


def answer_sheet(
    sheet: str,
    baselines: Sequence[str],
    catalog: Catalog,
    sets: dict[str, Any],
    *,
    show_all: bool,
    interval: bool,
    fields: str | None,
) -> tuple[Page, int]:
    """Answer a sheet; return the page and the exit code. After an interruption the page holds the rows so far."""
    if len(baselines) > 1:
        raise BadInputError("a sheet takes one baseline scenario; name others in its `scenario` column", where="--from")
    where = "stdin" if sheet == STDIN else sheet
    read = read_sheet(sheet)
    check_header(read.header, where)
    wanted = (*choose_fields(fields, (*COLUMNS, *(INTERVAL_COLUMNS if interval else ()))), "error")
    names = [*read.header, *(f for f in wanted if f not in read.header)]
    outcome, missing = _Outcome(), []
    try:
        for cells, found, error in answer_rows(read, baselines, catalog, sets, where):
            shown = with_intervals(found) if interval and found else found
            outcome.add(cells, shown, error, show_all=show_all)
    except KeyboardInterrupt:
        missing = [Alarm(f"PARTIAL: interrupted after {outcome.done} of {len(read.rows)} rows")]
        outcome.rows += [{**cells, "error": "interrupted; not answered"} for cells in read.rows[outcome.done :]]
    baseline: list[str] = []
    if not baselines and "scenario" not in read.header:
        baseline = [f"blank cells use {DEFAULT_BASELINE}; for another baseline: estimate my.yaml --from {sheet}"]
    results = [n for n in (wanted if fields else _SHOWN) if n not in {*read.header, "error"}]
    page = Page(
        names,
        [PageRow(row) for row in outcome.rows],
        [_section(outcome.rows, read.header, results)],
        warnings=[*missing, *baseline, *outcome.warnings],
        inputs=outcome.asked,
    )
    return page, EXIT_INTERRUPTED if missing else outcome.exit_code


def _section(rows: Sequence[Mapping[str, Any]], given: Sequence[str], results: Sequence[str]) -> Section:
    """Return the table of a sheet: its columns that are not empty, the main results, and why rows have no answer."""
    told = [name for name in given if any(row.get(name) not in {None, ""} for row in rows)]
    texts = [{**row, **{n: str(row[n]) for n in told if _passes_through(n) and row.get(n) is not None}} for row in rows]
    units = {name: column.unit for name, column in (COLUMNS | INTERVAL_COLUMNS).items()}
    faults = dict.fromkeys(str(row["error"]) for row in rows if row.get("error"))
    return Section(table=table((*told, *results), texts, units), notes=list(faults))


def typed(name: str, text: str) -> Any:
    """Return an input cell as it is repeated: numbers as numbers, so that dialects apply; keys of joins stay."""
    try:
        value = None if text[:1] in {"{", "["} else parse_cell(text, "")
    except BadInputError:
        return text
    if isinstance(value, int | float) and (not _passes_through(name) or str(value) == text):
        return value
    return text or None
