"""The only conductor: estimate(cases) -> Estimate. One formula path for a point, a sweep, a grid, one pool or two."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.fleet.bill import token_money
from planner.fleet.result import (
    Estimate,
    EstimateDetail,
    FleetCost,
    ReplicaCapacity,
    estimate_of,
    fleet_results,
    replica_results,
)
from planner.fleet.sizing import energy_of, fitting, fleet_cost, limit_of, peak_answers_per_s, without_thinking
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.disaggregated import Deployment, deployment_of
from planner.serving.disaggregated_slo import SHARE_GRID_POINTS, pair_binding_limit, pair_capacity
from planner.serving.normal import Array, Mask
from planner.serving.power import average_power_w, busy_power_at, mean_power_w
from planner.serving.replica import Replica
from planner.serving.slo import Capacity, binding_limit, slo_capacity
from planner.serving.steady_state import (
    IDLE_FRACTION,
    QUANTILES,
    Lengths,
    Load,
    latency_after,
    length_quantiles,
    load_at,
    running_for_rate,
)

__all__ = ["Estimate", "EstimateDetail", "ReplicaCapacity", "estimate", "estimate_and_capacity", "solve"]

CHUNK_ROWS = 16_384
"""Rows worked on at once: intermediate arrays stay in the processor's cache."""
_CAPACITY = "capacity."
_NO_GPUS, _ANY_RATE = np.zeros(()), np.asarray(np.inf)
"""The prefill pool of a case that has none."""


def estimate(cases: Cases) -> Estimate:
    """Return the estimate of every case, worked on in chunks along the longest axis so that memory stays bounded."""
    return Estimate(**_in_chunks(cases, lambda part: vars(solve(part)[0])))


def estimate_and_capacity(cases: Cases) -> tuple[Estimate, ReplicaCapacity]:
    """Return the estimate of every case, and what `sizing.fleet_cost` needs for any other demand."""

    def both(part: Cases) -> dict[str, Array]:
        found, detail = solve(part)
        return vars(found) | {_CAPACITY + name: column for name, column in vars(detail.replica_capacity).items()}

    columns = _in_chunks(cases, both)
    capacity = {n.removeprefix(_CAPACITY): columns.pop(n) for n in list(columns) if n.startswith(_CAPACITY)}
    return Estimate(**columns), ReplicaCapacity(**capacity)


def _in_chunks(cases: Cases, solver: Callable[[Cases], dict[str, Array]]) -> dict[str, Array]:
    """Return the columns of all cases, which a solver finds a part at a time; every column has the cases' shape."""
    shape, most = cases.shape, CHUNK_ROWS if cases.prefill_layout is None else CHUNK_ROWS // (SHARE_GRID_POINTS + 1)
    rows = math.prod(shape)
    if rows <= most:
        found = _of_equal_pools(cases, solver)
        return {name: np.broadcast_to(np.asarray(c, dtype=np.float64), shape) for name, c in found.items()}
    axis = int(np.argmax(shape))
    step = max(1, most * shape[axis] // rows)
    result: dict[str, Array] = {}
    for start in range(0, shape[axis], step):
        part = slice(start, min(start + step, shape[axis]))
        for name, piece in _in_chunks(cases.rows(part, axis), solver).items():
            result.setdefault(name, np.empty(shape))[(slice(None),) * axis + (part,)] = piece
    return result


def _of_equal_pools(cases: Cases, solver: Callable[[Cases], dict[str, Array]]) -> dict[str, Array]:
    """Return the columns of cases of which some may have a prefill pool: those with one and those without, in turn."""
    if cases.prefill_layout is None:
        return solver(cases)
    two_pools = ~np.isnan(np.broadcast_to(cases.prefill_layout.tensor_parallel, cases.shape))
    if np.all(two_pools) or not np.any(two_pools):
        return solver(cases)
    flat, result = cases.flat(), dict[str, Array]()
    for chosen in (two_pools, ~two_pools):
        for name, column in solver(flat.rows(np.flatnonzero(chosen))).items():
            result.setdefault(name, np.empty(cases.shape))[chosen] = column
    return result


def solve(cases: Cases) -> tuple[Estimate, EstimateDetail]:
    """Return the estimate and its intermediate results, without chunking.

    Either all cases have a prefill pool or none has.
    """
    if cases.prefill_layout is not None and np.all(np.isnan(cases.prefill_layout.tensor_parallel)):
        cases = dataclasses.replace(cases, prefill_layout=None)
    with ignoring_float_errors():
        return _solve(cases)


@dataclass(frozen=True, eq=False)
class _AtCapacity:
    """A deployment of each case at its SLO capacity: nothing here depends on the demand."""

    deployment: Deployment
    lengths: Lengths
    fits: Mask
    fit_limit: Array
    capacity: Capacity
    load: Load
    """Of a decode replica; NaN where no load meets the SLO."""
    replica_capacity: ReplicaCapacity
    busy_power_w: Array


def _at_capacity(cases: Cases, fits: Mask | None = None) -> _AtCapacity:
    """Return each case at its SLO capacity; `fits` says which cases work, where that is known already."""
    deployment, lengths = deployment_of(cases), length_quantiles(cases)
    decode, prefill = deployment.decode, deployment.prefill
    own_fits, fit_limit = _fitting(cases, deployment)
    fits = own_fits if fits is None else fits
    if prefill is None:
        capacity = slo_capacity(decode, lengths, cases.slo)
    else:
        capacity = pair_capacity(prefill, decode, lengths, cases.slo)
    load = load_at(decode, np.where(fits, capacity.running, np.nan))
    share = np.where(fits, capacity.prefill_share, np.nan)
    found = ReplicaCapacity(
        meets_slo=np.where(capacity.meets_slo & fits, 1.0, 0.0),
        gpus_per_replica=decode.gpus_per_replica,
        answers_per_s=load.answers_per_s,
        generated_tokens_per_answer=decode.tokens.generated_tokens_per_answer,
        prefill_gpus_per_replica=_NO_GPUS if prefill is None else prefill.replica.gpus_per_replica,
        prefill_answers_per_s=_ANY_RATE if prefill is None else np.asarray(share * prefill.most_answers_per_s),
    )
    in_prefill = found.prefill_gpus_per_replica / found.prefill_answers_per_s / found.gpu_seconds_per_answer
    watts = average_power_w(cases, prefill, share, in_prefill, busy_power_at(cases, decode, load))
    return _AtCapacity(deployment, lengths, fits, fit_limit, capacity, load, found, watts)


def _fitting(cases: Cases, deployment: Deployment) -> tuple[Mask, Array]:
    """Return (fits, limit): a replica of either pool must hold the weights and one long request."""
    fits, limit = fitting(cases, deployment.decode)
    if deployment.prefill is None:
        return fits, limit
    prefill_fits, prefill_limit = fitting(cases, deployment.prefill.replica)
    return fits & prefill_fits, np.where(fits, prefill_limit, limit)


def _solve(cases: Cases) -> tuple[Estimate, EstimateDetail]:
    full = _at_capacity(cases)
    plain = _at_capacity(without_thinking(cases), full.fits)
    decode, prefill, capacity = full.deployment.decode, full.deployment.prefill, full.capacity
    cost = fleet_cost(cases, full.replica_capacity)
    at_peak, shown, prefill_shown = _at_peak(cases, full, cost)
    ttft = full.deployment.ttft(full.lengths, shown, prefill_shown)
    pool_share = cost.prefill.billed_gpus / cost.fleet.billed_gpus
    prefill_share = np.asarray(pool_share + (1.0 - pool_share) * _prefill_share(decode, at_peak))
    detail = EstimateDetail(
        deployment=full.deployment,
        capacity=capacity,
        at_capacity=full.load,
        at_peak=at_peak,
        shown=shown,
        prefill_shown=prefill_shown,
        latency={name: latency_after(ttft, decode, full.lengths, shown, name) for name in QUANTILES},
        replica_capacity=full.replica_capacity,
        fleet_cost=cost,
        token_money=token_money(
            cost.money.cost_usd_per_answer,
            prefill_share,
            decode.tokens.input_tokens_per_answer,
            decode.tokens.generated_tokens_per_answer,
        ),
        energy=energy_of(cases, cost.fleet.billed_gpus, _gpu_power_w(cases, full, cost, at_peak)),
        gpu_seconds_per_answer_plain=plain.replica_capacity.gpu_seconds_per_answer,
        plain_busy_power_w=plain.busy_power_w,
        busy_power_w=full.busy_power_w,
        prefill_share=prefill_share,
    )
    if prefill is None:
        binds = binding_limit(decode, full.lengths, cases.slo, capacity)
    else:
        binds = pair_binding_limit(prefill, decode, full.lengths, cases.slo, capacity)
    limit = limit_of(cases, full.fits, full.fit_limit, capacity.meets_slo, binds, cost.fleet.gpus)
    values = fleet_results(cases, full.fits, limit, full.replica_capacity, cost, detail.token_money, detail.energy)
    return estimate_of(values | replica_results(cases, detail)), detail


def _at_peak(cases: Cases, full: _AtCapacity, cost: FleetCost) -> tuple[Load, Load, Load]:
    """Return (a decode replica's load at the peak, its load and that of a prefill replica where latencies are shown).

    They are shown at the peak, or of an idle replica where no load meets the SLO.
    """
    decode, prefill, capacity = full.deployment.decode, full.deployment.prefill, full.capacity
    peak = peak_answers_per_s(cases)
    batch = running_for_rate(decode, peak / cost.decode.replicas, capacity.largest_running)
    at_peak = load_at(decode, np.where(np.isnan(full.load.running), np.nan, batch))
    idle = full.fits & ~capacity.meets_slo
    shown = load_at(decode, np.where(idle, capacity.smallest_running, at_peak.running))
    if prefill is None:
        return at_peak, shown, shown
    rate = np.where(idle, IDLE_FRACTION * prefill.most_answers_per_s, peak / cost.prefill.replicas)
    return at_peak, shown, prefill.load(rate)


def _prefill_share(replica: Replica, load: Load) -> Array:
    """Return the share of GPU-seconds that prefill takes: its engine time over that and the decode of a step.

    Decode, drafting included, only takes time while some sequence runs, with probability 1 - exp(-b) (Poisson).
    """
    prefill = load.prefill_tokens_per_step * load.prefill_work_s
    decode = load.step_alone_s * (1.0 + replica.draft_share) * -np.expm1(-load.running / replica.ranks)
    return np.asarray(prefill / (prefill + decode))


def _gpu_power_w(cases: Cases, full: _AtCapacity, cost: FleetCost, at_peak: Load) -> Array:
    """Return the average power of a paid GPU [W].

    A decode replica draws that of the peak's mix of steps, and is idle only while nothing runs.
    """
    decode, prefill, demand = full.deployment.decode, full.deployment.prefill, cases.demand
    busy_w, peak_factor = busy_power_at(cases, decode, at_peak), demand.peak_to_mean * demand.burst
    watts = mean_power_w(busy_w, cases.gpu.idle_w, at_peak.running, peak_factor)
    if prefill is None:
        return watts
    paid = cost.prefill.billed_gpus
    busy = demand.answers_per_s * prefill.replica.gpus_per_replica / (prefill.most_answers_per_s * paid)
    return average_power_w(cases, prefill, busy, paid / cost.fleet.billed_gpus, watts)
