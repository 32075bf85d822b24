"""Fit of engine factors to measured benchmark runs: the planner's own step time, robustly, within bounds."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planner.cases.columns import Array, Cases
from planner.errors import DataMissingError, PlannerError
from planner.physics.special import Mask
from planner.predict import cases_of, resolve
from planner.serving.replica import build_replica
from planner.serving.steady import load_at
from planner.specs.catalog import Catalog

NOISE = 0.12
"""Relative difference of a configuration measured twice on another engine version: the unit of the residuals."""
PRIOR = 0.5
"""How far a factor may stray before its start counts as much as one measurement: a half in logarithms is 1.6 times."""
_EVALUATIONS = 60
_SMALLEST = 1e-6


class Factor(NamedTuple):
    """An engine factor that is fitted: where it starts, its physical bounds, whether all engines share it."""

    name: str
    start: float
    low: float
    high: float
    shared: bool = False


FACTORS = (
    Factor("memory_efficiency", 0.85, 0.3, 1.0),
    Factor("compute_efficiency", 0.7, 0.1, 1.0),
    Factor("expert_memory_efficiency", 0.7, 0.1, 1.0),
    Factor("expert_compute_efficiency", 0.4, 0.03, 1.0),
    Factor("cache_memory_efficiency", 0.8, 0.1, 1.0),
    Factor("attention_compute_efficiency", 0.5, 0.05, 1.0, shared=True),
    Factor("link_efficiency", 0.5, 0.05, 1.0),
    Factor("overlap_exponent", 1.5, 1.0, 8.0),
    Factor("collective_latency_s", 8e-6, 1e-7, 1e-4),
    Factor("layer_overhead_s", 4e-5, 1e-7, 3e-4),
    Factor("moe_layer_overhead_s", 3e-5, 1e-7, 5e-4),
    Factor("step_overhead_s", 5e-4, 1e-5, 2e-2),
    Factor("sequence_overhead_s", 1e-5, 1e-7, 3e-4),
    Factor("expert_imbalance", 1.2, 1.0, 4.0, shared=True),
)
"""What is fitted. The limits and memory shares of an engine are its settings, not measurements."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Measured runs, lowered: one case each."""

    ids: list[str]
    models: list[str]
    gpus: list[str]
    engines: list[str]
    cases: Cases
    concurrency: Array
    """Requests in flight on a replica."""
    tpot_s: Array
    """Measured mean TPOT."""
    left_out: dict[str, str]
    """Rows that cannot be predicted: id -> why."""

    def labels(self, kind: str) -> list[str]:
        """Return the fold of each run when a model, a GPU or an engine is left out."""
        return {"model": self.models, "gpu": self.gpus, "engine": self.engines}[kind]


def prepare(rows: Sequence[Mapping[str, str]], catalog: Catalog) -> Bench:
    """Return the runs of `predict` rows with a measured TPOT in a closed loop.

    Raises DataMissingError where no row can be used.
    """
    runs, kept, left_out = [], [], {}
    for row in rows:
        try:
            run = resolve(row, catalog)
        except PlannerError as error:
            left_out[row.get("id", "")] = error.message
            continue
        if not row.get("measured_tpot_mean_s") or not row.get("concurrency") or run.layout is None:
            left_out[row.get("id", "")] = "needs measured_tpot_mean_s, concurrency and a layout"
            continue
        runs.append(run)
        kept.append(row)
    if not runs:
        raise DataMissingError("no row can be fitted; expected measured_tpot_mean_s, concurrency and tensor_parallel")
    concurrency = [run.numbers["concurrency"] / run.replicas for run in runs]
    return Bench(
        ids=[row.get("id", "") for row in kept],
        models=[_architecture(run.model.id) for run in runs],
        gpus=[run.machine.gpu.spec.id for run in runs],
        engines=[run.machine.engine.spec.id for run in runs],
        cases=cases_of(runs, catalog),
        concurrency=np.asarray(concurrency),
        tpot_s=np.asarray([float(row["measured_tpot_mean_s"]) for row in kept]),
        left_out=left_out,
    )


_SAME = {"deepseek-r1": "deepseek-v3", "deepseek-r1-0528": "deepseek-v3", "deepseek-v3.1": "deepseek-v3"}
"""Models of one architecture, which leave a fit together."""


def _architecture(model: str) -> str:
    return _SAME.get(model, model)


def predicted_tpot_s(bench: Bench, factors: Mapping[str, Array]) -> Array:
    """Return the TPOT of each run with all requests in flight running, as far as they find room [s]."""
    cases = bench.cases.replaced(**{f"engine__{name}": column for name, column in factors.items()})
    with np.errstate(all="ignore"):
        replica = build_replica(cases)
        room = np.maximum(replica.memory.max_running_sequences, 1.0)
        return load_at(replica, np.minimum(bench.concurrency, room)).step_s


@dataclass(frozen=True)
class Fitted:
    """Fitted factors by engine."""

    engines: tuple[str, ...]
    values: dict[str, dict[str, float]]
    """Engine -> factor -> value."""

    def columns(self, bench: Bench) -> dict[str, Array]:
        """Return the factors of each run; an engine that was not fitted takes the geometric mean of the others."""
        table = {name: self._of_all(name) for name in (f.name for f in FACTORS)}
        return {name: np.asarray([by.get(e, by[""]) for e in bench.engines]) for name, by in table.items()}

    def _of_all(self, name: str) -> dict[str, float]:
        own = {engine: self.values[engine][name] for engine in self.engines}
        return own | {"": float(np.exp(np.mean(np.log(list(own.values())))))}


def fit(bench: Bench, use: Mask | None = None) -> Fitted:
    """Return the factors that explain the measured TPOT of the runs in use best.

    Least squares on ln(predicted / measured) / NOISE with a soft-L1 loss (outliers pull linearly), each
    factor in its bounds and pulled to its start by a weak prior.

    Raises DataMissingError where scipy is not installed.
    """
    try:
        from scipy.optimize import least_squares  # noqa: PLC0415 - an extra
    except ImportError:
        raise DataMissingError("fitting needs scipy: pip install 'inference-planner[calibrate]'") from None
    chosen = np.ones(len(bench.ids), dtype=bool) if use is None else use
    part = _subset(bench, chosen)
    engines = tuple(dict.fromkeys(part.engines))
    slots = [(f, e) for f in FACTORS for e in (("",) if f.shared else engines)]
    start, low, high = (np.log([getattr(f, bound) for f, _ in slots]) for bound in ("start", "low", "high"))

    def unpack(x: Array) -> Fitted:
        found = {(f.name, e): float(v) for (f, e), v in zip(slots, np.exp(x), strict=True)}
        each = {e: {f.name: found[f.name, "" if f.shared else e] for f in FACTORS} for e in engines}
        return Fitted(engines, each)

    def residuals(x: Array) -> Array:
        ratio = np.log(predicted_tpot_s(part, unpack(x).columns(part)) / part.tpot_s)
        return np.concatenate([np.nan_to_num(ratio) / NOISE, (x - start) / PRIOR])

    inside = np.clip(start, low + _SMALLEST, high - _SMALLEST)
    found = least_squares(residuals, inside, bounds=(low, high), loss="soft_l1", max_nfev=_EVALUATIONS)
    return unpack(found.x)


def _subset(bench: Bench, use: Mask) -> Bench:
    index = np.flatnonzero(use)
    texts = {name: [getattr(bench, name)[i] for i in index] for name in ("ids", "models", "gpus", "engines")}
    return dataclasses.replace(
        bench,
        **texts,  # type: ignore[arg-type]
        cases=bench.cases.rows(index),
        concurrency=bench.concurrency[index],
        tpot_s=bench.tpot_s[index],
    )


def left_out_predictions(bench: Bench, kind: str) -> tuple[Array, list[str]]:
    """Return (TPOT of each run predicted by factors fitted without its fold, the folds).

    Parameters
    ----------
    kind : model, gpu or engine; `none` fits on all runs and predicts the same.
    """
    if kind == "none":
        return predicted_tpot_s(bench, fit(bench).columns(bench)), ["all"] * len(bench.ids)
    labels = bench.labels(kind)
    found = np.full(len(labels), np.nan)
    for fold in dict.fromkeys(labels):
        inside = np.asarray([label == fold for label in labels])
        if np.all(inside):
            raise DataMissingError(f"all rows are of {kind} {fold}; leaving it out leaves nothing to fit")
        part = _subset(bench, inside)
        found[inside] = predicted_tpot_s(part, fit(bench, ~inside).columns(part))
    return found, labels
