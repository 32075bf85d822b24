"""What an estimate consists of: its fields, the intermediate results behind them, and how they are put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner import units
from planner.fleet.bill import Money, TokenMoney
from planner.fleet.replicas import Fleet
from planner.fleet.result_fields import Results
from planner.serving.cases import Cases
from planner.serving.disaggregated import Deployment
from planner.serving.kv_cache import longest_context_tokens
from planner.serving.normal import Array, Mask, total
from planner.serving.replica import Replica
from planner.serving.slo import Capacity
from planner.serving.steady_state import METRICS, Latency, Load


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
class Estimate(Results[Array, Array, Array]):
    """The results of each case: arrays of the cases' shape; NaN where there is no number, `limit` as a `Limit`."""


@dataclass(frozen=True, eq=False)
class ReplicaCapacity:
    """What a replica of each case serves within its SLO: the part of an estimate that no demand changes.

    With two pools it is the decode replica, beside a prefill replica.
    """

    meets_slo: Array
    """1 where it fits and some load is within the SLO, else 0."""
    gpus_per_replica: Array
    answers_per_s: Array
    """The most it serves; NaN where it serves none."""
    generated_tokens_per_answer: Array
    prefill_gpus_per_replica: Array
    """0 with one pool."""
    prefill_answers_per_s: Array
    """Infinite with one pool."""

    @property
    def gpu_seconds_per_answer(self) -> Array:
        """Return the GPU-seconds of an answer in both pools [s]."""
        in_prefill = self.prefill_gpus_per_replica / self.prefill_answers_per_s
        return np.asarray(in_prefill + self.gpus_per_replica / self.answers_per_s)


@dataclass(frozen=True, eq=False)
class FleetCost:
    """The machines for a demand, and what they cost."""

    meets_slo: Mask
    """Whether the SLO is met with a fleet that is allowed."""
    fleet: Fleet
    """Both pools; its replicas are those of the decode pool."""
    decode: Fleet
    prefill: Fleet
    """No machines with one pool."""
    money: Money


@dataclass(frozen=True, eq=False)
class EstimateDetail:
    """The intermediate results of one run, for `explain` and the tests; the loads are those of a decode replica."""

    deployment: Deployment
    capacity: Capacity
    at_capacity: Load
    at_peak: Load
    shown: Load
    """Where the latencies are taken: the peak, or an idle replica where no load meets the SLO."""
    prefill_shown: Load
    """The same of a prefill replica; `shown` with one pool."""
    latency: dict[str, Latency]
    replica_capacity: ReplicaCapacity
    fleet_cost: FleetCost
    token_money: TokenMoney
    energy: Energy
    gpu_seconds_per_answer_plain: Array
    """The same option re-solved at a reasoning multiplier of 1."""
    plain_busy_power_w: Array
    busy_power_w: Array
    """Of a GPU at capacity, averaged over the GPU-seconds of an answer."""
    prefill_share: Array
    """Of the GPUs that are paid for, prefill takes."""

    @property
    def replica(self) -> Replica:
        """Return the decode replica, with one pool the only one."""
        return self.deployment.decode


def fleet_results(
    cases: Cases,
    fits: Mask,
    limit: Array,
    capacity: ReplicaCapacity,
    cost: FleetCost,
    token_money: TokenMoney,
    energy: Energy,
) -> dict[str, Array]:
    """Return the result fields that follow from what a replica serves, however that was found.

    Parameters
    ----------
    cases : for demand, offer and quality.
    fits, limit : whether a replica fits, and the index of its `Limit`.
    capacity : what a replica serves within the SLO, and its GPUs.
    cost, token_money, energy : machines and bill, bill by tokens, power and carbon.

    Returns
    -------
    dict[str, Array]
        Field of `Estimate` -> values of the cases' shape, in the unit its column has. Infinite where a replica serves
        nothing; `estimate_of` makes that NaN.
    """
    fleet, offer, seconds = cost.fleet, cases.offer, capacity.gpu_seconds_per_answer
    two_pools = capacity.prefill_gpus_per_replica > 0.0
    values = {
        "fits": fits,
        "meets_slo": cost.meets_slo,
        "limit": limit,
        "gpus_per_replica": capacity.gpus_per_replica,
        "replicas": fleet.replicas,
        "spare_replicas": fleet.spare_replicas,
        "nodes": fleet.nodes,
        "nodes_mean": np.where(offer.sells_nodes > 0.0, fleet.billed_gpus / offer.gpus_per_instance, np.nan),
        "gpus": fleet.gpus,
        "answers_per_month": cases.demand.answers_per_s * units.SECONDS_PER_MONTH,
        "output_tokens_per_s_per_gpu": capacity.generated_tokens_per_answer / seconds,
        "gpu_seconds_per_answer": seconds,
        "usd_per_gpu_hour": offer.usd_per_gpu_hour,
        "accuracy": cases.quality.accuracy,
        "prefill_gpus_per_replica": np.where(two_pools, capacity.prefill_gpus_per_replica, np.nan),
        "prefill_replicas": np.where(two_pools, cost.prefill.replicas, np.nan),
    }
    for part in (cost.money, token_money, energy):
        values |= {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.name != "gpu_power_w"}
    return values


def replica_results(cases: Cases, detail: EstimateDetail) -> dict[str, Array]:
    """Return the result fields that only a model of the replica tells: lengths, latencies, what thinking costs.

    Parameters
    ----------
    cases : for the workload and the model's context.
    detail : the replica, its loads and latencies, and what the same option takes without thinking.

    Returns
    -------
    dict[str, Array]
        Field of `Estimate` -> values of the cases' shape, in the unit its column has.
    """
    tokens, w = detail.replica.tokens, cases.workload
    visible_each = w.share * w.turns_per_answer * w.samples_per_answer * w.answer_tokens_mean
    multiplier = detail.replica_capacity.gpu_seconds_per_answer / detail.gpu_seconds_per_answer_plain
    values = {
        "input_tokens_per_answer": tokens.input_tokens_per_answer,
        "answer_tokens_per_answer": tokens.answer_tokens_per_answer,
        "reasoning_multiplier": total(visible_each * w.reasoning_multiplier) / total(visible_each),
        "generated_tokens_per_answer": tokens.generated_tokens_per_answer,
        "truncated_share": tokens.truncated_share,
        "concurrency_per_replica": detail.at_peak.running,
        "max_concurrency_per_replica": np.floor(detail.replica.memory.max_running_sequences),
        "longest_context_tokens": longest_context_tokens(cases, detail.replica.memory.kv_capacity_bytes),
        "gpu_time_multiplier": multiplier,
        "cost_multiplier": multiplier,
        "energy_multiplier": multiplier * (detail.busy_power_w / detail.plain_busy_power_w),
    }
    for name, latency in detail.latency.items():
        for metric in METRICS:
            values[f"{metric}_{name}_s"] = getattr(latency, metric)
    return values


def estimate_of(values: Mapping[str, Array]) -> Estimate:
    """Return the estimate of some result fields; the others, and what is infinite, are NaN: there is no number."""
    fields = {f.name: np.asarray(values.get(f.name, np.nan), dtype=np.float64) for f in dataclasses.fields(Estimate)}
    return Estimate(**{name: np.where(np.isfinite(column), column, np.nan) for name, column in fields.items()})
