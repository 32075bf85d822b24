"""From a budget to answers: the edge of a staircase, checked by asking the question the other way round."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import answer, load_scenario
from planner.catalog.catalog import Catalog
from planner.economics.budget import budget, largest_rates
from planner.economics.fleet_by_demand import machines
from planner.economics.page import QuestionResult
from planner.economics.questions.asked import load_asked
from planner.economics.questions.budget import BudgetFile
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK

Call = Callable[..., Any]
CATALOG = Catalog()
MACHINES = machines("o1-class", CATALOG)


def asked(**changes: Any) -> QuestionResult:
    """Return the answer to the shipped budget with some fields changed."""
    return budget(load_asked(BudgetFile, "scenarios/budgets", "o1-class-100k", CATALOG, changes), CATALOG)


def best_cost(answers_per_day: float) -> float:
    """Return what `planner estimate` says the cheapest fleet costs."""
    changes = {"workload.answers_per_day": answers_per_day}
    return float(answer(load_scenario("o1-class", CATALOG, changes=changes), CATALOG).best["cost_usd_per_month"])


@pytest.mark.parametrize("dollars", [30_000.0, 100_000.0, 700_000.0])
def test_estimate_agrees_on_both_sides_of_the_edge(dollars: float) -> None:
    """A hair fewer answers are within the budget, a hair more are not: asked of `planner estimate`."""
    answers = asked(budget_usd_per_month=dollars).lines[0].values["answers_per_day"]
    assert best_cost(answers * (1 - 1e-6)) <= dollars < best_cost(answers * (1 + 1e-6))


def test_two_pools_are_searched_as_estimate_searches_them(tmp_path: Path) -> None:
    """A scenario of prompt-reading and answering replicas: the edge is where `planner estimate` has it."""
    path = CATALOG.files("scenarios")["o1-class"]
    mine = tmp_path / "pools.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\n  gpus: any\n") == 1
    mine.write_text(text.replace("\n  gpus: any\n", "\n  gpus: [h200-sxm]\n  pools: two\n"), encoding="utf-8")
    answers = asked(scenario=str(mine), budget_usd_per_month=400_000.0).lines[0].values["answers_per_day"]
    cost = [
        answer(load_scenario(mine, CATALOG, changes={"workload.answers_per_day": answers * f}), CATALOG).best[
            "cost_usd_per_month"
        ]
        for f in (1 - 1e-6, 1 + 1e-6)
    ]
    assert cost[0] <= 400_000 < cost[1]


def test_the_rows_add_up() -> None:
    """Spent and unspent are the budget; the best row answers most; a day is 24 of a month's 730 hours."""
    result = asked()
    most = [line.values["answers_per_month"] for line in result.lines]
    assert most == sorted(most, reverse=True)
    for line in result.lines:
        spent, left = line.values["cost_usd_per_month"], line.values["unspent_usd_per_month"]
        assert spent + left == pytest.approx(100_000)
        assert left >= 0
        assert line.values["answers_per_day"] == pytest.approx(line.values["answers_per_month"] * 24 / 730)
        assert 0 < line.values["utilization"] < 1


@settings(max_examples=5, deadline=None)
@given(st.floats(1e3, 1e7), st.floats(1.0, 10.0))
def test_more_money_never_buys_fewer_answers(dollars: float, times: float) -> None:
    """Option by option."""
    few, many = largest_rates(MACHINES, dollars), largest_rates(MACHINES, dollars * times)
    bought = ~np.isnan(few)
    assert np.all(many[bought] >= few[bought] * (1 - 1e-9))


def test_nothing_within_the_budget_fails_the_gate(call: Call) -> None:
    """Exit 1, with what the smallest fleet costs; the numbers are empty."""
    outcome = call(
        "budget", "--set", "budget_usd_per_month=100", "--format", "csv", "--fields", "gpu,answers_per_month"
    )
    assert outcome.code == EXIT_GATE_FAILED
    assert outcome.out.splitlines() == ["gpu,answers_per_month", ","]
    smallest = best_cost(1e-3)
    assert outcome.errors[-1].endswith(f"the smallest fleet that meets the SLO costs ${smallest:,.0f}")


def test_bad_budgets_are_one_line(call: Call) -> None:
    """A scenario that is not there, one whose machines do not follow the load, a negative sum."""
    assert call("budget").code == EXIT_OK
    unknown = call("budget", "--set", "scenario=o1-clas")
    assert unknown.code == EXIT_DATA_MISSING
    assert "Did you mean o1-class" in unknown.err
    measured = call("budget", "--set", "scenario=deepseek-day")
    assert measured.code == EXIT_BAD_INPUT
    assert "measured rates of nodes" in measured.err
    router = call("budget", "--set", "scenario=router")
    assert router.code == EXIT_BAD_INPUT
    refused = (
        "error: --set scenario: scenario router sends its classes to several models, which `planner estimate`, "
        "`compare` and `energy` answer one by one; expected one model"
    )
    assert router.errors == [refused]
    assert call("break-even", "--set", "scenario=router").errors == [refused]
    assert call("budget", "--set", "budget_usd_per_month=-5").errors == [
        "error: --set budget_usd_per_month: -5 is negative; expected a number above 0"
    ]


def test_a_scenario_beside_the_question_is_found(call: Callable[..., Any], tmp_path: Path) -> None:
    """Budget, quota and quality look for a scenario's file beside their own, from any folder."""
    shipped = (Catalog().roots[-1] / "scenarios" / "o1-class.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(shipped, encoding="utf-8")
    questions = {
        "budget": "name: b\nscenario: mine.yaml\nbudget_usd_per_month: 100000\n",
        "quota": "name: p\nas_of: 2025-01-01\nusd_per_month: 20\nlimits:\n"
        "  - {model: r1, messages: 30, window_hours: 168, own: {scenario: mine.yaml}}\n",
    }
    for command, text in questions.items():
        path = tmp_path / f"{command}.yaml"
        path.write_text(text, encoding="utf-8")
        found = call(command, path, "--format", "csv")
        assert (found.code, found.errors) == (EXIT_OK, [])


def test_each_gpu_is_bought_where_it_is_cheapest() -> None:
    """Of sellers whose machines answer the same the cheapest counts: `estimate` at that rate finds none below."""
    for row in asked().rows():
        rate = {"fleet.gpus": (row["gpu"],), "workload.answers_per_day": row["answers_per_day"] * (1 - 1e-6)}
        best = answer(load_scenario("o1-class", CATALOG, changes=rate), CATALOG).best
        assert row["cost_usd_per_month"] == pytest.approx(best["cost_usd_per_month"]), row["gpu"]


def test_another_scenario_leaves_the_title_of_the_shipped_one(call: Callable[..., Any]) -> None:
    """The title spoke of the question's own scenario."""
    out = call("budget", "--set", "scenario=gpt-4o-class").out
    assert out.splitlines()[0] == "o1-class-100k – gpt-4o-class in place of o1-class"
