"""From what a replica serves to the fleet, its bill and its energy: the steps all conductors share."""

import numpy as np

from planner import units
from planner.fleet.bill import money
from planner.fleet.replicas import Fleet, billed_gpus, replica_availability, replicas_for_peak, spare_replicas
from planner.fleet.result import Energy, FleetCost, Pool, ReplicaCapacity
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.columns import LayoutColumns
from planner.serving.normal import Array, Mask
from planner.serving.power import facility_power_kw
from planner.serving.replica import Replica
from planner.serving.slo import Limit


def fitting(cases: Cases, replica: Replica) -> tuple[Mask, Array]:
    """Return (fits, limit): the weights, and the cache of one long request, must find room, within the context."""
    memory, tokens = replica.memory, replica.tokens
    room = memory.kv_capacity_bytes >= memory.kv_bytes_longest_request
    mean = tokens.input_tokens_per_answer / tokens.requests_per_answer + tokens.generated_tokens_mean
    in_context = mean <= cases.model.max_context_tokens
    limit = np.where(~room, Limit.MEMORY, np.where(~in_context, Limit.CONTEXT, Limit.NONE))
    return np.asarray(room & in_context), limit


def without_thinking(cases: Cases) -> Cases:
    """Return the same questions at a reasoning multiplier of 1."""
    w = cases.workload
    return cases.replaced(
        workload__reasoning_multiplier=np.ones_like(w.reasoning_multiplier),
        workload__generated_tokens_cv=w.answer_tokens_cv,
    )


def peak_answers_per_s(cases: Cases) -> Array:
    """Return the rate the fleet is sized for [1/s]."""
    return np.asarray(cases.demand.answers_per_s * cases.demand.peak_to_mean * cases.demand.burst)


def _unit_gpus(cases: Cases) -> Array:
    return np.asarray(np.where(cases.offer.sells_nodes > 0.0, cases.offer.gpus_per_instance, 1.0))


def fleet_of(cases: Cases, gpus_per_replica: Array, answers_per_s: Array, availability: Array) -> Fleet:
    """Size a pool of replicas for the peak; the mean follows the same load factor.

    Parameters
    ----------
    answers_per_s : the most a replica serves within its SLO [1/s].
    availability : probability that enough replicas of the pool are up [1].
    """
    f, offer = cases.fleet, cases.offer
    replicas = replicas_for_peak(peak_answers_per_s(cases), answers_per_s, f.headroom)
    up = replica_availability(gpus_per_replica, f.failures_per_gpu_hour, f.repair_hours)
    spares = spare_replicas(replicas, up, availability)
    gpus, units_billed = billed_gpus(replicas + spares, gpus_per_replica, offer.gpus_per_instance, offer.sells_nodes)
    mean_replicas = np.maximum(cases.demand.answers_per_s / (answers_per_s * (1.0 - f.headroom)), 1.0)
    mean = mean_replicas * gpus_per_replica / _unit_gpus(cases)
    reserved = gpus / _unit_gpus(cases)
    return Fleet(replicas, spares, gpus, units_billed, np.where(f.bills_mean > 0.0, mean, reserved), up)


def billed_of(cases: Cases, fleet: Fleet) -> Array:
    """Return the GPUs that are paid for: those reserved for the peak, or the mean."""
    return np.asarray(np.where(cases.fleet.bills_mean > 0.0, fleet.nodes_mean * _unit_gpus(cases), fleet.gpus))


def sized(cases: Cases, served: ReplicaCapacity) -> FleetCost:
    """Return the machines for the demand of each case, and their money, from what a replica serves; nothing is solved.

    The demand may have more axes than what is served: the demands down, the options across. Each of two pools is up
    with the root of the availability, so that both are with all of it.
    """
    f, offer, demand = cases.fleet, cases.offer, cases.demand
    with ignoring_float_errors():
        writing, reading = _pools(cases, served)
        fleet, billed = writing.fleet, writing.billed_gpus
        if reading is not None and cases.prefill_layout is not None:
            fleet, billed = _together(_apart(cases.prefill_layout), writing, reading)
        bill = money(
            billed,
            demand.answers_per_s,
            served.gpu_seconds_per_answer,
            offer.usd_per_gpu_hour,
            offer.extra_share,
            cases.quality.accuracy,
        )
        meets = (served.meets_slo > 0.0) & ~(fleet.gpus > f.max_gpus)
    return FleetCost(np.asarray(meets), fleet, billed, bill, writing, reading)


def _pools(cases: Cases, served: ReplicaCapacity) -> tuple[Pool, Pool | None]:
    """Return (the pool that writes or the only one, the pool that reads if any case has one)."""
    whole = cases.fleet.availability
    if cases.prefill_layout is None:
        return _pool(cases, served.gpus_per_replica, served.answers_per_s, whole), None
    half = np.where(_apart(cases.prefill_layout), np.sqrt(whole), whole)
    return (
        _pool(cases, served.gpus_per_replica, served.answers_per_s, half),
        _pool(cases, served.prefill_gpus_per_replica, served.prefill_answers_per_s, half),
    )


def _pool(cases: Cases, gpus_per_replica: Array, answers_per_s: Array, availability: Array) -> Pool:
    fleet = fleet_of(cases, gpus_per_replica, answers_per_s, availability)
    return Pool(answers_per_s, fleet, billed_of(cases, fleet))


def _apart(prefill: LayoutColumns) -> Mask:
    """Return which cases have two pools."""
    return np.asarray(~np.isnan(prefill.tensor_parallel))


def _together(apart: Mask, writing: Pool, reading: Pool) -> tuple[Fleet, Array]:
    """Return (both fleets as one, the GPUs of them that are paid)."""
    write, read = writing.fleet, reading.fleet

    def both(of_writer: Array, of_reader: Array) -> Array:
        return np.asarray(of_writer + np.where(apart, of_reader, 0.0))

    fleet = Fleet(
        write.replicas,
        both(write.spare_replicas, read.spare_replicas),
        both(write.gpus, read.gpus),
        both(write.nodes, read.nodes),
        both(write.nodes_mean, read.nodes_mean),
        write.replica_availability,
    )
    return fleet, both(writing.billed_gpus, reading.billed_gpus)


def energy_of(cases: Cases, billed: Array, gpu_power_w: Array) -> Energy:
    """Return power and carbon of paid GPUs that draw `gpu_power_w` on average."""
    e = cases.energy
    kw = facility_power_kw(billed, gpu_power_w, e.node_power_overhead, e.pue)
    kwh = kw * units.HOURS_PER_MONTH
    per_answer = kwh * units.WATTS_PER_KW / (cases.demand.answers_per_s * units.SECONDS_PER_MONTH)
    carbon = np.asarray(kwh * e.gco2e_per_kwh / units.GRAMS_PER_KG)
    return Energy(gpu_power_w, kw, np.asarray(kwh), np.asarray(per_answer), carbon)


def limit_of(cases: Cases, fits: Mask, fit_limit: Array, meets_slo: Mask, binds: Array, gpus: Array) -> Array:
    """Return the index of the `Limit`: why a case does not fit, what binds its load, a fleet too large, no price."""
    too_many = gpus > cases.fleet.max_gpus
    limit = np.where(~fits, fit_limit, np.where(meets_slo & too_many, Limit.MAX_GPUS, binds))
    unpriced = fits & meets_slo & ~too_many & np.isnan(cases.offer.usd_per_gpu_hour)
    return np.where(unpriced, Limit.PRICE_MISSING, limit)
