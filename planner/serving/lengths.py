"""Token lengths as distributions: censored lognormal moments, quantiles of mixtures, length-biased context.

A length is a lognormal, known by its mean and its coefficient of variation (cv = standard deviation / mean); cv = 0 is
a constant. A workload is a mixture of components (request classes or histogram bins) along the last axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from planner.serving.columns import WorkloadColumns
from planner.serving.normal import Array, normal_cdf, normal_quantile, total
from planner.serving.roots import solve_increasing

_SMALLEST_SIGMA = 1e-9
"""A constant is taken as a lognormal this narrow, so that one formula serves both without a division by zero."""


def lognormal_parameters(mean: Array, cv: Array) -> tuple[Array, Array]:
    """Return the parameters of the lognormal with a mean and a coefficient of variation.

    sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2.

    Parameters
    ----------
    mean : mean [tokens], > 0.
    cv : coefficient of variation [1], >= 0.

    Returns
    -------
    tuple[Array, Array]
        Mean mu and standard deviation sigma of the logarithm [1]. mu is -inf where the mean is 0, NaN below.
    """
    sigma = np.sqrt(np.log1p(np.square(cv)))
    return np.log(mean) - 0.5 * np.square(sigma), sigma


def lognormal_from_quantiles(p50: float, p90: float) -> tuple[float, float]:
    """Return (mean, cv) of the lognormal with a median and a 90th percentile.

    sigma = ln(p90 / p50) / 1.28155, mean = p50 e^(sigma^2 / 2), cv^2 = e^(sigma^2) - 1.

    Parameters
    ----------
    p50, p90 : quantiles [tokens], 0 < p50 <= p90.

    Returns
    -------
    tuple[float, float]
        Mean [tokens] and coefficient of variation [1].

    Examples
    --------
    >>> mean, cv = lognormal_from_quantiles(100.0, 100.0 * math.exp(1.2815515655446004))
    >>> round(mean, 6), round(cv, 6)
    (164.872127, 1.310832)
    """
    sigma = math.log(p90 / p50) / NormalDist().inv_cdf(0.9)
    return p50 * math.exp(0.5 * sigma**2), math.sqrt(math.expm1(sigma**2))


def censored_moments(orders: Sequence[int], mean: Array, cv: Array, cap: Array) -> list[Array]:
    """Return the moments E[min(X, cap)^k] of a lognormal X that is cut at a cap.

    E[min(X, M)^k] = e^(k mu + k^2 s^2 / 2) Phi((ln M - mu - k s^2) / s) + M^k (1 - Phi((ln M - mu) / s))

    Parameters
    ----------
    orders : exponents k [1]; one moment is returned for each.
    mean, cv : mean of X before the cut [tokens], > 0, and coefficient of variation [1].
    cap : largest value M [tokens], > 0 and finite.

    Returns
    -------
    list[Array]
        Moments [tokens^k], in the order of `orders`; NaN where the mean is not positive. A cap far beyond all lengths
        costs digits: the last term is off by up to 2e-16 M^k.

    References
    ----------
    S. A. Klugman, H. H. Panjer, G. E. Willmot, "Loss Models", appendix A: limited expected value of the lognormal.
    """
    mu, sigma = lognormal_parameters(mean, cv)
    s = np.maximum(sigma, _SMALLEST_SIGMA)
    z = (np.log(cap) - mu) / s
    beyond = 1.0 - normal_cdf(z)
    return [
        np.asarray(np.exp(k * mu + 0.5 * np.square(k * s)) * normal_cdf(z - k * s) + np.power(cap, float(k)) * beyond)
        for k in orders
    ]


def mean_of_minimum(mean: Array, second_moment: Array, cap: Array) -> Array:
    """Return E[min(X, cap)] of a quantity known by two moments, taken as lognormal.

    A window caps the context of each sequence, so what counts is E[min(X, W)]; min(E[X], W) is larger.

    Parameters
    ----------
    mean, second_moment : E[X] [tokens] and E[X^2] [tokens^2]; an E[X^2] below E[X]^2 (rounding) is taken as a constant.
    cap : window or top k [tokens], > 0; infinite where there is none.

    Returns
    -------
    Array
        Mean of the capped quantity [tokens]; the plain mean where the cap is infinite.
    """
    capped = np.isfinite(cap)
    if not np.any(capped):
        return mean
    cv = np.sqrt(np.maximum(second_moment / np.square(mean) - 1.0, 0.0))
    (below,) = censored_moments((1,), mean, cv, np.where(capped, cap, 1.0))
    return np.asarray(np.where(capped, below, mean))


def deviation_of_minimum(mean: Array, second_moment: Array, cap: Array) -> Array:
    """Return the standard deviation of min(X, cap) of a quantity known by two moments, taken as lognormal.

    Parameters
    ----------
    mean, second_moment, cap : as in `mean_of_minimum`.

    Returns
    -------
    Array
        Standard deviation [tokens]; that of X where the cap is infinite.
    """
    variance = np.maximum(second_moment - np.square(mean), 0.0)
    capped = np.isfinite(cap)
    if not np.any(capped):
        return np.asarray(np.sqrt(variance))
    first, second = censored_moments((1, 2), mean, np.sqrt(variance) / mean, np.where(capped, cap, 1.0))
    return np.asarray(np.sqrt(np.where(capped, np.maximum(second - np.square(first), 0.0), variance)))


def mixture_quantile(q: float, mean: Array, cv: Array, cap: Array, weight: Array, draws: Array) -> Array:
    """Return the quantile of a mixture of lognormals, each cut at a cap and each the largest of some draws.

    F(x) = sum_k w_k F_k(x)^(n_k) / sum_k w_k, F_k(x) = 1 from the cap on. One component has a closed form,
    exp(min(mu + sigma z, ln cap)) with z the standard normal quantile of q^(1/n). The quantile of several lies between
    theirs and is solved in the logarithm.

    Parameters
    ----------
    q : probability [1], between 0 and 1.
    mean, cv : of each component [tokens], [1]; shape (..., k).
    cap : largest value [tokens]; infinite where there is none.
    weight : of each component, any scale [1].
    draws : how many draws n the largest is taken of [1], >= 1.

    Returns
    -------
    Array
        x with F(x) = q [tokens], shape (...).
    """
    mu, sigma = lognormal_parameters(np.maximum(mean, 1e-12), cv)
    z = normal_quantile(np.power(q, 1.0 / draws))
    log_quantiles = np.minimum(mu + z * sigma, np.log(cap))
    if np.broadcast_shapes(np.shape(log_quantiles), np.shape(weight))[-1] == 1:
        return np.asarray(np.exp(log_quantiles)[..., 0])
    s, log_cap, share = np.maximum(sigma, _SMALLEST_SIGMA), np.log(cap), weight / total(weight)[..., None]

    # Nothing is handed to the solver to drop: the component axis would not survive being laid flat.
    def excess(log_x: Array, _: None) -> Array:
        x = log_x[..., None]
        below = np.where(sigma > 0.0, normal_cdf((x - mu) / s), x >= mu)
        return np.asarray(total(share * np.where(x >= log_cap, 1.0, np.power(below, draws))) - q)

    low, high = np.min(log_quantiles, axis=-1), np.max(log_quantiles, axis=-1)
    return np.exp(solve_increasing(excess, low - _QUANTILE_MARGIN, high + _QUANTILE_MARGIN, None))


_QUANTILE_MARGIN = 1e-9
"""Widens the bracket beyond rounding."""


@dataclass(frozen=True, eq=False)
class TokenDemand:
    """What one answer asks of the machine in tokens unless said; shapes are the workload's without components."""

    requests_per_answer: Array
    sequences_per_answer: Array
    """Requests times samples [1]."""
    input_tokens_per_answer: Array
    prefill_tokens_per_answer: Array
    """Input tokens that are not found in the prefix cache."""
    answer_tokens_per_answer: Array
    """Visible ones, after the cut at max_tokens."""
    generated_tokens_per_answer: Array
    """Of all sequences, thinking included, after the cut at max_tokens."""
    generated_tokens_mean: Array
    """E[G] of one sequence, after the cut at max_tokens."""
    generated_tokens_cv: Array
    truncated_share: Array
    """Share of the sequences that are cut at max_tokens [1]."""
    prefill_tokens_mean: Array
    """Uncached input tokens of one request."""
    prefill_tokens_second_moment: Array
    prefill_context_mean: Array
    """Tokens of context a prefill token attends to, on average."""
    prefill_context_second_moment: Array
    context_mean: Array
    """Context of a running sequence, averaged over its time (length-biased)."""
    context_second_moment: Array
    shared_tokens: Array
    """Start of every input that is the same in all requests: held once, part of the context of every sequence."""
    held_mean: Array
    """KV tokens a running sequence holds of its own: as context, but samples of one answer share their prompt."""
    held_second_moment: Array
    longest_request_tokens: Array
    """99th percentile of input plus output of one sequence: what must fit at all."""

    @property
    def found_share(self) -> Array:
        """Return the share of the input tokens that is found in the prefix cache [1]; 0 without input."""
        read, fresh = self.input_tokens_per_answer, self.prefill_tokens_per_answer
        return np.asarray(1.0 - np.where(read > 0.0, fresh, 1.0) / np.where(read > 0.0, read, 1.0))


def token_demand(workload: WorkloadColumns) -> TokenDemand:
    """Return what an answer asks of the machine, from its length distributions.

    Parameters
    ----------
    workload : lengths [tokens], their coefficients of variation [1] and shares [1] of the components of a mixture;
        every column has shape (..., k).

    Returns
    -------
    TokenDemand
        Sums and moments over the mixture, shape (...). NaN where the mean generated length is not positive.

    Notes
    -----
    With component k's share w of the answers, u turns, n samples, input I, cached share c and generated tokens G (cut):
    at a constant time per token the context of a running sequence, averaged over its time, is

        E[X] = sum w u n (E[I] E[G] + E[G^2]/2) / sum w u n E[G]
        E[X^2] = sum w u n (E[I^2] E[G] + E[I] E[G^2] + E[G^3]/3) / sum w u n E[G]

    since long answers are seen more often than short ones (the inspection paradox), and each is seen at a uniform age.
    The cache holds the first S shared tokens of all prompts once, and the prompt of n samples once: (I - S)/n in place
    of I. A prefill token attends to what stands before it:

        E[Y] = sum w u E[I^2] (1 - c^2)/2 / sum w u E[I] (1 - c)
        E[Y^2] = sum w u E[I^3] (1 - c^3)/3 / sum w u E[I] (1 - c)
    """
    w = workload
    requests = w.share * w.turns_per_answer
    sequences = requests * w.samples_per_answer
    uncut = w.uncut_tokens_mean
    g1, g2, g3 = censored_moments((1, 2, 3), uncut, w.generated_tokens_cv, w.max_tokens)
    i1, squared_spread = w.input_tokens_mean, 1.0 + np.square(w.input_tokens_cv)
    i2, i3 = np.square(i1) * squared_spread, np.power(i1, 3.0) * np.power(squared_spread, 3.0)
    own = i2 - w.shared_tokens * (2.0 * i1 - w.shared_tokens)  # E[(I - S)^2]
    held1, held2 = (i1 - w.shared_tokens) / w.samples_per_answer, own / np.square(w.samples_per_answer)
    mu, sigma = lognormal_parameters(uncut, w.generated_tokens_cv)
    beyond = normal_cdf((mu - np.log(w.max_tokens)) / np.maximum(sigma, _SMALLEST_SIGMA))
    cut_share = np.where(sigma > 0.0, beyond, uncut > w.max_tokens)
    uncached, one = 1.0 - w.cached_share, np.ones_like(i1)

    per_request, per_sequence = total(requests), total(sequences)
    prefill = total(requests * i1 * uncached)
    some_prefill = np.maximum(prefill, 1e-12)  # prompts that are all cached, or empty, attend to nothing
    output = total(sequences * g1)
    visible_share = g1 / uncut
    mean_generated = output / per_sequence
    return TokenDemand(
        requests_per_answer=per_request,
        sequences_per_answer=per_sequence,
        input_tokens_per_answer=total(requests * i1),
        prefill_tokens_per_answer=prefill,
        answer_tokens_per_answer=total(w.share * w.answer_tokens_mean * visible_share),
        generated_tokens_per_answer=output,
        generated_tokens_mean=mean_generated,
        generated_tokens_cv=np.sqrt(
            np.maximum(total(sequences * g2) / per_sequence / np.square(mean_generated) - 1.0, 0.0)
        ),
        truncated_share=total(sequences * cut_share) / per_sequence,
        prefill_tokens_mean=prefill / per_request,
        prefill_tokens_second_moment=total(requests * i2 * np.square(uncached)) / per_request,
        prefill_context_mean=total(requests * 0.5 * i2 * (1.0 - np.square(w.cached_share)))
        / np.maximum(prefill, 1e-12),
        prefill_context_second_moment=total(requests * i3 * (1.0 - np.power(w.cached_share, 3.0)) / 3.0) / some_prefill,
        context_mean=total(sequences * (i1 * g1 + 0.5 * g2)) / output,
        context_second_moment=total(sequences * (i2 * g1 + i1 * g2 + g3 / 3.0)) / output,
        shared_tokens=np.max(w.shared_tokens, axis=-1),
        held_mean=total(sequences * (held1 * g1 + 0.5 * g2)) / output,
        held_second_moment=total(sequences * (held2 * g1 + held1 * g2 + g3 / 3.0)) / output,
        longest_request_tokens=mixture_quantile(0.99, i1, w.input_tokens_cv, np.full_like(i1, np.inf), requests, one)
        + mixture_quantile(0.99, uncut, w.generated_tokens_cv, w.max_tokens, sequences, one),
    )
