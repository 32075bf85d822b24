"""Other makers' GPUs: the same card of another maker is slower by the measured share, and differs in nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineFactors, EngineSpec, GpuSpec
from planner.loadtest.predict import predict
from planner.options.engine_factors import at_speed, vendor_speed

HARDWARE = Path(__file__).resolve().parents[2] / "hardware"
SPEED = 0.5
ROW = {"model": "llama-3.1-70b", "input_tokens": "1000", "output_tokens": "500", "tensor_parallel": "2"}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalogue with an MI300X as if NVIDIA made it, and a vLLM of half the speed on other makers' cards."""
    for folder in ("gpus", "engines"):
        (tmp_path / "hardware" / folder).mkdir(parents=True)
    gpu = yaml.safe_load((HARDWARE / "gpus" / "mi300x.yaml").read_text(encoding="utf-8"))
    reserved = Catalog().assumptions.spec.driver_reserved_bytes  # NVIDIA's driver keeps some of the total
    gpu["memory_usable_bytes"]["value"] += reserved
    gpu |= {"id": "twin", "name": "Twin of an MI300X", "vendor": "nvidia", "aliases": [], "nvml_names": []}
    engine = yaml.safe_load((HARDWARE / "engines" / "vllm.yaml").read_text(encoding="utf-8"))
    engine["factors"]["other_makers_speed"] = {"value": SPEED, "source": "mlperf-amd"}
    (tmp_path / "hardware" / "gpus" / "twin.yaml").write_text(yaml.safe_dump(gpu), encoding="utf-8")
    (tmp_path / "hardware" / "engines" / "vllm.yaml").write_text(yaml.safe_dump(engine), encoding="utf-8")
    return Catalog([tmp_path])


def both(catalog: Catalog, **changes: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the prediction on the MI300X and on its twin."""
    amd, twin = predict([ROW | {"gpu": gpu} | changes for gpu in ("mi300x", "twin")], catalog)
    return amd, twin


def slower(catalog: Catalog, twin: dict[str, Any]) -> float:
    """Return the twin's time per token at half the speed: all of it twice as long but the host's part."""
    factors = catalog.get(EngineSpec, "vllm").spec.factors
    host = factors.step_overhead_s + twin["running_batch"] * factors.sequence_overhead_s
    return float((twin["tpot_mean_s"] - host) / SPEED + host)


@pytest.mark.parametrize("concurrency", ["1", "64"])
def test_decode_takes_one_over_the_speed(catalog: Catalog, concurrency: str) -> None:
    """At half the speed the GPU takes twice as long: reading weights and cache, products, links and launches alike."""
    amd, twin = both(catalog, concurrency=concurrency)
    if concurrency == "1":
        assert twin["tpot_mean_s"] > 70.6e9 / 2 * 2 / 5.3e12  # 16-bit weights on two cards of 5.3 TB/s: memory-bound
        assert amd["tpot_mean_s"] == pytest.approx(slower(catalog, twin), rel=1e-3)
    assert amd["tpot_mean_s"] == pytest.approx(slower(catalog, twin), rel=0.05)


def test_the_host_is_no_slower(catalog: Catalog) -> None:
    """HTTP, tokenizing and scheduling are a CPU's: the first token takes less than twice as long, by their time."""
    amd, twin = both(catalog, concurrency="1")
    factors = catalog.get(EngineSpec, "vllm").spec.factors
    host = factors.request_overhead_s + factors.prompt_overhead_s
    assert amd["ttft_p50_s"] - host == pytest.approx((twin["ttft_p50_s"] - host) / SPEED, rel=1e-2)


def test_memory_is_memory(catalog: Catalog) -> None:
    """As many sequences find room on either: at maximum load the batches are the same."""
    amd, twin = both(catalog)
    assert amd["running_batch"] == twin["running_batch"]
    share = twin["tpot_mean_s"] / slower(catalog, twin)
    assert amd["output_tokens_per_s"] == pytest.approx(twin["output_tokens_per_s"] * share, rel=1e-2)


def test_only_makers_that_were_not_fitted_are_slowed(catalog: Catalog) -> None:
    """NVIDIA's cards run at the factors as they are."""
    factors = catalog.get(EngineSpec, "vllm").spec.factors
    speeds = {
        name: vendor_speed(factors, catalog.get(GpuSpec, name).spec)
        for name in ("h100-sxm", "twin", "mi300x", "gaudi3")
    }
    assert speeds == {"h100-sxm": 1.0, "twin": 1.0, "mi300x": SPEED, "gaudi3": SPEED}


def test_each_factor_is_a_rate_a_time_on_the_gpu_or_neither() -> None:
    """Rates shrink, times grow; shares of a layer, memory, host and settings stay. A new factor must be placed here."""
    rates = {"memory_efficiency", "compute_efficiency", "expert_memory_efficiency", "cache_memory_efficiency",
             "attention_compute_efficiency", "link_efficiency", "network_efficiency"}  # fmt: skip
    times = {"collective_latency_s", "network_latency_s", "layer_overhead_s"}
    stay = {
        "step_overhead_s", "sequence_overhead_s", "request_overhead_s", "prompt_overhead_s", "scheduling_steps",
        "expert_half_width", "overlap_exponent", "moe_overhead", "shared_expert_overhead", "mla_overhead",
        "sparse_overhead", "linear_overhead", "fp8_block_overhead", "fp4_overhead", "prefill_first", "expert_imbalance",
        "other_makers_speed", "memory_utilization", "runtime_reserve_bytes", "activation_bytes_factor", "kv_overflow_z",
        "limits", "memory_share_of", "collective_bytes", "sampler_bytes_per_logit", "encoder_reserve_bytes",
        "left_free_bytes", "left_free_bytes_per_batched_token", "left_free_bytes_per_gpu",
    }  # fmt: skip
    assert set(EngineFactors.model_fields) == rates | times | stay
    assert {at_speed(name, 1.0, SPEED) for name in rates} == {0.5}
    assert {at_speed(name, 1.0, SPEED) for name in times} == {2.0}
    assert {at_speed(name, 1.0, SPEED) for name in stay} == {1.0}
