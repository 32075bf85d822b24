"""How the GPUs of a benchmark run are split into replicas and pools where its row does not say."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from planner.loadtest.layouts import Pool, most_asked, whole_splits
from planner.loadtest.run import Run, choices, layouts
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.closed_loop import Traffic
from planner.serving.disaggregated import Pools, shown_by_pools
from planner.serving.normal import Array, Mask
from planner.serving.replica import Replica, build_replica, prompt_transfer_s
from planner.serving.slo import largest_running
from planner.serving.steady_state import length_quantiles, load_at

_LOOKED_AT = 65
"""Splits of a run that are looked at at once; where there are more, the neighbourhood of the best one is next."""


def has_room(replica: Replica) -> Mask:
    """Return where a replica holds one sequence at least."""
    return np.asarray(replica.memory.max_running_sequences >= 1.0)


def pools_of(cases: Cases, runs: Sequence[Run]) -> tuple[Pools, Cases]:
    """Return (the pools of runs, the cases of their prefill workers); `cases` are those of the decode workers."""
    reading = dataclasses.replace(cases, layout=layouts(runs, of_prefill=True))
    workers = np.asarray([[run.pool.workers if run.pool else np.nan, run.replicas] for run in runs]).T
    transfer = prompt_transfer_s(reading, cases, workers[0], workers[1])
    return Pools(build_replica(reading), build_replica(cases), workers[0], workers[1], transfer), reading


def traffic_of(runs: Sequence[Run]) -> Traffic:
    """Return how requests are sent to both pools of each run."""
    concurrency, rate = (np.asarray([run.numbers[name] for run in runs]) for name in ("concurrency", "request_rate"))
    return Traffic(concurrency, rate, np.zeros(len(runs), dtype=bool))


def with_layouts(runs: Sequence[Run], cases: Cases) -> list[Run]:
    """Give every run whose layout is open one of its `choices`.

    Where a run asks for the most its GPUs can do, that with most requests per second; else the smallest tensor
    parallelism whose memory holds the run. Where none holds it, the last.
    """
    found = list(runs)
    tried = {i: choices(run) for i, run in enumerate(runs) if run.layout is None}
    each = [choice for some in tried.values() for choice in some]
    if not each:
        return found
    index = np.asarray([i for i, some in tried.items() for _ in some], dtype=np.intp)
    rates, start = _most_per_s(dataclasses.replace(cases.rows(index), layout=layouts(each)), each), 0
    for i, some in tried.items():
        own = rates[start : start + len(some)]
        start += len(some)
        best = np.argmax(own if most_asked(runs[i].numbers) else own > 0.0)  # the first of equals
        found[i] = some[best] if own[best] > 0.0 else some[-1]
    return found


def _most_per_s(cases: Cases, runs: Sequence[Run]) -> Array:
    """Return the most requests per second of each run, of one pool or two; minus infinity where it does not fit."""
    with ignoring_float_errors():
        replica, replicas = build_replica(cases), np.asarray([run.replicas for run in runs])
        most = load_at(replica, largest_running(replica)).answers_per_s * replicas
        found = np.where(has_room(replica), most, -np.inf)
    index = np.flatnonzero([run.pool is not None for run in runs])
    if index.size:
        found[index] = _rates(cases.rows(index), [runs[i] for i in index.tolist()])
    return found


def with_splits(runs: Sequence[Run], cases: Cases) -> list[Run]:
    """Give every run whose GPUs are yet to be split the whole workers that serve most requests per second.

    A closed loop is judged by its own requests per second, any other run by the most it can serve. More readers
    shorten the first token and leave fewer writers: the rate has one peak, so the best of a few splits is closed in on.
    """
    found = list(runs)
    ranges = {i: splits(run) for i, run in enumerate(runs) if run.pool and math.isnan(run.pool.workers)}
    while ranges:
        tried = {i: one[:: max(1, math.ceil(len(one) / _LOOKED_AT))] for i, one in ranges.items()}
        index = np.asarray([i for i, some in tried.items() for _ in some], dtype=np.intp)
        each = [_split(runs[i], readers) for i, some in tried.items() for readers in some]
        rates, start = _rates(cases.rows(index), each), 0
        for i, some in tried.items():
            best = int(np.argmax(rates[start : start + len(some)]))
            found[i] = each[start + best]
            start += len(some)
            last = min(some[best] + some.step, ranges[i][-1])
            around = range(some[max(best - 1, 0)], last + 1, ranges[i].step)
            ranges[i] = around if some.step > ranges[i].step else range(0)
        ranges = {i: one for i, one in ranges.items() if one}
    return found


def splits(run: Run) -> range:
    """Return the numbers of prefill workers that leave whole decode workers of a run's GPUs; at least one of each."""
    if run.pool is None or run.layout is None:
        return range(0)
    return whole_splits(run.numbers["gpus"], run.pool.layout.gpus, run.layout.gpus)


def _split(run: Run, readers: int) -> Run:
    if run.pool is None or run.layout is None:
        return run
    writers = (run.numbers["gpus"] - readers * run.pool.layout.gpus) / run.layout.gpus
    return dataclasses.replace(run, replicas=writers, pool=Pool(run.pool.layout, float(readers)))


def _rates(cases: Cases, runs: Sequence[Run]) -> Array:
    """Return the requests per second of two pools, an open loop's without its limit; minus infinity for none."""
    with ignoring_float_errors():
        (pools, _), traffic = pools_of(cases, runs), traffic_of(runs)
        most = dataclasses.replace(traffic, rate=np.full_like(traffic.rate, np.nan))
        room = has_room(pools.decode) & has_room(pools.prefill)
        rates = shown_by_pools(pools, length_quantiles(cases), room, most).requests_per_s
    return np.asarray(np.nan_to_num(rates, nan=-np.inf))
