"""Where a staircase crosses a line, and where its steps are: small staircases by hand."""

import math

import numpy as np
import pytest

from planner.economics.crossing import first_crossing, halved, last_crossing, steps


def machines(demand: np.ndarray) -> np.ndarray:
    """Return the cost of whole machines: $10 for each 100 answers, begun ones in full."""
    return 10.0 * np.ceil(demand / 100.0)


@pytest.mark.parametrize(
    ("usd_per_answer", "last"),
    [
        (1.0, 10.0),  # $10 of the first machine are 10 answers at $1, and at $1 each later machine pays at once
        (0.15, 400 / 3),  # the second machine's $20 need 133.3 answers, the third's $30 only its first 200
        (0.1, math.nan),  # full machines cost what the API does, so at 950 the tenth is not yet paid for
        (0.05, math.nan),
    ],
)
def test_the_last_crossing_by_hand(usd_per_answer: float, last: float) -> None:
    """From there on the fleet never costs more; nowhere where it costs more at the largest demand."""
    assert last_crossing(machines, usd_per_answer, 950.0) == pytest.approx(last, nan_ok=True)


def test_the_first_crossing_comes_before_the_last() -> None:
    """At $0.15 the first machine is paid for from 66.7 answers, the second only from 133.3."""
    assert first_crossing(machines, 0.15, 400 / 3) == pytest.approx(200 / 3)
    assert first_crossing(machines, 1.0, 10.0) == pytest.approx(10.0)


def test_what_is_billed_by_the_mean_has_no_smallest_demand() -> None:
    """Without whole machines the cheaper side is cheaper at any demand: the crossing is at 0."""
    assert last_crossing(lambda demand: 0.5 * demand, 1.0, 1e6) == 0.0
    assert math.isnan(last_crossing(lambda demand: 2.0 * demand, 1.0, 1e6))


def test_the_two_sides_of_each_step() -> None:
    """Between 50 and 250 the cost rises at 100 and at 200; a gap without a step has none."""
    sides = steps(machines, np.array([50.0, 150.0, 180.0, 250.0]))
    assert sides == pytest.approx([100.0, 100.0, 200.0, 200.0], rel=1e-6)
    assert machines(sides).tolist() == [10.0, 20.0, 20.0, 30.0]
    assert steps(machines, np.array([10.0, 20.0])).size == 0


def test_a_gap_with_several_steps_shows_the_first() -> None:
    """Bisection keeps the side that costs what the left end does."""
    assert steps(machines, np.array([50.0, 450.0])) == pytest.approx([100.0, 100.0], rel=1e-6)


def test_halving_closes_in_on_each_edge() -> None:
    """Several intervals at once, each to its own edge; no turn leaves them as they are."""
    low, high = np.zeros(2), np.array([8.0, 16.0])
    near, past = halved(lambda x: np.square(x) <= np.array([2.0, 50.0]), low, high, 40)
    assert near == pytest.approx(np.sqrt([2.0, 50.0]))
    assert past == pytest.approx(near)
    assert np.all(np.square(near) <= [2.0, 50.0])
    assert np.all(np.square(past) > [2.0, 50.0])
    assert [x.tolist() for x in halved(lambda x: x < 1, low, high, 0)] == [low.tolist(), high.tolist()]
