"""A scenario's machines at any load: its search done again with another rate of answers."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.answers import answer
from planner.cases import Cases
from planner.cases.candidates import Candidate
from planner.errors import BadInputError
from planner.estimate import Estimate, estimate
from planner.physics.special import Array
from planner.specs.base import Loaded
from planner.specs.catalog import Catalog
from planner.specs.model import ModelSpec
from planner.specs.question import Scenario, load_scenario


@dataclass(frozen=True)
class Machines:
    """Every option a scenario allows, to be asked at any rate of answers."""

    scenario: Scenario
    options: list[Candidate]
    cases: Cases
    warnings: list[str]
    """What the scenario's own answer warns of."""
    model: Loaded[ModelSpec]

    def at(self, answers_per_s: Array | float, *, peak: bool = False) -> Estimate:
        """Return the estimate of each option at a rate [answers/s]: one for all, or one per option.

        With `peak`, the rate is that of the busiest hour itself and not the mean under the scenario's curve.
        """
        changes = {"demand__answers_per_s": np.broadcast_to(answers_per_s, (len(self.options),))}
        if peak:
            changes["demand__peak_to_mean"] = np.ones(len(self.options))
        found = estimate(self.cases.replaced(**changes))
        return Estimate(**{f.name: np.atleast_1d(getattr(found, f.name)) for f in dataclasses.fields(found)})

    def only(self, rows: NDArray[np.intp]) -> "Machines":
        """Return some of the options."""
        if not self.cases.shape:
            return self
        return dataclasses.replace(self, options=[self.options[i] for i in rows], cases=self.cases.rows(rows))

    def cheapest(self, answers_per_s: float, *, peak: bool = False) -> "Chosen | None":
        """Return the cheapest option that meets the SLO at a rate; None where none does or none has a price."""
        return self._cheapest(self.at(answers_per_s, peak=peak))

    def own(self) -> "Chosen | None":
        """Return the cheapest option at the scenario's own rate."""
        return self._cheapest(self.at(self.cases.demand.answers_per_s))

    def _cheapest(self, found: Estimate) -> "Chosen | None":
        cost = costs(found)
        best = int(np.argmin(cost))
        return Chosen(self.options[best], found, best) if math.isfinite(cost[best]) else None


@dataclass(frozen=True)
class Chosen:
    """One option at a rate."""

    option: Candidate
    found: Estimate
    index: int

    def number(self, name: str) -> float:
        """Return a result of the option."""
        return float(getattr(self.found, name)[self.index])

    def label(self) -> str:
        """Return the option in words."""
        return option_label(self.option, self.number("gpus"))


def option_label(option: Candidate, gpus: float) -> str:
    """Return how many of which GPU, at whose price."""
    offer = option.offer
    seller = f" from {offer.file.spec.provider} {offer.quote.tier}" if offer else ""
    return f"{gpus:,.0f} × {option.machine.gpu.spec.id}{seller}"


def costs(found: Estimate) -> Array:
    """Return the cost of each option that meets the SLO [USD/month]; inf for the others."""
    return np.where((found.meets_slo > 0) & ~np.isnan(found.cost_usd_per_month), found.cost_usd_per_month, np.inf)


def machines(name: str, catalog: Catalog, *, override: str | None = None, where: str = "") -> Machines:
    """Return the options of a scenario.

    Raises BadInputError for a scenario of measured node rates, whose machines do not follow another load, and for
    a router, whose models have machines each; and what `planner estimate` raises for the scenario itself.
    """
    scenario = load_scenario(name, catalog, override=override)
    if scenario.spec.measured_rates is not None:
        raise BadInputError(
            f"scenario {name} gives measured rates of nodes; expected one with a model to serve", where=where
        )
    if any(c.model for c in scenario.spec.workload.classes):
        raise BadInputError(f"scenario {name} sends its classes to several models; expected one model", where=where)
    own = answer(scenario, catalog)
    return Machines(scenario, own.searched, own.cases, own.warnings, own.model)
