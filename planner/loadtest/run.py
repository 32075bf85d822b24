"""Benchmark runs: a row's texts become names resolved, and runs become cases."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.catalog.catalog import Catalog
from planner.catalog.engine_settings import EngineSettings
from planner.catalog.model import ModelSpec
from planner.documents.spec import LARGEST, LARGEST_COUNT, SMALLEST
from planner.errors import BadInputError
from planner.loadtest.layouts import LOADS, Pool, deployments
from planner.loadtest.lookups import SETTINGS, Names
from planner.options.candidates import Candidate, Layout, Machine, Precision
from planner.options.lowering import lower_machine
from planner.options.shared_prefix import found_share
from planner.options.startup import why_not
from planner.scenario.load import parse_cell
from planner.scenario.scenario import MOST_DRAFTED, USUAL_ACCEPTANCE
from planner.serving.cases import Cases
from planner.serving.columns import LayoutColumns, WorkloadColumns
from planner.serving.normal import Array

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
    "shared_tokens",
    "prefill_gpus",
    "decode_gpus",
    "speculative_tokens",
    "length_spread",
    "acceptance",
    "prefill_tensor_parallel",
    "prefill_data_parallel",
    "prefill_expert_parallel",
    *EngineSettings.model_fields,
)
TEXTS = ("id", "model", "gpu", "engine", "engine_version", "precision", "kv_precision")

Row = Mapping[str, Any]
"""A run by column: TEXTS as text, NUMBERS as text in the cell of a sheet or as a number; None or empty: not stated."""

_WHOLE_SETTINGS = {"max_num_seqs", "max_num_batched_tokens", "max_model_len"}
_WHOLE = {name for name in NUMBERS if name.endswith(("_parallel", "gpus"))} | {"speculative_tokens"} | _WHOLE_SETTINGS
_SHARES = {"cached_share", "acceptance", "length_spread", "gpu_memory_utilization"}
_AT_LEAST_ONE = _WHOLE - {"speculative_tokens"} | {"input_tokens", "output_tokens"}


@dataclass(frozen=True)
class Run:
    """One benchmark run, its names resolved."""

    machine: Machine
    model: ModelSpec
    precision: Precision
    kv_format: str
    kv_bytes: float
    layout: Layout | None
    """None: the row leaves it open; see `choices`."""
    replicas: float
    """Replicas that share the load; of two pools the decode workers."""
    pool: Pool | None
    """The prefill workers, where the others only decode."""
    numbers: Mapping[str, float]
    why_not: str = ""
    """Why the engine does not start it; empty where it starts."""


def resolve(row: Row, names: Names) -> Run:
    """Return a row's run. Raises a PlannerError for unknown names and numbers out of range."""
    numbers = {name: _number(name, row.get(name)) for name in NUMBERS}
    if not math.isnan(numbers["concurrency"]) and not math.isnan(numbers["request_rate"]):
        raise BadInputError(
            "concurrency and request_rate are given together; expected one, or neither for maximum load"
        )
    stated = None if math.isnan(numbers["cached_share"]) else numbers["cached_share"]
    tokens = numbers["input_tokens"], numbers["shared_tokens"]
    numbers["cached_share"] = found_share(stated, *tokens, where=lambda _: "")
    given = {name: numbers[name] for name in EngineSettings.model_fields}
    settings = {name: "" if math.isnan(value) else f"{value:.10g}" for name, value in given.items()}
    model = names.model_up_to(row["model"], settings["max_model_len"])
    engine = names.engine(row.get("engine") or "vllm")
    gpu = names.gpu(row["gpu"])
    if gpu.spec.vendor not in engine.spec.vendors:
        raise BadInputError(
            f"{engine.spec.id} does not run on {gpu.spec.vendor}; expected {', '.join(engine.spec.vendors)}"
        )
    release = row.get("engine_version") or ""
    named = (row["gpu"], row.get("engine") or "vllm", release, *(settings[name] for name in SETTINGS))
    precision = names.precision(row.get("precision") or "native", row["model"], *named)
    kv_format, kv = names.format(row.get("kv_precision") or model.cache_format)
    run = Run(names.machine(*named), model, precision, kv_format, kv.weight_bytes, None, 1.0, None, numbers)
    options = choices(run)
    return options[0] if len(options) == 1 else run


def choices(run: Run) -> list[Run]:
    """Return an open run with each deployment that it may take and that starts, else the first one with the reason.

    Raises BadInputError where there is none.
    """
    options = [dataclasses.replace(run, **o._asdict()) for o in deployments(run.numbers, run.model, run.machine)]
    reasons = [_why_not(option) for option in options]
    starting = [option for option, why in zip(options, reasons, strict=True) if not why]
    return starting or [dataclasses.replace(options[0], why_not=reasons[0])]


def _why_not(run: Run) -> str:
    """Return why the engine does not start a run's deployment; empty where it starts."""
    layouts = (run.layout, run.pool.layout if run.pool else None)
    reasons = (why_not(run.model, run.machine, run.precision, layout, run.kv_format) for layout in layouts if layout)
    return next((reason for reason in reasons if reason), "")


def _number(name: str, cell: str | float | None) -> float:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        if name in {"input_tokens", "output_tokens"}:
            raise BadInputError(f"{name} is missing; expected a number of tokens")
        return 0.0 if name == "shared_tokens" else math.nan
    value = parse_cell(cell, name) if isinstance(cell, str) else cell
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadInputError(f"{name} {cell!r} is not a number")
    if value == 0 and name in LOADS:
        raise BadInputError(f"{name} is zero; expected a positive number")
    if expected := _out_of_range(name, value):
        raise BadInputError(f"{name} {value:g} is out of range; expected {expected}")
    if name in _WHOLE and value != int(value):
        counted = {"seqs": "sequences", "gpus": "GPUs", "len": "tokens", "parallel": "GPUs or stages"}
        last = name.rpartition("_")[2]
        unit = counted.get(last, last)
        raise BadInputError(f"{name} {value:g} is not a whole number; expected {unit}")
    return float(value)


def _out_of_range(name: str, value: float) -> str:
    """Return the range a number had to be in; empty where it is. The bounds are those of scenarios."""
    least = 1 if name in _AT_LEAST_ONE else 0
    most = MOST_DRAFTED if name == "speculative_tokens" else LARGEST_COUNT if name in _WHOLE else LARGEST
    if name in _SHARES:
        inside = 0 <= value < 1 or (value == 1 and name != "acceptance")
        return "" if inside else "a share between 0 and 1" + " (below 1)" * (name == "acceptance")
    if value < least:
        return "a positive number" if name in LOADS else f"at least {least}"
    if value > most:
        return f"at most {most:g}"
    return f"at least {SMALLEST:g}" if 0 < value < SMALLEST else ""


def cases_of(runs: Sequence[Run], catalog: Catalog) -> Cases:
    """Return the cases of runs: one row each, a layout of one GPU where it is open.

    A model on a machine is lowered once, however many runs it has.
    """
    parts: dict[tuple[int, int, str], Cases] = {}
    keys = []
    for run in runs:
        key = (id(run.model), id(run.machine), run.precision.name)
        if key not in parts:
            option = Candidate(run.machine, run.precision, run.layout or Layout(1), None)
            parts[key] = lower_machine(run.model, option, catalog)
        keys.append(key)
    position = {key: i for i, key in enumerate(parts)}
    rows = stack(list(parts.values()), np.asarray([position[key] for key in keys]))
    return dataclasses.replace(rows, layout=layouts(runs), workload=_workloads(runs))


def layouts(runs: Sequence[Run], *, of_prefill: bool = False) -> LayoutColumns:
    """Return the layouts of runs, or of their prefill workers; one GPU where a layout is open."""
    layouts = [(run.pool.layout if of_prefill and run.pool else run.layout) or Layout(1) for run in runs]
    rows = [
        (one.tensor, one.pipeline, one.data, one.expert, run.kv_bytes, *_speculation(run.numbers))
        for one, run in zip(layouts, runs, strict=True)
    ]
    return LayoutColumns(*np.asarray(rows, dtype=np.float64).T.copy())


def _speculation(numbers: Mapping[str, float]) -> tuple[float, float]:
    """Return (drafted tokens a step, acceptance)."""
    drafted, acceptance = numbers["speculative_tokens"], numbers["acceptance"]
    if math.isnan(drafted):
        return 0.0, 0.0
    return drafted, USUAL_ACCEPTANCE if math.isnan(acceptance) else acceptance


def _workloads(runs: Sequence[Run]) -> WorkloadColumns:
    """Return the workloads of runs: one component each, constant lengths, one sample, one turn."""

    def column(name: str) -> Array:
        return np.asarray([run.numbers[name] for run in runs])[:, None]

    output = column("output_tokens")
    constant = dict.fromkeys(
        ("input_tokens_cv", "generated_tokens_cv", "answer_tokens_cv", "thinking_tokens_cv"), np.zeros_like(output)
    )
    once = dict.fromkeys(
        ("share", "reasoning_multiplier", "samples_per_answer", "turns_per_answer"), np.ones_like(output)
    )
    return WorkloadColumns(
        input_tokens_mean=column("input_tokens"),
        answer_tokens_mean=output,
        max_tokens=2.0 * output,
        cached_share=column("cached_share"),
        shared_tokens=column("shared_tokens"),
        **constant,
        **once,
    )


def stack(cases: Sequence[Cases], index: NDArray[np.intp]) -> Cases:
    """Return single cases as rows along a new leading axis: row i is cases[index[i]]."""
    groups: dict[str, Any] = {}
    for name, group in cases[0].groups():
        members = [getattr(c, name) for c in cases]
        groups[name] = type(group)(
            **{field: np.stack([getattr(m, field) for m in members])[index] for field, _ in group.items()}
        )
    return Cases(**groups)
