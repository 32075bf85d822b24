"""Disaggregated serving: prompts are read by one pool of workers, answers are written by another."""

from dataclasses import dataclass, replace

import numpy as np

from planner.serving.closed_loop import Traffic, closed_ttft_mean_s, closed_ttft_s, ttft_s
from planner.serving.normal import Array, Mask
from planner.serving.replica import Replica
from planner.serving.roots import solve_increasing
from planner.serving.slo import Limit, running_limit
from planner.serving.steady_state import QUANTILES, Lengths, Load, latency_at, load_at, running_for_rate, waits

_IDLE = 1e-15
"""Running batch of a worker that writes nothing."""
_WIDEST = 40.0
_ALL_BUT_FULL = 1.0 - 1e-9


@dataclass(frozen=True, eq=False)
class Pools:
    """A pool of equal workers that read prompts and one of equal workers that write answers."""

    prefill: Replica
    decode: Replica
    prefill_workers: Array
    decode_workers: Array
    transfer_s: Array
    """Time the cache of a mean prompt takes from one to the other."""

    def writing(self) -> Replica:
        """Return a decode worker: no step of it carries a prompt."""
        return replace(self.decode, prefill_tokens_per_decode=np.zeros_like(self.decode.prefill_tokens_per_decode))

    def reading(self, requests_per_s: Array) -> Load:
        """Return the load of a prefill worker at a rate of the whole: no decode runs beside its prompts."""
        idle = load_at(self.prefill, np.full_like(requests_per_s, _IDLE))
        return replace(idle, answers_per_s=requests_per_s / self.prefill_workers)


@dataclass(frozen=True, eq=False)
class PoolsShown:
    """What a benchmark reports of both pools together; NaN where there is no number."""

    requests_per_s: Array
    running: Array
    """Sequences that are being written, over all workers."""
    decode: Load
    """Of one decode worker."""
    ttft_mean_s: Array
    ttft_p50_s: Array
    ttft_p99_s: Array
    tpot_p99_s: Array
    overloaded: Mask
    limit: Array
    """Index of the `Limit`: what binds at maximum load and where overloaded; 0 elsewhere."""


def shown_by_pools(pools: Pools, lengths: Lengths, fits: Mask, traffic: Traffic) -> PoolsShown:
    """Return what a benchmark reports.

    Closed loop: C = lambda (E[TTFT] + (G - 1) TPOT); open loop: the rate; neither: what the tighter pool serves.
    An open loop's TTFT also holds the wait for a place in a decode worker. Where either pool is full, a first token
    waits without end: NaN.
    """
    writing = pools.writing()
    running = np.where(fits, _running(pools, writing, traffic), np.nan)
    load = load_at(writing, running)
    total = load.answers_per_s * pools.decode_workers
    waiting = np.maximum(traffic.concurrency / total - _cycle_s(pools, load, traffic.concurrency), 0.0)
    closed = ~np.isnan(traffic.concurrency)
    reading = pools.reading(total)
    prefill_full = total >= most_requests_per_s(pools) * _ALL_BUT_FULL
    decode_full = running >= writing.memory.max_running_sequences * _ALL_BUT_FULL
    endless = ~closed & (prefill_full | decode_full)
    places = waits(writing, load)[1]

    def ttft_of(name: str) -> Array:
        per_worker = traffic.concurrency / pools.prefill_workers
        in_loop = closed_ttft_s(pools.prefill, lengths, reading, per_worker, name, waiting)
        place = places.mean_s if name == "mean" else places.quantile_s(QUANTILES[name])
        opened = ttft_s(pools.prefill, lengths, reading, name) + place
        value = np.where(closed, in_loop, opened) + pools.transfer_s
        return np.where(endless | ~np.isfinite(value), np.nan, value)

    overloaded = endless & ~np.isnan(traffic.rate) & (total < traffic.rate * _ALL_BUT_FULL)
    binds = np.where(prefill_full, Limit.PREFILL, running_limit(writing))
    tpot = latency_at(writing, lengths, load, "p99").tpot
    return PoolsShown(
        requests_per_s=total,
        running=running * pools.decode_workers,
        decode=load,
        ttft_mean_s=ttft_of("mean"),
        ttft_p50_s=ttft_of("p50"),
        ttft_p99_s=ttft_of("p99"),
        tpot_p99_s=tpot,
        overloaded=overloaded,
        limit=np.where(endless, binds, Limit.NONE),
    )


def most_requests_per_s(pools: Pools) -> Array:
    """Return the rate of answers at which the prefill workers do nothing but read (`predict`: one request each)."""
    idle = load_at(pools.prefill, np.full_like(pools.prefill_workers, _IDLE))
    tokens = pools.prefill.tokens
    prompt = tokens.prefill_tokens_mean * tokens.requests_per_answer * idle.prefill_work_s
    return np.asarray(pools.prefill_workers * pools.prefill.ranks / pools.prefill.stages / np.maximum(prompt, 1e-30))


def _running(pools: Pools, writing: Replica, traffic: Traffic) -> Array:
    """Return the running batch of a decode worker."""
    limit = writing.memory.max_running_sequences
    fed = running_for_rate(writing, most_requests_per_s(pools) / pools.decode_workers, limit)
    asked = running_for_rate(writing, traffic.rate / pools.decode_workers, limit)
    concurrency = traffic.concurrency
    top = np.minimum(np.log(limit), np.log(concurrency / pools.decode_workers))

    def excess(log_running: Array, inputs: tuple[Pools, Array]) -> Array:
        of, requests = inputs
        load = load_at(of.writing(), np.exp(log_running))
        cycle = _cycle_s(of, load, requests)
        return np.asarray(np.log(np.minimum(load.answers_per_s * of.decode_workers * cycle / requests, 1e30)))

    looped = np.exp(solve_increasing(excess, top - _WIDEST, top, (pools, concurrency)))
    opened = np.where(np.isnan(traffic.rate), fed, np.minimum(asked, fed))
    return np.where(np.isnan(concurrency), opened, np.minimum(looped, fed))


def _cycle_s(pools: Pools, load: Load, concurrency: Array) -> Array:
    """Return the mean time of a request in a closed loop, from sending to its last token."""
    reading = pools.reading(load.answers_per_s * pools.decode_workers)
    first = closed_ttft_mean_s(pools.prefill, reading, concurrency / pools.prefill_workers)
    decode = (pools.decode.tokens.generated_tokens_mean - 1.0) * load.step_s
    return np.asarray(first + pools.transfer_s + decode)
