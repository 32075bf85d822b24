"""How many replicas, spares, nodes and GPUs."""

from dataclasses import dataclass

import numpy as np

from planner.serving.normal import Array, normal_quantile

_EXACT_MEAN, _EXACT_SPARES = 40.0, 160
"""Fleets with fewer replicas down on average are summed exactly, over this many spares at most."""


@dataclass(frozen=True, eq=False)
class Fleet:
    """The machines of a pool, or of both pools."""

    replicas: Array
    """Needed at the peak with headroom, without spares."""
    spare_replicas: Array
    gpus: Array
    """Reserved for the peak."""
    nodes: Array
    """Units that the offer sells; NaN where sold per GPU."""
    billed_gpus: Array
    """GPUs that are paid for: those reserved for the peak, or the mean."""
    mean_gpus: Array
    """Mean over the hours of the GPUs that each needs; NaN where the mean is not what is paid."""


def replicas_for_peak(peak_answers_per_s: Array, replica_answers_per_s: Array, headroom: Array) -> Array:
    """Return ceil(peak / (capacity (1 - headroom))), at least 1, from rates [1/s] and a share [1].

    Parameters
    ----------
    peak_answers_per_s : rate in the peak hour [1/s].
    replica_answers_per_s : the most one replica serves within the SLO [1/s], > 0; infinite where it has no work.
    headroom : share of a replica's capacity that stays free [1], in 0..1, 1 excluded.

    Returns
    -------
    Array
        Replicas, spares not included [1]; NaN where a rate is.
    """
    return np.asarray(
        np.maximum(np.ceil(peak_answers_per_s / (replica_answers_per_s * (1.0 - headroom)) * (1.0 - _ROUNDING)), 1.0)
    )


_ROUNDING = 1e-12
"""A need of exactly n replicas must not become n + 1 through rounding."""


def replica_availability(gpus_per_replica: Array, failures_per_gpu_hour: Array, repair_hours: Array) -> Array:
    """Return the share of time a replica is up [1], 1 / (1 + failures x GPUs x repair): any GPU down takes it down.

    Parameters
    ----------
    gpus_per_replica : GPUs of a replica [1].
    failures_per_gpu_hour : failures of one GPU [1/h].
    repair_hours : until a failed replica is back [h].

    Returns
    -------
    Array
        Share of time [1], in 0..1: mean time between failures over that and the repair.

    References
    ----------
    Steady-state availability of an alternating renewal process: R. E. Barlow, F. Proschan, "Statistical Theory of
    Reliability and Life Testing", 1975, chapter 7.
    """
    return np.asarray(1.0 / (1.0 + failures_per_gpu_hour * gpus_per_replica * repair_hours))


def spare_replicas(replicas: Array, up: Array, target: Array) -> Array:
    """Return the smallest k with P(at least `replicas` of replicas + k are up) >= target.

    The failures met before `replicas` successes are negative binomial: P(k) = C(R + k - 1, k) up^R down^k.
    Fleets that lose fewer than 40 replicas at a time are summed exactly; larger fleets use the normal
    quantile with the Cornish-Fisher skewness term.

    Parameters
    ----------
    replicas : replicas R needed [1], whole.
    up : probability that one is up [1], in 0..1.
    target : probability that enough are up [1], below 1.

    Returns
    -------
    Array
        Spares k [1], whole.

    References
    ----------
    Negative binomial distribution: N. L. Johnson, A. W. Kemp, S. Kotz, "Univariate Discrete Distributions", chapter 5;
    E. A. Cornish, R. A. Fisher, "Moments and cumulants in the specification of distributions", 1938.
    """
    replicas, up, target = np.broadcast_arrays(replicas, up, target)
    down = 1.0 - up
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        term = np.exp(replicas * np.log(up))
        reached, spares = term, np.where(term >= target, 0.0, np.nan)
        small = replicas * down < _EXACT_MEAN
        for k in range(1, _EXACT_SPARES + 1):
            if not np.any(np.isnan(spares) & small):
                break
            term = term * (replicas + k - 1.0) / k * down
            reached = reached + term
            spares = np.where(np.isnan(spares) & (reached >= target), float(k), spares)
        if not np.any(np.isnan(spares)):
            return spares
        z = normal_quantile(target) if np.ndim(target) == 0 else _quantile_of(target)
        mean = replicas * down / up
        large = np.ceil(mean + z * np.sqrt(mean / up) + (np.square(z) - 1.0) / 6.0 * (1.0 + down) / up)
    return np.asarray(np.where(np.isnan(spares), large, spares))


def _quantile_of(target: Array) -> Array:
    """Return normal quantiles, computed once per distinct target."""
    values, index = np.unique(target, return_inverse=True)
    return np.asarray(normal_quantile(values)[index].reshape(np.shape(target)))


def billed_gpus(
    total_replicas: Array, gpus_per_replica: Array, gpus_per_unit: Array, sells_units: Array
) -> tuple[Array, Array]:
    """Return (GPUs billed [1], units billed [1]): whole nodes or instances where the offer sells them.

    A replica smaller than a unit shares it with others, a larger one takes whole units of its own.

    Parameters
    ----------
    total_replicas : replicas with their spares [1].
    gpus_per_replica, gpus_per_unit : GPUs of a replica, and of the unit that is sold [1], > 0.
    sells_units : 1 where units are sold whole, 0 where GPUs are sold one by one [1].

    Returns
    -------
    tuple[Array, Array]
        GPUs that are paid for, and units; units are NaN where GPUs are sold one by one.
    """
    # replicas that share a unit
    replicas_per_unit = np.floor(gpus_per_unit / gpus_per_replica)
    # smaller replicas share units, a larger one takes whole units
    whole_units = np.where(
        replicas_per_unit > 0.0,
        np.ceil(total_replicas / np.maximum(replicas_per_unit, 1.0)),
        total_replicas * np.ceil(gpus_per_replica / gpus_per_unit),
    )
    # whole nodes where the offer sells nodes
    gpus = np.where(sells_units > 0.0, whole_units * gpus_per_unit, total_replicas * gpus_per_replica)
    # none where GPUs are sold one by one
    units_billed = np.where(sells_units > 0.0, whole_units, np.nan)
    return np.asarray(gpus), np.asarray(units_billed)
