"""Intervals: p10 and p90 of results, from how far predictions were off on what the fit had not seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.fleet.estimate import Estimate, estimate
from planner.options.answer import Answer
from planner.options.candidates import Candidate
from planner.options.confidence import Bounds, error_bounds, unseen
from planner.options.ranking import NUMBER_FIELDS, Row, number
from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.serving.slo import LIMITS

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
_HIDING = {"price_missing", "max_gpus"}
"""Limits of a row that stand where what binds its replica would."""
_LATENCY_FIELDS = tuple(n for n in NUMBER_FIELDS if n.rsplit("_", 2)[0] in LATENCIES)
_BOTH = {*_LATENCY_FIELDS, *SOLVED_FIELDS}
INTERVAL_FIELDS = tuple(f"{name}_{bound}" for name in NUMBER_FIELDS if name in _BOTH for bound in ("p10", "p90"))
"""Columns that --interval appends."""


def slowed_down_by(cases: Cases, factor: Array) -> Cases:
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


def unseen_of(answer: Answer, option: Candidate) -> tuple[str, ...]:
    """Return what of an option the fit of its engine's factors has not seen, the lengths of a request among it."""
    lengths = request_lengths(answer)
    engine, model, gpu = option.machine.engine.spec, answer.model.spec, option.machine.gpu.spec
    reads = unseen(engine, model, gpu, layout=option.prefill)
    found = unseen(engine, model, gpu, lengths, layout=option.layout, pools=option.prefill is not None)
    return tuple(dict.fromkeys((*found, *reads)))


def request_lengths(answer: Answer) -> tuple[float, float] | None:
    """Return mean input tokens of a request and mean output tokens of a sequence: what a benchmark calls its lengths.

    An answer of several turns is as many requests, and each of its samples is a sequence of its own.
    """
    row, w = answer.results[0], answer.case().workload
    if row["input_tokens_per_answer"] is None or row["generated_tokens_per_answer"] is None:
        return None
    requests = w.share * w.turns_per_answer
    sequences = float(np.sum(requests * w.samples_per_answer))
    return row["input_tokens_per_answer"] / float(np.sum(requests)), row["generated_tokens_per_answer"] / sequences


def with_intervals(answer: Answer) -> Answer:
    """Return an answer whose rows also hold INTERVAL_FIELDS; missing where an engine has no errors on record.

    They are missing with speculative decoding too: no run with drafts was measured.

    Latencies are those of the fleet as sized, times the errors. The rest is solved again for a machine that is faster
    or slower by the error of the throughput, or of the first token where that binds; a slow machine that cannot meet
    the limits at any size leaves its side missing. Where a number does not move one way with speed (the split of the
    dollars, power per answer) its interval spans the fast, the expected and the slow machine.
    """
    spec = answer.scenario.spec
    if spec.measured_rates is not None or spec.fleet.speculative_tokens > 0:
        return replace(answer, results=[row | dict.fromkeys(INTERVAL_FIELDS) for row in answer.results])
    bounds = [_bounds_of(answer, option) for option in answer.options]
    chosen = answer.cases.rows(np.asarray(answer.rows_of_results)) if answer.cases.shape else answer.cases
    limits = _binding(chosen, answer.results)
    solved = [_solved(chosen, limits, bounds, side) for side in (0, 1)]
    rows = [_row(row, own, solved, i) for i, (row, own) in enumerate(zip(answer.results, bounds, strict=True))]
    return replace(answer, results=rows)


def _bounds_of(answer: Answer, option: Candidate) -> Bounds | None:
    return error_bounds(option.machine.engine.spec, unseen_of(answer, option))


def _binding(cases: Cases, rows: Sequence[Row]) -> list[str]:
    """Return what binds the load of each row's replica, also where the row says that its price or its room is short."""
    if not any(row["limit"] in _HIDING for row in rows):
        return [row["limit"] for row in rows]
    boundless = cases.replaced(offer__usd_per_gpu_hour=1.0, fleet__max_gpus=np.inf)
    return [LIMITS[int(i)] for i in np.broadcast_to(estimate(boundless).limit, len(rows))]


def _solved(cases: Cases, limits: Sequence[str], bounds: Sequence[Bounds | None], side: int) -> Estimate:
    """Return the estimate of machines at one side of their errors: 0 is fast, 1 is slow."""
    factors = []
    for limit, own in zip(limits, bounds, strict=True):
        ttft, throughput = (own or {}).get("ttft", (1.0, 1.0)), (own or {}).get("throughput", (1.0, 1.0))
        factors.append(ttft[side] if limit == "ttft" else 1.0 / throughput[1 - side])
    return estimate(slowed_down_by(cases, np.asarray(factors).reshape(cases.shape)))


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
        found |= {f"{name}_p10": _beside(min, least, row[name]), f"{name}_p90": _beside(max, most, row[name])}
    return row | found


def _beside(pick: Callable[..., Any], side: Any, value: Any) -> Any:  # noqa: ANN401 - numbers or None
    """Return the least or the most of a side and the value itself; None where the side is missing."""
    return side if side is None or value is None else pick(side, value)
