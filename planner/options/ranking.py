"""Ranking: the best layout of each GPU x precision x engine x offer, best option first."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.catalog.open_named import FILE_SUFFIXES
from planner.fleet.estimate import Estimate
from planner.fleet.result_fields import columns_of
from planner.options.candidates import Candidate, Layout
from planner.options.confidence import FAR, unseen
from planner.options.option import COLUMNS, Option, number
from planner.scenario.load import Scenario
from planner.serving.cases import Cases
from planner.serving.normal import Array
from planner.serving.slo import LIMITS
from planner.serving.steady_state import METRICS, QUANTILES

BASES = ("measured", "calibrated", "datasheet", "assumed")
"""How well a number is founded, best first."""


def rank(candidates: Sequence[Candidate], cases: Cases, found: Estimate) -> list[int]:
    """Return the indices of the best layout of each GPU, precision, engine and offer, best first.

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
    order = np.lexsort((np.arange(len(candidates)), np.nan_to_num(value, nan=np.inf), group))
    seen: set[tuple[int, str, int]] = set()
    best = []
    for index in order.tolist():
        candidate = candidates[index]
        key = (id(candidate.machine), candidate.precision.name, id(candidate.offer))
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


def ranked_options(
    scenario: Scenario, candidates: Sequence[Candidate], found: Estimate, chosen: Sequence[int], model: ModelSpec
) -> list[Option]:
    """Return the options of the chosen candidates, with their results."""
    digest = scenario_hash(scenario, model)
    values_of = {name: np.asarray(getattr(found, name))[list(chosen)].tolist() for name in columns_of(Estimate)}
    options = []
    for position, index in enumerate(chosen):
        candidate = candidates[index]
        offer, layout, prefill, machine = candidate.offer, candidate.layout, candidate.prefill, candidate.machine
        quote = offer.quote if offer else None
        source = offer.file.source("quotes", offer.index) if offer else None
        results: dict[str, Any] = {
            name: number(values[position], whole=COLUMNS[name].whole) for name, values in values_of.items()
        }
        results["limit"] = LIMITS[int(results["limit"])]
        results |= {name: bool(results[name]) for name in ("fits", "meets_slo")}
        options.append(
            Option(
                scenario=scenario.label,
                model=model.id,
                gpu=machine.gpu.spec.id,
                system=machine.system.spec.id if machine.system else None,
                engine=machine.engine.spec.id,
                precision=candidate.precision.name,
                provider=offer.file.spec.provider if offer else None,
                price_tier=quote.tier if quote else None,
                region=quote.region if quote else None,
                tensor_parallel=layout.tensor,
                pipeline_parallel=layout.pipeline,
                expert_parallel=layout.expert,
                data_parallel=layout.data,
                prefill_tensor_parallel=prefill.tensor if prefill else None,
                prefill_pipeline_parallel=prefill.pipeline if prefill else None,
                prefill_expert_parallel=prefill.expert if prefill else None,
                prefill_data_parallel=prefill.data if prefill else None,
                prices_as_of=quote.as_of.isoformat() if quote else None,
                price_source=source.title if source else None,
                basis=basis(candidate, model, drafts=scenario.spec.fleet.speculative_tokens > 0),
                scenario_hash=digest,
                engine_version=machine.version,
                why=candidate.why_not or None,
                **results,
            )
        )
    return options


def basis(candidate: Candidate, model: ModelSpec, *, drafts: bool) -> str:
    """Return the weakest link: engine factors (on models and GPUs like those fitted), drafts, GPU facts, price."""
    machine = candidate.machine
    unlike = drafts or candidate.prefill is not None
    founded = machine_basis(machine.engine.spec, model, machine.gpu.spec, layout=candidate.layout, pools=unlike)
    weakest = BASES.index(founded)
    quote = candidate.offer.quote if candidate.offer else None
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


def scenario_hash(scenario: Scenario, model: ModelSpec) -> str:
    """Return h and 12 hexadecimal digits over the question as validated; no spreadsheet takes it for a number.

    Of a file that the question names, what was read from it counts, and not where it lies.
    """
    data = scenario.spec.model_dump(mode="json", exclude={"overrides", "sources", "title"})
    if scenario.spec.model.endswith(FILE_SUFFIXES):
        data["model"] = model.model_dump(mode="json", exclude={"id", "name", "sources"})
    text = json.dumps(_without_file_names(data), sort_keys=True)
    return "h" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_file_names(data: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return data without the names of histogram files, whose points stand beside them."""
    if isinstance(data, dict):
        named = data.get("histogram") is not None
        return {k: None if named and k == "histogram" else _without_file_names(v) for k, v in data.items()}
    return [_without_file_names(part) for part in data] if isinstance(data, list) else data
