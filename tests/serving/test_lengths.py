"""Lengths: lognormal moments, quantiles and the length-biased context, against sampling and closed forms."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.columns import WorkloadColumns
from planner.serving.lengths import (
    TokenDemand,
    censored_moments,
    lognormal_from_quantiles,
    lognormal_parameters,
    mean_of_minimum,
    mixture_quantile,
    token_demand,
)
from planner.serving.normal import normal_cdf

ONE = np.ones(1)


def demand(**changes: float) -> TokenDemand:
    """Return the token demand of one component with some columns changed."""
    columns = {
        "share": 1.0,
        "input_tokens_mean": 1000.0,
        "input_tokens_cv": 0.0,
        "answer_tokens_mean": 100.0,
        "reasoning_multiplier": 1.0,
        "generated_tokens_cv": 0.0,
        "answer_tokens_cv": 0.0,
        "thinking_tokens_cv": 0.0,
        "cached_share": 0.0,
        "samples_per_answer": 1.0,
        "turns_per_answer": 1.0,
        "max_tokens": 1e9,
    }
    assert changes.keys() <= columns.keys()
    return token_demand(WorkloadColumns(**{name: np.array([v]) for name, v in (columns | changes).items()}))


def test_the_share_found_in_the_cache() -> None:
    """What is not read anew, over turns that read the prompt again; none where there is no prompt."""
    assert float(demand(cached_share=0.25).found_share) == pytest.approx(0.25)
    assert float(demand(cached_share=0.25, turns_per_answer=3.0).found_share) == pytest.approx(0.25)
    assert float(demand(cached_share=0.25, input_tokens_mean=0.0).found_share) == 0.0


def test_normal_cdf_has_textbook_values() -> None:
    """Phi(1.96) and Phi(-1) are those of the tables, to double precision."""
    assert normal_cdf(np.array([0.0, 1.959963984540054, -1.0])) == pytest.approx(
        [0.5, 0.975, 0.15865525393145707], abs=1e-15
    )


def test_quantiles_give_back_their_lognormal() -> None:
    """The lognormal made from p50 and p90 has that median and that 90th percentile."""
    mean, cv = lognormal_from_quantiles(792.0, 3432.0)
    mu, sigma = lognormal_parameters(np.array(mean), np.array(cv))
    assert math.exp(mu) == pytest.approx(792.0)
    assert math.exp(mu + NormalDist().inv_cdf(0.9) * sigma) == pytest.approx(3432.0)


@given(mean=st.floats(1.0, 1e5), cv=st.floats(0.0, 3.0))
def test_uncensored_moments_are_the_lognormal_ones(mean: float, cv: float) -> None:
    """With the cap far away the moments are mean^k (1 + cv^2)^(k(k-1)/2)."""
    for order in (1, 2, 3):
        expected = mean**order * (1 + cv**2) ** (order * (order - 1) / 2)
        assert censored_moments([order], np.array(mean), np.array(cv), np.array(1e40))[0] == pytest.approx(
            expected, rel=1e-9
        )


def test_censored_moments_match_sampling() -> None:
    """The closed form agrees with the mean of two million draws that are cut."""
    rng = np.random.default_rng(7)
    mu, sigma = lognormal_parameters(np.array(1529.0), np.array(1.52))
    draws = np.minimum(np.exp(mu + sigma * rng.standard_normal(2_000_000)), 4096.0)
    for order in (1, 2, 3):
        assert censored_moments([order], np.array(1529.0), np.array(1.52), np.array(4096.0))[0] == pytest.approx(
            np.mean(draws**order), rel=4e-3
        )


def test_a_constant_is_cut_at_the_cap() -> None:
    """Cv = 0 is a constant: its moment is min(mean, cap)^k."""
    assert censored_moments([2], np.array(100.0), np.array(0.0), np.array(60.0))[0] == pytest.approx(3600.0)
    assert censored_moments([2], np.array(100.0), np.array(0.0), np.array(500.0))[0] == pytest.approx(10_000.0)


def test_window_caps_each_sequence_not_the_mean() -> None:
    """E[min(X, W)] of a spread-out context is below min(E[X], W), and an infinite window leaves the mean."""
    context, second = np.array(1000.0), np.array(1000.0**2 * 5.0)
    assert mean_of_minimum(context, second, np.array(1000.0)) < 700.0
    assert mean_of_minimum(context, second, np.array(np.inf)) == 1000.0


def test_context_is_length_biased() -> None:
    """With cv 1.5 the KV growth is 3.25 times what a mean length suggests (E[G^2] = 3.25 E[G]^2)."""
    growth = demand(generated_tokens_cv=1.5, answer_tokens_mean=1000.0).context_mean[()] - 1000.0
    constant = demand(generated_tokens_cv=0.0, answer_tokens_mean=1000.0).context_mean[()] - 1000.0
    assert growth / constant == pytest.approx(3.25)


def test_context_matches_a_sampled_steady_state() -> None:
    """Weighting sampled sequences by their duration and a uniform age gives the same mean and second moment."""
    rng = np.random.default_rng(11)
    mu, sigma = lognormal_parameters(np.array(500.0), np.array(1.0))
    mu_i, sigma_i = lognormal_parameters(np.array(1200.0), np.array(0.8))
    g = np.exp(mu + sigma * rng.standard_normal(1_000_000))
    i = np.exp(mu_i + sigma_i * rng.standard_normal(1_000_000))
    context = i + g * rng.random(1_000_000)
    found = demand(input_tokens_mean=1200.0, input_tokens_cv=0.8, answer_tokens_mean=500.0, generated_tokens_cv=1.0)
    assert found.context_mean[()] == pytest.approx(np.average(context, weights=g), rel=1e-2)
    assert found.context_second_moment[()] == pytest.approx(np.average(context**2, weights=g), rel=2e-2)


def test_generated_tokens_are_turns_samples_answer_multiplier() -> None:
    """generated_tokens_per_answer = turns x samples x A x m (contract)."""
    found = demand(turns_per_answer=3.0, samples_per_answer=4.0, answer_tokens_mean=50.0, reasoning_multiplier=2.5)
    assert found.generated_tokens_per_answer[()] == pytest.approx(3 * 4 * 50 * 2.5)
    assert found.input_tokens_per_answer[()] == pytest.approx(3 * 1000)


def test_samples_share_their_prompt_in_memory_but_not_in_reads() -> None:
    """Eight samples hold an eighth of the prompt each, yet each reads all of it."""
    found = demand(samples_per_answer=8.0)
    assert found.context_mean[()] - found.held_mean[()] == pytest.approx(1000.0 * 7 / 8)


def test_one_component_and_two_equal_halves_have_the_same_quantile() -> None:
    """The bisection for mixtures agrees with the closed form of one lognormal."""
    one = mixture_quantile(0.95, 100 * ONE, 1.2 * ONE, 1e6 * ONE, ONE, ONE)
    two = mixture_quantile(0.95, np.full(2, 100.0), np.full(2, 1.2), np.full(2, 1e6), np.full(2, 0.5), np.ones(2))
    assert two == pytest.approx(one, rel=1e-9)
    assert one == pytest.approx(
        math.exp(math.log(100) - math.log1p(1.44) / 2 + 1.6448536269514722 * math.sqrt(math.log1p(1.44)))
    )


def test_quantile_of_the_longest_of_several_samples() -> None:
    """P(max of 4 <= x) = F(x)^4: the median of the maximum is the 0.5^(1/4) quantile of one."""
    longest = mixture_quantile(0.5, 100 * ONE, ONE, 1e6 * ONE, ONE, 4 * ONE)
    assert longest == pytest.approx(mixture_quantile(0.5**0.25, 100 * ONE, ONE, 1e6 * ONE, ONE, ONE))
