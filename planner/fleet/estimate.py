"""The only conductor: estimate(cases) -> Estimate. One formula path for a point, a sweep, a grid."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.fleet.bill import token_money
from planner.fleet.estimate_pools import PREFILL_LOADS, solve_pools
from planner.fleet.result import Estimate, EstimateDetail, ReplicaCapacity, assemble
from planner.fleet.sizing import energy_of, fitting, limit_of, peak_answers_per_s, sized, without_thinking
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.normal import Array, Mask
from planner.serving.power import busy_power_at, mean_power_w
from planner.serving.replica import Replica, build_replica
from planner.serving.slo import Capacity, binding_limit, slo_capacity
from planner.serving.steady_state import (
    QUANTILES,
    Lengths,
    Load,
    latency_at,
    length_quantiles,
    load_at,
    running_for_rate,
)

__all__ = ["Estimate", "EstimateDetail", "ReplicaCapacity", "estimate", "estimate_and_capacity", "solve"]

CHUNK_ROWS = 16_384
"""Rows worked on at once: intermediate arrays stay in the processor's cache."""


def estimate(cases: Cases) -> Estimate:
    """Return the estimate of every case, worked on in chunks along the longest axis so that memory stays bounded."""
    return Estimate(**_in_chunks(cases, lambda part: vars(solve(part)[0])))


def estimate_and_capacity(cases: Cases) -> tuple[Estimate, ReplicaCapacity]:
    """Return the estimate of every case, and what `sizing.sized` needs for any other demand."""

    def both(part: Cases) -> dict[str, Array]:
        found, work = solve(part)
        return vars(found) | {_SERVED + name: column for name, column in vars(work.served).items()}

    columns = _in_chunks(cases, both)
    own = {name.removeprefix(_SERVED): columns.pop(name) for name in list(columns) if name.startswith(_SERVED)}
    return Estimate(**columns), ReplicaCapacity(**own)


_SERVED = "served."


def _in_chunks(cases: Cases, solver: Callable[[Cases], dict[str, Array]]) -> dict[str, Array]:
    """Return the columns of all cases, which a solver finds a part at a time; every column has the cases' shape."""
    shape = cases.shape
    rows, most = math.prod(shape), CHUNK_ROWS if cases.prefill_layout is None else CHUNK_ROWS // PREFILL_LOADS
    if rows <= most:
        found = _of_either(cases, solver)
        return {name: np.broadcast_to(np.asarray(c, dtype=np.float64), shape) for name, c in found.items()}
    axis = int(np.argmax(shape))
    step = max(1, most * shape[axis] // rows)
    absent = _OF_PREFILL if cases.prefill_layout is None else set()
    result: dict[str, Array] = {}
    for start in range(0, shape[axis], step):
        part = slice(start, min(start + step, shape[axis]))
        piece = _in_chunks(cases.rows(part, axis), solver)
        if not result:
            result = {n: np.broadcast_to(np.nan, shape) if n in absent else np.empty(shape) for n in piece}
        for name in piece.keys() - absent:
            result[name][(slice(None),) * axis + (part,)] = piece[name]
    return result


_OF_PREFILL = {"prefill_gpus_per_replica", "prefill_replicas"}
"""Fields that only cases with two pools have."""


def _of_either(cases: Cases, solver: Callable[[Cases], dict[str, Array]]) -> dict[str, Array]:
    """Return the columns of cases of which some may have two pools: those without have no prefill layout (NaN)."""
    if cases.prefill_layout is None:
        return solver(cases)
    apart = ~np.isnan(cases.prefill_layout.tensor_parallel)
    if np.all(apart):
        return solver(cases)
    together, two = solver(dataclasses.replace(cases, prefill_layout=None)), solver(cases)
    return {name: np.where(apart, two[name], column) for name, column in together.items()}


def solve(cases: Cases) -> tuple[Estimate, EstimateDetail]:
    """Return the estimate and its intermediate results, without chunking."""
    with ignoring_float_errors():
        if cases.prefill_layout is None or np.all(np.isnan(cases.prefill_layout.tensor_parallel)):
            return _solve(dataclasses.replace(cases, prefill_layout=None))
        return solve_pools(cases)


@dataclass(frozen=True, eq=False)
class _AtCapacity:
    """A replica of each case at its SLO capacity: nothing here depends on the demand."""

    replica: Replica
    lengths: Lengths
    fits: Mask
    fit_limit: Array
    capacity: Capacity
    load: Load
    served: ReplicaCapacity


def _at_capacity(cases: Cases) -> _AtCapacity:
    replica = build_replica(cases)
    lengths = length_quantiles(cases)
    fits, fit_limit = fitting(cases, replica)
    capacity = slo_capacity(replica, lengths, cases.slo)
    load = load_at(replica, np.where(fits, capacity.running, np.nan))
    found = ReplicaCapacity(
        meets_slo=np.where(capacity.meets_slo & fits, 1.0, 0.0),
        gpus_per_replica=replica.gpus_per_replica,
        answers_per_s=load.answers_per_s,
        gpu_seconds_per_answer=replica.gpus_per_replica / load.answers_per_s,
        generated_tokens_per_answer=replica.tokens.generated_tokens_per_answer,
        prefill_gpus_per_replica=_NO_POOL,
        prefill_answers_per_s=_NO_POOL,
    )
    return _AtCapacity(replica, lengths, fits, fit_limit, capacity, load, found)


_NO_POOL = np.asarray(np.nan)


def _solve(cases: Cases) -> tuple[Estimate, EstimateDetail]:
    full = _at_capacity(cases)
    replica, capacity, fits, tokens = full.replica, full.capacity, full.fits, full.replica.tokens
    plain = _plain_gpu_seconds(cases, fits)
    size = sized(cases, full.served)
    rate = peak_answers_per_s(cases) / size.fleet.replicas
    batch = running_for_rate(replica, rate, capacity.largest_running)
    at_peak = load_at(replica, np.where(np.isnan(full.load.running), np.nan, batch))
    shown = load_at(replica, np.where(fits & ~capacity.meets_slo, capacity.smallest_running, at_peak.running))
    latency = {name: latency_at(replica, full.lengths, shown, name) for name in QUANTILES}
    prefill_share = _prefill_share(replica, at_peak)
    work = EstimateDetail(
        replica=replica,
        capacity=capacity,
        at_capacity=full.load,
        at_peak=at_peak,
        shown=shown,
        latency=latency,
        sized=size,
        token_money=token_money(
            size.money.cost_usd_per_answer,
            prefill_share,
            tokens.input_tokens_per_answer,
            tokens.generated_tokens_per_answer,
        ),
        energy=energy_of(cases, size.billed_gpus, _gpu_power_w(cases, replica, at_peak)),
        served=full.served,
        gpu_seconds_per_answer_plain=plain[0],
        plain_busy_power_w=plain[1],
        busy_power_w=busy_power_at(cases, replica, full.load),
        prefill_share=prefill_share,
    )
    binds = binding_limit(replica, full.lengths, cases.slo, capacity)
    limit = limit_of(cases, fits, full.fit_limit, capacity.meets_slo, binds, size.fleet.gpus)
    return assemble(cases, work, fits, limit), work


def _plain_gpu_seconds(cases: Cases, fits: Mask) -> tuple[Array, Array]:
    """Return (GPU-seconds of an answer, watts of a busy GPU) without reasoning: the same option re-solved at m = 1."""
    plain = without_thinking(cases)
    replica = build_replica(plain)
    capacity = slo_capacity(replica, length_quantiles(plain), plain.slo)
    load = load_at(replica, np.where(fits, capacity.running, np.nan))
    return np.asarray(replica.gpus_per_replica / load.answers_per_s), busy_power_at(cases, replica, load)


def _prefill_share(replica: Replica, load: Load) -> Array:
    """Return the share of GPU-seconds that prefill takes: its engine time over that and the decode of a step.

    Decode, drafting included, only takes time while some sequence runs, with probability 1 - exp(-b) (Poisson).
    """
    prefill = load.prefill_tokens_per_step * load.prefill_work_s
    decode = load.step_alone_s * (1.0 + replica.draft_share) * -np.expm1(-load.running / replica.ranks)
    return np.asarray(prefill / (prefill + decode))


def _gpu_power_w(cases: Cases, replica: Replica, at_peak: Load) -> Array:
    """Return the average power of a GPU [W]: that of the peak's mix of steps, idle only while nothing runs."""
    mean_running = at_peak.running / (cases.demand.peak_to_mean * cases.demand.burst)
    return mean_power_w(busy_power_at(cases, replica, at_peak), cases.gpu.idle_w, mean_running)
