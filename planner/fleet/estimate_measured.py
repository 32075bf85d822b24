"""The second conductor, for measured rates: nodes from token volumes, then the same money and energy."""

import dataclasses

import numpy as np

from planner import units
from planner.fleet.estimate import Estimate
from planner.fleet.measured_rates import MeasuredLoad, phase_nodes
from planner.serving.cases import Cases
from planner.serving.lengths import token_demand
from planner.serving.normal import Array
from planner.serving.power import facility_power_kw


def measured_load(
    cases: Cases, input_rate: float, output_rate: float, tokens_per_day: tuple[float, float] | None
) -> MeasuredLoad:
    """Return the load of a scenario with measured rates: from token volumes, or from answers and their lengths."""
    if tokens_per_day is not None:
        per_s = [np.asarray(tokens / units.SECONDS_PER_DAY) for tokens in tokens_per_day]
    else:
        tokens = token_demand(cases.workload)
        rate = cases.demand.answers_per_s
        per_s = [rate * tokens.input_tokens_per_answer, rate * tokens.generated_tokens_per_answer]
    return MeasuredLoad(per_s[0], per_s[1], np.asarray(input_rate), np.asarray(output_rate))


def estimate_measured(cases: Cases, load: MeasuredLoad) -> Estimate:
    """Return the estimate of a fleet whose nodes serve at measured rates; latencies are unknown, hence NaN.

    The mean fleet is fractional; the peak is rounded up to nodes. A node is the gpus_per_node of its system.
    """
    prefill, decode = phase_nodes(load)
    fleet, demand, node = cases.fleet, cases.demand, cases.gpu.gpus_per_node
    mean = (prefill + decode) / (1.0 - fleet.headroom)
    peak = np.ceil(mean * demand.peak_to_mean * demand.burst)
    billed = np.where(fleet.bills_mean > 0.0, mean, peak) * node
    hours = billed * units.HOURS_PER_MONTH
    used = (prefill + decode) * node * units.HOURS_PER_MONTH
    per_month = hours * cases.offer.usd_per_gpu_hour * (1.0 + cases.offer.extra_share)
    answers = demand.answers_per_s * units.SECONDS_PER_MONTH
    mtok = units.SECONDS_PER_MONTH / units.TOKENS_PER_MTOK
    share = prefill / (prefill + decode)
    power = _power_kw(cases, billed)
    kwh = power * units.HOURS_PER_MONTH
    values = {
        "fits": 1.0,
        "meets_slo": ~(peak * node > fleet.max_gpus),
        "limit": 0.0,
        "gpus_per_replica": node,
        "nodes": peak,
        "nodes_mean": mean,
        "gpus": peak * node,
        "answers_per_month": answers,
        "output_tokens_per_s_per_gpu": load.output_tokens_per_s / (mean * node),
        "gpu_seconds_per_answer": used * units.SECONDS_PER_HOUR / answers,
        "utilization": used / hours,
        "gpu_hours_per_month_reserved": hours,
        "gpu_hours_per_month_used": used,
        "usd_per_gpu_hour": cases.offer.usd_per_gpu_hour,
        "cost_usd_per_month": per_month,
        "cost_usd_per_answer": per_month / answers,
        "cost_usd_per_answer_used": per_month * used / hours / answers,
        "cost_usd_per_mtok_input": per_month * share / (load.input_tokens_per_s * mtok),
        "cost_usd_per_mtok_output": per_month * (1.0 - share) / (load.output_tokens_per_s * mtok),
        "accuracy": cases.quality.accuracy,
        "cost_usd_per_correct_answer": per_month / answers / cases.quality.accuracy,
        "power_kw": power,
        "energy_kwh_per_month": kwh,
        "energy_wh_per_answer": kwh * units.WATTS_PER_KW / answers,
        "co2e_kg_per_month": kwh * cases.energy.gco2e_per_kwh / units.GRAMS_PER_KG,
    }
    shape = cases.shape
    columns: dict[str, Array] = {}
    for field in dataclasses.fields(Estimate):
        value = np.asarray(values.get(field.name, np.nan), dtype=np.float64)
        columns[field.name] = np.broadcast_to(value, shape)
    return Estimate(**columns)


def _power_kw(cases: Cases, billed: Array) -> Array:
    """Return facility power at the middle of the busy range: the mix of a measured fleet's steps is unknown."""
    e = cases.energy
    busy = cases.gpu.tdp_w * 0.5 * (e.busy_power_base + e.busy_power_memory + e.busy_power_top)
    return facility_power_kw(billed, busy, e.node_power_overhead, e.pue)
