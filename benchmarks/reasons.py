"""What the measurements themselves say about a run that is predicted badly: rules, no guesses."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from silicon.read import SiliconRow

from planner.calibration.ledger import Ledger
from planner.catalog.hardware import GpuSpec
from planner.serving.replica import build_replica

TIMES = 1.3
"""How many times faster or slower a run alike must be to be named: nine in ten repetitions on another engine version
differ by less (TPOT of the same runs)."""
NARROWER = 1.1
"""The same for a run on a GPU that is no better, or on fewer GPUs: it should be slower."""
FORMATS = ("fp16", "fp8", "fp4")
QUEUE = 0.3
"""Share of TTFT in the time of a request from which it is named."""
TTFT_OFF = 3.0
"""Measured over predicted TTFT from which it is named."""
FULL = 0.9
"""Share of the sequences that find room from which memory is nearly full."""
_ALIKE = (
    "model", "gpu", "engine", "engine_version", "precision", "kv_precision", "tensor_parallel", "pipeline_parallel",
    "data_parallel", "moe_tp", "moe_ep", "gpus", "batch_size", "isl", "osl", "concurrency",
)  # fmt: skip
_LAYOUT = ("tensor_parallel", "pipeline_parallel", "data_parallel", "moe_tp", "moe_ep", "gpus", "batch_size")


def same_but(row: SiliconRow, rows: Sequence[SiliconRow], *other: str) -> Iterator[SiliconRow]:
    """Yield the runs with the configuration of a run, but for some fields of which the first must differ."""
    names = [name for name in _ALIKE if name not in other]
    for one in rows:
        if all(getattr(one, n) == getattr(row, n) for n in names) and getattr(one, other[0]) != getattr(row, other[0]):
            yield one


def no_better(one: GpuSpec, other: GpuSpec) -> bool:
    """Return whether a GPU has neither more bandwidth nor more FLOP per second than another."""
    rates = [(getattr(one.dense_flop_per_s, f) or 0.0, getattr(other.dense_flop_per_s, f) or 0.0) for f in FORMATS]
    return one.hbm_bytes_per_s <= other.hbm_bytes_per_s and all(a <= b for a, b in rates)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The runs of a ledger, and what is known of them besides."""

    rows: Sequence[SiliconRow]
    """In the ledger's order."""
    ledger: Ledger

    def reason(self, index: int) -> str:
        """Return the first thing that holds of a run, by the order of the rules; a dash where none does."""
        row, ratio = self.rows[index], self._ratio("tpot_mean_s", index)
        found = [*self._others(row, too_fast=ratio < 1.0), *self._queue(index), *self._memory(index)]
        return next(iter(found), "–")

    def _ratio(self, metric: str, index: int) -> float:
        return float(self.ledger.predicted[metric][index] / self.ledger.bench.measured[metric][index])

    def _others(self, row: SiliconRow, *, too_fast: bool) -> Iterator[str]:
        """Yield the runs alike that are faster, where the prediction is too fast; slower, where it is too slow."""
        word = "faster" if too_fast else "slower"
        gpus = {run.machine.gpu.spec.id: run.machine.gpu.spec for run in self.ledger.bench.runs}

        def times(one: SiliconRow) -> float:
            return row.tpot_s / one.tpot_s if too_fast else one.tpot_s / row.tpot_s

        def weaker(one: SiliconRow) -> bool:
            pair = gpus[one.gpu], gpus[row.gpu]
            return no_better(*pair) if too_fast else no_better(*reversed(pair))

        def narrower(one: SiliconRow) -> bool:
            return ((one.gpus or 0) < (row.gpus or 0)) == too_fast

        versions = ("engine_version",)
        rules: list[tuple[tuple[str, ...], Callable[[SiliconRow], bool], float, Callable[[SiliconRow], str]]] = [
            (versions, lambda _: True, TIMES, lambda one: f"the same on {one.engine_version or 'an unnamed version'}"),
            (("gpu", *versions), weaker, NARROWER, lambda one: f"the same on {one.gpu}"),
            (("gpus", *_LAYOUT, *versions), narrower, NARROWER, lambda one: f"on {one.gpus} GPUs, not {row.gpus},"),
            (("engine", "kv_precision", *versions), lambda _: True, TIMES, lambda one: f"the same on {one.engine}"),
        ]
        for other, counts, least, text in rules:
            alike = [one for one in same_but(row, self.rows, *other) if counts(one) and times(one) >= least]
            if alike:
                most = max(alike, key=times)
                yield f"{text(most)} is {times(most):.1f} × {word}"

    def _queue(self, index: int) -> Iterator[str]:
        row = self.rows[index]
        if row.recommended_ttft and row.ttft_share >= QUEUE:
            yield f"TTFT is {row.ttft_share:.0%} of a request: it queues"
        if (off := 1.0 / self._ratio("ttft_mean_s", index)) >= TTFT_OFF:
            yield f"TTFT is {off:.1f} × the predicted, too"

    def _memory(self, index: int) -> Iterator[str]:
        bench = self.ledger.bench
        room = build_replica(bench.cases.rows([index])).memory.max_running_sequences
        share = float(bench.concurrency[index] / room[0])
        if share >= FULL:
            yield f"memory nearly full: {share:.0%} of what finds room"
