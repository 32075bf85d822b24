"""Layers by kind, counted by hand; what a layer costs in launches on a GPU that lacks a format."""

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.loadtest.lookups import Names
from planner.loadtest.run import cases_of, resolve
from planner.options.candidates import Precision
from planner.options.layer_kinds import LAYER_KINDS, layer_equivalents, layer_kinds

CATALOG = Catalog()
FACTORS = CATALOG.get(EngineSpec, "vllm").spec.factors


def precision(model: str, gpu: str, wanted: str = "") -> Precision:
    """Return the formats of a model as published, or as wanted."""
    row = {"model": model, "gpu": gpu, "input_tokens": "10", "output_tokens": "10", "precision": wanted}
    return resolve(row, Names(CATALOG)).precision


def kinds(model: str, gpu: str, wanted: str = "") -> dict[str, float]:
    """Return the kinds of layers that are there."""
    found = layer_kinds(
        CATALOG.get(ModelSpec, model).spec, precision(model, gpu, wanted), CATALOG.get(GpuSpec, gpu).spec
    )
    assert tuple(found) == LAYER_KINDS
    return {name: count for name, count in found.items() if count}


def test_deepseek_on_b200() -> None:
    """61 layers of MLA, 3 dense, 58 of experts with a shared one; mixer and block in FP8 blocks are half a layer."""
    expected = {"moe_overhead": 58, "shared_expert_overhead": 58, "mla_overhead": 61, "fp8_block_overhead": 61}
    assert kinds("deepseek-v3", "b200") == expected
    assert kinds("deepseek-v3", "h100-sxm") == expected


def test_deepseek_in_four_bits_on_b200() -> None:
    """NVFP4 is narrowed in blocks where the GPU has FP4, and widened on Hopper."""
    on_b200, on_h100 = kinds("deepseek-v3", "b200", "nvfp4"), kinds("deepseek-v3", "h100-sxm", "nvfp4")
    assert on_b200["fp4_overhead"] == 61
    assert "fp8_block_overhead" not in on_b200
    assert on_h100 == {"moe_overhead": 58, "shared_expert_overhead": 58, "mla_overhead": 61}


def test_the_sparse_deepseek_has_an_indexer_in_every_layer() -> None:
    """V3.2 is V3 with an indexer beside each of its 61 mixers."""
    assert kinds("deepseek-v3.2", "b200") == kinds("deepseek-v3", "b200") | {"sparse_overhead": 61}


def test_an_a100_narrows_nothing() -> None:
    """No FP8 products on Ampere: weights in blocks are widened, nothing is scaled on the fly."""
    assert kinds("deepseek-v3", "a100-sxm-80gb") == {
        "moe_overhead": 58,
        "shared_expert_overhead": 58,
        "mla_overhead": 61,
    }


@pytest.mark.parametrize("wanted", ["fp8", "bf16", "int8", "int4", "mxfp4"])
def test_other_formats_are_not_narrowed_in_blocks(wanted: str) -> None:
    """One scale per tensor, or wider activations, take no launches of their own: a dense model is plain."""
    assert kinds("llama-3.1-8b", "b200", wanted) == {}


def test_linear_layers_are_counted_apart() -> None:
    """Qwen3.5-397B: 60 layers, every fourth of full attention, all of experts with a shared one."""
    found = kinds("qwen3.5-397b-a17b", "b200", "bf16")
    assert found == {"moe_overhead": 60, "shared_expert_overhead": 60, "linear_overhead": 45}


def test_equivalents_are_layers_and_shares() -> None:
    """61 + 58 x 0.5 + 61 x 0.25 = 105.25 plain layers."""
    shares = {"moe_overhead": 0.5, "mla_overhead": 0.25}
    factors = FACTORS.model_copy(update=dict.fromkeys(LAYER_KINDS, 0.0) | shares)
    counts = dict.fromkeys(LAYER_KINDS, 1.0) | {"moe_overhead": 58.0, "mla_overhead": 61.0}
    assert layer_equivalents(61, counts, factors) == pytest.approx(105.25)


@pytest.mark.parametrize("gpu", ["b200", "a100-sxm-80gb"])
def test_cases_hold_what_is_counted(gpu: str) -> None:
    """The column of a lowered run is the count times the engine's shares, on either GPU."""
    row = {"model": "deepseek-v3", "gpu": gpu, "input_tokens": "10", "output_tokens": "10", "tensor_parallel": "16"}
    cases = cases_of([resolve(row, Names(CATALOG))], CATALOG)
    f = FACTORS
    blocks = 61 * f.fp8_block_overhead if gpu == "b200" else 0.0
    expected = 61 + 58 * f.moe_overhead + 58 * f.shared_expert_overhead + 61 * f.mla_overhead + blocks
    assert float(cases.engine.layer_equivalents[0]) == pytest.approx(expected)
