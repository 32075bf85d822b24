"""Where a staircase costs what something proportional to demand costs, and where its steps are."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planner.errors import BadInputError
from planner.serving.normal import Array

Flags = NDArray[np.bool_]
_SAME = 1e-12
"""Relative difference below which two demands are one."""


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
    the largest fixed point: exact, whatever the steps look like. Where a full fleet costs nearly what the
    alternative does, it goes step by step, and BadInputError says if that takes too long.
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
    the lower one's cost against the higher one's bill on the way up, the reverse on the way down. Raises
    BadInputError where it does not end.
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
    raise BadInputError(
        f"the crossing was not found in {_TURNS:,} turns of the search: at {now:.3g} answers a day the fleet costs "
        "almost what the API does, machine by machine; expected another price, or a smaller answers_per_day.most"
    )


_POINTS = 64
_FINEST, _WIDEST = 1e-6, 1e4
_NOTHING = 1e-12
"""A demand this small is none [answers/day]."""
_TURNS = 20_000
"""Shipped scenarios take up to 1,400, at the worst price an API can have."""
_TINY = 1e-12


def steps(usd_per_day: Callable[[Array], Array], grid: Array) -> Array:
    """Return, for each pair of neighbouring demands of a grid whose costs differ, the two sides of the first step.

    The last demand with the left cost and the first with another, found by bisection to a part in 10^8 of the gap.
    """
    cost = usd_per_day(grid)
    differ = np.flatnonzero(cost[1:] != cost[:-1])
    low, high, left = grid[differ], grid[differ + 1], cost[differ]
    low, high = halved(lambda demand: usd_per_day(demand) == left, low, high, _HALVINGS)
    return np.asarray(np.column_stack([low, high]).ravel())


_HALVINGS = 26


def halved(inside: Callable[[Array], Flags], low: Array, high: Array, times: int) -> tuple[Array, Array]:
    """Return, of intervals whose low end is inside, the parts around the edge: halved so many times, all at once."""
    for _ in range(times):
        middle = 0.5 * (low + high)
        within = inside(middle)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return low, high
