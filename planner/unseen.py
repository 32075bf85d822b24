"""What of a case the fit of an engine's factors has not seen, and how far predictions were off on the like of it."""

import math
from collections.abc import Sequence

from planner.cases.maker import FITTED_MAKER
from planner.specs.hardware import EngineSpec, ErrorRanges, GpuSpec
from planner.specs.model import ModelSpec

METRICS = ("ttft", "tpot", "throughput")
FAR = ("architecture", "gpu", "maker", "pools")
"""What makes an answer rest on data sheets: no run of the kind was measured."""
Bounds = dict[str, tuple[float, float]]


def unseen(
    engine: EngineSpec,
    model: ModelSpec,
    gpu: GpuSpec,
    lengths: tuple[float, float] | None = None,
    *,
    pools: bool = False,
) -> tuple[str, ...]:
    """Return what of a case the fit of an engine's factors has not seen: fields of EngineErrors.

    Parameters
    ----------
    lengths : mean input and output tokens, where they are to be looked at.
    pools : whether prompts are read by workers of their own.
    """
    seen = engine.fitted_on
    if seen is None:
        return ()
    found = []
    if model.id not in seen.models:
        found.append("model" if model.architecture in seen.architectures else "architecture")
    if gpu.id not in seen.gpus:
        found.append("gpu" if gpu.vendor == FITTED_MAKER else "maker")
    ranges = (seen.input_tokens, seen.output_tokens)
    beyond = not all(low <= value <= high for value, (low, high) in zip(lengths or (), ranges, strict=False))
    found += ["lengths"] if beyond else []
    return (*found, "pools") if pools else tuple(found)


def error_bounds(engine: EngineSpec, kinds: Sequence[str]) -> Bounds | None:
    """Return metric -> (p10, p90) of measured over predicted; None where an engine has no errors on record.

    What is unseen in several ways is off in all of them: the squares of the logarithms beyond the known errors add up.
    """
    if engine.errors is None:
        return None
    known = engine.errors.known
    found: Bounds = {}
    for metric in METRICS:
        sides = []
        for side in (0, 1):
            base = math.log(getattr(known, metric)[side])
            more = 0.0
            for kind in kinds:
                ranges: ErrorRanges | None = getattr(engine.errors, kind)
                value = math.log(getattr(ranges or known, metric)[side])
                wider = abs(value) > abs(base) and value * base >= 0.0
                more += value**2 - base**2 if wider else 0.0
            sides.append(math.exp(math.copysign(math.sqrt(base**2 + more), base)))
        found[metric] = (min(sides), max(sides))
    return found
