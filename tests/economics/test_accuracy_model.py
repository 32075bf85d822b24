"""Accuracy against compute: published constants, scipy, Monte Carlo and arithmetic, never our own output."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from planner.economics.accuracy_model import (
    coverage,
    coverage_law,
    expected_tries,
    isotonic,
    pareto,
    right_counts,
    vote_accuracy,
    vote_correlation,
    wilson,
)

SHARES = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("samples", "covered", "a", "b"),
    [((1, 250), (0.159, 0.56), -1.8389, -0.2090), ((1, 10_000), (0.0002, 0.071), -8.517, -0.1270)],
    ids=["DeepSeek-Coder-V2 on SWE-bench Lite", "Gemma-2B on CodeContests"],
)
def test_the_law_has_the_constants_of_the_published_points(
    samples: tuple[int, int], covered: tuple[float, float], a: float, b: float
) -> None:
    """Large Language Monkeys' end points: a = log c(1), and b from both, to four digits; the law goes through them."""
    found = coverage_law(np.array(samples), np.array(covered))
    assert found == pytest.approx((a, b), rel=5e-4)
    assert coverage(np.array(samples), *map(np.asarray, found)) == pytest.approx(covered)


def test_a_law_through_two_points_is_close_to_a_measured_third() -> None:
    """Five samples solved 29.62 % of SWE-bench Lite (table 1): the law says three points less."""
    a, b = coverage_law(np.array([1, 250]), np.array([0.159, 0.56]))
    assert float(coverage(np.asarray(5.0), np.asarray(a), np.asarray(b))) == pytest.approx(0.2962, abs=0.03)


def test_more_than_two_points_are_fitted_by_least_squares() -> None:
    """As numpy's least squares solver finds it in the logarithms."""
    k, c = np.array([1.0, 5.0, 40.0, 250.0]), np.array([0.159, 0.2962, 0.40, 0.56])
    level, slope = np.linalg.lstsq(np.column_stack([np.ones(4), np.log(k)]), np.log(-np.log(c)), rcond=None)[0]
    assert coverage_law(k, c) == pytest.approx((-math.exp(level), slope))


def test_tries_are_what_a_simulation_of_trying_until_right_needs() -> None:
    """The first right try T has P(T <= j) = c(j): the mean of min(T, k) over drawn questions; by hand for 3."""
    a, b, k = -1.8389, -0.2090, 40
    u = np.random.default_rng(5).random(200_000)
    first = np.ceil((np.log(u) / a) ** (1.0 / b))
    assert expected_tries(np.asarray(k), np.asarray(a), np.asarray(b)) == pytest.approx(
        np.minimum(first, k).mean(), rel=0.005
    )
    c1, c2 = math.exp(a), math.exp(a * 2**b)
    assert expected_tries(np.array([1.0, 3.0]), np.asarray(a), np.asarray(b)) == pytest.approx(
        [1.0, 1.0 + (1 - c1) + (1 - c2)]
    )
    assert math.isnan(expected_tries(np.asarray(1e9), np.asarray(a), np.asarray(b)))


def test_a_jury_of_equals_is_condorcets() -> None:
    """Equally hard questions, two answers: the binomial's upper half (scipy), ties by a coin; 0.7535 for 11 at 0.6."""
    for k in (1, 2, 5, 11, 64):
        upper = stats.binom.sf(k // 2, k, 0.6) + (0.5 * stats.binom.pmf(k // 2, k, 0.6) if k % 2 == 0 else 0.0)
        assert float(vote_accuracy(*map(np.asarray, (0.6, 0.0, k, 1)))) == pytest.approx(upper)
    assert float(vote_accuracy(*map(np.asarray, (0.6, 0.0, 11, 1)))) == pytest.approx(0.7535, abs=5e-5)


@pytest.mark.parametrize(("k", "wrong"), [(9, 3), (16, 3), (5, 1), (12, 8)])
def test_a_vote_is_what_drawn_votes_give(k: int, wrong: int) -> None:
    """400,000 questions with Beta probabilities, multinomial wrong answers, ties broken by lot."""
    mean, correlation = 0.4, 0.3
    rng, size = np.random.default_rng(11), 1.0 / correlation - 1.0
    p = rng.beta(mean * size, (1.0 - mean) * size, 400_000)
    right = rng.binomial(k, p)
    others = rng.multinomial(k - right, [1.0 / wrong] * wrong)
    most, tied = others.max(axis=1), (others == right[:, None]).sum(axis=1)
    won = np.where(right > most, 1.0, np.where(right == most, 1.0 / (tied + 1.0), 0.0)).mean()
    assert float(vote_accuracy(*map(np.asarray, (mean, correlation, k, wrong)))) == pytest.approx(won, abs=0.003)


@given(SHARES, st.floats(0.01, 0.99), st.integers(1, 200))
def test_right_counts_are_beta_binomial(mean: float, correlation: float, k: int) -> None:
    """Against scipy's distribution."""
    size = 1.0 / correlation - 1.0
    expected = stats.betabinom.pmf(np.arange(k + 1), k, mean * size, (1.0 - mean) * size)
    assert right_counts(mean, correlation, k) == pytest.approx(expected, abs=1e-9)


def test_limits_of_a_vote() -> None:
    """Always or never right: the vote changes nothing. Equally hard and above a half: many votes are right."""
    values = vote_accuracy(
        np.array([0.74, 0.74, 0.0, 1.0, 0.6]),
        np.array([1.0, 0.5, 0.3, 0.3, 0.0]),
        np.array([64, 1, 9, 9, 9999]),
        np.asarray(1),
    )
    assert values == pytest.approx([0.74, 0.74, 0.0, 1.0, 1.0])
    assert math.isnan(vote_accuracy(*map(np.asarray, (1.2, 0.1, 3, 1))))
    each = [float(vote_accuracy(*map(np.asarray, (0.7, 0.2, k, 1)))) for k in (1, 3, 9)]
    assert vote_accuracy(np.asarray(0.7), np.asarray(0.2), np.array([1, 3, 9]), np.asarray(1)).tolist() == each


def test_the_correlation_of_o1s_vote() -> None:
    """74 % with one sample and 83 % by the consensus of 64 go back into each other; a vote worse than one has none."""
    correlation = vote_correlation(0.74, 0.83, 64)
    assert float(vote_accuracy(*map(np.asarray, (0.74, correlation, 64, 1)))) == pytest.approx(0.83)
    assert math.isnan(vote_correlation(0.74, 0.70, 64))
    assert math.isnan(vote_correlation(0.74, 1.0, 3))


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_is_scipys(right: int, questions: int) -> None:
    """Both ends, at 80 and 95 %."""
    right = min(right, questions)
    for level in (0.8, 0.95):
        z = stats.norm.ppf(0.5 + level / 2)
        expected = stats.binomtest(right, questions).proportion_ci(level, method="wilson")
        ends = wilson(np.asarray(right / questions), np.asarray(questions), np.array([-z, z]))
        assert ends == pytest.approx([expected.low, expected.high], abs=1e-12)


@given(st.lists(SHARES, min_size=1, max_size=12))
def test_joined_points_are_isotonic(values: list[float]) -> None:
    """Against scipy's isotonic regression."""
    assert isotonic(np.array(values)) == pytest.approx(optimize.isotonic_regression(values).x)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=10))
def test_the_frontier_holds_exactly_what_nothing_beats(rows: list[tuple[int, int]]) -> None:
    """By comparing every two rows."""
    cost, accuracy = np.array(rows, dtype=np.float64).T
    front = pareto(cost, accuracy)
    for at, (c, a) in enumerate(rows):
        beaten = any((c2 <= c and a2 >= a) and (c2 < c or a2 > a) for c2, a2 in rows)
        assert beaten == ((c, a) not in {rows[i] for i in front}), at
    assert front == sorted(front, key=lambda i: cost[i])


def test_rows_without_a_cost_are_on_no_frontier() -> None:
    """NaN is no price."""
    assert pareto(np.array([math.nan, 1.0, 2.0]), np.array([0.99, 0.5, math.nan])) == [1]


@given(st.floats(-9, -0.1), st.floats(-0.5, -0.01), st.integers(1, 1000))
def test_more_samples_cover_more_and_cost_more_tries(a: float, b: float, k: int) -> None:
    """Coverage and the mean number of tries never fall with the most tries; tries never pass them."""
    law = (np.asarray(a), np.asarray(b))
    two = np.array([k, k + 1])
    assert np.diff(coverage(two, *law))[0] >= 0
    tries = expected_tries(two, *law)
    assert 1.0 <= tries[0] <= tries[1] <= k + 1
