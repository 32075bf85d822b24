"""Time and memory of a point, a sweep of full rows and a grid; a row must equal its point exactly.

Each is measured in a process of its own on one core, beside a numpy operation on as many elements.

Run it as `python benchmarks/arrays.py --rows 100000`.
"""

import argparse
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from planner import Cases, Catalog, Estimate, answer, load_scenario
from planner.fleet.estimate import estimate
from planner.serving.cases import TRAILING

KINDS = ("point", "sweep", "grid")
FULL_ROWS = 1_000_000
BAR_SECONDS = 12.0
BAR_GB = 1.5
SAMPLES = 200
REPEATS = 7
GB = 1e9
_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def default_case(name: str = "o1-class") -> Cases:
    """Return the best option of a shipped question as one case of shape ()."""
    catalog = Catalog()
    return answer(load_scenario(name, catalog), catalog).case()


def full_rows(case: Cases, rows: int, seed: int = 1) -> Cases:
    """Return a sweep in which every column is dense, with the rate, the multiplier and the lengths drawn per row."""
    rng = np.random.default_rng(seed)
    groups: dict[str, Any] = {
        name: group.map(lambda column: np.broadcast_to(column, (rows, *np.shape(column))).copy())
        for name, group in case.groups()
    }
    demand, w = groups["demand"], groups["workload"]
    demand.answers_per_s[:] *= np.exp(rng.uniform(-3.0, 3.0, rows))
    w.reasoning_multiplier[:] = rng.uniform(1.0, 12.0, (rows, 1))
    for column in (w.input_tokens_mean, w.answer_tokens_mean):
        np.multiply(column, np.exp(rng.uniform(-1.5, 1.5, (rows, 1))), out=column)
    return Cases(**groups)


def grid(case: Cases, rates: int, multipliers: int) -> Cases:
    """Return rates down and reasoning multipliers across; the workload keeps its component axis."""
    across = np.linspace(1.0, 12.0, multipliers)[None, :, None] * np.ones_like(case.workload.reasoning_multiplier)
    down = float(case.demand.answers_per_s) * np.geomspace(0.05, 20.0, rates)[:, None]
    return case.replaced(demand__answers_per_s=down, workload__reasoning_multiplier=across)


def point_at(cases: Cases, index: tuple[int, ...]) -> Cases:
    """Return one cell of a sweep or grid as a case of shape ()."""
    shape = cases.shape

    def at(column: Any, own: tuple[int, ...]) -> Any:  # noqa: ANN401 - arrays or floats
        return np.broadcast_to(column, shape + own)[index].copy()

    def cut(name: str) -> Callable[[Any], Any]:
        return lambda column: at(column, np.shape(column)[-1:] if name in TRAILING else ())

    groups: dict[str, Any] = {name: group.map(cut(name)) for name, group in cases.groups()}
    return Cases(**groups)


def cells(shape: tuple[int, ...], count: int, seed: int = 2) -> list[tuple[int, ...]]:
    """Return the first and the last cell and a random choice between them."""
    size = math.prod(shape)
    flat = {0, size - 1, *np.random.default_rng(seed).integers(0, size, count).tolist()}
    return [tuple(int(i) for i in np.unravel_index(n, shape)) for n in sorted(flat)]


def differing(cases: Cases, found: Estimate, chosen: list[tuple[int, ...]]) -> list[str]:
    """Return what differs, even in the last bit, between cells of an estimate and the same cells asked alone."""
    lines = []
    for index in chosen:
        alone = estimate(point_at(cases, index))
        for field in dataclasses.fields(Estimate):
            one, many = np.asarray(getattr(alone, field.name)), getattr(found, field.name)[index]
            if not np.array_equal(one, many, equal_nan=True):
                lines.append(f"{field.name}{list(index)}: {float(many)!r} in the array, {float(one)!r} alone")
    return lines


def seconds(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_bytes() -> float | None:
    """Return the largest resident memory of this process so far; None where the system does not say."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_MAXRSS)


def measure(kind: str, rows: int) -> dict[str, Any]:
    """Measure one kind in this process."""
    case = default_case()
    side = max(math.isqrt(rows), 1)
    cases = {"point": lambda: case, "sweep": lambda: full_rows(case, rows), "grid": lambda: grid(case, side, side)}[
        kind
    ]()
    size = math.prod(cases.shape)
    numbers = np.linspace(-1.0, 1.0, size) if cases.shape else np.asarray(0.5)
    reference = seconds(lambda: np.exp(numbers))
    estimate(case)
    before = peak_bytes()
    start = time.perf_counter()
    found = estimate(cases)
    took = time.perf_counter() - start
    peak = peak_bytes()
    if not cases.shape:
        took, reference = seconds(lambda: estimate(case), 101), seconds(lambda: np.exp(numbers), 1001)
    chosen = cells(cases.shape, SAMPLES) if cases.shape else []
    return {
        "kind": kind,
        "shape": list(cases.shape),
        "seconds": took,
        "reference_seconds": reference,
        "input_gb": None if before is None else before / GB,
        "peak_gb": None if peak is None else peak / GB,
        "compared": len(chosen),
        "differing": differing(cases, found, chosen),
    }


def one_core() -> None:
    """Keep this process on one core where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run_alone(kind: str, rows: int) -> dict[str, Any]:
    """Measure one kind in a process of its own, with one thread on one core."""
    command = [sys.executable, __file__, "--only", kind, "--rows", str(rows)]
    done = subprocess.run(command, env=os.environ | _ONE_THREAD, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def show(result: dict[str, Any]) -> None:
    """Print one line of the table."""
    size = math.prod(result["shape"])
    memory = "-" if result["peak_gb"] is None else f"{result['input_gb']:.2f} / {result['peak_gb']:.2f}"
    shape = " x ".join(f"{n:,}" for n in result["shape"]) or "()"
    ratio = result["seconds"] / result["reference_seconds"]
    exact = f"{result['compared']} equal" if result["compared"] else "-"
    print(
        f"{result['kind']:6} {shape:>14} {result['seconds']:10.4f} {result['seconds'] / size * 1e6:10.2f}"
        f" {ratio:12.0f} {memory:>14} {'DIFFERS' if result['differing'] else exact:>11}"
    )


def missed(results: list[dict[str, Any]]) -> list[str]:
    """Return the bars that are missed; time and memory are judged at a million rows."""
    lines = [line for result in results for line in result["differing"][:5]]
    for result in results:
        if result["kind"] == "point" or math.prod(result["shape"]) < FULL_ROWS:
            continue
        if result["seconds"] > BAR_SECONDS:
            lines.append(f"{result['kind']}: {result['seconds']:.1f} s; the bar is {BAR_SECONDS:g} s")
        if result["peak_gb"] is not None and result["peak_gb"] > BAR_GB:
            lines.append(f"{result['kind']}: {result['peak_gb']:.2f} GB; the bar is {BAR_GB:g} GB")
    return lines


def main() -> int:
    """Print the table; 1 where a bar is missed under --strict, or where a row differs from its point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="rows of the sweep, cells of the grid")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar is missed")
    parser.add_argument("--only", choices=KINDS, help="measure one kind in this process and print JSON")
    options = parser.parse_args()
    if options.only:
        one_core()
        print(json.dumps(measure(options.only, options.rows)))
        return 0
    print(f"{'':6} {'shape':>14} {'seconds':>10} {'us a case':>10} {'x np.exp':>12} {'GB in / peak':>14}      sample")
    results = []
    for kind in KINDS:
        results.append(run_alone(kind, options.rows))
        show(results[-1])
    lines = missed(results)
    for line in lines:
        print(f"missed: {line}")
    return 1 if any(r["differing"] for r in results) or (options.strict and lines) else 0


if __name__ == "__main__":
    sys.exit(main())
