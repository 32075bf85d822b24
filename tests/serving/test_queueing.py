"""Queues against textbook results and a small simulation."""

import math

import numpy as np
import pytest

from planner.serving.queueing import prefill_wait, slot_wait


def erlang_c(servers: int, offered: float) -> float:
    """Return the exact Erlang C probability by the stable recursion."""
    blocking = 1.0
    for n in range(1, servers + 1):
        blocking = offered * blocking / (n + offered * blocking)
    rho = offered / servers
    return blocking / (1 - rho * (1 - blocking))


def test_mm1_wait() -> None:
    """With exponential service (E[S^2] = 2 E[S]^2) the mean wait is rho/(1 - rho) E[S]: 4 s at rho 0.8 and 1 s."""
    wait = prefill_wait(np.array(0.8), np.array(1.0), np.array(2.0))
    assert float(wait.mean_s) == pytest.approx(4.0)
    # M/M/1: P(W > x) = rho exp(-(mu - lambda) x)
    assert float(wait.quantile_s(0.95)) == pytest.approx(math.log(0.8 / 0.05) / 0.2)
    assert float(wait.quantile_s(0.1)) == 0.0


def test_md1_waits_half_as_long() -> None:
    """Constant service halves the M/M/1 wait."""
    assert float(prefill_wait(np.array(0.8), np.array(1.0), np.array(1.0)).mean_s) == pytest.approx(2.0)


def test_an_overloaded_queue_waits_forever() -> None:
    """At rho >= 1 the wait is infinite, not negative."""
    assert float(prefill_wait(np.array(1.2), np.array(1.0), np.array(2.0)).mean_s) == math.inf


@pytest.mark.parametrize(
    ("servers", "offered", "tolerance"), [(10, 7.0, 0.25), (50, 44.0, 0.12), (256, 240.0, 0.06), (1000, 950.0, 0.05)]
)
def test_halfin_whitt_tends_to_erlang_c(servers: int, offered: float, tolerance: float) -> None:
    """The limit formula closes in on exact Erlang C as the servers grow: a quarter off at 10, 5 % at 1,000."""
    found = float(slot_wait(np.array(offered), np.array(float(servers)), np.array(1.0), np.array(1.0)).probability)
    assert found == pytest.approx(erlang_c(servers, offered), rel=tolerance)


def test_hundreds_of_free_places_never_wait() -> None:
    """Far from the limit the wait vanishes."""
    assert float(slot_wait(np.array(100.0), np.array(1000.0), np.array(10.0), np.array(1.5)).mean_s) < 1e-12


def test_pollaczek_khinchine_against_simulation() -> None:
    """A Lindley recursion over 400,000 arrivals has the formula's mean wait within 3 %."""
    rng = np.random.default_rng(5)
    rate, service = 7.0, rng.lognormal(-2.5, 0.6, 400_000)
    gaps = rng.exponential(1 / rate, 400_000)
    wait, total = 0.0, 0.0
    for gap, work in zip(gaps, service, strict=True):
        wait = max(wait - gap, 0.0)
        total += wait
        wait += work
    formula = prefill_wait(np.array(rate), np.array(service.mean()), np.array((service**2).mean()))
    assert total / 400_000 == pytest.approx(float(formula.mean_s), rel=0.03)
