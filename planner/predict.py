"""What a benchmark would show: closed loop (concurrency), open loop (request rate), or maximum load, row by row."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.cases.candidates import Candidate, Layout, Machine, Precision, named_precision
from planner.cases.columns import Array, Cases, LayoutColumns, WorkloadColumns
from planner.cases.lower import lower_machine
from planner.errors import BadInputError, PlannerError, did_you_mean
from planner.options import machine_basis
from planner.physics.special import Mask
from planner.serving.benchmark import Shown, Traffic, shown
from planner.serving.power import busy_power_at
from planner.serving.replica import Replica, build_replica
from planner.serving.steady import length_quantiles
from planner.specs.catalog import Catalog, model_note
from planner.specs.hardware import EngineSpec, GpuSpec, SystemSpec
from planner.specs.model import ModelSpec
from planner.specs.question import parse_value
from planner.unseen import error_bounds, unseen

REQUIRED = ("model", "gpu", "input_tokens", "output_tokens")
NUMBERS = (
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "expert_parallel",
    "gpus",
    "input_tokens",
    "output_tokens",
    "concurrency",
    "request_rate",
    "cached_share",
    "prefill_gpus",
    "decode_gpus",
    "speculative_tokens",
    "length_spread",
)
TEXTS = ("id", "model", "gpu", "engine", "engine_version", "precision", "kv_precision")
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
_SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Run:
    """One benchmark run, its names resolved."""

    machine: Machine
    model: ModelSpec
    precision: Precision
    kv_bytes: float
    layout: Layout | None
    """None: the smallest tensor parallelism that fits."""
    replicas: float
    numbers: Mapping[str, float]


def predict(rows: Sequence[Mapping[str, str]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return each row with its predictions and their INTERVALS; a row that cannot be predicted says why in `error`."""
    runs: dict[int, Run] = {}
    out: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        out.append({**row, **dict.fromkeys((*OUTPUTS, *INTERVALS)), "error": ""})
        try:
            runs[index] = resolve(row, catalog)
        except PlannerError as error:
            out[index]["error"] = error.message
    if runs:
        sized = _with_layouts(list(runs.values()), catalog)
        for index, result in zip(runs, _solve(sized, catalog), strict=True):
            out[index] |= result
    return out


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
            hint = did_you_mean(name, known) or f" Known: {', '.join(known)}."
            raise BadInputError(f"unknown column {name!r}.{hint} Columns that start with x_ pass through.")


def name_notes(rows: Sequence[Mapping[str, str]], catalog: Catalog) -> list[str]:
    """Return how the names of models and GPUs were read, where they are not ids; unknown ones are the rows' errors."""
    found: list[str] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        with suppress(PlannerError):
            seen = catalog.find(ModelSpec, model)
            found += [model_note(seen)] if seen.note else []
    for gpu in dict.fromkeys(row["gpu"] for row in rows):
        with suppress(PlannerError):
            note = catalog.find(GpuSpec, gpu).note
            found += [f"GPU {note}"] if note else []
    return found


def resolve(row: Mapping[str, str], catalog: Catalog) -> Run:
    """Return a row's run. Raises a PlannerError for unknown names and numbers out of range."""
    numbers = {name: _number(name, row.get(name) or "") for name in NUMBERS}
    for name in ("prefill_gpus", "decode_gpus", "speculative_tokens"):
        if numbers[name] > 0:
            raise BadInputError(
                f"{name}: {'disaggregated pools are' if 'gpus' in name else 'speculative decoding is'} not modelled"
            )
    if not math.isnan(numbers["concurrency"]) and not math.isnan(numbers["request_rate"]):
        raise BadInputError(
            "concurrency and request_rate are given together; expected one, or neither for maximum load"
        )
    model = catalog.get(ModelSpec, row["model"]).spec
    gpu = catalog.get(GpuSpec, row["gpu"])
    engine = catalog.get(EngineSpec, row.get("engine") or "vllm")
    if gpu.spec.vendor not in engine.spec.vendors:
        raise BadInputError(
            f"{engine.spec.id} does not run on {gpu.spec.vendor}; expected {', '.join(engine.spec.vendors)}"
        )
    system = next((s for s in catalog.all(SystemSpec) if s.spec.gpu == gpu.spec.id), None)
    precision = named_precision(row.get("precision") or "native", catalog, model)
    _, kv = catalog.format(row.get("kv_precision") or "bf16")
    layout = _layout(numbers)
    heads = max(group.heads for group in model.attention)
    if layout and heads % layout.tensor:
        raise BadInputError(
            f"tensor_parallel {layout.tensor} does not divide the {heads} attention heads of {model.id}"
        )
    if layout and not math.isnan(numbers["gpus"]) and numbers["gpus"] < layout.gpus:
        raise BadInputError(f"gpus {numbers['gpus']:g} is less than TP x PP x DP = {layout.gpus}")
    replicas = numbers["gpus"] / layout.gpus if layout and not math.isnan(numbers["gpus"]) else 1.0
    return Run(Machine(gpu, system, engine), model, precision, kv.weight_bytes, layout, replicas, numbers)


def _number(name: str, text: str) -> float:
    if not text.strip():
        if name in {"input_tokens", "output_tokens"}:
            raise BadInputError(f"{name} is missing; expected a number of tokens")
        return {"cached_share": 0.0}.get(name, math.nan)
    value = parse_value(text, "")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadInputError(f"{name} {text!r} is not a number")
    least = 1.0 if name.endswith(("_parallel", "_tokens")) and name != "speculative_tokens" else 0.0
    if value < least or (name in {"concurrency", "request_rate", "gpus"} and value == 0):
        raise BadInputError(
            f"{name} {value:g} is out of range; expected at least {least:g}"
            if value < least
            else f"{name} is zero; expected a positive number"
        )
    if name.endswith("_parallel") and value != int(value):
        raise BadInputError(f"{name} {value:g} is no whole number; expected GPUs or stages")
    if name == "cached_share" and value > 1:
        raise BadInputError(f"cached_share {value:g} is out of range; expected a share between 0 and 1")
    return float(value)


def _layout(numbers: Mapping[str, float]) -> Layout | None:
    given = {k: numbers[f"{k}_parallel"] for k in ("tensor", "pipeline", "data", "expert")}
    if math.isnan(given["tensor"]) and math.isnan(given["data"]):
        if math.isnan(numbers["gpus"]):
            return None
        given["tensor"] = numbers["gpus"] / (1.0 if math.isnan(given["pipeline"]) else given["pipeline"])
    whole = {k: 1 if math.isnan(v) else int(v) for k, v in given.items()}
    return Layout(**whole)


def _with_layouts(runs: list[Run], catalog: Catalog) -> list[Run]:
    """Give every run without a layout the smallest tensor parallelism whose memory holds the run."""
    sized = list(runs)
    open_runs = [i for i, run in enumerate(runs) if run.layout is None]
    for size in _SIZES:
        for i in open_runs:
            sized[i] = dataclasses.replace(runs[i], layout=Layout(size))
        if open_runs:
            fits = _fits(build_replica(cases_of([sized[i] for i in open_runs], catalog)))
            open_runs = [i for i, ok in zip(open_runs, fits, strict=True) if not ok]
    return sized


def cases_of(runs: Sequence[Run], catalog: Catalog) -> Cases:
    """Return the cases of runs: one row each, all columns stacked."""
    parts: dict[tuple[int, str, str, str], Cases] = {}
    stacked = []
    for run in runs:
        layout = run.layout or Layout(1)
        key = (id(run.model), run.machine.gpu.spec.id, run.machine.engine.spec.id, run.precision.name)
        if key not in parts:
            parts[key] = lower_machine(run.model, Candidate(run.machine, run.precision, layout, None), catalog)
        columns = WorkloadColumns(**{name: np.asarray([value]) for name, value in _workload(run.numbers).items()})
        spread = LayoutColumns(
            *(np.asarray(float(v)) for v in (layout.tensor, layout.pipeline, layout.data, layout.expert, run.kv_bytes))
        )
        stacked.append(dataclasses.replace(parts[key], workload=columns, layout=spread))
    return stack(stacked)


def _workload(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the workload's columns of a run: constant lengths, one sample, one turn."""
    output = numbers["output_tokens"]
    constant = dict.fromkeys(("input_tokens_cv", "generated_tokens_cv", "answer_tokens_cv", "thinking_tokens_cv"), 0.0)
    once = dict.fromkeys(("share", "reasoning_multiplier", "samples_per_answer", "turns_per_answer"), 1.0)
    lengths = {"input_tokens_mean": numbers["input_tokens"], "answer_tokens_mean": output, "max_tokens": 2.0 * output}
    return constant | once | lengths | {"cached_share": numbers["cached_share"]}


def stack(cases: Sequence[Cases]) -> Cases:
    """Return single cases stacked along a new leading axis."""
    first = cases[0]
    groups: dict[str, Any] = {}
    for name, group in first.groups():
        members = [getattr(c, name) for c in cases]
        groups[name] = type(group)(
            **{field: np.stack([getattr(m, field) for m in members]) for field, _ in group.items()}
        )
    return Cases(**groups)


def _fits(replica: Replica) -> Mask:
    return np.asarray(replica.memory.max_running_sequences >= 1.0)


@dataclass(frozen=True, eq=False)
class Solved:
    """What benchmark runs show, and why some cannot run."""

    columns: dict[str, Array]
    """NaN where there is no number."""
    has_room: Mask
    too_long: Mask
    """Input and output exceed the model's context."""
    overloaded: Mask
    engine_first: Mask
    """The engine's limit on sequences binds before the KV cache."""


def solve_runs(cases: Cases, runs: Sequence[Run]) -> Solved:
    """Return what runs show; `cases` are those of the runs, or the same with other factors."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        replica, lengths = build_replica(cases), length_quantiles(cases)
        in_context = replica.tokens.input_tokens_per_answer + replica.tokens.generated_tokens_mean
        too_long, has_room = in_context > cases.model.max_context_tokens, _fits(replica)
        replicas = np.asarray([run.replicas for run in runs])
        concurrency = np.asarray([run.numbers["concurrency"] for run in runs]) / replicas
        rate = np.asarray([run.numbers["request_rate"] for run in runs]) / replicas
        equal = np.asarray([run.numbers["length_spread"] == 0.0 for run in runs])
        found = shown(replica, lengths, has_room & ~too_long, Traffic(concurrency, rate, equal))
        engine_first = replica.memory.max_running_sequences < replica.memory.sequences_that_fit
        return Solved(_columns(cases, replica, found, replicas), has_room, too_long, found.overloaded, engine_first)


def _solve(runs: Sequence[Run], catalog: Catalog) -> list[dict[str, Any]]:
    found = solve_runs(cases_of(runs, catalog), runs)
    results = []
    for i, run in enumerate(runs):
        values = {k: None if math.isnan(v[i]) else float(v[i]) for k, v in found.columns.items()}
        fits = bool(found.has_room[i] and not found.too_long[i])
        basis = machine_basis(run.machine.engine.spec, run.model, run.machine.gpu.spec)
        verdict = {"fits": fits, "limit": "", "basis": basis, "error": ""}
        if not found.has_room[i]:
            verdict |= {"limit": "memory", "error": "does not fit: weights and one request exceed the memory"}
        elif found.too_long[i]:
            most = f"{run.model.max_context_tokens:,} tokens"
            verdict |= {"limit": "context", "error": f"input and output exceed the model's context of {most}"}
        elif found.overloaded[i]:
            served = f"{values['requests_per_s']:.4g} requests/s"
            limit = "max_sequences" if found.engine_first[i] else "kv_cache"
            verdict |= {"limit": limit, "error": f"request_rate is more than it can serve, {served} at most"}
        results.append(values | _intervals(run, values) | verdict)
    return results


def _intervals(run: Run, values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return each number times p10 and p90 of measured over predicted on runs as new to the fit as this one."""
    engine, lengths = run.machine.engine.spec, (run.numbers["input_tokens"], run.numbers["output_tokens"])
    bounds = error_bounds(engine, unseen(engine, run.model, run.machine.gpu.spec, lengths))
    found: dict[str, float | None] = {}
    for name, metric in ERRORS_OF.items():
        value, sides = values[name], bounds[metric] if bounds else (None, None)
        for bound, side in zip(("p10", "p90"), sides, strict=True):
            found[f"{name}_{bound}"] = None if value is None or side is None else value * side
    return found


def _columns(cases: Cases, replica: Replica, found: Shown, replicas: Array) -> dict[str, Array]:
    load = found.load
    requests = load.answers_per_s * replicas
    output = requests * replica.tokens.generated_tokens_per_answer
    gpus = replicas * replica.gpus_per_replica
    return {
        "ttft_mean_s": found.ttft_mean_s,
        "ttft_p50_s": found.ttft_p50_s,
        "ttft_p99_s": found.ttft_p99_s,
        "tpot_mean_s": load.step_s,
        "tpot_p99_s": found.tpot_p99_s,
        "output_tokens_per_s": output,
        "output_tokens_per_s_per_gpu": output / gpus,
        "total_tokens_per_s_per_gpu": (output + requests * replica.tokens.input_tokens_per_answer) / gpus,
        "requests_per_s": requests,
        "running_batch": load.running * replicas,
        "power_w_per_gpu": busy_power_at(cases, replica, load),
    }
