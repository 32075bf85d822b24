"""The cheapest fleet of one's own at any demand, and where it costs what something proportional to demand costs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.answers import Answer, estimate_of
from planner.cases.candidates import Candidate
from planner.physics.special import Array
from planner.serving.slo import LIMITS

Indices = NDArray[np.intp]
_SAMPLES = np.geomspace(1e2, 1e9, 15)
"""Demands whose cheapest pairs of pools are kept [answers/day]."""
_SAME = 1e-12
"""Relative difference below which two demands are one."""


@dataclass(frozen=True)
class Fleets:
    """The cheapest fleet at each of some demands; NaN where none of the options can serve it."""

    answers_per_day: Array
    usd_per_day: Array
    gpu_hours_per_month: Array
    """Paid."""
    gpu_hours_used_per_month: Array
    usd_per_gpu_hour: Array
    gpus: Array
    option: Indices
    """Which of the options it is."""


class OwnFleet:
    """The options of an answer as a function of demand.

    An option meets the SLO or misses it at any demand, since load is spread over replicas; so the search over
    demand needs only those that meet it. Of options with one offer and one replica size the one that answers most
    per GPU needs the fewest replicas at every demand: the others are left out. With two pools there are hundreds of
    pairs of sizes, and solving their counts takes a second a demand: only pairs that are the cheapest at one of a
    few demands are kept, which is near enough but not exact.
    """

    def __init__(self, found: Answer) -> None:
        self._scenario = found.scenario
        cases = found.cases
        self.answers_per_day = float(np.max(cases.demand.answers_per_s)) * units.SECONDS_PER_DAY
        """The scenario's own demand; NaN where only tokens are known."""
        here = estimate_of(found.scenario, cases)
        meets, limit, cost, seconds = (
            np.atleast_1d(x) for x in (here.meets_slo, here.limit, here.usd_per_gpu_hour, here.gpu_seconds_per_answer)
        )
        too_many = limit == LIMITS.index("max_gpus")  # at another demand it may be few enough
        keep = np.flatnonzero(((meets > 0.0) | too_many) & np.isfinite(cost))
        rows = _fastest(found.searched, keep, seconds)
        self.options: list[Candidate] = [found.searched[i] for i in rows.tolist()]
        self._cases = cases.rows(rows) if cases.shape and rows.size else cases
        if any(option.prefill is not None for option in self.options):
            rows = np.unique(self.at(_SAMPLES).option)
            self.options, self._cases = [self.options[i] for i in rows.tolist()], self._cases.rows(rows)

    def at(self, answers_per_day: Array) -> Fleets:
        """Return the cheapest fleet at each demand [answers a day]: every option is sized anew for it."""
        days = np.asarray(answers_per_day, dtype=np.float64)
        rate = (days / units.SECONDS_PER_DAY)[:, None]
        found = estimate_of(self._scenario, self._cases.replaced(demand__answers_per_s=rate))
        cost = np.where(
            (found.meets_slo > 0.0) & np.isfinite(found.cost_usd_per_month), found.cost_usd_per_month, np.inf
        )
        cost = np.broadcast_to(cost, (days.size, max(len(self.options), 1)))
        best = np.argmin(cost, axis=1)

        def of_best(column: Array) -> Array:
            picked = np.broadcast_to(column, cost.shape)[np.arange(days.size), best]
            return np.asarray(np.where(served, picked, np.nan))

        served = np.isfinite(cost[np.arange(days.size), best])
        return Fleets(
            answers_per_day=days,
            usd_per_day=of_best(cost) / (units.HOURS_PER_MONTH / units.HOURS_PER_DAY),
            gpu_hours_per_month=of_best(found.gpu_hours_per_month_reserved),
            gpu_hours_used_per_month=of_best(found.gpu_hours_per_month_used),
            usd_per_gpu_hour=of_best(found.usd_per_gpu_hour),
            gpus=of_best(found.gpus),
            option=best,
        )

    def usd_per_day(self, answers_per_day: Array) -> Array:
        """Return the cost of the cheapest fleet at each demand [USD a day]; infinite where there is none."""
        cost = self.at(answers_per_day).usd_per_day
        return np.asarray(np.where(np.isnan(cost), np.inf, cost))


def _fastest(options: list[Candidate], keep: Indices, gpu_seconds: Array) -> Indices:
    """Return, in order, the option with the fewest GPU-seconds of each offer and replica size."""
    best: dict[tuple[int, ...], int] = {}
    for i in keep.tolist():
        one_pool = (id(options[i].offer), options[i].layout.gpus)
        key = one_pool if options[i].prefill is None else (*one_pool, i)
        if key not in best or gpu_seconds[i] < gpu_seconds[best[key]]:
            best[key] = i
    return np.asarray(sorted(best.values()), dtype=np.intp)


def last_crossing(usd_per_day: Callable[[Array], Array], usd_per_answer: float, most: float) -> float:
    """Return the smallest demand from which a fleet never costs more than the alternative, up to `most` [answers/day].

    Parameters
    ----------
    usd_per_day : cost of the fleet at demands [answers/day -> USD/day]; a staircase that never falls.
    usd_per_answer : cost of the alternative, the same at every demand [USD].
    most : where to start from [answers/day].

    Returns NaN where the fleet costs more at `most`, and 0 where it wins at any demand (a fleet without a smallest
    machine: measured rates, billed by the mean).

    Notes
    -----
    With C the staircase and a the price, C(n) <= a n at some n holds for every demand from C(n) / a up to n, as C
    does not fall. So n -> C(n) / a, started at `most`, walks down over demands where the fleet wins, and ends at
    the largest fixed point: exact, whatever the steps look like.
    """
    if not float(usd_per_day(np.asarray([most]))[0]) <= usd_per_answer * most:
        return float("nan")
    end = _walk(usd_per_day, usd_per_answer, most, up=False)
    return end if end > _NOTHING else 0.0


def first_crossing(usd_per_day: Callable[[Array], Array], usd_per_answer: float, last: float) -> float:
    """Return the smallest demand at which a fleet costs no more [answers/day]; parameters as of `last_crossing`.

    C(n) > a n holds for every demand from n up to C(n) / a: the same walk, upwards from the smallest fleet, ends at
    the smallest fixed point. `last` is the last crossing, above which it does not lie.
    """
    return min(_walk(usd_per_day, usd_per_answer, last * _TINY, up=True), last)


def _walk(usd_per_day: Callable[[Array], Array], usd_per_answer: float, start: float, *, up: bool) -> float:
    """Return where the walk n -> C(n) / a from `start` ends.

    Each turn takes the better of that step and of a run of neighbouring demands with the same winner throughout:
    the lower one's cost against the higher one's bill on the way up, the reverse on the way down.
    """
    now, span = start, 2.0
    for _ in range(_TURNS):
        grid = now * np.geomspace(1.0, span if up else 1.0 / span, _POINTS)
        cost, bill = usd_per_day(grid), usd_per_answer * grid
        alone = float(cost[0]) / usd_per_answer
        goes_on = cost[:-1] > bill[1:] if up else cost[:-1] <= bill[1:]
        run = goes_on.size if goes_on.all() else int(np.argmin(goes_on))
        if run == 0 and (alone <= now * (1.0 + _SAME) if up else alone >= now * (1.0 - _SAME)):
            return alone
        now = max(float(grid[run]), alone) if up else min(float(grid[run]), alone)
        if now <= _NOTHING:
            return now
        span = min(span**2, _WIDEST) if run == goes_on.size else max(span**0.5, 1.0 + _FINEST)
    return now


_POINTS = 64
_FINEST, _WIDEST = 1e-6, 1e4
_NOTHING = 1e-12
"""A demand this small is none [answers/day]."""
_TURNS = 500
"""A walk that takes longer is given up where it stands: the winner is the same up to there."""
_TINY = 1e-12


def steps(usd_per_day: Callable[[Array], Array], grid: Array) -> Array:
    """Return, for each pair of neighbouring demands of a grid whose costs differ, the two sides of the first step.

    The last demand with the left cost and the first with another, found by bisection to a part in 10^8 of the gap.
    """
    cost = usd_per_day(grid)
    differ = np.flatnonzero(cost[1:] != cost[:-1])
    low, high, left = grid[differ], grid[differ + 1], cost[differ]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        same = usd_per_day(middle) == left
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray(np.column_stack([low, high]).ravel())


_HALVINGS = 26
