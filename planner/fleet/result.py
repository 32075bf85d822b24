"""What an estimate consists of: its fields, the intermediate results behind them, and how they are put together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner import units
from planner.fleet.bill import Money, TokenMoney
from planner.fleet.replicas import Fleet
from planner.serving.cases import Cases
from planner.serving.normal import Array, Mask, total
from planner.serving.replica import Replica
from planner.serving.slo import Capacity
from planner.serving.steady_state import Latency, Load


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
    """What binds, as the number of a `Limit`."""
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
    prefill_gpus_per_replica: Array
    """Of the pool that reads prompts, where answers are written by another; NaN with one pool."""
    prefill_replicas: Array


@dataclass(frozen=True, eq=False)
class ReplicaCapacity:
    """What a replica of each case serves within its SLO: what of an estimate no demand changes.

    With two pools it is the replica that writes, beside the one that reads.
    """

    meets_slo: Array
    """1 where it fits and some load is within the SLO, else 0."""
    gpus_per_replica: Array
    answers_per_s: Array
    """The most it serves; NaN where it serves none."""
    gpu_seconds_per_answer: Array
    """Of both pools."""
    generated_tokens_per_answer: Array
    prefill_gpus_per_replica: Array
    """NaN with one pool."""
    prefill_answers_per_s: Array


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool of replicas: those that read prompts, those that write answers, or those that do both."""

    answers_per_s: Array
    """The most one of its replicas serves within the SLO."""
    fleet: Fleet
    billed_gpus: Array


@dataclass(frozen=True, eq=False)
class FleetCost:
    """The machines for a demand, and what they cost."""

    meets_slo: Mask
    """Whether the SLO is met with a fleet that is allowed."""
    fleet: Fleet
    """Of both pools, where there are two."""
    billed_gpus: Array
    money: Money
    writing: Pool
    """Or the only one."""
    reading: Pool | None
    """None: no case has two pools."""


@dataclass(frozen=True, eq=False)
class TwoPools:
    """What two pools have beside the replica that writes."""

    reader: Replica
    reading: Pool
    writing: Pool
    reading_power_w: Array
    """Average power of a GPU of the pool."""
    writing_power_w: Array
    share: Array
    """Load of a reader at capacity, over the most it can read."""
    most_answers_per_s: Array
    """Rate at which a reader does nothing but read."""
    shown: Load
    """Of a reader, where the latencies are taken."""
    transfer_s: Array
    """Time the cache of a mean prompt takes from one to the other."""


@dataclass(frozen=True, eq=False)
class EstimateDetail:
    """The intermediate results of one run, for `explain` and the tests; of two pools, those of the one that writes."""

    replica: Replica
    capacity: Capacity
    at_capacity: Load
    at_peak: Load
    shown: Load
    """Where the latencies are taken: the peak, or an idle replica where no load meets the SLO."""
    latency: dict[str, Latency]
    served: ReplicaCapacity
    sized: FleetCost
    token_money: TokenMoney
    energy: Energy
    gpu_seconds_per_answer_plain: Array
    """The same option re-solved at a reasoning multiplier of 1."""
    plain_busy_power_w: Array
    busy_power_w: Array
    """Of a GPU at capacity, averaged over the GPU-seconds of an answer."""
    prefill_share: Array
    pools: TwoPools | None = None


def assemble(cases: Cases, work: EstimateDetail, fits: Mask, limit: Array) -> Estimate:
    """Put the result fields together; a case that cannot work is NaN from the load on."""
    tokens, fleet, pools = work.replica.tokens, work.sized.fleet, work.pools
    seconds = work.served.gpu_seconds_per_answer
    w = cases.workload
    visible_each = w.share * w.turns_per_answer * w.samples_per_answer * w.answer_tokens_mean
    uncut_multiplier = total(visible_each * w.reasoning_multiplier) / total(visible_each)
    multiplier = seconds / work.gpu_seconds_per_answer_plain
    power_ratio = work.busy_power_w / work.plain_busy_power_w
    values = {
        "fits": fits,
        "meets_slo": work.sized.meets_slo,
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
        "output_tokens_per_s_per_gpu": tokens.generated_tokens_per_answer / seconds,
        "gpu_seconds_per_answer": seconds,
        "usd_per_gpu_hour": cases.offer.usd_per_gpu_hour,
        "accuracy": cases.quality.accuracy,
        "gpu_time_multiplier": multiplier,
        "cost_multiplier": multiplier,
        "energy_multiplier": multiplier * power_ratio,
        "prefill_gpus_per_replica": pools.reader.gpus_per_replica if pools else np.asarray(np.nan),
        "prefill_replicas": pools.reading.fleet.replicas if pools else np.asarray(np.nan),
    }
    for name, latency in work.latency.items():
        for metric in ("ttft", "tpot", "time_to_answer", "e2e"):
            values[f"{metric}_{name}_s"] = getattr(latency, metric)
    for part in (work.sized.money, work.token_money, work.energy):
        values |= {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.name != "gpu_power_w"}
    finite = {k: np.where(np.isfinite(v), v, np.nan) for k, v in values.items()}
    return Estimate(**finite)
