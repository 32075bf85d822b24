"""Measured rates: a node serves so many tokens per second as somebody measured it; no model of the replica is needed.

Nodes = tokens per second / measured rate of a node, for prefill and for decode (rates of
disaggregated phases are never added up). Where only token volumes are known, per-answer results stay empty.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner import units
from planner.fleet.bill import token_money
from planner.fleet.result import Estimate, ReplicaCapacity, estimate_of, fleet_results
from planner.fleet.sizing import energy_of, fleet_cost, limit_of
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.lengths import token_demand
from planner.serving.normal import Array
from planner.serving.slo import Limit


@dataclass(frozen=True, eq=False)
class MeasuredLoad:
    """Token volume and the measured rates of one node that serve it."""

    input_tokens_per_s: Array
    """Mean rate, cached tokens included [tokens/s]."""
    output_tokens_per_s: Array
    input_tokens_per_s_per_node: Array
    output_tokens_per_s_per_node: Array


def measured_load(
    cases: Cases, input_rate: float, output_rate: float, tokens_per_day: tuple[float, float] | None
) -> MeasuredLoad:
    """Return the load of a scenario with measured rates: from token volumes, or from answers and their lengths.

    Parameters
    ----------
    cases : for the rate of answers [1/s] and their lengths [tokens], where no volume is given.
    input_rate, output_rate : what one node was measured to prefill and to generate [tokens/s], > 0.
    tokens_per_day : volume of input and output [tokens/day]; None where answers are counted.

    Returns
    -------
    MeasuredLoad
        Mean rates [tokens/s], shape of the cases. Input counts cached tokens, as the measured rate does.
    """
    if tokens_per_day is not None:
        per_s = [np.asarray(tokens / units.SECONDS_PER_DAY) for tokens in tokens_per_day]
    else:
        tokens = token_demand(cases.workload)
        rate = cases.demand.answers_per_s
        per_s = [rate * tokens.input_tokens_per_answer, rate * tokens.generated_tokens_per_answer]
    return MeasuredLoad(per_s[0], per_s[1], np.asarray(input_rate), np.asarray(output_rate))


def phase_nodes(load: MeasuredLoad) -> tuple[Array, Array]:
    """Return (prefill nodes, decode nodes), fractional.

    Examples
    --------
    DeepSeek's day of 2025-02-27: 608 B and 168 B tokens at 73.7k and 14.8k tokens/s per node.

    >>> day = 86400.0
    >>> prefill, decode = phase_nodes(MeasuredLoad(608e9 / day, 168e9 / day, 73.7e3, 14.8e3))
    >>> round(float(prefill), 1), round(float(decode), 1)
    (95.5, 131.4)
    """
    prefill = load.input_tokens_per_s / load.input_tokens_per_s_per_node
    decode = load.output_tokens_per_s / load.output_tokens_per_s_per_node
    return np.asarray(prefill), np.asarray(decode)


def as_measured_nodes(cases: Cases) -> Cases:
    """Return cases whose replica is a node of measured rate: bought whole, with no spares beside it.

    The rates are of all nodes that were there when they were measured, those that failed included.
    """
    return cases.replaced(
        offer__gpus_per_instance=cases.gpu.gpus_per_node,
        offer__sells_nodes=np.ones(()),
        fleet__failures_per_gpu_hour=np.zeros(()),
    )


def measured_capacity(cases: Cases, load: MeasuredLoad) -> ReplicaCapacity:
    """Return what a node serves at measured rates, both phases on the same count of nodes.

    Where the demand is tokens and no number of answers is known, a second's tokens stand for an answer.

    Parameters
    ----------
    cases : for the GPUs of a node [1] and the rate of answers [1/s].
    load : token rates and the measured rates of a node [tokens/s].

    Returns
    -------
    ReplicaCapacity
        Of one node as if it were a replica: lambda/(n_prefill + n_decode) answers/s.
    """
    prefill, decode = phase_nodes(load)
    rate = _counted(cases).demand.answers_per_s
    columns = {
        "meets_slo": np.ones(()),
        "gpus_per_replica": cases.gpu.gpus_per_node,
        "answers_per_s": rate / (prefill + decode),
        "generated_tokens_per_answer": load.output_tokens_per_s / rate,
        "prefill_gpus_per_replica": np.zeros(()),
        "prefill_answers_per_s": np.asarray(np.inf),
    }
    return ReplicaCapacity(**{name: np.broadcast_to(column, cases.shape) for name, column in columns.items()})


def _counted(cases: Cases) -> Cases:
    """Return cases with a number of answers: one per second where only tokens are known."""
    rate = cases.demand.answers_per_s
    return cases.replaced(demand__answers_per_s=np.where(np.isnan(rate), 1.0, rate))


def estimate_from_measured_rates(cases: Cases, load: MeasuredLoad) -> tuple[Estimate, ReplicaCapacity]:
    """Return the estimate of nodes that serve at measured rates, and what one serves; latencies are unknown: NaN.

    Parameters
    ----------
    cases : nodes of measured rate (`as_measured_nodes`), of any shape.
    load : token rates and the measured rates of a node [tokens/s].

    Returns
    -------
    tuple[Estimate, ReplicaCapacity]
        Results of the cases' shape; those of single answers are NaN where only a token volume is known.
    """
    with ignoring_float_errors():
        capacity, counted = measured_capacity(cases, load), _counted(cases)
        cost, rate = fleet_cost(counted, capacity), counted.demand.answers_per_s
        prefill, decode = phase_nodes(load)
        split = token_money(
            cost.money.cost_usd_per_answer,
            prefill / (prefill + decode),
            load.input_tokens_per_s / rate,
            load.output_tokens_per_s / rate,
        )
        energy = energy_of(counted, cost.fleet.billed_gpus, _busy_power_w(cases))
        fits = np.ones(cases.shape, dtype=bool)
        limit = limit_of(cases, fits, np.zeros(()), fits, np.asarray(Limit.NONE), cost.fleet.gpus)
        values = fleet_results(counted, fits, limit, capacity, cost, split, energy)
        answers = ~np.isnan(cases.demand.answers_per_s)
        known = values | {name: np.where(answers, values[name], np.nan) for name in _PER_ANSWER}
        unknown = dict.fromkeys(("replicas", "spare_replicas"), np.asarray(np.nan))
        found = estimate_of(known | unknown)
    columns = {f.name: np.broadcast_to(getattr(found, f.name), cases.shape) for f in dataclasses.fields(found)}
    return Estimate(**columns), capacity


_PER_ANSWER = (
    "answers_per_month",
    "gpu_seconds_per_answer",
    "cost_usd_per_answer",
    "cost_usd_per_answer_used",
    "cost_usd_per_correct_answer",
    "energy_wh_per_answer",
)
"""Results that need a number of answers."""


def _busy_power_w(cases: Cases) -> Array:
    """Return the power of a GPU at the middle of the busy range [W]: the mix of a measured fleet's steps is unknown."""
    e = cases.energy
    return np.asarray(cases.gpu.tdp_w * 0.5 * (e.busy_power_base + e.busy_power_memory + e.busy_power_top))
