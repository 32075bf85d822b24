"""DeepSeek's published day, 2025-02-27: 226.75 nodes on average, 278 at the peak, $87,072 at $2 per GPU-hour."""

import math
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError
from planner.explain.chain import namespace
from planner.options.answer import Answer, answer
from planner.scenario.load import load_scenario

CATALOG = Catalog()
HOURS_PER_MONTH, HOURS_PER_DAY = 730.0, 24.0


def test_measured_rates_reproduce_nodes_and_dollars() -> None:
    """608 B / 73.7k + 168 B / 14.8k tokens over 86,400 s are 226.9 nodes, 227 whole ones; $87,072 to 0.2 %."""
    best = answer(load_scenario("deepseek-day", CATALOG), CATALOG).best
    by_hand = 608e9 / 86_400 / 73.7e3 + 168e9 / 86_400 / 14.8e3
    assert by_hand == pytest.approx(226.9, abs=0.05)
    assert best["nodes_mean"] == math.ceil(by_hand)
    assert best["nodes_mean"] == pytest.approx(226.75, rel=2e-3)
    assert best["cost_usd_per_month"] / HOURS_PER_MONTH * HOURS_PER_DAY == pytest.approx(87_072, rel=2e-3)
    assert best["nodes"] == pytest.approx(278, abs=1.5)
    assert best["gpu"] == "h800-sxm"
    assert best["basis"] == "assumed"  # the weakest link: $2 is the publisher's assumption, the rates are measured


def test_what_needs_a_number_of_requests_is_empty() -> None:
    """The day has no request count: per-answer results and latencies are missing, never 0."""
    best = answer(load_scenario("deepseek-day", CATALOG), CATALOG).best
    empty = [
        n
        for n in best
        if "per_answer" in n or n.endswith("multiplier") or n.startswith(("ttft", "tpot", "e2e", "time_"))
    ]
    assert len(empty) > 15
    assert [n for n in empty if best[n] is not None] == []


def test_limits_of_a_measured_fleet() -> None:
    """A fleet limit binds, growth counts, and a latency limit is refused: latencies of measured nodes are unknown."""
    small = answer(load_scenario("deepseek-day", CATALOG, changes={"fleet.max_gpus": 10}), CATALOG)
    assert (small.meets, small.best["limit"]) == (False, "max_gpus")
    grown = {"demand.growth_per_month": 0.5, "demand.horizon_months": 3}
    later = answer(load_scenario("deepseek-day", CATALOG, changes=grown), CATALOG).best
    now = answer(load_scenario("deepseek-day", CATALOG), CATALOG).best
    assert later["nodes_mean"] == pytest.approx(2.25 * now["nodes_mean"], rel=2e-3)
    with pytest.raises(BadInputError, match="cannot be checked with measured_rates"):
        load_scenario("deepseek-day", CATALOG, changes={"slo.ttft_p95_s": 1})


def test_input_and_output_rates_are_not_added_up() -> None:
    """Dollars per million input and output tokens give back the month: the phases are of different nodes."""
    best = answer(load_scenario("deepseek-day", CATALOG), CATALOG).best
    days = HOURS_PER_MONTH / HOURS_PER_DAY
    parts = (best["cost_usd_per_mtok_input"] * 608e3 + best["cost_usd_per_mtok_output"] * 168e3) * days
    assert parts == pytest.approx(best["cost_usd_per_month"], rel=1e-9)


def test_the_model_alone_is_told_apart() -> None:
    """Without the published rates the model needs more machines than DeepSeek had: within a factor of 4, not equal."""
    alone = answer(load_scenario("deepseek-day", CATALOG, override="model-alone"), CATALOG).best
    ratio = alone["cost_usd_per_month"] / HOURS_PER_MONTH * HOURS_PER_DAY / 87_072
    assert 1 / 4 < ratio < 4
    assert alone["basis"] != "measured"


def alone_with(**changes: Any) -> Answer:
    """Return the answer of the model alone with some fields changed."""
    return answer(load_scenario("deepseek-day", CATALOG, override="model-alone", changes=changes), CATALOG)


def test_the_page_says_what_the_program_says() -> None:
    """docs/deepseek-day.md holds the figures of today's code."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "deepseek-day.md").read_text(encoding="utf-8")
    measured = answer(load_scenario("deepseek-day", CATALOG), CATALOG)
    alone = answer(load_scenario("deepseek-day", CATALOG, override="model-alone"), CATALOG)
    apart = alone_with(**{"fleet.pools": "two"})
    assert measured.best["nodes_mean"] < apart.best["gpus"] / 8 < alone.best["gpus"] / 8
    for found in (measured, alone, apart):
        day = found.best["cost_usd_per_month"] / HOURS_PER_MONTH * HOURS_PER_DAY
        nodes = day / (8 * 2.0 * HOURS_PER_DAY)
        assert f"| {nodes:.1f} | ${day:,.0f} |" in page
    for pools in ("one", "two"):
        best = alone_with(**{"fleet.pools": pools, "slo.ttft_p95_s": 5}).best
        assert f"{best['cost_usd_per_month'] / HOURS_PER_MONTH / 16:.1f} " in page.split("With a TTFT limit")[1]
    values = namespace(alone)
    assert f"{values['capacity.collectives_s'] * 1e3:.1f} of the {values['capacity.step_s'] * 1e3:.0f} ms" in page
