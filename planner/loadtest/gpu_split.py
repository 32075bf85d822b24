"""How the GPUs of a benchmark run are split into replicas and pools where its row does not say."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from planner.loadtest.layouts import Pool, most_asked, whole_splits
from planner.loadtest.run import Run, choices, layouts
from planner.loadtest.solve import by_pools, solve_runs
from planner.serving.cases import Cases
from planner.serving.normal import Array

_LOOKED_AT = 65
"""Splits of a run that are looked at at once; where there are more, the neighbourhood of the best one is next."""


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
    rates, start = _rates(dataclasses.replace(cases.rows(index), layout=layouts(each)), each), 0
    for i, some in tried.items():
        own = rates[start : start + len(some)]
        start += len(some)
        best = np.argmax(own if most_asked(runs[i].numbers) else own > 0.0)  # the first of equals
        found[i] = some[best] if own[best] > 0.0 else some[-1]
    return found


def with_splits(runs: Sequence[Run], cases: Cases) -> list[Run]:
    """Give every run whose GPUs are yet to be split the whole workers that serve most requests per second.

    A closed loop is judged by its own requests per second, any other run by the most it can serve. More prefill
    workers shorten the first token and leave fewer decode workers: the rate has one peak, so the best of a few splits
    is closed in on.
    """
    found = list(runs)
    ranges = {i: splits(run) for i, run in enumerate(runs) if run.pool and math.isnan(run.pool.workers)}
    while ranges:
        tried = {i: one[:: max(1, math.ceil(len(one) / _LOOKED_AT))] for i, one in ranges.items()}
        index = np.asarray([i for i, some in tried.items() for _ in some], dtype=np.intp)
        each = [_split(runs[i], workers) for i, some in tried.items() for workers in some]
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


def _split(run: Run, prefill_replicas: int) -> Run:
    if run.pool is None or run.layout is None:
        return run
    decode_replicas = (run.numbers["gpus"] - prefill_replicas * run.pool.layout.gpus) / run.layout.gpus
    return dataclasses.replace(run, replicas=decode_replicas, pool=Pool(run.pool.layout, float(prefill_replicas)))


def _rates(cases: Cases, runs: Sequence[Run]) -> Array:
    """Return the requests per second of runs, an open loop's without its limit; minus infinity where none is served."""
    rates = np.empty(len(runs))
    for index, alike in by_pools(runs):
        of_runs = [dataclasses.replace(run, numbers={**run.numbers, "request_rate": math.nan}) for run in alike]
        rates[index] = solve_runs(cases.rows(index), of_runs).columns["requests_per_s"]
    return np.asarray(np.nan_to_num(rates, nan=-np.inf))
