"""From what a replica serves to the fleet, its bill and its energy: the same way for one pool, two, measured rates."""

import dataclasses

import numpy as np

from planner import units
from planner.fleet import replicas as machines
from planner.fleet.bill import money
from planner.fleet.replicas import Fleet
from planner.fleet.result import Energy, FleetCost, ReplicaCapacity
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.normal import Array, Mask
from planner.serving.power import facility_power_kw
from planner.serving.replica import Replica
from planner.serving.slo import Limit


def fitting(cases: Cases, replica: Replica) -> tuple[Mask, Array]:
    """Return (fits, limit): the weights, and the cache of one long request, must find room, within the context.

    Parameters
    ----------
    cases : for the model's context [tokens].
    replica : its memory [bytes] and the lengths of requests [tokens].

    Returns
    -------
    tuple[Mask, Array]
        Whether a replica fits, and the index of the `Limit` that is in the way: memory first.
    """
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


def pool_fleet(cases: Cases, gpus_per_replica: Array, answers_per_s: Array, availability: Array) -> Fleet:
    """Return the machines of one pool: sized for the peak, and their mean where they follow demand.

    Parameters
    ----------
    gpus_per_replica : 0 where there is no such pool [1].
    answers_per_s : the most a replica serves within the SLO; infinite where there is no such pool [1/s].
    availability : probability that enough replicas of the pool are up [1].
    """
    f, offer = cases.fleet, cases.offer
    # for the peak with headroom
    needed_replicas = machines.replicas_for_peak(peak_answers_per_s(cases), answers_per_s, f.headroom)
    # none where there is no such pool
    replicas = np.where(gpus_per_replica > 0.0, needed_replicas, 0.0)
    # share of the time a replica is up
    replica_up = machines.replica_availability(gpus_per_replica, f.failures_per_gpu_hour, f.repair_hours)
    # smallest k with P(enough replicas up) at the target
    spare_replicas = machines.spare_replicas(replicas, replica_up, availability)
    all_replicas = replicas + spare_replicas
    gpus, units_billed = machines.billed_gpus(
        all_replicas, gpus_per_replica, offer.gpus_per_instance, offer.sells_nodes
    )
    # of machines that follow demand
    mean_gpus = hourly_mean_gpus(cases, gpus_per_replica, answers_per_s, availability)
    # the peak is reserved unless billing is mean
    billed_gpus = np.where(f.bills_mean > 0.0, mean_gpus, gpus)
    return Fleet(replicas, spare_replicas, gpus, units_billed, billed_gpus, mean_gpus)


def hourly_mean_gpus(cases: Cases, gpus_per_replica: Array, answers_per_s: Array, availability: Array) -> Array:
    """Return the mean over the hours of the demand curve of the GPUs that each hour needs [1].

    Every hour has whole replicas with their spares, on whole machines, sized as the peak is.

    Parameters
    ----------
    cases : demand and its curve; without one every hour is the mean.
    gpus_per_replica, answers_per_s, availability : as in `pool_fleet`.

    Returns
    -------
    Array
        GPUs [1]; NaN where the mean is not what is paid.
    """
    if not np.any(cases.fleet.bills_mean > 0.0):
        return np.asarray(np.nan)
    demand, f, offer = cases.demand, cases.fleet, cases.offer
    relative = np.ones(1) if cases.curve is None else cases.curve.relative_rate
    rate = _of_hours(demand.answers_per_s) * relative * _of_hours(demand.burst)
    size, served = _of_hours(gpus_per_replica), _of_hours(answers_per_s)
    replicas = np.where(size > 0.0, machines.replicas_for_peak(rate, served, _of_hours(f.headroom)), 0.0)
    up = machines.replica_availability(size, _of_hours(f.failures_per_gpu_hour), _of_hours(f.repair_hours))
    spares = machines.spare_replicas(replicas, up, _of_hours(availability))
    unit = _of_hours(offer.gpus_per_instance), _of_hours(offer.sells_nodes)
    gpus, _ = machines.billed_gpus(replicas + spares, size, *unit)
    return np.asarray(np.mean(gpus, axis=-1))


def _of_hours(column: Array) -> Array:
    """Return a column with a trailing axis, along which hours vary."""
    return np.asarray(column)[..., None]


def fleet_cost(cases: Cases, capacity: ReplicaCapacity) -> FleetCost:
    """Return the machines for the demand of each case, and their money, from what a replica serves; nothing is solved.

    The demand may have more axes than the capacity: the demands down, the options across. Each of two pools is up
    with the root of the availability, so that both are with all of it.

    Parameters
    ----------
    cases : demand, fleet, offer and quality; shape (demands, options) or (options,).
    capacity : what a replica of each option serves within the SLO [1/s], and its GPUs; shape (options,).

    Returns
    -------
    FleetCost
        Machines [1] and money [USD] of the cases' shape; money is NaN where no price is known.
    """
    f, offer, target = cases.fleet, cases.offer, cases.fleet.availability
    with ignoring_float_errors():
        target = np.where(capacity.prefill_gpus_per_replica > 0.0, np.sqrt(target), target)
        decode = pool_fleet(cases, capacity.gpus_per_replica, capacity.answers_per_s, target)
        prefill = pool_fleet(cases, capacity.prefill_gpus_per_replica, capacity.prefill_answers_per_s, target)
        fleet = sum_of_pools(decode, prefill)
        bill = money(
            fleet.billed_gpus,
            cases.demand.answers_per_s,
            capacity.gpu_seconds_per_answer,
            offer.usd_per_gpu_hour,
            offer.extra_share,
            cases.quality.accuracy,
        )
        meets = (capacity.meets_slo > 0.0) & ~(fleet.gpus > f.max_gpus)
    return FleetCost(np.asarray(meets), fleet, decode, prefill, bill)


def sum_of_pools(decode: Fleet, prefill: Fleet) -> Fleet:
    """Return both pools as one fleet; its replicas are those of the decode pool.

    Parameters
    ----------
    decode, prefill : machines of each pool; no machines where there is no prefill pool.

    Returns
    -------
    Fleet
        GPUs, spares and units of both added up [1].
    """
    added = ("spare_replicas", "gpus", "nodes", "billed_gpus", "mean_gpus")
    return dataclasses.replace(decode, **{n: np.asarray(getattr(decode, n) + getattr(prefill, n)) for n in added})


def energy_of(cases: Cases, billed: Array, gpu_power_w: Array) -> Energy:
    """Return power [kW], energy [kWh, Wh] and carbon [kg] of paid GPUs that draw a power on average [W].

    Parameters
    ----------
    cases : for the overheads of nodes and building [1], the grid's emissions [g/kWh] and the rate of answers [1/s].
    billed : GPUs that are paid for, and so run or wait [1].
    gpu_power_w : mean power of one of them [W].

    Returns
    -------
    Energy
        At the meter of the building, over a month of 730 hours and by answer of the mean rate.
    """
    e, answers_per_s = cases.energy, cases.demand.answers_per_s
    # at the meter
    power_kw = facility_power_kw(billed, gpu_power_w, e.node_power_overhead, e.pue)
    # 730 h
    energy_kwh_per_month = power_kw * units.HOURS_PER_MONTH
    # of the reserved fleet
    energy_wh_per_answer = energy_kwh_per_month * units.WATTS_PER_KW / (answers_per_s * units.SECONDS_PER_MONTH)
    # by the grid's factor
    co2e_kg_per_month = energy_kwh_per_month * e.gco2e_per_kwh / units.GRAMS_PER_KG
    return Energy(
        gpu_power_w,
        power_kw,
        np.asarray(energy_kwh_per_month),
        np.asarray(energy_wh_per_answer),
        np.asarray(co2e_kg_per_month),
    )


def limit_of(cases: Cases, fits: Mask, fit_limit: Array, meets_slo: Mask, binds: Array, gpus: Array) -> Array:
    """Return the index of the `Limit`: why a case does not fit, what binds its load, a fleet too large, no price.

    Parameters
    ----------
    cases : for the largest fleet allowed [1] and the price [USD/h].
    fits, fit_limit : whether a replica fits, and the `Limit` that is in the way.
    meets_slo, binds : whether some load meets the SLO, and the `Limit` of the largest one that does.
    gpus : GPUs of the fleet [1].

    Returns
    -------
    Array
        Index of the `Limit` [1]: memory or context, then the fleet's size, then a missing price, then the load's.
    """
    too_many = gpus > cases.fleet.max_gpus
    limit = np.where(~fits, fit_limit, np.where(meets_slo & too_many, Limit.MAX_GPUS, binds))
    unpriced = fits & meets_slo & ~too_many & np.isnan(cases.offer.usd_per_gpu_hour)
    return np.where(unpriced, Limit.PRICE_MISSING, limit)
