"""The most two pools serve within their SLO: how busy a prefill replica may be, and what that leaves a decode replica.

The pools meet in the time to first token alone: prefill, the wait for a place to decode and the transfer all count in
it, and it counts in every latency of a whole answer. So the load of the prefill pool is chosen, the largest batch of a
decode replica follows, and the pair that takes the fewest GPU-seconds is kept.
"""

import math

import numpy as np
from numpy.typing import NDArray

from planner.serving.columns import SloColumns
from planner.serving.disaggregated import PrefillPool, ttft_of_pools
from planner.serving.normal import Array, Mask
from planner.serving.replica import Replica
from planner.serving.roots import solve_increasing
from planner.serving.slo import (
    Capacity,
    Limit,
    excess_of,
    has_limit,
    ratios_of,
    running_limit,
    without_unset_limits,
    worst_metric,
)
from planner.serving.steady_state import IDLE_FRACTION, Lengths, latency_after, load_at

SHARE_GRID_POINTS = 12
"""Loads of a prefill replica that are tried at once, from the largest down; then as many around the best."""
_SMALLEST_SHARE = 0.02
"""The smallest of them, over the largest."""
_ALL_BUT_FULL = 1.0 - 1e-9
_AT_ITS_LIMIT = 1.0 - 1e-6


def gpu_seconds(prefill: PrefillPool, decode: Replica, share: Array, running: Array) -> Array:
    """Return the GPU-seconds of an answer [s].

    Parameters
    ----------
    share : load of a prefill replica over the most it can take [1].
    running : running batch of a decode replica [1].
    """
    in_prefill = prefill.replica.gpus_per_replica / (share * prefill.most_answers_per_s)
    return np.asarray(in_prefill + decode.gpus_per_replica / load_at(decode, running).answers_per_s)


def _ratios(
    prefill: PrefillPool, decode: Replica, lengths: Lengths, slo: SloColumns, share: Array, running: Array
) -> dict[str, Array]:
    load = load_at(decode, running)
    ttft = ttft_of_pools(prefill, decode, lengths, prefill.load(share * prefill.most_answers_per_s), load)
    return ratios_of(lambda p, to_the_end: latency_after(ttft, decode, lengths, load, p, to_the_end=to_the_end), slo)


def pair_capacity(prefill: PrefillPool, decode: Replica, lengths: Lengths, slo: SloColumns) -> Capacity:
    """Return the loads of a prefill and a decode replica that take the fewest GPU-seconds within the SLO.

    One look at prefill loads from the largest down, one between the neighbours of the best. The largest is that at
    which an all but idle decode replica just meets the limits; without limits it is all a prefill replica can take.
    """
    most = decode.memory.max_running_sequences
    smallest = _smallest(decode)
    top, meets = largest_share(prefill, decode, lengths, slo)
    if not has_limit(slo):
        return Capacity(most, meets, np.asarray(most), smallest, top)
    top = top * _ALL_BUT_FULL
    grid = np.linspace(0.0, 1.0, SHARE_GRID_POINTS)
    shares = _on_top(1.0 - (1.0 - _SMALLEST_SHARE) * np.square(grid), top) * top
    running, best = best_share(prefill, decode, lengths, slo, shares)
    high, low = (_at(shares, np.clip(best + step, 0, SHARE_GRID_POINTS - 1)) for step in (-1, 1))
    between = _on_top(np.linspace(0.0, 1.0, SHARE_GRID_POINTS + 2)[1:-1], top)
    shares = np.concatenate([_at(shares, best)[None], low + (high - low) * between])
    running, best = best_share(prefill, decode, lengths, slo, shares)
    share, batch = (np.where(meets, _at(stack, best), np.nan) for stack in (shares, running))
    return Capacity(batch, meets, np.asarray(most), smallest, share)


def _smallest(decode: Replica) -> Array:
    """Return the running batch of a nearly idle decode replica."""
    return np.asarray(np.maximum(decode.memory.max_running_sequences, np.finfo(np.float64).tiny) * IDLE_FRACTION)


def largest_share(prefill: PrefillPool, decode: Replica, lengths: Lengths, slo: SloColumns) -> tuple[Array, Mask]:
    """Return (load of a prefill replica that just meets the limits beside an idle decode replica, whether any does).

    The load is a share of the most a prefill replica can take.
    """
    smallest = _smallest(decode)
    low = np.full_like(smallest + prefill.most_answers_per_s, math.log(IDLE_FRACTION))
    decodes = np.asarray(decode.memory.max_running_sequences > 0.0)
    if not has_limit(slo):
        return np.ones_like(low), decodes

    def excess(log_share: Array, of: tuple[PrefillPool, Replica, Lengths, SloColumns, Array]) -> Array:
        return excess_of(_ratios(*of[:4], np.exp(log_share), of[4]))

    given = (prefill, decode, lengths, without_unset_limits(slo), smallest)
    log_share = solve_increasing(excess, low, np.zeros_like(low), given)
    return np.exp(log_share), np.asarray((log_share > low) & decodes)


def _on_top(values: Array, below: Array) -> Array:
    """Return values along a new leading axis above the axes of an array."""
    return values.reshape((-1,) + (1,) * np.ndim(below))


def _at(stack: Array, index: NDArray[np.intp]) -> Array:
    """Return the entry of each case at its index along the leading axis."""
    return np.asarray(np.take_along_axis(stack, index[None], axis=0)[0])


def best_share(
    prefill: PrefillPool, decode: Replica, lengths: Lengths, slo: SloColumns, shares: Array
) -> tuple[Array, NDArray[np.intp]]:
    """Return (largest running batch of a decode replica at each share, position of the fewest GPU-seconds).

    `shares` are loads of a prefill replica, along the leading axis.
    """
    most = decode.memory.max_running_sequences
    top = np.log(np.maximum(most, np.finfo(np.float64).tiny)) + np.zeros_like(shares)

    def excess(log_running: Array, of: tuple[PrefillPool, Replica, Lengths, SloColumns, Array]) -> Array:
        return excess_of(_ratios(*of, np.exp(log_running)))

    bottom = top + math.log(IDLE_FRACTION)
    log_running = solve_increasing(excess, bottom, top, (prefill, decode, lengths, without_unset_limits(slo), shares))
    running = np.exp(log_running)
    seconds = np.where(log_running > bottom, gpu_seconds(prefill, decode, shares, running), np.inf)
    return running, np.argmin(np.nan_to_num(seconds, nan=np.inf), axis=0)


def pair_binding_limit(
    prefill: PrefillPool, decode: Replica, lengths: Lengths, slo: SloColumns, capacity: Capacity
) -> Array:
    """Return the index of the `Limit`: what keeps a decode replica's load from rising, or fails at the smallest."""
    share = np.where(capacity.meets_slo, capacity.prefill_share, IDLE_FRACTION)
    running = np.where(capacity.meets_slo, capacity.running, capacity.smallest_running)
    nothing = np.zeros_like(running)
    ratios = _ratios(prefill, decode, lengths, slo, share, running) if has_limit(slo) else {"ttft": nothing}
    of_decode = {name: ratio for name, ratio in ratios.items() if name != "ttft"} or {"tpot": nothing}
    decode_binds = np.any([ratio >= _AT_ITS_LIMIT for ratio in np.broadcast_arrays(*of_decode.values())], axis=0)
    at_top = capacity.running >= capacity.largest_running * _ALL_BUT_FULL
    by_slo = np.where(decode_binds, worst_metric(of_decode, tuple(of_decode)), Limit.TTFT)
    binds = np.where(at_top, running_limit(decode), by_slo)
    return np.where(capacity.meets_slo, binds, worst_metric(ratios, tuple(ratios)))
