"""A spreadsheet's round trip: one question per row in, the input columns and the answer out."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from planner.answers import Answer, answer
from planner.errors import EXIT_BAD_INPUT, BadInputError, PlannerError, did_you_mean
from planner.options import Row
from planner.report.as_csv import write
from planner.report.as_json import render as render_json
from planner.report.document import Report, choose_fields
from planner.report.output import emit
from planner.specs.base import field_names
from planner.specs.catalog import Catalog
from planner.specs.question import build_scenario, open_scenario, parse_path, parse_value
from planner.specs.reader import STDIN, read_stdin, read_text
from planner.specs.scenario import ScenarioSpec

DEFAULT_BASELINE = "o1-class"
_PASSED_THROUGH = ("id", "note", "override")
_SHORT_FORMS = {"gpu": "fleet.gpus", "precision": "fleet.precisions"}
_GUARD = "'"


def read_rows(text: str, where: str) -> tuple[list[str], list[dict[str, str]], list[int]]:
    """Return (header, rows, line numbers) of CSV text: comma, semicolon or tab; BOM, LF and CRLF accepted."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise BadInputError(f"is not CSV: {error}", where=f"{where}:{reader.line_num}") from None
    if not lines:
        raise BadInputError("is empty; expected a header row of field paths", where=where)
    header = [_unguarded(name.strip()) for name in lines[0][1]]
    for name in header:
        if header.count(name) > 1:
            raise BadInputError(f"the column {name!r} is repeated", where=f"{where}:1")
    rows, numbers = [], []
    for number, cells in lines[1:]:
        if not any(c.strip() for c in cells):
            continue
        if len(cells) != len(header):
            raise BadInputError(f"has {len(cells)} cells; the header has {len(header)}", where=f"{where}:{number}")
        values = [_decimal(c.strip(), delimiter) for c in cells]
        rows.append(dict(zip(header, values, strict=True)))
        numbers.append(number)
    return header, rows, numbers


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith(_GUARD) and text[1:2] in {"=", "+", "-", "@"} else text


def _decimal(text: str, delimiter: str) -> str:
    """Return a cell with the decimal comma of a semicolon sheet turned into a point."""
    text = _unguarded(text)
    whole, comma, part = text.partition(",")
    if delimiter == ";" and comma and whole.lstrip("-").isdigit() and part.isdigit():
        return f"{whole}.{part}"
    return text


def check_header(header: Sequence[str], where: str) -> None:
    """Refuse columns that are not field paths, with the nearest name; id, note and x_ columns pass through."""
    for name in header:
        if name in {"scenario", *_PASSED_THROUGH, *_SHORT_FORMS} or name.startswith("x_"):
            continue
        key = parse_path(name, where=f"{where}:1")
        for size, part in enumerate(key):
            known = field_names(ScenarioSpec, key[:size])
            if isinstance(part, str) and known and part not in known:
                hint = did_you_mean(part, known) or f" Known here: {', '.join(known)}."
                raise BadInputError(
                    f"unknown column {name!r}.{hint} Columns that start with x_ pass through.", where=f"{where}:1"
                )


def answer_rows(
    rows: Sequence[dict[str, str]],
    numbers: Sequence[int],
    baselines: Sequence[str],
    catalog: Catalog,
    sets: dict[str, Any],
    where: str,
) -> Iterator[tuple[dict[str, str], Answer | None, str]]:
    """Yield (input cells, answer, error) for each row; a bad row does not stop the others."""
    for cells, number in zip(rows, numbers, strict=True):
        place = f"{where}:{number}"
        try:
            document, folder = open_scenario(cells.get("scenario") or (baselines or (DEFAULT_BASELINE,))[0], catalog)
            changes = dict(sets)
            for name, text in cells.items():
                if text and name not in {"scenario", *_PASSED_THROUGH} and not name.startswith("x_"):
                    changes[_SHORT_FORMS.get(name, name)] = parse_value(text, f"{place}:{name}")
            scenario = build_scenario(
                document, folder, override=cells.get("override") or None, changes=changes, origin=f"{place}:"
            )
            yield cells, answer(scenario, catalog), ""
        except PlannerError as error:
            yield cells, None, str(error).replace("\n", "; ")


def answer_sheet(
    sheet: str,
    baselines: Sequence[str],
    catalog: Catalog,
    sets: dict[str, Any],
    *,
    show_all: bool,
    form: str,
    fields: str | None,
    dialect: str,
    output: str | None,
) -> int:
    """Answer a sheet, write the result, return the exit code: 2 where some row is bad, 1 where one meets nothing."""
    if form not in {"table", "csv", "json"}:
        raise BadInputError(f"a sheet is answered as csv or json, not {form}", where="--format")
    if len(baselines) > 1:
        raise BadInputError("a sheet takes one baseline scenario; name others in its `scenario` column", where="--from")
    where = "stdin" if sheet == STDIN else sheet
    header, rows, numbers = read_rows(read_stdin() if sheet == STDIN else read_text(Path(sheet)), where)
    check_header(header, where)
    chosen = choose_fields(fields)
    names = [*header, *(f for f in chosen if f not in header), "error"]
    out: list[Row] = []
    bad = missed = 0
    answers: list[Answer] = []
    for cells, found, error in answer_rows(rows, numbers, baselines, catalog, sets, where):
        if found is None:
            bad += 1
            sys.stderr.write(f"error: {error}\n")
            out.append({**cells, "error": error})
            continue
        answers.append(found)
        missed += not found.meets
        note = "" if found.meets else next(w for w in found.warnings if "no option" in w or "nothing fits" in w)
        out += [{**row, **_typed(cells), "error": note} for row in (found.results if show_all else found.results[:1])]
    if form == "json":
        warnings = list(dict.fromkeys(w for a in answers for w in a.warnings))
        emit(render_json(Report(answers, out, names, warnings)), output)
    else:
        emit(write(names, ([row.get(n) for n in names] for row in out), dialect), output)
    return EXIT_BAD_INPUT if bad else 1 if missed else 0


def _typed(cells: dict[str, str]) -> Row:
    """Return input cells as they are repeated in the output: numbers as numbers, so that dialects apply."""
    typed: Row = {}
    for name, text in cells.items():
        try:
            typed[name] = parse_value(text, "") if text[:1] not in {"{", "["} else text
        except BadInputError:
            typed[name] = text
    return typed
