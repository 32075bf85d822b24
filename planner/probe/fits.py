"""Which layouts of a scenario's model fit on the GPUs of this machine, with the memory that is free now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import GpuSpec
from planner.documents.spec import Loaded, today
from planner.documents.yaml_reader import Document
from planner.errors import Alarm
from planner.fleet.estimate import estimate
from planner.options.answer import find_model
from planner.options.candidates import Candidate, candidates
from planner.options.lowering import lower
from planner.probe.compare import Check
from planner.scenario.load import Scenario, build_scenario
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.replica import build_replica
from planner.serving.slo import LIMITS

_BEFORE_ALL_PRICES = "1900-01-01"
_ANY_OFFER = {
    "fleet.systems": "any",
    "fleet.max_gpus": None,
    "prices.tiers": ("on_demand",),
    "prices.providers": "any",
    "prices.regions": "any",
}
"""The GPUs are already here, so offers do not matter."""


_ANY_PRICE = 1.0
"""Prices are not shown; without one, the price would be the limit of an estimate."""


class Question(NamedTuple):
    """A scenario before it is bound to a GPU."""

    document: Document
    folder: Path
    changes: Mapping[str, Any]

    def on(self, gpu: Loaded[GpuSpec]) -> Scenario:
        """Return the scenario for this GPU, without offers."""
        day = today().fromisoformat(_BEFORE_ALL_PRICES)
        return build_scenario(
            self.document,
            self.folder,
            changes={**self.changes, **_ANY_OFFER, "prices.as_of": day, "fleet.gpus": (gpu.spec.id,)},
        )


@dataclass(frozen=True)
class Fit:
    """The best layout of one precision and engine on this machine."""

    model: str
    gpu: str
    engine: str
    precision: str
    layout: str
    gpus_of_host: int
    gpus_per_replica: int
    replicas: int
    """Replicas the machine holds."""
    fits: bool
    meets_slo: bool
    limit: str
    """Why it does not fit or misses the SLO; empty where it meets both."""
    memory_bytes_per_gpu: float
    """Memory the engine takes: its usual share of the total, or what is free."""
    missing_bytes_per_gpu: float
    """Memory missing on each GPU of the replica; 0 where it fits."""
    max_concurrency: float
    """Concurrent sequences on the whole machine."""
    output_tokens_per_s: float | None
    """Of the whole machine at its SLO capacity, as the GPUs are now."""
    output_tokens_per_s_by_spec: float | None
    """The same for GPUs that match their spec, with all memory free."""


def fits_on(check: Check, question: Question, catalog: Catalog) -> tuple[list[Fit], list[str]]:
    """Return the best fit for each engine and precision, best first, and warnings; none for unknown or sliced GPUs."""
    if check.spec is None or check.sliced:
        return [], []
    scenario = question.on(check.spec)
    if scenario.spec.measured_rates is not None:
        return [], [Alarm(f"{scenario.label} uses measured rates instead of a model, so no fit is shown")]
    model, notes = find_model(scenario, catalog)
    warnings = [f"model {n}" if not n.startswith("model") else n for n in notes]
    count = len(check.gpus)
    possible = candidates(scenario, catalog, model, today())
    warnings += sorted({f"does not start: {c.why_not}" for c in possible if c.why_not})
    options = [c for c in possible if c.layout.gpus <= count and not c.why_not]
    if not options and any(not c.why_not for c in possible):
        return [], [
            *warnings,
            f"no layout of {scenario.label} has at most {count} GPUs (fleet.tensor_parallel, engine)",
        ]
    if not options:
        return [], warnings
    by_spec = lower(scenario, catalog, model, options).replaced(offer__usd_per_gpu_hour=_ANY_PRICE)
    groups: dict[tuple[str, str], list[Fit]] = {}
    for fit in _fits(options, count, as_found(by_spec, check), by_spec, model.spec.id):
        groups.setdefault((fit.precision, fit.engine), []).append(fit)
    best = [
        replace(
            max(fits, key=_merit),
            output_tokens_per_s_by_spec=max(f.output_tokens_per_s_by_spec or 0.0 for f in fits) or None,
        )
        for fits in groups.values()
    ]
    return sorted(best, key=_merit, reverse=True), warnings


def _merit(fit: Fit) -> tuple[bool, bool, float, float]:
    """Return what makes a fit better: it fits, meets the SLO, has the highest throughput, is missing least."""
    return fit.fits, fit.meets_slo, fit.output_tokens_per_s or 0.0, -fit.missing_bytes_per_gpu


def as_found(cases: Cases, check: Check) -> Cases:
    """Return cases with the GPU as it is now: free memory, clocks under the power cap, the link in use.

    An engine takes its usual share of the total (`memory_utilization`) if that much is free, else all that is free,
    so the memory counted is min(total, free / memory_utilization). Of the total that the driver reports, it keeps as
    much as of the spec's.
    """
    gpu, speed = cases.gpu, check.speed
    totals = [g.memory_total_bytes for g in check.gpus]
    frees = [g.memory_free_bytes for g in check.gpus]
    memory = gpu.memory_bytes
    if check.spec is not None and all(t is not None for t in totals):
        kept = (check.spec.spec.memory_usable_bytes or check.spec.spec.memory_bytes) - memory
        memory = min(t for t in totals if t is not None) - kept
    if all(f is not None for f in frees):
        memory = np.minimum(memory, min(f for f in frees if f is not None) / cases.engine.memory_utilization)
    link = gpu.link_bytes_per_s
    if check.link_bytes_per_s is not None:
        link = np.full_like(link, check.link_bytes_per_s)
    return cases.replaced(
        gpu__memory_bytes=memory,
        gpu__memory_available_bytes=np.minimum(memory, gpu.memory_available_bytes),
        gpu__link_bytes_per_s=link,
        gpu__hbm_bytes_per_s=gpu.hbm_bytes_per_s * speed.decode,
        gpu__attention_flop_per_s=gpu.attention_flop_per_s * speed.prefill,
        gpu__ffn_flop_per_s=gpu.ffn_flop_per_s * speed.prefill,
        gpu__expert_flop_per_s=gpu.expert_flop_per_s * speed.prefill,
        gpu__kv_flop_per_s=gpu.kv_flop_per_s * speed.prefill,
    )


def _fits(options: Sequence[Candidate], count: int, here: Cases, by_spec: Cases, model: str) -> Iterator[Fit]:
    """Yield what each layout does on the GPUs as they are."""
    found, ideal, gpus = estimate(here), estimate(by_spec), np.asarray([option.layout.gpus for option in options])
    with ignoring_float_errors():
        memory = build_replica(here).memory
    columns = (
        found.fits > 0,
        found.meets_slo > 0,
        found.limit,
        np.minimum(here.gpu.memory_bytes * here.engine.memory_utilization, here.gpu.memory_available_bytes),
        np.maximum(memory.kv_bytes_longest_request - memory.kv_capacity_bytes, 0.0),
        found.max_concurrency_per_replica,
        *(np.nan_to_num(e.output_tokens_per_s_per_gpu * gpus) for e in (found, ideal)),
    )
    rows = zip(*(np.broadcast_to(column, gpus.shape).tolist() for column in columns), strict=True)
    for option, (fits, meets_slo, limit, size, missing, sequences, rate, rate_by_spec) in zip(
        options, rows, strict=True
    ):
        layout, machine = option.layout, option.machine
        replicas = count // layout.gpus
        yield Fit(
            model=model,
            gpu=machine.gpu.spec.id,
            engine=machine.engine.spec.id,
            precision=option.precision.name,
            layout=layout.name if layout.gpus > 1 else "1 GPU",
            gpus_of_host=count,
            gpus_per_replica=layout.gpus,
            replicas=replicas,
            fits=fits,
            meets_slo=meets_slo,
            limit="" if fits and meets_slo else LIMITS[int(limit)],
            memory_bytes_per_gpu=size,
            missing_bytes_per_gpu=missing,
            max_concurrency=sequences * replicas if fits else 0.0,
            output_tokens_per_s=rate * replicas or None,
            output_tokens_per_s_by_spec=rate_by_spec * replicas or None,
        )
