"""Fit of engine factors to measured benchmark runs: the planner's own formulas, robustly, within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planner.calibration.bench import Bench, direct
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec
from planner.errors import DataMissingError
from planner.serving.normal import Array

TPOT_NOISE = 0.12
"""Relative difference of a configuration measured twice on another engine version: the unit of the residuals."""
TTFT_NOISE = 0.3
"""The same for TTFT, where the length of a run and the order of its prompts add to it."""
PRIOR = 0.5
"""How far a factor may stray before its start counts as much as one measurement: a half in logarithms is 1.6 times."""
FEW_PRIOR = 0.2
"""The least of it for what engines share, where own runs are few and start from a fit to many; see `_priors`."""
_SILENT = 0.25
"""Information of the data over that of the start below which a factor counts as not seen by the data."""
_STILL = 0.1
"""How far, in logarithms, such a factor has moved at most."""
_EVALUATIONS = 60
_SMALLEST = 1e-6


class Factor(NamedTuple):
    """An engine factor that is fitted: where it starts, its physical bounds, whether each engine has its own.

    Engines call much the same kernels on one GPU: what they share is fitted once, over all of them.
    """

    name: str
    start: float
    low: float
    high: float
    own: bool = False


FACTORS = (
    Factor("memory_efficiency", 0.85, 0.3, 0.95),
    Factor("compute_efficiency", 0.7, 0.1, 0.9),
    Factor("expert_memory_efficiency", 0.7, 0.1, 0.95),
    Factor("expert_half_width", 500.0, 1.0, 2e4),
    Factor("cache_memory_efficiency", 0.8, 0.1, 0.95),
    Factor("attention_compute_efficiency", 0.5, 0.35, 0.75),
    Factor("link_efficiency", 0.5, 0.05, 0.95),
    Factor("overlap_exponent", 1.5, 1.0, 8.0),
    Factor("collective_latency_s", 8e-6, 1e-7, 1e-4, own=True),
    Factor("layer_overhead_s", 4e-5, 1e-7, 3e-4),
    Factor("moe_overhead", 0.4, 0.02, 2.0),
    Factor("shared_expert_overhead", 0.35, 0.02, 2.0),
    Factor("mla_overhead", 0.5, 0.02, 2.0),
    Factor("sparse_overhead", 0.9, 0.02, 4.0),
    Factor("linear_overhead", 0.2, 0.02, 2.0),
    Factor("fp8_block_overhead", 0.4, 0.02, 2.0),
    Factor("fp4_overhead", 0.3, 0.02, 2.0),
    Factor("step_overhead_s", 5e-4, 1e-5, 2e-2),
    Factor("sequence_overhead_s", 1e-5, 1e-7, 3e-4),
    Factor("request_overhead_s", 0.03, 1e-3, 0.1, own=True),
    Factor("prompt_overhead_s", 3e-3, 1e-4, 0.02, own=True),
    Factor("scheduling_steps", 1.0, 0.1, 3.0),
)
"""What is fitted. The limits and memory shares of an engine are its settings, not measurements.

Bounds: the best streams reach 0.95 of a data sheet's bandwidth and the best products 0.9 of its rate; attention reaches
0.35 (FlashAttention-2 on H100) to 0.75 of it (FlashAttention-3; arXiv:2407.08608); a host that takes over 0.1 s for a
request is a queue; a request waits for the running step, the planned one and the one that shows its token.
Starts of layer kinds: their launches over the dozen of a plain layer.
"""

Starts = Mapping[str, Mapping[str, float]]
"""Engine -> factor -> where the fit starts, and what holds it where the data are silent."""


@dataclass(frozen=True)
class Fitted:
    """Fitted factors by engine."""

    values: dict[str, dict[str, float]]
    """Engine -> factor -> value."""
    silent: dict[str, tuple[str, ...]]
    """Engine -> factors about which the data say next to nothing: they stay where they started."""

    @property
    def told(self) -> list[str]:
        """Return the factors of which the data say something, on any engine."""
        return [f.name for f in FACTORS if any(f.name not in silent for silent in self.silent.values())]

    def columns(self, bench: Bench) -> dict[str, Array]:
        """Return the factors of each run; an engine that was not fitted takes the geometric mean of the others."""
        engines = bench.labels("engine")
        found = {}
        for factor in FACTORS:
            own = {engine: values[factor.name] for engine, values in self.values.items()}
            others = float(np.exp(np.mean(np.log(list(own.values())))))
            found[factor.name] = np.asarray([own.get(engine, others) for engine in engines])
        return found


def starts_of(catalog: Catalog, engines: list[str]) -> dict[str, dict[str, float]]:
    """Return the factors that the catalogue gives engines: where a fit to a few runs of one's own starts."""
    found = {}
    for engine in dict.fromkeys(engines):
        factors = catalog.get(EngineSpec, engine).spec.factors
        found[engine] = {f.name: float(getattr(factors, f.name)) for f in FACTORS}
    return found


def _priors(factors: list[Factor], runs: int) -> Array:
    """Return how far factors may stray from a fit to many, by how many runs are to move them.

    A few runs of one layout bend what engines share, kernels and launches, to that layout alone, and its other layouts
    pay (benchmarks/own_runs.py). Leaving a model out moves the kernels of the fit by up to 0.2; what an engine has of
    its own, the host's times, by 0.2 to 1.7. As many runs as factors may move everything.
    """
    shared = np.clip(PRIOR * runs / len(FACTORS), FEW_PRIOR, PRIOR)
    return np.asarray([PRIOR if factor.own else shared for factor in factors])


def fit(bench: Bench, starts: Starts | None = None) -> Fitted:
    """Return the engine factors with which the planner's own formulas best reproduce the measured TPOT and TTFT.

    Model: `direct` predicts each run from x, the logarithms of the factors. Residuals of a run are
    ln(predicted TPOT / measured TPOT) / 0.12 and ln(predicted TTFT / measured TTFT) / 0.3, where 0.12 and 0.3 are
    the relative scatter of repeated measurements (TPOT_NOISE, TTFT_NOISE); a time that was not measured or cannot
    be predicted counts 0. Each factor adds the residual (x - start) / prior, which keeps it where the data are
    silent. Loss: half the sum of soft-L1, 2 (sqrt(1 + r^2) - 1), over all residuals r: quadratic near 0, linear for
    outliers. Bounds: those of FACTORS. Throughput is not fitted; it follows from the other two.

    Parameters
    ----------
    bench : measured runs in a closed loop; times in seconds, shape (runs,).
    starts : engine -> factor -> where the fit starts, in the factor's unit, e.g. factors that were fitted before.
        With fewer runs than factors the factors that engines share may then move less (`_priors`). None: the
        starts of FACTORS for every engine, with the full prior.

    Returns
    -------
    Fitted : engine -> factor -> value, in the units of an engine file (efficiencies as shares, times in seconds,
        overheads of layer kinds as shares of layer_overhead_s), and the factors on which there are no data.

    Raises
    ------
    DataMissingError : scipy is not installed.

    Notes
    -----
    Solver: scipy.optimize.least_squares, trust region reflective, at most 60 evaluations of the model; Branch,
    Coleman and Li (1999), SIAM J. Sci. Comput. 21:1-23. Loss: Triggs et al. (2000), Bundle adjustment.
    """
    try:
        from scipy.optimize import least_squares  # noqa: PLC0415 - an extra
    except ImportError:
        raise DataMissingError("fitting needs scipy: pip install 'inference-planner[calibrate]'") from None
    engines = tuple(dict.fromkeys(bench.labels("engine")))
    slots = [(f, e) for f in FACTORS for e in (engines if f.own else ("",))]
    low, high = (np.log([getattr(f, bound) for f, _ in slots]) for bound in ("low", "high"))
    first = [f.start if starts is None else starts[e or engines[0]][f.name] for f, e in slots]
    prior = _priors([f for f, _ in slots], len(FACTORS) if starts is None else len(bench.ids))
    start = np.clip(np.log(np.maximum(first, np.finfo(np.float64).tiny)), low + _SMALLEST, high - _SMALLEST)

    def by_engine(x: Array) -> dict[str, dict[str, float]]:
        found = {(f.name, e): float(v) for (f, e), v in zip(slots, x, strict=True)}
        return {e: {f.name: found[f.name, e if f.own else ""] for f in FACTORS} for e in engines}

    def residuals(x: Array) -> Array:
        found = direct(bench, Fitted(by_engine(np.exp(x)), {}).columns(bench))
        tpot = np.log(found.tpot_s / bench.measured["tpot_mean_s"]) / TPOT_NOISE
        ttft = np.log(found.ttft_s / bench.measured["ttft_mean_s"]) / TTFT_NOISE
        return np.concatenate([np.nan_to_num(tpot), np.nan_to_num(ttft), (x - start) / prior])

    found = least_squares(residuals, start, bounds=(low, high), loss="soft_l1", max_nfev=_EVALUATIONS)
    seen = np.sum(np.square(found.jac[: -len(slots)]), axis=0) * prior**2
    told, moved = by_engine(seen), by_engine(np.abs(found.x - start))
    silent = {
        e: tuple(f.name for f in FACTORS if told[e][f.name] < _SILENT and moved[e][f.name] < _STILL) for e in engines
    }
    return Fitted(by_engine(np.exp(found.x)), silent)
