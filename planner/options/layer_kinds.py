"""Fixed time of layers: each kind of layer adds a share of a plain layer's fixed time, given by an engine's factors."""

from collections.abc import Mapping

from planner.catalog.hardware import EngineFactors, FormatSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.options.candidates import Precision

LAYER_KINDS = (
    "moe_overhead",
    "shared_expert_overhead",
    "mla_overhead",
    "sparse_overhead",
    "linear_overhead",
    "fp8_block_overhead",
    "fp4_overhead",
)
"""Engine factors, each for one kind of layer."""


def layer_kinds(model: ModelSpec, precision: Precision, gpu: GpuSpec) -> dict[str, float]:
    """Return the number of layers of each of LAYER_KINDS; a mixer and a block count as half a layer each.

    Activations are quantised in blocks only where the GPU multiplies in the format; elsewhere weights are widened.
    """
    moe = [g for g in model.ffn if g.experts]
    dense = sum(g.layers for g in model.ffn if not g.experts)
    mixers = float(sum(g.layers for g in model.attention))
    narrowed: dict[str, float] = {"fp8": 0.0, "fp4": 0.0}
    for fmt, layers in (
        (precision.attention, mixers),
        (precision.ffn, dense),
        (precision.experts, sum(g.layers for g in moe)),
    ):
        if scaled_in_blocks(fmt, gpu):
            narrowed[fmt.compute] += 0.5 * layers
    return {
        "moe_overhead": float(sum(g.layers for g in moe)),
        "shared_expert_overhead": float(sum(g.layers for g in moe if g.shared_experts)),
        "mla_overhead": float(sum(g.layers for g in model.attention if g.kind == "mla")),
        "sparse_overhead": float(sum(g.layers for g in model.attention if g.index_head_dim)),
        "linear_overhead": float(sum(g.layers for g in model.attention if g.kind == "linear")),
        "fp8_block_overhead": narrowed["fp8"],
        "fp4_overhead": narrowed["fp4"],
    }


def scaled_in_blocks(fmt: FormatSpec, gpu: GpuSpec) -> bool:
    """Return whether products in a format quantise their activations block by block on a GPU."""
    return fmt.activation_scales == "blocks" and getattr(gpu.dense_flop_per_s, fmt.compute) is not None


def layer_equivalents(layers: float, kinds: Mapping[str, float], factors: EngineFactors) -> float:
    """Return the layers in units of a plain layer's fixed time: layers + sum over the kinds of count x share."""
    return layers + sum(count * float(getattr(factors, name)) for name, count in kinds.items())
