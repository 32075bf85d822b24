"""Measured benchmark runs, lowered to the planner's cases, and what the planner says about them."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError, DataMissingError, PlannerError
from planner.loadtest.lookups import Names
from planner.loadtest.run import Row, Run, cases_of, resolve
from planner.loadtest.solve import solve_runs
from planner.options.engine_factors import at_speed, vendor_speed
from planner.options.layer_kinds import LAYER_KINDS, layer_kinds
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.closed_loop import Traffic, closed_ttft_mean_s, in_waves, wave_load, wave_ttft_s
from planner.serving.normal import Array, Mask
from planner.serving.replica import build_replica
from planner.serving.steady_state import load_at

TITLES = {"ttft_mean_s": "TTFT", "tpot_mean_s": "TPOT", "output_tokens_per_s_per_gpu": "tokens/s"}
"""What is compared, a column of `predict`, and its name in tables and sources."""
METRICS = tuple(TITLES)
FOLDS = ("model", "gpu", "engine")
LENGTHS = (600, 1500, 5000)
"""Input tokens that part orders of length."""
CONTRADICTS = 1.5
"""Ratio of TPOT from which two runs of one configuration contradict each other; engine versions explain 1.3."""
UNSTEADY = 1.5
"""Ratio between a run's throughput and that of its latencies from which it is no steady state."""
_LOAD = ("input_tokens", "output_tokens", "concurrency", "cached_share", "speculative_tokens", "acceptance")
_SAME = {"deepseek-r1": "deepseek-v3", "deepseek-r1-0528": "deepseek-v3", "deepseek-v3.1": "deepseek-v3"}
"""Models of one architecture, which leave a fit together."""


def same_models(name: str) -> set[str]:
    """Return the models of a model's architecture and size that run as one with it, itself among them."""
    one = _SAME.get(name, name)
    return {name, one, *(other for other, same in _SAME.items() if same == one)}


@dataclass(frozen=True, eq=False)
class Bench:
    """Measured runs in a closed loop: one case each."""

    ids: tuple[str, ...]
    runs: tuple[Run, ...]
    cases: Cases
    kinds: dict[str, Array]
    """LAYER_KINDS -> how many layers of the kind the run's model has."""
    vendor_speed: Array
    """Speed of the engine on the run's GPU over what its factors say."""
    concurrency: Array
    """Requests in flight on a replica."""
    equal_lengths: Mask
    """All prompts of one length, and all outputs."""
    measured: dict[str, Array]
    """METRICS as measured; NaN where a run has none."""
    left_out: dict[str, str]
    """Rows that cannot be predicted: id -> why."""

    def labels(self, kind: str) -> list[str]:
        """Return the model, architecture, GPU, engine or order of length of each run; DeepSeek V3 and R1 are one."""
        names: dict[str, Callable[[Run], str]] = {
            "model": lambda run: _SAME.get(run.model.id, run.model.id),
            "architecture": lambda run: run.model.architecture,
            "lengths": lambda run: str(np.searchsorted(LENGTHS, run.numbers["input_tokens"])),
            "gpu": lambda run: run.machine.gpu.spec.id,
            "engine": lambda run: run.machine.engine.spec.id,
        }
        return [names[kind](run) for run in self.runs]

    def part(self, use: Mask) -> "Bench":
        """Return some of the runs."""
        index = np.flatnonzero(use)
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in index),
            runs=tuple(self.runs[i] for i in index),
            cases=self.cases.rows(index),
            kinds={name: values[index] for name, values in self.kinds.items()},
            vendor_speed=self.vendor_speed[index],
            concurrency=self.concurrency[index],
            equal_lengths=self.equal_lengths[index],
            measured={name: values[index] for name, values in self.measured.items()},
        )


def prepare(rows: Sequence[Row], catalog: Catalog) -> Bench:
    """Return the runs of `predict` rows with a measured TPOT in a closed loop.

    Raises DataMissingError where no row can be used.
    """
    names, ids, runs, measured, left_out = Names(catalog), [], [], [], {}
    for row in rows:
        try:
            run = resolve(row, names)
            found = measured_of(row, run)
            if math.isnan(found["tpot_mean_s"]) or math.isnan(run.numbers["concurrency"]) or run.layout is None:
                raise BadInputError("needs measured_tpot_mean_s, concurrency and tensor_parallel or data_parallel")
            if run.pool is not None:
                raise BadInputError("the run has a prefill pool; such runs are not fitted")
        except PlannerError as error:
            left_out[row.get("id", "")] = str(error).replace("\n", "; ")
            continue
        ids.append(row.get("id", ""))
        runs.append(run)
        measured.append(found)
    if not runs:
        why = f"; the first: {next(iter(left_out.values()))}" if left_out else ""
        raise DataMissingError(f"none of {len(rows)} runs can be used{why}")
    kinds = [layer_kinds(run.model, run.precision, run.machine.gpu.spec) for run in runs]
    return Bench(
        ids=tuple(ids),
        runs=tuple(runs),
        cases=cases_of(runs, catalog),
        kinds={name: np.asarray([of_run[name] for of_run in kinds]) for name in LAYER_KINDS},
        vendor_speed=np.asarray([vendor_speed(run.machine.engine.spec.factors, run.machine.gpu.spec) for run in runs]),
        concurrency=np.asarray([run.numbers["concurrency"] / run.replicas for run in runs]),
        equal_lengths=np.asarray([run.numbers["length_spread"] == 0.0 for run in runs]),
        measured={name: np.asarray([values[name] for values in measured]) for name in METRICS},
        left_out=left_out,
    )


def contradictions(bench: Bench) -> list[str]:
    """Return a sentence for each configuration whose runs differ by more than CONTRADICTS in TPOT, the widest first."""
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, run in enumerate(bench.runs):
        names = (run.model.id, run.machine.gpu.spec.id, run.machine.engine.spec.id, run.precision.name)
        numbers = (str(run.numbers[name]) for name in _LOAD)
        alike[*names, run.kv_bytes, run.layout, run.replicas, run.pool, *numbers].append(i)
    tpot, found = bench.measured["tpot_mean_s"], {}
    for runs in alike.values():
        fast, slow = min(runs, key=tpot.__getitem__), max(runs, key=tpot.__getitem__)
        times = tpot[slow] / tpot[fast]
        if times > CONTRADICTS:
            found[fast, slow] = times
    return [
        f"runs {bench.ids[fast]} and {bench.ids[slow]} are the same configuration but differ {times:.1f} times in "
        f"TPOT, {tpot[fast] * 1e3:.4g} and {tpot[slow] * 1e3:.4g} ms: both cannot be met"
        for (fast, slow), times in sorted(found.items(), key=lambda item: -item[1])
    ]


def unsteady(bench: Bench) -> list[str]:
    """Return a sentence for each run whose throughput is far from what its requests in flight and latencies make.

    Little's law: output tokens/s = concurrency x G/(TTFT + (G - 1) TPOT). A run of few requests never gets there.
    """
    ttft, tpot, shown = (bench.measured[name] for name in METRICS)
    output = np.asarray([run.numbers["output_tokens"] for run in bench.runs])
    gpus = np.asarray([run.layout.gpus if run.layout else 1 for run in bench.runs])
    ratio = shown / (bench.concurrency * output / (ttft + (output - 1.0) * tpot) / gpus)
    odd = np.flatnonzero((ratio > UNSTEADY) | (ratio < 1.0 / UNSTEADY))
    return [
        f"run {bench.ids[i]}: its throughput is {ratio[i]:.2g} times what its requests in flight and latencies make; "
        "a run of so few requests has no steady state"
        for i in odd.tolist()
    ]


def measured_of(row: Row, run: Run) -> dict[str, float]:
    """Return the METRICS that a row states. Raises BadInputError for what is no positive number."""

    def stated(name: str) -> float:
        cell = row.get(f"measured_{name}")
        try:
            value = math.nan if cell is None or not str(cell).strip() else float(cell)
        except ValueError:
            value = 0.0
        if value <= 0.0 or math.isinf(value):
            raise BadInputError(f"measured_{name} {cell!r} is out of range; expected a positive number")
        return value

    found = {name: stated(name) for name in METRICS}
    gpus = run.replicas * (run.layout.gpus if run.layout else math.nan)
    if math.isnan(found["output_tokens_per_s_per_gpu"]):
        found["output_tokens_per_s_per_gpu"] = stated("output_tokens_per_s") / gpus
    return found


def with_factors(bench: Bench, factors: Mapping[str, Array]) -> Cases:
    """Return the cases of the runs with other engine factors, those of all LAYER_KINDS among them."""
    columns = {
        f"engine__{name}": at_speed(name, column, bench.vendor_speed)
        for name, column in factors.items()
        if name not in LAYER_KINDS
    }
    added = np.sum([bench.kinds[name] * factors[name] for name in LAYER_KINDS], axis=0)
    return bench.cases.replaced(**columns, engine__layer_equivalents=bench.cases.model.layers + added)


class Direct(NamedTuple):
    """TPOT and TTFT with every request in flight running, as far as they find room: no root search."""

    tpot_s: Array
    ttft_s: Array


def direct(bench: Bench, factors: Mapping[str, Array]) -> Direct:
    """Return what a fit compares: close to `shown`, and quick."""
    with ignoring_float_errors():
        replica = build_replica(with_factors(bench, factors))
        room = np.maximum(replica.memory.max_running_sequences, 1.0)
        load = load_at(replica, np.minimum(bench.concurrency, room))
        wave = wave_load(replica, load, bench.concurrency)
        waves = in_waves(replica, Traffic(bench.concurrency, np.full_like(room, np.nan), bench.equal_lengths))
        steady = closed_ttft_mean_s(replica, load, bench.concurrency)
        return Direct(
            tpot_s=np.where(waves, wave.step_s, load.step_s),
            ttft_s=np.where(waves, wave_ttft_s(replica, wave, "mean"), steady),
        )


def shown_by(bench: Bench, factors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the METRICS as `predict` gives them; NaN where a run does not fit."""
    columns = solve_runs(with_factors(bench, factors), bench.runs).columns
    return {name: columns[name] for name in METRICS}
