"""Published runs that were never fitted: how far the planner is from them.

Reads the tables in $PLANNER_SHARED_DATA/data, else ../shared/data: TensorRT-LLM's tables, MLPerf, ML.ENERGY,
vllm-cost-meter, AMD's vLLM images; and the disaggregated runs inside aiconfigurator-core. Run it as
`python benchmarks/published.py`.
"""

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from checks import HEADER, Array, Check, line, ratios
from silicon.read import read_silicon, silicon_path

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.errors import PlannerError
from planner.loadtest.predict import predict
from planner.options.answer import answer
from planner.options.confidence import error_bounds, unseen
from planner.scenario.load import load_scenario

DATA = Path(os.environ.get("PLANNER_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared")) / "data"
GPUS = {
    "H100": "h100-sxm",
    "H100 SXM": "h100-sxm",
    "H100 80GB (as stated)": "h100-sxm",
    "H200 SXM": "h200-sxm",
    "H200 NVL": "h200-nvl",
    "B200 SXM": "b200",
    "GB200": "gb200",
    "A100 SXM 80GB": "a100-sxm-80gb",
    "A100 PCIe 80GB": "a100-pcie-80gb",
    "L40S": "l40s",
    "GH200-96GB(480GB sys)": "gh200-96gb",
    "MI300X": "mi300x",
    "MI325X": "mi325x",
}
FORMATS = {"fp8": "fp8", "fp16": "fp16", "float16": "fp16", "bfloat16": "bf16", "fp4": "nvfp4", "mxfp4": "native"}
ML_ENERGY_INPUT = {"lm-arena-chat": 250, "gpqa": 300}
"""Tokens, assumed: the data do not say."""
MLPERF_INPUT = {
    "llama-2-70b": 294,  # OpenOrca
    "llama-3.1-405b": 9400,
    "llama-3.1-8b": 1000,  # CNN/DailyMail articles
    "mixtral-8x7b": 300,
    "deepseek-r1": 800,
    "gpt-oss-120b": 300,
}
"""Mean input tokens: 405b as published, the others assumed from the data sets."""
MLPERF_SPREAD = {"llama-3.1-405b": 0.4}
"""Standard deviation of lengths over their mean, assumed: 0.7, and less where all prompts are long."""
USUAL_SPREAD = 0.7
WIDTHS = (1, 2, 4, 8)
LIMITS = {"Server", "Interactive"}


@cache
def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tensorrt() -> Iterator[Check]:
    """Yield the throughput of TensorRT-LLM 0.17's own tables at maximum load."""
    given = [r for r in table("measured.csv") if r["source"] == "TensorRT-LLM perf-overview v0.17" and r["gpu"] in GPUS]
    rows = []
    for r in given:
        tensor = re.search(r"TP(\d+)", r["notes"])
        eight_bit = r["precision"] == "fp8"
        rows.append({
            "id": r["model"], "model": r["model"], "gpu": GPUS[r["gpu"]], "engine": "trtllm",
            "precision": FORMATS[r["precision"]], "kv_precision": "fp8" if eight_bit else "fp16",
            "tensor_parallel": tensor[1] if tensor else r["num_gpus"],
            "input_tokens": r["isl"], "output_tokens": r["osl"], "length_spread": "0",
        })  # fmt: skip
    found, low, high = ratios(rows, [float(r["value"]) for r in given], "output_tokens_per_s")
    groups = [f"{r['gpu']} {r['model']}" for r in given]
    yield Check("TensorRT-LLM 0.17", "maximum throughput", 0.15, found, groups, low, high)


def amd() -> Iterator[Check]:
    """Yield the throughput of AMD's vLLM images on MI300X."""
    given = [
        r
        for r in table("measured.csv")
        if r["source"] == "AMD ROCm vLLM docker" and r["metric"] == "output_throughput_system" and r["isl"] and r["osl"]
    ]
    rows = [
        {"id": r["model"], "model": r["model"], "gpu": GPUS[r["gpu"]], "engine": "vllm",
         "precision": FORMATS[r["precision"]], "kv_precision": "fp8", "tensor_parallel": r["num_gpus"],
         "input_tokens": r["isl"], "output_tokens": r["osl"]}
        for r in given
    ]  # fmt: skip
    found, low, high = ratios(rows, [float(r["value"]) for r in given], "output_tokens_per_s")
    groups = [f"{r['gpu']} {r['model']}" for r in given]
    yield Check("AMD's vLLM images", "maximum throughput", None, found, groups, low, high)


def ml_energy_rows(shift: int = 0) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return (rows to predict, what was measured) of ML.ENERGY's chat and GPQA runs, inputs `shift` tokens longer."""
    given = [r for r in table("mlenergy_h100.csv") if r["task"] in ML_ENERGY_INPUT]
    rows = [
        {"id": r["task"], "model": r["model_id"], "gpu": "h100-sxm", "engine": "vllm",
         "precision": FORMATS[r["precision"]], "kv_precision": "bf16", "tensor_parallel": r["num_gpus"],
         "expert_parallel": r["ep"], "input_tokens": str(ML_ENERGY_INPUT[r["task"]] + shift),
         "output_tokens": r["avg_output_len"], "concurrency": r["avg_batch"]}
        for r in given
    ]  # fmt: skip
    return rows, given


ML_ENERGY_METRICS = (
    ("throughput", 0.15, "output_tokens_per_s", ("output_tok_s", 1.0)),
    ("inter-token latency", 0.12, "tpot_mean_s", ("median_itl_ms", 1e-3)),
    ("watts per GPU", 0.08, "power_w_per_gpu", ("power_w_per_gpu", 1.0)),
)
"""Metric, what is aimed at, column of `predict`, column of the data with its unit."""


def ml_energy(shift: int = 0) -> Iterator[Check]:
    """Yield throughput, inter-token latency and power of ML.ENERGY's runs on H100, inputs `shift` tokens longer."""
    rows, given = ml_energy_rows(shift)
    groups = [f"{r['architecture']}: {r['model_id'].split('/')[-1]}" for r in given]
    dense = np.asarray([r["architecture"].startswith("Dense") for r in given])
    by_metric = {}
    for metric, wanted, column, unit in ML_ENERGY_METRICS:
        found, low, high = ratios(rows, [float(r[unit[0]]) * unit[1] for r in given], column)
        by_metric[metric] = found
        yield Check("ML.ENERGY", metric, wanted, found, groups, low, high)
        if metric == "throughput":
            yield Check("ML.ENERGY, dense models", metric, wanted, np.where(dense, found, np.nan), groups, low, high)
    joules = by_metric["watts per GPU"] / by_metric["throughput"]  # of the GPUs, a request: power over rate
    yield Check("ML.ENERGY", "GPU energy per request", None, joules, groups)
    yield Check("ML.ENERGY, dense models", "GPU energy per request", None, np.where(dense, joules, np.nan), groups)


def cost_meter() -> Iterator[Check]:
    """Yield the dollars per million tokens of vllm-cost-meter: the same GPU at offered rates from 1 to 200 a second."""
    runs: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    for r in table("measured.csv"):
        if r["source"].startswith("vllm-cost-meter") and r["concurrency_or_scenario"].startswith("Poisson"):
            key = (r["model"], r["precision"], r["gpu"], r["num_gpus"], r["concurrency_or_scenario"], r["notes"][:9])
            runs[key] |= {r["metric"]: float(r["value"]), "row": r}
    rows, measured, groups = [], [], []
    for (model, precision, gpu, gpus, load, _), run in runs.items():
        if "output_throughput_system" not in run:
            continue
        rate = re.search(r"([\d.]+) req/s", load)
        rows.append({
            "id": model, "model": model, "gpu": GPUS[gpu], "engine": "vllm", "precision": FORMATS[precision],
            "tensor_parallel": gpus, "input_tokens": run["row"]["isl"], "output_tokens": run["row"]["osl"],
            "request_rate": rate[1] if rate else "",
        })  # fmt: skip
        measured.append(run["output_throughput_system"])
        groups.append(f"{gpu} {model} {precision}")
    found, low, high = (None if x is None else 1.0 / x for x in ratios(rows, measured, "output_tokens_per_s"))
    yield Check("vllm-cost-meter", "cost per million tokens", 0.15, found, groups, high, low)


def mlperf() -> Iterator[Check]:
    """Yield tokens per second and GPU of MLPerf Inference v5.1, closed division: the layout that serves most."""
    catalog, cached = Catalog(), {}
    found: dict[str, tuple[list[Array], list[str]]] = defaultdict(lambda: ([], []))
    for r in table("mlperf_llm.csv"):
        if r["version"] != "v5.1" or r["gpu"] not in GPUS or r["model"] not in MLPERF_INPUT or not r["mean_osl"]:
            continue
        kind = "Server" if r["scenario"] in LIMITS else "Offline"
        key = tuple(r[k] for k in ("gpu", "model", "scenario", "precision", "ttft_limit_ms", "tpot_limit_ms"))
        if key not in cached:
            cached[key] = _served(r, catalog)
        maker = "AMD" if r["gpu"].startswith("MI") else "NVIDIA"
        ratio, groups = found[f"{kind}, {maker}"]
        ratio.append(cached[key] * _sides(r, catalog) / float(r["tok_s_per_gpu"]))
        groups.append(f"{r['gpu']} {r['model']}")
    for title, (ratio, groups) in sorted(found.items()):
        wanted = 0.2 if "NVIDIA" in title else None
        middle, low, high = np.asarray(ratio).T
        yield Check("MLPerf v5.1", f"{title}, tokens/s/GPU", wanted, middle, groups, low, high)


def _engine(r: dict[str, str]) -> str:
    return "vllm" if r["gpu"].startswith("MI") else "trtllm"


def _sides(r: dict[str, str], catalog: Catalog) -> Array:
    """Return 1, p10 and p90 of measured over predicted throughput for what is unseen in a run of MLPerf."""
    engine = catalog.get(EngineSpec, _engine(r)).spec
    model, gpu = catalog.find(ModelSpec, r["model"]).loaded.spec, catalog.get(GpuSpec, GPUS[r["gpu"]]).spec
    bounds = error_bounds(engine, unseen(engine, model, gpu, (MLPERF_INPUT[r["model"]], float(r["mean_osl"]))))
    return np.asarray([1.0, *(bounds["throughput"] if bounds else (np.nan, np.nan))])


def _served(r: dict[str, str], catalog: Catalog) -> float:
    """Return the most output tokens per second and GPU within the limits of a run's scenario."""
    engine = _engine(r)
    gpu, output = GPUS[r["gpu"]], float(r["mean_osl"])
    if r["scenario"] not in LIMITS:
        rows = [
            {"id": "", "model": r["model"], "gpu": gpu, "engine": engine, "precision": FORMATS[r["precision"]],
             "kv_precision": "fp8", "tensor_parallel": str(width), "input_tokens": str(MLPERF_INPUT[r["model"]]),
             "output_tokens": str(output)}
            for width in WIDTHS
        ]  # fmt: skip
        found = [row["output_tokens_per_s_per_gpu"] for row in predict(rows, catalog)]
        return max((value for value in found if value is not None), default=np.nan)
    spread = MLPERF_SPREAD.get(r["model"], USUAL_SPREAD)
    changes = {
        "model": r["model"],
        "engine": engine,
        "workload.answers_per_day": 1e7,
        "workload.input_tokens": {"mean": MLPERF_INPUT[r["model"]], "cv": spread},
        "workload.answer_tokens": {"mean": output, "cv": spread},
        "workload.reasoning_multiplier": 1,
        "workload.cached_share": 0,
        "demand.curve": None,
        "fleet.gpus": (gpu,),
        "fleet.precisions": (FORMATS[r["precision"]],),
        "fleet.kv_precision": "fp8",
        "slo.ttft_p99_s": float(r["ttft_limit_ms"]) / 1e3,
        "slo.tpot_p99_s": float(r["tpot_limit_ms"]) / 1e3,
        "slo.ttft_p95_s": None,
        "slo.tpot_p95_s": None,
        "prices.tiers": ("on_demand", "committed_3y"),
    }
    try:
        rows = answer(load_scenario("o1-class", catalog, changes=changes), catalog).results
    except PlannerError:
        return np.nan
    return max((row["output_tokens_per_s_per_gpu"] or 0.0 for row in rows if row["meets_slo"]), default=np.nan)


def pools() -> Iterator[Check]:
    """Yield TPOT, TTFT and throughput of the disaggregated runs inside aiconfigurator-core that count their workers."""
    with silicon_path().open(encoding="utf-8", newline="") as file:
        raw = {r["id"]: r for r in csv.DictReader(file)}
    kept = [r for r in read_silicon() if r.mode == "disagg" and r.recommended]
    rows = []
    for run in kept:
        row = {
            "id": run.id, "model": run.model, "gpu": run.gpu, "engine": run.engine, "precision": run.precision,
            "kv_precision": run.kv_precision, "input_tokens": str(run.input_tokens_mean),
            "output_tokens": str(run.output_tokens_mean), "concurrency": str(run.concurrency),
        }  # fmt: skip
        for pool, prefix in (("prefill", "prefill_"), ("decode", "")):
            names = ("num_workers", "tp_size", "attention_dp_size", "moe_ep_size")
            workers, tensor, data, expert = (int(float(raw[run.id][f"{pool}_{n}"] or 1)) for n in names)
            row |= {f"{prefix}tensor_parallel": str(tensor), f"{prefix}data_parallel": str(data)}
            row |= {f"{prefix}expert_parallel": str(max(expert, 1)), f"{pool}_gpus": str(workers * tensor * data)}
        rows.append(row)
    groups = [f"{run.gpu} {run.engine}" for run in kept]
    for metric, wanted, column, measured in (
        ("TPOT", 0.18, "tpot_mean_s", [run.tpot_s for run in kept]),
        ("TTFT", None, "ttft_mean_s", [run.ttft_s for run in kept]),
        ("tokens/s/GPU", None, "output_tokens_per_s_per_gpu", [run.output_tokens_per_s_per_gpu for run in kept]),
    ):
        found, low, high = ratios(rows, [value or np.nan for value in measured], column)
        yield Check("two pools", metric, wanted, found, groups, low, high)


def thinking() -> Iterator[Check]:
    """Yield GPU-seconds of a thinking answer over a chat answer, Qwen3 on H100, each at the benchmark's batch limit."""
    given = table("reasoning_gpu_time_multiplier_h100.csv")
    rows = [
        {"id": r["model"], "model": r["model"], "gpu": "h100-sxm", "engine": "vllm", "precision": "bf16",
         "kv_precision": "bf16", "tensor_parallel": r[f"{task}_gpus"], "output_tokens": r[f"{task}_tokens"],
         "input_tokens": str(ML_ENERGY_INPUT["gpqa" if task == "gpqa" else "lm-arena-chat"]),
         "concurrency": r[f"{task}_max_seqs"]}
        for r in given for task in ("chat", "gpqa")
    ]  # fmt: skip
    per_s = np.asarray([row["requests_per_s"] for row in predict(rows, Catalog())])
    gpus = np.asarray([float(r["gpqa_gpus"]) / float(r["chat_gpus"]) for r in given])
    multiplier = per_s[0::2] / per_s[1::2] * gpus
    measured = np.asarray([float(r["gpu_time_multiplier"]) for r in given])
    names = [f"{r['model']} {m:.1f} x, measured {x:.1f} x" for r, m, x in zip(given, multiplier, measured, strict=True)]
    yield Check("Qwen3 thinking over chat", "GPU time multiplier", 0.2, multiplier / measured, names)


def checks() -> list[Check]:
    """Return every check."""
    return [c for source in (tensorrt, mlperf, ml_energy, cost_meter, thinking, pools, amd) for c in source()]


def main() -> None:
    """Print the table and the groups of each check."""
    found = checks()
    print("\n".join([*HEADER, *map(line, found)]))
    for check in found:
        print(f"\n{check.name}, {check.metric}")
        for group in sorted(set(check.groups)):
            own = check.ratio[[g == group for g in check.groups]]
            own = own[np.isfinite(own)]
            if own.size:
                print(f"  {group}: {own.size} runs, bias {np.median(own) - 1:+.0%}")


if __name__ == "__main__":
    main()
