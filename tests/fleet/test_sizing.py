"""From what a replica serves to machines and money, by hand: one pool, two pools, whole nodes, the mean."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.fleet.result import FleetCost, ReplicaCapacity
from planner.fleet.sizing import energy_of, fleet_cost, sum_of_pools, without_thinking
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases

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
    return found.replaced(**SIMPLE | changes)


def capacity(
    decode: tuple[float, float], prefill: tuple[float, float] = (0.0, math.inf), **changes: float
) -> FleetCost:
    """Return the fleet of replicas given as (GPUs, answers/s)."""
    columns = {
        "meets_slo": 1.0, "gpus_per_replica": decode[0], "answers_per_s": decode[1],
        "generated_tokens_per_answer": 100.0, "fewest_replicas": 1.0,
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
    """10 answers/s keep 10/3 of the decode replicas busy and less than one of the others, which stays up."""
    cost = capacity((4.0, 3.0), (8.0, 40.0), fleet__bills_mean=1.0)
    assert float(cost.decode.billed_gpus) == pytest.approx(4 * 10 / 3)
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
               "generated_tokens_per_answer": [1.0, 1.0], "fewest_replicas": [1.0, 1.0],
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
