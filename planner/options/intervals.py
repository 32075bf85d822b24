"""Intervals: p10 and p90 of results, from how far predictions were off on what the fit had not seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from planner.fleet.estimate import Estimate, estimate
from planner.options.answer import Answer
from planner.options.candidates import Candidate
from planner.options.confidence import Bounds, error_bounds, unseen
from planner.options.option import COLUMNS, Interval, Option, number
from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.serving.slo import LIMITS

_HIDING = {"price_missing", "max_gpus"}
"""Limits of an option that stand where what binds its replica would."""


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
    best, w = answer.best, answer.case().workload
    if best.input_tokens_per_answer is None or best.generated_tokens_per_answer is None:
        return None
    requests = w.share * w.turns_per_answer
    sequences = float(np.sum(requests * w.samples_per_answer))
    return best.input_tokens_per_answer / float(np.sum(requests)), best.generated_tokens_per_answer / sequences


def with_intervals(answer: Answer) -> Answer:
    """Return an answer whose options also hold their intervals; missing where an engine has no errors on record.

    They are missing with speculative decoding too: no run with drafts was measured.

    Latencies are those of the fleet as sized, times the errors. The rest is solved again for a machine that is faster
    or slower by the error of the throughput, or of the first token where that binds; a slow machine that cannot meet
    the limits at any size leaves its side missing. Where a number does not move one way with speed (the split of the
    dollars, power per answer) its interval spans the fast, the expected and the slow machine.
    """
    spec = answer.scenario.spec
    if spec.measured_rates is not None or spec.fleet.speculative_tokens > 0:
        return replace(answer, results=[replace(option, intervals={}) for option in answer.results])
    bounds = [_bounds_of(answer, option) for option in answer.options]
    chosen = answer.cases.rows(np.asarray(answer.rows_of_results)) if answer.cases.shape else answer.cases
    limits = _binding(chosen, answer.results)
    solved = [_solved(chosen, limits, bounds, side) for side in (0, 1)]
    results = [
        replace(option, intervals=_intervals(option, own, solved, index))
        for index, (option, own) in enumerate(zip(answer.results, bounds, strict=True))
    ]
    return replace(answer, results=results)


def _bounds_of(answer: Answer, option: Candidate) -> Bounds | None:
    return error_bounds(option.machine.engine.spec, unseen_of(answer, option))


def _binding(cases: Cases, options: Sequence[Option]) -> list[str | None]:
    """Return what binds the load of each option's replica, also where `limit` says that price or room is short."""
    if not any(option.limit in _HIDING for option in options):
        return [option.limit for option in options]
    boundless = cases.replaced(offer__usd_per_gpu_hour=1.0, fleet__max_gpus=np.inf)
    return [LIMITS[int(i)] for i in np.broadcast_to(estimate(boundless).limit, len(options))]


def _solved(cases: Cases, limits: Sequence[str | None], bounds: Sequence[Bounds | None], side: int) -> Estimate:
    """Return the estimate of machines at one side of their errors: 0 is fast, 1 is slow."""
    factors = []
    for limit, own in zip(limits, bounds, strict=True):
        ttft, throughput = (own or {}).get("ttft", (1.0, 1.0)), (own or {}).get("throughput", (1.0, 1.0))
        factors.append(ttft[side] if limit == "ttft" else 1.0 / throughput[1 - side])
    return estimate(slowed_down_by(cases, np.asarray(factors).reshape(cases.shape)))


def _intervals(option: Option, bounds: Bounds | None, solved: Sequence[Estimate], index: int) -> dict[str, Interval]:
    """Return the intervals of an option, whose case stands at `index` of the estimates of fast and slow machines."""
    if bounds is None or not option.fits:
        return {}
    works = [bool(np.atleast_1d(side.meets_slo)[index]) for side in solved]
    found: dict[str, Interval] = {}
    for name, column in COLUMNS.items():
        value = option[name]
        if not column.interval:
            continue
        if column.interval in bounds:
            if value is not None:
                low, high = (number(value * bound, whole=column.whole) for bound in bounds[column.interval])
                found[name] = low, high
            continue
        sides = [float(np.atleast_1d(getattr(side, name))[index]) for side in solved]
        fast, slow = (number(side, whole=column.whole) if ok else None for side, ok in zip(sides, works, strict=True))
        least, most = (slow, fast) if column.interval == "falls" else (fast, slow)
        found[name] = _beside(min, least, value), _beside(max, most, value)
    return found


def _beside(pick: Callable[..., float], side: float | None, value: float | None) -> float | None:
    """Return the least or the most of a side and the value itself; None where the side is missing."""
    return side if side is None or value is None else pick(side, value)
