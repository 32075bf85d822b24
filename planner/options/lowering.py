"""From specs to arrays: a scenario and its candidates become Cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import AssumptionsFile, FormatSpec, GpuSpec
from planner.catalog.market import FOLLOWS_DEMAND, DemandCurve
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded
from planner.options.candidates import Candidate, Layout, Machine, Precision
from planner.options.engine_factors import at_speed, vendor_speed
from planner.options.layer_kinds import layer_equivalents, layer_kinds
from planner.options.lowering_model import lower_model
from planner.options.lowering_workload import lower_demand, lower_pauses, lower_workload
from planner.scenario.load import Scenario
from planner.scenario.scenario import ScenarioSpec
from planner.serving.cases import Cases
from planner.serving.columns import (
    CurveColumns,
    DemandColumns,
    EnergyColumns,
    EngineColumns,
    FleetColumns,
    GpuColumns,
    LayoutColumns,
    OfferColumns,
    QualityColumns,
    SloColumns,
    WorkloadColumns,
)
from planner.serving.normal import Array

T = TypeVar("T")
_NAN = float("nan")
_OF_CASE = {
    "collective_bytes",
    "max_running_sequences",
    "max_batched_tokens",
    "steps_in_flight",
    "layer_equivalents",
}
"""Columns of an engine that are no factors, or also depend on the GPU or the model."""
_FACTORS = tuple(
    name for name in EngineColumns.__dataclass_fields__ if name not in _OF_CASE and not name.endswith("_memory_share")
)
_MEMORY_SHARES: Mapping[str, Callable[[float], tuple[float, float, float]]] = {
    "total": lambda _: (1.0, 1.0, 1.0),
    "free_at_start": lambda share: (1.0, 0.0, share),
    "free_after_load": lambda share: (share, share, share),
}
"""EngineFactors.memory_share_of -> parts of weights, activations and the rest that come off the engine's share."""


def lower(scenario: Scenario, catalog: Catalog, model: Loaded[ModelSpec], options: Sequence[Candidate]) -> Cases:
    """Return the cases of a scenario's candidates: one row each, or shape () for a single one.

    Raises DataMissingError for an unknown demand curve, grid zone or effort level.
    """
    spec, place = scenario.spec, scenario.loaded.document.place
    curve = (
        catalog.get(DemandCurve, spec.demand.curve, where=place(("demand", "curve"))).spec
        if spec.demand.curve
        else None
    )
    workload = lower_workload(spec, model.spec, place)
    kv = catalog.format(spec.fleet.kv_precision or model.spec.cache_format, where=place(("fleet", "kv_precision")))[1]
    layout = _layout(spec, kv, options)
    rows: list[Any] = [
        lower_model(model.spec, [c.precision for c in options]),
        _gpu(options, catalog.assumptions.spec),
        _engine(model.spec, options),
        layout,
        workload,
        lower_demand(spec, curve),
        SloColumns(**{name: np.asarray(or_nan(getattr(spec.slo, name))) for name in SloColumns.__dataclass_fields__}),
        _fleet(spec, options),
        _offer(spec, options),
        _energy(spec, catalog, scenario),
        QualityColumns(np.asarray(or_nan(spec.quality.accuracy))),
        _prefill_layout(layout, options),
        lower_pauses(spec, model.spec, place),
        CurveColumns(np.asarray(curve.relative_rates)) if curve else None,
    ]
    cases = Cases(*rows)
    return cases.rows_of_one() if len(options) == 1 else cases


def lower_machine(model: ModelSpec, option: Candidate, catalog: Catalog) -> Cases:
    """Return a case of shape () for a model on a machine. Workload, limits and price are NaN."""
    assumed = catalog.assumptions.spec
    energy = (*_busy_power(assumed), assumed.node_power_overhead, _NAN, _NAN)
    layout = option.layout
    groups: list[Any] = [
        lower_model(model, [option.precision]),
        _gpu([option], assumed),
        _engine(model, [option]),
        LayoutColumns(
            *(
                np.asarray(float(v))
                for v in (layout.tensor, layout.pipeline, layout.data, layout.expert, _NAN, 0.0, 0.0)
            )
        ),
        _unknown(WorkloadColumns, np.full(1, _NAN)),
        _unknown(DemandColumns),
        _unknown(SloColumns),
        _unknown(FleetColumns),
        _unknown(OfferColumns),
        EnergyColumns(*(np.asarray(float(v)) for v in energy)),
        _unknown(QualityColumns),
    ]
    return Cases(*groups).rows_of_one()


def _unknown(kind: type[Any], value: Array | float = _NAN) -> Any:  # noqa: ANN401 - an instance of `kind`
    return kind(**dict.fromkeys(kind.__dataclass_fields__, np.asarray(value)))


def or_nan(value: float | None) -> float:
    """Return a number for an array: NaN for None."""
    return _NAN if value is None else float(value)


def gather(
    options: Sequence[Candidate], key: Callable[[Candidate], T], values: Callable[[T], Sequence[float]]
) -> list[Array]:
    """Return columns over the candidates; `values` is called once per distinct key."""
    keys: dict[int, int] = {}
    distinct: list[T] = []
    index = np.empty(len(options), dtype=np.intp)
    for i, option in enumerate(options):
        item = key(option)
        if id(item) not in keys:
            keys[id(item)] = len(distinct)
            distinct.append(item)
        index[i] = keys[id(item)]
    table = np.asarray([values(item) for item in distinct], dtype=np.float64)
    return [table[index, j] for j in range(table.shape[1])]


def flop_rate(gpu: GpuSpec, fmt: FormatSpec) -> float:
    """Return the dense FLOP rate of a format's products on a GPU; that of 16 bit where the GPU lacks the format."""
    own: float | None = getattr(gpu.dense_flop_per_s, fmt.compute)
    return own if own is not None else gpu.dense_flop_per_s.fp16


def _gpu(options: Sequence[Candidate], assumed: AssumptionsFile) -> GpuColumns:
    def of_machine(machine: Machine) -> list[float]:
        gpu, system = machine.gpu.spec, machine.system
        network = system.spec.network_bytes_per_s_per_gpu if system else None
        tdp = gpu.tdp_w or assumed.tdp_w_per_byte_per_s * gpu.hbm_bytes_per_s
        memory = gpu.memory_usable_bytes or gpu.memory_bytes
        memory -= assumed.driver_reserved_bytes if gpu.vendor == "nvidia" else 0.0
        return [
            memory,
            gpu.memory_available_bytes or memory,
            gpu.hbm_bytes_per_s,
            gpu.dense_flop_per_s.fp16,
            gpu.link_bytes_per_s,
            machine.domain_gpus,
            network or assumed.network_bytes_per_s_per_gpu,
            machine.node_gpus,
            tdp,
            gpu.idle_w or assumed.idle_power * tdp,
        ]

    memory, available, bandwidth, wide, *rest = gather(options, lambda c: c.machine, of_machine)
    rates = np.asarray([_rates(c.machine.gpu.spec, c.precision) for c in options]).T
    return GpuColumns(*[memory, available, bandwidth, *rates, wide, *rest])


def _rates(gpu: GpuSpec, precision: Precision) -> list[float]:
    return [flop_rate(gpu, precision.attention), flop_rate(gpu, precision.ffn), flop_rate(gpu, precision.experts)]


def _engine(model: ModelSpec, options: Sequence[Candidate]) -> EngineColumns:
    def of_machine(machine: Machine) -> list[float]:
        factors, gpu = machine.engine.spec.factors, machine.gpu.spec
        limits = factors.limits_for(gpu)
        speed = vendor_speed(factors, gpu)
        named = {name: at_speed(name, float(getattr(factors, name)), speed) for name in _FACTORS}
        shares = _MEMORY_SHARES[factors.memory_share_of](factors.memory_utilization)
        named |= dict(
            zip(("weight_memory_share", "activation_memory_share", "other_memory_share"), shares, strict=True)
        )
        named["collective_bytes"] = factors.collective_bytes if gpu.scale_up_domain_gpus > 1 else 0.0
        named |= {
            "max_running_sequences": limits.max_running_sequences,
            "max_batched_tokens": limits.max_batched_tokens,
            "steps_in_flight": machine.engine.spec.steps_in_flight,
        }
        return [float(named[name]) for name in EngineColumns.__dataclass_fields__ if name in named]

    def equivalents(option: Candidate) -> float:
        kinds = layer_kinds(model, option.precision, option.machine.gpu.spec)
        return layer_equivalents(model.layers, kinds, option.machine.engine.spec.factors)

    weighed = np.asarray([equivalents(option) for option in options])
    return EngineColumns(*[*gather(options, lambda c: c.machine, of_machine), weighed])


def _layout(spec: ScenarioSpec, kv: FormatSpec, options: Sequence[Candidate]) -> LayoutColumns:
    sizes = _sizes([c.layout for c in options])
    drafted = float(spec.fleet.speculative_tokens)
    kept = float(spec.fleet.acceptance) if drafted else 0.0
    return LayoutColumns(*[*sizes, np.asarray(kv.weight_bytes), np.asarray(drafted), np.asarray(kept)])


def _sizes(layouts: Sequence[Layout | None]) -> list[Array]:
    """Return tensor, pipeline, data and expert parallel sizes; NaN where there is no layout."""
    rows = [(one.tensor, one.pipeline, one.data, one.expert) if one else (_NAN,) * 4 for one in layouts]
    return list(np.asarray(rows, dtype=np.float64).T)


def _prefill_layout(layout: LayoutColumns, options: Sequence[Candidate]) -> LayoutColumns | None:
    """Return the layouts of prefill pools, which draft nothing; None where no option has one."""
    if not any(c.prefill for c in options):
        return None
    return LayoutColumns(*[*_sizes([c.prefill for c in options]), layout.kv_bytes, np.zeros(()), np.zeros(())])


def _fleet(spec: ScenarioSpec, options: Sequence[Candidate]) -> FleetColumns:
    fleet = spec.fleet
    tiers = (option.offer.quote.tier if option.offer else "on_demand" for option in options)
    by_the_hour = np.asarray([float(fleet.billing == "mean" and tier in FOLLOWS_DEMAND) for tier in tiers])
    values = (
        fleet.headroom,
        fleet.availability,
        fleet.repair_hours,
        fleet.failures_per_gpu_hour,
        or_nan(fleet.max_gpus),
    )
    return FleetColumns(*[*(np.asarray(float(v)) for v in values), by_the_hour])


def _offer(spec: ScenarioSpec, options: Sequence[Candidate]) -> OfferColumns:
    rows = []
    for option in options:
        quote = option.offer.quote if option.offer else None
        unit = float(quote.gpus_per_instance) if quote else 1.0
        whole = quote is not None and quote.sold_by != "gpu" and unit > 1.0
        rows.append((quote.usd_per_gpu_hour if quote else _NAN, unit if whole else 1.0, float(whole)))
    price, unit_gpus, sells = np.asarray(rows, dtype=np.float64).T
    return OfferColumns(price, unit_gpus, sells, np.asarray(float(spec.prices.extra_share)))


def _busy_power(assumed: AssumptionsFile) -> tuple[float, ...]:
    return assumed.busy_power_base, assumed.busy_power_memory, assumed.busy_power_compute, assumed.busy_power_top


def _energy(spec: ScenarioSpec, catalog: Catalog, scenario: Scenario) -> EnergyColumns:
    assumed = catalog.assumptions.spec
    place = scenario.loaded.document.place
    where, from_source = place(("energy", "grid")), place(("energy", "grid_source"))
    grid = catalog.grid(spec.energy.grid, spec.energy.grid_source, where=where, source_where=from_source)
    values: tuple[Any, ...] = (
        *_busy_power(assumed),
        assumed.node_power_overhead,
        spec.energy.pue,
        grid.gco2e_per_kwh,
    )
    return EnergyColumns(*(np.asarray(float(v)) for v in values))
