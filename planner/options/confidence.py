"""Which parts of a case lie outside the fitted data, and the prediction error measured on such cases."""

import math
from collections.abc import Sequence

from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.options.candidates import Layout
from planner.options.engine_factors import FITTED_VENDOR

METRICS = ("ttft", "tpot", "throughput")
FAR = ("architecture", "gpu", "maker", "layout", "pools")
"""Parts that no measured run is close to: with one of them, an answer rests on data sheets."""
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
    """Return which parts of a case lie outside the fitted data of an engine, as fields of EngineErrors.

    Parameters
    ----------
    lengths : mean input and output tokens; None to leave lengths out.
    layout : of a replica, None to leave it out; data-parallel ranks count as outside, since few runs have them.
    pools : whether the run has a prefill pool.
    """
    seen = engine.fitted_on
    if seen is None:
        return ()
    found = []
    if model.id not in seen.models:
        found.append("model" if model.architecture in seen.architectures else "architecture")
    if gpu.id not in seen.gpus:
        found.append("gpu" if gpu.vendor == FITTED_VENDOR else "maker")
    if layout and (layout.data > 1 or layout.gpus > seen.replica_gpus):
        found.append("layout")
    ranges = (seen.input_tokens, seen.output_tokens)
    beyond = not all(low <= value <= high for value, (low, high) in zip(lengths or (), ranges, strict=False))
    found += ["lengths"] if beyond else []
    return (*found, "pools") if pools else tuple(found)


def error_bounds(engine: EngineSpec, kinds: Sequence[str]) -> Bounds | None:
    """Return metric -> (p10, p90) of measured over predicted; None where an engine has no recorded errors.

    Errors of several kinds combine: on each side, the squares of the logarithms beyond the known errors add up. A side
    beyond 1 (a bias larger than the spread) counts with its sign.
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
    """Return an upper bound widened by the others that are higher, adding squares of logarithms with their signs."""

    def square(bound: float) -> float:
        return math.log(bound) * abs(math.log(bound))

    whole = square(known) + sum(max(square(other) - square(known), 0.0) for other in others)
    return math.exp(math.copysign(math.sqrt(abs(whole)), whole))
