"""A spreadsheet in, the same spreadsheet with answers out: numbers, dialects, and rows that are wrong."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planner.cli.question_sheet import check_header
from planner.documents.csv_table import read_rows
from planner.documents.csv_table import write as write_csv
from planner.errors import BadInputError, PlannerError

Call = Callable[..., Any]
Sheet = Callable[[str | bytes], Path]
FIELDS = "gpu,gpus,cost_usd_per_month,utilization"


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """Return a function that writes a sheet and returns its path."""

    def save(content: str | bytes) -> Path:
        path = tmp_path / "sheet.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


def rows_of(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Return CSV text as rows."""
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        ({"workload.reasoning_multiplier": "8"}, ["--set", "workload.reasoning_multiplier=8"]),
        ({"gpu": "h200-sxm", "precision": "fp8"}, ["--gpu", "h200-sxm", "--precision", "fp8"]),
        ({"override": "twice"}, ["--override", "twice"]),
        ({"workload.answers_per_second": "2.5"}, ["--set", "workload.answers_per_second=2.5"]),
        (
            {"workload.answer_tokens": "{mean: 100, cv: 1}", "slo.ttft_p95_s": "2"},
            ["--set", "workload.answer_tokens={mean: 100, cv: 1}", "--set", "slo.ttft_p95_s=2"],
        ),
    ],
)
def test_a_row_is_answered_like_the_scenario_with_its_changes(
    call: Call, sheet: Sheet, scenario_file: Path, cells: dict[str, str], flags: list[str]
) -> None:
    """A row's numbers are those of the same file with --set, to the last digit."""
    path = sheet(write_csv(["scenario", *cells], [[str(scenario_file), *cells.values()]]))
    of_row = json.loads(call("estimate", "--from", path, "--format", "json").out)["results"]
    of_file = json.loads(call("estimate", scenario_file, *flags, "--format", "json").out)["results"]
    assert len(of_row) == 1
    for name, value in of_file[0].items():
        if name not in {"scenario", *cells}:
            assert of_row[0][name] == value, name


def test_the_result_repeats_the_input_columns_and_adds_the_fields(call: Call, sheet: Sheet) -> None:
    """Header: the sheet's columns, the result fields, `error`; one row per question, in order."""
    path = sheet("id,x_team,gpu\nb,=search,h200-sxm\na,-x,h100-sxm\n1.50,,h100-sxm\n")
    outcome = call("estimate", "--from", path, "--fields", FIELDS)
    assert outcome.code == 0
    rows = rows_of(outcome.out)
    assert list(rows[0]) == ["id", "x_team", "gpu", "gpus", "cost_usd_per_month", "utilization", "error"]
    assert [r["id"] for r in rows] == ["b", "a", "1.50"]
    assert [r["gpu"] for r in rows] == ["h200-sxm", "h100-sxm", "h100-sxm"]
    assert [r["x_team"] for r in rows] == ["'=search", "'-x", ""]
    assert all(float(r["cost_usd_per_month"]) > 0 and r["error"] == "" for r in rows)


def test_all_gives_every_option_of_a_row(call: Call, sheet: Sheet) -> None:
    """--all: the rows of a question are those of `estimate --all`."""
    path = sheet("gpu\nh100-sxm\n")
    every = rows_of(call("estimate", "--from", path, "--all").out)
    expected = json.loads(call("estimate", "--gpu", "h100-sxm", "--format", "json").out)["results"]
    assert [float(r["gpus"]) for r in every] == [r["gpus"] for r in expected]


@pytest.mark.parametrize(
    "content",
    [
        "id,workload.answer_tokens\na,100\nb,200\n",
        "id,workload.answer_tokens\r\na,100\r\nb,200\r\n",
        "id;workload.answer_tokens\r\na;100\r\nb;200\r\n",
        "id\tworkload.answer_tokens\na\t100\nb\t200",
        '"id","workload.answer_tokens"\n"a","100"\n"b","200"\n',
        "id , workload.answer_tokens\n a , 100 \n b , 200 \n\n\n,\n",
        b"\xef\xbb\xbfid,workload.answer_tokens\r\na,1e2\r\nb,2e2\r\n",
        "id;workload.answer_tokens\na;100,0\nb;200,0\n",
    ],
)
def test_every_dialect_of_a_sheet_is_the_same_sheet(call: Call, sheet: Sheet, content: str | bytes) -> None:
    """Commas, semicolons with decimal commas, tabs, CRLF, quotes, blanks, a BOM, empty rows at the end."""
    outcome = call("estimate", "chat-assistant", "--from", sheet(content), "--fields", "answer_tokens_per_answer")
    assert outcome.code == 0
    rows = rows_of(outcome.out)
    assert [r["id"] for r in rows] == ["a", "b"]
    tokens = [float(r["answer_tokens_per_answer"]) for r in rows]
    assert tokens == pytest.approx([100.0, 200.0], rel=1e-3)


def test_a_bad_row_names_its_cell_and_the_good_ones_are_answered(call: Call, sheet: Sheet) -> None:
    """Line 3 of the file is wrong: exit 2, `error` says where and why, lines 2 and 4 have their answers."""
    path = sheet("id,workload.answer_tokens\na,100\nb,-500\nc,300\n")
    outcome = call("estimate", "--from", path, "--fields", FIELDS)
    assert outcome.code == 2
    line = f"{path}:3:workload.answer_tokens: -500 is negative; expected a number of at least 0"
    assert outcome.errors == [f"error: {line}"]
    rows = rows_of(outcome.out)
    assert [r["error"] for r in rows] == ["", line, ""]
    assert [bool(r["cost_usd_per_month"]) for r in rows] == [True, False, True]
    assert rows[1]["workload.answer_tokens"] == "-500"


@pytest.mark.parametrize(
    ("header", "cell", "says"),
    [
        ("workload.answer_tokens", "many", ":2:workload.answer_tokens: 'many' is text; expected a number"),
        ("workload.answer_tokens", "12:30", ":2:workload.answer_tokens: 12:30 reads as a base-60 number"),
        ("workload.answer_tokens", "nan", ":2:workload.answer_tokens: nan is not a finite number"),
        ("workload.answer_tokens", "0", ":2:workload.answer_tokens: 0 is out of range; expected at least 1"),
        ("workload.answer_tokens", '"1,000"', ":2:workload.answer_tokens: '1,000' is text; expected a number"),
        ("workload.answer_tokens", "$5", ":2:workload.answer_tokens: '$5' is text; expected a number"),
        ("workload.answer_tokens", "{mean: 5", ":2:workload.answer_tokens:2:1: is not valid YAML"),
        ("name", '"a\nb"', ":2:name: contains a line break; expected one line"),
        (
            "workload.answer_tokens",
            "08",
            ":2:workload.answer_tokens: 08 has a leading 0; expected a number without it",
        ),
        ("engine", "NO", ":2:engine: NO reads as a yes/no value"),
        ("gpu", "h100-sxn", ":2:fleet.gpus: unknown GPU 'h100-sxn'. Did you mean h100-sxm"),
        ("model", "deepseek-r2", ":2:model: unknown model 'deepseek-r2'. Did you mean deepseek-r1"),
        ("scenario", "o1-clas", ":2: unknown scenario 'o1-clas'. Did you mean o1-class"),
        ("override", "spoot", ":2: scenarios/o1-class.yaml: unknown override 'spoot'. Did you mean spot?"),
        ("slo.ttft_p95_s", "0", ":2:slo.ttft_p95_s: 0 is zero; expected a number above 0"),
        ("prices.tiers", "spt", ":2:prices.tiers: 'spt' is not valid here; expected one of 'on_demand'"),
    ],
)
def test_each_kind_of_bad_cell_says_what_is_wrong(call: Call, sheet: Sheet, header: str, cell: str, says: str) -> None:
    """sheet.csv:line:column: what is wrong; exit 2; the row stands in the output with its reason."""
    path = sheet(f"id,{header}\na,{cell}\n")
    outcome = call("estimate", "--from", path, "--fields", FIELDS)
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"error: {path}{says}")
    assert rows_of(outcome.out)[0]["error"] == outcome.errors[0].removeprefix("error: ")


@pytest.mark.parametrize(("cells", "count"), [("a,100,7", "3 cells"), ("a", "1 cell")])
def test_a_row_with_too_many_or_too_few_cells_is_bad_alone(call: Call, sheet: Sheet, cells: str, count: str) -> None:
    """A ragged row does not stop the others."""
    path = sheet(f"id,workload.answer_tokens\n{cells}\nb,100\n")
    outcome = call("estimate", "--from", path, "--fields", FIELDS)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {path}:2: has {count}; expected 2, as in the header"]
    assert [r["id"] for r in rows_of(outcome.out)] == ["a", "b"]
    assert rows_of(outcome.out)[1]["error"] == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ": is empty; expected a header row of field paths"),
        ("id,gpu\n", ": has a header but no rows; expected at least one"),
        ("id,gpu,gpu\na,b,c\n", ":1: the column 'gpu' is repeated; expected it once"),
        ("id,workload.answer_token\na,1\n", ":1: unknown column 'workload.answer_token'. Did you mean answer_tokens"),
        ("id,zzz\na,1\n", ":1: unknown column 'zzz'. Known: "),
        ("id,\na,1\n", ":1: '' is not a field path"),
        ("id,a b\na,1\n", ":1: 'a b' is not a field path"),
        ("id,overrides.x\na,1\n", ":1: 'overrides.x' cannot be overridden"),
        ('id,gpu\na,"b\n', ":2: is not CSV: "),
        ('id,gpu\na,"b"c\n', ":2: is not CSV: "),
        (b"id,gpu\na,\xff\n", ": is not UTF-8 text; expected a text file"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_one_line(call: Call, sheet: Sheet, content: str | bytes, says: str) -> None:
    """Empty, no rows, repeated and unknown columns, broken quotes, binary: exit 2 and nothing on stdout."""
    path = sheet(content)
    outcome = call("estimate", "--from", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"error: {path}{says}")


def test_a_row_nothing_meets_is_exit_1_with_its_reason(call: Call, sheet: Sheet) -> None:
    """The row has its best option, `error` says what is in the way; other rows are fine."""
    path = sheet("id,gpu,slo.ttft_p95_s\na,h100-sxm,1e-6\nb,h100-sxm,2\n")
    outcome = call("estimate", "--from", path, "--fields", "gpu,meets_slo")
    assert outcome.code == 1
    rows = rows_of(outcome.out)
    assert [r["meets_slo"] for r in rows] == ["FALSE", "TRUE"]
    assert rows[0]["error"].startswith("no option meets the SLO: ttft_p95_s 1e-06 is below the best attainable")
    assert rows[1]["error"] == ""


def test_warnings_of_the_rows_reach_the_terminal(call: Call, sheet: Sheet) -> None:
    """A trillion users in a cell are as loud as on the command line, once."""
    path = sheet('id,workload.users\na,"{count: 1e12, answers_per_day: 1}"\nb,"{count: 1e12, answers_per_day: 1}"\n')
    outcome = call("estimate", "--from", path)
    assert outcome.code == 0
    assert outcome.err.count("BEYOND ANY FLEET ON RECORD") == 1


def test_a_sheet_is_read_from_stdin(call: Call) -> None:
    """--from - reads standard input; errors call it stdin."""
    good = call("estimate", "--from", "-", "--fields", FIELDS, stdin="id,gpu\na,h100-sxm\n")
    assert good.code == 0
    bad = call("estimate", "--from", "-", stdin="id,gpu\na,h100-sxn\n")
    assert bad.errors[0].startswith("error: stdin:2:fleet.gpus: unknown GPU")


def test_set_and_the_baseline_argument_apply_to_every_row(call: Call, sheet: Sheet) -> None:
    """`estimate SCENARIO --set … --from sheet` asks SCENARIO in each row; a cell beats --set."""
    path = sheet("id,workload.answers_per_day\na,\nb,5e5\n")
    flags = ["--set", "workload.answers_per_day=1e5", "--fields", "scenario,answers_per_month"]
    rows = rows_of(call("estimate", "gpt-4o-class", "--from", path, *flags).out)
    assert [r["scenario"] for r in rows] == ["gpt-4o-class"] * 2
    # a month is 730 h: 1e5 and 5e5 answers a day
    per_month = [float(r["answers_per_month"]) for r in rows]
    assert per_month == pytest.approx([1e5 * 730 / 24, 5e5 * 730 / 24], rel=1e-9)


def test_the_european_dialect_comes_back_in(call: Call, sheet: Sheet) -> None:
    """A result with semicolons and decimal commas, its result columns cut, is an input with the same answers."""
    path = sheet("id,workload.reasoning_multiplier,x_budget\na,2.5,1.25\n")
    first = call("estimate", "--from", path, "--fields", "gpus", "--dialect", "excel-eu")
    assert first.out == first.out.replace("\n", "\r\n").replace("\r\r", "\r")
    assert first.out.startswith("\ufeffid;workload.reasoning_multiplier;x_budget;gpus;error\r\na;2,5;1,25;")
    again = "\ufeff" + "\r\n".join(";".join(x.split(";")[:3]) for x in first.out.removeprefix("\ufeff").splitlines())
    second = call("estimate", "--from", sheet(again), "--fields", "gpus", "--dialect", "excel-eu")
    assert second.out == first.out


def test_json_of_a_sheet_has_the_envelope(call: Call, sheet: Sheet) -> None:
    """Rows as JSON: the cells as values, empty ones null, results beside them."""
    path = sheet("id,workload.answer_tokens,note\na,100,\n")
    document = json.loads(call("estimate", "--from", path, "--format", "json", "--fields", "gpus").out)
    assert set(document) == {"schema_version", "tool_version", "inputs", "results", "warnings", "provenance"}
    row = document["results"][0]
    assert (row["id"], row["workload.answer_tokens"], row["note"], row["error"]) == ("a", 100, None, None)
    assert isinstance(row["gpus"], int)


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=4))
@example([["", "\t"]])
@example([["", "\t0"], ["=1", "-"]])
def test_what_we_write_we_read_back(cells: list[list[str]]) -> None:
    """Any text cells, written as CSV and read as a sheet, are the same but for blanks and quotes around them."""

    def bare(text: str) -> str:
        return text.strip().lstrip("'").strip()

    kept = [row for row in cells if any(map(bare, row))]
    try:
        found = read_rows(write_csv(["id", "note"], cells), "s.csv").rows
    except PlannerError:
        assert kept == []
        return
    assert [[bare(row["id"]), bare(row["note"])] for row in found if any(map(bare, row.values()))] == [
        [bare(left), bare(right)] for left, right in kept
    ]


@given(st.text(max_size=60))
def test_no_text_makes_the_sheet_reader_crash(text: str) -> None:
    """Rows, or one line that says what is wrong."""
    try:
        read = read_rows(text, "s.csv")
        check_header(read.header, "s.csv")
    except BadInputError as error:
        assert str(error).startswith("s.csv")  # noqa: PT017 - either outcome is right


def test_what_a_row_asks_never_hides_what_was_answered(call: Call, sheet: Sheet) -> None:
    """Columns that are both asked and answered (scenario, engine, gpu, precision) show the answer."""
    path = sheet("id,scenario,engine,gpu,precision,workload.answers_per_day\n1,,any,,,1e6\n")
    row = next(csv.DictReader(call("estimate", "o1-class", "--from", path).out.splitlines()))
    assert row["scenario"] == "o1-class"
    assert row["engine"] in {"vllm", "sglang", "trtllm"}
    assert row["gpu"]
    assert row["precision"] == "fp8-block"


def test_an_answered_sheet_can_be_asked_again(call: Call, sheet: Sheet) -> None:
    """The result columns of an earlier answer are replaced, not refused."""
    first = call("estimate", "chat-assistant", "--from", sheet("id,workload.answer_tokens\na,100\n")).out
    again = call("estimate", "chat-assistant", "--from", sheet(first)).out
    one, two = (next(csv.DictReader(text.splitlines())) for text in (first, again))
    assert {n: one[n] for n in ("gpus", "cost_usd_per_month", "id")} == {
        n: two[n] for n in ("gpus", "cost_usd_per_month", "id")
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("other", [",", ";", "\t", "\n", '""'])
def test_what_stands_inside_quotes_does_not_decide_how_a_sheet_is_read(delimiter: str, other: str) -> None:
    """A header whose quoted name holds many other delimiters is cut at the delimiter between the names."""
    name = "x_" + "a".join([other] * 5)
    read = read_rows(delimiter.join(["id", f'"{name}"', "gpu"]) + "\r\n" + delimiter.join("1bc") + "\r\n", "sheet")
    assert read.header == ["id", name.replace('""', '"').strip(), "gpu"]
    assert list(read.rows[0].values()) == ["1", "b", "c"]


def test_a_quote_inside_a_name_opens_nothing() -> None:
    """A quote that does not start a cell is a letter, so the delimiters after it count."""
    assert read_rows('id;x_5" disk;gpu\n1;b;c\n', "sheet").header == ["id", 'x_5" disk', "gpu"]


@pytest.mark.parametrize("width", ["200", "80"])
def test_a_sheet_is_answered_as_a_table_where_one_is_asked_for(
    call: Call, sheet: Sheet, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """`-f table` prints a table, not CSV: a line a row, numbers whole, and the reason of a row without an answer."""
    monkeypatch.setenv("COLUMNS", width)
    path = sheet("id,gpu,workload.answers_per_day\nfirst,h100-sxm,20000\nsecond,h100-sxn,30000\n")
    table = call("estimate", "chat-assistant", "--from", path, "-f", "table")
    row = rows_of(call("estimate", "chat-assistant", "--from", path).out)[0]
    assert table.code == 2
    lines = table.out.splitlines()
    assert any(line.startswith("───") for line in lines)
    first = next(line for line in lines if line.startswith("first"))
    assert f"${float(row['cost_usd_per_month']):,.0f}" in first.split()
    assert "20,000" in first
    assert f"{path}:3:fleet.gpus: unknown GPU 'h100-sxn'" in " ".join(table.out.split())
    assert ("columns hidden at this terminal width" in table.out) == (width == "80")


def test_a_table_of_a_sheet_has_the_columns_asked_for(call: Call, sheet: Sheet) -> None:
    """--fields chooses the results of the table as it does those of CSV."""
    table = call("estimate", "--from", sheet("id\n1\n"), "-f", "table", "--fields", "gpus,power_kw").out
    assert table.splitlines()[0].split() == ["id", "gpus", "power", "kw"]
