"""Ranking: the best layout of each GPU x precision x engine x offer, best option first, as result rows."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.fleet.estimate import Estimate
from planner.options.candidates import Candidate, Layout
from planner.options.confidence import FAR, unseen
from planner.scenario.load import Scenario
from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.serving.slo import LIMITS
from planner.serving.steady_state import METRICS, QUANTILES

Row = dict[str, Any]
_LEADING = ("fits", "meets_slo", "limit", "gpus_per_replica")
IDENTITY_FIELDS = (
    "scenario",
    "model",
    "gpu",
    "system",
    "engine",
    "precision",
    "provider",
    "price_tier",
    "region",
    "tensor_parallel",
    "pipeline_parallel",
    "expert_parallel",
    "data_parallel",
)
PREFILL_FIELDS = (
    "prefill_tensor_parallel",
    "prefill_pipeline_parallel",
    "prefill_expert_parallel",
    "prefill_data_parallel",
    "prefill_gpus_per_replica",
    "prefill_replicas",
)
"""Of the pool that reads prompts, where answers are written by another; None with one pool."""
NUMBER_FIELDS = tuple(f.name for f in dataclasses.fields(Estimate) if f.name not in {*_LEADING, *PREFILL_FIELDS})
RESULT_FIELDS = (
    *IDENTITY_FIELDS,
    "gpus_per_replica",
    "fits",
    "meets_slo",
    "limit",
    *NUMBER_FIELDS,
    "prices_as_of",
    "price_source",
    "basis",
    "scenario_hash",
    *PREFILL_FIELDS,
)
"""The contract's result fields in order: JSON keys and CSV headers."""
_WHOLE = {
    "gpus_per_replica",
    "replicas",
    "spare_replicas",
    "nodes",
    "gpus",
    "max_concurrency_per_replica",
    "prefill_replicas",
    "samples",
}
BASES = ("measured", "calibrated", "datasheet", "assumed")
"""How well a number is founded, best first."""


def rank(options: Sequence[Candidate], cases: Cases, found: Estimate) -> list[int]:
    """Return the indices of the best layout of each option, best option first.

    Options that meet the SLO come first, by cost; then those without a price, by GPUs; then those that
    miss the SLO, by how far; then those that do not fit.
    """
    meets, fits = found.meets_slo > 0, found.fits > 0
    cost = found.cost_usd_per_month
    priced = ~np.isnan(cost)
    group = np.select([meets & priced, meets, fits], [0, 1, 2], default=3)
    value = np.select(
        [group == 0, group == 1, group == 2],  # noqa: PLR2004 - the groups above
        [cost, found.gpus, worst_ratio(cases, found)],
        default=-found.gpus_per_replica,
    )
    order = np.lexsort((np.arange(len(options)), np.nan_to_num(value, nan=np.inf), group))
    seen: set[tuple[int, str, int]] = set()
    best = []
    for index in order.tolist():
        option = options[index]
        key = (id(option.machine), option.precision.name, id(option.offer))
        if key not in seen:
            seen.add(key)
            best.append(index)
    return best


def worst_ratio(cases: Cases, found: Estimate) -> Array:
    """Return the largest latency over its limit; 0 where no limit is set."""
    worst = np.zeros(np.shape(found.fits))
    for metric in METRICS:
        for percentile in QUANTILES:
            name = f"{metric}_{percentile}_s"
            worst = np.fmax(worst, getattr(found, name) / getattr(cases.slo, name))
    return worst


def rows(
    scenario: Scenario, options: Sequence[Candidate], found: Estimate, chosen: Sequence[int], model: ModelSpec
) -> list[Row]:
    """Return result rows in the contract's field order; a missing number is None."""
    digest = scenario_hash(scenario)
    solved = (*_LEADING, *NUMBER_FIELDS, "prefill_replicas")
    table = {name: np.asarray(getattr(found, name))[list(chosen)].tolist() for name in solved}
    result = []
    for position, index in enumerate(chosen):
        option = options[index]
        offer, layout, machine = option.offer, option.layout, option.machine
        quote = offer.quote if offer else None
        row: Row = {
            "scenario": scenario.label,
            "model": model.id,
            "gpu": machine.gpu.spec.id,
            "system": machine.system.spec.id if machine.system else None,
            "engine": machine.engine.spec.id,
            "precision": option.precision.name,
            "provider": offer.file.spec.provider if offer else None,
            "price_tier": quote.tier if quote else None,
            "region": quote.region if quote else None,
            "tensor_parallel": layout.tensor,
            "pipeline_parallel": layout.pipeline,
            "expert_parallel": layout.expert,
            "data_parallel": layout.data,
            "gpus_per_replica": layout.gpus,
            "fits": bool(table["fits"][position]),
            "meets_slo": bool(table["meets_slo"][position]),
            "limit": LIMITS[int(table["limit"][position])],
        }
        row |= {name: number(name, table[name][position]) for name in NUMBER_FIELDS}
        source = offer.file.source("quotes", offer.index) if offer else None
        row |= {
            "prices_as_of": quote.as_of.isoformat() if quote else None,
            "price_source": source.title if source else None,
            "basis": basis(option, model, drafts=scenario.spec.fleet.speculative_tokens > 0),
            "scenario_hash": digest,
            **_prefill(option.prefill),
            "prefill_replicas": number("prefill_replicas", table["prefill_replicas"][position]),
        }
        result.append(row)
    return result


def _prefill(layout: Layout | None) -> Row:
    """Return the layout of the replicas that only read prompts, as fields."""
    sizes = (layout.tensor, layout.pipeline, layout.expert, layout.data, layout.gpus) if layout else (None,) * 5
    return dict(zip(PREFILL_FIELDS, sizes, strict=False))


def number(name: str, value: float) -> float | int | None:
    """Return a result number: None where missing, whole where it counts things, else with 12 significant digits."""
    if not math.isfinite(value):
        return None
    return int(value) if name in _WHOLE else float(f"{value:.{_DIGITS}g}")


_DIGITS = 12
"""Significant digits of a result: more are noise of the arithmetic."""


def basis(option: Candidate, model: ModelSpec, *, drafts: bool) -> str:
    """Return the weakest link: engine factors (on models and GPUs like those fitted), drafts, GPU facts, price."""
    machine = option.machine
    unlike = drafts or option.prefill is not None
    founded = machine_basis(machine.engine.spec, model, machine.gpu.spec, layout=option.layout, pools=unlike)
    weakest = BASES.index(founded)
    quote = option.offer.quote if option.offer else None
    if quote is not None and quote.kind in {"estimate", "assumption"}:
        weakest = BASES.index("assumed")
    return BASES[weakest]


def machine_basis(
    engine: EngineSpec, model: ModelSpec, gpu: GpuSpec, *, layout: Layout | None = None, pools: bool = False
) -> str:
    """Return how well the speed of a model on a machine is founded."""
    weakest = BASES.index(engine.basis)
    if set(unseen(engine, model, gpu, layout=layout, pools=pools)) & set(FAR):
        weakest = max(weakest, BASES.index("datasheet"))
    return "assumed" if gpu.confidence == "low" else BASES[weakest]


def scenario_hash(scenario: Scenario) -> str:
    """Return h and 12 hexadecimal digits over the question as validated; no spreadsheet takes it for a number."""
    data = scenario.spec.model_dump(mode="json", exclude={"overrides", "sources", "title"})
    return "h" + hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
