"""A checkpoint's name says the format of its weights."""

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.checkpoint_names import named_format
from planner.catalog.model import ModelSpec


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8"),
        ("nvidia/Llama-3.1-8B-Instruct-NVFP4", "nvfp4"),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "int4"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "int4"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8", "w8a16"),
        ("RedHatAI/Llama-3.1-8B-Instruct-quantized.w8a8", "int8"),
        ("unsloth/Llama-3.1-8B-Instruct-bnb-4bit", "nf4"),
        ("mlx-community/Qwen3-8B-4bit", "int4-g32"),
        ("amd/Llama-3.3-70B-Instruct-MXFP4", "mxfp4"),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
    ],
)
def test_formats_in_names(name: str, expected: str | None) -> None:
    """Each maker's way to say the format, and none; every one is in the catalogue."""
    assert named_format(name) == expected
    assert expected is None or Catalog().format(expected)


@pytest.mark.parametrize(
    ("name", "model", "formats"),
    [
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b", ("fp8", "fp8", None)),
        ("Qwen3-32B-AWQ", "qwen3-32b", ("int4", "int4", None)),
        ("nvidia/DeepSeek-R1-0528-NVFP4", "deepseek-r1-0528", ("fp8-block", "nvfp4", "nvfp4")),
        ("deepseek-ai/DeepSeek-R1-FP8", "deepseek-r1", ("fp8-block", "fp8-block", "fp8-block")),
        ("google/gemma-4-26B-A4B-it", "gemma-4-26b-a4b", ("bf16", "bf16", "bf16")),
        ("google/gemma-4-26B-A4B-it-FP8", "gemma-4-26b-a4b", ("fp8", "fp8", "fp8")),
        ("RedHatAI/Qwen3-32B-quantized.w4a16", "qwen3-32b", ("int4", "int4", None)),
        ("mlx-community/Qwen3-8B-4bit", "qwen3-8b", ("int4-g32", "int4-g32", None)),
        ("Llama-3.1-8B-Instruct-GPTQ-Int4", "llama-3.1-8b", ("int4", "int4", None)),
    ],
)
def test_a_suffix_sets_the_weights(name: str, model: str, formats: tuple[str | None, ...]) -> None:
    """The model is the one without the suffix; FP4 of a mixture of experts leaves attention as published."""
    found = Catalog().find(ModelSpec, name)
    spec = found.loaded.spec
    assert spec.id == model
    assert (spec.weights.attention, spec.weights.ffn, spec.weights.experts) == formats
    assert found.note == f"{name} resolved to {model}"
