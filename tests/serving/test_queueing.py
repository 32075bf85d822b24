"""Queues against textbook results and a small simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.queueing import Wait, prefill_wait, slot_wait


def erlang_c(servers: int, offered: float) -> float:
    """Return the exact Erlang C probability by the stable recursion."""
    blocking = 1.0
    for n in range(1, servers + 1):
        blocking = offered * blocking / (n + offered * blocking)
    rho = offered / servers
    return blocking / (1 - rho * (1 - blocking))


def slots(offered: float, places: float, hold_s: float = 1.0, hold_cv: float = 1.0) -> Wait:
    """Return the wait for a place, from numbers."""
    return slot_wait(*(np.array(x) for x in (offered, places, hold_s, hold_cv)))


def test_erlang_c_of_the_tests_is_that_of_the_textbook() -> None:
    """One server waits with probability rho; two with 2 rho^2/(1 + rho): a third at one erlang."""
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    # 10 agents, 8 erlang: 0.409 in every printed table of Erlang C.
    assert erlang_c(10, 8.0) == pytest.approx(0.409, abs=5e-4)


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


@given(rho=st.floats(0.01, 0.98), q=st.floats(0.01, 0.999))
def test_a_quantile_inverts_the_tail(rho: float, q: float) -> None:
    """P(W > x) = p exp(-p x/E[W]) is 1 - q at the quantile, or at most that at zero."""
    wait = prefill_wait(np.array(rho), np.array(1.0), np.array(2.0))
    x = float(wait.quantile_s(q))
    tail = rho * math.exp(-rho * x / float(wait.mean_s))
    assert tail == pytest.approx(1 - q) if x > 0 else tail <= (1 - q) * (1 + 1e-12)


def test_the_mean_is_the_area_under_the_tail() -> None:
    """E[W] is the integral of the quantiles over all probabilities."""
    wait = prefill_wait(np.array(0.7), np.array(1.0), np.array(3.0))
    steps = 200_000
    quantiles = [float(wait.quantile_s((k + 0.5) / steps)) for k in range(0, steps, 50)]
    assert np.mean(quantiles) == pytest.approx(float(wait.mean_s), rel=0.01)


@given(low=st.floats(0.01, 0.9), more=st.floats(1.001, 1.09), spread=st.floats(0.0, 5.0))
def test_more_arrivals_never_wait_less(low: float, more: float, spread: float) -> None:
    """Mean, probability and every quantile of the prefill queue grow with the rate."""
    one, two = (prefill_wait(np.array(rate), np.array(1.0), np.array(1.0 + spread)) for rate in (low, low * more))
    assert two.mean_s > one.mean_s
    assert two.probability > one.probability
    assert all(two.quantile_s(q) >= one.quantile_s(q) for q in (0.5, 0.95, 0.99))


@given(k=st.floats(1e-3, 1e3), rho=st.floats(0.01, 0.99))
def test_a_slower_clock_scales_every_wait(k: float, rho: float) -> None:
    """Work times k at a rate over k: the same queue, k times as long."""
    one = prefill_wait(np.array(rho), np.array(1.0), np.array(2.5))
    slow = prefill_wait(np.array(rho / k), np.array(k), np.array(2.5 * k * k))
    assert float(slow.mean_s) == pytest.approx(k * float(one.mean_s), rel=1e-9)
    assert float(slow.quantile_s(0.95)) == pytest.approx(k * float(one.quantile_s(0.95)), rel=1e-9)


def test_an_empty_queue_waits_for_nobody() -> None:
    """No arrivals: no wait, at any quantile."""
    wait = prefill_wait(np.array(0.0), np.array(1.0), np.array(2.0))
    assert float(wait.mean_s) == float(wait.probability) == float(wait.quantile_s(0.99)) == 0.0


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        # 1/(1 + b Phi(b)/phi(b)) with Phi and phi from printed tables of the normal distribution.
        (0.5, 1 / (1 + 0.5 * 0.69146 / 0.35207)),
        (1.0, 1 / (1 + 1.0 * 0.84134 / 0.24197)),
        (2.0, 1 / (1 + 2.0 * 0.97725 / 0.05399)),
    ],
)
def test_halfin_whitt_by_hand(beta: float, expected: float) -> None:
    """400 busy places and 20 b free ones."""
    assert float(slots(400.0, 400.0 + 20.0 * beta).probability) == pytest.approx(expected, rel=1e-4)


def test_allen_cunneen_halves_the_wait_of_constant_holding_times() -> None:
    """E[W] goes with (1 + cv^2)/2: constants wait half as long as exponentials, cv 2 two and a half times."""
    constant, exponential, wide = (float(slots(95.0, 100.0, hold_cv=cv).mean_s) for cv in (0.0, 1.0, 2.0))
    assert constant == pytest.approx(exponential / 2)
    assert wide == pytest.approx(2.5 * exponential)


def test_mean_wait_for_a_place_is_near_mmc() -> None:
    """M/M/c: E[W] = C hold/(c - a), with exact C; the limit formula is within 6 % at 256 places."""
    exact = erlang_c(256, 240.0) * 3.0 / 16.0
    assert float(slots(240.0, 256.0, hold_s=3.0).mean_s) == pytest.approx(exact, rel=0.06)


@given(places=st.floats(2.0, 2000.0), share=st.floats(0.05, 0.97))
def test_a_fuller_batch_waits_longer(places: float, share: float) -> None:
    """More busy places never shorten the wait; one more place never lengthens it."""
    one, fuller, wider = (
        slots(places * share, places),
        slots(places * share * 1.02, places),
        slots(places * share, places + 1),
    )
    assert fuller.mean_s >= one.mean_s >= wider.mean_s
    assert fuller.probability >= one.probability >= wider.probability


def test_a_full_batch_waits_forever_and_an_empty_one_not_at_all() -> None:
    """At a >= c the mean is infinite and every request waits; with nobody running nobody waits."""
    full = slots(100.0, 100.0)
    assert float(full.mean_s) == math.inf
    assert float(full.probability) == pytest.approx(1.0)
    assert float(slots(0.0, 10.0).quantile_s(0.99)) == 0.0


def test_rows_have_the_bits_of_their_points() -> None:
    """Both queues, 200 loads at once and one by one."""
    load = np.linspace(0.01, 1.2, 200)
    row, batch = prefill_wait(load, np.array(1.0), np.array(2.0)), slot_wait(load * 50, np.array(50.0), load, load)
    for i, x in enumerate(load):
        point, place = prefill_wait(x, np.array(1.0), np.array(2.0)), slot_wait(x * 50, np.array(50.0), x, x)
        assert (row.mean_s[i], row.quantile_s(0.95)[i]) == (float(point.mean_s), float(point.quantile_s(0.95)))
        assert (batch.mean_s[i], batch.probability[i]) == (float(place.mean_s), float(place.probability))
