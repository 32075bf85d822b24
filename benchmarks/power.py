"""Fit what a busy GPU draws (hardware/assumptions.yaml) to ML.ENERGY, and score it on the models left out.

Reads the shared tables as published.py does. Run it as `python benchmarks/power.py`; needs scipy.
"""

import numpy as np
from checks import Array
from published import ml_energy_rows
from scipy.optimize import least_squares

from planner.catalog.catalog import Catalog
from planner.loadtest.lookups import Names
from planner.loadtest.run import cases_of, resolve
from planner.serving.replica import build_replica
from planner.serving.steady_state import load_at, step_terms_at

NAMES = ("busy_power_base", "busy_power_memory", "busy_power_compute")
START = 0.3
NOISE = 0.05
"""Relative difference of watts from which a run pulls linearly."""


def shares(catalog: Catalog) -> tuple[Array, Array, list[str]]:
    """Return (rows of 1, memory share, compute share of the step as predicted; watts over TDP; models)."""
    rows, given = ml_energy_rows()
    names = Names(catalog)
    runs = [resolve(row, names) for row in rows]
    cases = cases_of(runs, catalog)
    replica = build_replica(cases)
    batch = np.asarray([float(row["concurrency"]) for row in rows])
    terms = step_terms_at(replica, load_at(replica, np.minimum(batch, replica.memory.max_running_sequences)))
    sides = np.stack([np.ones_like(batch), terms.memory_share, terms.compute_share], axis=1)
    watts = np.asarray([float(r["power_w_per_gpu"]) for r in given])
    return sides, watts / cases.gpu.tdp_w, [r["model_id"] for r in given]


def fit(sides: Array, drawn: Array, top: float) -> Array:
    """Return base, memory and compute that explain the watts best."""

    def off(x: Array) -> Array:
        return np.asarray(np.minimum(sides @ x, top) / drawn - 1.0)

    return np.asarray(least_squares(off, np.full(len(NAMES), START), loss="soft_l1", f_scale=NOISE).x)


def main() -> None:
    """Print the fit on all runs and the errors on the half of the models that each fit has not seen."""
    catalog = Catalog()
    top = catalog.assumptions.spec.busy_power_top
    sides, drawn, models = shares(catalog)
    whole = fit(sides, drawn, top)
    shipped = [getattr(catalog.assumptions.spec, name) for name in NAMES]
    for name, value, now in zip(NAMES, whole, shipped, strict=True):
        print(f"{name}: {value:.3f}, shipped {now}")
    known, error = sorted(set(models)), np.zeros_like(drawn)
    for half in (0, 1):
        inside = np.isin(models, known[half::2])
        error[~inside] = np.minimum(sides[~inside] @ fit(sides[inside], drawn[inside], top), top) / drawn[~inside] - 1.0
    print(f"{drawn.size} runs of {len(known)} models, left out: median error {np.median(np.abs(error)):.1%}")


if __name__ == "__main__":
    main()
