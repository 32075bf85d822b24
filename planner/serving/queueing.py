"""Waiting: the prefill queue (M/G/1) and the wait for a place in the running batch (many servers)."""

import math
from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array, normal_cdf, normal_quantile

_SQRT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Wait:
    """A waiting time W that is zero with probability 1 - p and else exponential: P(W > x) = p exp(-p x / E[W])."""

    probability: Array
    """Probability p that a request waits at all [1]."""
    mean_s: Array
    """E[W] over all requests, those that do not wait among them [s]; infinite where the queue has no end."""

    def quantile_s(self, q: float) -> Array:
        """Return the quantile x with P(W > x) = 1 - q.

        x = E[W]/p ln(p/(1 - q)), and 0 where p <= 1 - q.

        Parameters
        ----------
        q : probability [1], below 1.

        Returns
        -------
        Array
            Wait [s]; infinite where the mean is and any wait is that likely.
        """
        over = np.maximum(self.probability / (1.0 - q), 1.0)
        with np.errstate(invalid="ignore"):
            x = self.mean_s / np.maximum(self.probability, np.finfo(np.float64).tiny) * np.log(over)
        return np.asarray(np.where(over > 1.0, x, 0.0))


def prefill_wait(requests_per_s: Array, work_mean_s: Array, work_second_moment_s2: Array) -> Wait:
    """Return the wait in the prefill queue of a rank, M/G/1.

    E[W] = lambda E[S^2] / (2 (1 - rho)), rho = lambda E[S] (Pollaczek-Khinchine). The tail is taken as exponential,
    which it is where S is.

    Parameters
    ----------
    requests_per_s : Poisson arrivals lambda at one data-parallel rank [1/s].
    work_mean_s, work_second_moment_s2 : engine time S that a prompt takes, E[S] [s] and E[S^2] [s^2].

    Returns
    -------
    Wait
        p = rho; infinite where rho >= 1.

    References
    ----------
    L. Kleinrock, "Queueing Systems", volume 1 (1975), section 5.6.
    """
    rho = requests_per_s * work_mean_s
    free = np.maximum(1.0 - rho, 0.0)
    with np.errstate(divide="ignore"):
        mean = np.where(free > 0.0, 0.5 * requests_per_s * work_second_moment_s2 / free, np.inf)
    return Wait(np.asarray(np.minimum(rho, 1.0)), np.asarray(mean))


def closed_wait_quantile_s(queue: Wait, others: Array, prompt_s: Array, longest_s: Array, q: float) -> Array:
    """Return a quantile of the wait in the prefill queue of a closed loop.

    A request that joins a first-come queue waits for requests that are in flight at that moment, and each of those is
    read once before it: with C in flight at most C - 1 prompts. So the tail of an open queue, which has no end, holds
    only while it is short against that bound M. When the queue is long, those of the others that are not in it are
    decoding; they leave one every prompt time S and are about Poisson distributed with mean r = C - 1 - E[W]/S, so that
    Var[W] = r S^2 = S (M - E[W]): a saturated queue hardly varies, and its median is about its mean. The wait of those
    that wait at all is the exponential of the open queue, or, where this variance is smaller, a gamma distribution
    with it (its quantile by Wilson and Hilferty); never beyond M.

    Parameters
    ----------
    queue : wait in the queue of an open loop at the same rate.
    others : share of the requests in flight that a request meets, (C - 1) / C [1].
    prompt_s : time S in which one prompt is read [s].
    longest_s : bound M on the wait [s].
    q : probability [1].

    Returns
    -------
    Array
        Wait [s], at most M where the mean is.

    References
    ----------
    Sevcik and Mitrani, Journal of the ACM 28 (1981) 358 (an arrival meets the other C - 1);
    Wilson and Hilferty, PNAS 17 (1931) 684.
    """
    mean = others * queue.mean_s
    if_any = mean / np.maximum(queue.probability, np.finfo(np.float64).tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = np.sqrt(prompt_s * np.maximum(longest_s - mean, 0.0)) / if_any
        inside = 1.0 - (1.0 - q) / queue.probability
    waits = inside > 0.0
    third = np.where(waits & (cv < 1.0), cv, 0.0) / 3.0
    z = normal_quantile(np.where(waits, np.minimum(inside, q), 0.5))
    gamma = if_any * np.maximum(1.0 - np.square(third) + z * third, 0.0) ** 3
    quantile = np.where(cv < 1.0, np.where(waits, gamma, 0.0), others * queue.quantile_s(q))
    return np.asarray(np.minimum(quantile, np.maximum(longest_s, mean)))


def slot_wait(offered: Array, places: Array, hold_s: Array, hold_cv: Array) -> Wait:
    """Return the wait for a place in the running batch, a queue with many servers.

    Erlang C by its limit for many servers, P(W > 0) = 1 / (1 + b Phi(b) / phi(b)), b = (c - a) / sqrt(a);
    E[W] = P(W > 0) (1 + cv^2) / 2 hold / (c - a) (Allen-Cunneen with Poisson arrivals).

    Parameters
    ----------
    offered : places a that are busy on average [1].
    places : places c in the batch, not rounded [1].
    hold_s : mean time a sequence holds its place [s].
    hold_cv : coefficient of variation of that time [1].

    Returns
    -------
    Wait
        Infinite mean where a >= c. The limit is a quarter off Erlang C at 10 places and 5 % off at 1,000.

    References
    ----------
    S. Halfin, W. Whitt, "Heavy-traffic limits for queues with many exponential servers", Operations Research 29 (1981)
    567-588. A. O. Allen, "Probability, Statistics, and Queueing Theory", 2nd edition (1990).
    """
    free = np.maximum(places - offered, 0.0)
    b = np.minimum(free / np.sqrt(np.maximum(offered, np.finfo(np.float64).tiny)), _LARGEST_B)
    density = np.exp(-0.5 * np.square(b)) / _SQRT_2PI
    probability = density / (density + b * normal_cdf(b))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(free > 0.0, probability * 0.5 * (1.0 + np.square(hold_cv)) * hold_s / free, np.inf)
    return Wait(np.asarray(probability), np.asarray(mean))


_LARGEST_B = 30.0
"""Beyond this the wait's probability is below 1e-196."""
