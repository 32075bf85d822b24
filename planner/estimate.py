"""The only conductor: estimate(cases) -> Estimate. One formula path for a point, a sweep, a grid."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from planner.cases.columns import Array, Cases
from planner.cost import money
from planner.estimate_pools import PREFILL_LOADS, solve_pools
from planner.physics.energy import mean_power_w
from planner.physics.special import Mask
from planner.results import Estimate, Work, assemble
from planner.serving.power import busy_power_at
from planner.serving.replica import Replica, build_replica
from planner.serving.slo import binding_limit, slo_capacity
from planner.serving.steady import QUANTILES, Load, latency_at, length_quantiles, load_at, running_for_rate
from planner.sizing import (
    billed_of,
    energy_of,
    fitting,
    fleet_of,
    limit_of,
    peak_answers_per_s,
    without_thinking,
)

__all__ = ["Estimate", "Work", "estimate", "solve"]

CHUNK_ROWS = 16_384
"""Rows worked on at once: intermediate arrays stay in the processor's cache."""


def estimate(cases: Cases) -> Estimate:
    """Return the estimate of every case, worked on in chunks along the longest axis so that memory stays bounded."""
    shape = cases.shape
    rows, most = math.prod(shape), CHUNK_ROWS if cases.prefill_layout is None else CHUNK_ROWS // PREFILL_LOADS
    if rows <= most:
        return _spread(_solved(cases), shape)
    axis = int(np.argmax(shape))
    step = max(1, most * shape[axis] // rows)
    absent = _OF_PREFILL if cases.prefill_layout is None else set()
    result: dict[str, Array] = {f.name: np.empty(shape) for f in dataclasses.fields(Estimate) if f.name not in absent}
    for start in range(0, shape[axis], step):
        part = slice(start, min(start + step, shape[axis]))
        piece = estimate(cases.rows(part, axis))
        for name, column in result.items():
            column[(slice(None),) * axis + (part,)] = getattr(piece, name)
    return Estimate(**result, **{name: np.broadcast_to(np.nan, shape) for name in absent})


_OF_PREFILL = {"prefill_gpus_per_replica", "prefill_replicas"}
"""Fields that only cases with two pools have."""


def _spread(found: Estimate, shape: tuple[int, ...]) -> Estimate:
    """Return an estimate whose every column has the cases' shape."""
    columns = {
        f.name: np.broadcast_to(np.asarray(getattr(found, f.name), dtype=np.float64), shape)
        for f in dataclasses.fields(found)
    }
    return Estimate(**columns)


def _solved(cases: Cases) -> Estimate:
    """Return the estimate of cases of which some may have two pools: those without have no prefill layout (NaN)."""
    if cases.prefill_layout is None:
        return solve(cases)[0]
    apart = ~np.isnan(cases.prefill_layout.tensor_parallel)
    if np.all(apart):
        return solve(cases)[0]
    together, two = solve(dataclasses.replace(cases, prefill_layout=None))[0], solve(cases)[0]
    return Estimate(**{name: np.where(apart, getattr(two, name), column) for name, column in vars(together).items()})


def solve(cases: Cases) -> tuple[Estimate, Work]:
    """Return the estimate and its intermediate results, without chunking."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        if cases.prefill_layout is None or np.all(np.isnan(cases.prefill_layout.tensor_parallel)):
            return _solve(dataclasses.replace(cases, prefill_layout=None))
        return solve_pools(cases)


def _solve(cases: Cases) -> tuple[Estimate, Work]:
    replica = build_replica(cases)
    lengths = length_quantiles(cases)
    fits, fit_limit = fitting(cases, replica)
    capacity = slo_capacity(replica, lengths, cases.slo)
    running = np.where(fits, capacity.running, np.nan)
    at_capacity = load_at(replica, running)
    gpu_seconds = replica.gpus_per_replica / at_capacity.answers_per_s
    plain = _plain_gpu_seconds(cases, fits)
    fleet = fleet_of(cases, replica.gpus_per_replica, at_capacity.answers_per_s, cases.fleet.availability)
    rate = peak_answers_per_s(cases) / fleet.replicas
    batch = running_for_rate(replica, rate, capacity.largest_running)
    at_peak = load_at(replica, np.where(np.isnan(running), np.nan, batch))
    shown = load_at(replica, np.where(fits & ~capacity.meets_slo, capacity.smallest_running, at_peak.running))
    latency = {name: latency_at(replica, lengths, shown, name) for name in QUANTILES}
    prefill_share = _prefill_share(replica, at_peak)
    billed = billed_of(cases, fleet)
    bill = money(
        billed,
        cases.demand.answers_per_s,
        gpu_seconds,
        prefill_share,
        replica.tokens.input_tokens_per_answer,
        replica.tokens.generated_tokens_per_answer,
        cases.offer.usd_per_gpu_hour,
        cases.offer.extra_share,
        cases.energy.accuracy,
    )
    energy = energy_of(cases, billed, _gpu_power_w(cases, replica, at_peak))
    busy_w = busy_power_at(cases, replica, at_capacity)
    loads = (at_capacity, at_peak, shown)
    work = Work(replica, capacity, *loads, latency, fleet, bill, energy, gpu_seconds, *plain, busy_w, prefill_share)
    binds = binding_limit(replica, lengths, cases.slo, capacity)
    limit = limit_of(cases, fits, fit_limit, capacity.meets_slo, binds, fleet.gpus)
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
