"""The highest load of a replica within its SLO, and what binds it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce

import numpy as np

from planner.serving.columns import SloColumns
from planner.serving.normal import Array, Mask
from planner.serving.replica import Replica
from planner.serving.roots import solve_increasing
from planner.serving.steady_state import IDLE_FRACTION, METRICS, QUANTILES, Latency, Lengths, latency_at, load_at

_LARGEST_RATIO = 1e30
_NO_LIMIT = np.zeros(())
_FIRST_LOOK = 0.1
"""The solver looks at a quarter of the largest batch first (a tenth of 13.8 in logarithms)."""


@dataclass(frozen=True, eq=False)
class Capacity:
    """The highest load of a replica within its SLO; of two pools that of a decode replica."""

    running: Array
    """NaN where no load meets the SLO or nothing fits."""
    meets_slo: Mask
    largest_running: Array
    smallest_running: Array
    """The load of a nearly idle replica."""
    prefill_share: Array
    """Load of a replica of the prefill pool, over the most it can take; NaN where there is no such pool."""


class Limit(IntEnum):
    """What binds. kv_cache, max_sequences and prefill (the step's token budget) bind throughput."""

    NONE = 0
    MEMORY = 1
    KV_CACHE = 2
    MAX_SEQUENCES = 3
    PREFILL = 4
    TTFT = 5
    TPOT = 6
    TIME_TO_ANSWER = 7
    E2E = 8
    CONTEXT = 9
    MAX_GPUS = 10
    PRICE_MISSING = 11
    DOES_NOT_START = 12


LIMITS = ("", *(limit.name.lower() for limit in Limit if limit))
"""The words of `Limit` as they stand in results, in its order."""


def slo_ratios(replica: Replica, lengths: Lengths, slo: SloColumns, running: Array) -> dict[str, Array]:
    """Return latency over its limit, by metric, at a running batch; see `ratios_of`."""
    load = load_at(replica, running)
    return ratios_of(lambda p, to_the_end: latency_at(replica, lengths, load, p, to_the_end=to_the_end), slo)


def ratios_of(latencies: Callable[[str, bool], Latency], slo: SloColumns) -> dict[str, Array]:
    """Return latency over its limit for each metric that has one.

    Parameters
    ----------
    latencies : latencies [s] as a function of the percentile's name and of whether those of whole answers are needed:
        the root finder asks often, and most limits are on the first token.
    slo : limits [s]; NaN does not bind.

    Returns
    -------
    dict[str, Array]
        Metric -> worst ratio over its percentiles [1]; above 1 misses the limit, 0 where a case has none.
    """
    ratios: dict[str, Array] = {}
    for percentile in QUANTILES:
        columns = {metric: getattr(slo, f"{metric}_{percentile}_s") for metric in METRICS}
        limits = {metric: limit for metric, limit in columns.items() if not np.all(np.isnan(limit))}
        if not limits:
            continue
        to_the_end = not limits.keys() <= {"ttft", "tpot"}
        latency = latencies(percentile, to_the_end)
        for metric, limit in limits.items():
            ratio = getattr(latency, metric) / limit
            ratios[metric] = np.fmax(ratios.get(metric, _NO_LIMIT), ratio)
    return ratios


def slo_capacity(replica: Replica, lengths: Lengths, slo: SloColumns) -> Capacity:
    """Return the highest load within the SLO, solved in the logarithm of the running batch.

    Every latency grows with the batch, so there is one largest batch that meets all limits. Batches span six decades:
    in the logarithm a bracket of 13.8 is halved evenly.

    Parameters
    ----------
    replica : one replica of each case.
    lengths : quantiles of the lengths [tokens].
    slo : limits [s]; NaN does not bind.

    Returns
    -------
    Capacity
        Running batches [1]; `running` is NaN where not even an all but idle replica meets the limits, or nothing fits.
    """
    largest = largest_running(replica)
    top = np.log(np.maximum(largest, np.finfo(np.float64).tiny))

    def excess(log_running: Array, inputs: tuple[Replica, Lengths, SloColumns]) -> Array:
        return excess_of(slo_ratios(*inputs, np.exp(log_running)))

    bottom = top + math.log(IDLE_FRACTION)
    inputs = (replica, lengths, without_unset_limits(slo))
    log_best = solve_increasing(excess, bottom, top, inputs, first=_FIRST_LOOK) if has_limit(slo) else top
    meets = (log_best > bottom) & (largest > 0.0)
    running = np.where(meets, np.exp(log_best), np.nan)
    return Capacity(running, meets, np.asarray(largest), np.exp(bottom), prefill_share=np.asarray(np.nan))


def excess_of(ratios: dict[str, Array]) -> Array:
    """Return how far the worst ratio r is beyond 1, as 1 - 1/r [1]: what the solvers bring to zero.

    An infinite wait would be no number to interpolate with; 1 - 1/r is at most 1, and falls to -1e30 where r is 0.
    """
    worst = reduce(np.maximum, ratios.values())
    return np.asarray(1.0 - 1.0 / np.clip(worst, 1.0 / _LARGEST_RATIO, _LARGEST_RATIO))


def has_limit(slo: SloColumns) -> bool:
    """Return whether any case has a limit."""
    return not all(np.all(np.isnan(column)) for _, column in slo.items())


def without_unset_limits(slo: SloColumns) -> SloColumns:
    """Return the limits, those that no case has as single numbers [s]: the solver carries arrays along, not numbers."""
    return slo.map(lambda column: np.asarray(np.nan) if np.all(np.isnan(column)) else column)


def _prefill_limit(replica: Replica) -> Array:
    """Return the running batch at which every step is full of prefill tokens [1]."""
    return np.asarray(
        replica.ranks * replica.token_budget / np.maximum(replica.prefill_tokens_per_decode, np.finfo(np.float64).tiny)
    )


def largest_running(replica: Replica) -> Array:
    """Return the largest running batch [1]: the running limit, or less where steps are full of prefill before that."""
    return np.minimum(replica.memory.max_running_sequences, _prefill_limit(replica))


def throughput_limit(replica: Replica) -> Array:
    """Return what sets the largest running batch, as the number of a `Limit`."""
    prefill_first = _prefill_limit(replica) <= replica.memory.max_running_sequences
    return np.where(prefill_first, Limit.PREFILL, running_limit(replica))


def binding_limit(replica: Replica, lengths: Lengths, slo: SloColumns, capacity: Capacity) -> Array:
    """Return what keeps the load from rising, or what fails at the smallest load, as the number of a `Limit`.

    Parameters
    ----------
    replica, lengths, slo : as in `slo_capacity`.
    capacity : what `slo_capacity` returned for them.

    Returns
    -------
    Array
        Numbers of `Limit`. Whether a case fits at all is not asked here; see `fleet.sizing`.
    """
    running = np.where(capacity.meets_slo, capacity.running, capacity.smallest_running)
    by_slo = worst_metric(slo_ratios(replica, lengths, slo, running), METRICS)
    at_top = capacity.meets_slo & (capacity.running >= capacity.largest_running * _ALL_BUT_FULL)
    return np.where(at_top, throughput_limit(replica), by_slo)


def worst_metric(ratios: dict[str, Array], metrics: Sequence[str]) -> Array:
    """Return the metric that is nearest to its limit, or farthest beyond it, as the number of a `Limit`."""
    stack = np.stack(np.broadcast_arrays(*(ratios.get(metric, _NO_LIMIT) for metric in metrics)))
    worst = np.argmax(np.nan_to_num(stack, posinf=_LARGEST_RATIO), axis=0)
    return np.asarray(np.take([Limit[metric.upper()] for metric in metrics], worst))


def running_limit(replica: Replica) -> Array:
    """Return what keeps the running batch from growing, the cache or the engine, as the number of a `Limit`."""
    memory = replica.memory
    engine_first = memory.max_running_sequences < memory.sequences_that_fit
    return np.where(engine_first, Limit.MAX_SEQUENCES, Limit.KV_CACHE)


_ALL_BUT_FULL = 1.0 - 1e-9
