"""A scenario's options at any demand: the fleet of each, and the cheapest that meets the SLO."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.catalog.catalog import Catalog
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded
from planner.errors import BadInputError
from planner.fleet.estimate import ReplicaCapacity
from planner.fleet.sizing import fleet_cost
from planner.options.answer import Answer, answer, refuse_router
from planner.options.candidates import Candidate
from planner.scenario.load import Scenario, load_scenario
from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.wording import price_tier

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Fleets:
    """Fleets at some demands: arrays of one shape, with the names and units of an estimate."""

    meets_slo: Array
    replicas: Array
    spare_replicas: Array
    gpus: Array
    gpu_hours_per_month_reserved: Array
    gpu_hours_per_month_used: Array
    utilization: Array
    usd_per_gpu_hour: Array
    cost_usd_per_month: Array
    cost_usd_per_answer: Array
    cost_usd_per_answer_used: Array
    generated_tokens_per_answer: Array

    def costs(self) -> Array:
        """Return the cost of those that meet the SLO and have a price [USD/month]; inf for the others."""
        works = (self.meets_slo > 0.0) & np.isfinite(self.cost_usd_per_month)
        return np.asarray(np.where(works, self.cost_usd_per_month, np.inf))


@dataclass(frozen=True)
class Cheapest:
    """The cheapest option at each of some demands."""

    options: list[Candidate | None]
    """None where none meets the SLO or none has a price."""
    fleets: Fleets
    """NaN there."""

    def numbers(self, index: int = 0) -> dict[str, float]:
        """Return the results at one of the demands."""
        return {name: float(column[index]) for name, column in vars(self.fleets).items()}

    def number(self, name: str, index: int = 0) -> float:
        """Return a result at one of the demands."""
        return self.numbers(index)[name]

    def label(self, index: int = 0) -> str:
        """Return in words how many of which GPU, at whose price."""
        option = self.options[index]
        if option is None:
            return "none"
        offer = option.offer
        seller = f" from {offer.file.spec.provider} {price_tier(offer.quote.tier)}" if offer else ""
        return f"{self.number('gpus', index):,.0f} × {option.machine.gpu.spec.id}{seller}"


@dataclass(frozen=True)
class FleetModel:
    """Every option a scenario allows, to be asked at any demand.

    What a replica of each serves within the SLO was solved by the answer; a demand only sizes fleets of them.
    """

    scenario: Scenario
    options: list[Candidate]
    cases: Cases
    capacity: ReplicaCapacity
    warnings: list[str]
    """What the scenario's own answer warns of."""
    model: Loaded[ModelSpec]

    @property
    def answers_per_s(self) -> float:
        """Return the scenario's own rate; NaN where only tokens are known."""
        return float(np.max(self.cases.demand.answers_per_s))

    def at(self, answers_per_s: Array | float, *, peak: bool = False) -> Fleets:
        """Return the fleet of each option, along the last axis, at rates that broadcast with the options [answers/s].

        With `peak`, the rate is that of the busiest hour itself and not the mean under the scenario's curve.
        """
        rate = np.asarray(answers_per_s, dtype=np.float64)
        cases = self.cases.replaced(demand__answers_per_s=rate)
        if peak:
            cases = dataclasses.replace(cases.replaced(demand__peak_to_mean=np.ones(())), curve=None)
        cost = fleet_cost(cases, self.capacity)
        results = vars(self.capacity) | vars(cost.fleet) | vars(cost.money) | {"meets_slo": cost.meets_slo}
        results["usd_per_gpu_hour"] = cases.offer.usd_per_gpu_hour
        shape = np.broadcast_shapes(rate.shape, (len(self.options),))
        return Fleets(**{f.name: np.broadcast_to(results[f.name], shape) for f in dataclasses.fields(Fleets)})

    def only(self, rows: Indices) -> "FleetModel":
        """Return some of the options."""
        options, cases, capacity = [self.options[i] for i in rows.tolist()], self.cases, self.capacity
        if cases.shape:
            cases = cases.rows(rows)
            capacity = ReplicaCapacity(**{name: column[rows] for name, column in vars(capacity).items()})
        return dataclasses.replace(self, options=options, cases=cases, capacity=capacity)

    def cheapest(self, answers_per_s: Array | float, *, peak: bool = False) -> Cheapest:
        """Return the cheapest option that meets the SLO at each of some rates [answers/s]; `peak` as of `at`."""
        rates = np.atleast_1d(np.asarray(answers_per_s, dtype=np.float64))
        fleets = self.at(rates[:, None], peak=peak)
        cost = fleets.costs()
        best = np.argmin(cost, axis=1)
        here = np.arange(rates.size), best
        works = np.isfinite(cost[here])
        options = [self.options[i] if known else None for i, known in zip(best.tolist(), works.tolist(), strict=True)]
        return Cheapest(options, Fleets(**{n: np.where(works, c[here], np.nan) for n, c in vars(fleets).items()}))

    def usd_per_day(self, answers_per_day: Array) -> Array:
        """Return the cost of the cheapest fleet at each demand [answers/day -> USD/day]; infinite where none works."""
        cost = self.at(answers_per_day[:, None] / units.SECONDS_PER_DAY).costs()
        return np.asarray(np.min(cost, axis=1) / units.DAYS_PER_MONTH)

    def contenders(self) -> "FleetModel":
        """Return the options that can be the cheapest at some demand.

        An option meets the SLO or misses it at any demand, since load is spread over replicas. Of options with one
        offer and replicas of one size (two sizes, with two pools), one whose replicas serve no less needs no more
        of them at any demand.
        """
        price = np.broadcast_to(self.cases.offer.usd_per_gpu_hour, len(self.options))
        works = (self.capacity.meets_slo > 0.0) & np.isfinite(price)
        rates = np.stack([self.capacity.answers_per_s, self.capacity.prefill_answers_per_s]).reshape(2, -1)
        groups: dict[tuple[int, ...], list[int]] = {}
        for i in np.flatnonzero(works).tolist():
            option = self.options[i]
            sizes = option.layout.gpus, option.prefill.gpus if option.prefill else 0
            groups.setdefault((id(option.offer), *sizes), []).append(i)
        kept = [i for rows in groups.values() for i in _unbeaten(np.asarray(rows), rates[:, rows])]
        return self.only(np.asarray(sorted(kept), dtype=np.intp))


def _unbeaten(rows: Indices, rates: Array) -> list[int]:
    """Return the rows that no other beats: one that is as good in all of its rates, and better in one or before it."""
    one, other = rates[:, :, None], rates[:, None, :]
    before = rows[None, :] < rows[:, None]
    beaten = np.all(other >= one, axis=0) & (np.any(other > one, axis=0) | before)
    return [int(i) for i in rows[~np.any(beaten, axis=1)]]


def fleet_model_of(solved: Answer) -> FleetModel:
    """Return every option of an answer's search."""
    return FleetModel(solved.scenario, solved.searched, solved.cases, solved.capacity, solved.warnings, solved.model)


def machines(name: str, catalog: Catalog, *, override: str | None = None, where: str = "") -> FleetModel:
    """Return the options of a scenario.

    Raises BadInputError for a scenario of measured node rates, whose machines do not follow another load, and for
    a router, whose models have machines each; and what `planner estimate` raises for the scenario itself.
    """
    scenario = load_scenario(name, catalog, override=override)
    if scenario.spec.measured_rates is not None:
        raise BadInputError(
            f"scenario {name} gives measured rates of nodes; expected one with a model to serve", where=where
        )
    refuse_router(scenario, where)
    return fleet_model_of(answer(scenario, catalog))
