"""CSV by RFC 4180, read and written: spreadsheet dialects, and the guard before text that looks like a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from planner.documents.text_file import STDIN, read_stdin, read_text
from planner.errors import BadInputError
from planner.wording import plural

DIALECTS = ("plain", "excel", "excel-eu")
BOM = "\ufeff"
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_GUARD = "'"


class Sheet(NamedTuple):
    """A CSV file as read: the cells of each row by header, the line of each row, and its fault."""

    header: list[str]
    rows: list[dict[str, str]]
    numbers: list[int]
    faults: list[str]
    """Empty for a row with as many cells as the header has."""


def read_sheet(name: str) -> Sheet:
    """Read a CSV file, or stdin for `-`."""
    if name == STDIN:
        return read_rows(read_stdin(), "stdin")
    return read_rows(read_text(Path(name), expected="a CSV file"), name)


def read_rows(text: str, where: str) -> Sheet:
    """Return the rows of CSV text, separated by comma, semicolon or tab; BOM, LF and CRLF are accepted.

    Raises BadInputError for text without a header or rows, a repeated column, or broken quotes.
    """
    text = text.removeprefix(BOM)
    delimiter = max(",;\t", key=next(iter(_QUOTED.sub(r"\1", text).splitlines()), "").count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, start = [], 1
    try:
        for cells in reader:
            lines.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise BadInputError(f"is not CSV: {error}", where=f"{where}:{start}") from None
    if not lines:
        raise BadInputError("is empty; expected a header row of field paths", where=where)
    header = [_unguarded(name) for name in lines[0][1]]
    for name in header:
        if header.count(name) > 1:
            raise BadInputError(f"the column {name!r} is repeated; expected it once", where=f"{where}:1")
    sheet = Sheet(header, [], [], [])
    for number, cells in lines[1:]:
        values = [_decimal(_unguarded(c), delimiter) for c in cells]
        if not any(values):
            continue
        wrong = len(cells) != len(header)
        sheet.rows.append(dict(zip_longest(header, values[: len(header)], fillvalue="")))
        sheet.numbers.append(number)
        fault = f"has {plural(len(cells), 'cell')}; expected {len(header)}, as in the header"
        sheet.faults.append(fault if wrong else "")
    if not sheet.rows:
        raise BadInputError("has a header but no rows; expected at least one", where=where)
    return sheet


_QUOTED = re.compile(r'(^|[,;\t\r\n])"(?:[^"]|"")*"')
"""A quoted cell; the delimiters inside it do not count."""


def _unguarded(text: str) -> str:
    """Return a cell without blanks around it and without the guard that `cell` puts before a formula."""
    for _ in range(2):  # blanks may stand before the guard, or be what it guards
        text = (text[1:] if text.startswith(_GUARD) and text[1:2] in FORMULA_START else text).strip()
    return text


_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")


def _decimal(text: str, delimiter: str) -> str:
    """Return a cell of a semicolon sheet with its decimal comma as a point; other cells unchanged."""
    return text.replace(",", ".") if delimiter == ";" and _DECIMAL_COMMA.fullmatch(text) else text


def cell(value: Any, *, decimal_comma: bool = False) -> str:  # noqa: ANN401 - any field value
    """Return the text of a cell: a plain number, guarded text where it looks like a formula, empty for None.

    >>> cell(-1.5), cell("=1+1"), cell(None), cell(True), cell(2.5, decimal_comma=True)
    ('-1.5', "'=1+1", '', 'TRUE', '2,5')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        text = repr(value)
        return text.replace(".", ",") if decimal_comma else text
    text = str(value)
    return "'" + text if text.startswith(FORMULA_START) else text


def write(header: Sequence[str], rows: Iterable[Sequence[Any]], dialect: str = "plain") -> str:
    """Return CSV text in a dialect: CRLF, header first, nothing above it."""
    europe = dialect == "excel-eu"
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";" if europe else ",", lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([cell(value, decimal_comma=europe) for value in row])
    return ("" if dialect == "plain" else BOM) + out.getvalue()
