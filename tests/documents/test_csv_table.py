"""CSV in and out: delimiters, quotes, BOM, decimal commas, the guard before formulas, and faults with their line."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planner.documents.csv_table import BOM, DIALECTS, FORMULA_START, cell, read_rows, read_sheet, write
from planner.errors import BadInputError


def refusal(text: str) -> str:
    """Return what the reader says about CSV text that it must refuse."""
    with pytest.raises(BadInputError) as caught:
        read_rows(text, "s.csv")
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", BOM])
def test_what_spreadsheets_save_reads_alike(delimiter: str, line_end: str, start: str) -> None:
    """Comma, semicolon or tab, LF or CRLF, with and without BOM: the same rows."""
    lines = [delimiter.join(cells) for cells in (("id", "gpu"), ("a", "h100-sxm"), ("b", "l4"))]
    sheet = read_rows(start + line_end.join(lines) + line_end, "s.csv")
    assert sheet.header == ["id", "gpu"]
    assert sheet.rows == [{"id": "a", "gpu": "h100-sxm"}, {"id": "b", "gpu": "l4"}]
    assert (sheet.numbers, sheet.faults) == ([2, 3], ["", ""])


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"a;b;c",d', ["a;b;c", "d"]),
        ('"say ""a;b;c""",d', ['say "a;b;c"', "d"]),
        ('"a,b,c";d', ["a,b,c", "d"]),
        ('"a,b;c"\td', ["a,b;c", "d"]),
        ('x,"a;b;c"', ["x", "a;b;c"]),
        ("one", ["one"]),
    ],
)
def test_a_delimiter_inside_quotes_does_not_decide_how_a_sheet_is_read(header: str, names: list[str]) -> None:
    """Only delimiters outside of quotes are counted."""
    assert read_rows(f"{header}\n1\n", "s.csv").header == names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5", "1.5"),
        ("-2,25", "-2.25"),
        ("1,5e3", "1.5e3"),
        ("1,5,2", "1,5,2"),
        ("[1,2]", "[1,2]"),
        ("a,b", "a,b"),
        (",5", ",5"),
        ("1.5", "1.5"),
    ],
)
def test_a_semicolon_sheet_may_have_decimal_commas(text: str, value: str) -> None:
    """A number with a comma becomes one with a point; lists and names keep their commas."""
    assert read_rows(f"x;y\n{text};1\n", "s.csv").rows == [{"x": value, "y": "1"}]


def test_a_comma_in_a_comma_sheet_is_no_decimal_comma() -> None:
    """A quoted `1,5` between commas stays text: what it means there is not certain."""
    assert read_rows('x,y\n"1,5",1\n', "s.csv").rows == [{"x": "1,5", "y": "1"}]


def test_numbers_are_the_lines_where_rows_start() -> None:
    """A quoted line break and an empty line count, so that an error names the line an editor shows."""
    sheet = read_rows('a,b\n"two\nlines",1\n\n,\nx,2\n', "s.csv")
    assert [row["a"] for row in sheet.rows] == ["two\nlines", "x"]
    assert sheet.numbers == [2, 6]


@pytest.mark.parametrize(
    ("row", "cells", "read"),
    [("1", 1, {"a": "1", "b": ""}), ("1,2,3", 3, {"a": "1", "b": "2"}), ("1,", 2, {"a": "1", "b": ""})],
)
def test_a_ragged_row_has_a_fault_and_stops_no_other(row: str, cells: int, read: dict[str, str]) -> None:
    """Too few or too many cells are a fault of that row alone."""
    sheet = read_rows(f"a,b\n{row}\n3,4\n", "s.csv")
    fault = "" if cells == 2 else f"has {cells} cell{'s' * (cells > 1)}; expected 2, as in the header"
    assert sheet.faults == [fault, ""]
    assert sheet.rows == [read, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "s.csv: is empty; expected a header row of field paths"),
        (BOM, "s.csv: is empty; expected a header row of field paths"),
        ("a,b\n", "s.csv: has a header but no rows; expected at least one"),
        ("a,b\n,\n\n", "s.csv: has a header but no rows; expected at least one"),
        ("a,b,a\n1,2,3\n", "s.csv:1: the column 'a' is repeated; expected it once"),
        (" a ,'=a,a\n1,2,3\n", "s.csv:1: the column 'a' is repeated; expected it once"),
        ('a\n"1\n', "s.csv:2: is not CSV: unexpected end of data"),
        ('a\n1\n"2"x\n', "s.csv:3: is not CSV: ',' expected after '\"'"),
    ],
)
def test_what_is_not_a_sheet_is_refused_with_its_line(text: str, line: str) -> None:
    """Empty, no rows, a repeated column, broken quotes."""
    assert refusal(text) == line


@pytest.mark.parametrize("start", FORMULA_START)
def test_text_that_a_spreadsheet_would_run_is_guarded(start: str) -> None:
    """Every start of a formula gets a quote before it, full-width signs included; numbers never do."""
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert (cell(-1), cell(-1.5), cell(1e-7)) == ("-1", "-1.5", "1e-07")


@pytest.mark.parametrize(
    ("value", "plain", "europe"),
    [
        (None, "", ""),
        (True, "TRUE", "TRUE"),
        (False, "FALSE", "FALSE"),
        (3, "3", "3"),
        (2.5, "2.5", "2,5"),
        ("a.b", "a.b", "a.b"),
    ],
)
def test_each_kind_of_value_has_one_text(value: object, plain: str, europe: str) -> None:
    """A missing number is an empty cell; the decimal comma is for numbers only."""
    assert (cell(value), cell(value, decimal_comma=True)) == (plain, europe)


def test_dialects_differ_in_bom_delimiter_and_decimal_comma() -> None:
    """The contract: RFC 4180 with CRLF; excel adds a BOM; excel-eu also `;` and a decimal comma."""
    texts = {dialect: write(["name", "x"], [["a", 1.5], ["b", None]], dialect) for dialect in DIALECTS}
    assert texts == {
        "plain": "name,x\r\na,1.5\r\nb,\r\n",
        "excel": f"{BOM}name,x\r\na,1.5\r\nb,\r\n",
        "excel-eu": f"{BOM}name;x\r\na;1,5\r\nb;\r\n",
    }


def test_cells_with_delimiters_quotes_and_breaks_are_quoted() -> None:
    """Python's own reader, as an RFC 4180 reader, finds the cells again."""
    cells = ["a,b", 'say "x"', "two\nlines", "a;b", " blank "]
    text = write(["c1", "c2", "c3", "c4", "c5"], [cells])
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == cells


WRITABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
NUMBER = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False, width=32))


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=WRITABLE, number=NUMBER)
@example(text="'=1+1", number=-0.5)
@example(text="=1+1", number=1e22)
@example(text="'", number=0)
@example(text="-", number=-1)
def test_what_is_written_reads_back(dialect: str, text: str, number: float) -> None:
    """Text and numbers survive every dialect, guards and decimal commas included."""
    sheet = read_rows(write(["id", "text", "number"], [["row", text, number]], dialect), "s.csv")
    guarded = text.startswith("'") and text[1:2] in FORMULA_START
    looks_like_a_number = dialect == "excel-eu" and "," in text
    if not guarded and not looks_like_a_number:
        assert sheet.rows[0]["text"] == text
    assert float(sheet.rows[0]["number"]) == number
    assert sheet.faults == [""]


def test_a_sheet_is_read_from_a_file_by_its_name(tmp_path: Path) -> None:
    """Errors of a file carry its path."""
    path = tmp_path / "s.csv"
    path.write_bytes(b"id;x\r\na;1,5\r\n")
    assert read_sheet(str(path)).rows == [{"id": "a", "x": "1.5"}]
    path.write_bytes(b"id\xff\n")
    with pytest.raises(BadInputError, match=r"s\.csv: is not UTF-8 text"):
        read_sheet(str(path))
    with pytest.raises(BadInputError, match=r"nowhere\.csv: no such file"):
        read_sheet(str(tmp_path / "nowhere.csv"))
