"""One case of round numbers, so that a test can do its arithmetic in the open."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.columns import (
    DemandColumns,
    EnergyColumns,
    EngineColumns,
    FleetColumns,
    GpuColumns,
    LayoutColumns,
    OfferColumns,
    QualityColumns,
    SloColumns,
    WorkloadColumns,
)
from planner.serving.model_columns import ModelColumns

NONE = float("nan")
ENDLESS = float("inf")

MODEL = {
    "hidden_size": 1000, "layers": 10, "moe_layers": 0, "attention_parameters": 1e9, "ffn_parameters": 2e9,
    "expert_parameters": 0, "embedding_parameters": 1e8, "head_parameters": 1e8, "head_is_tied": 0, "experts": 1,
    "experts_per_token": 1, "expert_width": 1, "attention_weight_bytes": 2, "ffn_weight_bytes": 1,
    "expert_weight_bytes": 1, "embedding_weight_bytes": 2, "kv_heads": 4, "kv_full_elements": 1e4,
    "kv_window_elements": 0, "kv_sparse_elements": 0, "latent_full_elements": 0, "latent_sparse_elements": 0,
    "index_elements": 0, "window_tokens": ENDLESS, "sparse_top_k": ENDLESS, "state_heads": 1, "state_bytes": 0,
    "decode_macs_full": 1e5, "decode_macs_window": 0, "decode_macs_sparse": 0, "decode_macs_index": 0,
    "prefill_macs_full": 1e5, "prefill_macs_window": 0, "prefill_macs_sparse": 0, "max_context_tokens": 1e5,
    "vocab_size": 1e5, "kv_parameters": 0, "replicated_parameters": 0, "encoder_parameters": 0, "expert_padding": 1,
    "block_width": 0, "index_bytes": 0, "scaled_full_bytes": 0, "scaled_window_bytes": 0, "scaled_sparse_bytes": 0,
    "pool_tokens_in_flight": 0, "pool_tokens_per_request": 0,
}  # fmt: skip
GPU = {
    "memory_bytes": 8e10, "memory_available_bytes": 8e10,
    "hbm_bytes_per_s": 1e12, "attention_flop_per_s": 1e14, "ffn_flop_per_s": 2e14,
    "expert_flop_per_s": 2e14, "kv_flop_per_s": 1e14, "link_bytes_per_s": 1e11, "scale_up_domain_gpus": 8,
    "network_bytes_per_s": 1e10, "gpus_per_node": 8, "tdp_w": 700, "idle_w": 100,
}  # fmt: skip
ENGINE = {
    "memory_efficiency": 1, "compute_efficiency": 1, "expert_memory_efficiency": 1, "expert_half_width": 0,
    "cache_memory_efficiency": 1, "attention_compute_efficiency": 1, "link_efficiency": 1, "network_efficiency": 1,
    "overlap_exponent": 1, "collective_latency_s": 0, "network_latency_s": 0, "layer_overhead_s": 0,
    "step_overhead_s": 0, "sequence_overhead_s": 0, "request_overhead_s": 0, "prompt_overhead_s": 0,
    "scheduling_steps": 0, "prefill_first": 0, "expert_imbalance": 1, "memory_utilization": 1,
    "runtime_reserve_bytes": 0, "activation_bytes_factor": 0, "kv_overflow_z": 0, "max_running_sequences": 1e9,
    "max_batched_tokens": 8000, "layer_equivalents": 10, "collective_bytes": 0, "sampler_bytes_per_logit": 0,
    "encoder_reserve_bytes": 0, "left_free_bytes": 0, "left_free_bytes_per_batched_token": 0,
    "left_free_bytes_per_gpu": 0, "weight_memory_share": 1, "activation_memory_share": 1, "other_memory_share": 1,
    "steps_in_flight": 0,
}  # fmt: skip
LAYOUT = {
    "tensor_parallel": 1, "pipeline_parallel": 1, "data_parallel": 1, "expert_parallel": 1, "kv_bytes": 2,
    "draft_tokens": 0, "acceptance": 0.5,
}  # fmt: skip
WORKLOAD = {
    "share": 1, "input_tokens_mean": 1000, "input_tokens_cv": 0, "answer_tokens_mean": 101, "reasoning_multiplier": 1,
    "generated_tokens_cv": 0, "answer_tokens_cv": 0, "thinking_tokens_cv": 0, "cached_share": 0,
    "samples_per_answer": 1, "turns_per_answer": 1, "max_tokens": 1e9, "shared_tokens": 0,
}  # fmt: skip
DEMAND = {"answers_per_s": 1, "peak_to_mean": 1, "burst": 1}
SLO = dict.fromkeys(
    (f"{metric}_{p}_s" for metric in ("ttft", "tpot", "time_to_answer", "e2e") for p in ("p50", "p95", "p99")), NONE
)
FLEET = {
    "headroom": 0, "availability": 0.5, "repair_hours": 1, "failures_per_gpu_hour": 0, "max_gpus": NONE,
    "bills_mean": 0,
}  # fmt: skip
OFFER = {"usd_per_gpu_hour": 2, "gpus_per_instance": 1, "sells_nodes": 0, "extra_share": 0}
ENERGY = {
    "busy_power_base": 0.5, "busy_power_memory": 0.3, "busy_power_compute": 0.4, "busy_power_top": 1,
    "node_power_overhead": 1.5, "pue": 1.2, "gco2e_per_kwh": 400,
}  # fmt: skip
GROUPS: dict[str, tuple[Any, dict[str, float]]] = {
    "model": (ModelColumns, MODEL),
    "gpu": (GpuColumns, GPU),
    "engine": (EngineColumns, ENGINE),
    "layout": (LayoutColumns, LAYOUT),
    "workload": (WorkloadColumns, WORKLOAD),
    "demand": (DemandColumns, DEMAND),
    "slo": (SloColumns, SLO),
    "fleet": (FleetColumns, FLEET),
    "offer": (OfferColumns, OFFER),
    "energy": (EnergyColumns, ENERGY),
    "quality": (QualityColumns, {"accuracy": 0.5}),
}


def build(**changes: Any) -> Cases:
    """Return a case of shape () with some columns changed: `build(layout__tensor_parallel=2)`.

    A change of a workload column is a number, or an array whose last axis is the components.
    """
    groups = {
        name: kind(**{c: np.full(1 if name == "workload" else (), float(v)) for c, v in columns.items()})
        for name, (kind, columns) in GROUPS.items()
    }
    numbers = {path: np.atleast_1d(v) if path.startswith("workload__") else v for path, v in changes.items()}
    return Cases(**groups).replaced(**numbers)


@pytest.fixture(scope="session")
def case() -> Callable[..., Cases]:
    """Return the builder of cases: a dense model of 3.2e9 weights on one GPU of 80 GB and 1 TB/s, every share 1."""
    return build


@pytest.fixture
def float_errors_ignored() -> Iterator[None]:
    """Run a test as `estimate` runs the formulas: a case that cannot work becomes NaN without a warning."""
    with ignoring_float_errors():
        yield
