"""The conductor of two pools: prompts are read by replicas of one layout, answers are written by those of another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner.capacity import Fleet
from planner.cases.columns import Array, Cases
from planner.cost import money
from planner.physics.energy import mean_power_w
from planner.physics.special import Mask
from planner.results import Estimate, Pool, TwoPools, Work, assemble
from planner.serving.pool_slo import LOOKS, Pair, PairCapacity, binding_limit_of, latencies_of, pair_capacity, pair_of
from planner.serving.power import busy_power_at, reading_power_at
from planner.serving.replica import build_replica, prompt_transfer_s
from planner.serving.slo import Capacity
from planner.serving.steady import QUANTILES, SMALLEST_LOAD, Lengths, Load, length_quantiles, load_at, running_for_rate
from planner.sizing import billed_of, energy_of, fitting, fleet_of, limit_of, peak_answers_per_s, without_thinking

PREFILL_LOADS = LOOKS + 1
"""Loads of the readers that are worked on beside each other."""
_ANYWHERE = np.asarray(np.inf)
"""Replicas of a pool: too many for the fast links of one domain, so that prompts travel over the network."""


@dataclass(frozen=True, eq=False)
class _Solved:
    """A pair at its SLO capacity."""

    reading: Cases
    writing: Cases
    pair: Pair
    lengths: Lengths
    capacity: PairCapacity
    written: Load
    gpu_seconds: Array
    busy_power_w: Array
    """Of a GPU, averaged over the GPU-seconds of an answer."""


def solve_pools(cases: Cases) -> tuple[Estimate, Work]:
    """Return the estimate of cases that all have two pools, and its intermediate results."""
    fits, fit_limit = _fitting(cases)
    found, plain = _at_capacity(cases, fits), _at_capacity(without_thinking(cases), fits)
    pair, capacity = found.pair, found.capacity
    pools, at_peak, shown, fleet, billed = _sized(cases, found, fits)
    latencies = latencies_of(pair, found.lengths, pools.shown, shown)
    latency = {name: latencies(name, True) for name in QUANTILES}  # noqa: FBT003 - as in ratios_of
    tokens, prefill_share = pair.writer.tokens, np.asarray(pools.reading.billed_gpus / billed)
    bill = money(
        billed,
        cases.demand.answers_per_s,
        found.gpu_seconds,
        prefill_share,
        tokens.input_tokens_per_answer,
        tokens.generated_tokens_per_answer,
        cases.offer.usd_per_gpu_hour,
        cases.offer.extra_share,
        cases.energy.accuracy,
    )
    watts = sum(pool.billed_gpus * pool.gpu_power_w for pool in (pools.reading, pools.writing)) / billed
    work = Work(
        replica=pair.writer,
        capacity=Capacity(capacity.running, capacity.meets_slo, capacity.largest_running, capacity.smallest_running),
        at_capacity=found.written,
        at_peak=at_peak,
        shown=shown,
        latency=latency,
        fleet=fleet,
        money=bill,
        energy=energy_of(cases, billed, watts),
        gpu_seconds_per_answer=found.gpu_seconds,
        gpu_seconds_per_answer_plain=plain.gpu_seconds,
        plain_busy_power_w=plain.busy_power_w,
        busy_power_w=found.busy_power_w,
        prefill_share=prefill_share,
        pools=pools,
    )
    binds = binding_limit_of(pair, found.lengths, cases.slo, capacity)
    limit = limit_of(cases, fits, fit_limit, capacity.meets_slo, binds, fleet.gpus)
    return assemble(cases, work, fits, limit), work


def _each(cases: Cases) -> tuple[Cases, Cases]:
    """Return the cases of the readers and those of the writers; only writers draft."""
    if cases.prefill_layout is None:
        return cases, cases
    writing = dataclasses.replace(cases, prefill_layout=None)
    return dataclasses.replace(writing, layout=cases.prefill_layout), writing


def _fitting(cases: Cases) -> tuple[Mask, Array]:
    """Return (fits, limit): a replica of either pool must hold the weights and one long request."""
    (reads, why_not), (writes, why) = (fitting(own, build_replica(own)) for own in _each(cases))
    return reads & writes, np.where(writes, why_not, why)


def _at_capacity(cases: Cases, fits: Mask) -> _Solved:
    """Return the pair of each case at the loads within the SLO that take the fewest GPU-seconds."""
    reading, writing = _each(cases)
    transfer = prompt_transfer_s(reading, writing, _ANYWHERE, _ANYWHERE)
    pair, lengths = pair_of(build_replica(reading), build_replica(writing), transfer), length_quantiles(cases)
    found = pair_capacity(pair, lengths, cases.slo)
    share, running = (np.where(fits, value, np.nan) for value in (found.share, found.running))
    found = dataclasses.replace(found, share=share, running=running)
    written, parts = load_at(pair.writer, running), pair.gpu_seconds(share, running)
    watts = (reading_power_at(reading, pair.reader, share), busy_power_at(writing, pair.writer, written))
    seconds = parts[0] + parts[1]
    busy = (parts[0] * watts[0] + parts[1] * watts[1]) / seconds
    return _Solved(reading, writing, pair, lengths, found, written, np.asarray(seconds), np.asarray(busy))


def _sized(cases: Cases, found: _Solved, fits: Mask) -> tuple[TwoPools, Load, Load, Fleet, Array]:
    """Return (the pools, the writer's load at the peak, the load shown, both fleets as one, GPUs that are paid).

    Each pool is up with the root of the availability, so that both are with all of it.
    """
    pair, capacity, demand = found.pair, found.capacity, cases.demand
    availability = np.sqrt(cases.fleet.availability)
    rates = (capacity.share * pair.most_answers_per_s, found.written.answers_per_s)
    sizes = (pair.reader.gpus_per_replica, pair.writer.gpus_per_replica)
    read, write = (fleet_of(cases, g, rate, availability) for g, rate in zip(sizes, rates, strict=True))
    paid = [billed_of(cases, fleet) for fleet in (read, write)]
    peak = peak_answers_per_s(cases)
    batch = running_for_rate(pair.writer, peak / write.replicas, capacity.largest_running)
    at_peak = load_at(pair.writer, np.where(np.isnan(capacity.running), np.nan, batch))
    idle = fits & ~capacity.meets_slo
    shown = load_at(pair.writer, np.where(idle, capacity.smallest_running, at_peak.running))
    read_shown = pair.reading(np.where(idle, SMALLEST_LOAD, peak / read.replicas / pair.most_answers_per_s))
    busy = demand.answers_per_s * sizes[0] / (pair.most_answers_per_s * paid[0])
    watts = (
        reading_power_at(found.reading, pair.reader, busy),
        mean_power_w(
            busy_power_at(found.writing, pair.writer, at_peak),
            cases.gpu.idle_w,
            at_peak.running / (demand.peak_to_mean * demand.burst),
        ),
    )
    reading, writing = (Pool(*of) for of in zip(rates, (read, write), paid, watts, strict=True))
    pools = TwoPools(
        pair.reader, reading, writing, capacity.share, pair.most_answers_per_s, read_shown, pair.transfer_s
    )
    both = Fleet(
        write.replicas,
        read.spare_replicas + write.spare_replicas,
        read.gpus + write.gpus,
        read.nodes + write.nodes,
        read.nodes_mean + write.nodes_mean,
        write.replica_availability,
    )
    return pools, at_peak, shown, both, paid[0] + paid[1]
