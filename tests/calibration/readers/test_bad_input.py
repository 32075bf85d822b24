"""Files that are broken, of another tool, or say too little: one sentence each, with the place and the way out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.calibration.readers import registry
from planner.calibration.readers.registry import KINDS, read_benchmark
from planner.documents import text_file
from planner.errors import BadInputError

DATA = Path(__file__).parents[2] / "data" / "benchmarks"
GIVEN = {"gpu": "h100-sxm", "model": "llama-3.1-8b", "input_tokens": "230"}
VLLM = json.loads((DATA / "vllm_h100_llama-3.1-8b-fp8_detailed.json").read_text(encoding="utf-8"))
LISTS = ("ttfts", "itls", "output_lens", "input_lens", "errors")
PLAIN = {k: v for k, v in VLLM.items() if k not in LISTS}
SGLANG = (DATA / "sglang_qwen2.5-3b_c32.jsonl").read_text(encoding="utf-8")
GUIDELLM = json.loads((DATA / "guidellm_qwen3-4b_concurrent-4.json").read_text(encoding="utf-8"))
AIPERF = json.loads((DATA / "aiperf_qwen3-4b_c32.json").read_text(encoding="utf-8"))
STAGE = json.loads((DATA / "inference-perf_llama-3-8b-awq_stage_1_lifecycle_metrics.json").read_text(encoding="utf-8"))
DUMP = (DATA / "vllm-metrics_qwen3.8-27b-nvfp4.prom").read_text(encoding="utf-8")

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Return a function that reads a content and returns what the error says, the folder cut off."""

    def message(content: Any, **given: str) -> str:
        path = tmp_path / "r"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        with pytest.raises(BadInputError) as caught:
            read_benchmark(path, GIVEN | given)
        text = str(caught.value).replace(str(path), "r")
        assert "\n" not in text
        return text

    return message


def changed(data: dict[str, Any], value: Any, *keys: str | int) -> dict[str, Any]:
    """Return a copy of JSON data with one value replaced."""
    copy: dict[str, Any] = json.loads(json.dumps(data))
    target: Any = copy
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    return copy


def test_not_json_and_cut_off_say_where(say: Say) -> None:
    """Broken JSON is named with line and column; a file that ends in the middle says so."""
    assert say('{"completed": }') == "r:1:15: is not JSON: Expecting value"
    assert say(json.dumps(VLLM, indent=1)[:900]).endswith("is not JSON: it ends in the middle (cut off?)")
    assert say('{"a": ' * 100_000).startswith("r:1:")
    assert "digits" in say('{"completed": ' + "1" * 5000 + "}")


def test_a_cut_line_of_jsonl_is_named(say: Say) -> None:
    """The second of two lines ends in the middle: file:2; so does the first of two, file:1."""
    assert say(SGLANG + SGLANG[:200]).startswith("r:2:")
    assert say(SGLANG[:200] + "\n" + SGLANG).startswith("r:1:")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"elapsed_time": 3.0, "num_requests": 5, "tokens_per_second": 9.0}, "an offline throughput result of vLLM"),
        ({"avg_latency": 1.0, "latencies": [1.0], "percentiles": {}}, "a latency result of vLLM for one batch"),
        ({"load_summary": {}, "successes": {"queue_len": {}}}, "inference-perf's Prometheus report"),
        ({"metadata": {"x_request_id": "1"}, "metrics": {}}, "read profile_export_aiperf.json instead"),
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, "the configuration of a model"),
        ({"foo": 1, "bar": 2}, "it is JSON with the fields foo, bar"),
        ("sglang:time_to_first_token_seconds_sum 3\n", "it looks like the metrics of SGLang"),
        ("hello\nworld\n", "it starts with 'hello'"),
    ],
)
def test_lookalikes_are_named(say: Say, content: Any, expected: str) -> None:
    """What is near but not readable is called by its name, and the readable kinds are listed."""
    text = say(content)
    assert expected in text
    assert all(kind in text for kind in KINDS)


def test_missing_fields_are_named_together(say: Say) -> None:
    """All missing fields of a result in one sentence, with what to rerun."""
    bare = {k: v for k, v in PLAIN.items() if k not in {"mean_ttft_ms", "mean_tpot_ms"}}
    assert "r: lacks mean_ttft_ms, mean_tpot_ms; run it with --percentile-metrics" in say(bare)
    assert say({k: v for k, v in PLAIN.items() if k != "output_throughput"}) == "r: lacks output_throughput"
    deep = changed(GUIDELLM, {}, "benchmarks", 0, "metrics", "output_token_count")
    assert say(deep) == "r: lacks benchmarks[0].metrics.output_token_count.successful.mean"
    assert "lacks inter_token_latency.avg; only a streamed run" in say(changed(AIPERF, None, "inter_token_latency"))
    assert say(changed(STAGE, {}, "successes", "throughput")) == "r: lacks successes.throughput.output_tokens_per_sec"
    lines = "\n".join(x for x in DUMP.splitlines() if "first_token" not in x)
    assert "lacks vllm:time_to_first_token_seconds_sum and _count" in say(lines)


@pytest.mark.parametrize(
    ("content", "failed"),
    [
        (changed(PLAIN, 0, "completed"), "10"),
        (changed(json.loads(SGLANG), 0, "completed"), "0"),
        (changed(GUIDELLM, {"successful": 0, "errored": 7}, "benchmarks", 0, "metrics", "request_totals"), "7"),
        (changed(AIPERF, 0, "request_count", "avg") | {"error_request_count": {"avg": 3.0}}, "3"),
        (changed(changed(STAGE, 0, "successes", "count"), 5, "failures", "count"), "5"),
        (DUMP.replace("} 1578.0", "} 0.0"), "0"),
    ],
)
def test_no_request_completed(say: Say, content: Any, failed: str) -> None:
    """A run that answered nothing has nothing to compare, whatever averages it states."""
    assert say(content).startswith(f"r: no request completed ({failed} failed)")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (changed(PLAIN, -1.0, "mean_ttft_ms"), "r: mean_ttft_ms is negative; expected at least 0"),
        (changed(PLAIN, float("nan"), "mean_tpot_ms"), "r: mean_tpot_ms is not a number (NaN)"),
        (changed(PLAIN, float("inf"), "output_throughput"), "r: output_throughput is infinite"),
        (changed(PLAIN, "fast", "output_throughput"), 'r: output_throughput is "fast"; expected a number'),
        (PLAIN | {"completed": True}, "r: completed is true; expected a number"),
        (changed(PLAIN, 10**400, "mean_tpot_ms"), "r: mean_tpot_ms is too large"),
        (changed(VLLM, -0.5, "itls", 0, 3), "[0].itls[3] is negative"),
        (changed(VLLM, [0.1], "ttfts"), "ttfts has 1 entries, output_lens 10; one is cut off"),
        (
            changed(AIPERF, "h", "time_to_first_token", "unit"),
            "time_to_first_token.unit is 'h'; expected one of s, sec",
        ),
        (
            changed(GUIDELLM, 1.0, "benchmarks", 0, "scheduler_metrics", "measure_end_time"),
            "benchmarks[0] measured for -1.77247e+09 s",
        ),
        (DUMP.replace("5210.326116800308", "NaN"), "vllm:time_to_first_token_seconds_sum is nan"),
        (DUMP + "vllm:x_sum abc\n", "is not a line of metrics (cut off?): vllm:x_sum abc"),
        (changed(PLAIN, [1], "completed"), "r: completed is [1]; expected a number"),
        ({"benchmarks": [GUIDELLM["benchmarks"][0], 3]}, "r: lacks benchmarks[1].metrics.request_totals.successful"),
        ([1, 2], "r: is JSON without named fields"),
        (DUMP + 'vllm:request_success_total{engine="0",fin', "is not a line of metrics (cut off?)"),
    ],
)
def test_bad_numbers_are_named(say: Say, content: Any, expected: str) -> None:
    """Negative, NaN, infinite, textual and cut-off values: the field and what was expected."""
    assert expected in say(content)


def test_empty_binary_missing_and_directories(say: Say, tmp_path: Path) -> None:
    """Files with nothing in them, no text, or that are none."""
    assert say("") == "r: is empty; expected the result of a benchmark"
    assert say(" \n") == "r: is empty; expected the result of a benchmark"
    assert "is not UTF-8 text" in say(b"\xff\xfe\x00{")
    with pytest.raises(BadInputError, match="is a directory; expected the result file"):
        read_benchmark(tmp_path, GIVEN)
    (tmp_path / "bench.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"no such file\. Did you mean bench\.json"):
        read_benchmark(tmp_path / "bench.jsn", GIVEN)
    with pytest.raises(BadInputError, match="no such file"):
        read_benchmark(tmp_path / ("x" * 20) / "y", GIVEN)


def test_huge_files_name_the_lists(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit a file is refused, with the lists that make it so; below it, one above 10 MB is read."""
    monkeypatch.setattr(registry, "MAX_BENCHMARK_BYTES", 500)
    text = say(VLLM)
    assert "r: is larger than 500 bytes" in text
    assert all(word in text for word in ("ttfts", "itls", "--save-detailed", "--output-details", "sample_requests 0"))
    monkeypatch.undo()
    monkeypatch.setattr(text_file, "MAX_FILE_BYTES", 500)
    assert "is not UTF-8" in say(b"\xff" * 600)
    assert "does not state the load" in say({k: v for k, v in PLAIN.items() if k != "request_rate"})


def test_what_a_file_does_not_state_is_asked_for(tmp_path: Path) -> None:
    """Every missing column in one sentence with its flag; a field that no row has names its neighbour."""
    path = tmp_path / "r.json"
    path.write_text(json.dumps(STAGE))
    with pytest.raises(BadInputError, match="does not state model, gpu; give it with --given model=VALUE --given gpu="):
        read_benchmark(path, {})
    for given, expected in (
        ({"gpu_": "x"}, "--given: unknown field 'gpu_'. Did you mean gpu"),
        ({"gpu": " "}, "--given: gpu is empty"),
        ({"gpus": "many"}, "--given gpus: 'many' is not a positive number"),
        ({"duration_s": "0"}, "--given duration_s: '0' is not a positive number"),
    ):
        with pytest.raises(BadInputError) as caught:
            read_benchmark(path, given)
        assert expected in str(caught.value)


OURS = "model,gpu,input_tokens,output_tokens,measured_ttft_mean_s,measured_tpot_mean_s\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (OURS + "m,g,1,2,0.1,-3\n", "r:2:measured_tpot_mean_s: '-3' is not a positive number"),
        (OURS + "m,g,1,2,0.1,nan\n", "r:2:measured_tpot_mean_s: 'nan' is not a positive number"),
        (OURS + "m,g,1,2,fast,1\n", "r:2:measured_ttft_mean_s: 'fast' is not a positive number"),
        (OURS + "m,g,1,2,,\n", "r:2: no measured value; expected one of"),
        (OURS + "m,,1,2,1,1\n", ""),
        (OURS + "m,g,1,,1,1\n", "r:2:output_tokens: is empty; fill it or give it with --given output_tokens=VALUE"),
        (OURS + "m,g,1,2,1\n", "r:2: has 5 cells; expected 6"),
        (OURS, "has a header but no rows"),
        (OURS + 'm,g,1,2,"1,1\n', "r:2: is not CSV"),
        (OURS.replace("gpu", "model"), "r:1: the column 'model' is repeated"),
        (OURS.replace("gpu", "model") + "m,g,1,2,1,1\n", "r:1: the column 'model' is repeated"),
        (OURS.replace("output_tokens", "output_token") + "m,g,1,2,1,1\n", "no column 'output_tokens'. Did you mean"),
        ("model,measured_tpot\nm,1\n", "r:1: has no measured column. Did you mean measured_tpot_mean_s"),
    ],
)
def test_our_own_sheet(say: Say, tmp_path: Path, content: str, expected: str) -> None:
    """A sheet's faults are named by file:line:column; what is given fills empty cells."""
    if expected:
        assert expected in say(content)
        return
    (tmp_path / "r").write_text(content)
    (row,) = read_benchmark(tmp_path / "r", GIVEN)
    assert (row["gpu"], row["model"]) == ("h100-sxm", "m")


def test_csv_of_aiperf_cut_off(say: Say) -> None:
    """A row with too few cells is named by its line; a cell that is no number by its text."""
    text = (DATA / "aiperf_rtx-5090_agent_c16.csv").read_text(encoding="utf-8")
    assert "r:3: has 2 cells; expected 15" in say(text[: text.index("3761.31") + 3])
    assert "r:6: 'x543' is not a number" in say(text.replace("543.61", "x543", 1))
    assert "lacks output_token_throughput.avg" in say(text[: text.index("\nMetric,Value")])


def test_our_own_sheet_after_a_spreadsheet(tmp_path: Path) -> None:
    """A BOM, semicolons, decimal commas, CRLF, blank lines and a guarded id come through; own columns stay."""
    header = OURS.strip().replace(",", ";") + ";id;x_mine"
    text = f"\ufeff{header}\r\n\r\nm;g;1000;2;0,25;1,5e-2;'-7;a,b\r\n"
    (tmp_path / "r.csv").write_bytes(text.encode())
    (row,) = read_benchmark(tmp_path / "r.csv", {})
    assert (row["measured_ttft_mean_s"], row["measured_tpot_mean_s"]) == (0.25, 0.015)
    assert (row["id"], row["x_mine"], row["source"]) == ("-7", "a,b", f"{tmp_path / 'r.csv'}:3")


def test_our_own_sheet_keeps_its_load(tmp_path: Path) -> None:
    """A given rate fills rows without a load and leaves a row's own concurrency alone."""
    (tmp_path / "r").write_text(OURS.strip() + ",concurrency\nm,g,1,2,1,1,8\nm,g,1,2,1,1,\n")
    found = read_benchmark(tmp_path / "r", {"request_rate": "3"})
    assert [(r["concurrency"], r["request_rate"]) for r in found] == [("8", None), (None, 3)]
    assert [r["id"] for r in found] == ["r-1", "r-2"]
