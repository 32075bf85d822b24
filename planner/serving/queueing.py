"""Waiting: the prefill queue (M/G/1) and the wait for a place in the running batch (many servers)."""

import math
from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array, normal_cdf

_SQRT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Wait:
    """A waiting time that is zero with probability 1 - p and else exponential."""

    probability: Array
    mean_s: Array

    def quantile_s(self, q: float) -> Array:
        """Return x with P(W > x) = 1 - q, from P(W > x) = p exp(-p x / E[W])."""
        over = np.maximum(self.probability / (1.0 - q), 1.0)
        with np.errstate(invalid="ignore"):
            x = self.mean_s / np.maximum(self.probability, np.finfo(np.float64).tiny) * np.log(over)
        return np.asarray(np.where(over > 1.0, x, 0.0))


def prefill_wait(requests_per_s: Array, work_mean_s: Array, work_second_moment_s2: Array) -> Wait:
    """Return the wait of M/G/1: E[W] = lambda E[S^2] / (2 (1 - rho)) (Pollaczek-Khinchine).

    Parameters
    ----------
    requests_per_s : arrivals at one data-parallel rank [1/s].
    work_mean_s, work_second_moment_s2 : engine time one prompt takes [s], [s^2].
    """
    rho = requests_per_s * work_mean_s
    free = np.maximum(1.0 - rho, 0.0)
    with np.errstate(divide="ignore"):
        mean = np.where(free > 0.0, 0.5 * requests_per_s * work_second_moment_s2 / free, np.inf)
    return Wait(np.asarray(np.minimum(rho, 1.0)), np.asarray(mean))


def slot_wait(offered: Array, places: Array, hold_s: Array, hold_cv: Array) -> Wait:
    """Return the wait for one of `places` in the running batch when `offered` are busy on average.

    Erlang C by the Halfin-Whitt limit, P(W > 0) = 1 / (1 + b Phi(b) / phi(b)), b = (c - a) / sqrt(a);
    E[W] = P (1 + cv^2) / 2 hold / (c - a) (Allen-Cunneen with Poisson arrivals).

    References
    ----------
    Halfin and Whitt, Operations Research 29 (1981) 567; Allen, Probability, Statistics and Queueing Theory (1990).
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
