"""Engine files with fitted factors: an overlay that `--catalog` picks up."""

import datetime as dt
from typing import Any

import yaml

from planner.calibration.fit import Fitted
from planner.calibration.ledger import Errors
from planner.specs.base import Loaded
from planner.specs.hardware import EngineSpec

_DIGITS = 3


def engine_file(
    engine: Loaded[EngineSpec], fitted: Fitted, origin: str, errors: dict[str, Errors], day: dt.date
) -> str:
    """Return the YAML of an engine's file with its fitted factors, each with its source.

    Parameters
    ----------
    origin : where the runs come from.
    errors : of the fit, by metric.
    """
    document, name = engine.document, engine.spec.id
    silent = fitted.silent[name]
    data = dict(document.data)
    factors: dict[str, Any] = {}
    for key, value in document.data["factors"].items():
        if key == "limits":
            factors[key] = [
                item | {"source": document.source_name(("factors", key, i))} for i, item in enumerate(value)
            ]
        elif key in fitted.values[name] and key not in silent:
            factors[key] = {"value": float(f"{fitted.values[name][key]:.{_DIGITS}g}"), "source": "fitted"}
        else:
            factors[key] = {"value": value, "source": document.source_name(("factors", key))}
    residuals = ", ".join(
        f"{metric} {e.median:.1%} median and {e.mean:.1%} mean" for metric, e in errors.items() if e.runs
    )
    kept = f"; the data say nothing of {', '.join(silent)}, kept" if silent else ""
    fitted_source = {
        "title": f"planner calibrate, {errors['TPOT'].runs:,} runs of {origin}",
        "checked": day,
        "confidence": "medium",
        "note": f"errors of these runs with these factors: {residuals}{kept}",
    }
    data |= {
        "basis": "calibrated",
        "factors": factors,
        "sources": {"fitted": fitted_source} | document.data["sources"],
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return text
