"""Engine files with fitted factors: an overlay that `--catalog` picks up."""

import datetime as dt
from itertools import count
from typing import Any

import yaml

from planner.calibration.fit import Fitted
from planner.calibration.ledger import Errors
from planner.specs.base import Loaded
from planner.specs.hardware import EngineSpec

_DIGITS = 3
_FITTED = "fitted"


def engine_file(
    engine: Loaded[EngineSpec], fitted: Fitted, origin: str, errors: dict[str, Errors], runs: int, day: dt.date
) -> str:
    """Return the YAML of an engine's file with its fitted factors, each with its source.

    Parameters
    ----------
    origin : where the runs come from.
    errors : of the fit on this engine's runs, by metric.
    runs : how many were fitted together, over all engines.
    """
    document, name = engine.document, engine.spec.id
    silent, values = fitted.silent[name], fitted.values[name]

    known = document.data.get("sources", {})
    earlier = next(free for i in count(1) if (free := f"{_FITTED}-{i}") not in known)

    def sourced(value: dict[str, Any], *path: str | int) -> dict[str, Any]:
        source = document.source_name(("factors", *path))
        return value | ({"source": earlier if source == _FITTED else source} if source else {})

    factors: dict[str, Any] = {}
    for key, value in document.data["factors"].items():
        if key == "limits":
            factors[key] = [sourced(item, key, i) for i, item in enumerate(value)]
        elif key in values and key not in silent:
            factors[key] = {"value": float(f"{values[key]:.{_DIGITS}g}"), "source": _FITTED}
        else:
            factors[key] = sourced({"value": value}, key)
    sources = {earlier if key == _FITTED else key: source for key, source in known.items()}
    data = dict(document.data) | {
        "basis": "calibrated",
        "factors": factors,
        "sources": {_FITTED: _source(origin, errors, silent, runs, day)} | sources,
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return text


def _source(origin: str, errors: dict[str, Errors], silent: tuple[str, ...], runs: int, day: dt.date) -> dict[str, Any]:
    """Return the source of the fitted factors: the runs, the day, the errors."""
    residuals = ", ".join(
        f"{title} {e.median:.1%} median and {e.mean:.1%} mean" for title, e in errors.items() if e.runs
    )
    kept = f"; the data say nothing of {', '.join(silent)}, kept" if silent else ""
    own = errors["TPOT"].runs
    among = f", {own:,} of them on this engine" if own < runs else ""
    return {
        "title": f"planner calibrate, {runs:,} runs of {origin}{among}",
        "checked": day,
        "confidence": "medium",
        "note": f"errors of this engine's runs with these factors: {residuals}{kept}",
    }
