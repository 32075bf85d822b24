"""The most two pools serve within their SLO: how far prompts may load a reader, and what that leaves a writer.

The pools meet in the time to first token alone: reading, waiting for a place to write and the transfer all count in it,
and it counts in every latency of a whole answer. So the load of the readers is chosen, the largest batch of a writer
follows, and the pair that takes the fewest GPU-seconds is kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.serving.columns import SloColumns
from planner.serving.disaggregated import Pools, most_requests_per_s
from planner.serving.normal import Array, Mask
from planner.serving.replica import Replica
from planner.serving.roots import solve_increasing
from planner.serving.slo import (
    Limit,
    excess_of,
    has_limit,
    ratios_of,
    running_limit,
    without_unset_limits,
    worst_metric,
)
from planner.serving.steady_state import (
    IDLE_FRACTION,
    QUANTILES,
    Latency,
    Lengths,
    Load,
    first_token_s,
    latency_after,
    load_at,
    waits,
)

SHARE_GRID_POINTS = 12
"""Loads of the readers that are looked at at once, from the largest down; then as many around the best."""
_LEAST_SHARE = 0.02
"""The smallest of them, over the largest."""
_ALL_BUT_FULL = 1.0 - 1e-9
_AT_ITS_LIMIT = 1.0 - 1e-6


@dataclass(frozen=True, eq=False)
class Pair:
    """A reader and a writer of two pools."""

    reader: Replica
    writer: Replica
    idle: Load
    """Of a reader with nothing to read."""
    most_answers_per_s: Array
    """Rate at which a reader does nothing but read."""
    transfer_s: Array

    def reading(self, share: Array) -> Load:
        """Return the load of a reader at a share of the most it can read; NaN where the share is."""
        rate = np.asarray(share * self.most_answers_per_s)
        return replace(self.idle, answers_per_s=rate, step_s=np.where(np.isnan(rate), np.nan, self.idle.step_s))

    def gpu_seconds(self, share: Array, running: Array) -> tuple[Array, Array]:
        """Return the GPU-seconds of an answer in (a reader at this load, a writer with this running batch)."""
        read = self.reader.gpus_per_replica / (share * self.most_answers_per_s)
        return np.asarray(read), np.asarray(self.writer.gpus_per_replica / load_at(self.writer, running).answers_per_s)


def pair_of(reader: Replica, writer: Replica, transfer_s: Array) -> Pair:
    """Return the pair of two replicas, of which the second is handed prompts that the first has read."""
    one = np.ones_like(reader.gpus_per_replica)
    pools = Pools(reader, writer, one, one, transfer_s)
    return Pair(reader, pools.writing(), pools.reading(np.zeros_like(one)), most_requests_per_s(pools), transfer_s)


def latencies_of(pair: Pair, lengths: Lengths, read: Load, written: Load) -> Callable[[str, bool], Latency]:
    """Return the latencies of both pools as a function of the percentile and of whether whole answers count.

    TTFT = that of the reader + the transfer of the prompt's cache + the wait for a place at the writer (quantiles of
    the waits are added: an upper bound).
    """
    read_s, places = first_token_s(pair.reader, lengths, read), waits(pair.writer, written)[1]

    def ttft(name: str) -> Array:
        return np.asarray(read_s(name) + pair.transfer_s + places.quantile_s(QUANTILES[name]))

    def at(percentile: str, to_the_end: bool) -> Latency:  # noqa: FBT001 - one flag, as in ratios_of
        return latency_after(ttft, pair.writer, lengths, written, percentile, to_the_end=to_the_end)

    return at


def _ratios(pair: Pair, lengths: Lengths, slo: SloColumns, share: Array, running: Array) -> dict[str, Array]:
    return ratios_of(latencies_of(pair, lengths, pair.reading(share), load_at(pair.writer, running)), slo)


@dataclass(frozen=True, eq=False)
class PairCapacity:
    """The loads of a reader and a writer that take the fewest GPU-seconds within the SLO."""

    share: Array
    """Of the reader, over the most it can read; NaN where no load meets the SLO."""
    running: Array
    """Of the writer; likewise."""
    meets_slo: Mask
    largest_running: Array
    smallest_running: Array
    """Of a writer that is all but idle."""


def pair_capacity(pair: Pair, lengths: Lengths, slo: SloColumns) -> PairCapacity:
    """Return the best loads of a pair: one look at loads from the largest down, one between the neighbours of the best.

    The largest is that at which an all but idle writer just meets the limits; without limits it is all a reader can.
    """
    most = pair.writer.memory.max_running_sequences
    smallest = _smallest(pair)
    top, meets = largest_share(pair, lengths, slo)
    if not has_limit(slo):
        return PairCapacity(top, most, meets, np.asarray(most), smallest)
    top = top * _ALL_BUT_FULL
    looks = np.linspace(0.0, 1.0, SHARE_GRID_POINTS)
    shares = _on_top(1.0 - (1.0 - _LEAST_SHARE) * np.square(looks), top) * top
    shares, running, best = _best(pair, lengths, slo, shares)
    high, low = (_picked(shares, np.clip(best + step, 0, SHARE_GRID_POINTS - 1)) for step in (-1, 1))
    between = _on_top(np.linspace(0.0, 1.0, SHARE_GRID_POINTS + 2)[1:-1], top)
    closer = np.concatenate([_picked(shares, best)[None], low + (high - low) * between])
    shares, running, best = _best(pair, lengths, slo, closer)
    share, batch = _picked(shares, best), _picked(running, best)
    share, batch = (np.where(meets, value, np.nan) for value in (share, batch))
    return PairCapacity(share, batch, meets, np.asarray(most), smallest)


def _smallest(pair: Pair) -> Array:
    """Return the running batch of a writer that is all but idle."""
    return np.asarray(np.maximum(pair.writer.memory.max_running_sequences, np.finfo(np.float64).tiny) * IDLE_FRACTION)


def largest_share(pair: Pair, lengths: Lengths, slo: SloColumns) -> tuple[Array, Mask]:
    """Return (load of a reader that just meets the limits beside an all but idle writer, whether any load does).

    The load is a share of the most a reader can read.
    """
    smallest = _smallest(pair)
    low = np.full_like(smallest + pair.most_answers_per_s, math.log(IDLE_FRACTION))
    writes = np.asarray(pair.writer.memory.max_running_sequences > 0.0)
    if not has_limit(slo):
        return np.ones_like(low), writes

    def excess(log_share: Array, of: tuple[Pair, Lengths, SloColumns, Array]) -> Array:
        return excess_of(_ratios(*of[:3], np.exp(log_share), of[3]))

    log_share = solve_increasing(excess, low, np.zeros_like(low), (pair, lengths, without_unset_limits(slo), smallest))
    return np.exp(log_share), np.asarray((log_share > low) & writes)


def _on_top(values: Array, below: Array) -> Array:
    """Return values along a new leading axis above the axes of an array."""
    return values.reshape((-1,) + (1,) * np.ndim(below))


def _picked(stack: Array, index: NDArray[np.intp]) -> Array:
    """Return the entry of each case at its index along the leading axis."""
    return np.asarray(np.take_along_axis(stack, index[None], axis=0)[0])


def _best(pair: Pair, lengths: Lengths, slo: SloColumns, shares: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """Return (shares, largest running batches of a writer at each, position of the fewest GPU-seconds)."""
    most = pair.writer.memory.max_running_sequences
    top = np.log(np.maximum(most, np.finfo(np.float64).tiny)) + np.zeros_like(shares)

    def excess(log_running: Array, of: tuple[Pair, Lengths, SloColumns, Array]) -> Array:
        return excess_of(_ratios(*of, np.exp(log_running)))

    bottom = top + math.log(IDLE_FRACTION)
    log_running = solve_increasing(excess, bottom, top, (pair, lengths, without_unset_limits(slo), shares))
    running = np.exp(log_running)
    seconds = np.where(log_running > bottom, sum(pair.gpu_seconds(shares, running)), np.inf)
    return shares, running, np.argmin(np.nan_to_num(seconds, nan=np.inf), axis=0)


def binding_limit_of(pair: Pair, lengths: Lengths, slo: SloColumns, found: PairCapacity) -> Array:
    """Return the index of the `Limit`: what keeps a writer's load from rising, or what fails at the smallest."""
    share = np.where(found.meets_slo, found.share, IDLE_FRACTION)
    running = np.where(found.meets_slo, found.running, found.smallest_running)
    ratios = _ratios(pair, lengths, slo, share, running) if has_limit(slo) else {"ttft": np.zeros_like(running)}
    of_writer = {name: ratio for name, ratio in ratios.items() if name != "ttft"} or {"tpot": np.zeros_like(running)}
    writes = np.any([ratio >= _AT_ITS_LIMIT for ratio in np.broadcast_arrays(*of_writer.values())], axis=0)
    at_top = found.running >= found.largest_running * _ALL_BUT_FULL
    by_slo = np.where(writes, worst_metric(of_writer, tuple(of_writer)), Limit.TTFT)
    binds = np.where(at_top, running_limit(pair.writer), by_slo)
    return np.where(found.meets_slo, binds, worst_metric(ratios, tuple(ratios)))
