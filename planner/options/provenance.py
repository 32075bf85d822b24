"""The origin of each input of an option: value, source, file and line."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from planner.catalog.catalog import Catalog, GridFactor
from planner.catalog.market import DemandCurve
from planner.catalog.model import ModelSpec
from planner.documents.length import Length
from planner.documents.spec import FileSpec, Loaded, Source
from planner.documents.yaml_reader import Key, path_text
from planner.options.candidates import Candidate
from planner.options.lowering_workload import peak_to_mean
from planner.scenario.load import Scenario
from planner.serving.cases import Cases

GIVEN = "given by the scenario"
NO_SOURCE = "no source named"
ASSUMED = "assumed by the planner: the scenario does not say"


class Input(NamedTuple):
    """One input with its origin."""

    name: str
    value: Any
    where: str
    source: str
    checked: str | None = None
    assumed: bool = False

    @classmethod
    def of(cls, name: str, value: Any, where: str, source: Source | None, *, without: str = NO_SOURCE) -> "Input":  # noqa: ANN401 - any field value
        """Return an input with what its source says; `without` is what stands for the source where none is named.

        A value is assumed where its source is of low confidence, or where nobody gave it.
        """
        if source is None:
            return cls(name, _plain(value), where, without, assumed=without == ASSUMED)
        return cls(
            name, _plain(value), where, source.cite(), source.checked.isoformat(), assumed=source.confidence == "low"
        )

    def row(self) -> dict[str, Any]:
        """Return the JSON form."""
        return self._asdict()


_SKIPPED = {"overrides", "sources", "title", "name"}


def inputs(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Input]:
    """Return every input of an option: scenario, GPU, system, model, engine, formats, price, assumptions, grid."""
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
    return [*found, grid_input(grid)]


def grid_input(grid: GridFactor) -> Input:
    """Return the carbon intensity of a grid with its source."""
    return Input.of("grid.gco2e_per_kwh", grid.gco2e_per_kwh, grid.where, grid.source)


def _model_inputs(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Input]:
    """Return the inputs of the performance model: engine factors, language model, number formats."""
    fields = ("hidden_size", "vocab_size", "max_context_tokens", "attention", "ffn", "weights")
    extra = (
        "other_parameters",
        "tied_embeddings",
        "learned_positions",
        "per_layer_embedding_parameters",
        "unread_parameters",
    )
    keys: list[Key] = [(name,) for name in fields + tuple(n for n in extra if getattr(model.spec, n))]
    keys += _effort_keys(scenario, model.spec)
    set_here = {_SET_BY[name] for name, value in scenario.spec.engine_settings if value is not None and name in _SET_BY}
    keys_of_engine = [key for key in _engine_keys(option) if key[-1] not in set_here]
    found = spec_inputs("engine", option.machine.engine, keys_of_engine)
    found += spec_inputs("model", model, keys)
    return found + spec_inputs("format", catalog.formats, _format_keys(scenario, catalog, option, model))


_SET_BY = {
    "gpu_memory_utilization": "memory_utilization",
    "max_num_seqs": "max_running_sequences",
    "max_num_batched_tokens": "max_batched_tokens",
}
"""Setting of a scenario -> the value of an engine's file that it takes the place of."""


def _effort_keys(scenario: Scenario, model: ModelSpec) -> list[Key]:
    """Return the keys of the effort levels that a workload names."""
    workload = scenario.spec.workload
    efforts = dict.fromkeys(c.effort for c in (workload, *workload.classes) if c.effort)
    tables = ("effort_multipliers", "effort_generated_tokens")
    return [(table, e) for table in tables for e in efforts if e in getattr(model, table)]


def _engine_keys(option: Candidate) -> list[Key]:
    """Return the keys of the factors, and of the limits that apply to the option's device."""
    factors, gpu = option.machine.engine.spec.factors, option.machine.gpu.spec
    applied = factors.limits.index(factors.limits_for(gpu))
    keys: list[Key] = [
        ("factors", n) for n in _fields(factors) if n in factors.model_fields_set and n not in _NO_NUMBERS
    ]
    return keys + [("factors", "limits", applied, n) for n in ("max_running_sequences", "max_batched_tokens")]


_NO_NUMBERS = {"limits", "memory_share_of"}
"""Factors that are no numbers of their own."""


def _format_keys(scenario: Scenario, catalog: Catalog, option: Candidate, model: Loaded[ModelSpec]) -> list[Key]:
    """Return the keys of the number formats in use: the published weights', the option's, the KV cache's."""
    weights = model.spec.weights
    used = [weights.attention, weights.ffn, weights.experts, weights.embedding]
    used += [option.precision.name, scenario.spec.fleet.kv_precision or model.spec.cache_format]
    names = dict.fromkeys(catalog.format(name)[0] for name in used if name)
    return [("formats", name, "weight_bytes") for name in names]


def _curve_input(scenario: Scenario, catalog: Catalog) -> list[Input]:
    """Return the peak of the demand curve that the scenario names; empty where it names none or sets the peak."""
    demand = scenario.spec.demand
    if demand.curve is None or demand.peak_to_mean is not None:
        return []
    curve = catalog.get(DemandCurve, demand.curve)
    key = ("hourly_relative_rate",)
    value, place = peak_to_mean(demand, curve.spec), curve.document.place(key)
    return [Input.of("demand.peak_to_mean", value, place, curve.source(*key))]


def scenario_inputs(scenario: Scenario) -> list[Input]:
    """Return the scenario's own fields, given or assumed; a list is one input."""
    document, fields = scenario.loaded.document, []
    for key, value, is_set in _leaves(scenario.spec, (), given=True, into_lists=False):
        given = is_set and _in_data(document.data, key)
        where, source = (document.place(key), scenario.loaded.source(*key)) if given else (document.where, None)
        fields.append(Input.of(path_text(key), value, where, source, without=GIVEN if given else ASSUMED))
    return fields + _effective_defaults(scenario, {i.name for i in fields})


def _in_data(data: Any, key: Key) -> bool:  # noqa: ANN401 - plain data of any shape
    """Return whether a document holds a value at a key: a class that takes the workload's has it set, but not there."""
    for part in key:
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _effective_defaults(scenario: Scenario, known: set[str]) -> list[Input]:
    """Return the default values of workload and demand fields that are not given."""
    spec, where = scenario.spec, scenario.loaded.document.where
    if spec.workload.tokens_per_day is not None:
        return []
    defaults: dict[str, Any] = {} if spec.demand.curve else {"demand.peak_to_mean": 1.0}
    if not spec.workload.classes:
        defaults |= {} if spec.workload.thinking_fields() else {"workload.reasoning_multiplier": 1.0}
        defaults |= {"workload.cached_share": 0.0, "workload.samples_per_answer": 1, "workload.turns_per_answer": 1}
        defaults |= {"workload.max_tokens": "the model's context"}
    return [Input.of(n, value, where, None, without=ASSUMED) for n, value in defaults.items() if n not in known]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _fields(spec: Any) -> list[str]:  # noqa: ANN401 - any spec
    return list(type(spec).model_fields)


_NOT_USED = {"released", "capex_usd", "power_w"}
"""Facts of a machine that no formula uses."""


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
    """Return values of a catalogue file with their sources; `group` starts their names."""
    return [
        Input.of(
            f"{group}.{path_text(tuple(k for k in key if k not in _CONTAINERS and not isinstance(k, int)))}",
            _value_at(loaded.spec, key),
            loaded.document.place(key),
            loaded.source(*key),
        )
        for key in keys
    ]


_CONTAINERS = {"factors", "quotes", "formats"}
"""Levels of a file that are left out of names."""


def _value_at(value: Any, key: Key) -> Any:  # noqa: ANN401 - any field value
    """Return the value at a key of a spec, through lists and mappings."""
    for part in key:
        value = getattr(value, str(part)) if hasattr(value, "model_fields_set") else value[part]
    return value


def file_inputs(loaded: Loaded[Any]) -> list[Input]:
    """Return every value of an economic question's file, given or assumed; each entry of a list is one input."""
    fields = []
    for key, value, given in _leaves(loaded.spec, (), given=True, into_lists=True):
        where, source = loaded.document.place(key), loaded.source(*key)
        one = Input.of(path_text(key), value, where, source, without=GIVEN if given else ASSUMED)
        fields.append(one._replace(source=f"{one.source}, low confidence") if source and one.assumed else one)
    return fields


def _leaves(value: Any, key: Key, *, given: bool, into_lists: bool) -> Iterator[tuple[Key, Any, bool]]:  # noqa: ANN401 - any value
    """Yield (key, value, whether the file gives it, be it in a short form) of what stands at a key and below."""
    if hasattr(value, "model_fields_set") and not isinstance(value, Length):
        for name in _fields(value):
            if key or name not in _SKIPPED:
                in_file = given and name in value.model_fields_set
                yield from _leaves(getattr(value, name), (*key, name), given=in_file, into_lists=into_lists)
    elif into_lists and isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, (*key, index), given=given, into_lists=into_lists)
    elif value is not None and value != ():
        yield key, value, given


def case_values(cases: Cases) -> dict[str, float]:
    """Return the columns of a single case by 'group.column'; mixture columns give their share-weighted mean."""
    values: dict[str, float] = {}
    for group, columns in cases.groups():
        if group == "curve":
            continue
        for field in dataclasses.fields(columns):
            column = getattr(columns, field.name)
            values[f"{group}.{field.name}"] = float(
                (column * cases.workload.share).sum() if group == "workload" else column
            )
    return values
