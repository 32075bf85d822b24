"""Token lengths as distributions: censored lognormal moments, quantiles of mixtures, length-biased context.

Every formula reduces the last axis, the mixture's components (request classes or histogram bins).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from planner.serving.normal import Array, normal_cdf, normal_quantile, total
from planner.serving.roots import solve_increasing

_SMALLEST_SIGMA = 1e-9


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


def censored_moments(orders: Sequence[int], mean: Array, cv: Array, cap: Array) -> list[Array]:
    """Return E[min(X, cap)^k] for some orders k of a lognormal X with this mean and cv; cv = 0 is a constant.

    e^(k mu + k^2 s^2 / 2) Phi((ln cap - mu - k s^2) / s) + cap^k (1 - Phi((ln cap - mu) / s))
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
    """Return E[min(X, cap)] of a quantity known by two moments, taken as lognormal; an infinite cap gives the mean."""
    capped = np.isfinite(cap)
    if not np.any(capped):
        return mean
    cv = np.sqrt(np.maximum(second_moment / np.square(mean) - 1.0, 0.0))
    (below,) = censored_moments((1,), mean, cv, np.where(capped, cap, 1.0))
    return np.asarray(np.where(capped, below, mean))


def deviation_of_minimum(mean: Array, second_moment: Array, cap: Array) -> Array:
    """Return the standard deviation of min(X, cap) of a quantity known by two moments, taken as lognormal."""
    variance = np.maximum(second_moment - np.square(mean), 0.0)
    capped = np.isfinite(cap)
    if not np.any(capped):
        return np.asarray(np.sqrt(variance))
    first, second = censored_moments((1, 2), mean, np.sqrt(variance) / mean, np.where(capped, cap, 1.0))
    return np.asarray(np.sqrt(np.where(capped, np.maximum(second - np.square(first), 0.0), variance)))


def mixture_quantile(q: float, mean: Array, cv: Array, cap: Array, weight: Array, draws: Array) -> Array:
    """Return the q-quantile of the mixture over the last axis of max over `draws` of min(lognormal, cap).

    One component is closed form; the quantile of several lies between theirs and is solved in the logarithm.
    """
    mu, sigma = lognormal_parameters(np.maximum(mean, 1e-12), cv)
    z = normal_quantile(np.power(q, 1.0 / draws))
    own = np.minimum(mu + z * sigma, np.log(cap))
    if np.broadcast_shapes(np.shape(own), np.shape(weight))[-1] == 1:
        return np.asarray(np.exp(own)[..., 0])
    s, log_cap, share = np.maximum(sigma, _SMALLEST_SIGMA), np.log(cap), weight / total(weight)[..., None]

    def excess(log_x: Array, _: None) -> Array:
        x = log_x[..., None]
        below = np.where(sigma > 0.0, normal_cdf((x - mu) / s), x >= mu)
        return np.asarray(total(share * np.where(x >= log_cap, 1.0, np.power(below, draws))) - q)

    margin = _QUANTILE_MARGIN
    return np.exp(solve_increasing(excess, np.min(own, axis=-1) - margin, np.max(own, axis=-1) + margin, None))


_QUANTILE_MARGIN = 1e-9
"""Widens the bracket beyond rounding."""


@dataclass(frozen=True, eq=False)
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

    @property
    def found_share(self) -> Array:
        """Return the share of the input tokens that is found in the prefix cache [1]; 0 without input."""
        read, fresh = self.input_tokens_per_answer, self.prefill_tokens_per_answer
        return np.asarray(1.0 - np.where(read > 0.0, fresh, 1.0) / np.where(read > 0.0, read, 1.0))


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
    g1, g2, g3 = censored_moments((1, 2, 3), answer_mean * multiplier, generated_cv, max_tokens)
    i1, i2 = input_mean, np.square(input_mean) * (1.0 + np.square(input_cv))
    held1, held2 = i1 / samples, i2 / np.square(samples)
    mu, sigma = lognormal_parameters(answer_mean * multiplier, generated_cv)
    beyond = normal_cdf((mu - np.log(max_tokens)) / np.maximum(sigma, _SMALLEST_SIGMA))
    over = np.where(sigma > 0.0, beyond, answer_mean * multiplier > max_tokens)
    uncached = 1.0 - cached_share
    i3 = np.power(i1, 3.0) * np.power(1.0 + np.square(input_cv), 3.0)

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
