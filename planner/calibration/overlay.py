"""Engine files with fitted factors, what they were fitted on and how far off they were: `--catalog` picks them up."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import yaml

from planner.calibration.bench import METRICS, TITLES, same_models
from planner.calibration.fit import Fitted
from planner.calibration.ledger import Ledger, errors
from planner.catalog.hardware import EngineSpec, FittedOn
from planner.documents.spec import Loaded
from planner.serving.normal import Mask

_DIGITS = 3
_FITTED = "fitted"
_SHOWN = {"ttft_mean_s": "ttft", "tpot_mean_s": "tpot", "output_tokens_per_s_per_gpu": "throughput"}
"""Metric of a ledger -> its name in an engine's errors."""
FEWEST_OF_A_KIND = 3
"""Runs on a GPU, or of a model, from which it counts as seen."""
FEWEST_RUNS = 20
"""Runs whose errors are worth quantiles; with fewer the engine keeps those it had."""


@dataclass(frozen=True)
class Evidence:
    """What stands behind a fit."""

    origin: str
    """Where the runs come from."""
    day: dt.date
    whole: Ledger
    """All runs, by the factors fitted on them."""
    left_out: Mapping[str, Ledger]
    """Kind of EngineErrors -> the ledger of runs predicted without their like."""


def engine_file(engine: Loaded[EngineSpec], fitted: Fitted, evidence: Evidence) -> str:
    """Return the YAML of an engine's file with its fitted factors, each with its source."""
    document, name = engine.document, engine.spec.id
    silent, values = fitted.silent[name], fitted.values[name]
    own = np.asarray([e == name for e in evidence.whole.bench.labels("engine")])
    known = document.data.get("sources", {})
    earlier = next(free for i in count(1) if (free := f"{_FITTED}-{i}") not in known)

    def sourced(value: dict[str, Any], *path: str | int) -> dict[str, Any]:
        source = document.source_name(path)
        return value | ({"source": earlier if source == _FITTED else source} if source else {})

    factors: dict[str, Any] = {}
    for key, value in document.data["factors"].items():
        if key == "limits":
            factors[key] = [sourced(item, "factors", key, i) for i, item in enumerate(value)]
        elif key in values and key not in silent:
            factors[key] = {"value": float(f"{values[key]:.{_DIGITS}g}"), "source": _FITTED}
        else:
            factors[key] = sourced({"value": value}, "factors", key)
    kept = {kind: sourced(dict(found), "errors", kind) for kind, found in document.data.get("errors", {}).items()}
    off = kept | _errors(evidence, name)
    sources = {earlier if key == _FITTED else key: source for key, source in known.items()}
    data = dict(document.data) | {
        "basis": "calibrated",
        "factors": factors,
        "fitted_on": _fitted_on(engine.spec.fitted_on, evidence.whole, own),
        **({"errors": off} if "known" in off else {}),
        "sources": {_FITTED: _source(evidence, silent, own)} | sources,
    }
    data |= {"notes": data.pop("notes")} if data.get("notes") else {}
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return text


def _fitted_on(before: FittedOn | None, whole: Ledger, own: Mask) -> dict[str, Any]:
    """Return what an engine's factors were fitted on, with what those they started from were.

    What fewer than FEWEST_OF_A_KIND of the engine's runs are of counts as unseen still.
    """
    runs = [whole.bench.runs[i] for i in np.flatnonzero(own).tolist()]
    lists = {
        "gpus": Counter(run.machine.gpu.spec.id for run in runs),
        "models": Counter(name for run in runs for name in same_models(run.model.id)),
        "architectures": Counter(run.model.architecture for run in runs),
    }
    found: dict[str, Any] = {}
    for key, counts in lists.items():
        enough = {name for name, runs_of_it in counts.items() if runs_of_it >= FEWEST_OF_A_KIND}
        found[key] = sorted(enough | set(getattr(before, key) if before else ()))
    found["replica_gpus"] = max(run.layout.gpus if run.layout else 1 for run in runs)
    if before:
        found["replica_gpus"] = max(found["replica_gpus"], before.replica_gpus)
    for key in ("input_tokens", "output_tokens"):
        lengths = [run.numbers[key] for run in runs]
        low, high = getattr(before, key) if before else (lengths[0], lengths[0])
        found[key] = [float(min(low, *lengths)), float(max(high, *lengths))]
    return found


def _errors(evidence: Evidence, engine: str) -> dict[str, Any]:
    """Return kind -> metric -> (p10, p90) of measured over predicted on an engine's runs, where they are enough."""
    found: dict[str, Any] = {}
    for kind, ledger in {"known": evidence.whole, **evidence.left_out}.items():
        own = np.asarray([e == engine for e in ledger.bench.labels("engine")])
        ranges = {}
        for metric in METRICS:
            ratio = (ledger.bench.measured[metric] / ledger.predicted[metric])[own]
            ratio = ratio[np.isfinite(ratio)]
            if ratio.size >= FEWEST_RUNS:
                ranges[_SHOWN[metric]] = [float(f"{q:.{_DIGITS}g}") for q in np.quantile(ratio, (0.1, 0.9))]
        found |= {kind: {**ranges, "source": _FITTED}} if len(ranges) == len(METRICS) else {}
    return found


def _source(evidence: Evidence, silent: tuple[str, ...], own: Mask) -> dict[str, Any]:
    """Return the source of the fitted factors: the runs, the day, the errors."""
    by_title = {title: errors(evidence.whole, metric, own) for metric, title in TITLES.items()}
    residuals = ", ".join(f"{t} {e.median:.1%} median and {e.mean:.1%} mean" for t, e in by_title.items() if e.runs)
    kept = f"; no data on {', '.join(silent)}: unchanged" if silent else ""
    among = f", {own.sum():,} of them on this engine" if own.sum() < own.size else ""
    return {
        "title": f"planner calibrate, {own.size:,} runs of {evidence.origin}{among}",
        "checked": evidence.day,
        "confidence": "medium",
        "note": f"errors of this engine's runs with these factors: {residuals}{kept}",
    }
