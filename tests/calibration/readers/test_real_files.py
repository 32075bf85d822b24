"""Published result files of every tool, read; what is expected is worked out from the same file by hand."""

import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from planner.calibration.readers.base import MEASURED
from planner.calibration.readers.registry import read_benchmark
from planner.catalog.catalog import Catalog
from planner.errors import BadInputError
from planner.loadtest.layouts import LOADS
from planner.loadtest.predict import predict
from planner.loadtest.run import NUMBERS, TEXTS, Row

DATA = Path(__file__).parents[2] / "data" / "benchmarks"
GPU = {"gpu": "h100-sxm"}


def read(name: str, **given: str) -> Row:
    """Return the one row of a file."""
    (row,) = read_benchmark(DATA / name, GPU | given)
    return row


def loaded(name: str) -> dict[str, Any]:
    """Return a JSON file as it is."""
    data: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return data


def test_vllm_detailed_lists_give_the_reported_tpot() -> None:
    """Sum of gaps over tokens - 1, mean over requests of several tokens: the reported mean, to its [DONE] message."""
    name = "vllm_h100_llama-3.1-8b-fp8_detailed.json"
    data, row = loaded(name), read(name)
    runs = list(zip(data["output_lens"], data["itls"], strict=True))
    by_hand = fmean(sum(gaps) / (n - 1) for n, gaps in runs if n > 1)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(data["mean_tpot_ms"] / 1e3)
    assert by_hand == pytest.approx(data["mean_tpot_ms"] / 1e3, rel=3e-3)
    assert data["mean_itl_ms"] / data["mean_tpot_ms"] > 8  # ten tokens a chunk: a gap is no TPOT


def test_vllm_requests_without_tokens_are_left_out() -> None:
    """Three of ten requests gave no token and stand as TTFT 0 in vLLM's mean; ours is over the seven."""
    name = "vllm_h100_llama-3.1-8b-fp8_detailed.json"
    data, row = loaded(name), read(name)
    answered = [t for t in data["ttfts"] if t > 0]
    assert float(row["measured_ttft_mean_s"]) == pytest.approx(sum(answered) / 7)
    assert data["mean_ttft_ms"] / 1e3 == pytest.approx(sum(answered) / 10)
    assert float(row["output_tokens"]) == pytest.approx(442 / 7)
    assert "3 requests gave no token" in row["note"]


def test_vllm_burst_is_named_one() -> None:
    """Ten prompts sent at once without a limit: ten in flight, and a note that it is no steady state."""
    row = read("vllm_h100_llama-3.1-8b-fp8_detailed.json")
    assert (row["concurrency"], row["request_rate"], row["engine"]) == (10, None, "vllm")
    assert float(row["measured_output_tokens_per_s"]) == pytest.approx(442 / 1.0679055179934949)
    assert "a burst, not a steady state" in row["note"]


def test_sglang_states_its_server() -> None:
    """Model, version and layout come from server_info; lengths are totals over requests; Infinity is no rate."""
    row = read("sglang_qwen2.5-3b_c32.jsonl")
    assert (row["model"], row["engine"], row["engine_version"]) == ("Qwen/Qwen2.5-3B-Instruct", "sglang", "0.5.5.post3")
    assert (row["tensor_parallel"], row["gpus"], row["concurrency"]) == (1, 1, 32)
    assert (float(row["input_tokens"]), float(row["output_tokens"])) == pytest.approx((264.97, 61.8))
    assert [float(row[k]) for k in MEASURED] == pytest.approx([0.0424489, 0.00854357, 6180 / 1.96100862], rel=1e-5)


def test_old_sglang_says_what_it_lacks() -> None:
    """A line with medians only is refused, the two missing means named."""
    with pytest.raises(BadInputError, match="lacks mean_ttft_ms, mean_tpot_ms; older versions"):
        read("sglang_h200_llama-3.3-70b_2025-01.jsonl", model="llama-3.3-70b")


def test_guidellm_agrees_with_its_own_latency() -> None:
    """Equal lengths, so weights do not matter: TPOT = (latency - TTFT)/1023; throughput = 4096 tokens over 24.91 s."""
    row = read("guidellm_qwen3-4b_concurrent-4.json")
    metrics = loaded("guidellm_qwen3-4b_concurrent-4.json")["benchmarks"][0]["metrics"]
    latency, ttft = metrics["request_latency"]["successful"]["mean"], float(row["measured_ttft_mean_s"])
    assert float(row["measured_tpot_mean_s"]) == pytest.approx((latency - ttft) / 1023, rel=1e-3)
    assert float(row["measured_output_tokens_per_s"]) == pytest.approx(4096 / 24.9096446, rel=1e-6)
    assert metrics["output_tokens_per_second"]["successful"]["mean"] == pytest.approx(165.6, abs=0.1)  # not that one
    assert (row["concurrency"], row["model"]) == (4, "Qwen/Qwen3-4B-Thinking-2507")


def test_guidellm_tpot_over_all_tokens_is_normalised() -> None:
    """time_per_output_token x 1024 - TTFT over 1023 is inter_token_latency: the two definitions, tied by a real run."""
    metrics = loaded("guidellm_qwen3-4b_concurrent-4.json")["benchmarks"][0]["metrics"]
    tpot, ttft, itl = (
        metrics[f"{n}_ms"]["successful"]["mean"]
        for n in ("time_per_output_token", "time_to_first_token", "inter_token_latency")
    )
    assert (tpot * 1024 - ttft) / 1023 == pytest.approx(itl, rel=1e-9)


def test_aiperf_json_misses_its_input_length() -> None:
    """That export has no input_sequence_length: it has to be given, and the error says how."""
    with pytest.raises(BadInputError, match="does not state input_tokens; give it with --given input_tokens=VALUE"):
        read("aiperf_qwen3-4b_c32.json")
    row = read("aiperf_qwen3-4b_c32.json", input_tokens="230", model="qwen3-4b-fp8")
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(35443.48705648191 / 3304 / 1e3)
    assert float(row["measured_output_tokens_per_s"]) == pytest.approx(876987 / 299.975831569)
    assert row["concurrency"] == 32
    assert row["note"] == "model qwen3-4b-fp8 as given; the file calls it qwen3-4b"


def test_aiperf_csv_needs_model_and_load() -> None:
    """The CSV states neither; with both given its averages are read, in milliseconds."""
    name = "aiperf_rtx-5090_agent_c16.csv"
    with pytest.raises(BadInputError, match="does not state model"):
        read(name)
    with pytest.raises(BadInputError, match="does not state the load"):
        read(name, model="qwen3-8b")
    row = read(name, model="qwen3-8b", concurrency="16")
    assert [float(row[k]) for k in MEASURED] == pytest.approx([0.23014, 0.01185, 1172.15])
    assert (row["input_tokens"], row["output_tokens"]) == (3761.31, 543.61)


def test_inference_perf_of_2025_halved_tpot() -> None:
    """Its TPOT does not fit latency, TTFT and 128.7 tokens; the quotient is taken and both numbers are told."""
    row = read("inference-perf_llama-3-8b-awq_stage_1_lifecycle_metrics.json", model="llama-3-8b")
    by_hand = (2.9583877717027036 - 0.06166941560743018) / (128.7048883524442 - 1)
    assert float(row["measured_tpot_mean_s"]) == pytest.approx(by_hand)
    assert by_hand / 0.011264775789794384 == pytest.approx(2.0, abs=0.02)
    assert "0.01126" in row["note"]
    assert row["request_rate"] == 27.63


def test_metrics_of_a_live_server() -> None:
    """Sums over counts: TTFT over 1579 first tokens, TPOT over 1578 answers; 82 % of the input was cached."""
    row = read("vllm-metrics_qwen3.8-27b-nvfp4.prom", duration_s="49463.36")
    expected = [5210.326116800308 / 1579, 30.84767843015596 / 1578, 2014153 / 49463.36]
    assert [float(row[k]) for k in MEASURED] == pytest.approx(expected)
    assert float(row["cached_share"]) == pytest.approx(71141728 / 86575297)
    assert (row["concurrency"], row["engine"], row["model"]) == (1, "vllm", "Qwen3.8-27B-NVFP4")
    assert "concurrency at the moment of the dump" in row["note"]


def test_rows_go_straight_into_predict() -> None:
    """The rows of a reader are rows of `predict`: each comes back with a prediction beside the measurement."""
    rows = read_benchmark(DATA / "predict-measured.csv", {})
    predicted = predict(rows, Catalog())
    assert [p["error"] for p in predicted] == ["", ""]
    assert [p["measured_tpot_mean_s"] for p in predicted] == [0.008, 0.0105]
    assert all(p["tpot_mean_s"] > 0 for p in predicted)


@pytest.mark.parametrize(
    "path", [*sorted(DATA.glob("[!Rs]*")), DATA / "sglang_qwen2.5-3b_c32.jsonl"], ids=lambda p: p.name
)
def test_every_shipped_file_reads(path: Path) -> None:
    """Each file gives rows with a load, a measurement, source and tool."""
    given = GPU | {"model": "llama-3.1-8b", "input_tokens": "230", "concurrency": "16"}
    for row in read_benchmark(path, given):
        assert any(row[k] for k in LOADS)
        assert any(row[k] for k in MEASURED)
        assert row["source"].startswith(str(path))
        assert row["tool"]


@pytest.mark.parametrize("path", sorted(DATA.glob("[!Rsp]*")), ids=lambda p: p.name)
def test_numbers_of_a_result_file_stay_numbers(path: Path) -> None:
    """No number of a tool's file or of --given becomes text on its way to `predict`; texts are texts."""
    given = GPU | {"model": "llama-3.1-8b", "input_tokens": "230", "concurrency": "16", "tensor_parallel": "2"}
    for row in read_benchmark(path, given):
        assert {type(row[name]) for name in (*NUMBERS, *MEASURED)} <= {int, float, type(None)}
        assert {type(row[name]) for name in TEXTS} <= {str, type(None)}
        assert row["tensor_parallel"] == 2


JUNK: tuple[Any, ...] = (None, "", "x", -1, 0, 1e308, [], [None], [[]], {}, {"a": 1}, True, 10**400, float("nan"))


def leaves(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value of JSON data, containers too."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(path for key, value in inner for path in leaves(value, (*at, key)))][0 if at else 1 :]


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json*")), ids=lambda p: p.name)
def test_no_value_of_any_type_breaks_a_reader(path: Path, tmp_path: Path) -> None:
    """Each value of each file replaced by each kind of junk: rows of finite numbers, or one sentence."""
    text = path.read_text(encoding="utf-8")
    given = GPU | {"model": "llama-3.1-8b", "input_tokens": "230", "concurrency": "16"}
    spoilt = tmp_path / "r"
    for keys in leaves(json.loads(text)):
        for value in JUNK:
            data = json.loads(text)
            target = data
            for key in keys[:-1]:
                target = target[key]
            target[keys[-1]] = value
            spoilt.write_text(json.dumps(data), encoding="utf-8")
            try:
                rows = read_benchmark(spoilt, given)
            except BadInputError as error:
                assert len(str(error).splitlines()) == 1, (keys, value)  # noqa: PT017 - rows are as good
            else:
                assert all(math.isfinite(float(row[k] or 0)) for row in rows for k in MEASURED), (keys, value)


@pytest.mark.parametrize("path", sorted(DATA.glob("[!R]*")), ids=lambda p: p.name)
def test_a_file_cut_anywhere_is_no_crash(path: Path, tmp_path: Path) -> None:
    """Cut at every 40th character a file reads, or says in one sentence what is wrong."""
    text = path.read_text(encoding="utf-8")
    for size in range(0, len(text), 40):
        cut = tmp_path / "r"
        cut.write_text(text[:size], encoding="utf-8")
        try:
            read_benchmark(cut, GPU | {"model": "m", "input_tokens": "230", "concurrency": "16"})
        except BadInputError as error:
            assert len(str(error).splitlines()) == 1, size  # noqa: PT017 - rows are as good
