"""Replicas, spares, nodes."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.fleet.replicas import billed_gpus, replica_availability, replicas_for_peak, spare_replicas


def enough_up(replicas: int, spares: int, up: float) -> float:
    """Return P(at least `replicas` of replicas + spares are up), summed by hand."""
    n = replicas + spares
    return sum(math.comb(n, k) * up**k * (1 - up) ** (n - k) for k in range(replicas, n + 1))


@given(replicas=st.integers(1, 200), up=st.floats(0.9, 0.9999), target=st.floats(0.9, 0.99999))
def test_spares_are_the_smallest_that_reach_the_target(replicas: int, up: float, target: float) -> None:
    """The binomial sum reaches the target with k spares and not with k - 1."""
    k = int(spare_replicas(np.array(float(replicas)), np.array(up), np.array(target)))
    assert enough_up(replicas, k, up) >= target - 1e-12
    assert k == 0 or enough_up(replicas, k - 1, up) < target + 1e-12


def test_a_large_fleet_uses_the_normal_quantile() -> None:
    """With 100,000 replicas and 400 down on average the spares are the mean plus z standard deviations."""
    up, target = 0.996, 0.999
    k = float(spare_replicas(np.array(1e5), np.array(up), np.array(target)))
    mean = 1e5 * (1 - up) / up
    assert k == pytest.approx(mean + NormalDist().inv_cdf(target) * math.sqrt(mean / up), abs=3.0)


def test_meta_failure_rate_of_a_node() -> None:
    """1.97e-5 failures per GPU-hour is one per 264 days for 8 GPUs (Llama 3 paper); a day of repair costs 0.4 %."""
    assert pytest.approx(264.4, abs=0.2) == 1 / (1.97e-5 * 8) / 24
    assert float(replica_availability(np.array(8.0), np.array(1.97e-5), np.array(24.0))) == pytest.approx(1 / 1.0037824)


def test_exact_need_is_not_rounded_up_twice() -> None:
    """A need of exactly 9 replicas is 9, although 0.9 has no exact binary form."""
    assert float(replicas_for_peak(np.array(8.1), np.array(1.0), np.array(0.1))) == 9.0


@pytest.mark.parametrize(
    ("replicas", "size", "unit", "gpus", "units"),
    [
        (3, 8, 8, 24, 3),
        (3, 4, 8, 16, 2),
        (5, 2, 8, 16, 2),
        (2, 16, 8, 32, 4),
        (1, 3, 8, 8, 1),
        (3, 5, 8, 24, 3),
    ],
)
def test_whole_nodes(replicas: int, size: int, unit: int, gpus: int, units: int) -> None:
    """Replicas share a node where they fit and take whole nodes where they do not."""
    found = billed_gpus(np.array(float(replicas)), np.array(float(size)), np.array(float(unit)), np.array(1.0))
    assert [float(x) for x in found] == [gpus, units]


def test_sold_per_gpu_has_no_nodes() -> None:
    """Where GPUs are sold one by one, nodes is empty."""
    gpus, nodes = billed_gpus(np.array(3.0), np.array(2.0), np.array(1.0), np.array(0.0))
    assert float(gpus) == 6.0
    assert math.isnan(float(nodes))


@pytest.mark.parametrize("up", [0.9, 0.99, 0.9999])
@pytest.mark.parametrize("target", [0.5, 0.99, 0.99999])
def test_more_replicas_never_make_a_smaller_fleet(up: float, target: float) -> None:
    """Replicas and spares together never fall, so cost does not either: across the exact sum and the expansion."""
    replicas = np.arange(1.0, 1e6)
    fleet = replicas + spare_replicas(replicas, np.array(up), np.array(target))
    assert np.all(np.diff(fleet) >= 1.0 - 1e-9)
