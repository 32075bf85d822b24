"""Where each input of an option comes from: value, unit, source, file and line."""

import dataclasses
from typing import Any, NamedTuple

from planner.catalog.catalog import Catalog
from planner.catalog.market import DemandCurve
from planner.catalog.model import ModelSpec
from planner.documents.spec import FileSpec, Loaded, Source
from planner.documents.yaml_reader import Key, path_text
from planner.options.candidates import Candidate
from planner.options.lowering_workload import peak_to_mean
from planner.scenario.load import Scenario
from planner.serving.cases import Cases


class Input(NamedTuple):
    """One input with its origin."""

    name: str
    value: Any
    where: str
    source: str
    checked: str | None
    assumed: bool

    def row(self) -> dict[str, Any]:
        """Return the JSON form."""
        return self._asdict()


GIVEN = "given by the scenario"
NO_SOURCE = "no source named"
ASSUMED = "assumed by the planner: the scenario does not say"
_SKIPPED = {"overrides", "sources", "title", "name"}


def inputs(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Input]:
    """Return every input of an option: the scenario's fields, the GPU, system, engine, price, model, assumptions."""
    found = scenario_inputs(scenario)
    found += spec_inputs("gpu", option.machine.gpu, _numbers(option.machine.gpu.spec))
    if option.machine.system:
        found += spec_inputs("system", option.machine.system, _numbers(option.machine.system.spec))
    if scenario.spec.measured_rates is None:
        found += _model_inputs(scenario, catalog, option, model)
    if option.offer:
        index = option.offer.index
        found += spec_inputs("price", option.offer.file, [("quotes", index, n) for n in ("usd_per_gpu_hour", "as_of")])
    found += _curve_input(scenario, catalog)
    found += spec_inputs("assumptions", catalog.assumptions, _numbers(catalog.assumptions.spec))
    grid = catalog.grid(scenario.spec.energy.grid, scenario.spec.energy.grid_source)
    found.append(
        Input(
            "grid.gco2e_per_kwh",
            grid.gco2e_per_kwh,
            grid.where,
            grid.source.cite(),
            grid.source.checked.isoformat(),
            assumed=False,
        )
    )
    return found


def _model_inputs(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Input]:
    """Return what the performance model reads: engine factors, the language model, number formats."""
    fields = ("hidden_size", "vocab_size", "max_context_tokens", "attention", "ffn", "weights")
    extra = ("other_parameters", "tied_embeddings", "learned_positions")
    keys: list[Key] = [(name,) for name in fields + tuple(n for n in extra if getattr(model.spec, n))]
    keys += _effort_keys(scenario, model.spec)
    found = spec_inputs("engine", option.machine.engine, _engine_keys(option))
    found += spec_inputs("model", model, keys)
    return found + spec_inputs("format", catalog.formats, _format_keys(scenario, catalog, option, model))


def _effort_keys(scenario: Scenario, model: ModelSpec) -> list[Key]:
    """Return the keys of the effort levels a workload names."""
    workload = scenario.spec.workload
    efforts = dict.fromkeys(c.effort for c in (workload, *workload.classes) if c.effort)
    tables = ("effort_multipliers", "effort_generated_tokens")
    return [(table, e) for table in tables for e in efforts if e in getattr(model, table)]


def _engine_keys(option: Candidate) -> list[Key]:
    """Return the keys of the factors, and of the limits that apply to the option's device."""
    factors, gpu = option.machine.engine.spec.factors, option.machine.gpu.spec
    applied = factors.limits.index(factors.limits_for(gpu.memory_usable_bytes or gpu.memory_bytes))
    keys: list[Key] = [("factors", name) for name in _fields(factors) if name != "limits"]
    return keys + [("factors", "limits", applied, n) for n in ("max_running_sequences", "max_batched_tokens")]


def _format_keys(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Key]:
    """Return the keys of the number formats in use: the published weights', the option's, the KV cache's."""
    weights = model.spec.weights
    used = [weights.attention, weights.ffn, weights.experts, weights.embedding]
    used += [option.precision.name, scenario.spec.fleet.kv_precision]
    names = dict.fromkeys(catalog.format(name)[0] for name in used if name)
    return [("formats", name, "weight_bytes") for name in names]


def _curve_input(scenario: Scenario, catalog: Catalog) -> list[Input]:
    """Return what a demand curve says about the peak, where the scenario names one."""
    demand = scenario.spec.demand
    if demand.curve is None or demand.peak_to_mean is not None:
        return []
    curve = catalog.get(DemandCurve, demand.curve)
    key = ("hourly_relative_rate",)
    source = curve.source(*key)
    place, cited = curve.document.place(key), source.cite() if source else NO_SOURCE
    checked = source.checked.isoformat() if source else None
    return [Input("demand.peak_to_mean", peak_to_mean(demand, curve.spec), place, cited, checked, assumed=False)]


def scenario_inputs(scenario: Scenario) -> list[Input]:
    """Return the scenario's own fields, given or assumed."""
    found: list[Input] = []
    _collect(scenario, scenario.spec, (), found)
    return found + _effective_defaults(scenario, {i.name for i in found})


def _effective_defaults(scenario: Scenario, known: set[str]) -> list[Input]:
    """Return what is taken for fields of the workload and the demand that nobody gave."""
    spec, where = scenario.spec, scenario.loaded.document.where
    if spec.workload.tokens_per_day is not None:
        return []
    defaults: dict[str, Any] = {} if spec.demand.curve else {"demand.peak_to_mean": 1.0}
    thinking = any(
        getattr(spec.workload, n) is not None for n in ("reasoning_multiplier", "reasoning_tokens", "effort")
    )
    if not spec.workload.classes:
        defaults |= {} if thinking else {"workload.reasoning_multiplier": 1.0}
        defaults |= {"workload.cached_share": 0.0, "workload.samples_per_answer": 1, "workload.turns_per_answer": 1}
        defaults |= {"workload.max_tokens": "the model's context"}
    return [Input(n, value, where, ASSUMED, None, assumed=True) for n, value in defaults.items() if n not in known]


def _collect(scenario: Scenario, spec: Any, key: Key, found: list[Input]) -> None:  # noqa: ANN401 - any spec
    for name in _fields(spec):
        value, path = getattr(spec, name), (*key, name)
        if not key and name in _SKIPPED:
            continue
        given = name in spec.model_fields_set
        if hasattr(value, "model_fields_set") and not _is_length(value):
            _collect(scenario, value, path, found)
        elif value is not None and value != ():
            found.append(_scenario_input(scenario, path, value, given=given and _in_data(scenario, path)))


def _is_length(value: Any) -> bool:  # noqa: ANN401 - any spec
    return hasattr(value, "points") and hasattr(value, "cv")


def _in_data(scenario: Scenario, key: Key) -> bool:
    data: Any = scenario.loaded.document.data
    for part in key:
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _scenario_input(scenario: Scenario, key: Key, value: Any, *, given: bool) -> Input:  # noqa: ANN401 - any field value
    document = scenario.loaded.document
    shown = _plain(value)
    if not given:
        return Input(path_text(key), shown, document.where, ASSUMED, None, assumed=True)
    source = scenario.loaded.source(*key)
    text = source.cite() if source else GIVEN
    return Input(
        path_text(key), shown, document.place(key), text, source.checked.isoformat() if source else None, assumed=False
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _fields(spec: Any) -> list[str]:  # noqa: ANN401 - any spec
    return list(type(spec).model_fields)


_NOT_USED = {"released", "capex_usd", "power_w"}
"""Facts of a machine that no formula reads yet."""


def _numbers(spec: FileSpec) -> list[Key]:
    """Return the keys of a file's numbers."""
    keys: list[Key] = []
    for name in _fields(spec):
        value = getattr(spec, name)
        if name in _NOT_USED:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            keys.append((name,))
        elif hasattr(value, "model_fields_set"):
            keys += [(name, inner) for inner in _fields(value) if getattr(value, inner) is not None]
    return keys


def spec_inputs(group: str, loaded: Loaded[Any], keys: list[Key]) -> list[Input]:
    """Return values of a file of the catalogue, each with its source."""
    found = []
    for key in keys:
        source: Source | None = loaded.source(*key)
        shown = tuple(k for k in key if k not in _CONTAINERS and not isinstance(k, int))
        found.append(
            Input(
                f"{group}.{path_text(shown)}",
                _plain(_value_at(loaded.spec, key)),
                loaded.document.place(key),
                source.cite() if source else NO_SOURCE,
                source.checked.isoformat() if source else None,
                assumed=source is not None and source.confidence == "low",
            )
        )
    return found


_CONTAINERS = {"factors", "quotes", "formats"}
"""Levels of a file that say nothing to a reader."""


def _value_at(value: Any, key: Key) -> Any:  # noqa: ANN401 - any field value
    """Return the value at a key of a spec, through lists and mappings."""
    for part in key:
        value = getattr(value, str(part)) if hasattr(value, "model_fields_set") else value[part]
    return value


def file_inputs(loaded: Loaded[Any]) -> list[Input]:
    """Return every number and name an economic question's file gives, or that is assumed where it does not say."""
    found: list[Input] = []
    _collect_file(loaded, loaded.spec, (), found, given=True)
    return found


def _collect_file(loaded: Loaded[Any], value: Any, key: Key, found: list[Input], *, given: bool) -> None:  # noqa: ANN401 - any value
    """Add what stands at a key and below; `given` where the file sets it, be it in a short form without its name."""
    if hasattr(value, "model_fields_set") and not _is_length(value):
        for name in _fields(value):
            if key or name not in _SKIPPED:
                said = given and name in value.model_fields_set
                _collect_file(loaded, getattr(value, name), (*key, name), found, given=said)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            _collect_file(loaded, item, (*key, index), found, given=given)
    elif value is not None:
        source, place = loaded.source(*key), loaded.document.place(key)
        weak = source is not None and source.confidence == "low"
        text = source.cite() + ", low confidence" * weak if source else GIVEN if given else ASSUMED
        checked = source.checked.isoformat() if source else None
        found.append(Input(path_text(key), _plain(value), place, text, checked, assumed=weak or not (given or source)))


def case_values(cases: Cases) -> dict[str, float]:
    """Return the columns of a single case by 'group.column'; mixture columns give their share-weighted mean."""
    values: dict[str, float] = {}
    for group, columns in cases.groups():
        for field in dataclasses.fields(columns):
            column = getattr(columns, field.name)
            values[f"{group}.{field.name}"] = float(
                (column * cases.workload.share).sum() if group == "workload" else column
            )
    return values
