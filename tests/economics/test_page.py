"""Economic questions: rows are the page of formulas put through a file's numbers, in every format, and explained."""

import ast
import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from planner.catalog.catalog import Catalog
from planner.catalog.kinds import questions_of
from planner.economics.page import QuestionResult, flat, page_formulas, solve_line
from planner.economics.questions.asked import load_asked
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_OK
from planner.explain.formulas import CONSTANTS, ELSEWHERE, Formula, FormulaSet
from planner.options.provenance import Input

CATALOG = Catalog()
QUESTIONS = {question.word: question for question in questions_of()}
SHIPPED = [(kind, name) for kind, question in QUESTIONS.items() for name in CATALOG.files(question.folder)]


def test_a_missing_input_is_no_number_and_division_by_zero_is_none() -> None:
    """NaN passes through a page; what is infinite is not printed as a number."""
    page = FormulaSet([Formula("half", "cost / 2", "", "USD"), Formula("each", "cost / messages", "", "USD")])
    assert math.isnan(solve_line("a", {}, {"cost": math.nan, "messages": 1.0}, page).values["half"])
    assert solve_line("a", {}, {"cost": 3.0, "messages": 0.0}, page).value("each") is None


def test_a_page_takes_arrays() -> None:
    """The formulas of a page work on arrays as on numbers: where() picks element by element."""
    formula = Formula("one", "where(a > 1; max(a; b); ceil(b))", "")
    a, b = np.array([0.5, 2.0, 3.0]), np.array([1.2, 1.5, 9.5])
    each = [formula.value({"a": x, "b": y}) for x, y in zip(a, b, strict=True)]
    assert np.array_equal(formula.value({"a": a, "b": b}), each)
    assert each == [2.0, 2.0, 9.5]


def test_given_is_the_first_that_is_known() -> None:
    """given() skips what has no number, names only what it took, and works on arrays element by element."""
    formula = Formula("one", "given(a; b / 2)", "")
    assert formula.value({"a": 3.0, "b": 8.0}) == 3.0
    assert formula.value({"a": math.nan, "b": 8.0}) == 4.0
    assert formula.names({"a": math.nan, "b": 8.0}) == ["b"]
    some = formula.value({"a": np.array([1.0, math.nan]), "b": np.array([8.0, 8.0])})
    assert some.tolist() == [1.0, 4.0]
    assert math.isnan(formula.value({"a": math.nan, "b": math.nan}))


def test_flat_takes_numbers_alone() -> None:
    """Fields of a record or entries of a mapping, by group; texts, lists and what is missing are no numbers."""
    assert flat("a", {"x": 1, "yes": True, "text": "5", "none": None, "list": (1,)}) == {"a.x": 1.0, "a.yes": 1.0}
    assert flat("f", Formula("n", "1", "")) == {}
    assert flat("a", None) == {}


def test_a_result_gathers_what_its_rows_bring() -> None:
    """The file's sources come before those of the rows, notes of rows before other warnings, each note once."""
    question = load_asked(QUESTIONS["budget"].spec, QUESTIONS["budget"].folder, "o1-class-100k", CATALOG)
    page = page_formulas("economics/budget.csv")
    origin = Input("price", 1.0, "here", "a list")
    lines = [solve_line(label, {"gpu": label}, {}, page, origins=[origin], notes=["old", label]) for label in "ab"]
    result = QuestionResult.of("budget", question, "economics/budget.csv", lines, warnings=["last", "old"])
    assert list(result.warnings) == ["old", "a", "b", "last"]
    assert [i.name for i in result.provenance if i == origin] == ["price", "price"]
    assert result.provenance[0].name == "scenario"
    assert result.identity == ("gpu",)
    changed = lines[0].with_texts(gpu="c", note=None)
    assert (changed.texts, changed.notes, lines[0].texts) == ({"gpu": "c", "note": None}, ["old", "a"], {"gpu": "a"})


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_shipped_questions_are_answered_and_every_number_is_explained(kind: str, name: str) -> None:
    """Each result of each row has a formula with a unit, and its chain ends in quantities that have a value."""
    question = QUESTIONS[kind]
    result = question.solve(load_asked(question.spec, question.folder, name, CATALOG), CATALOG)
    assert result.lines
    assert len({line.label for line in result.lines}) == len(result.lines)
    for line in result.lines:
        for field in result.fields:
            assert result.page[field].unit, field
            steps = result.explain(field, line.label)
            assert steps[0].name == field
            value = line.value(field)
            assert value is None or value == pytest.approx(steps[0].value, rel=1e-9)
    sources = [i for i in result.provenance if i.source]
    assert len(sources) == len(result.provenance) > 0


PAGES = sorted(path.name for path in (Path(planner.__file__).parent / "economics").glob("*.csv"))


def mentioned(node: ast.AST) -> set[str]:
    """Return the quantities that an expression names in any of its branches."""
    if isinstance(node, ast.Name | ast.Attribute):
        return {ast.unparse(node)}
    parts = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    return {name for part in parts for name in mentioned(part)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_declares_what_it_names(name: str) -> None:
    """Every name of a formula is a formula, a declared input or a constant; nothing is declared or computed in vain."""
    page = page_formulas(f"economics/{name}")
    used = {formula: mentioned(page[formula].tree) for formula in page}
    named = set().union(*used.values())
    assert named - page.keys() - page.inputs.keys() - CONSTANTS.keys() == set()
    assert page.inputs.keys() - named == set()
    assert page.inputs.keys() & page.keys() == set()
    assert set(page.view("explain")) - named == set()
    assert all(f.why and f.unit for f in (*page.values(), *page.inputs.values()))
    assert all(formula not in names for formula, names in used.items())


@pytest.mark.parametrize("name", PAGES)
def test_a_table_places_columns_in_one_order(name: str) -> None:
    """Places in the table are 1, 2, 3 … without a gap, and every other mark is the name of a view."""
    page = page_formulas(f"economics/{name}")
    marks = [mark for formula in page.values() for mark in formula.shown.split()]
    placed = sorted(int(mark) for mark in marks if mark.isdigit())
    assert placed == list(range(1, len(placed) + 1))
    assert {mark for mark in marks if not mark.isdigit()} <= {*ELSEWHERE, "sold", "curve", "unpaid", "peak"}
    assert all(mark not in ELSEWHERE for formula in page.values() for mark in formula.shown.split()[1:])


def test_conditions_are_true_false_or_unknown() -> None:
    """where() takes its first branch where its condition is above 0, its second where it is not or is not known."""
    formula = Formula("one", "where(flag; true; no_number)", "")
    known = {**CONSTANTS, "flag": 1.0}
    assert formula.value(known) == 1.0
    assert math.isnan(formula.value({**known, "flag": 0.0}))
    assert formula.names({**known, "flag": math.nan}) == ["flag", "no_number"]


def test_functions_belong_to_a_page() -> None:
    """What a page of an economic question calls is not at hand elsewhere."""
    with pytest.raises(KeyError):
        Formula("one", "running_total(a)", "").value({"a": np.ones(2)})
    page = page_formulas("economics/payback.csv")
    total = replace(page["running_total_usd_by_year"], expression="running_total(a)")
    assert total.value({"a": np.ones(3)}).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_format_holds_the_same_numbers(call: Callable[..., Any], kind: str, name: str) -> None:
    """CSV, long CSV and JSON agree; table and Markdown name every row."""
    command = QUESTIONS[kind].command
    out = {form: call(command, name, "--format", form) for form in ("table", "json", "csv", "long-csv", "markdown")}
    assert {o.code for o in out.values()} == {EXIT_OK}
    results = json.loads(out["json"].out)["results"]
    rows = list(csv.DictReader(io.StringIO(out["csv"].out)))
    for row, result in zip(rows, results, strict=True):
        for key, value in result.items():
            text = "" if value is None else str(value)
            assert row[key] == (text.upper() if isinstance(value, bool) else text)
    long = list(csv.DictReader(io.StringIO(out["long-csv"].out)))
    numbers = sum(isinstance(v, int | float) and not isinstance(v, bool) for r in results for v in r.values())
    assert len(long) == numbers
    assert all(row["unit"] for row in long)


def test_explain_finds_an_economic_question(call: Callable[..., Any], tmp_path: Path) -> None:
    """`explain` takes a shipped plan or a file of that kind, a row and a field; wrong names are answered."""
    found = call("explain", "chatgpt-plus-2024-09", "usd_per_message_exhausted", "--row", "o1-mini")
    assert found.code == EXIT_OK
    assert "= 20 / 217.262" in found.out
    copy = tmp_path / "mine.yaml"
    copy.write_text((CATALOG.roots[-1] / "scenarios/plans/chatgpt-plus-2024-09.yaml").read_text(encoding="utf-8"))
    again = call("explain", copy, "usd_per_message_exhausted", "--row", "o1-mini", "--format", "json")
    assert json.loads(again.out)["steps"][0]["value"] == pytest.approx(20 / (50 * 730 / 168))
    assert "Did you mean usd_per_message_exhausted" in call("explain", copy, "usd_per_message_exhaused").err
    wrong = call("explain", copy, "usd_per_message_exhausted", "--row", "o1-min")
    assert wrong.code == EXIT_DATA_MISSING
    assert "Did you mean o1-mini" in wrong.err


def test_unknown_names_and_bad_sets_are_one_line(call: Callable[..., Any]) -> None:
    """A wrong name is answered with the nearest, a wrong --set with its place."""
    assert (
        call("quota", "chatgpt-plus")
        .errors[0]
        .startswith("error: unknown name 'chatgpt-plus'. Did you mean chatgpt-plus")
    )
    assert call("quota", "--set", "limits[0].messages=-3").errors == [
        "error: --set limits[0].messages: -3 is negative; expected a number of at least 1"
    ]
    assert call("quota", "--set", "limits[9].messages=3").code == EXIT_BAD_INPUT
    assert "Did you mean" in call("quota", "--fields", "usd_per_messages_exhausted").err
