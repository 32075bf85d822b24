"""Benchmark runs: a row's texts become names resolved, and runs become cases."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.catalog.catalog import Catalog
from planner.catalog.model import ModelSpec
from planner.documents.spec import LARGEST, LARGEST_COUNT, SMALLEST
from planner.errors import BadInputError
from planner.loadtest.lookups import Names
from planner.options.candidates import Candidate, Layout, Machine, Precision, usual_layouts
from planner.options.lowering import lower_machine
from planner.scenario.load import parse_cell
from planner.scenario.scenario import MOST_DRAFTED, USUAL_ACCEPTANCE
from planner.serving.cases import Array, Cases, LayoutColumns, WorkloadColumns

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
    "acceptance",
    "prefill_tensor_parallel",
    "prefill_data_parallel",
    "prefill_expert_parallel",
)
TEXTS = ("id", "model", "gpu", "engine", "engine_version", "precision", "kv_precision")


_WHOLE = {name for name in NUMBERS if name.endswith(("_parallel", "gpus"))} | {"speculative_tokens"}
_SHARES = {"cached_share", "acceptance", "length_spread"}
_LOADS = {"concurrency", "request_rate"}
_AT_LEAST_ONE = _WHOLE - {"speculative_tokens"} | {"input_tokens", "output_tokens"}
_TENSOR_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0)
_OF_PREFILL = ("prefill_tensor_parallel", "prefill_data_parallel", "prefill_expert_parallel")


_LOOKED_AROUND = 4096
"""GPUs more or fewer among which a number that can be split is looked for."""


class Pool(NamedTuple):
    """Equal workers."""

    layout: Layout
    workers: float
    """NaN where the split of the run's GPUs is yet to be solved."""


@dataclass(frozen=True)
class Run:
    """One benchmark run, its names resolved."""

    machine: Machine
    model: ModelSpec
    precision: Precision
    kv_bytes: float
    layout: Layout | None
    """None: the row leaves it open; see `choices`."""
    replicas: float
    """Replicas that share the load; of two pools the decode workers."""
    pool: Pool | None
    """The workers that only read prompts, where answers are written by others."""
    numbers: Mapping[str, float]


def resolve(row: Mapping[str, str], names: Names) -> Run:
    """Return a row's run. Raises a PlannerError for unknown names and numbers out of range."""
    numbers = {name: _number(name, row.get(name) or "") for name in NUMBERS}
    if not math.isnan(numbers["concurrency"]) and not math.isnan(numbers["request_rate"]):
        raise BadInputError(
            "concurrency and request_rate are given together; expected one, or neither for maximum load"
        )
    model = names.model(row["model"]).spec
    gpu = names.gpu(row["gpu"])
    engine = names.engine(row.get("engine") or "vllm")
    if gpu.spec.vendor not in engine.spec.vendors:
        raise BadInputError(
            f"{engine.spec.id} does not run on {gpu.spec.vendor}; expected {', '.join(engine.spec.vendors)}"
        )
    system = names.system(gpu.spec.id)
    precision = names.precision(row.get("precision") or "native", row["model"])
    kv = names.format(row.get("kv_precision") or "bf16")
    run = Run(Machine(gpu, system, engine), model, precision, kv.weight_bytes, None, 1.0, None, numbers)
    if _split_is_open(numbers) or not layout_is_open(numbers):
        return _laid_out(run, numbers)
    found = choices(run)
    return found[0] if len(found) == 1 else run


def choices(run: Run) -> list[Run]:
    """Return an open run with each layout it may take: by tensor parallelism, the smallest first, then the others.

    Replicas use all GPUs the row names. Others than tensor parallelism are looked at where the row asks for the most
    that its GPUs can do. Raises BadInputError where there is none.
    """
    found: list[Run] = []
    errors: list[BadInputError] = []
    for sizes in _sizes(run):
        try:
            laid_out = _laid_out(run, {**run.numbers, **sizes})
        except BadInputError as error:
            errors.append(error)
        else:
            found += [] if laid_out.layout in [one.layout for one in found] else [laid_out]
    if not found and not errors:
        expert = run.numbers["expert_parallel"]
        raise BadInputError(f"expert_parallel {expert:g} needs a tensor_parallel or data_parallel that it divides")
    if not found:
        raise errors[0]
    return found


def most_asked(run: Run) -> bool:
    """Return whether a run asks for the most that a given number of GPUs can do."""
    return has_gpus(run.numbers) and all(math.isnan(run.numbers[name]) for name in _LOADS)


def has_gpus(numbers: Mapping[str, float]) -> bool:
    """Return whether a row says how many GPUs it has."""
    return not math.isnan(numbers["gpus"]) or not math.isnan(numbers["prefill_gpus"])


def layout_is_open(numbers: Mapping[str, float]) -> bool:
    """Return whether a row leaves the layout of its replicas, or decode workers, open."""
    return math.isnan(numbers["tensor_parallel"]) and math.isnan(numbers["data_parallel"])


def _sizes(run: Run) -> Iterator[dict[str, float]]:
    """Yield values for the layout columns that an open run leaves empty."""
    expert = run.numbers["expert_parallel"]
    yield from ({"tensor_parallel": size} for size in _TENSOR_SIZES if math.isnan(expert) or size % expert == 0)
    if most_asked(run) and math.isnan(run.numbers["prefill_gpus"]):
        for one in usual_layouts(run.model, run.machine):
            sizes = {f"{name}_parallel": float(size) for name, size in dataclasses.asdict(one).items()}
            if all(math.isnan(run.numbers[name]) or run.numbers[name] == size for name, size in sizes.items()):
                yield sizes


def _laid_out(run: Run, numbers: Mapping[str, float]) -> Run:
    """Return a run with the layouts that numbers say. Raises BadInputError where its GPUs or heads do not divide."""
    pool: Pool | None = None
    if not math.isnan(numbers["prefill_gpus"]) or not math.isnan(numbers["decode_gpus"]):
        layout, pool = _pools(numbers)
    elif _split_is_open(numbers):
        layout, pool = _open_pools(numbers)
    else:
        layout = _layout(numbers)
    heads = max(group.heads for group in run.model.attention)
    for name, one in (("tensor_parallel", layout), ("prefill_tensor_parallel", pool.layout if pool else layout)):
        if heads % one.tensor:
            raise BadInputError(f"{name} {one.tensor} does not divide the {heads} attention heads of {run.model.id}")
    if not pool and numbers["gpus"] < layout.gpus:
        raise BadInputError(f"gpus {numbers['gpus']:g} is less than TP x PP x DP = {layout.gpus}")
    if not pool and numbers["gpus"] % layout.gpus > 0:
        raise BadInputError(f"gpus {numbers['gpus']:g} is no multiple of TP x PP x DP = {layout.gpus}")
    of_replicas = numbers["decode_gpus"] if pool else numbers["gpus"]
    replicas = 1.0 if math.isnan(of_replicas) else of_replicas / layout.gpus
    return dataclasses.replace(run, layout=layout, replicas=replicas, pool=pool)


def _split_is_open(numbers: Mapping[str, float]) -> bool:
    """Return whether a row has a prefill worker's layout, but not the GPUs of each pool."""
    of_pools = (numbers["prefill_gpus"], numbers["decode_gpus"])
    return all(map(math.isnan, of_pools)) and not all(math.isnan(numbers[name]) for name in _OF_PREFILL)


def _pools(numbers: Mapping[str, float]) -> tuple[Layout, Pool]:
    """Return (a decode worker's layout, the prefill pool): the plain layout columns are the decode workers'."""
    for name, other in (("prefill_gpus", "decode_gpus"), ("decode_gpus", "prefill_gpus")):
        if math.isnan(numbers[name]):
            raise BadInputError(f"{name} is missing beside {other}; expected the GPUs of both pools")
    if not math.isnan(numbers["gpus"]) and numbers["gpus"] != numbers["prefill_gpus"] + numbers["decode_gpus"]:
        raise BadInputError(f"gpus {numbers['gpus']:g} is not the sum of prefill_gpus and decode_gpus; leave it empty")
    decode = _layout(numbers)
    prefill = _prefill_layout(numbers) or decode
    for name, layout in (("prefill_gpus", prefill), ("decode_gpus", decode)):
        if numbers[name] % layout.gpus:
            raise BadInputError(f"{name} {numbers[name]:g} is no multiple of a worker's {layout.gpus} GPUs")
    return decode, Pool(prefill, numbers["prefill_gpus"] / prefill.gpus)


def _prefill_layout(numbers: Mapping[str, float]) -> Layout | None:
    """Return a prefill worker's own layout; None where the run gives none."""
    given = {k: numbers[f"prefill_{k}_parallel"] for k in ("tensor", "data", "expert")}
    if math.isnan(given["tensor"]) and math.isnan(given["data"]):
        return None
    return Layout(**{k: 1 if math.isnan(v) else int(v) for k, v in given.items()})


def _open_pools(numbers: Mapping[str, float]) -> tuple[Layout, Pool]:
    """Return (a decode worker's layout, the prefill pool) where both share `gpus`: its workers are yet to be split."""
    named = next(name for name in _OF_PREFILL if not math.isnan(numbers[name]))
    if math.isnan(numbers["gpus"]) or layout_is_open(numbers):
        missing = "gpus" if math.isnan(numbers["gpus"]) else "tensor_parallel or data_parallel of a decode worker"
        raise BadInputError(
            f"{named} is given without {missing}; expected it, to solve the split, or prefill_gpus and decode_gpus"
        )
    decode = _layout(numbers)
    prefill, gpus = _prefill_layout(numbers) or decode, numbers["gpus"]
    sizes = (prefill.gpus, decode.gpus)
    if not whole_splits(gpus, *sizes):
        least, around = sum(sizes), range(1, min(sum(sizes), _LOOKED_AROUND) + 1)
        near = [next((g for d in around if whole_splits(g := gpus + s * d, *sizes)), None) for s in (-1, 1)]
        hint = ", ".join(f"{g:g}" for g in near if g) or f"{least} or more"
        raise BadInputError(
            f"gpus {gpus:g} cannot be split into prefill workers of {sizes[0]} and decode workers of {sizes[1]} GPUs; "
            f"nearest: {hint}"
        )
    return decode, Pool(prefill, math.nan)


def whole_splits(gpus: float, reader: int, writer: int) -> range:
    """Return u >= 1 with u x reader + v x writer = gpus for some v >= 1; sizes are GPUs of a worker.

    >>> list(whole_splits(32, 8, 4)), list(whole_splits(14, 8, 4))
    ([1, 2, 3], [])
    """
    common = math.gcd(reader, writer)
    if gpus % common:
        return range(0)
    step = writer // common  # u x reader = gpus in whole steps: the inverse says where they begin
    first = int(gpus) // common * pow(reader // common, -1, step) % step or step
    return range(first, (int(gpus) - writer) // reader + 1, step)


def _number(name: str, text: str) -> float:
    if not text.strip():
        if name in {"input_tokens", "output_tokens"}:
            raise BadInputError(f"{name} is missing; expected a number of tokens")
        return {"cached_share": 0.0}.get(name, math.nan)
    value = parse_cell(text, name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadInputError(f"{name} {text!r} is not a number")
    if value == 0 and name in _LOADS:
        raise BadInputError(f"{name} is zero; expected a positive number")
    if expected := _out_of_range(name, value):
        raise BadInputError(f"{name} {value:g} is out of range; expected {expected}")
    if name in _WHOLE and value != int(value):
        unit = "GPUs or stages" if name.endswith("_parallel") else name.rpartition("_")[2].replace("gpus", "GPUs")
        raise BadInputError(f"{name} {value:g} is no whole number; expected {unit}")
    return float(value)


def _out_of_range(name: str, value: float) -> str:
    """Return the range a number had to be in; empty where it is. The bounds are those of scenarios."""
    least = 1 if name in _AT_LEAST_ONE else 0
    most = MOST_DRAFTED if name == "speculative_tokens" else LARGEST_COUNT if name in _WHOLE else LARGEST
    if name in _SHARES:
        inside = 0 <= value < 1 or (value == 1 and name != "acceptance")
        return "" if inside else "a share between 0 and 1" + " (below 1)" * (name == "acceptance")
    if value < least:
        return "a positive number" if name in _LOADS else f"at least {least}"
    if value > most:
        return f"at most {most:g}"
    return f"at least {SMALLEST:g}" if 0 < value < SMALLEST else ""


def _layout(numbers: Mapping[str, float]) -> Layout:
    """Return the layout that the layout columns say; a degree that is empty is 1."""
    given = {k: numbers[f"{k}_parallel"] for k in ("tensor", "pipeline", "data", "expert")}
    return Layout(**{k: 1 if math.isnan(v) else int(v) for k, v in given.items()})


def cases_of(runs: Sequence[Run], catalog: Catalog) -> Cases:
    """Return the cases of runs: one row each, a layout of one GPU where it is open.

    A model on a machine is lowered once, however many runs it has.
    """
    parts: dict[tuple[int, str, str, str], Cases] = {}
    keys = []
    for run in runs:
        key = (id(run.model), run.machine.gpu.spec.id, run.machine.engine.spec.id, run.precision.name)
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
