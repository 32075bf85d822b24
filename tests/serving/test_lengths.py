"""Lengths: lognormal moments, quantiles and the length-biased context, against sampling and closed forms."""

import dataclasses
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.columns import WorkloadColumns
from planner.serving.lengths import (
    TokenDemand,
    censored_moments,
    deviation_of_minimum,
    lognormal_from_quantiles,
    lognormal_parameters,
    mean_of_minimum,
    mixture_quantile,
    token_demand,
)

ONE = np.ones(1)


MIXED = {
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
    "shared_tokens": 0.0,
}


def mixture(**changes: Any) -> TokenDemand:
    """Return the token demand of some components, with some columns changed; the rest are alike in all of them."""
    assert changes.keys() <= MIXED.keys()
    shape = np.broadcast_shapes(*(np.shape(column) for column in changes.values()))
    return token_demand(
        WorkloadColumns(**{name: np.broadcast_to(v, shape).astype(float) for name, v in (MIXED | changes).items()})
    )


def demand(**changes: float) -> TokenDemand:
    """Return the token demand of one component with some columns changed."""
    return mixture(share=ONE, **changes)


def test_the_share_found_in_the_cache() -> None:
    """What is not read anew, over turns that read the prompt again; none where there is no prompt."""
    assert float(demand(cached_share=0.25).found_share) == pytest.approx(0.25)
    assert float(demand(cached_share=0.25, turns_per_answer=3.0).found_share) == pytest.approx(0.25)
    assert float(demand(cached_share=0.25, input_tokens_mean=0.0).found_share) == 0.0


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


def test_shared_tokens_are_read_by_all_and_held_once() -> None:
    """A prompt of 1,000 tokens, 600 of them shared: a sequence reads 1,000 and holds 400 of its own, half with two."""
    plain, shared = demand(), demand(shared_tokens=600.0)
    assert float(shared.shared_tokens) == 600.0
    assert float(shared.context_mean) == float(plain.context_mean) == 1050.0
    assert float(shared.held_mean) == pytest.approx(400.0 + 50.0)
    assert float(demand(shared_tokens=600.0, samples_per_answer=2.0).held_mean) == pytest.approx(200.0 + 50.0)


def test_shared_tokens_do_not_vary() -> None:
    """Held tokens of a prompt of 600 shared ones and others that vary are those others, drawn and counted."""
    rng = np.random.default_rng(5)
    sigma = np.sqrt(np.log1p(0.25))
    prompts = rng.lognormal(np.log(1000.0) - sigma**2 / 2.0, sigma, 400_000)
    held = prompts - 300.0 + rng.uniform(0.0, 100.0, prompts.size)  # a uniform age of 100 tokens
    found = demand(shared_tokens=300.0, input_tokens_cv=0.5)
    assert float(found.held_mean) == pytest.approx(held.mean(), rel=0.01)
    assert float(found.held_second_moment) == pytest.approx(np.square(held).mean(), rel=0.02)


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


def censored_by_integration(order: int, mean: float, cv: float, cap: float) -> float:
    """Return E[min(X, cap)^order] by the midpoint rule over the quantiles of the normal distribution."""
    sigma = math.sqrt(math.log(1 + cv**2))
    z = np.linspace(-9.0, 9.0, 400_001)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    x = np.minimum(np.exp(math.log(mean) - sigma**2 / 2 + sigma * z), cap)
    return float(np.sum(x**order * density) * (z[1] - z[0]))


@pytest.mark.parametrize(("mean", "cv", "cap"), [(1000.0, 0.3, 900.0), (1529.0, 1.5, 4096.0), (100.0, 3.0, 50.0)])
def test_censored_moments_are_their_integrals(mean: float, cv: float, cap: float) -> None:
    """Three moments of narrow, wide and mostly cut lengths agree with numerical integration to seven digits."""
    found = censored_moments([1, 2, 3], np.array(mean), np.array(cv), np.array(cap))
    expected = [censored_by_integration(k, mean, cv, cap) for k in (1, 2, 3)]
    assert [float(m) for m in found] == pytest.approx(expected, rel=1e-7)


@given(mean=st.floats(1.0, 1e5), cv=st.floats(0.0, 3.0), cap=st.floats(1.0, 1e6), more=st.floats(1.0, 10.0))
def test_a_higher_cap_never_lowers_a_moment(mean: float, cv: float, cap: float, more: float) -> None:
    """E[min(X, M)^k] grows with M, is at most M^k and at most the uncut moment."""
    for k in (1, 2):
        low, high = (float(censored_moments([k], *np.array([mean, cv, m]))[0]) for m in (cap, cap * more))
        slack = 1e-15 * (cap * more) ** k  # 1 - Phi is known to an ulp of 1
        uncut = mean**k * (1 + cv**2) ** (k * (k - 1) / 2)  # far above the cap, its share below it loses digits
        assert low <= high * (1 + 1e-8) + slack
        assert high <= min((cap * more) ** k, uncut) * (1 + 1e-8) + slack


def test_the_deviation_of_a_window_by_integration() -> None:
    """sd(min(X, W)) from the integrals of its two moments; without a window that of X."""
    mean, cv, window = 1000.0, 0.8, 1200.0
    first, second = (censored_by_integration(k, mean, cv, window) for k in (1, 2))
    squares = np.array(mean**2 * (1 + cv**2))
    found = deviation_of_minimum(np.array(mean), squares, np.array(window))
    assert float(found) == pytest.approx(math.sqrt(second - first**2), rel=1e-6)
    assert float(deviation_of_minimum(np.array(mean), squares, np.array(np.inf))) == pytest.approx(mean * cv)
    both = deviation_of_minimum(np.array(mean), squares, np.array([window, np.inf]))
    assert both == pytest.approx([math.sqrt(second - first**2), mean * cv], rel=1e-6)


def test_a_context_without_spread_is_cut_at_the_window() -> None:
    """A second moment that rounding left below the square of the mean counts as a constant."""
    below = np.array(1000.0**2 * (1 - 1e-15))
    assert float(mean_of_minimum(np.array(1000.0), below, np.array(400.0))) == pytest.approx(400.0)
    assert float(deviation_of_minimum(np.array(1000.0), below, np.array(400.0))) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_quantile_of_a_mixture_splits_its_mass(q: float) -> None:
    """F(x) of two lognormals, one the longest of three and cut, is q at the quantile."""
    mean, cv, weight = np.array([100.0, 2000.0]), np.array([0.5, 1.2]), np.array([3.0, 1.0])
    cap, draws = np.array([1e9, 40_000.0]), np.array([1.0, 3.0])
    x = float(mixture_quantile(q, mean, cv, cap, weight, draws))
    below = 0.0
    for m, c, w, n in zip(mean, cv, weight / 4, draws, strict=True):
        sigma = math.sqrt(math.log(1 + c**2))
        below += w * NormalDist(math.log(m) - sigma**2 / 2, sigma).cdf(math.log(x)) ** n
    assert x < 40_000.0
    assert below == pytest.approx(q, abs=1e-9)


def test_the_quantile_of_constants_is_one_of_them() -> None:
    """A histogram's points 10, 20, 30 with shares 0.2, 0.5, 0.3: medians and tails by counting."""
    mean, cv, weight = np.array([10.0, 20.0, 30.0]), np.zeros(3), np.array([0.2, 0.5, 0.3])
    found = [float(mixture_quantile(q, mean, cv, np.full(3, 1e9), weight, np.ones(3))) for q in (0.1, 0.5, 0.69, 0.71)]
    assert found == pytest.approx([10.0, 20.0, 20.0, 30.0], rel=1e-6)


def test_a_cut_length_has_its_tail_at_the_cap() -> None:
    """Quantiles beyond the cap are the cap, of one component and of two."""
    assert float(mixture_quantile(0.99, 100 * ONE, ONE, 150 * ONE, ONE, ONE)) == pytest.approx(150.0)
    two = mixture_quantile(0.99, np.array([100.0, 90.0]), np.ones(2), np.full(2, 150.0), np.ones(2), np.ones(2))
    assert float(two) == pytest.approx(150.0, rel=1e-6)


def test_two_request_classes_by_hand() -> None:
    """A third of answers: 100 in, 10 out, 2 turns; two thirds: 400 in, half cached, 50 out, 2 samples. All constant."""
    columns = {
        "share": [1 / 3, 2 / 3], "input_tokens_mean": [100.0, 400.0], "answer_tokens_mean": [10.0, 50.0],
        "cached_share": [0.0, 0.5], "samples_per_answer": [1.0, 2.0], "turns_per_answer": [2.0, 1.0],
    }  # fmt: skip
    found = mixture(**columns)
    assert float(found.requests_per_answer) == pytest.approx(4 / 3)
    assert float(found.sequences_per_answer) == pytest.approx(2 / 3 + 4 / 3)
    assert float(found.input_tokens_per_answer) == pytest.approx((200 + 800) / 3)
    assert float(found.prefill_tokens_per_answer) == pytest.approx((200 + 400) / 3)
    assert float(found.prefill_tokens_mean) == pytest.approx(200 / (4 / 3))
    # Uncached prompts: 100 twice in three answers, 200 twice: squares 1e4 and 4e4, half each.
    assert float(found.prefill_tokens_second_moment) == pytest.approx((1e4 + 4e4) / 2)
    assert float(found.generated_tokens_per_answer) == pytest.approx((20 + 200) / 3)
    assert float(found.generated_tokens_mean) == pytest.approx((220 / 3) / 2)
    # A third of the sequences has 10 tokens, two thirds have 50.
    variance = (100 + 2 * 2500) / 3 - (110 / 3) ** 2
    assert float(found.generated_tokens_cv) == pytest.approx(math.sqrt(variance) / (110 / 3))
    # Time-averaged context: 10 token-times at 100 + 5, 100 (two samples) twice at 400 + 25; 20 to 200 in all.
    assert float(found.context_mean) == pytest.approx((20 * 105 + 200 * 425) / 220)
    assert float(found.held_mean) == pytest.approx((20 * 105 + 200 * 225) / 220)
    # The square of a context that grows evenly from h to h + G has the mean h^2 + h G + G^2/3.
    squares = [h * h + h * g + g * g / 3 for h, g in ((100, 10), (400, 50), (200, 50))]
    assert float(found.context_second_moment) == pytest.approx((20 * squares[0] + 200 * squares[1]) / 220)
    assert float(found.held_second_moment) == pytest.approx((20 * squares[0] + 200 * squares[2]) / 220)
    # A prefill token sees what stands before it: 50 on average of 0..100, 300 of 200..400.
    assert float(found.prefill_context_mean) == pytest.approx((200 * 50 + 400 * 300) / 600)
    assert float(found.longest_request_tokens) == pytest.approx(400 + 50, rel=1e-6)
    assert float(found.truncated_share) == 0.0


def test_the_context_of_a_prefill_token_by_counting() -> None:
    """Token after token of a prompt of 1,000 of which 250 are cached: means of j and j^2 over j = 250 ... 999."""
    before = np.arange(250, 1000) + 0.5
    found = demand(cached_share=0.25)
    assert float(found.prefill_context_mean) == pytest.approx(before.mean())
    assert float(found.prefill_context_second_moment) == pytest.approx((before**2).mean(), rel=1e-6)


def test_the_share_that_is_cut() -> None:
    """A lognormal cut at its median: half. A constant: all where it is above the cap, none where it is at it."""
    sigma2 = math.log(1 + 1.5**2)
    median = 200.0 * math.exp(-sigma2 / 2)
    cut = demand(answer_tokens_mean=200.0, generated_tokens_cv=1.5, max_tokens=median)
    assert float(cut.truncated_share) == pytest.approx(0.5)
    assert float(demand(answer_tokens_mean=100.0, max_tokens=99.0).truncated_share) == 1.0
    assert float(demand(answer_tokens_mean=100.0, max_tokens=100.0).truncated_share) == 0.0


def test_visible_tokens_are_cut_in_proportion() -> None:
    """300 thinking and 100 visible tokens cut at 200: half of all, so half of the visible ones."""
    cut = demand(answer_tokens_mean=100.0, reasoning_multiplier=4.0, max_tokens=200.0)
    assert float(cut.generated_tokens_per_answer) == pytest.approx(200.0)
    assert float(cut.answer_tokens_per_answer) == pytest.approx(50.0)


@given(k=st.floats(0.1, 10.0), cv=st.floats(0.0, 2.0), cached=st.floats(0.0, 0.9))
def test_tokens_of_another_size_scale_every_moment(k: float, cv: float, cached: float) -> None:
    """All lengths times k: first moments times k, second moments times k^2, shares and cv as before."""
    lengths = {"input_tokens_mean": 900.0, "answer_tokens_mean": 300.0, "max_tokens": 1000.0}
    rest = {"input_tokens_cv": cv, "generated_tokens_cv": cv, "cached_share": cached, "samples_per_answer": 3.0}
    one, scaled = demand(**lengths, **rest), demand(**{name: k * v for name, v in lengths.items()}, **rest)
    for field in dataclasses.fields(TokenDemand):
        name = field.name
        power = 2 if "second_moment" in name else 0 if name.endswith(("_cv", "_share")) or "sequences" in name else 1
        power = 0 if name == "requests_per_answer" else power
        expected = k**power * float(getattr(one, name))
        assert float(getattr(scaled, name)) == pytest.approx(expected, rel=1e-6, abs=1e-7), name


def test_a_row_of_workloads_has_the_bits_of_each_alone() -> None:
    """50 mixtures of three classes in one call and one by one."""
    rng = np.random.default_rng(4)
    columns = {name: rng.uniform(0.2, 1.0, (50, 3)) for name in MIXED}
    columns |= {name: 1000 * columns[name] for name in ("input_tokens_mean", "answer_tokens_mean", "max_tokens")}
    row = mixture(**columns)
    for i in range(50):
        point = mixture(**{name: column[i] for name, column in columns.items()})
        for field in dataclasses.fields(TokenDemand):
            assert float(getattr(row, field.name)[i]) == float(getattr(point, field.name)), field.name
