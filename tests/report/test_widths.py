"""Tables at every width: no number, date or id is cut, what is hidden is named, and the cells are those of the CSV."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.cli.list_ import KINDS
from planner.cli.main import run
from planner.report.grid import fitted, wrapped
from planner.report.page import Column, Page, Rank, Table, leading_names, rank_of
from planner.report.registry import FORMATS

Call = Callable[..., Any]
WIDTHS = (40, 80, 120, 200)
WIDE = 100_000
"""Wide enough for any table on one line a row."""
ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = str(ROOT / "tests/data/benchmarks/vllm_h100_llama-3.1-8b-fp8_detailed.json")
FACTS = ROOT / "tests/data/gpu_facts/h100-sxm.json"
SHEET = "id,gpu,workload.answers_per_day\nfirst-question,h100-sxm,20000\nsecond-question,h200-sxm,1e6\nbad,zzz,1\n"
COMMANDS = {
    "estimate": ["estimate", "chat-assistant", "--gpu", "h100-sxm,a100-sxm-80gb,rtx-pro-6000", "--all"],
    "estimate, two pools": ["estimate", "chat-assistant", "--gpu", "h100-sxm", "--set", "fleet.pools=two", "--all"],
    "estimate, interval": ["estimate", "chat-assistant", "--gpu", "h100-sxm", "--interval"],
    "estimate, measured": ["estimate", "deepseek-day"],
    "estimate, router": ["estimate", "router", "--gpu", "h200-sxm"],
    "estimate, no SLO met": ["estimate", "chat-assistant", "--gpu", "h100-sxm,l4", "--set", "slo.ttft_p95_s=0.001"],
    "estimate, sheet": ["estimate", "chat-assistant", "--from", "-", "-f", "table"],
    "compare": ["compare", "chat-assistant", "o1-mini-class", "gpt-4o-class", "--gpu", "h200-sxm"],
    "compare, one": ["compare", "chat-assistant", "--gpu", "h100-sxm", "--override", "all"],
    "thinking": ["thinking", "o1-class", "--gpu", "h200-sxm", "--multiplier", "2", "--multiplier", "8"],
    "energy": ["energy", "chat-assistant", "--gpu", "h100-sxm", "--grid", "USA", "--grid", "FRA"],
    "quality": ["quality"],
    "quota": ["quota"],
    "payback": ["payback"],
    "payback, years": ["payback", "--by-year"],
    "payback, revenue": ["payback", "sequoia-2024"],
    "break-even": ["break-even"],
    "break-even, curve": ["break-even", "--curve", "-f", "table"],
    "implied": ["implied"],
    "budget": ["budget"],
    "check-gpu": ["check-gpu", "chat-assistant", "--facts", str(FACTS), "--model", "llama-3.1-8b"],
    "calibrate": ["calibrate", BENCHMARK, "--given", "gpu=h100-sxm", "--given", "tensor_parallel=1"],
    "explain": ["explain", "chat-assistant", "cost_usd_per_month", "--gpu", "h100-sxm", "--all"],
    "explain, question": ["explain", "chatgpt-plus-2024-09", "usd_per_message_exhausted", "--row", "o1-mini"],
} | {f"list {kind}": ["list", kind] for kind in KINDS}
HIDDEN = "columns hidden at this terminal width: {} (a wider terminal or --format csv shows all)"
FEWEST = 3
"""Columns of the narrowest table: what rows are called, a value, its unit."""
WITHOUT_CSV = {"check-gpu", "explain", "explain, question"}


def printed(name: str, width: int) -> str:
    """Return what a command prints at a width."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(io.StringIO()):
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdin", io.StringIO(SHEET))
        run(COMMANDS[name])
    return out.getvalue()


@cache
def page_of(name: str) -> Page | None:
    """Return the page a command makes, before a format prints it; None where it prints text of its own."""
    pages: list[Page] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.cli.common.show", lambda page, *_: pages.append(page))
        printed(name, WIDE)
    return pages[0] if pages else None


@cache
def at_width(name: str, width: int, form: str = "table") -> str:
    """Return a command's answer at a width, in a format; the question is answered once."""
    page = page_of(name)
    if page is None:
        return printed(name, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        return FORMATS[form](page, "plain")


def words(text: str) -> list[str]:
    """Return the words of a text, rules of tables left out."""
    return [word for word in text.split() if set(word) != {"─"}]


def hidden(text: str) -> list[str]:
    """Return the titles of the columns that a text says are hidden."""
    flat = " ".join(text.split())
    found = re.findall(r"columns hidden at this terminal width: (.*?) \(a wider terminal", flat)
    return [title for titles in found for title in titles.split(", ")]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_is_cut_at_any_width(name: str) -> None:
    """Every word of a narrow table stands in the wide one, numbers with their units on one line, no line too long."""
    wide = at_width(name, WIDE)
    known = set(words(wide))
    numbers = set(re.findall(r"\S*\d (?:ms|s|W|kW|Wh|GiB)\b", wide))
    turned = {word for column in columns_of(page_of(name)) for word in (*column.title.split(), *column.unit.split())}
    for width in WIDTHS:
        text = at_width(name, width)
        said = {*known, *turned, "unit", *words(HIDDEN.format(", ".join(hidden(text))))}
        assert set(words(text)) <= said, (width, set(words(text)) - said)
        for line in text.splitlines():
            if set(line) == {"─"} and len(line) > width:
                assert len(header_of(text, line)) <= FEWEST, (width, "a table too wide hides what it can")
            elif not any(set(rule) == {"─"} and len(rule) >= len(line) for rule in text.splitlines()):
                longest = max((len(part) for part in wrapped(line, 1)), default=0)
                assert len(line) <= max(width, len(line) - len(line.lstrip()) + longest), (width, line)
        for number in re.findall(r"\S*\d (?:ms|s|W|kW|Wh|GiB)\b", text):
            assert number in numbers
        assert len(re.findall(r"\S*\d\n *(?:ms|s|W|kW|Wh|GiB)\b", text)) == 0


def columns_of(page: Page | None) -> list[Column]:
    """Return the columns of a page's tables."""
    return [c for section in (page.sections if page else ()) if section.table for c in section.table.columns]


def header_of(text: str, rule: str) -> list[str]:
    """Return the titles of the table with a rule."""
    lines = text.splitlines()
    return [title for title in re.split(r" {3,}", lines[lines.index(rule) - 1].strip()) if title]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_column_is_shown_or_named_as_hidden(name: str) -> None:
    """A title of the wide table stands in a narrow one, in order, or in the line that names what is hidden."""
    wide = at_width(name, WIDE)
    titles = [t for header in headers(wide) for t in re.split(r" {3,}", header.strip()) if t]
    for width in WIDTHS:
        text = at_width(name, width)
        gone = hidden(text)
        assert not set(gone) - set(titles), width
        if gone:
            kept = [title for title in titles if title not in gone]
            heads = " ".join(line for lines in header_blocks(text) for line in lines)
            assert all(word in heads for title in kept for word in title.split()), width
            assert kept[0] == titles[0], "the first column names the rows"


def headers(text: str) -> list[str]:
    """Return the lines above the rules of tables."""
    lines = text.splitlines()
    return [above for above, line in pairwise(lines) if line.startswith("──")]


def header_blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each header, which may be several."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("──"):
            start = index
            while start > 0 and lines[start - 1].strip():
                start -= 1
            yield lines[start:index]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_CSV))
def test_ids_and_dates_of_the_csv_stand_whole_in_the_table(name: str) -> None:
    """A text cell of the CSV whose column is shown on a row a line is whole; what names the rows is always there."""
    rows = list(csv.DictReader(io.StringIO(at_width(name, 80, "csv"), newline="")))
    wide = at_width(name, WIDE)
    shown = set(words(wide))
    texts = {cell for row in rows for cell in row.values() if cell and re.fullmatch(r"[\w.+:-]+", cell)}
    whole = {text for text in texts & shown if not re.fullmatch(r"[\d.]+", text)}
    assert whole, "the table shows something of the CSV"
    for width in WIDTHS:
        text = at_width(name, width)
        cells = set(words(text))
        for column, first in ((c, rows[0][c]) for c in rows[0]):
            title = column.replace("_", " ")
            values = {row[column] for row in rows} & whole
            if headers(wide) and headers(wide)[0].split("   ")[0].strip() == title and first in whole:
                assert values <= cells, (width, column)
        cut = {c for c in cells - shown for t in whole if len(c) > 3 and t.startswith(c)}
        assert not cut - set(words(" ".join(hidden(text)).replace(",", ""))), width


@pytest.mark.parametrize("width", WIDTHS)
def test_money_goes_last_and_sources_first(width: int) -> None:
    """Where something is hidden, no money is while anything else but names is shown, and sources always are."""
    text = at_width("list prices", width)
    gone = hidden(text)
    assert "usd per gpu hour" not in gone
    if gone:
        assert "source" in gone
    options = at_width("estimate", width)
    if "$/month" in hidden(options):
        pytest.fail("the bill is hidden")


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("form", ["csv", "long-csv", "json", "markdown"])
@pytest.mark.parametrize("name", ["estimate", "quality"])
def test_data_and_markdown_do_not_depend_on_the_width(name: str, form: str, width: int) -> None:
    """A file is the same whatever terminal it was made in."""
    assert at_width(name, width, form) == at_width(name, WIDE, form)


@pytest.mark.parametrize("name", ["estimate", "quality", "compare", "list gpus"])
def test_markdown_shows_the_cells_of_the_table(name: str) -> None:
    """Each row of the wide table is a row of Markdown, cell by cell; each line of it has as many cells."""
    table, markdown = at_width(name, WIDE), at_width(name, WIDE, "markdown")
    rows = [[c.strip() for c in line[2:-2].split(" | ")] for line in markdown.splitlines() if line[:1] == "|"]
    assert len({len(row) for row in rows if "---" not in row[0]}) == 1
    lines = [line.split("   ") for line in table.splitlines()]
    cells = [[c.strip() for c in line if c.strip()] for line in lines]
    for row in rows[2:]:
        assert [c for c in row if c] in cells, row


def test_csv_json_and_long_csv_of_a_page_agree() -> None:
    """The same numbers stand in the three data formats of an economic page."""
    rows = list(csv.DictReader(io.StringIO(at_width("quality", 80, "csv"), newline="")))
    results = json.loads(at_width("quality", 80, "json"))["results"]
    long = list(csv.DictReader(io.StringIO(at_width("quality", 80, "long-csv"), newline="")))
    numbers = [(n, v) for r in results for n, v in r.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    assert [(line["metric"], float(line["value"])) for line in long] == numbers
    for row, result in zip(rows, results, strict=True):
        assert list(row) == list(result)
        for name, value in result.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert float(row[name]) == value, name


TEXTS = st.text(alphabet="ab1-. ×", max_size=30)


@given(TEXTS, st.integers(1, 40))
def test_wrapping_keeps_every_word(text: str, width: int) -> None:
    """The words of a text come back in order, and a line is too long only where one word with its unit is."""
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert len(line) <= width or len(wrapped(line, 1)) == 1


@given(
    st.lists(st.lists(TEXTS.map(str.strip), min_size=3, max_size=3), min_size=2, max_size=5),
    st.lists(st.sampled_from(list(Rank)), min_size=5, max_size=5),
    st.integers(20, 60),
)
def test_a_grid_hides_columns_in_the_order_of_their_rank(cells: list[list[str]], ranks: list[Rank], width: int) -> None:
    """What is hidden is no more important than what is shown, the first column apart."""
    titles = [f"col{i}" for i in range(len(cells))]
    columns = [Column(t, c, r, text=True) for t, c, r in zip(titles, cells, ranks, strict=False)]
    text = "\n".join(fitted(Table(columns), width, str))
    gone = [c for c in columns if c.title in hidden(text)]
    kept = [c for c in columns[1:] if c.title not in hidden(text)]
    assert columns[0] not in gone
    assert not gone or not kept or max(c.rank for c in gone) <= min(c.rank for c in kept)


def test_a_table_without_rows_is_a_header() -> None:
    """Nothing to show is no error."""
    assert fitted(Table([Column("id", [], Rank.KEY, text=True)]), 40, str) == ["id", "──"]


def test_the_columns_that_name_rows() -> None:
    """As few as it takes, three at most, one where there is one row."""
    assert leading_names([["a"]]) == 1
    assert leading_names([["a", "a"], ["b", "c"]]) == 2
    assert leading_names([["a", "a"]] * 5) == 3
    assert leading_names([]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_has_the_same_rows_in_each_format(kind: str, call: Call) -> None:
    """CSV, JSON and Markdown of a list hold as many rows as the catalogue's table."""
    rows = list(csv.DictReader(io.StringIO(call("list", kind, "-f", "csv").out, newline="")))
    document = json.loads(call("list", kind, "-f", "json").out)
    assert len(document["results"]) == len(rows) > 0
    assert list(document["results"][0]) == list(rows[0])
    assert call("list", kind, "-f", "markdown").out.count("\n|") == len(rows) + 1


def test_importance_by_what_a_column_holds() -> None:
    """Money and accuracy come before other numbers, those before text, sources last."""
    assert rank_of("x", "USD/h") == rank_of("accuracy") == rank_of("usd_per_gpu_hour") == Rank.MONEY
    assert rank_of("price_source", text=True) < rank_of("engine", text=True) < rank_of("gpus", "GPUs") < Rank.MONEY


@pytest.mark.parametrize("name", COMMANDS)
def test_a_header_takes_two_lines_at_most(name: str) -> None:
    """No title is folded word by word, except in a table whose last columns do not fit the width."""
    for width in (80, 100):
        text = at_width(name, width)
        for block in header_blocks(text):
            rule = max((line for line in text.splitlines() if line.startswith("──")), key=len)
            if len(rule) <= width:
                heads = [line for line in block if re.search(r"\w {3,}\w|^ {3,}", line)]
                assert len(heads) <= 2, (width, heads)


def test_a_short_word_stays_with_the_word_before_it() -> None:
    """`memory gb per s` breaks after `gb`, and a column that would need three lines is hidden before that."""
    key = Column("id", ["h100-sxm"], Rank.KEY, text=True)
    rate = Column("memory gb per s", ["3,350"], Rank.NUMBER)
    link = Column("link gb per s one way", ["450"], Rank.DETAIL)
    lines = fitted(Table([key, rate, link]), 24, str)
    assert [line.split("   ")[-1].strip() for line in lines[:2]] == ["memory gb", "per s"]
    assert hidden("\n".join(lines)) == ["link gb per s one way"]
