"""What of a case the fit of an engine's factors has not seen, and how far predictions were off on the like of it."""

import math
from collections.abc import Sequence

from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.options.candidates import Layout
from planner.options.engine_factors import FITTED_MAKER

METRICS = ("ttft", "tpot", "throughput")
FAR = ("architecture", "gpu", "maker", "layout", "pools")
"""What makes an answer rest on data sheets: no run of the kind was measured."""
Bounds = dict[str, tuple[float, float]]


def unseen(
    engine: EngineSpec,
    model: ModelSpec,
    gpu: GpuSpec,
    lengths: tuple[float, float] | None = None,
    *,
    layout: Layout | None = None,
    pools: bool = False,
) -> tuple[str, ...]:
    """Return what of a case the fit of an engine's factors has not seen: fields of EngineErrors.

    Parameters
    ----------
    lengths : mean input and output tokens, where they are to be looked at.
    layout : of a replica, likewise; data-parallel ranks count as unseen, since few runs have them.
    pools : whether the run has a prefill pool.
    """
    seen = engine.fitted_on
    if seen is None:
        return ()
    found = []
    if model.id not in seen.models:
        found.append("model" if model.architecture in seen.architectures else "architecture")
    if gpu.id not in seen.gpus:
        found.append("gpu" if gpu.vendor == FITTED_MAKER else "maker")
    if layout and (layout.data > 1 or layout.gpus > seen.replica_gpus):
        found.append("layout")
    ranges = (seen.input_tokens, seen.output_tokens)
    beyond = not all(low <= value <= high for value, (low, high) in zip(lengths or (), ranges, strict=False))
    found += ["lengths"] if beyond else []
    return (*found, "pools") if pools else tuple(found)


def error_bounds(engine: EngineSpec, kinds: Sequence[str]) -> Bounds | None:
    """Return metric -> (p10, p90) of measured over predicted; None where an engine has no errors on record.

    What is unseen in several ways is off in all of them: on each side the squares of the logarithms beyond the known
    errors add up. A side that lies across 1 (a bias larger than the spread) counts with its sign.
    """
    if engine.errors is None:
        return None
    known = engine.errors.known
    ranges = [found for kind in kinds if (found := getattr(engine.errors, kind)) is not None]
    bounds: Bounds = {}
    for metric in METRICS:
        (low, high), others = getattr(known, metric), [getattr(r, metric) for r in ranges]
        wide = (1.0 / _widen_bound(1.0 / low, [1.0 / x for x, _ in others]), _widen_bound(high, [x for _, x in others]))
        bounds[metric] = wide if others else (low, high)
    return bounds


def _widen_bound(known: float, others: Sequence[float]) -> float:
    """Return an upper bound moved out by those others that are higher: squares of logarithms, with their signs."""

    def square(bound: float) -> float:
        return math.log(bound) * abs(math.log(bound))

    whole = square(known) + sum(max(square(other) - square(known), 0.0) for other in others)
    return math.exp(math.copysign(math.sqrt(abs(whole)), whole))
