"""Root finding: known roots, hard functions, and each element by itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.roots import solve_increasing, take_flat


def root(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """Return the root of a function of x alone."""
    return float(solve_increasing(lambda x, _: function(x), np.array(low), np.array(high), None))


@pytest.mark.parametrize(
    ("function", "low", "high", "expected"),
    [
        # Newton's own example, by Wallis (1685).
        (lambda x: x**3 - 2 * x - 5, 0.0, 10.0, 2.0945514815423265),
        # The Dottie number: cos x = x.
        (lambda x: x - np.cos(x), -1.0, 3.0, 0.7390851332151607),
        # The omega constant: x e^x = 1.
        (lambda x: x * np.exp(x) - 1, 0.0, 5.0, 0.5671432904097838),
        (lambda x: x**2 - 2, 0.0, 2.0, math.sqrt(2.0)),
        (np.log, 0.01, 100.0, 1.0),
    ],
)
def test_known_roots(function: Callable, low: float, high: float, expected: float) -> None:
    """Constants that are printed elsewhere, to the tolerance of 1e-12."""
    assert root(function, low, high) == pytest.approx(expected, rel=2e-12, abs=2e-12)


@pytest.mark.parametrize(
    ("function", "low", "high", "expected", "tolerance"),
    [
        # A step has no root to interpolate towards: bisection must find the jump.
        (lambda x: np.where(x < 0.3, -1.0, 1e9), 0.0, 1.0, 0.3, 2e-12),
        # Nearly vertical, and nearly flat on either side.
        (lambda x: np.tanh(1e9 * (x - 0.123)), 0.0, 1.0, 0.123, 2e-12),
        # Values over 600 decades.
        (lambda x: np.sinh(600.0 * (x - 0.4)), 0.0, 1.0, 0.4, 2e-12),
        # The size of the values does not matter.
        (lambda x: 1e-290 * (x - 0.7), 0.0, 1.0, 0.7, 2e-12),
        # A root of ninth order is flat: f is below 1e-100 from 1e-11 on.
        (lambda x: (x - 0.25) ** 9, 0.0, 1.0, 0.25, 1e-9),
        # A pole at the end of the bracket.
        (lambda x: 2.0 - 1.0 / np.maximum(x, 1e-300), 0.0, 9.0, 0.5, 2e-12),
    ],
)
def test_hard_functions(function: Callable, low: float, high: float, expected: float, tolerance: float) -> None:
    """Jumps, cliffs, flat spots and poles are found as well; none needs more than the allowed steps."""
    assert root(function, low, high) == pytest.approx(expected, abs=tolerance)


def test_the_ends_are_the_answer_where_there_is_no_root() -> None:
    """Positive already at the low end, negative still at the high end, zero at either."""
    assert root(lambda x: x + 1.0, 0.0, 5.0) == 0.0
    assert root(lambda x: x - 9.0, 0.0, 5.0) == 5.0
    assert root(lambda x: x, 0.0, 5.0) == 0.0
    assert root(lambda x: x - 5.0, 0.0, 5.0) == 5.0


def test_no_number_at_an_end_is_no_number() -> None:
    """A case that cannot work is NaN, and leaves the next one alone."""
    target = np.array([np.nan, 2.0])
    found = solve_increasing(lambda x, target: x - target, np.zeros(2), np.full(2, 5.0), target)
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(2.0, abs=2e-12)


def test_roots_are_found_elementwise() -> None:
    """Each element converges to its own root; the ends are returned where there is none."""
    target = np.array([1e-3, 0.5, 2.0, 50.0, 1e9])
    found = solve_increasing(lambda x, target: np.exp(x) - target, np.full(5, -5.0), np.full(5, 5.0), target)
    assert found == pytest.approx([-5.0, math.log(0.5), math.log(2.0), math.log(50.0), 5.0], abs=1e-12)


@given(st.floats(-50.0, 50.0), st.floats(1e-3, 1e3), st.floats(0.0, 1e3))
def test_a_cubic_has_the_root_it_was_made_with(r: float, a: float, b: float) -> None:
    """f(x) = a (x - r)^3 + (b + 1)(x - r) increases and vanishes at r alone."""
    found = root(lambda x: a * (x - r) ** 3 + (b + 1.0) * (x - r), -60.0, 70.0)
    assert found == pytest.approx(r, rel=2e-12, abs=2e-12)


def test_a_smooth_function_takes_fewer_looks_than_halving() -> None:
    """Halving [0, 10] to 1e-12 takes 43 looks; inverse quadratic steps take less than a third of that."""
    looks = 0

    def counted(x: np.ndarray) -> np.ndarray:
        nonlocal looks
        looks += 1
        return np.exp(x) - 20.0

    assert root(counted, 0.0, 10.0) == pytest.approx(math.log(20.0), abs=2e-12)
    assert looks <= 43 / 3


def test_where_to_look_first_does_not_change_the_root() -> None:
    """A first look near either end finds the same."""
    for first in (0.02, 0.5, 0.98):
        found = solve_increasing(lambda x, _: x**3 - 8.0, np.array(0.0), np.array(50.0), None, first=first)
        assert float(found) == pytest.approx(2.0, abs=4e-12)


def shifted(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return an increasing function of x with a root of its own for each target."""
    return np.tanh(x) + x - target


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Solving one element alone gives the same bits as solving it among others, converged ones being dropped."""
    target = np.linspace(0.1, 9.0, 501)
    together = solve_increasing(shifted, np.zeros(501), np.full(501, 20.0), target)
    alone = [float(solve_increasing(shifted, np.array(0.0), np.array(20.0), t)) for t in target]
    assert together.tolist() == alone


@dataclass(frozen=True)
class Struct:
    """Inputs as the models hand them over: arrays that broadcast, numbers, and more of them inside."""

    target: np.ndarray
    scale: float
    parts: dict[str, np.ndarray]


def test_converged_elements_are_dropped_from_everything_the_function_reads() -> None:
    """A few steep elements among 1,200 easy ones: the function sees shrinking arrays, whole structs of equal size."""
    target = np.linspace(1.0, 2.0, 1200).reshape(40, 30)
    power = np.where(np.arange(30) == 7, 9.0, 1.0)  # one column is a flat root of ninth order
    sizes: list[int] = []

    def function(x: np.ndarray, inputs: Struct) -> np.ndarray:
        sizes.append(x.size)
        distance = x - inputs.target
        return inputs.scale * np.copysign(np.abs(distance) ** inputs.parts["power"], distance)

    found = solve_increasing(function, np.zeros((40, 1)), np.full(30, 5.0), Struct(target, 3.0, {"power": power}))
    assert found.shape == (40, 30)
    assert np.abs(found - target).max() < 1e-8
    inside = sizes[2:]  # the ends are looked at as they come, 40 x 1 and 30
    assert (inside[0], inside[-1]) == (1200, 40)
    assert inside == sorted(inside, reverse=True)


def test_without_inputs_nothing_is_dropped() -> None:
    """None: the function may close over arrays, and always sees all of them."""
    target, sizes = np.linspace(1.0, 2.0, 600), set()

    def function(x: np.ndarray, _: None) -> np.ndarray:
        sizes.add(x.size)
        return np.expm1(x) - target

    assert solve_increasing(function, np.zeros(600), np.full(600, 5.0), None) == pytest.approx(np.log1p(target))
    assert sizes == {600}


def test_take_flat_broadcasts_before_it_counts() -> None:
    """Of a 2 x 3 shape, elements 1 and 5 of a row, of a column and of a full array; numbers stay numbers."""
    columns = {"row": np.array([10, 20, 30]), "column": np.array([[1], [2]]), "all": np.arange(6).reshape(2, 3)}
    kept = take_flat((columns, 7.0), (2, 3), np.array([1, 5]))
    assert {name: values.tolist() for name, values in kept[0].items()} == {
        "row": [20, 30], "column": [1, 2], "all": [1, 5],
    }  # fmt: skip
    assert kept[1] == 7.0
