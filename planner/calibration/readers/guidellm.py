"""GuideLLM's benchmarks.json: one row per strategy of a sweep.

A request's inter_token_latency_ms is (last token - first token)/(output tokens - 1): our TPOT. Its
mean in the report weighs each request by its tokens - 1, so where the report lists every request
the mean over requests is made from the list; where it does not, the weighted mean is taken and,
if lengths vary, noted. time_per_output_token_ms divides by *all* output tokens, the first one and
TTFT included: used only where the other is missing, as (TPOT x tokens - TTFT)/(tokens - 1).
Throughput is output tokens over the measured time: the reported rate is a mean of rates between events.
"""

from statistics import fmean

from planner.calibration.readers.base import Load, Reader, Run, failures, rows
from planner.calibration.readers.documents import Fields, documents, peek
from planner.errors import BadInputError
from planner.loadtest.run import Row

NAME = "guidellm"
_COUNTS = (("metrics", "request_totals"), ("scheduler_metrics", "requests_made"), ("run_stats", "requests_made"))
"""Where versions count their requests."""
_VARIES = 0.01
"""Spread of output lengths over their mean from which weighing by tokens is worth a note."""


def _recognises(content: str) -> bool:
    benchmarks = peek(content).get("benchmarks")
    first = benchmarks[0] if isinstance(benchmarks, list) and benchmarks else {}
    return isinstance(first, dict) and isinstance(first.get("metrics"), dict)


def _read(content: str, where: str, given: Row) -> list[Row]:
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
    return rows(parts, lambda part: _run(part[0], part[1], several=part[2]), NAME, where, given)


def _run(bench: Fields, model: str, *, several: bool) -> Run:
    metrics = bench.inside("metrics")
    place = f"{bench.where} {bench.path}" if several else bench.where
    counts = next((c for c in (bench.inside(*keys) for keys in _COUNTS) if c.data), metrics.inside("request_totals"))
    completed = counts.number("successful")
    notes = failures(counts.maybe("errored") or 0.0, completed, place)
    cut = counts.maybe("incomplete") or 0.0
    input_tokens = metrics.number("prompt_token_count", "successful", "mean")
    output_tokens = metrics.number("output_token_count", "successful", "mean")
    tpot_s, weighed = _tpot(bench, metrics, completed)
    model = bench.text("config", "backend", "model") or bench.text("worker", "backend_model") or model
    notes += [f"{cut:g} requests cut off at the end"] if cut else []
    return Run(
        metrics.number("time_to_first_token_ms", "successful", "mean") / 1e3,
        tpot_s,
        output_tokens * completed / _duration(bench),
        input_tokens,
        output_tokens,
        _load(bench),
        {"model": model},
        [*notes, *weighed],
        place,
    )


def _duration(bench: Fields) -> float:
    """Return the measured seconds: between the marks of the scheduler, or as older reports state them."""
    times = bench.inside("scheduler_metrics")
    start, end = times.maybe("measure_start_time"), times.maybe("measure_end_time")
    seconds = bench.maybe("duration") if start is None or end is None else end - start
    if seconds is None:
        seconds = bench.number("end_time") - bench.number("start_time")
    if seconds <= 0:
        raise BadInputError(f"{bench.path} measured for {seconds:g} s; expected more", where=bench.where)
    return seconds


def _tpot(bench: Fields, metrics: Fields, completed: float) -> tuple[float, list[str]]:
    """Return the mean TPOT [s], and a note where it is one over tokens and not over requests."""
    names = ("time_to_first_token_ms", "inter_token_latency_ms", "time_per_output_token_ms")
    ttft, per_gap, per_token = (metrics.maybe(name, "successful", "mean") for name in names)
    if ttft is None or (per_gap is None and per_token is None):
        metrics.require([(name, "successful", "mean") for name in names[:2]])
    listed = _listed(bench, completed)
    if listed is not None:
        return listed / 1e3, []
    lengths = metrics.inside("output_token_count", "successful")
    tokens = lengths.number("mean")
    varied = (lengths.maybe("std_dev") or 0.0) > _VARIES * tokens
    notes = ["TPOT weighs requests by their tokens: the report lists no requests"] if varied else []
    if per_gap is None:
        all_tokens = (per_token or 0.0) * tokens - (ttft or 0.0)
        per_gap = max(all_tokens / (tokens - 1.0), 0.0) if tokens > 1 else 0.0
    return per_gap / 1e3, notes


def _listed(bench: Fields, completed: float) -> float | None:
    """Return the mean TPOT over the requests that a report lists, in ms; None unless it lists them all."""
    requests = bench.get("requests", "successful")
    if not isinstance(requests, list) or len(requests) != completed:
        return None
    found = []
    for i, data in enumerate(requests):
        request = Fields(data if isinstance(data, dict) else {}, bench.where, f"{bench.path}.requests.successful[{i}]")
        tokens = request.get("output_tokens")
        one_token = isinstance(tokens, int | float) and tokens <= 1
        if not one_token and (value := request.maybe("inter_token_latency_ms")) is not None:
            found.append(value)
    return fmean(found) if found else None


def _load(bench: Fields) -> Load:
    strategy = bench.inside("config", "strategy")
    if not strategy.data:
        strategy = bench.inside("args", "strategy")
    kind = strategy.text("type_") or strategy.text("kind") or strategy.text("type")
    if kind == "synchronous":
        return Load(1.0)
    if kind == "concurrent":
        return Load(strategy.number("streams"))
    if kind == "throughput":
        limit = strategy.maybe("max_concurrency")
        return Load(limit, maximum=limit is None)
    if kind in {"constant", "poisson", "async"}:
        return Load(None, strategy.number("rate"))
    return Load(notes=(f"strategy {kind or 'unknown'}",))


READER = Reader(NAME, _recognises, _read)
