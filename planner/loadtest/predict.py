"""What a benchmark would show: closed loop (concurrency), open loop (request rate), or maximum load, row by row."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath
from traceback import walk_tb
from typing import Any

from planner.catalog.catalog import Catalog, cache_note, model_note
from planner.catalog.hardware import GpuSpec
from planner.catalog.model import ModelSpec
from planner.errors import BadInputError, PlannerError, did_you_mean, unknown
from planner.loadtest.gpu_split import with_layouts, with_splits
from planner.loadtest.layouts import has_gpus, layout_is_open
from planner.loadtest.lookups import Names
from planner.loadtest.run import NUMBERS, REQUIRED, TEXTS, Run, cases_of, layouts, resolve
from planner.loadtest.solve import LoadTests, by_pools, solve_runs
from planner.options.confidence import error_bounds, unseen
from planner.options.ranking import machine_basis
from planner.serving.cases import Cases
from planner.serving.slo import LIMITS

OUTPUTS = (
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p99_s",
    "tpot_mean_s",
    "tpot_p99_s",
    "output_tokens_per_s",
    "output_tokens_per_s_per_gpu",
    "total_tokens_per_s_per_gpu",
    "requests_per_s",
    "running_batch",
    "power_w_per_gpu",
    "fits",
    "limit",
    "basis",
    "error",
    "prefill_workers",
    "decode_workers",
    "layout",
    "replicas",
    "longest_context_tokens",
)
ERRORS_OF = {
    **dict.fromkeys(("ttft_mean_s", "ttft_p50_s", "ttft_p99_s"), "ttft"),
    **dict.fromkeys(("tpot_mean_s", "tpot_p99_s"), "tpot"),
    **dict.fromkeys(
        ("output_tokens_per_s", "output_tokens_per_s_per_gpu", "total_tokens_per_s_per_gpu", "requests_per_s"),
        "throughput",
    ),
}
"""Output -> whose errors it has; the others have no interval."""
INTERVALS = tuple(f"{name}_{bound}" for name in ERRORS_OF for bound in ("p10", "p90"))
"""Columns that an interval appends."""


def predict(rows: Sequence[Mapping[str, str]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return each row with its predictions and their INTERVALS; a row that cannot be predicted says why in `error`."""
    names = Names(catalog)
    runs: dict[int, Run] = {}
    out: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        out.append(refused(row, ""))
        try:
            runs[index] = resolve(row, names)
        except PlannerError as error:
            out[index]["error"] = str(error).replace("\n", "; ")
        except Exception as error:  # noqa: BLE001 - a bug at one row must not lose the others; the row says it is one
            out[index]["error"] = _bug(error)
    for index, result in zip(runs, _predicted(list(runs.values()), catalog), strict=True):
        out[index] |= result
    return out


def refused(row: Mapping[str, str], error: str) -> dict[str, Any]:
    """Return a row with no prediction, and why there is none."""
    return {**row, **dict.fromkeys((*OUTPUTS, *INTERVALS)), "error": error}


def _predicted(runs: Sequence[Run], catalog: Catalog) -> list[dict[str, Any]]:
    """Return what each run shows; runs that cannot be solved together are halved, down to the row at fault."""
    if not runs:
        return []
    try:
        cases = cases_of(runs, catalog)
        sized = with_layouts(runs, cases)
        cases = dataclasses.replace(cases, layout=layouts(sized))
        return _solve(cases, with_splits(sized, cases))
    except Exception as error:  # noqa: BLE001 - as above
        if len(runs) == 1:
            return [{"error": str(error).replace("\n", "; ") if isinstance(error, PlannerError) else _bug(error)}]
    half = len(runs) // 2
    return [*_predicted(runs[:half], catalog), *_predicted(runs[half:], catalog)]


def _bug(error: Exception) -> str:
    """Return a sentence for an exception nobody expected: what it is, and the line that raised it."""
    *_, (frame, line) = walk_tb(error.__traceback__)
    where = f"{PurePath(frame.f_code.co_filename).name}:{line}"
    text = " ".join(f"{type(error).__name__} {error}".split())
    return f"a bug of this program, please report it: {text} at {where}"


def check_header(header: Sequence[str]) -> None:
    """Refuse a sheet that lacks a required column or has an unknown one. Raises BadInputError with the nearest name.

    Columns that start with x_ or measured_, a note, and the columns of an earlier prediction pass through.
    """
    for name in REQUIRED:
        if name not in header:
            raise BadInputError(f"has no column {name!r}.{did_you_mean(name, header)} Required: {', '.join(REQUIRED)}.")
    known = (*TEXTS, *NUMBERS)
    for name in header:
        if (
            name not in known
            and name not in {"note", *OUTPUTS, *INTERVALS}
            and not name.startswith(("x_", "measured_"))
        ):
            raise BadInputError(f"{unknown('column', name, known)} Columns that start with x_ pass through.")


def name_notes(rows: Sequence[Mapping[str, str]], catalog: Catalog) -> list[str]:
    """Return how the names of models and GPUs were read, where they are not ids; what fails here, the rows tell."""
    found: list[str] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        with suppress(Exception):
            seen = catalog.find(ModelSpec, model)
            found += [model_note(seen)] if seen.note else []
            rows_own = any(row["model"] == model and not row.get("kv_precision") for row in rows)
            found += [cache_note(seen.loaded.spec)] if rows_own and seen.loaded.spec.kv_cache_format else []
    for gpu in dict.fromkeys(row["gpu"] for row in rows):
        with suppress(Exception):
            note = catalog.find(GpuSpec, gpu).note
            found += [f"GPU {note}"] if note else []
    return found


def _solve(cases: Cases, runs: Sequence[Run]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = [{}] * len(runs)
    for index, alike in by_pools(runs):
        for i, row in zip(index.tolist(), _verdicts(solve_runs(cases.rows(index), alike), alike), strict=True):
            results[i] = row
    return results


def _verdicts(found: LoadTests, runs: Sequence[Run]) -> list[dict[str, Any]]:
    results = []
    for i, run in enumerate(runs):
        values = {k: None if math.isnan(v[i]) else float(v[i]) for k, v in found.columns.items()}
        fits = bool(found.has_room[i] and not found.too_long[i])
        like_none = run.pool is not None or run.numbers["speculative_tokens"] > 0
        basis = machine_basis(
            run.machine.engine.spec, run.model, run.machine.gpu.spec, layout=run.layout, pools=like_none
        )
        verdict = {"fits": fits, "limit": LIMITS[int(found.limit[i])], "basis": basis, "error": ""}
        if run.why_not:
            values = dict.fromkeys(values)
            verdict |= {"fits": False, "limit": "does_not_start", "error": f"does not start: {run.why_not}"}
        elif not found.has_room[i]:
            where = " in any layout that uses all GPUs" if layout_is_open(run.numbers) and has_gpus(run.numbers) else ""
            verdict |= {"limit": "memory", "error": f"does not fit: weights and one request exceed the memory{where}"}
        elif found.too_long[i]:
            most = f"{run.model.max_context_tokens:,} tokens"
            what = "the model's context of" if math.isnan(run.numbers["max_model_len"]) else "max_model_len,"
            verdict |= {"limit": "context", "error": f"input and output exceed {what} {most}"}
        elif found.overloaded[i]:
            served = f"{values['requests_per_s']:.4g} requests/s"
            verdict |= {"error": f"request_rate is more than it can serve, {served} at most"}
        results.append(values | _intervals(run, values) | verdict | _deployment(run))
    return results


def _deployment(run: Run) -> dict[str, Any]:
    """Return the columns that say what a run stands on: its layout, and how many replicas or workers of it."""
    layout = run.layout.name if run.layout else None
    if run.pool is None:
        return {"layout": layout, "replicas": int(run.replicas)}
    workers = {"prefill_workers": int(run.pool.workers), "decode_workers": int(run.replicas)}
    return workers | {"layout": f"prefill {run.pool.layout.name} + decode {layout}"}


def _intervals(run: Run, values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return each number times p10 and p90 of measured over predicted on runs as new to the fit as this one."""
    engine, lengths = run.machine.engine.spec, (run.numbers["input_tokens"], run.numbers["output_tokens"])
    kinds = unseen(engine, run.model, run.machine.gpu.spec, lengths, layout=run.layout, pools=run.pool is not None)
    drafted = run.numbers["speculative_tokens"] > 0  # no run with drafts was measured
    bounds = None if drafted else error_bounds(engine, kinds)
    found: dict[str, float | None] = {}
    for name, metric in ERRORS_OF.items():
        value, sides = values[name], bounds[metric] if bounds else (None, None)
        for bound, side in zip(("p10", "p90"), sides, strict=True):
            found[f"{name}_{bound}"] = None if value is None or side is None else value * side
    return found
