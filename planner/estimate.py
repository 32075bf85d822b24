"""The only conductor: estimate(cases) -> Estimate. One formula path for a point, a sweep, a grid."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from planner import units
from planner.capacity import Fleet, billed_gpus, replica_availability, replicas_for_peak, spare_replicas
from planner.cases.columns import Array, Cases
from planner.cost import Money, money
from planner.physics.energy import facility_power_kw, mean_power_w
from planner.physics.special import Mask, total
from planner.serving.power import busy_power_at
from planner.serving.replica import Replica, build_replica
from planner.serving.steady import (
    LIMITS,
    QUANTILES,
    Capacity,
    Latency,
    Load,
    binding_limit,
    latency_at,
    length_quantiles,
    load_at,
    running_for_rate,
    slo_capacity,
)

CHUNK_ROWS = 16_384
"""Rows worked on at once: intermediate arrays stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Energy:
    """Power and carbon of the reserved fleet."""

    gpu_power_w: Array
    """Average power of one GPU."""
    power_kw: Array
    energy_kwh_per_month: Array
    energy_wh_per_answer: Array
    co2e_kg_per_month: Array


@dataclass(frozen=True, eq=False)
class Estimate:
    """The answer to each case: arrays of the cases' shape; NaN where there is no number.

    Latencies are those of the peak; where no load meets the SLO, those of an idle replica: the best
    attainable. Field names are the CSV headers of the contract.
    """

    fits: Array
    meets_slo: Array
    limit: Array
    """Index into LIMITS."""
    gpus_per_replica: Array
    replicas: Array
    spare_replicas: Array
    nodes: Array
    nodes_mean: Array
    gpus: Array
    answers_per_month: Array
    input_tokens_per_answer: Array
    answer_tokens_per_answer: Array
    reasoning_multiplier: Array
    generated_tokens_per_answer: Array
    truncated_share: Array
    concurrency_per_replica: Array
    max_concurrency_per_replica: Array
    utilization: Array
    ttft_p50_s: Array
    ttft_p95_s: Array
    ttft_p99_s: Array
    tpot_p50_s: Array
    tpot_p95_s: Array
    tpot_p99_s: Array
    time_to_answer_p50_s: Array
    time_to_answer_p95_s: Array
    time_to_answer_p99_s: Array
    e2e_p50_s: Array
    e2e_p95_s: Array
    e2e_p99_s: Array
    output_tokens_per_s_per_gpu: Array
    gpu_seconds_per_answer: Array
    gpu_hours_per_month_reserved: Array
    gpu_hours_per_month_used: Array
    usd_per_gpu_hour: Array
    cost_usd_per_month: Array
    cost_usd_per_answer: Array
    cost_usd_per_answer_used: Array
    cost_usd_per_mtok_input: Array
    cost_usd_per_mtok_output: Array
    accuracy: Array
    cost_usd_per_correct_answer: Array
    gpu_time_multiplier: Array
    cost_multiplier: Array
    energy_multiplier: Array
    power_kw: Array
    energy_kwh_per_month: Array
    energy_wh_per_answer: Array
    co2e_kg_per_month: Array


@dataclass(frozen=True, eq=False)
class Work:
    """The intermediate results of one run, for `explain` and the tests."""

    replica: Replica
    capacity: Capacity
    at_capacity: Load
    at_peak: Load
    shown: Load
    """Where the latencies are taken: the peak, or an idle replica where no load meets the SLO."""
    latency: dict[str, Latency]
    fleet: Fleet
    money: Money
    energy: Energy
    gpu_seconds_per_answer: Array
    gpu_seconds_per_answer_plain: Array
    """The same option re-solved at a reasoning multiplier of 1."""
    plain_busy_power_w: Array
    prefill_share: Array


def estimate(cases: Cases) -> Estimate:
    """Return the estimate of every case, worked on in chunks along the longest axis so that memory stays bounded."""
    shape = cases.shape
    rows = math.prod(shape)
    if rows <= CHUNK_ROWS:
        return _spread(solve(cases)[0], shape)
    axis = int(np.argmax(shape))
    step = max(1, CHUNK_ROWS * shape[axis] // rows)
    result: dict[str, Array] = {f.name: np.empty(shape) for f in dataclasses.fields(Estimate)}
    for start in range(0, shape[axis], step):
        part = slice(start, min(start + step, shape[axis]))
        piece = estimate(cases.rows(part, axis))
        for name, column in result.items():
            column[(slice(None),) * axis + (part,)] = getattr(piece, name)
    return Estimate(**result)


def _spread(found: Estimate, shape: tuple[int, ...]) -> Estimate:
    """Return an estimate whose every column has the cases' shape."""
    columns = {
        f.name: np.broadcast_to(np.asarray(getattr(found, f.name), dtype=np.float64), shape)
        for f in dataclasses.fields(found)
    }
    return Estimate(**columns)


def solve(cases: Cases) -> tuple[Estimate, Work]:
    """Return the estimate and its intermediate results, without chunking."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        return _solve(cases)


def _solve(cases: Cases) -> tuple[Estimate, Work]:
    replica = build_replica(cases)
    lengths = length_quantiles(cases)
    fits, fit_limit = _fits(cases, replica)
    capacity = slo_capacity(replica, lengths, cases.slo)
    running = np.where(fits, capacity.running, np.nan)
    at_capacity = load_at(replica, running)
    gpu_seconds = replica.gpus_per_replica / at_capacity.answers_per_s
    plain = _plain_gpu_seconds(cases, fits)
    fleet = _fleet(cases, replica, at_capacity)
    at_peak = _load_at_peak(cases, replica, capacity, running, fleet)
    shown = load_at(replica, np.where(fits & ~capacity.meets_slo, capacity.smallest_running, at_peak.running))
    latency = {name: latency_at(replica, lengths, shown, name) for name in QUANTILES}
    prefill_share = _prefill_share(replica, at_peak)
    billed = np.where(cases.fleet.bills_mean > 0.0, fleet.nodes_mean * _unit_gpus(cases), fleet.gpus)
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
    energy = _energy(cases, replica, at_peak, billed)
    loads = (at_capacity, at_peak, shown)
    work = Work(replica, capacity, *loads, latency, fleet, bill, energy, gpu_seconds, *plain, prefill_share)
    too_many = fleet.gpus > cases.fleet.max_gpus
    limit = np.where(~fits, fit_limit, binding_limit(replica, lengths, cases.slo, capacity))
    limit = np.where(capacity.meets_slo & too_many, LIMITS.index("max_gpus"), limit)
    unpriced = fits & capacity.meets_slo & ~too_many & np.isnan(cases.offer.usd_per_gpu_hour)
    limit = np.where(unpriced, LIMITS.index("price_missing"), limit)
    return _assemble(cases, work, fits, limit, too_many), work


def _fits(cases: Cases, replica: Replica) -> tuple[Mask, Array]:
    """Return (fits, limit): the weights, and the cache of one long request, must find room, within the context."""
    memory, tokens = replica.memory, replica.tokens
    room = memory.kv_capacity_bytes >= memory.kv_bytes_longest_request
    mean = tokens.input_tokens_per_answer / tokens.requests_per_answer + tokens.generated_tokens_mean
    in_context = mean <= cases.model.max_context_tokens
    limit = np.where(~room, LIMITS.index("memory"), np.where(~in_context, LIMITS.index("context"), 0))
    return np.asarray(room & in_context), limit


def without_thinking(cases: Cases) -> Cases:
    """Return the same cases with the visible answers alone: a reasoning multiplier of 1."""
    w = cases.workload
    return cases.replaced(
        workload__reasoning_multiplier=np.ones_like(w.reasoning_multiplier),
        workload__generated_tokens_cv=w.answer_tokens_cv,
    )


def _plain_gpu_seconds(cases: Cases, fits: Mask) -> tuple[Array, Array]:
    """Return (GPU-seconds of an answer, watts of a busy GPU) without reasoning: the same option re-solved at m = 1."""
    plain = without_thinking(cases)
    replica = build_replica(plain)
    capacity = slo_capacity(replica, length_quantiles(plain), plain.slo)
    load = load_at(replica, np.where(fits, capacity.running, np.nan))
    return np.asarray(replica.gpus_per_replica / load.answers_per_s), busy_power_at(cases, replica, load)


def _unit_gpus(cases: Cases) -> Array:
    return np.asarray(np.where(cases.offer.sells_nodes > 0.0, cases.offer.gpus_per_instance, 1.0))


def _fleet(cases: Cases, replica: Replica, at_capacity: Load) -> Fleet:
    """Size the fleet for the peak; the mean follows the same load factor."""
    f, offer = cases.fleet, cases.offer
    peak = cases.demand.answers_per_s * cases.demand.peak_to_mean * cases.demand.burst
    replicas = replicas_for_peak(peak, at_capacity.answers_per_s, f.headroom)
    up = replica_availability(replica.gpus_per_replica, f.failures_per_gpu_hour, f.repair_hours)
    spares = spare_replicas(replicas, up, f.availability)
    gpus, units_billed = billed_gpus(
        replicas + spares, replica.gpus_per_replica, offer.gpus_per_instance, offer.sells_nodes
    )
    mean_replicas = np.maximum(cases.demand.answers_per_s / (at_capacity.answers_per_s * (1.0 - f.headroom)), 1.0)
    mean = mean_replicas * replica.gpus_per_replica / _unit_gpus(cases)
    reserved = gpus / _unit_gpus(cases)
    return Fleet(replicas, spares, gpus, units_billed, np.where(f.bills_mean > 0.0, mean, reserved), up)


def _load_at_peak(cases: Cases, replica: Replica, capacity: Capacity, running: Array, fleet: Fleet) -> Load:
    """Return the load of one replica at the peak, with the spares down."""
    peak = cases.demand.answers_per_s * cases.demand.peak_to_mean * cases.demand.burst
    rate = peak / fleet.replicas
    batch = running_for_rate(replica, rate, capacity.largest_running)
    return load_at(replica, np.where(np.isnan(running), np.nan, batch))


def _prefill_share(replica: Replica, load: Load) -> Array:
    """Return the share of GPU-seconds that prefill takes: its engine time over that and the decode of a step.

    Decode, drafting included, only takes time while some sequence runs, with probability 1 - exp(-b) (Poisson).
    """
    prefill = load.prefill_tokens_per_step * load.prefill_work_s
    decode = load.step_alone_s * (1.0 + replica.draft_share) * -np.expm1(-load.running / replica.ranks)
    return np.asarray(prefill / (prefill + decode))


def _energy(cases: Cases, replica: Replica, at_peak: Load, billed: Array) -> Energy:
    e = cases.energy
    mean_running = at_peak.running / (cases.demand.peak_to_mean * cases.demand.burst)
    gpu_w = mean_power_w(busy_power_at(cases, replica, at_peak), cases.gpu.idle_w, mean_running)
    kw = facility_power_kw(billed, gpu_w, e.node_power_overhead, e.pue)
    kwh = kw * units.HOURS_PER_MONTH
    per_answer = kwh * units.WATTS_PER_KW / (cases.demand.answers_per_s * units.SECONDS_PER_MONTH)
    return Energy(
        gpu_w, kw, np.asarray(kwh), np.asarray(per_answer), np.asarray(kwh * e.gco2e_per_kwh / units.GRAMS_PER_KG)
    )


def _assemble(cases: Cases, work: Work, fits: Mask, limit: Array, too_many: Mask) -> Estimate:
    """Put the result fields together; a case that cannot work is NaN from the load on."""
    tokens, fleet, bill, energy = work.replica.tokens, work.fleet, work.money, work.energy
    meets = work.capacity.meets_slo & fits
    output_rate = work.at_capacity.answers_per_s * tokens.generated_tokens_per_answer / work.replica.gpus_per_replica
    w = cases.workload
    visible_each = w.share * w.turns_per_answer * w.samples_per_answer * w.answer_tokens_mean
    uncut_multiplier = total(visible_each * w.reasoning_multiplier) / total(visible_each)
    multiplier = work.gpu_seconds_per_answer / work.gpu_seconds_per_answer_plain
    power_ratio = busy_power_at(cases, work.replica, work.at_capacity) / work.plain_busy_power_w
    values = {
        "fits": fits,
        "meets_slo": meets & ~too_many,
        "limit": limit,
        "gpus_per_replica": work.replica.gpus_per_replica,
        "replicas": fleet.replicas,
        "spare_replicas": fleet.spare_replicas,
        "nodes": fleet.nodes,
        "nodes_mean": np.where(cases.offer.sells_nodes > 0.0, fleet.nodes_mean, np.nan),
        "gpus": fleet.gpus,
        "answers_per_month": cases.demand.answers_per_s * units.SECONDS_PER_MONTH,
        "input_tokens_per_answer": tokens.input_tokens_per_answer,
        "answer_tokens_per_answer": tokens.answer_tokens_per_answer,
        "reasoning_multiplier": uncut_multiplier,
        "generated_tokens_per_answer": tokens.generated_tokens_per_answer,
        "truncated_share": tokens.truncated_share,
        "concurrency_per_replica": work.at_peak.running,
        "max_concurrency_per_replica": np.floor(work.replica.memory.max_running_sequences),
        "output_tokens_per_s_per_gpu": output_rate,
        "gpu_seconds_per_answer": work.gpu_seconds_per_answer,
        "usd_per_gpu_hour": cases.offer.usd_per_gpu_hour,
        "accuracy": cases.energy.accuracy,
        "gpu_time_multiplier": multiplier,
        "cost_multiplier": multiplier,
        "energy_multiplier": multiplier * power_ratio,
    }
    for name, latency in work.latency.items():
        for metric in ("ttft", "tpot", "time_to_answer", "e2e"):
            values[f"{metric}_{name}_s"] = getattr(latency, metric)
    for part in (bill, energy):
        values |= {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.name != "gpu_power_w"}
    finite = {k: np.where(np.isfinite(v), v, np.nan) for k, v in values.items()}
    return Estimate(**finite)
