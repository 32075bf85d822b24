"""Fleets at any demand: whole replicas, the cheapest option, and nothing where none works."""

import numpy as np
import pytest

from planner import answer, load_scenario
from planner.catalog.catalog import Catalog
from planner.economics.fleet_by_demand import FleetModel, fleet_model_of, machines
from planner.errors import BadInputError

CATALOG = Catalog()
MACHINES = machines("o1-class", CATALOG)


def limited(**changes: object) -> FleetModel:
    """Return the options of the default scenario with fields changed: __ stands for a dot."""
    sets = {path.replace("__", "."): value for path, value in changes.items()}
    return fleet_model_of(answer(load_scenario("o1-class", CATALOG, changes=sets), CATALOG))


def test_a_point_is_the_answer_of_estimate() -> None:
    """At the scenario's own rate the cheapest fleet is the best option of the answer."""
    best = answer(load_scenario("o1-class", CATALOG), CATALOG).best
    cheapest = MACHINES.cheapest(MACHINES.answers_per_s)
    for name in ("gpus", "replicas", "cost_usd_per_month", "cost_usd_per_answer", "utilization"):
        assert cheapest.number(name) == pytest.approx(best[name], rel=1e-9), name
    assert cheapest.label() == f"{best.gpus} × {best.gpu} from {best.offer}"


def test_demands_and_options_span_a_grid() -> None:
    """A row per demand, a column per option; fleets never shrink as demand grows, and replicas are whole."""
    rates = np.geomspace(1e-3, 1e3, 7)
    fleets = MACHINES.at(rates[:, None])
    assert fleets.replicas.shape == (7, len(MACHINES.options))
    works = fleets.meets_slo[0] > 0
    assert np.all(np.diff(fleets.replicas[:, works], axis=0) >= 0)
    assert np.all(fleets.replicas[:, works] % 1 == 0)
    assert np.array_equal(fleets.costs()[:, ~works], np.full((7, int((~works).sum())), np.inf))


def test_the_peak_itself_needs_less_than_a_mean_with_a_peak() -> None:
    """A rate that is the busiest hour's is not multiplied by the scenario's curve again."""
    rate = 100.0
    mean, peak = (MACHINES.cheapest(rate, peak=p).number("gpus") for p in (False, True))
    assert peak < mean


def test_some_options_are_the_same_options() -> None:
    """A choice of rows keeps each one's fleet, in the order of the choice."""
    rows = np.flatnonzero(MACHINES.capacity.meets_slo > 0.0)[[3, 0]]
    few = MACHINES.only(rows)
    assert few.options == [MACHINES.options[i] for i in rows]
    every, chosen = MACHINES.at(10.0), few.at(10.0)
    assert np.array_equal(chosen.gpus, every.gpus[rows])
    assert np.array_equal(chosen.costs(), every.costs()[rows])
    assert MACHINES.only(np.array([], dtype=np.intp)).options == []


def test_contenders_cost_what_all_options_cost() -> None:
    """Leaving out what is never cheapest changes no cost, and leaves out something."""
    contenders = MACHINES.contenders()
    assert 0 < len(contenders.options) < len(MACHINES.options)
    demands = np.geomspace(1.0, 1e8, 50)
    assert np.array_equal(contenders.usd_per_day(demands), MACHINES.usd_per_day(demands))


@pytest.mark.parametrize(
    "changes",
    [{"slo__ttft_p95_s": 1e-6}, {"fleet__gpus": ("gb200",)}],
    ids=["no option meets the SLO", "no option has a price"],
)
def test_where_nothing_works_there_is_no_fleet(changes: dict[str, object]) -> None:
    """No option, no number, infinite cost, and no contender."""
    fleet = limited(**changes)
    cheapest = fleet.cheapest([1.0, 100.0])
    assert cheapest.options == [None, None]
    assert cheapest.label(1) == "none"
    assert np.isnan(list(cheapest.numbers(1).values())).all()
    assert np.isinf(fleet.usd_per_day(np.array([1.0, 1e6]))).all()
    assert fleet.contenders().options == []


def test_the_largest_fleet_allowed_ends_the_costs() -> None:
    """Beyond fleet.max_gpus no fleet works; below it the bound changes nothing."""
    bounded = limited(fleet__max_gpus=64)
    costs = bounded.usd_per_day(np.array([1e3, 1e9]))
    assert costs[0] == MACHINES.usd_per_day(np.array([1e3]))[0]
    assert np.isinf(costs[1])


def test_machines_that_do_not_follow_a_load_are_refused() -> None:
    """Measured rates of nodes, and a router of several models; the place is that of the question."""
    with pytest.raises(BadInputError, match=r"q\.yaml:2: scenario deepseek-day gives measured rates of nodes"):
        machines("deepseek-day", CATALOG, where="q.yaml:2")
    with pytest.raises(BadInputError, match="scenario router sends its classes to several models"):
        machines("router", CATALOG, where="q.yaml:2")
