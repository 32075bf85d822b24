"""Token lengths as distributions: censored lognormal moments, quantiles of mixtures, length-biased context.

Every formula reduces the last axis, the mixture's components (request classes or histogram bins).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ERF = np.frompyfunc(math.erf, 1, 1)
_INV_CDF = np.frompyfunc(NormalDist().inv_cdf, 1, 1)
_SMALLEST_SIGMA = 1e-9
_BISECTIONS = 60


def normal_cdf(x: Array) -> Array:
    """Return the standard normal distribution function, exact to double precision.

    >>> float(normal_cdf(np.array(1.959963984540054)).round(12))
    0.975
    """
    return np.asarray(0.5 * (1.0 + np.asarray(_ERF(np.asarray(x) / math.sqrt(2.0)), dtype=np.float64)))


def normal_quantile(p: Array) -> Array:
    """Return the standard normal quantile of a probability strictly between 0 and 1."""
    return np.asarray(_INV_CDF(np.asarray(p, dtype=np.float64)), dtype=np.float64)


def lognormal_parameters(mean: Array, cv: Array) -> tuple[Array, Array]:
    """Return (mu, sigma) of the lognormal with a mean and a coefficient of variation.

    sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2.
    """
    sigma = np.sqrt(np.log1p(np.square(cv)))
    return np.log(mean) - 0.5 * np.square(sigma), sigma


def lognormal_from_quantiles(p50: float, p90: float) -> tuple[float, float]:
    """Return (mean, cv) of the lognormal with a median and a 90th percentile.

    >>> mean, cv = lognormal_from_quantiles(100.0, 100.0 * math.exp(1.2815515655446004))
    >>> round(mean, 6), round(cv, 6)
    (164.872127, 1.310832)
    """
    sigma = math.log(p90 / p50) / NormalDist().inv_cdf(0.9)
    return p50 * math.exp(0.5 * sigma**2), math.sqrt(math.expm1(sigma**2))


def censored_moment(order: int, mean: Array, cv: Array, cap: Array) -> Array:
    """Return E[min(X, cap)^order] of a lognormal X with this mean and cv; cv = 0 is a constant.

    e^(k mu + k^2 s^2 / 2) Phi((ln cap - mu - k s^2) / s) + cap^k (1 - Phi((ln cap - mu) / s))
    """
    mu, sigma = lognormal_parameters(mean, cv)
    s = np.maximum(sigma, _SMALLEST_SIGMA)
    z = (np.log(cap) - mu) / s
    below = np.exp(order * mu + 0.5 * np.square(order * s)) * normal_cdf(z - order * s)
    return np.asarray(below + np.power(cap, float(order)) * (1.0 - normal_cdf(z)))


def mean_of_minimum(mean: Array, second_moment: Array, cap: Array) -> Array:
    """Return E[min(X, cap)] of a quantity known by two moments, taken as lognormal; an infinite cap gives the mean."""
    cv = np.sqrt(np.maximum(second_moment / np.square(mean) - 1.0, 0.0))
    finite = np.where(np.isfinite(cap), cap, 1.0)
    return np.asarray(np.where(np.isfinite(cap), censored_moment(1, mean, cv, finite), mean))


def mixture_quantile(q: float, mean: Array, cv: Array, cap: Array, weight: Array, draws: Array) -> Array:
    """Return the q-quantile of the mixture over the last axis of max over `draws` of min(lognormal, cap).

    One component is closed form; several are solved by bisection on the logarithm.
    """
    mu, sigma = lognormal_parameters(np.maximum(mean, 1e-12), cv)
    s = np.maximum(sigma, _SMALLEST_SIGMA)
    if np.broadcast_shapes(np.shape(mean), np.shape(weight))[-1] == 1:
        z = normal_quantile(np.power(q, 1.0 / draws))
        return np.asarray(np.minimum(np.exp(mu + z * sigma), cap)[..., 0])
    log_cap = np.log(cap)
    low = np.min(np.minimum(mu - 40.0 * s, log_cap), axis=-1)
    high = np.max(np.minimum(mu + 40.0 * s, log_cap), axis=-1)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        x = middle[..., None]
        below = np.where(sigma > 0.0, normal_cdf((x - mu) / s), x >= mu)
        share = np.where(x >= log_cap, 1.0, np.power(below, draws))
        reached = np.sum(weight * share, axis=-1) / np.sum(weight, axis=-1) >= q
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.asarray(np.exp(high))


@dataclass(frozen=True)
class TokenDemand:
    """What one answer asks of the machine; shapes are the workload's without the component axis."""

    requests_per_answer: Array
    sequences_per_answer: Array
    input_tokens_per_answer: Array
    prefill_tokens_per_answer: Array
    """Input tokens that are not found in the prefix cache."""
    answer_tokens_per_answer: Array
    generated_tokens_per_answer: Array
    generated_tokens_mean: Array
    """E[G] of one sequence, after the cut at max_tokens."""
    generated_tokens_cv: Array
    truncated_share: Array
    prefill_tokens_mean: Array
    """Uncached input tokens of one request."""
    prefill_tokens_second_moment: Array
    prefill_context_mean: Array
    """Tokens of context a prefill token attends to, on average."""
    prefill_context_second_moment: Array
    context_mean: Array
    """Context of a running sequence, averaged over its time (length-biased)."""
    context_second_moment: Array
    held_mean: Array
    """KV tokens a running sequence holds: as context, but samples of one answer share their prompt."""
    held_second_moment: Array
    longest_request_tokens: Array
    """99th percentile of input plus output of one sequence: what must fit at all."""


def token_demand(
    share: Array,
    input_mean: Array,
    input_cv: Array,
    answer_mean: Array,
    multiplier: Array,
    generated_cv: Array,
    cached_share: Array,
    samples: Array,
    turns: Array,
    max_tokens: Array,
) -> TokenDemand:
    """Return the token demand of an answer from its length distributions.

    Parameters
    ----------
    share : share of answers [1], over the last axis.
    input_mean, input_cv : input tokens of a request [tokens], [1].
    answer_mean : visible answer tokens of a sequence [tokens].
    multiplier : all generated tokens over visible ones [1], >= 1.
    generated_cv : coefficient of variation of the generated tokens [1].
    cached_share : share of input tokens found in the prefix cache [1].
    samples, turns : decodes per request and requests per answer [1].
    max_tokens : limit of generated tokens [tokens].

    Notes
    -----
    At a constant time per token the time-average context of a running sequence is
    E[I G]/E[G] + E[G^2]/(2 E[G]): long answers are seen more often than short ones (inspection paradox).
    """
    requests = share * turns
    sequences = requests * samples
    g1, g2, g3 = (censored_moment(k, answer_mean * multiplier, generated_cv, max_tokens) for k in (1, 2, 3))
    i1, i2 = input_mean, np.square(input_mean) * (1.0 + np.square(input_cv))
    held1, held2 = i1 / samples, i2 / np.square(samples)
    mu, sigma = lognormal_parameters(answer_mean * multiplier, generated_cv)
    beyond = normal_cdf((mu - np.log(max_tokens)) / np.maximum(sigma, _SMALLEST_SIGMA))
    over = np.where(sigma > 0.0, beyond, answer_mean * multiplier > max_tokens)
    uncached = 1.0 - cached_share
    i3 = np.power(i1, 3.0) * np.power(1.0 + np.square(input_cv), 3.0)

    def total(x: Array) -> Array:
        return np.asarray(np.sum(x, axis=-1))

    per_request, per_sequence = total(requests), total(sequences)
    prefill = total(requests * i1 * uncached)
    output = total(sequences * g1)
    visible_share = g1 / (answer_mean * multiplier)
    mean_generated = output / per_sequence
    return TokenDemand(
        requests_per_answer=per_request,
        sequences_per_answer=per_sequence,
        input_tokens_per_answer=total(requests * i1),
        prefill_tokens_per_answer=prefill,
        answer_tokens_per_answer=total(share * answer_mean * visible_share),
        generated_tokens_per_answer=output,
        generated_tokens_mean=mean_generated,
        generated_tokens_cv=np.sqrt(
            np.maximum(total(sequences * g2) / per_sequence / np.square(mean_generated) - 1.0, 0.0)
        ),
        truncated_share=total(sequences * over) / per_sequence,
        prefill_tokens_mean=prefill / per_request,
        prefill_tokens_second_moment=total(requests * i2 * np.square(uncached)) / per_request,
        prefill_context_mean=total(requests * 0.5 * i2 * (1.0 - np.square(cached_share))) / np.maximum(prefill, 1e-12),
        prefill_context_second_moment=total(requests * i3 * (1.0 - np.power(cached_share, 3.0)) / 3.0)
        / np.maximum(prefill, 1e-12),
        context_mean=total(sequences * (i1 * g1 + 0.5 * g2)) / output,
        context_second_moment=total(sequences * (i2 * g1 + i1 * g2 + g3 / 3.0)) / output,
        held_mean=total(sequences * (held1 * g1 + 0.5 * g2)) / output,
        held_second_moment=total(sequences * (held2 * g1 + held1 * g2 + g3 / 3.0)) / output,
        longest_request_tokens=mixture_quantile(
            0.99, i1, input_cv, np.full_like(i1, np.inf), requests, np.ones_like(i1)
        )
        + mixture_quantile(0.99, answer_mean * multiplier, generated_cv, max_tokens, sequences, np.ones_like(i1)),
    )
