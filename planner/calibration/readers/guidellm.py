"""GuideLLM's benchmarks.json: one row per strategy of a sweep.

A request's inter_token_latency_ms is (last token - first token)/(output tokens - 1): our TPOT. Its
mean in the report weighs each request by its tokens - 1, so where the report lists every request
the mean over requests is made from the list; where it does not, the weighted mean is taken and,
if lengths vary, noted. time_per_output_token_ms divides by *all* output tokens, the first one and
TTFT included: used only where the other is missing, as (TPOT x tokens - TTFT)/(tokens - 1).
Throughput is output tokens over the measured time: the reported rate is a mean of rates between events.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from planner.calibration.readers.base import Load, Reader, Run, failures, refuse_none_completed, rows, runs_of
from planner.calibration.readers.documents import Fields, documents, number, peek
from planner.errors import BadInputError

NAME = "guidellm"
_COUNTS = (("metrics", "request_totals"), ("scheduler_metrics", "requests_made"), ("run_stats", "requests_made"))
"""Where versions count their requests."""
_VARIES = 0.01
"""Spread of output lengths over their mean from which weighing by tokens is worth a note."""


def recognises(content: str, _path: Path) -> bool:
    """Return whether a text is a report of GuideLLM."""
    benchmarks = peek(content).get("benchmarks")
    first = benchmarks[0] if isinstance(benchmarks, list) and benchmarks else {}
    return isinstance(first, dict) and isinstance(first.get("metrics"), dict)


def read(content: str, where: str, given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one row per strategy."""
    parts = []
    for report in documents(content, where):
        benchmarks = report.get("benchmarks")
        if not isinstance(benchmarks, list) or not benchmarks:
            raise BadInputError("lacks benchmarks; expected a list of them", where=where)
        model, several = report.text("args", "model"), len(benchmarks) > 1
        for i, data in enumerate(benchmarks):
            bench = Fields(data if isinstance(data, dict) else {}, where, f"benchmarks[{i}]")
            parts.append((bench, model, several))
    runs = runs_of(parts, lambda part: _run(part[0], part[1], several=part[2]))
    return rows(runs, NAME, where, given)


def _run(bench: Fields, model: str, *, several: bool) -> Run:
    metrics = bench.inside("metrics")
    place = f"{bench.where} {bench.path}" if several else bench.where
    counts = next((c for c in (bench.inside(*keys) for keys in _COUNTS) if c.data), metrics.inside("request_totals"))
    completed, failed = counts.number("successful"), counts.maybe("errored") or 0.0
    refuse_none_completed(completed, failed, place)
    cut = counts.maybe("incomplete") or 0.0
    input_tokens = metrics.number("prompt_token_count", "successful", "mean")
    output_tokens = metrics.number("output_token_count", "successful", "mean")
    ttft_s, tpot_s, notes = _latency(bench, metrics, completed)
    load, maximum = _load(bench)
    model = bench.text("config", "backend", "model") or bench.text("worker", "backend_model") or model
    cut_off = [f"{cut:g} requests cut off at the end"] if cut else []
    return Run(
        ttft_s,
        tpot_s,
        output_tokens * completed / _duration(bench),
        input_tokens,
        output_tokens,
        load.concurrency,
        load.request_rate,
        maximum,
        {"model": model} if model else {},
        (*failures(failed, completed), *cut_off, *notes, *load.notes),
        place,
    )


def _duration(bench: Fields) -> float:
    """Return the measured seconds: between the marks of the scheduler, or as older reports state them."""
    for keys in (("scheduler_metrics", "measure_start_time"), ("scheduler_metrics", "measure_end_time")):
        if bench.get(*keys) is None:
            seconds = bench.maybe("duration")
            if seconds is None:
                seconds = bench.number("end_time") - bench.number("start_time")
            break
    else:
        times = bench.inside("scheduler_metrics")
        seconds = times.number("measure_end_time") - times.number("measure_start_time")
    if seconds <= 0:
        raise BadInputError(f"{bench.path} measured for {seconds:g} s; expected more", where=bench.where)
    return seconds


def _latency(bench: Fields, metrics: Fields, completed: float) -> tuple[float | None, float | None, list[str]]:
    ttft, itl, tpot = (
        metrics.inside(name, "successful")
        for name in ("time_to_first_token_ms", "inter_token_latency_ms", "time_per_output_token_ms")
    )
    if ttft.maybe("mean") is None or (itl.maybe("mean") is None and tpot.maybe("mean") is None):
        gaps = [("time_to_first_token_ms", "successful", "mean"), ("inter_token_latency_ms", "successful", "mean")]
        metrics.require(gaps)
    listed = _listed(bench, completed)
    if listed is not None:
        return ttft.number("mean") / 1e3, listed / 1e3, []
    lengths = metrics.inside("output_token_count", "successful")
    varied = (lengths.maybe("std_dev") or 0.0) > _VARIES * lengths.number("mean")
    notes = ["TPOT weighs requests by their tokens: the report lists no requests"] if varied else []
    if itl.maybe("mean") is not None:
        return ttft.number("mean") / 1e3, itl.number("mean") / 1e3, notes
    tokens = lengths.number("mean")
    if tokens <= 1:
        return ttft.number("mean") / 1e3, 0.0, notes
    per_gap = (tpot.number("mean") * tokens - ttft.number("mean")) / (tokens - 1.0)
    return ttft.number("mean") / 1e3, max(per_gap, 0.0) / 1e3, notes


def _listed(bench: Fields, completed: float) -> float | None:
    """Return the mean TPOT over the requests that a report lists, in ms; None unless it lists them all."""
    requests = bench.get("requests", "successful")
    if not isinstance(requests, list) or len(requests) != completed:
        return None
    found: list[float] = []
    for i, request in enumerate(requests):
        value: Any = request.get("inter_token_latency_ms") if isinstance(request, dict) else None
        tokens: Any = request.get("output_tokens") if isinstance(request, dict) else None
        place = f"{bench.path}.requests.successful[{i}].inter_token_latency_ms"
        if value is not None and not (isinstance(tokens, int | float) and tokens <= 1):
            found.append(number(value, place, bench.where))
    return fmean(found) if found else None


def _load(bench: Fields) -> tuple[Load, bool]:
    """Return the load of a strategy, and whether it is as much as the server takes."""
    strategy = bench.inside("config", "strategy")
    if not strategy.data:
        strategy = bench.inside("args", "strategy")
    kind = strategy.text("type_") or strategy.text("kind") or strategy.text("type")
    if kind == "synchronous":
        return Load(1.0), False
    if kind == "concurrent":
        return Load(strategy.number("streams")), False
    if kind == "throughput":
        limit = strategy.maybe("max_concurrency")
        return Load(limit), limit is None
    if kind in {"constant", "poisson", "async"}:
        return Load(None, strategy.number("rate")), False
    return Load(notes=(f"strategy {kind or 'unknown'}",)), False


READER = Reader(NAME, recognises, read)
