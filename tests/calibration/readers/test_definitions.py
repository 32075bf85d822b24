"""The key test of the readers: one run of known times, written as every tool writes it, reads the same."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

from planner.calibration.readers.base import COLUMNS, MEASURED
from planner.calibration.readers.registry import KINDS, read_benchmark


class Request(NamedTuple):
    """A request's input tokens, output tokens, time to first token and time per further token."""

    input: int
    output: int
    ttft: float
    tpot: float

    @property
    def latency(self) -> float:
        """Return the time from sending to the last token."""
        return self.ttft + (self.output - 1) * self.tpot


RUN = (Request(100, 5, 0.10, 0.010), Request(200, 11, 0.12, 0.012), Request(300, 21, 0.14, 0.014),
       Request(400, 41, 0.16, 0.016))  # fmt: skip
SECONDS = 2.0
TTFT = fmean(r.ttft for r in RUN)
TPOT = fmean(r.tpot for r in RUN)
THROUGHPUT = sum(r.output for r in RUN) / SECONDS
GAP = sum((r.output - 1) * r.tpot for r in RUN) / sum(r.output - 1 for r in RUN)
"""The mean over gaps, which is not the mean over requests: lengths vary on purpose."""
CHUNK = 2
"""Tokens per chunk in the lists of gaps, so that a mean over gaps between chunks is wrong too."""
LOAD = {"gpu": "h100-sxm", "model": "llama-3.1-8b"}


def mean(name: str) -> float:
    """Return the mean of one of the requests' numbers."""
    return fmean(getattr(r, name) for r in RUN)


def served_by_vllm(*, detailed: bool) -> dict[str, Any]:
    """Return what `vllm bench serve --save-result` writes, with --save-detailed or without."""
    result: dict[str, Any] = {
        "backend": "vllm", "model_id": "llama-3.1-8b", "num_prompts": 4, "request_rate": "inf", "max_concurrency": 4,
        "duration": SECONDS, "completed": 4, "failed": 0, "total_input_tokens": 1000, "total_output_tokens": 78,
        "request_throughput": 2.0, "output_throughput": THROUGHPUT, "mean_ttft_ms": TTFT * 1e3,
        "mean_itl_ms": GAP * CHUNK * 1e3, "mean_e2el_ms": mean("latency") * 1e3,
    }  # fmt: skip
    if not detailed:
        return result | {"mean_tpot_ms": TPOT * 1e3}
    return result | {
        "input_lens": [r.input for r in RUN],
        "output_lens": [r.output for r in RUN],
        "ttfts": [r.ttft for r in RUN],
        "itls": [[r.tpot * CHUNK] * ((r.output - 1) // CHUNK) for r in RUN],
        "errors": [""] * 4,
    }


def served_by_sglang() -> dict[str, Any]:
    """Return a line of sglang.bench_serving."""
    return {
        "backend": "sglang", "request_rate": float("inf"), "max_concurrency": 4, "duration": SECONDS, "completed": 4,
        "total_input_tokens": 1000, "total_output_tokens": 78, "total_output_tokens_retokenized": 80,
        "request_throughput": 2.0, "output_throughput": THROUGHPUT, "mean_e2e_latency_ms": mean("latency") * 1e3,
        "mean_ttft_ms": TTFT * 1e3, "mean_tpot_ms": TPOT * 1e3, "mean_itl_ms": GAP * 1e3, "concurrency": 1.6,
        "accept_length": None,
    }  # fmt: skip


def guided(values: Sequence[float], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """Return a distribution as GuideLLM writes it, weighed as GuideLLM weighs it."""
    weights = weights or [1.0] * len(values)
    average = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    spread = sum(w * (v - average) ** 2 for v, w in zip(values, weights, strict=True)) / sum(weights)
    return {"successful": {"mean": average, "std_dev": spread**0.5, "count": sum(weights)}}


def served_by_guidellm(*, listed: bool = True) -> dict[str, Any]:
    """Return a report of GuideLLM: per-token means weigh requests by tokens, TPOT divides by all tokens."""
    benchmark: dict[str, Any] = {
        "config": {"strategy": {"type_": "concurrent", "streams": 4}, "backend": {"model": "llama-3.1-8b"}},
        "scheduler_metrics": {"measure_start_time": 1000.0, "measure_end_time": 1000.0 + SECONDS},
        "metrics": {
            "request_totals": {"successful": 4, "errored": 0, "incomplete": 0},
            "prompt_token_count": guided([r.input for r in RUN]),
            "output_token_count": guided([r.output for r in RUN]),
            "time_to_first_token_ms": guided([r.ttft * 1e3 for r in RUN]),
            "time_per_output_token_ms": guided([r.latency / r.output * 1e3 for r in RUN], [r.output for r in RUN]),
            "inter_token_latency_ms": guided([r.tpot * 1e3 for r in RUN], [r.output - 1 for r in RUN]),
            "output_tokens_per_second": guided([41.0, 43.0]),
        },
    }
    if listed:
        benchmark["requests"] = {
            "successful": [{"output_tokens": r.output, "inter_token_latency_ms": r.tpot * 1e3} for r in RUN]
        }
    return {"benchmarks": [benchmark]}


def served_by_aiperf(config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the JSON export of AIPerf, or with other settings that of GenAI-Perf."""
    return {
        "request_throughput": {"unit": "requests/sec", "avg": 2.0},
        "request_latency": {"unit": "ms", "avg": mean("latency") * 1e3},
        "request_count": {"unit": "requests", "avg": 4.0},
        "time_to_first_token": {"unit": "ms", "avg": TTFT * 1e3},
        "inter_token_latency": {"unit": "ms", "avg": TPOT * 1e3},
        "inter_chunk_latency": {"unit": "ms", "avg": GAP * 1e3},
        "output_token_throughput": {"unit": "tokens/sec", "avg": THROUGHPUT},
        "input_sequence_length": {"unit": "tokens", "avg": mean("input")},
        "output_sequence_length": {"unit": "tokens", "avg": mean("output")},
        "input_config": config,
        **more,
    }


def served_by_inference_perf() -> dict[str, Any]:
    """Return a stage's lifecycle report of inference-perf."""
    return {
        "load_summary": {"count": 4, "requested_rate": 1e4, "concurrency": 4},
        "successes": {
            "count": 4,
            "latency": {
                "request_latency": {"mean": mean("latency")},
                "normalized_time_per_output_token": {"mean": fmean(r.latency / r.output for r in RUN)},
                "time_per_output_token": {"mean": TPOT},
                "time_to_first_token": {"mean": TTFT},
                "inter_token_latency": {"mean": GAP},
            },
            "throughput": {"output_tokens_per_sec": THROUGHPUT, "requests_per_sec": 2.0},
            "prompt_tokens": {"total": 1000.0, "cached": 0.0, "mean": mean("input")},
            "output_len": {"mean": mean("output")},
            "output_tokens": {"total": 78.0, "mean": mean("output")},
        },
        "failures": {"count": 0},
    }


CSV_OF_AIPERF = (
    "Metric,avg,min,max,p99,p50,std\n"
    '"Time to First Token (ms)",130.00,100.00,160.00,160.00,130.00,22.36\n'
    "Inter Token Latency (ms),13.00,10.00,16.00,16.00,13.00,2.24\n"
    "Request Latency (ms),400.00,140.00,800.00,800.00,330.00,253.77\n"
    "Input Sequence Length (tokens),250.00,100.00,400.00,400.00,250.00,111.80\n"
    "Output Sequence Length (tokens),19.50,5.00,41.00,41.00,16.00,13.70\n\n"
    "Metric,Value\nOutput Token Throughput (tokens/sec),39.00\nRequest Count,4.00\n"
    "Request Throughput (requests/sec),2.00\n"
)


def metrics_of_vllm(*, per_request: bool = True) -> str:
    """Return a dump of vLLM's /metrics, over two engines of one model."""
    series: dict[str, tuple[float, float]] = {
        "time_to_first_token_seconds": (TTFT * 4, 4),
        "inter_token_latency_seconds": (GAP * 74, 74),
        "e2e_request_latency_seconds": (mean("latency") * 4, 4),
        "request_prompt_tokens": (1000.0, 4),
        "request_generation_tokens": (78.0, 4),
    }
    if per_request:
        series["request_time_per_output_token_seconds"] = (TPOT * 4, 4)
    lines = []
    for name, (total, count) in series.items():
        for engine, share in (("0", 0.25), ("1", 0.75)):
            labels = f'{{engine="{engine}",model_name="llama-3.1-8b"}}'
            lines += [f"vllm:{name}_sum{labels} {total * share!r}", f"vllm:{name}_count{labels} {count * share!r}"]
    return "\n".join(["# TYPE x histogram", *lines, 'vllm:generation_tokens_total{model_name="llama-3.1-8b"} 78.0', ""])


OURS = (
    "model,gpu,input_tokens,output_tokens,concurrency,measured_ttft_mean_s,measured_tpot_mean_s,"
    f"measured_output_tokens_per_s\nllama-3.1-8b,h100-sxm,250,19.5,4,{TTFT!r},{TPOT!r},{THROUGHPUT!r}\n"
)
PHASES = {"models": {"items": [{"name": "m"}]}, "phases": [{"name": "warmup", "exclude_from_results": True},
          {"name": "profiling", "type": "concurrency", "concurrency": 4}]}  # fmt: skip
AIPERF = served_by_aiperf(PHASES, aiperf_version="0.11.0")
OLDER_AIPERF = served_by_aiperf({"loadgen": {"concurrency": 4}, "endpoint": {"model_names": ["m"]}})
GENAI = served_by_aiperf({"model": ["m"], "perf_analyzer": {"stimulus": {"concurrency": 4}}})
CLOSED = {"concurrency": "4"}
FILES: dict[str, tuple[str, Any, Mapping[str, str]]] = {
    "ours": ("predict-csv", OURS, {}),
    "vllm": ("vllm", served_by_vllm(detailed=False), {}),
    "vllm detailed": ("vllm", served_by_vllm(detailed=True), {}),
    "sglang": ("sglang", served_by_sglang(), {}),
    "guidellm": ("guidellm", served_by_guidellm(), {}),
    "aiperf": ("aiperf", AIPERF, {}),
    "older aiperf": ("aiperf", OLDER_AIPERF, {}),
    "genai-perf": ("aiperf", GENAI, {}),
    "aiperf csv": ("aiperf", CSV_OF_AIPERF, CLOSED),
    "inference-perf": ("inference-perf", served_by_inference_perf(), {}),
    "vllm metrics": ("vllm-metrics", metrics_of_vllm(), CLOSED | {"duration_s": "2"}),
}


def written(folder: Path, content: Any) -> Path:
    """Write a file as text, or as JSON."""
    path = folder / "result"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_every_tool_tells_the_same_run(tmp_path: Path, name: str) -> None:
    """TTFT 130 ms, TPOT 13 ms (mean over requests), 39 tokens/s, 250 in, 19.5 out, 4 in flight: to 1e-9 in all."""
    _, content, given = FILES[name]
    (row,) = read_benchmark(written(tmp_path, content), LOAD | given)
    assert [float(row[k]) for k in MEASURED] == pytest.approx([0.13, 0.013, 39.0], rel=1e-9)
    assert [float(row[k]) for k in ("input_tokens", "output_tokens", "concurrency")] == pytest.approx(
        [250.0, 19.5, 4.0], rel=1e-9
    )
    assert not row["request_rate"]
    assert (row["gpu"], row["model"]) == ("h100-sxm", "llama-3.1-8b")
    assert set(COLUMNS) == set(row)


def test_the_run_tells_definitions_apart() -> None:
    """The constructed run would show a wrong definition: mean over gaps, over chunks, or over all tokens."""
    over_all_tokens = fmean(r.latency / r.output for r in RUN)
    assert pytest.approx(0.013) == TPOT
    assert pytest.approx(1.08 / 74) == GAP
    assert min(abs(other / TPOT - 1) for other in (GAP, GAP * CHUNK, over_all_tokens)) > 0.1


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_known_by_itself(tmp_path: Path, name: str) -> None:
    """The reader found is that of the tool, and says which tool wrote the file and where it is."""
    kind, content, given = FILES[name]
    path = written(tmp_path, content)
    found = read_benchmark(path, LOAD | given)
    assert found[0]["tool"] == ("genai-perf" if name == "genai-perf" else kind)
    assert found[0]["source"].startswith(str(path))


def test_every_kind_has_its_file() -> None:
    """No format is left out of the key test."""
    assert {kind for kind, _, _ in FILES.values()} == set(KINDS)


def test_guidellm_without_its_requests_is_weighed_by_tokens_and_says_so(tmp_path: Path) -> None:
    """Without listed requests only the mean over gaps is known, 14.6 ms; the note says how it is weighed."""
    (row,) = read_benchmark(written(tmp_path, served_by_guidellm(listed=False)), LOAD)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(1.08 / 74, rel=1e-9)
    assert "weighs requests by their tokens" in row["note"]


def test_guidellm_time_per_output_token_loses_the_first_token(tmp_path: Path) -> None:
    """A report with time_per_output_token alone: (sum of latencies - sum of TTFT) over the tokens after the first."""
    report = served_by_guidellm(listed=False)
    del report["benchmarks"][0]["metrics"]["inter_token_latency_ms"]
    (row,) = read_benchmark(written(tmp_path, report), LOAD)
    by_hand = (sum(r.latency for r in RUN) - sum(r.ttft for r in RUN)) / (78 - 4)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(by_hand, rel=1e-9)


def test_older_metrics_weigh_tokens_and_say_so(tmp_path: Path) -> None:
    """A vLLM that has no histogram per request gives the mean over gaps, noted."""
    given = LOAD | {"concurrency": "4", "duration_s": "2"}
    (row,) = read_benchmark(written(tmp_path, metrics_of_vllm(per_request=False)), given)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(1.08 / 74, rel=1e-9)
    assert "weighs tokens" in row["note"]


def test_metrics_without_any_tpot_use_the_means(tmp_path: Path) -> None:
    """With end-to-end latency alone TPOT is (0.4 - 0.13)/(19.5 - 1)."""
    text = "\n".join(x for x in metrics_of_vllm(per_request=False).splitlines() if "inter_token" not in x)
    (row,) = read_benchmark(written(tmp_path, text), LOAD | {"concurrency": "4"})
    assert float(row["measured_tpot_mean_s"]) == pytest.approx((0.4 - 0.13) / 18.5, rel=1e-9)
    assert row["measured_output_tokens_per_s"] is None
    assert "--given duration_s=SECONDS" in row["note"]


def test_units_are_read_from_the_file(tmp_path: Path) -> None:
    """AIPerf states its units: microseconds and seconds give the same run as milliseconds."""
    export = AIPERF | {
        "time_to_first_token": {"unit": "us", "avg": 130_000.0},
        "inter_token_latency": {"unit": "sec", "avg": 0.013},
    }
    (row,) = read_benchmark(written(tmp_path, export), LOAD)
    assert [float(row[k]) for k in MEASURED] == pytest.approx([0.13, 0.013, 39.0], rel=1e-9)


def test_vllm_list_of_latencies_wins_over_gaps(tmp_path: Path) -> None:
    """Newer vLLM saves latencies: TPOT from them when the mean is not in the file, even if a gap is lost."""
    result = served_by_vllm(detailed=True)
    result["itls"][3] = result["itls"][3][:-5]
    result["latencies"] = [r.latency for r in RUN]
    (row,) = read_benchmark(written(tmp_path, result), LOAD)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(0.013, rel=1e-9)
