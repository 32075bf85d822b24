"""A dump of vLLM's /metrics: one row per model name, means since the server started.

TTFT is vllm:time_to_first_token_seconds, sum over count. TPOT is
vllm:request_time_per_output_token_seconds (per request, decode time/(tokens - 1): ours); where a
version lacks it, vllm:inter_token_latency_seconds or vllm:time_per_output_token_seconds (means over
tokens, not requests: noted), or end to end, TTFT and lengths. All of it is seen from the server: no
network, and idle time and warm-up counted in. Throughput needs --given duration_s=SECONDS (tokens
generated over it). The load is --given, else the requests running and waiting at the moment of the dump.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping

from planner.calibration.readers.base import DURATION, Load, Reader, Run, failures, rows
from planner.errors import BadInputError
from planner.loadtest.layouts import LOADS
from planner.loadtest.run import Row

NAME = "vllm-metrics"
_PREFIX = "vllm:"
_LINE = re.compile(r"(?P<name>vllm:\w+)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_GAPS = ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
_PER_REQUEST = "vllm:request_time_per_output_token_seconds"
_TTFT, _E2E = "vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds"
_INPUT, _OUTPUT = "vllm:request_prompt_tokens", "vllm:request_generation_tokens"
_BAD_ENDS = ("abort", "error")

Values = Mapping[str, float]
"""Of one model: the sum of each series over engines and other labels; failed requests under `failed`."""


def _recognises(content: str) -> bool:
    """Return whether some line is a metric of vLLM."""
    return not content.lstrip().startswith("{") and f"\n{_PREFIX}" in f"\n{content}"


def _read(content: str, where: str, given: Row) -> list[Row]:
    """Return one row per model that answered requests."""
    models = _parsed(content, where)
    busy = {name: values for name, values in models.items() if values.get(f"{_OUTPUT}_count", 0.0) > 0}
    if not busy:
        missing = [n for n in (f"{_OUTPUT}_count", f"{_OUTPUT}_sum") if not any(n in v for v in models.values())]
        if missing:
            raise BadInputError(f"lacks {', '.join(missing)}", where=where)
        failures(sum(v.get("failed", 0.0) for v in models.values()), 0.0, where)  # says that nothing completed
    return rows(busy.items(), lambda model: _run(*model, where, given), NAME, where, given)


def _parsed(content: str, where: str) -> dict[str, Values]:
    models: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line, row in enumerate(content.splitlines(), 1):
        if not row.startswith(_PREFIX):
            continue
        match = _LINE.fullmatch(row.rstrip())
        try:
            value = float(match["value"]) if match else None
        except ValueError:
            value = None
        if match is None or value is None:
            raise BadInputError(f"is not a line of metrics (cut off?): {row[:60]}", where=f"{where}:{line}")
        labels = dict(_LABEL.findall(match["labels"] or ""))
        if "le" in labels or match["name"].endswith("_created"):
            continue
        if not 0 <= value < math.inf:
            raise BadInputError(
                f"{match['name']} is {value:g}; expected a finite number of at least 0", where=f"{where}:{line}"
            )
        model = models[labels.get("model_name", "")]
        model[match["name"]] += value
        if labels.get("finished_reason") in _BAD_ENDS:
            model["failed"] += value
    return {name: dict(values) for name, values in models.items()}


def _run(model: str, values: Values, where: str, given: Row) -> Run:
    names = [n for n in (_TTFT, _INPUT, _OUTPUT) if _mean(values, n) is None]
    if names:
        raise BadInputError(f"lacks {', '.join(f'{n}_sum and _count' for n in names)}", where=where)
    tpot, notes = _tpot(values)
    generated = values.get("vllm:generation_tokens_total", values[f"{_OUTPUT}_sum"])
    seconds = given.get(DURATION)
    if seconds is None:
        notes.append(f"no throughput: a dump has no duration (--given {DURATION}=SECONDS)")
    running = values.get("vllm:num_requests_running", 0.0) + values.get("vllm:num_requests_waiting", 0.0)
    told = any(name in given for name in LOADS)
    if running and not told:
        notes.append("concurrency at the moment of the dump")
    failed = failures(values.get("failed", 0.0), values[f"{_OUTPUT}_count"], where)
    return Run(
        _mean(values, _TTFT),
        tpot,
        generated / seconds if seconds else None,
        _mean(values, _INPUT),
        _mean(values, _OUTPUT),
        Load() if told else Load(running),
        stated={"engine": "vllm", "model": model, **_cached(values)},
        notes=(*failed, "means since the server started", *notes),
        where=where,
    )


def _mean(values: Values, name: str) -> float | None:
    count = values.get(f"{name}_count", 0.0)
    return values[f"{name}_sum"] / count if count and f"{name}_sum" in values else None


def _tpot(values: Values) -> tuple[float | None, list[str]]:
    if (mean := _mean(values, _PER_REQUEST)) is not None:
        return mean, []
    for name in _GAPS:
        if (mean := _mean(values, name)) is not None:
            return mean, [f"TPOT weighs tokens, not requests: from {name}"]
    whole, first, tokens = (_mean(values, name) for name in (_E2E, _TTFT, _OUTPUT))
    if whole is None or first is None or tokens is None or tokens <= 1:
        return None, ["no TPOT in the dump"]
    return max(whole - first, 0.0) / (tokens - 1.0), ["TPOT from the means of latency, TTFT and output tokens"]


def _cached(values: Values) -> Row:
    for kind in ("vllm:prefix_cache", "vllm:gpu_prefix_cache"):
        asked, hit = values.get(f"{kind}_queries_total", 0.0), values.get(f"{kind}_hits_total", 0.0)
        if asked and hit:
            return {"cached_share": min(hit / asked, 1.0)}
    return {}


READER = Reader(NAME, _recognises, _read)
