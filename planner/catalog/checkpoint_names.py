"""What the name of a checkpoint says about its weights: Qwen3-32B-FP8 is Qwen3-32B with weights of 8 bits."""

import re

from planner.catalog.model import ModelSpec, WeightFormats

_EIGHT_BIT = {"fp8", "fp8-block"}
_FORMATS = {
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "mxfp4": "mxfp4",
    "awq": "int4",
    "gptq": "int4",
    "int4": "int4",
    "w4a16": "int4",
    "int8": "int8",
    "w8a8": "int8",
    "w8a16": "w8a16",
    "4bit": "int4-g32",
    "8bit": "w8a16",
    "bf16": "bf16",
    "fp16": "bf16",
}
"""Words in the names of checkpoints -> number formats; MLX means its groups of 64 by 4bit."""
_AT_THE_END = re.compile(rf"([-_. ]({'|'.join(_FORMATS)}|bnb|quantized|block|dynamic|static))+$", re.IGNORECASE)
_WEIGHT_ONLY = {"gptq", "awq"}
_OF_EXPERTS = {"nvfp4", "mxfp4"}
"""Formats in which makers quantise the blocks of a mixture of experts and leave its attention as it was."""


def named_format(name: str) -> str | None:
    """Return the number format that a checkpoint's name says, None without one.

    >>> [named_format(n) for n in ("Qwen/Qwen3-32B-FP8", "Qwen2.5-7B-Instruct-GPTQ-Int8", "Qwen3-32B")]
    ['fp8', 'w8a16', None]
    """
    words = re.split(r"[-_./ ]+", name.lower())
    found = next((word for word in reversed(words) if word in _FORMATS), None)
    if found is None:
        return None
    if found == "int8" and _WEIGHT_ONLY.intersection(words):
        return "w8a16"
    return "nf4" if found == "4bit" and "bnb" in words else _FORMATS[found]


def without_format(name: str) -> str:
    """Return a checkpoint's name without the words at its end that say its number format.

    >>> without_format("Llama-3.3-70B-Instruct-FP8-dynamic"), without_format("gemma-4-26B-A4B-it")
    ('Llama-3.3-70B-Instruct', 'gemma-4-26B-A4B-it')
    """
    return _AT_THE_END.sub("", name)


def with_named_format(model: ModelSpec, name: str) -> ModelSpec:
    """Return a model with weights in the format that a name says; as it is where the name says none or its own.

    Notes
    -----
    Attention of a mixture of experts stays as published in FP4. Scales of FP8 are those of the published checkpoint.
    """
    fmt, own = named_format(name), model.weights
    published = own.experts or own.ffn
    if fmt is None or fmt == published or {fmt, published} == _EIGHT_BIT:
        return model
    routed = any(group.experts for group in model.ffn)
    attention = own.attention if routed and fmt in _OF_EXPERTS else fmt
    weights = WeightFormats(attention=attention, ffn=fmt, experts=fmt if routed else None, embedding=own.embedding)
    return model.model_copy(update={"weights": weights})
