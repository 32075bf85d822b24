"""Does a spreadsheet read our CSV as meant? Each dialect goes through LibreOffice and its cell types are compared.

Run it as `python benchmarks/check_libreoffice.py`.

Exit 1 where a cell was read as something else, 3 where LibreOffice is not installed.
"""

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

NO_OFFICE = "soffice is not on the PATH; install LibreOffice Calc (apt-get install libreoffice-calc) first."
MISSING = 3
IMPORTS = {"plain": (",", 1033), "excel": (",", 1033), "excel-eu": (";", 1031)}
"""Separator and language (US English, German) to choose in LibreOffice's import dialog."""
DATES = {"prices_as_of"}
SHEET = (
    ("id", "note", "x_tag", "workload.reasoning_multiplier"),
    ("a", "=1+1", "@home", "2.5"),
    ("b", '=HYPERLINK("https://example.org";"open")', "+plus; and, more", "4"),
    ("c", "-minus", '"quoted"', "8"),
)
"""A sheet whose text would be formulas if it were not guarded."""
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_SHOWN = 8


class Cell(NamedTuple):
    """A cell as LibreOffice holds it."""

    kind: str
    """float, string, boolean, date, percentage, currency, time; empty where the cell is."""
    value: str
    formula: str


EMPTY = Cell("", "", "")


def planner(*arguments: str) -> str:
    """Return what the planner prints."""
    command = [sys.executable, "-m", "planner", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode not in {0, 1}:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout.decode()


def convert(soffice: str, source: Path, options: str | None) -> Path:
    """Return the flat XML LibreOffice makes of a CSV file; no options: the separator is left to its guess."""
    command = [soffice, "--headless", f"-env:UserInstallation={(source.parent / 'profile').as_uri()}"]
    command += [f"--infilter=CSV:{options}"] if options else []
    command += ["--convert-to", "fods", "--outdir", str(source.parent), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    target = source.with_suffix(".fods")
    if not target.exists():
        sys.exit(f"LibreOffice made no file of {source.name}: {done.stdout}{done.stderr}")
    return target


def cells_of(path: Path) -> list[list[Cell]]:
    """Return the cells of the first table."""
    table = ET.parse(path).getroot().find(f".//{_TABLE}table")  # noqa: S314 - LibreOffice wrote it a moment ago
    return [] if table is None else [list(_row(row)) for row in table.iter(f"{_TABLE}table-row")]


def _row(row: ET.Element) -> Iterator[Cell]:
    for cell in row.iter(f"{_TABLE}table-cell"):
        kind = cell.get(f"{_OFFICE}value-type", "")
        text = "\n".join("".join(p.itertext()) for p in cell.findall(f"{_TEXT}p"))
        held = cell.get(f"{_OFFICE}value") or cell.get(f"{_OFFICE}date-value") or cell.get(f"{_OFFICE}boolean-value")
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        yield from [Cell(kind, text if held is None else held, cell.get(f"{_TABLE}formula", ""))] * min(repeated, 1000)


def problem(name: str, meant: Any, cell: Cell) -> str | None:  # noqa: ANN401 - any JSON value
    """Return how a cell differs from the JSON value it was written from."""
    if cell.formula:
        return f"became a formula {cell.formula}"
    if meant is None or meant == "":
        return None if cell == EMPTY else f"should be empty, is {cell.kind} {cell.value!r}"
    if isinstance(meant, bool):
        kinds, same = {"boolean", "string"}, cell.value.lower() == str(meant).lower()
    elif isinstance(meant, int | float):
        kinds = {"float"}
        same = cell.kind == "float" and math.isclose(float(cell.value), meant, rel_tol=1e-14)
    else:
        kinds = {"string", "date"} if name in DATES else {"string"}
        same = cell.value.removeprefix("'") == meant
    if cell.kind not in kinds:
        return f"{meant!r} became {cell.kind} {cell.value!r}"
    return None if same else f"{meant!r} became {cell.value!r}"


def fields_of(text: str, separator: str) -> list[str]:
    """Return the header of CSV text."""
    return next(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator))


def check(soffice: str, label: str, question: list[str], dialect: str, *, guess: bool) -> list[str]:
    """Send one table in one dialect through LibreOffice, print what came back, return the problems."""
    separator, language = IMPORTS[dialect]
    rows: list[dict[str, Any]] = json.loads(planner("estimate", *question, "--format", "json"))["results"]
    text = planner("estimate", *question, "--format", "csv", "--dialect", dialect)
    header = fields_of(text, separator)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{re.sub(r'[^a-z]+', '-', label)}.csv"
        source.write_bytes(text.encode())
        options = None if guess else f"{ord(separator)},34,76,1,,{language},false,true"
        table = cells_of(convert(soffice, source, options))
    problems = [] if [c.value for c in table[0][: len(header)]] == header else ["the header is not the first row"]
    kinds: Counter[str] = Counter()
    for number, (meant, read) in enumerate(zip(rows, table[1:], strict=False), start=2):
        for name, cell in zip(header, [*read, *[EMPTY] * len(header)], strict=False):
            kinds[cell.kind or "empty"] += 1
            wrong = problem(name, meant.get(name), cell)
            if wrong:
                problems.append(f"row {number}, {name}: {wrong}")
    if len(table) - 1 < len(rows):
        problems.append(f"{len(table) - 1} rows read of {len(rows)}")
    found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    how = "opened as is" if guess else f"separator {separator}, language {language}, special numbers detected"
    print(f"{label}, {dialect} ({how}): {len(rows)} rows of {len(header)} columns: {found}")
    for line in problems[:_SHOWN]:
        print(f"  wrong: {line}")
    if len(problems) > _SHOWN:
        print(f"  and {len(problems) - _SHOWN} more")
    return problems


def main() -> int:
    """Check every dialect; print what LibreOffice made of it."""
    soffice = shutil.which("soffice") or shutil.which("libreoffice")
    if soffice is None:
        print(NO_OFFICE, file=sys.stderr)
        return MISSING
    version = subprocess.run([soffice, "--version"], capture_output=True, text=True, check=True).stdout
    print(version.strip())
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.csv"
        with sheet.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(SHEET)
        for label, question in (("default", []), ("sheet with formulas", ["--from", str(sheet)])):
            for dialect in IMPORTS:
                problems += check(soffice, label, question, dialect, guess=False)
            problems += check(soffice, label, question, "plain", guess=True)
    print(f"{len(problems)} cells were read as something else" if problems else "every cell was read as meant")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
