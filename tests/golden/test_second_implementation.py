"""The planner against a second implementation that was written from docs/method.md alone."""

import dataclasses
import importlib.util
import math
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from planner.fleet.estimate import Estimate, estimate
from planner.serving import columns
from planner.serving.cases import Cases
from planner.serving.model_columns import ModelColumns

CASES, POOLS_CASES, PAUSES_CASES = 50, 12, 12
Case = dict
GROUPS = {
    "model": ModelColumns,
    "gpu": columns.GpuColumns,
    "engine": columns.EngineColumns,
    "layout": columns.LayoutColumns,
    "demand": columns.DemandColumns,
    "slo": columns.SloColumns,
    "fleet": columns.FleetColumns,
    "offer": columns.OfferColumns,
    "energy": columns.EnergyColumns,
    "quality": columns.QualityColumns,
}


def load_second(name: str = "second_implementation") -> ModuleType:
    """Import a sibling module by its path: tests are not a package."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


second, second_pools = load_second(), load_second("second_pools")


def spread(rng: random.Random, low: float, high: float) -> float:
    """Draw a number that is uniform in its logarithm."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def random_layout(rng: random.Random) -> dict[str, float]:
    """Draw a layout."""
    dp = rng.choice([1, 1, 1, 2, 4, 8, 16])
    return {
        "tensor_parallel": float(rng.choice([1, 2, 4, 8, 16])),
        "pipeline_parallel": float(rng.choice([1, 1, 2, 3, 4])),
        "data_parallel": float(dp),
        "expert_parallel": 1.0,
        "kv_bytes": rng.choice([1.0, 2.0]),
        **random_drafts(rng.getrandbits(32)),
    }


def random_drafts(seed: int) -> dict[str, float]:
    """Draw speculative decoding in a third of the cases."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    drafted = float(rng.choice([0, 0, 1, 2, 4, 7]) if rng.random() < 2 / 3 else 0)
    return {"draft_tokens": drafted, "acceptance": rng.uniform(0.0, 0.95) if drafted else 0.0}


def random_model(rng: random.Random, layout: dict[str, float], memory: float) -> dict[str, float]:
    """Draw a model whose weights take a drawn share of the GPUs' memory."""
    attention = rng.choice(["gqa", "window", "mla", "sparse gqa", "sparse mla", "linear"])
    experts = float(rng.choice([1, 1, 16, 64, 128, 256]))
    sizes = {
        "attention": spread(rng, 0.05, 0.4),
        "ffn": spread(rng, 0.05, 1.0),
        "expert": spread(rng, 1.0, 30.0) if experts > 1 else 0.0,
        "embedding": rng.uniform(0.01, 0.1),
    }
    tp, pp, dp = layout["tensor_parallel"], layout["pipeline_parallel"], layout["data_parallel"]
    bytes_of = {name: rng.choice([0.53125, 1.0, 1.03, 2.0]) for name in sizes}
    per_gpu = sum(sizes[k] * bytes_of[k] / tp / (dp if k == "expert" else 1.0) for k in sizes) / pp
    scale = memory * rng.choice([0.05, 0.2, 0.4, 0.6, 0.8]) * rng.uniform(0.8, 1.1) / per_gpu
    layers, heads = float(rng.randint(16, 80)), float(rng.choice([16, 32, 64, 128]))
    kv_heads, width = float(rng.choice([1, 2, 4, 8, 16])), float(rng.choice([64, 128]))
    mixed = round(layers * rng.uniform(0.2, 0.9))
    rest = layers - mixed
    model = {
        "hidden_size": float(rng.choice([1024, 2048, 4096, 7168, 8192, 16384])),
        "layers": layers,
        "moe_layers": layers - rng.choice([0.0, 1.0, 3.0]) if experts > 1 else 0.0,
        "head_is_tied": float(rng.random() < 0.3),
        "experts": experts,
        "experts_per_token": float(rng.choice([1, 2, 4, 8])) if experts > 1 else 1.0,
        "expert_width": float(rng.choice([512, 1536, 2048, 14336])) if experts > 1 else 1.0,
        "head_parameters": sizes["embedding"] * scale,
        "kv_heads": kv_heads,
        "window_tokens": float(rng.choice([128, 512, 1024, 4096])),
        "sparse_top_k": float(rng.choice([256, 1024, 2048])),
        "max_context_tokens": float(rng.choice([32768, 131072, 1048576])),
        "state_bytes": rest * spread(rng, 1e5, 4e6) if attention == "linear" else 0.0,
        "state_heads": float(rng.choice([16, 32, 64])) if attention == "linear" else 1.0,
    }
    for name, size in sizes.items():
        model[f"{name}_parameters"] = size * scale
        model[f"{name}_weight_bytes"] = bytes_of[name]
    model |= {
        "vocab_size": float(rng.choice([32000, 128256, 262144])),
        "kv_parameters": model["attention_parameters"] * rng.choice([0.0, 0.1]),
        "replicated_parameters": model["attention_parameters"] * rng.choice([0.0, 0.05]),
        "encoder_parameters": rng.choice([0.0, 0.0, 4e8]),
        "expert_padding": rng.choice([1.0, 1.07]),
        "block_width": rng.uniform(1e3, 1e5),
    }
    names = [
        "kv_full_elements",
        "kv_window_elements",
        "kv_sparse_elements",
        "latent_full_elements",
        "latent_sparse_elements",
        "index_elements",
        "index_bytes",
        "scaled_full_bytes",
        "scaled_window_bytes",
        "scaled_sparse_bytes",
        "pool_tokens_in_flight",
        "pool_tokens_per_request",
        "decode_macs_full",
        "decode_macs_window",
        "decode_macs_sparse",
        "decode_macs_index",
        "prefill_macs_full",
        "prefill_macs_window",
        "prefill_macs_sparse",
    ]
    model |= dict.fromkeys(names, 0.0)
    row, macs = 2.0 * kv_heads * width, heads * 2.0 * width
    latent, latent_macs = 576.0, heads * 1088.0
    if attention in ("gqa", "linear", "window", "sparse gqa"):
        full = layers if attention == "gqa" else mixed
        model |= {"kv_full_elements": row * full, "decode_macs_full": macs * full, "prefill_macs_full": macs * full}
    if attention == "window":
        model |= {
            "kv_window_elements": row * rest,
            "decode_macs_window": macs * rest,
            "prefill_macs_window": macs * rest,
        }
    if attention == "sparse gqa":
        model |= {
            "kv_sparse_elements": row * rest,
            "decode_macs_sparse": macs * rest,
            "prefill_macs_sparse": macs * rest,
        }
    if attention in ("mla", "sparse mla"):
        full = layers if attention == "mla" else mixed
        model |= {
            "latent_full_elements": latent * full,
            "decode_macs_full": latent_macs * full,
            "prefill_macs_full": heads * 320.0 * full,
        }
    if attention == "sparse mla":
        model |= {
            "latent_sparse_elements": latent * rest,
            "decode_macs_sparse": latent_macs * rest,
            "prefill_macs_sparse": heads * 320.0 * rest,
        }
    if attention.startswith("sparse"):
        key = {"index_elements": 128.0} if attention == "sparse gqa" else {"index_bytes": 132.0}
        model |= {name: width * rest for name, width in key.items()} | {"decode_macs_index": 64.0 * 128.0 * rest}
    if attention in ("sparse mla", "sparse gqa", "window") and rng.random() < 0.5:
        kinds = {"full": mixed, "window": rest if attention == "window" else 0.0, "sparse": rest}
        model |= {f"scaled_{kind}_bytes": 80.0 * count for kind, count in kinds.items()}
    if attention == "sparse gqa" and rng.random() < 0.5:
        model |= {"pool_tokens_in_flight": 104.0, "pool_tokens_per_request": 6656.0}
    return model


def random_gpu(rng: random.Random) -> dict[str, float]:
    """Draw an accelerator."""
    flop, memory_bytes = spread(rng, 2e14, 2.5e15), spread(rng, 4e10, 3e11)
    return {
        "memory_bytes": memory_bytes,
        "memory_available_bytes": memory_bytes * rng.choice([1.0, 1.0, 0.85]),
        "hbm_bytes_per_s": spread(rng, 1e12, 8e12),
        "attention_flop_per_s": flop,
        "ffn_flop_per_s": flop * rng.choice([1.0, 2.0]),
        "expert_flop_per_s": flop * rng.choice([1.0, 2.0, 4.0]),
        "kv_flop_per_s": flop,
        "link_bytes_per_s": spread(rng, 3e10, 9e11),
        "scale_up_domain_gpus": float(rng.choice([4, 8, 8, 72])),
        "network_bytes_per_s": spread(rng, 1e10, 1e11),
        "gpus_per_node": float(rng.choice([4, 8])),
        "tdp_w": rng.uniform(300.0, 1400.0),
        "idle_w": rng.uniform(50.0, 150.0),
    }


def random_engine(rng: random.Random) -> dict[str, float]:
    """Draw an engine's factors."""
    return {
        "memory_efficiency": rng.uniform(0.5, 0.95),
        "compute_efficiency": rng.uniform(0.3, 0.8),
        "link_efficiency": rng.uniform(0.5, 0.9),
        "network_efficiency": rng.uniform(0.5, 0.9),
        "overlap_exponent": rng.choice([1.0, 2.0, rng.uniform(1.0, 8.0)]),
        "collective_latency_s": spread(rng, 1e-6, 2e-5),
        "network_latency_s": spread(rng, 5e-6, 5e-5),
        "expert_memory_efficiency": rng.uniform(0.3, 1.0),
        "expert_half_width": spread(rng, 1.0, 3e3),
        "cache_memory_efficiency": rng.uniform(0.5, 1.0),
        "attention_compute_efficiency": rng.uniform(0.2, 0.8),
        "layer_equivalents": rng.uniform(20.0, 200.0),
        "layer_overhead_s": spread(rng, 1e-6, 2e-5),
        "step_overhead_s": spread(rng, 1e-4, 5e-3),
        "sequence_overhead_s": spread(rng, 1e-7, 2e-5),
        "request_overhead_s": rng.uniform(0.0, 0.05),
        "prompt_overhead_s": rng.uniform(0.0, 0.02),
        "scheduling_steps": rng.uniform(0.0, 3.0),
        "prefill_first": float(rng.random() < 0.5),
        "expert_imbalance": rng.uniform(1.0, 1.5),
        "memory_utilization": rng.uniform(0.85, 0.95),
        "runtime_reserve_bytes": rng.uniform(5e8, 3e9),
        "activation_bytes_factor": rng.uniform(2.0, 12.0),
        "collective_bytes": rng.uniform(0.0, 2e9),
        "sampler_bytes_per_logit": rng.choice([0.0, 15.0, 40.0]),
        "encoder_reserve_bytes": rng.uniform(0.0, 2e9),
        "left_free_bytes": rng.choice([0.0, 1e9]),
        "left_free_bytes_per_batched_token": rng.choice([0.0, 1e5]),
        "left_free_bytes_per_gpu": rng.choice([0.0, 1e8]),
        "weight_memory_share": rng.choice([1.0, 0.9]),
        "activation_memory_share": rng.choice([1.0, 0.0]),
        "other_memory_share": rng.choice([1.0, 0.9]),
        "steps_in_flight": rng.choice([0.0, 1.0, 2.0]),
        "kv_overflow_z": rng.choice([0.0, 1.645, 2.326]),
        "max_running_sequences": float(rng.choice([32, 128, 256, 1024])),
        "max_batched_tokens": float(rng.choice([1024, 2048, 8192, 16384])),
    }


def random_workload(rng: random.Random) -> list[dict[str, float]]:
    """Draw a workload of one to three components."""
    components = rng.choice([1, 1, 2, 3])
    shares = [rng.uniform(0.2, 1.0) for _ in range(components)]
    samples, turns = rng.choice([1, 1, 1, 4]), rng.choice([1, 1, 1, 5])
    shared = rng.choice([0.0, 0.0, 50.0, 100.0])
    return [
        {
            "share": share / sum(shares),
            "input_tokens_mean": spread(rng, 100.0, 8000.0),
            "input_tokens_cv": rng.choice([0.0, rng.uniform(0.1, 1.5)]),
            "answer_tokens_mean": spread(rng, 30.0, 1000.0),
            "reasoning_multiplier": rng.choice([1.0, rng.uniform(1.5, 12.0)]),
            "generated_tokens_cv": rng.choice([0.0, rng.uniform(0.1, 1.2)]),
            "answer_tokens_cv": rng.choice([0.0, rng.uniform(0.1, 1.2)]),
            "thinking_tokens_cv": rng.choice([0.0, rng.uniform(0.1, 1.2)]),
            "cached_share": rng.choice([0.0, rng.uniform(0.1, 0.9)]),
            "samples_per_answer": float(samples if rng.random() < 0.5 else rng.choice([1, 1, 2, 8])),
            "turns_per_answer": float(turns if rng.random() < 0.5 else rng.choice([1, 1, 3])),
            "max_tokens": float(rng.choice([1024, 8192, 32768, 131072])),
            "shared_tokens": shared,
        }
        for share in shares
    ]


def random_slo(rng: random.Random) -> dict[str, float]:
    """Draw limits; about half the cases have few."""
    often = rng.choice([0.0, 0.2, 0.5])
    low = {"ttft": 0.5, "tpot": 0.03, "time_to_answer": 10.0, "e2e": 30.0}
    slo = {}
    for name, least in low.items():
        for factor, p in ((1.0, "p50"), (2.0, "p95"), (3.0, "p99")):
            slo[f"{name}_{p}_s"] = spread(rng, least, 30.0 * least) * factor if rng.random() < often else math.nan
    return slo


def random_case(seed: int) -> Case:
    """Draw one case."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    layout, gpu = random_layout(rng), random_gpu(rng)
    model = random_model(rng, layout, gpu["memory_bytes"])
    if model["experts"] > 1.0 and rng.random() < 0.6:
        layout["expert_parallel"] = layout["tensor_parallel"] * layout["data_parallel"]
    nodes = rng.random() < 0.5
    return {
        "model": model,
        "gpu": gpu,
        "engine": random_engine(rng),
        "layout": layout,
        "workload": random_workload(rng),
        "demand": {
            "answers_per_s": spread(rng, 1e-5, 100.0),
            "peak_to_mean": rng.uniform(1.0, 4.0),
            "burst": rng.uniform(1.0, 1.5),
        },
        "slo": random_slo(rng),
        "fleet": {
            "headroom": rng.choice([0.0, rng.uniform(0.1, 0.4)]),
            "availability": rng.choice([0.9, 0.99, 0.999]),
            "repair_hours": rng.uniform(1.0, 72.0),
            "failures_per_gpu_hour": rng.choice([0.0, spread(rng, 1e-6, 2e-4)]),
            "max_gpus": rng.choice([math.nan, math.nan, spread(rng, 8.0, 10000.0)]),
            "bills_mean": float(rng.random() < 0.3),
        },
        "offer": {
            "usd_per_gpu_hour": rng.choice([math.nan, rng.uniform(1.0, 12.0), rng.uniform(1.0, 12.0)]),
            "gpus_per_instance": gpu["gpus_per_node"] if nodes else 1.0,
            "sells_nodes": float(nodes),
            "extra_share": rng.choice([0.0, rng.uniform(0.0, 0.3)]),
        },
        "energy": {
            "busy_power_base": rng.uniform(0.1, 0.3),
            "busy_power_memory": rng.uniform(0.3, 0.7),
            "busy_power_compute": rng.uniform(0.3, 1.5),
            "busy_power_top": rng.uniform(0.7, 1.0),
            "node_power_overhead": rng.uniform(1.1, 1.5),
            "pue": rng.uniform(1.05, 1.6),
            "gco2e_per_kwh": rng.uniform(20.0, 700.0),
        },
        "quality": {"accuracy": rng.choice([math.nan, rng.uniform(0.3, 0.95)])},
        "curve": {"relative_rate": random_curve(rng)},
    }


def random_curve(rng: random.Random) -> list[float]:
    """Draw the rates of some hours over their mean."""
    rates = [rng.uniform(0.1, 2.0) for _ in range(rng.choice([1, 6, 24]))]
    return [rate * len(rates) / sum(rates) for rate in rates]


def columns_of(case: Case) -> Cases:
    """Return the planner's columns of one case."""
    groups = {
        name: kind(**{k: np.asarray(v, dtype=np.float64) for k, v in case[name].items()})
        for name, kind in GROUPS.items()
    }
    names = case["workload"][0]
    workload = {k: np.asarray([component[k] for component in case["workload"]], dtype=np.float64) for k in names}
    if "prefill_layout" in case:
        sizes = {k: np.asarray(v) for k, v in case["prefill_layout"].items()}
        groups["prefill_layout"] = columns.LayoutColumns(**sizes)
    if "pauses" in case:
        groups["pauses"] = columns.PauseColumns(**{k: np.asarray(v) for k, v in case["pauses"].items()})
    curve = columns.CurveColumns(np.asarray(case["curve"]["relative_rate"]))
    return Cases(workload=columns.WorkloadColumns(**workload), curve=curve, **groups)


def pools_case(seed: int) -> Case:
    """Draw one case with two pools: a reader's layout is the writer's, wider or narrower."""
    rng, case = random.Random(seed), random_case(seed)  # noqa: S311 - nothing secret is drawn
    layout = case["layout"] | {"draft_tokens": 0.0, "acceptance": 0.0}
    layout["tensor_parallel"] *= rng.choice([1.0, 1.0, 2.0])
    layout["data_parallel"] *= rng.choice([1.0, 1.0, 2.0])
    if layout["expert_parallel"] > 1.0:
        layout["expert_parallel"] = layout["tensor_parallel"] * layout["data_parallel"]
    return case | {"prefill_layout": layout}


def paused_case(seed: int) -> Case:
    """Draw one case with tools that take time, while which more or less cache is held."""
    rng, case = random.Random(seed), random_case(seed)  # noqa: S311 - nothing secret is drawn
    pause = spread(rng, 0.1, 1000.0)
    held = {"held_pause_s": pause * rng.choice([0.0, 0.5, 1.0, 1.0]), "held_tokens": spread(rng, 100.0, 50000.0)}
    return case | {"pauses": {"pause_s": pause, **held}}


def differences(case: Case, tolerance: float = 1e-9) -> dict[str, tuple[float, float]]:
    """Return {field: (planner's, second's)} where the two differ."""
    ours = estimate(columns_of(case))
    theirs = second_pools.estimate(second, case) if "prefill_layout" in case else second.estimate(case)
    found = {}
    for name, value in theirs.items():
        got = float(getattr(ours, name))
        if not (math.isnan(got) and math.isnan(value)) and not math.isclose(
            got, value, rel_tol=tolerance, abs_tol=1e-12
        ):
            found[name] = (got, value)
    return found


@pytest.mark.parametrize("seed", range(CASES))
def test_a_case_agrees(seed: int) -> None:
    """Every number of a random case is that of the formulas on the method page, to 1e-9."""
    found = differences(random_case(seed))
    text = [
        f"{name}: planner {a!r}, page {b!r}, ratio - 1 = {a / b - 1 if b else a:.2g}" for name, (a, b) in found.items()
    ]
    assert not found, "\n".join(text)


@pytest.mark.parametrize("seed", range(POOLS_CASES))
def test_a_case_with_two_pools_agrees(seed: int) -> None:
    """Every number of a random case with two pools is that of the method page, to 1e-6: a load is looked for."""
    found = differences(pools_case(seed), 1e-6)
    text = [f"{name}: planner {a!r}, page {b!r}" for name, (a, b) in found.items()]
    assert not found, "\n".join(text)


@pytest.mark.parametrize("seed", range(PAUSES_CASES))
def test_a_case_with_pauses_agrees(seed: int) -> None:
    """Every number of a random case with tools that take time is that of the method page, to 1e-9."""
    found = differences(paused_case(seed))
    text = [f"{name}: planner {a!r}, page {b!r}" for name, (a, b) in found.items()]
    assert not found, "\n".join(text)


def test_the_cases_are_of_all_kinds() -> None:
    """Most of the drawn cases fit and meet their SLO, some do not: the comparison is not of missing numbers."""
    found = [second.estimate(random_case(seed)) for seed in range(CASES)]
    fit, met = sum(e["fits"] for e in found), sum(e["meets_slo"] for e in found)
    served = sum(not math.isnan(e["gpus"]) for e in found)
    assert CASES / 2 < met < served < fit < CASES


def test_every_field_is_compared() -> None:
    """The second implementation gives every field of the planner's estimate but `limit`, which the page leaves open."""
    names = {field.name for field in dataclasses.fields(Estimate)}
    assert names - set(second.FIELDS.split()) == {"limit"}
