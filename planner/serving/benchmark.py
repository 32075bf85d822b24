"""What a benchmark shows on one replica: closed loop (requests in flight), open loop (a rate), or all it can do."""

from dataclasses import dataclass, replace

import numpy as np

from planner.physics.roots import solve_increasing
from planner.physics.special import Array, Mask
from planner.serving.replica import Replica
from planner.serving.steady import Lengths, Load, latency_at, load_at, running_for_rate, ttft_mean_s

_WIDEST = 40.0
"""How far below the concurrency the running batch is looked for, in logarithms: answers of one token hardly run."""
_ALL_BUT_FULL = 1.0 - 1e-9


@dataclass(frozen=True, eq=False)
class Shown:
    """What the benchmark reports, per replica; NaN where there is no number."""

    load: Load
    ttft_mean_s: Array
    ttft_p50_s: Array
    ttft_p99_s: Array
    tpot_p99_s: Array
    overloaded: Mask
    """The rate asked for is above what the replica can serve."""


def shown(replica: Replica, lengths: Lengths, fits: Mask, concurrency: Array, rate: Array) -> Shown:
    """Return what a benchmark reports.

    Parameters
    ----------
    fits : where the replica holds the run at all; elsewhere every number is NaN.
    concurrency : requests in flight of a closed loop; NaN where it is none.
    rate : requests per second of an open loop; NaN where it is none. Both NaN: maximum load.
    """
    running, waiting = _operating_point(replica, lengths, concurrency, rate)
    load = load_at(replica, np.where(fits, running, np.nan))
    closed = ~np.isnan(concurrency)
    full = load.running >= replica.memory.max_running_sequences * _ALL_BUT_FULL
    endless = ~closed & full

    def first(name: str) -> Array:
        opened = ttft_mean_s(replica, load) if name == "mean" else latency_at(replica, lengths, load, name).ttft
        value = np.where(closed, _first_token_s(replica, lengths, load, concurrency, name) + waiting, opened)
        return np.where(endless | ~np.isfinite(value), np.nan, value)

    overloaded = endless & ~np.isnan(rate) & (load.answers_per_s < rate * _ALL_BUT_FULL)
    tpot = latency_at(replica, lengths, load, "p99").tpot
    return Shown(load, first("mean"), first("p50"), first("p99"), tpot, overloaded)


def _operating_point(replica: Replica, lengths: Lengths, concurrency: Array, rate: Array) -> tuple[Array, Array]:
    """Return (running batch, time a closed loop spends waiting for a place beyond what the queues say).

    Closed loop: C = lambda (E[TTFT] + E[decode]) (Little's law over all requests in flight), at most the
    running limit; what exceeds it waits. Open loop: the batch that serves the rate. Neither: the limit.
    """
    largest = replica.memory.max_running_sequences
    top = np.log(largest)

    def excess(log_running: Array, given: tuple[Replica, Lengths, Array]) -> Array:
        replica, lengths, concurrency = given
        load = load_at(replica, np.exp(log_running))
        return np.asarray(np.log(load.answers_per_s * _cycle_s(replica, lengths, load, concurrency) / concurrency))

    most = np.minimum(top, np.log(concurrency))
    closed = np.exp(solve_increasing(excess, most - _WIDEST, most, (replica, lengths, concurrency)))
    opened = running_for_rate(replica, rate, largest)
    running = np.where(np.isnan(concurrency), np.where(np.isnan(rate), largest, opened), closed)
    load = load_at(replica, running)
    surplus = concurrency / load.answers_per_s - _cycle_s(replica, lengths, load, concurrency)
    return running, np.where(np.isnan(concurrency), 0.0, np.maximum(surplus, 0.0))


def _cycle_s(replica: Replica, lengths: Lengths, load: Load, concurrency: Array) -> Array:
    """Return the mean time a closed-loop request takes from sending to its last token, places permitting."""
    decode = (replica.tokens.generated_tokens_mean - 1.0) * load.step_s
    return np.asarray(_first_token_s(replica, lengths, load, concurrency, "mean") + decode)


def _first_token_s(replica: Replica, lengths: Lengths, load: Load, concurrency: Array, name: str) -> Array:
    """Return TTFT without the wait for a place; a closed loop of C sees the queue of the other C - 1."""
    places = np.full_like(load.running, np.inf)
    roomy = replace(replica, memory=replace(replica.memory, max_running_sequences=places))
    idle = replace(load, answers_per_s=np.zeros_like(load.running))

    def ttft(at: Load) -> Array:
        return ttft_mean_s(roomy, at) if name == "mean" else latency_at(roomy, lengths, at, name).ttft

    others = np.where(np.isnan(concurrency), 1.0, np.maximum(concurrency - 1.0, 0.0) / concurrency)
    alone = ttft(idle)
    return np.asarray(alone + (ttft(load) - alone) * others)
