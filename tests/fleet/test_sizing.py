"""From what a replica serves to machines and money, by hand: one pool, two pools, whole nodes, the mean."""

import dataclasses
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.market import DemandCurve
from planner.fleet.result import FleetCost, ReplicaCapacity
from planner.fleet.sizing import energy_of, fleet_cost, sum_of_pools, without_thinking
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases
from planner.serving.columns import CurveColumns

CATALOG = Catalog()
SIMPLE = {
    "demand__answers_per_s": 10.0, "demand__peak_to_mean": 2.0, "demand__burst": 1.0,
    "fleet__headroom": 0.0, "fleet__failures_per_gpu_hour": 0.0, "fleet__max_gpus": np.nan, "fleet__bills_mean": 0.0,
    "offer__usd_per_gpu_hour": 3.0, "offer__gpus_per_instance": 1.0, "offer__sells_nodes": 0.0,
    "offer__extra_share": 0.0,
}  # fmt: skip


@cache
def case(**changes: float) -> Cases:
    """Return a case with 10 answers/s on average and 20 at the peak, at $3 per GPU-hour, that never fails."""
    found = answer(load_scenario("o1-class", CATALOG), CATALOG).case()
    return dataclasses.replace(found.replaced(**SIMPLE | changes), curve=None)


def capacity(
    decode: tuple[float, float], prefill: tuple[float, float] = (0.0, math.inf), **changes: float
) -> FleetCost:
    """Return the fleet of replicas given as (GPUs, answers/s)."""
    columns = {
        "meets_slo": 1.0, "gpus_per_replica": decode[0], "answers_per_s": decode[1],
        "generated_tokens_per_answer": 100.0,
        "prefill_gpus_per_replica": prefill[0], "prefill_answers_per_s": prefill[1],
    }  # fmt: skip
    return fleet_cost(case(**changes), ReplicaCapacity(**{name: np.asarray(x) for name, x in columns.items()}))


def test_one_pool_by_hand() -> None:
    """20 answers/s at the peak on replicas of 4 GPUs that serve 3: 7 replicas, 28 GPUs, 28 x 730 x $3 a month."""
    cost = capacity((4.0, 3.0))
    assert (float(cost.fleet.replicas), float(cost.fleet.gpus)) == (7.0, 28.0)
    assert float(cost.money.cost_usd_per_month) == 28 * 730 * 3
    assert float(cost.money.gpu_hours_per_month_used) == pytest.approx(10 * 4 / 3 * 730)
    assert math.isnan(float(cost.fleet.nodes))


def test_a_pool_of_no_machines_adds_nothing() -> None:
    """With one pool the prefill pool has no replica, no GPU, no spare and no bill, to the bit."""
    cost = capacity((4.0, 3.0), fleet__failures_per_gpu_hour=1e-4)
    assert [float(getattr(cost.prefill, n)) for n in ("replicas", "spare_replicas", "gpus", "billed_gpus")] == [0.0] * 4
    for field in dataclasses.fields(cost.fleet):
        whole, decode = getattr(cost.fleet, field.name), getattr(cost.decode, field.name)
        np.testing.assert_array_equal(whole, decode, err_msg=field.name)


def test_two_pools_by_hand() -> None:
    """7 decode replicas of 4 GPUs and 2 prefill replicas of 8 that serve 12: 44 GPUs; an answer takes 4/3 + 8/12 s."""
    cost = capacity((4.0, 3.0), (8.0, 12.0))
    assert (float(cost.decode.gpus), float(cost.prefill.gpus), float(cost.fleet.gpus)) == (28.0, 16.0, 44.0)
    assert float(cost.money.gpu_hours_per_month_used) == pytest.approx(10 * (4 / 3 + 8 / 12) * 730)


def test_pools_share_no_node() -> None:
    """Nodes of 8 GPUs: 7 replicas of 4 take 4 of them, one prefill replica of 2 takes another."""
    sold = {"offer__gpus_per_instance": 8.0, "offer__sells_nodes": 1.0}
    cost = capacity((4.0, 3.0), (2.0, 50.0), **sold)
    assert (float(cost.decode.nodes), float(cost.prefill.nodes), float(cost.fleet.nodes)) == (4.0, 1.0, 5.0)
    assert float(cost.fleet.gpus) == 40.0


def test_both_pools_are_up_with_the_availability_of_the_fleet() -> None:
    """Each pool alone at the root of the target: a pool of two needs as many spares as one at sqrt(target)."""
    failing = {"fleet__failures_per_gpu_hour": 1e-3, "fleet__repair_hours": 24.0}
    two = capacity((4.0, 3.0), (4.0, 3.0), **failing, fleet__availability=0.99)
    one = capacity((4.0, 3.0), **failing, fleet__availability=0.99**0.5)
    assert float(two.decode.spare_replicas) == float(two.prefill.spare_replicas) == float(one.fleet.spare_replicas)
    assert float(two.fleet.spare_replicas) == 2 * float(one.fleet.spare_replicas)


def test_the_mean_is_billed_pool_by_pool() -> None:
    """10 answers/s take 4 decode replicas of 3 answers/s and one of the others, in every hour."""
    cost = capacity((4.0, 3.0), (8.0, 40.0), fleet__bills_mean=1.0)
    assert float(cost.decode.billed_gpus) == 4 * 4
    assert float(cost.prefill.billed_gpus) == 8.0
    assert float(cost.fleet.gpus) == 28.0 + 8.0


def test_too_many_gpus_miss_the_slo_and_keep_their_numbers() -> None:
    """Both pools count against the limit."""
    assert bool(capacity((4.0, 3.0), (8.0, 12.0), fleet__max_gpus=44.0).meets_slo)
    over = capacity((4.0, 3.0), (8.0, 12.0), fleet__max_gpus=43.0)
    assert not bool(over.meets_slo)
    assert float(over.money.cost_usd_per_month) == 44 * 730 * 3


def test_the_sum_keeps_the_replicas_of_decode() -> None:
    """What adds up is added; replicas of two kinds are not."""
    cost = capacity((4.0, 3.0), (8.0, 12.0))
    both = sum_of_pools(cost.decode, cost.prefill)
    assert float(both.replicas) == float(cost.decode.replicas) == 7.0
    assert float(both.gpus) == 44.0


def test_demands_down_and_options_across() -> None:
    """A capacity of two options meets three demands in one call, each as alone."""
    columns = {"meets_slo": [1.0, 1.0], "gpus_per_replica": [4.0, 8.0], "answers_per_s": [3.0, 7.0],
               "generated_tokens_per_answer": [1.0, 1.0],
               "prefill_gpus_per_replica": [0.0, 2.0], "prefill_answers_per_s": [math.inf, 5.0]}  # fmt: skip
    both = ReplicaCapacity(**{name: np.asarray(x) for name, x in columns.items()})
    rates = np.asarray([[1.0], [10.0], [1000.0]])
    found = fleet_cost(case().replaced(demand__answers_per_s=rates), both).fleet.gpus
    alone = [[capacity((g, r), p, demand__answers_per_s=float(rate)).fleet.gpus for g, r, p in
              ((4.0, 3.0, (0.0, math.inf)), (8.0, 7.0, (2.0, 5.0)))] for rate in rates[:, 0]]  # fmt: skip
    np.testing.assert_array_equal(found, np.asarray(alone))


def test_energy_by_hand() -> None:
    """10 GPUs at 700 W with 20 % for the node, PUE 1.5: 12.6 kW; 730 h at 400 g/kWh; 26.28 million answers."""
    factors = {"energy__node_power_overhead": 1.2, "energy__pue": 1.5, "energy__gco2e_per_kwh": 400.0}
    found = energy_of(case().replaced(**factors), np.asarray(10.0), np.asarray(700.0))
    assert float(found.power_kw) == pytest.approx(12.6)
    assert float(found.energy_kwh_per_month) == pytest.approx(9198.0)
    assert float(found.co2e_kg_per_month) == pytest.approx(3679.2)
    assert float(found.energy_wh_per_answer) == pytest.approx(9198e3 / 26.28e6)


def test_without_thinking_only_the_thoughts_go() -> None:
    """The visible tokens keep their mean and their own spread."""
    plain = without_thinking(case()).workload
    assert np.all(plain.reasoning_multiplier == 1.0)
    np.testing.assert_array_equal(plain.answer_tokens_mean, case().workload.answer_tokens_mean)
    np.testing.assert_array_equal(plain.generated_tokens_cv, case().workload.answer_tokens_cv)


CURVES = sorted(path.stem for path in (Path(__file__).parents[2] / "scenarios" / "demand").glob("*.yaml"))


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("unit", [1, 8])
def test_the_mean_is_that_of_the_hours(curve: str, unit: int) -> None:
    """On each shipped curve, replicas of 4 GPUs that serve 3/s: whole ones, and whole machines, in every hour."""
    spec = CATALOG.get(DemandCurve, curve).spec
    rates, mean = spec.hourly_relative_rate, 7.3
    relative = [rate * len(rates) / sum(rates) for rate in rates]
    cases = case(demand__answers_per_s=mean, fleet__bills_mean=1.0, fleet__availability=0.5)
    cases = cases.replaced(offer__gpus_per_instance=float(unit), offer__sells_nodes=float(unit > 1))
    cases = dataclasses.replace(cases, curve=CurveColumns(np.asarray(relative)))
    columns = {
        "meets_slo": 1.0, "gpus_per_replica": 4.0, "answers_per_s": 3.0, "generated_tokens_per_answer": 100.0,
        "prefill_gpus_per_replica": 0.0, "prefill_answers_per_s": math.inf,
    }  # fmt: skip
    found = fleet_cost(cases, ReplicaCapacity(**{name: np.asarray(x) for name, x in columns.items()}))
    by_hour = [math.ceil(max(math.ceil(mean * rate / 3.0), 1) * 4 / unit) * unit for rate in relative]
    assert float(found.fleet.billed_gpus) == pytest.approx(sum(by_hour) / len(by_hour))
    assert float(found.fleet.billed_gpus) <= max(by_hour)


@pytest.mark.parametrize(
    ("tier", "provider", "by_the_hour"),
    [("on_demand", None, True), ("spot", None, True), ("committed_3y", "semianalysis-tco", False)],
)
def test_only_machines_that_can_be_given_back_are_billed_by_the_mean(
    tier: str, provider: str | None, *, by_the_hour: bool
) -> None:
    """On-demand and spot options are billed hour by hour, committed ones for the peak all month."""
    changes: dict[str, Any] = {"fleet.billing": "mean", "prices.tiers": (tier,)}
    changes |= {"prices.providers": (provider,)} if provider else {}
    found = answer(load_scenario("o1-class", CATALOG, changes=changes), CATALOG)
    bought = [option for option in found.results if option.meets_slo and option.cost_usd_per_month]
    assert bought
    assert any("prices are paid for the peak all month" in text for text in found.warnings) != by_the_hour
    for option in bought:
        for_the_peak = (option.gpus or 0) * 730 * (option.usd_per_gpu_hour or 0)
        assert (option.cost_usd_per_month or 0) < for_the_peak * (1 + 1e-9)
        assert (option.cost_usd_per_month != pytest.approx(for_the_peak)) == by_the_hour
