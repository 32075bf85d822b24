"""Energy and carbon of an answer: layers from the GPU to the meter, by grid and source, the making as an option."""

import csv
import io
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.economics.energy import energy
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK
from planner.options.answer import Answer, answer
from planner.options.router import by_model, together
from planner.scenario.load import load_scenario

CATALOG = Catalog()


@cache
def found(pools: str = "one") -> Answer:
    """Return the answer to the default question."""
    return answer(load_scenario("o1-class", CATALOG, changes={"fleet.pools": pools}), CATALOG)


@pytest.mark.parametrize("pools", ["one", "two"])
def test_it_is_the_energy_of_the_estimate(pools: str) -> None:
    """Wh an answer, kWh and kg a month are the estimate's own, on the grid and source it uses."""
    best = found(pools).best
    line = energy([found(pools)], CATALOG).line("USA ember").values
    assert line["energy_wh_per_answer"] == pytest.approx(best["energy_wh_per_answer"], rel=1e-9)
    assert line["energy_kwh_per_month"] == pytest.approx(best["energy_kwh_per_month"], rel=1e-9)
    assert line["co2e_kg_per_month"] == pytest.approx(best["co2e_kg_per_month"], rel=1e-9)


@pytest.mark.parametrize("pools", ["one", "two"])
def test_a_full_fleet_hardly_waits(pools: str) -> None:
    """GPU x 1.79 of the node x 1.2 of the building; with no peak, no headroom and many answers nearly all is used."""
    line = energy([found(pools)], CATALOG).lines[0].values
    assert line["energy_wh_per_answer"] == pytest.approx(line["gpu_wh_per_answer"] * 1.79 * 1.2, rel=1e-9)
    assert 0.3 < line["waiting_share"] < 0.9
    full = {"demand.curve": None, "demand.peak_to_mean": 1, "fleet.headroom": 0, "workload.answers_per_day": 1e9}
    scenario = load_scenario("o1-class", CATALOG, changes={"fleet.pools": pools, **full})
    line = energy([answer(scenario, CATALOG)], CATALOG).lines[0].values
    assert 0.0 < line["waiting_share"] < 0.1


def test_sources_of_one_grid_differ_as_published() -> None:
    """United States: 384.4 g/kWh (Ember 2025), 369.473 (codecarbon, 2023): grams follow, 4 % apart."""
    lines = {line.label: line for line in energy([found()], CATALOG).lines}
    ratio = lines["USA ember"].values["co2e_g_per_answer"] / lines["USA codecarbon"].values["co2e_g_per_answer"]
    assert ratio == pytest.approx(384.4 / 369.473, rel=1e-6)
    assert lines["USA codecarbon"].texts["year"] == "2023"


def test_the_making_is_counted_where_it_is_asked() -> None:
    """An H100-class GPU of 273 kg in an eighth of a 5,700 kg server, over three years (EcoLogits)."""
    without, counted = (energy([found()], CATALOG, embodied=e).lines[0].values for e in (False, True))
    gpus, answers = found().best["gpus"], found().best["answers_per_month"]
    by_hand = gpus * (273 + 5700 / 8) * 1000 / (36 * answers)
    assert counted["total_g_per_answer"] - without["total_g_per_answer"] == pytest.approx(by_hand, rel=1e-9)
    assert without["total_g_per_answer"] == without["co2e_g_per_answer"] == counted["co2e_g_per_answer"]
    assert counted["co2e_kg_per_month"] == without["co2e_kg_per_month"] == without["total_kg_per_month"]


def test_a_router_is_the_sum_of_its_models() -> None:
    """Energy and emissions of all models add up, answers share them; the row of all is that of `planner estimate`."""
    parts = [answer(part, CATALOG) for part in by_model(load_scenario("router", CATALOG))]
    lines = {line.label: line.values for line in energy(parts, CATALOG).lines}
    one, two, whole = (lines[f"{model} USA ember"] for model in ("qwen3-32b", "deepseek-r1", "all"))
    for name in ("energy_kwh_per_month", "co2e_kg_per_month"):
        assert whole[name] == pytest.approx(one[name] + two[name])
    assert whole["used_wh_per_answer"] == pytest.approx(
        0.8 * one["used_wh_per_answer"] + 0.2 * two["used_wh_per_answer"]
    )
    row = together(parts, "router", shared=False)
    assert whole["energy_wh_per_answer"] == pytest.approx(row["energy_wh_per_answer"])


def test_grids_on_the_command_line(call: Callable[..., Any]) -> None:
    """Zones by code or name, each by every source; an unknown one is answered with the nearest."""
    out = call("energy", "--grid", "FRA", "--grid", "China", "--format", "csv")
    assert out.code == EXIT_OK
    rows = list(csv.DictReader(io.StringIO(out.out)))
    assert {(r["grid"], r["source"]) for r in rows} >= {("FRA", "ember"), ("CHN", "codecarbon")}
    wrong = call("energy", "--grid", "Frnce")
    assert wrong.code == EXIT_DATA_MISSING
    assert "Did you mean France" in wrong.errors[0]
    measured = call("energy", "deepseek-day")
    assert measured.code == EXIT_BAD_INPUT
    assert "measured rates do not describe single answers" in measured.errors[0]


@pytest.mark.parametrize("command", ["energy", "thinking", "explain"])
def test_a_question_nothing_meets_ends_with_1(call: Callable[..., Any], command: str) -> None:
    """What is shown then is the best attainable, so the exit code says no."""
    assert call(command, "o1-class", "--set", "slo.ttft_p95_s=1e-9").code == EXIT_GATE_FAILED


@pytest.mark.parametrize("scenario", ["chat-assistant", "router"])
@pytest.mark.parametrize("form", ["table", "markdown", "json", "csv", "long-csv"])
def test_no_fleet_has_no_energy(call: Callable[..., Any], scenario: str, form: str) -> None:
    """Where nothing meets the limits the verdict says so, in every format, and no number is called nan."""
    outcome = call("energy", scenario, "--set", "slo.ttft_p95_s=0.0001", "-f", form)
    assert outcome.code == 1
    assert re.search(r"\bnan\b", outcome.out + outcome.err, re.IGNORECASE) is None
    if form in {"table", "markdown"}:
        assert "no fleet, so no energy: no option meets the limits" in outcome.out


def test_a_chain_without_a_value_says_what_is_not_known(call: Callable[..., Any]) -> None:
    """The number that needs an API price names it; nothing is called nan."""
    out = call("explain", "o1-class", "api_multiplier", "--gpu", "h200-sxm").out
    assert out.splitlines()[0] == (
        "o1-class, as asked: api_multiplier = no value: answer.api_usd, plain.api_usd not known"
    )
    assert "nan" not in out.split()
