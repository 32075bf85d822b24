"""Memory plans against what public start-up logs say, and by hand."""

import csv
import math
import os
import re
from pathlib import Path
from statistics import median

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.errors import BadInputError, DataMissingError
from planner.loadtest.lookups import Names
from planner.loadtest.memory_plan import INPUTS, RESULTS, check_header, plan_row, plan_rows

CATALOG = Catalog()
LOGS = Path(__file__).parents[1] / "data" / "memory_logs.csv"
SHARED = Path(os.environ.get("PLANNER_SHARED_DATA") or Path(__file__).parents[3] / "shared") / "field"
ROW = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "tensor_parallel": "1"}


def logs() -> list[dict[str, str]]:
    """Return rows of `planner memory` with what their engine logged (vLLM; x_source names each log's origin)."""
    with LOGS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ratios(name: str) -> list[float]:
    """Return planned over logged of a quantity, of the logs that print it.

    With pipeline stages a log prints the activations of its first stage, which does not sample.
    """
    one_stage = name == "activation_bytes_per_gpu"
    rows = [r for r in logs() if r[f"measured_{name}"] and (not one_stage or r["pipeline_parallel"] == "1")]
    plans = plan_rows(rows, CATALOG)
    return [plan[name] / float(row[f"measured_{name}"]) for row, plan in zip(rows, plans, strict=True)]


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("weights_bytes_per_gpu", 0.03),
        ("cache_bytes_per_gpu", 0.08),
        ("max_concurrency_at_max_model_len", 0.12),
        ("activation_bytes_per_gpu", 0.35),
    ],
)
def test_plans_are_what_engines_log(name: str, around: float) -> None:
    """Nine of ten lie within `around` of the log, and the median within a third of that.

    The engine's memory factors were read off the logs of vLLM 0.19 on H100 among them: these rows are in sample.
    """
    found = ratios(name)
    assert len(found) >= 20
    assert sum(abs(ratio - 1) <= around for ratio in found) >= 0.9 * len(found)
    assert median(found) == pytest.approx(1.0, abs=around / 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="reports of memory that are not part of the project")
def test_reports_of_users() -> None:
    """Cache of public reports, read while the terms were chosen: median within 5 %, three of four within 25 %."""
    found = []
    with (SHARED / "memory_reports.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            plan = reported(row)
            tokens = row["reported_kv_tokens"]
            if plan is not None and tokens and plan["cache_tokens"]:
                found.append(plan["cache_tokens"] / float(tokens))
    assert len(found) >= 8
    assert median(found) == pytest.approx(1.0, abs=0.05)
    assert sum(0.8 < ratio < 1.25 for ratio in found) >= 0.75 * len(found)


def reported(row: dict[str, str]) -> dict[str, object] | None:
    """Return the plan of a report in the formats and settings it states; None where the model is not known."""
    name = row["model"].split(" ")[0]
    release = next((part for part in row["engine_version"].replace("+", "-").split("-") if part[:1].isdigit()), "")
    known = {"bf16", "fp8", "fp8-block", "mxfp4"}
    if row["weight_precision"] not in known or "x" in release or not row["gpu"]:
        return None
    asked = {
        "model": name,
        "gpu": row["gpu"],
        "engine": row["engine"],
        "engine_version": release,
        "precision": row["weight_precision"],
        "kv_precision": row["kv_precision"],
        "tensor_parallel": row["tp"],
        "gpu_memory_utilization": row["gpu_memory_utilization"],
        "max_model_len": row["max_model_len"],
    }
    plan = plan_rows([asked], CATALOG)[0]
    return None if plan["error"] else plan


def test_bytes_of_a_token_by_hand() -> None:
    """Llama 3.1 8B: 32 layers of 8 KV heads of 128, keys and values, 16 bits; 1 byte in FP8."""
    one, half = plan_rows([ROW, ROW | {"kv_precision": "fp8"}], CATALOG)
    assert one["kv_bytes_per_token"] == 32 * 8 * 128 * 2 * 2
    assert half["kv_bytes_per_token"] == 32 * 8 * 128 * 2


def test_a_plan_adds_up() -> None:
    """Weights, activations, the rest and the cache are the share of the GPU that the engine takes."""
    plan = plan_row(ROW | {"gpu_memory_utilization": "0.5"}, Names(CATALOG), CATALOG)[0]
    gpu = CATALOG.get(GpuSpec, "h100-sxm").spec
    parts = ("weights", "activation", "other", "cache")
    total = (gpu.memory_usable_bytes or 0) - CATALOG.assumptions.spec.driver_reserved_bytes
    assert sum(plan[f"{name}_bytes_per_gpu"] for name in parts) == pytest.approx(0.5 * total)


def test_a_plan_states_what_it_is_of() -> None:
    """What a row leaves open is filled in: the engine, its newest release, the format, the degrees."""
    plan = plan_row({"model": "llama-3.1-8b", "gpu": "h100-sxm"}, Names(CATALOG), CATALOG)[0]
    degrees = [plan[f"{name}_parallel"] for name in ("tensor", "pipeline", "data", "expert")]
    assert (plan["engine"], plan["precision"], degrees, plan["gpus"]) == ("vllm", "bf16", [1, 1, 1, 1], 1)
    assert plan["engine_version"]
    assert set(RESULTS) <= set(plan)


def test_ranks_hold_their_own_requests() -> None:
    """Two attention ranks copy the weights and hold twice the tokens of one GPU."""
    one, two = plan_rows([ROW, ROW | {"data_parallel": "2"}], CATALOG)
    assert two["gpus"] == 2
    assert two["cache_tokens"] == pytest.approx(2 * one["cache_tokens"], rel=1e-4)


def test_the_smallest_layout_that_starts() -> None:
    """140 GB of weights need four cards of 80 GB to hold the longest request as well, two where requests are short."""
    found = [plan_row({"model": "llama-3.1-70b", "gpu": "h100-sxm"} | more, Names(CATALOG), CATALOG)[0] for more in (
        {}, {"max_model_len": "2048"})]  # fmt: skip
    assert [plan["starts"] for plan in found] == [True, True]
    assert found[1]["gpus"] < found[0]["gpus"]
    assert found[1]["gpus"] * 80e9 > 140e9


@pytest.mark.parametrize("stated", [{"pipeline_parallel": "16"}, {"expert_parallel": "16", "model": "qwen3-30b-a3b"}])
def test_a_layout_beyond_the_fast_domain_is_planned(stated: dict[str, str]) -> None:
    """Stages and experts may need more GPUs than fast links connect: there is a plan all the same."""
    plan = plan_rows([{"model": "llama-3.1-8b", "gpu": "l4"} | stated], CATALOG)[0]
    assert plan["error"] == ""
    assert plan["gpus"] >= 16


def test_every_gpu_that_an_engine_runs_on() -> None:
    """Without a GPU there is a plan of each; those that start come first, the fewest GPUs first."""
    plans = plan_row({"model": "qwen3-0.6b", "engine": "trtllm"}, Names(CATALOG), CATALOG)
    vendors = CATALOG.get(EngineSpec, "trtllm").spec.vendors
    assert {plan["gpu"] for plan in plans} == {g.spec.id for g in CATALOG.all(GpuSpec) if g.spec.vendor in vendors}
    order = [(not plan["starts"], plan["gpus"]) for plan in plans]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("changes", "fits", "why"),
    [
        ({"model": "llama-3.1-405b"}, False, "out of memory: .* GB per GPU are missing"),
        (
            {"gpu": "l4", "max_num_seqs": "16"},
            True,
            "one request of 131,072 tokens does not fit; expected max_model_len",
        ),
        ({"model": "phi-4-14b", "tensor_parallel": "4"}, True, "10 KV heads and TP4"),
    ],
)
def test_why_a_deployment_does_not_start(changes: dict[str, str], fits: bool, why: str) -> None:  # noqa: FBT001
    """No room, no room for one request of the longest length, heads that do not divide."""
    plan = plan_row(ROW | changes, Names(CATALOG), CATALOG)[0]
    assert (plan["starts"], plan["fits"]) == (False, fits)
    assert re.search(why, plan["why"])


def test_the_length_that_is_named_starts() -> None:
    """The max_model_len that the reason names does start, and one more token does not."""
    row = ROW | {"gpu": "l4", "max_num_seqs": "16"}
    longest = int(plan_rows([row], CATALOG)[0]["longest_context_tokens"])
    plans = plan_rows([row | {"max_model_len": str(longest + more)} for more in (0, 1)], CATALOG)
    assert [plan["starts"] for plan in plans] == [True, False]


def test_engines_that_shorten_requests_start() -> None:
    """SGLang starts with a cache that is too small for the model's own length."""
    plan = plan_rows([ROW | {"gpu": "l4", "engine": "sglang"}], CATALOG)[0]
    assert plan["longest_context_tokens"] < 131072
    assert plan["starts"]


def test_windows_keep_the_steps_in_flight_at_start_up() -> None:
    """A larger token budget leaves the cache of Gemma's windowed layers fewer requests."""
    row = {"model": "gemma-3-27b", "gpu": "h200-sxm", "max_model_len": "32768", "max_num_seqs": "1"}
    few, many = plan_rows([row | {"max_num_batched_tokens": n} for n in ("1024", "4096")], CATALOG)
    few_per_byte, many_per_byte = (
        plan["max_concurrency_at_max_model_len"] / plan["cache_bytes_per_gpu"] for plan in (few, many)
    )
    assert many_per_byte < 0.9 * few_per_byte


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"gpu": "h1000"}, "unknown GPU 'h1000'"),
        ({"tensor_parallel": "two"}, "tensor_parallel 'two' is not a number"),
        ({"max_model_len": "1e9"}, "max_model_len"),
        ({"gpu_memory_utilization": "92"}, "gpu_memory_utilization 92 is out of range"),
        ({"engine": "sglang", "gpu": "tpu-v6e"}, "sglang does not run on google"),
    ],
)
def test_a_bad_row_says_why_and_loses_no_other(changes: dict[str, str], error: str) -> None:
    """The row has no result and an error; its neighbour is planned."""
    bad, good = plan_rows([ROW | changes, ROW], CATALOG)
    assert error in bad["error"]
    assert bad["starts"] is None
    assert good["starts"] is True
    with pytest.raises((BadInputError, DataMissingError), match=error.split("'", maxsplit=1)[0]):
        plan_row(ROW | changes, Names(CATALOG), CATALOG)


@pytest.mark.parametrize(
    ("header", "error"),
    [(["gpu"], "has no column 'model'"), (["model", "max_num_seq"], "unknown column 'max_num_seq'.*max_num_seqs")],
)
def test_header(header: list[str], error: str) -> None:
    """A sheet needs models; a misspelt column is named with its nearest."""
    with pytest.raises(BadInputError, match=error):
        check_header(header)
    check_header([*INPUTS, "input_tokens", "x_note", "measured_cache_tokens", "note"])


def test_no_result_is_lost() -> None:
    """Every numeric result of a plan that starts is a finite number."""
    plan = plan_rows([ROW], CATALOG)[0]
    assert all(math.isfinite(plan[name]) for name, unit in RESULTS.items() if unit)
