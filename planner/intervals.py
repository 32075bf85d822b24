"""Intervals: p10 and p90 of results, from how far predictions were off on what the fit had not seen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.answers import Answer
from planner.cases import Cases
from planner.cases.candidates import Candidate
from planner.estimate import Estimate, estimate
from planner.options import NUMBER_FIELDS, Row, number
from planner.physics.special import Array
from planner.unseen import Bounds, error_bounds, unseen

LATENCIES = {"ttft": "ttft", "tpot": "tpot", "time_to_answer": "tpot", "e2e": "tpot"}
"""Latency -> whose errors it has: most of an answer's time is decode."""
SOLVED_FIELDS = (
    "output_tokens_per_s_per_gpu",
    "gpu_seconds_per_answer",
    "replicas",
    "gpus",
    "gpu_hours_per_month_reserved",
    "gpu_hours_per_month_used",
    "cost_usd_per_month",
    "cost_usd_per_answer",
    "cost_usd_per_answer_used",
    "cost_usd_per_mtok_input",
    "cost_usd_per_mtok_output",
    "cost_usd_per_correct_answer",
    "energy_wh_per_answer",
)
"""Fields solved again for a machine that is as much faster or slower as predictions were off."""
_LATENCY_FIELDS = tuple(n for n in NUMBER_FIELDS if n.rsplit("_", 2)[0] in LATENCIES)
_BOTH = {*_LATENCY_FIELDS, *SOLVED_FIELDS}
INTERVAL_FIELDS = tuple(f"{name}_{bound}" for name in NUMBER_FIELDS if name in _BOTH for bound in ("p10", "p90"))
"""Columns that --interval appends."""


def slowed(cases: Cases, factor: Array) -> Cases:
    """Return cases whose machines take `factor` times as long for everything."""
    g, e = cases.gpu, cases.engine
    rates = ("hbm_bytes_per_s", "attention_flop_per_s", "ffn_flop_per_s", "expert_flop_per_s", "kv_flop_per_s")
    times = (
        "collective_latency_s",
        "network_latency_s",
        "layer_overhead_s",
        "step_overhead_s",
        "sequence_overhead_s",
        "request_overhead_s",
        "prompt_overhead_s",
    )
    gpu = {f"gpu__{n}": getattr(g, n) / factor for n in (*rates, "link_bytes_per_s", "network_bytes_per_s")}
    return cases.replaced(**gpu, **{f"engine__{n}": getattr(e, n) * factor for n in times})


def with_intervals(answer: Answer) -> Answer:
    """Return an answer whose rows also hold INTERVAL_FIELDS; missing where an engine has no errors on record.

    Latencies are those of the fleet as sized, times the errors. The rest is solved again for a machine that is faster
    or slower by the error of the throughput, or of the first token where that binds; a slow machine that cannot meet
    the limits at any size leaves its side missing.
    """
    bounds = [_bounds_of(answer, option) for option in answer.options]
    if answer.scenario.spec.measured_rates is not None or not any(bounds):
        return replace(answer, results=[row | dict.fromkeys(INTERVAL_FIELDS) for row in answer.results])
    chosen = answer.cases.rows(np.asarray(answer.rows_of_results)) if answer.cases.shape else answer.cases
    solved = [_solved(chosen, answer.results, bounds, side) for side in (0, 1)]
    rows = [_row(row, own, solved, i) for i, (row, own) in enumerate(zip(answer.results, bounds, strict=True))]
    return replace(answer, results=rows)


def _bounds_of(answer: Answer, option: Candidate) -> Bounds | None:
    engine, gpu = option.machine.engine.spec, option.machine.gpu.spec
    row = answer.results[0]
    lengths = (row["input_tokens_per_answer"], row["generated_tokens_per_answer"])
    if None in lengths:
        return None
    return error_bounds(engine, unseen(engine, answer.model.spec, gpu, lengths))


def _solved(cases: Cases, rows: Sequence[Row], bounds: Sequence[Bounds | None], side: int) -> Estimate:
    """Return the estimate of machines at one side of their errors: 0 is fast, 1 is slow."""
    factors = []
    for row, own in zip(rows, bounds, strict=True):
        ttft, throughput = (own or {}).get("ttft", (1.0, 1.0)), (own or {}).get("throughput", (1.0, 1.0))
        factors.append(ttft[side] if row["limit"] == "ttft" else 1.0 / throughput[1 - side])
    return estimate(slowed(cases, np.asarray(factors).reshape(cases.shape)))


def _row(row: Row, own: Bounds | None, solved: Sequence[Estimate], index: int) -> Row:
    found: dict[str, Any] = dict.fromkeys(INTERVAL_FIELDS)
    if own is None or not row["fits"]:
        return row | found
    for name in _LATENCY_FIELDS:
        if row[name] is not None:
            low, high = own[LATENCIES[name.rsplit("_", 2)[0]]]
            found |= {f"{name}_p10": number(name, row[name] * low), f"{name}_p90": number(name, row[name] * high)}
    for name in SOLVED_FIELDS:
        values = [float(np.atleast_1d(getattr(e, name))[index]) for e in solved]
        works = [bool(np.atleast_1d(e.meets_slo)[index]) for e in solved]
        kept = [number(name, v) if ok else None for v, ok in zip(values, works, strict=True)]
        least, most = kept[::-1] if name == "output_tokens_per_s_per_gpu" else kept
        found |= {f"{name}_p10": least, f"{name}_p90": most}
    return row | found
