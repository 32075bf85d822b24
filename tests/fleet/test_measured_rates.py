"""Measured rates: a node is the replica, and the rest goes the way of any other fleet."""

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.fleet.estimate import Estimate
from planner.fleet.measured_rates import (
    MeasuredLoad,
    as_measured_nodes,
    estimate_from_measured_rates,
    measured_capacity,
    measured_load,
)
from planner.fleet.sizing import fleet_cost
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases
from planner.serving.columns import CurveColumns
from planner.serving.slo import Limit

CATALOG = Catalog()
RATES = 10_000.0, 2_000.0
"""Input and output tokens per second of a node: an answer of 1,000 and 500 tokens takes 0.1 s + 0.25 s of one."""
ASKED = {
    "workload__input_tokens_mean": 1000.0, "workload__answer_tokens_mean": 500.0, "workload__reasoning_multiplier": 1.0,
    "workload__max_tokens": 1e6, "workload__turns_per_answer": 1.0, "workload__samples_per_answer": 1.0,
    "demand__answers_per_s": 2.0, "demand__peak_to_mean": 4.0, "demand__burst": 1.0,
    "fleet__headroom": 0.0, "fleet__bills_mean": 0.0, "fleet__failures_per_gpu_hour": 1e-3, "fleet__max_gpus": np.nan,
    "offer__usd_per_gpu_hour": 2.0, "offer__extra_share": 0.0, "offer__sells_nodes": 0.0,
    "gpu__gpus_per_node": 8.0, "quality__accuracy": 0.5,
} | {f"workload__{n}_tokens_cv": 0.0 for n in ("input", "generated", "answer", "thinking")}  # fmt: skip


@cache
def case(**changes: float) -> Cases:
    """Return 2 answers/s of 1,000 and 500 tokens on nodes of 8 GPUs that fail often, at $2 per GPU-hour."""
    found = answer(load_scenario("o1-class", CATALOG), CATALOG).case()
    columns = {n: np.asarray([x]) if n.startswith("workload__") else x for n, x in (ASKED | changes).items()}
    return as_measured_nodes(found.replaced(**columns))


def load_of(cases: Cases, tokens_per_day: tuple[float, float] | None = None) -> MeasuredLoad:
    """Return the load of a case at the rates."""
    return measured_load(cases, *RATES, tokens_per_day)


def solved(tokens_per_day: tuple[float, float] | None = None, **changes: float) -> Estimate:
    """Return the estimate of the case with changes."""
    cases = case(**changes)
    return estimate_from_measured_rates(cases, load_of(cases, tokens_per_day))[0]


def number(found: Estimate, name: str) -> Any:
    """Return one result."""
    return float(getattr(found, name))


def test_nodes_and_dollars_by_hand() -> None:
    """2 x 0.35 s keep 0.7 nodes busy, 2.8 at the peak: 3 nodes without a spare, 24 GPUs x 730 h x $2."""
    found = solved()
    assert (number(found, "nodes"), number(found, "gpus")) == (3.0, 24.0)
    assert number(found, "cost_usd_per_month") == 24 * 730 * 2
    assert number(found, "gpu_seconds_per_answer") == pytest.approx(0.35 * 8)
    assert number(found, "utilization") == pytest.approx(0.7 / 3)
    assert number(found, "output_tokens_per_s_per_gpu") == pytest.approx(500 / (0.35 * 8))
    assert number(found, "cost_usd_per_correct_answer") == pytest.approx(24 * 730 * 2 / (2 * 730 * 3600) / 0.5)


def test_whole_nodes_are_billed_hour_by_hour() -> None:
    """0.35, 0.7 and 1.05 nodes are 1, 1 and 2 whole ones, 4/3 on average; so are 0.44, 0.88 and 1.31 with headroom."""
    curve = CurveColumns(np.asarray([0.5, 1.0, 1.5]))
    for headroom in (0.0, 0.2):
        cases = dataclasses.replace(case(fleet__bills_mean=1.0, fleet__headroom=headroom), curve=curve)
        found = estimate_from_measured_rates(cases, load_of(cases))[0]
        assert number(found, "nodes_mean") == pytest.approx(4 / 3)
        assert number(found, "gpu_hours_per_month_reserved") == pytest.approx(4 / 3 * 8 * 730)
        assert number(found, "gpu_hours_per_month_used") == pytest.approx(0.7 * 8 * 730)
        assert number(found, "nodes") == (4.0 if headroom else 3.0)


def test_what_is_reserved_is_paid_for_on_average() -> None:
    """Without mean billing the nodes of the peak are those paid for, as with a model of the replica."""
    assert number(solved(), "nodes_mean") == number(solved(), "nodes") == 3.0


def test_input_and_output_dollars_add_up() -> None:
    """0.1 of 0.35 s are prefill: 2/7 of the dollars over 1,000 tokens, 5/7 over 500."""
    found = solved()
    per_answer = number(found, "cost_usd_per_answer")
    assert number(found, "cost_usd_per_mtok_input") == pytest.approx(per_answer * 2 / 7 * 1e3)
    assert number(found, "cost_usd_per_mtok_output") == pytest.approx(per_answer * 5 / 7 * 2e3)


def test_tokens_a_day_are_the_same_fleet_without_answers() -> None:
    """The tokens of 2 answers/s over a day: the same machines and dollars a month, and nothing per answer."""
    day, answers = 86_400.0, solved()
    tokens = solved((2 * 1000 * day, 2 * 500 * day), demand__answers_per_s=math.nan)
    for name in ("nodes", "gpus", "cost_usd_per_month", "gpu_hours_per_month_used", "utilization", "power_kw",
                 "cost_usd_per_mtok_input", "cost_usd_per_mtok_output", "output_tokens_per_s_per_gpu"):  # fmt: skip
        assert number(tokens, name) == pytest.approx(number(answers, name), rel=1e-12), name
    assert [name for name in vars(tokens) if "answer" in name and not math.isnan(number(tokens, name))] == []


def test_a_model_of_the_replica_is_not_asked() -> None:
    """Latencies, lengths, replicas and what thinking costs are unknown."""
    found = solved()
    unknown = ("replicas", "spare_replicas", "ttft_p95_s", "tpot_p50_s", "e2e_p99_s", "concurrency_per_replica",
               "gpu_time_multiplier", "prefill_replicas", "prefill_gpus_per_replica")  # fmt: skip
    assert [name for name in unknown if not math.isnan(number(found, name))] == []


@pytest.mark.parametrize(
    ("changes", "limit", "meets"),
    [
        ({}, Limit.NONE, True),
        ({"fleet__max_gpus": 24.0}, Limit.NONE, True),
        ({"fleet__max_gpus": 23.0}, Limit.MAX_GPUS, False),
        ({"offer__usd_per_gpu_hour": np.nan}, Limit.PRICE_MISSING, True),
    ],
)
def test_limits(changes: dict[str, float], limit: Limit, meets: bool) -> None:  # noqa: FBT001 - expected value
    """Only the size of the fleet and a missing price can bind."""
    found = solved(**changes)
    assert (Limit(int(found.limit)), bool(found.meets_slo)) == (limit, meets)


def test_a_demand_needs_no_solving() -> None:
    """What a node serves, found once, sizes the fleet of any demand as an estimate at that demand does."""
    rates = np.geomspace(0.01, 100.0, 7)
    capacity = measured_capacity(case(), load_of(case()))
    demands = case().replaced(demand__answers_per_s=rates)
    cost, whole = fleet_cost(demands, capacity), estimate_from_measured_rates(demands, load_of(demands))[0]
    np.testing.assert_array_equal(cost.fleet.gpus, whole.gpus)
    np.testing.assert_allclose(cost.money.cost_usd_per_answer, whole.cost_usd_per_answer, rtol=1e-12)
