"""The ledger: each run predicted by factors fitted without it, the interval around it, and the errors by group."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from planner.calibration.bench import FOLDS, LENGTHS, METRICS, Bench, shown_by
from planner.calibration.fit import Fitted, Starts, fit
from planner.errors import BadInputError
from planner.serving.normal import Array, Mask

BOUNDS = {"p10": 0.1, "p90": 0.9}
_CLASSES = {
    "input tokens": ("input_tokens", (0, *LENGTHS)),
    "concurrency": ("concurrency", (0, 8, 32, 128)),
}


@dataclass(frozen=True, eq=False)
class Ledger:
    """Predictions of runs, each by factors fitted without its fold."""

    bench: Bench
    folds: list[str]
    predicted: dict[str, Array]
    """METRICS; NaN where a run does not fit."""
    bounds: dict[str, dict[str, Array]]
    """METRICS -> p10, p90: the prediction times those quantiles of measured / predicted in the other folds."""
    fitted: dict[str, Fitted] = field(default_factory=dict)
    """Fold -> the factors that predicted its runs."""

    def header(self) -> list[str]:
        """Return the columns of the ledger."""
        return ["id", "fold", *(f"{m}{suffix}" for m in METRICS for suffix in ("", "_p10", "_p90"))]

    def rows(self) -> list[list[str | float | None]]:
        """Return a row for each run; None where there is no number."""
        columns = [column for m in METRICS for column in (self.predicted[m], *self.bounds[m].values())]
        return [
            [run, fold, *(None if np.isnan(c[i]) else float(c[i]) for c in columns)]
            for i, (run, fold) in enumerate(zip(self.bench.ids, self.folds, strict=True))
        ]


class Errors(NamedTuple):
    """Errors of a metric over some runs: relative, as shares."""

    runs: int
    median: float
    mean: float
    p90: float
    bias: float
    """Median of predicted / measured - 1."""
    covered: float
    """Share of the runs inside the interval."""


def in_sample(bench: Bench, starts: Starts | None = None) -> tuple[Ledger, Fitted]:
    """Return (the ledger of runs that were all fitted together, their factors); see `fit` for `starts`."""
    fitted = fit(bench, starts)
    predicted = shown_by(bench, fitted.columns(bench))
    return _ledger(bench, ["all"] * len(bench.ids), predicted, {"all": fitted}), fitted


def left_out(bench: Bench, kind: str, starts: Starts | None = None) -> Ledger:
    """Return the ledger of runs whose model, GPU or engine (`kind`) each leaves the fit once; see `fit` for `starts`.

    Raises BadInputError where all runs are of one fold.
    """
    folds = bench.labels(kind)
    if len(set(folds)) == 1:
        raise BadInputError(f"all runs are of {kind} {folds[0]}; leaving it out leaves nothing to fit")
    predicted = {name: np.full(len(folds), np.nan) for name in METRICS}
    fitted = {}
    for fold in dict.fromkeys(folds):
        inside = np.asarray(folds) == fold
        part, fitted[fold] = bench.part(inside), fit(bench.part(~inside), starts)
        for name, values in shown_by(part, fitted[fold].columns(part)).items():
            predicted[name][inside] = values
    return _ledger(bench, folds, predicted, fitted)


def _ledger(bench: Bench, folds: list[str], predicted: dict[str, Array], fitted: dict[str, Fitted]) -> Ledger:
    bounds = {name: _interval(predicted[name], bench.measured[name], np.asarray(folds)) for name in METRICS}
    return Ledger(bench, folds, predicted, bounds, fitted)


def _interval(predicted: Array, measured: Array, folds: Array) -> dict[str, Array]:
    ratio, found = np.log(measured / predicted), {name: np.full(len(predicted), np.nan) for name in BOUNDS}
    for fold in np.unique(folds):
        others = folds != fold if np.any(folds != fold) else folds == fold
        known = ratio[others & np.isfinite(ratio)]
        for name, q in BOUNDS.items():
            if known.size:
                found[name][folds == fold] = predicted[folds == fold] * np.exp(np.quantile(known, q))
    return found


def errors(ledger: Ledger, metric: str, use: Mask | None = None) -> Errors:
    """Return the errors of a metric over the runs in use that have a measurement and a prediction."""
    measured, predicted = ledger.bench.measured[metric], ledger.predicted[metric]
    known = np.isfinite(measured) & np.isfinite(predicted) & (True if use is None else use)
    if not np.any(known):
        return Errors(0, *[np.nan] * 5)
    ratio, low, high = (predicted / measured - 1.0)[known], *(b[known] for b in ledger.bounds[metric].values())
    size, truth = np.abs(ratio), measured[known]
    return Errors(
        runs=int(np.count_nonzero(known)),
        median=float(np.median(size)),
        mean=float(np.mean(size)),
        p90=float(np.quantile(size, 0.9)),
        bias=float(np.median(ratio)),
        covered=float(np.mean((truth >= low) & (truth <= high))),
    )


def groups(bench: Bench) -> dict[tuple[str, str], Mask]:
    """Return (by what, which) -> the runs of it: engine, GPU, model, input length, concurrency."""
    found: dict[tuple[str, str], Mask] = {("all", ""): np.ones(len(bench.ids), dtype=bool)}
    for kind in reversed(FOLDS):
        labels = np.asarray(bench.labels(kind))
        found |= {(kind, name): labels == name for name in sorted(set(labels.tolist()))}
    for title, (column, edges) in _CLASSES.items():
        values = np.asarray([run.numbers[column] for run in bench.runs])
        for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
            inside = (values > low) & (values <= high)
            name = f"over {low:,}" if np.isinf(high) else f"{low + 1:,} to {high:,}"
            found |= {(title, name): inside} if np.any(inside) else {}
    return found
