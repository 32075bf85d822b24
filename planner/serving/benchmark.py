"""What a benchmark shows on one replica: closed loop (requests in flight), open loop (a rate), or all it can do."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planner.physics.roots import solve_increasing
from planner.physics.special import Array, Mask
from planner.serving.replica import Replica
from planner.serving.steady import QUANTILES, Lengths, Load, latency_at, load_at, running_for_rate, ttft_mean_s

OPENING_ROUNDS = 10.0
"""Requests of a closed-loop run over its concurrency: what InferenceX and most published runs send (num_prompts)."""
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
    running, waiting = _operating_point(replica, concurrency, rate)
    load = load_at(replica, np.where(fits, running, np.nan))
    closed = ~np.isnan(concurrency)
    full = load.running >= replica.memory.max_running_sequences * _ALL_BUT_FULL
    endless = ~closed & full

    def first(name: str) -> Array:
        def ttft(of: Replica, at: Load) -> Array:
            return ttft_mean_s(of, at) if name == "mean" else latency_at(of, lengths, at, name).ttft

        value = np.where(closed, _closed(replica, load, concurrency, name, ttft) + waiting, ttft(replica, load))
        return np.where(endless | ~np.isfinite(value), np.nan, value)

    overloaded = endless & ~np.isnan(rate) & (load.answers_per_s < rate * _ALL_BUT_FULL)
    tpot = latency_at(replica, lengths, load, "p99").tpot
    return Shown(load, first("mean"), first("p50"), first("p99"), tpot, overloaded)


def _operating_point(replica: Replica, concurrency: Array, rate: Array) -> tuple[Array, Array]:
    """Return (running batch, time a closed loop spends waiting for a place beyond what the queues say).

    Closed loop: C = lambda (E[TTFT] + E[decode]) (Little's law over all requests in flight), at most the
    running limit; what exceeds it waits. Open loop: the batch that serves the rate. Neither: the limit.
    """
    largest = replica.memory.max_running_sequences
    top = np.log(largest)

    def excess(log_running: Array, given: tuple[Replica, Array]) -> Array:
        replica, concurrency = given
        load = load_at(replica, np.exp(log_running))
        return np.asarray(np.log(load.answers_per_s * _cycle_s(replica, load, concurrency) / concurrency))

    most = np.minimum(top, np.log(concurrency))
    closed = np.exp(solve_increasing(excess, most - _WIDEST, most, (replica, concurrency)))
    opened = running_for_rate(replica, rate, largest)
    running = np.where(np.isnan(concurrency), np.where(np.isnan(rate), largest, opened), closed)
    load = load_at(replica, running)
    surplus = concurrency / load.answers_per_s - _cycle_s(replica, load, concurrency)
    return running, np.where(np.isnan(concurrency), 0.0, np.maximum(surplus, 0.0))


def _cycle_s(replica: Replica, load: Load, concurrency: Array) -> Array:
    """Return the mean time a closed-loop request takes from sending to its last token, places permitting."""
    decode = (replica.tokens.generated_tokens_mean - 1.0) * load.step_s
    return np.asarray(closed_ttft_mean_s(replica, load, concurrency) + decode)


def closed_ttft_mean_s(replica: Replica, load: Load, concurrency: Array) -> Array:
    """Return the mean TTFT of a closed loop [s] without the wait for a place."""
    return _closed(replica, load, concurrency, "mean", ttft_mean_s)


def _closed(
    replica: Replica, load: Load, concurrency: Array, name: str, ttft: Callable[[Replica, Load], Array]
) -> Array:
    """Return a TTFT of a closed loop without the wait for a place: C requests meet the queue of the other C - 1."""
    places = np.full_like(load.running, np.inf)
    roomy = replace(replica, memory=replace(replica.memory, max_running_sequences=places))
    alone = ttft(roomy, replace(load, answers_per_s=np.zeros_like(load.running)))
    others = np.maximum(concurrency - 1.0, 0.0) / concurrency
    return np.asarray(alone + (ttft(roomy, load) - alone) * others + _opening_s(replica, load, concurrency, name))


def _opening_s(replica: Replica, load: Load, concurrency: Array, name: str) -> Array:
    """Return what the opening of a closed loop adds to TTFT.

    All C requests arrive at once and are read one after the other: the last one waits W = (C - 1) prompts,
    those between evenly less. They are 1 in OPENING_ROUNDS of the run's requests; the mean and the quantiles are
    those of the mixture.
    """
    held = np.minimum(concurrency, replica.memory.max_running_sequences) / (replica.ranks / replica.stages)
    prompt = replica.tokens.prefill_tokens_mean * load.prefill_work_s
    last = np.maximum(held - 1.0, 0.0) * prompt
    if name == "mean":
        return np.asarray(last / 2.0 / OPENING_ROUNDS)
    return np.asarray(last * max(0.0, 1.0 - (1.0 - QUANTILES[name]) * OPENING_ROUNDS))
