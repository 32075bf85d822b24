"""The conductor of two pools: prompts are read by replicas of one layout, answers are written by those of another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner.fleet.bill import token_money
from planner.fleet.result import Estimate, EstimateDetail, FleetCost, ReplicaCapacity, TwoPools, assemble
from planner.fleet.sizing import energy_of, fitting, limit_of, peak_answers_per_s, sized, without_thinking
from planner.serving.cases import Cases
from planner.serving.disaggregated_slo import (
    SHARE_GRID_POINTS,
    Pair,
    PairCapacity,
    binding_limit_of,
    latencies_of,
    pair_capacity,
    pair_of,
)
from planner.serving.normal import Array, Mask
from planner.serving.power import busy_power_at, mean_power_w, reading_power_at
from planner.serving.replica import build_replica, prompt_transfer_s
from planner.serving.slo import Capacity
from planner.serving.steady_state import (
    IDLE_FRACTION,
    QUANTILES,
    Lengths,
    Load,
    length_quantiles,
    load_at,
    running_for_rate,
)

PREFILL_LOADS = SHARE_GRID_POINTS + 1
"""Loads of the readers that are worked on beside each other."""
_ANYWHERE = np.asarray(np.inf)
"""Replicas of a pool: too many for the fast links of one domain, so that prompts travel over the network."""


@dataclass(frozen=True, eq=False)
class _AtCapacity:
    """A pair at its SLO capacity: nothing here depends on the demand."""

    reading: Cases
    writing: Cases
    pair: Pair
    lengths: Lengths
    fits: Mask
    fit_limit: Array
    capacity: PairCapacity
    written: Load
    busy_power_w: Array
    """Of a GPU, averaged over the GPU-seconds of an answer."""
    served: ReplicaCapacity


def solve_pools(cases: Cases) -> tuple[Estimate, EstimateDetail]:
    """Return the estimate of cases that all have two pools, and its intermediate results."""
    fit = _fitting(cases)
    found, plain = _at_capacity(cases, *fit), _at_capacity(without_thinking(cases), *fit)
    pair, capacity, tokens, size = found.pair, found.capacity, found.pair.writer.tokens, sized(cases, found.served)
    pools, at_peak, shown = _at_peak(cases, found, size)
    latencies = latencies_of(pair, found.lengths, pools.shown, shown)
    prefill_share = np.asarray(pools.reading.billed_gpus / size.billed_gpus)
    of_pools = ((pools.reading, pools.reading_power_w), (pools.writing, pools.writing_power_w))
    watts = sum(pool.billed_gpus * gpu_w for pool, gpu_w in of_pools) / size.billed_gpus
    work = EstimateDetail(
        replica=pair.writer,
        capacity=Capacity(capacity.running, capacity.meets_slo, capacity.largest_running, capacity.smallest_running),
        at_capacity=found.written,
        at_peak=at_peak,
        shown=shown,
        latency={name: latencies(name, True) for name in QUANTILES},  # noqa: FBT003 - as in ratios_of
        sized=size,
        token_money=token_money(
            size.money.cost_usd_per_answer,
            prefill_share,
            tokens.input_tokens_per_answer,
            tokens.generated_tokens_per_answer,
        ),
        energy=energy_of(cases, size.billed_gpus, watts),
        served=found.served,
        gpu_seconds_per_answer_plain=plain.served.gpu_seconds_per_answer,
        plain_busy_power_w=plain.busy_power_w,
        busy_power_w=found.busy_power_w,
        prefill_share=prefill_share,
        pools=pools,
    )
    binds = binding_limit_of(pair, found.lengths, cases.slo, capacity)
    limit = limit_of(cases, found.fits, found.fit_limit, capacity.meets_slo, binds, size.fleet.gpus)
    return assemble(cases, work, found.fits, limit), work


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


def _at_capacity(cases: Cases, fits: Mask, fit_limit: Array) -> _AtCapacity:
    """Return the pair of each case at the loads within the SLO that take the fewest GPU-seconds, where it fits."""
    reading, writing = _each(cases)
    transfer = prompt_transfer_s(reading, writing, _ANYWHERE, _ANYWHERE)
    pair, lengths = pair_of(build_replica(reading), build_replica(writing), transfer), length_quantiles(cases)
    found = pair_capacity(pair, lengths, cases.slo)
    share, running = (np.where(fits, value, np.nan) for value in (found.share, found.running))
    found = dataclasses.replace(found, share=share, running=running)
    written, parts = load_at(pair.writer, running), pair.gpu_seconds(share, running)
    watts = (reading_power_at(reading, pair.reader, share), busy_power_at(writing, pair.writer, written))
    seconds = np.asarray(parts[0] + parts[1])
    busy = np.asarray((parts[0] * watts[0] + parts[1] * watts[1]) / seconds)
    served = ReplicaCapacity(
        meets_slo=np.where(found.meets_slo & fits, 1.0, 0.0),
        gpus_per_replica=pair.writer.gpus_per_replica,
        answers_per_s=written.answers_per_s,
        gpu_seconds_per_answer=seconds,
        generated_tokens_per_answer=pair.writer.tokens.generated_tokens_per_answer,
        prefill_gpus_per_replica=pair.reader.gpus_per_replica,
        prefill_answers_per_s=share * pair.most_answers_per_s,
    )
    return _AtCapacity(reading, writing, pair, lengths, fits, fit_limit, found, written, busy, served)


def _at_peak(cases: Cases, found: _AtCapacity, size: FleetCost) -> tuple[TwoPools, Load, Load]:
    """Return (the pools, the writer's load at the peak, the load shown)."""
    pair, capacity, demand, write, read = found.pair, found.capacity, cases.demand, size.writing, size.reading
    assert read is not None  # noqa: S101 - all cases have two pools
    peak = peak_answers_per_s(cases)
    batch = running_for_rate(pair.writer, peak / write.fleet.replicas, capacity.largest_running)
    at_peak = load_at(pair.writer, np.where(np.isnan(capacity.running), np.nan, batch))
    idle = found.fits & ~capacity.meets_slo
    shown = load_at(pair.writer, np.where(idle, capacity.smallest_running, at_peak.running))
    read_shown = pair.reading(np.where(idle, IDLE_FRACTION, peak / read.fleet.replicas / pair.most_answers_per_s))
    busy = demand.answers_per_s * pair.reader.gpus_per_replica / (pair.most_answers_per_s * read.billed_gpus)
    write_w = mean_power_w(
        busy_power_at(found.writing, pair.writer, at_peak),
        cases.gpu.idle_w,
        at_peak.running / (demand.peak_to_mean * demand.burst),
    )
    read_w = reading_power_at(found.reading, pair.reader, busy)
    share, most = capacity.share, pair.most_answers_per_s
    pools = TwoPools(pair.reader, read, write, read_w, write_w, share, most, read_shown, pair.transfer_s)
    return pools, at_peak, shown
