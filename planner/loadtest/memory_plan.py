"""What a replica's GPUs hold: weights, activations, KV cache, and the longest request, row by row."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from planner.catalog.catalog import Catalog
from planner.catalog.engine_settings import EngineSettings
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.parameters import count_parameters
from planner.errors import BadInputError, PlannerError, unknown
from planner.loadtest.lookups import Names
from planner.loadtest.run import NUMBERS, Run, cases_of, choices, resolve
from planner.serving import kv_cache, memory
from planner.serving.cases import Cases, ignoring_float_errors

INPUTS = (
    "id",
    "model",
    "gpu",
    "engine",
    "engine_version",
    "precision",
    "kv_precision",
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "expert_parallel",
    *EngineSettings.model_fields,
)
"""Columns of a row: those of a load test without its load, and the settings of the engine."""
RESULTS = {
    "gpus": "GPUs",
    "parameters": "1",
    "active_parameters": "1",
    "weights_bytes_per_gpu": "bytes",
    "activation_bytes_per_gpu": "bytes",
    "other_bytes_per_gpu": "bytes",
    "cache_bytes_per_gpu": "bytes",
    "kv_bytes_per_token": "bytes/token",
    "cache_tokens": "tokens",
    "max_concurrency_at_max_model_len": "requests",
    "longest_context_tokens": "tokens",
    "fits": "",
    "starts": "",
    "why": "",
    "error": "",
}
"""Result -> its unit."""
_NO_LOAD = {"input_tokens": 1, "output_tokens": 1}
"""Memory does not depend on the load of a row."""


def check_header(header: Sequence[str]) -> None:
    """Refuse a sheet without models, or with a column that says nothing of memory. Raises BadInputError."""
    if "model" not in header:
        raise BadInputError("has no column 'model'; expected one, beside gpu, tensor_parallel and others")
    for name in header:
        if name not in (*INPUTS, *RESULTS, *NUMBERS, "note") and not name.startswith(("x_", "measured_")):
            raise BadInputError(f"{unknown('column', name, INPUTS)} Columns that start with x_ pass through.")


def plan_rows(rows: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return each row with its RESULTS; a row that cannot be planned says why in `error`.

    A row without a GPU becomes one row for every GPU that its engine runs on.
    """
    names = Names(catalog)
    plans = []
    for row in rows:
        try:
            plans += plan_row(row, names, catalog)
        except PlannerError as error:
            plans.append({**row, **dict.fromkeys(RESULTS), "error": str(error).replace("\n", "; ")})
    return plans


def plan_row(row: Mapping[str, Any], names: Names, catalog: Catalog) -> list[dict[str, Any]]:
    """Return the plan of a row; without a GPU, that of the fewest GPUs of every kind that start, the fewest first.

    Raises a PlannerError for unknown names, numbers out of range, and a model that cannot be read.
    """
    if row.get("gpu"):
        return [_plan(row, names, catalog)]
    engine = names.engine(row.get("engine") or "vllm").spec
    plans = [_plan({**row, "gpu": gpu}, names, catalog) for gpu in _gpus_of(engine, catalog)]
    return sorted(plans, key=lambda plan: (not plan["starts"], plan["gpus"], plan["gpu"]))


def _gpus_of(engine: EngineSpec, catalog: Catalog) -> Iterator[str]:
    return (gpu.spec.id for gpu in catalog.all(GpuSpec) if gpu.spec.vendor in engine.vendors)


def _plan(row: Mapping[str, Any], names: Names, catalog: Catalog) -> dict[str, Any]:
    """Return the plan of a row with a GPU: of its layout, or of the smallest one that starts, else of the largest."""
    options = list(_layouts(row, names))
    for run in options:
        found = _results(run, catalog)
        if found["starts"]:
            break
    layout = run.layout
    sizes = {f"{name}_parallel": size for name, size in dataclasses.asdict(layout).items()} if layout else {}
    stated = {"gpu": run.machine.gpu.spec.id, "engine": run.machine.engine.spec.id, "precision": run.precision.name}
    return {**row, **stated, "engine_version": run.machine.version, **sizes, **found}


def _layouts(row: Mapping[str, Any], names: Names) -> Iterator[Run]:
    """Yield the run of a row; where it leaves the layout open, one for each tensor parallelism in a fast domain.

    Where none is that small, the smallest there is.
    """
    run = resolve({**row, **_NO_LOAD}, names)
    if run.layout is not None:
        yield run
        return
    most = max(run.machine.domain_gpus, run.machine.node_gpus)
    options = choices(run)
    yield from [one for one in options if one.layout and one.layout.tensor <= most] or options[:1]


def _results(run: Run, catalog: Catalog) -> dict[str, Any]:
    """Return the results of a run whose layout is stated."""
    with ignoring_float_errors():
        cases = cases_of([run], catalog).rows_of_one()
        weights = memory.weight_bytes_per_gpu(cases.model, cases.layout)
        activations, others = memory.activation_bytes_per_gpu(cases), memory.other_bytes_per_gpu(cases)
        room = memory.kv_capacity_bytes(cases, weights, activations, others)
        longest = kv_cache.longest_context_tokens(cases, room)
        request = kv_cache.startup_bytes(cases)
        concurrency = np.maximum(room, 0.0) / request * cases.layout.data_parallel
    accepted, engine = run.model.max_context_tokens, run.machine.engine.spec
    fits = bool(longest >= 1.0)
    too_short = engine.holds_longest_request and float(concurrency) < float(cases.layout.data_parallel)
    counts = count_parameters(run.model)
    return {
        "gpus": run.layout.gpus if run.layout else None,
        "parameters": counts.total,
        "active_parameters": counts.active,
        "weights_bytes_per_gpu": float(weights),
        "activation_bytes_per_gpu": float(activations),
        "other_bytes_per_gpu": float(others),
        "cache_bytes_per_gpu": float(room),
        "kv_bytes_per_token": kv_bytes_per_token(cases),
        "cache_tokens": float(np.floor(concurrency * accepted)),
        "max_concurrency_at_max_model_len": float(concurrency),
        "longest_context_tokens": float(longest),
        "fits": fits,
        "starts": fits and not run.why_not and not too_short,
        "why": run.why_not or _why(fits=fits, too_short=too_short, run=run, room=float(room), longest=float(longest)),
        "error": "",
    }


def _why(*, fits: bool, too_short: bool, run: Run, room: float, longest: float) -> str:
    """Return why a deployment that its engine knows does not start; empty where it does."""
    if not fits:
        missing = "the cache has no room for a request" if room > 0.0 else f"{-room / 1e9:,.1f} GB per GPU are missing"
        return f"out of memory: {missing}"
    if too_short:
        accepted = run.model.max_context_tokens
        return f"one request of {accepted:,} tokens does not fit; expected max_model_len of at most {longest:,.0f}"
    return ""


def kv_bytes_per_token(cases: Cases) -> float:
    """Return what one more token of a request adds to the cache of the whole model while all windows last [bytes].

    Every layer counts once, however many ranks keep a copy.
    """
    one = np.ones(())
    one_gpu = dataclasses.replace(cases.layout, tensor_parallel=one)
    return float(kv_cache.cache_bytes(dataclasses.replace(cases, layout=one_gpu), one, one, one))
