"""Root finding: each element by itself."""

import math

import numpy as np
import pytest

from planner.serving.roots import solve_increasing


def test_roots_are_found_elementwise() -> None:
    """Each element converges to its own root; the ends are returned where there is none."""
    target = np.array([1e-3, 0.5, 2.0, 50.0, 1e9])
    found = solve_increasing(lambda x, target: np.exp(x) - target, np.full(5, -5.0), np.full(5, 5.0), target)
    assert found == pytest.approx([-5.0, math.log(0.5), math.log(2.0), math.log(50.0), 5.0], abs=1e-12)


def shifted(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return an increasing function of x with a root of its own for each target."""
    return np.tanh(x) + x - target


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Solving one element alone gives the same bits as solving it among others."""
    target = np.linspace(0.1, 9.0, 501)
    together = solve_increasing(shifted, np.zeros(501), np.full(501, 20.0), target)
    alone = [float(solve_increasing(shifted, np.array(0.0), np.array(20.0), t)) for t in target]
    assert together.tolist() == alone
