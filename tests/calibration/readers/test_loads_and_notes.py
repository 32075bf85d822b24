"""How the load of a run is read, which value wins, and what a note says."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.calibration.bench import prepare
from planner.calibration.readers.base import Load, offered_load
from planner.calibration.readers.registry import read_benchmark
from planner.catalog.catalog import Catalog
from planner.errors import DataMissingError
from planner.loadtest.run import Row

DATA = Path(__file__).parents[2] / "data" / "benchmarks"
GIVEN = {"gpu": "h100-sxm", "model": "llama-3.1-8b"}
VLLM = json.loads((DATA / "vllm_h100_llama-3.1-8b-fp8_detailed.json").read_text(encoding="utf-8"))
SGLANG = json.loads((DATA / "sglang_qwen2.5-3b_c32.jsonl").read_text(encoding="utf-8"))
GUIDELLM = json.loads((DATA / "guidellm_qwen3-4b_concurrent-4.json").read_text(encoding="utf-8"))
AIPERF = json.loads((DATA / "aiperf_qwen3-4b_c32.json").read_text(encoding="utf-8"))
STAGE = json.loads((DATA / "inference-perf_llama-3-8b-awq_stage_1_lifecycle_metrics.json").read_text(encoding="utf-8"))
ENDLESS = float("inf")


def rows(folder: Path, *contents: Any, **given: str) -> list[Row]:
    """Write JSON, one object a line, and read it."""
    path = folder / "bench.json"
    path.write_text("\n".join(json.dumps(c) for c in contents))
    return read_benchmark(path, GIVEN | given)


@pytest.mark.parametrize(
    ("rate", "limit", "in_flight", "expected"),
    [
        (ENDLESS, 32.0, None, Load(32.0)),
        (None, 32.0, None, Load(32.0)),
        (ENDLESS, 500.0, None, Load(100.0)),
        (4.0, None, None, Load(None, 4.0)),
        (4.0, 32.0, 31.0, Load(32.0)),
        (4.0, 32.0, 8.0, Load(None, 4.0)),
    ],
)
def test_the_binding_one_of_rate_and_limit_counts(
    rate: float | None, limit: float | None, in_flight: float | None, expected: Load
) -> None:
    """At once: the limit, at most the requests there are; with both, the limit where nearly as many were in flight."""
    assert offered_load(rate, limit, 100.0, 3.9, in_flight) == expected


def test_a_rate_that_was_not_served_is_noted(tmp_path: Path) -> None:
    """16 requests/s offered, 9.4 answered: the row keeps the offered rate and says so."""
    (row,) = rows(tmp_path, VLLM | {"request_rate": 16.0, "max_concurrency": None})
    assert (row["request_rate"], row["concurrency"]) == (16, None)
    assert "offered 16 requests/s, served 9.36" in row["note"]


def test_vllm_rate_with_a_limit(tmp_path: Path) -> None:
    """9.36 requests/s x 0.437 s = 4.1 in flight by Little's law: a limit of 4 binds, one of 64 does not."""
    for limit, expected in ((4, (4, None)), (64, (None, 9.4))):
        (row,) = rows(tmp_path, VLLM | {"request_rate": 9.4, "max_concurrency": limit})
        assert (row["concurrency"], row["request_rate"]) == expected


def test_failed_requests_are_noted(tmp_path: Path) -> None:
    """Errors are counted in every JSON format that states them."""
    (vllm,) = rows(tmp_path, VLLM | {"completed": 9, "failed": 1})
    (stage,) = rows(tmp_path, STAGE | {"failures": {"count": 43}})
    (aiperf,) = rows(tmp_path, AIPERF | {"error_summary": [{"count": 5}], "was_cancelled": True}, input_tokens="9")
    (sglang,) = rows(tmp_path, SGLANG | {"errors": ["", "Connection reset"]})
    totals = {"successful": 4, "errored": 2, "incomplete": 3}
    report = json.loads(json.dumps(GUIDELLM))
    report["benchmarks"][0]["metrics"]["request_totals"] = totals
    (guidellm,) = rows(tmp_path, report)
    assert "1 of 10 requests failed" in vllm["note"]
    assert "43 of 1700 requests failed" in stage["note"]
    assert "5 of 3310 requests failed; the run was cancelled" in aiperf["note"]
    assert "1 of 101 requests failed" in sglang["note"]
    assert "2 of 6 requests failed; 3 requests cut off at the end" in guidellm["note"]


def test_a_zero_that_is_given_is_not_taken_for_missing(tmp_path: Path) -> None:
    """A load or a length of 0 is refused as 0 where the run is predicted, not asked for again."""
    plain = {k: v for k, v in VLLM.items() if k not in {"request_rate", "max_concurrency"}}
    (row,) = rows(tmp_path, plain, concurrency="0", tensor_parallel="1")
    with pytest.raises(DataMissingError, match="concurrency is zero"):
        prepare([row], Catalog())
    path = tmp_path / "sheet.csv"
    path.write_text("model,gpu,input_tokens,measured_tpot_mean_s\nllama-3.1-8b,h100-sxm,100,0.01\n")
    (row,) = read_benchmark(path, {"output_tokens": "0"})
    with pytest.raises(DataMissingError, match="output_tokens 0 is out of range"):
        prepare([row], Catalog())


def test_zero_latency_means_not_streamed(tmp_path: Path) -> None:
    """A client that does not stream reports 0: an empty cell and a note, the throughput stays."""
    plain = {k: v for k, v in VLLM.items() if k not in {"ttfts", "itls"}}
    (row,) = rows(tmp_path, plain | {"mean_ttft_ms": 0.0, "mean_tpot_ms": 0.0})
    assert (row["measured_ttft_mean_s"], row["measured_tpot_mean_s"]) == (None, None)
    assert "ttft_mean_s is 0 in the file: not measured" in row["note"]
    latency = {**STAGE["successes"]["latency"], "time_to_first_token": None, "time_per_output_token": None}
    (row,) = rows(tmp_path, STAGE | {"successes": STAGE["successes"] | {"latency": latency}})
    assert row["measured_tpot_mean_s"] is None
    assert "did not stream" in row["note"]


def test_appended_results_are_one_row_each(tmp_path: Path) -> None:
    """--append-result writes one object a line: rows numbered, each with its line as the source."""
    both = rows(tmp_path, VLLM, VLLM | {"max_concurrency": 4})
    assert [r["id"] for r in both] == ["bench-1", "bench-2"]
    assert [r["concurrency"] for r in both] == [10, 4]
    assert [r["source"].rpartition(":")[2] for r in both] == ["1", "2"]


def test_a_run_that_completed_nothing_does_not_stop_the_others(tmp_path: Path) -> None:
    """Of three lines one answered no request: two rows, each with a note."""
    found = rows(tmp_path, VLLM, VLLM | {"completed": 0}, VLLM)
    assert len(found) == 2
    assert all("1 more in the file completed no request: left out" in r["note"] for r in found)
    bench = GUIDELLM["benchmarks"][0]
    idle = bench | {"metrics": bench["metrics"] | {"request_totals": {"successful": 0, "errored": 9}}}
    (row,) = rows(tmp_path, {"benchmarks": [idle, bench]})
    assert row["source"].endswith("benchmarks[1]")


def test_guidellm_strategies(tmp_path: Path) -> None:
    """A sweep is one row per strategy: one at a time, a rate, streams, and as much as the server takes."""
    strategies: list[tuple[dict[str, Any], tuple[float | None, float | None]]] = [
        ({"type_": "synchronous"}, (1, None)),
        ({"type_": "constant", "rate": 0.15}, (None, 0.15)),
        ({"kind": "poisson", "rate": 2.5}, (None, 2.5)),
        ({"type_": "concurrent", "streams": 8}, (8, None)),
        ({"type_": "throughput", "max_concurrency": 512}, (512, None)),
        ({"type_": "throughput"}, (None, None)),
    ]
    bench = GUIDELLM["benchmarks"][0]
    report = {"benchmarks": [bench | {"config": bench["config"] | {"strategy": s}} for s, _ in strategies]}
    found = rows(tmp_path, report, concurrency="99")
    assert [(r["concurrency"], r["request_rate"]) for r in found] == [load for _, load in strategies]
    assert found[1]["source"].endswith("bench.json benchmarks[1]")


def test_older_guidellm(tmp_path: Path) -> None:
    """Before 0.5: strategy under args, counts under run_stats, the model under worker, and a duration."""
    metrics = {k: v for k, v in GUIDELLM["benchmarks"][0]["metrics"].items() if k != "request_totals"}
    old = {
        "args": {"strategy": {"type_": "concurrent", "streams": 4}},
        "run_stats": {"requests_made": {"successful": 4, "errored": 0, "incomplete": 0}},
        "worker": {"backend_model": "Qwen/Qwen3-4B"},
        "duration": 25.6,
        "metrics": metrics,
    }
    (row,) = rows(tmp_path, {"benchmarks": [old]})
    assert (row["model"], row["concurrency"]) == ("Qwen/Qwen3-4B", 4)
    assert float(row["measured_output_tokens_per_s"]) == pytest.approx(4096 / 25.6)


def test_inference_perf_stages_and_summaries(tmp_path: Path) -> None:
    """A stage of users states its concurrency; a summary of stages no rate: the served one, noted; cache hits count."""
    tokens = {"total": 2000.0, "cached": 500.0, "mean": 135.0}
    users = STAGE | {"load_summary": {"count": 1, "concurrency": 16, "requested_rate": 1e9}}
    (row,) = rows(tmp_path, users | {"successes": STAGE["successes"] | {"prompt_tokens": tokens}})
    assert (row["concurrency"], row["request_rate"], row["cached_share"]) == (16, None, 0.25)
    (row,) = rows(tmp_path, STAGE | {"load_summary": {"count": 1657}})
    assert float(row["request_rate"]) == pytest.approx(26.918126)
    assert "as served" in row["note"]


def test_a_stated_value_wins_and_an_alias_does_not(tmp_path: Path) -> None:
    """A Hugging Face id in the file stays, with a note; a path or served name gives way; metadata are columns."""
    (row,) = rows(tmp_path, VLLM, tensor_parallel="8")
    assert row["model"] == "neuralmagic/Meta-Llama-3.1-8B-FP8"
    assert "model llama-3.1-8b was given" in row["note"]
    assert row["tensor_parallel"] == 8
    (row,) = rows(tmp_path, VLLM | {"model_id": "/models/llama", "tensor_parallel_size": "2", "precision": "fp8"})
    assert (row["model"], row["tensor_parallel"], row["precision"]) == ("llama-3.1-8b", "2", "fp8")
    (row,) = rows(tmp_path, VLLM | {"max_concurrency": 4}, concurrency="9", request_rate="3", id="mine")
    assert (row["concurrency"], row["request_rate"], row["id"]) == (4, None, "mine")


def test_speculative_decoding_is_marked(tmp_path: Path) -> None:
    """Rows with speculation carry its tokens and the acceptance that yields what was measured."""
    spec = {"spec_decode_acceptance_length": 3.29, "spec_decode_num_drafts": 4994, "spec_decode_draft_tokens": 34958}
    (row,) = rows(tmp_path, VLLM | spec)
    assert (row["speculative_tokens"], "speculative decoding: 3.29 tokens per step" in row["note"]) == (7, True)
    (row,) = rows(tmp_path, SGLANG | {"accept_length": 2.4})
    assert row["speculative_tokens"] == 2
    kept = float(row["acceptance"])
    assert f"{1 + kept + kept**2:.3g} tokens per step" in row["note"]


def test_sglang_data_parallel_layouts(tmp_path: Path) -> None:
    """Plain data parallelism multiplies GPUs; attention data parallelism shares those of tensor parallelism."""
    server = SGLANG["server_info"] | {"tp_size": 8, "dp_size": 4, "ep_size": 8}
    (plain,) = rows(tmp_path, SGLANG | {"server_info": server})
    (shared,) = rows(tmp_path, SGLANG | {"server_info": server | {"enable_dp_attention": True}})
    layout = ("tensor_parallel", "data_parallel", "expert_parallel", "gpus")
    assert [plain[k] for k in layout] == [8, 1, 8, 32]
    assert [shared[k] for k in layout] == [2, 4, 8, 8]


def test_metrics_of_two_models_are_two_rows(tmp_path: Path) -> None:
    """A dump of a server with two model names gives a row each; an idle one gives none; failures are counted."""
    dump = (DATA / "vllm-metrics_qwen3.8-27b-nvfp4.prom").read_text(encoding="utf-8")
    aborted = 'finished_reason="abort",model_name="Qwen3.8-27B-NVFP4"}'
    dump = dump.replace(f"{aborted} 0.0", f"{aborted} 22.0")
    lines = [x for x in dump.splitlines() if x.startswith("vllm:")]
    other = [x.replace("Qwen3.8-27B-NVFP4", "tiny") for x in lines]
    idle = 'vllm:num_requests_running{engine="0",model_name="idle"} 0.0'
    path = tmp_path / "metrics.prom"
    path.write_text("\n".join([*lines, *other, idle, ""]))
    found = read_benchmark(path, {"gpu": "h100-sxm"})
    assert [r["model"] for r in found] == ["Qwen3.8-27B-NVFP4", "tiny"]
    assert "22 of 1600 requests failed" in found[0]["note"]
