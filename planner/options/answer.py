"""From a question to ranked options: find the specs, lower, estimate, rank, warn."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np

from planner.catalog.catalog import Catalog, cache_note, model_note
from planner.catalog.hardware import GpuSpec
from planner.catalog.model import ModelSpec
from planner.catalog.open_named import open_model
from planner.documents.spec import Loaded
from planner.documents.spec import today as the_day
from planner.errors import BadInputError, DataMissingError, NoPriceError
from planner.fleet.estimate import Estimate, ReplicaCapacity, estimate_and_capacity
from planner.fleet.measured_rates import MeasuredLoad, as_measured_nodes, estimate_from_measured_rates, measured_load
from planner.options.candidates import Candidate, Layout, candidates
from planner.options.caveats import context_warnings, nothing_priced, option_warnings, scenario_warnings
from planner.options.lowering import lower
from planner.options.lowering_workload import growth_factor
from planner.options.option import Option
from planner.options.prefill_layouts import with_pools
from planner.options.ranking import rank, ranked_options
from planner.scenario.load import Scenario
from planner.serving.cases import Cases
from planner.serving.slo import Limit


@dataclass(frozen=True)
class Answer:
    """Ranked options of one question, best first."""

    scenario: Scenario
    results: list[Option]
    warnings: list[str]
    model: Loaded[ModelSpec]
    options: list[Candidate] = field(repr=False)
    """The candidate behind each result."""
    cases: Cases = field(repr=False)
    """All candidates of the search."""
    rows_of_results: list[int] = field(repr=False)
    """Row of `cases` behind each result."""
    searched: list[Candidate] = field(repr=False)
    """The candidate behind each row of `cases`."""
    capacity: ReplicaCapacity = field(repr=False)
    """What a replica of each row serves at any demand."""

    @property
    def best(self) -> Option:
        """Return the best option."""
        return self.results[0]

    @property
    def meets(self) -> bool:
        """Return whether some option meets the SLO and fits."""
        return any(option.meets_slo for option in self.results)

    def case(self, index: int = 0) -> Cases:
        """Return the case (shape ()) behind a result."""
        if not self.cases.shape:
            return self.cases
        return self.cases.rows(np.asarray([self.rows_of_results[index]])).rows_of_one()


def answer(scenario: Scenario, catalog: Catalog, *, today: dt.date | None = None) -> Answer:
    """Answer a question: every option the scenario allows, best first.

    Raises DataMissingError for unknown names, its kind NoPriceError where no option has a price, and BadInputError
    for a router.
    """
    refuse_router(scenario)
    day = today or the_day()
    model, notes = find_model(scenario, catalog)
    if scenario.spec.fleet.kv_precision is None and model.spec.kv_cache_format:
        notes = [*notes, cache_note(model.spec)]
    options = candidates(scenario, catalog, model, day)
    if not options:
        key = ("fleet", "tensor_parallel") if scenario.spec.fleet.tensor_parallel else ("fleet",)
        place = scenario.loaded.document.place(key)
        raise DataMissingError("no GPU, engine and layout of the catalogue matches the fleet's filters", where=place)
    if scenario.spec.measured_rates is not None:
        options = _one_layout(options)
    refused = [option for option in options if option.why_not]
    options = [*with_pools(scenario, catalog, model, [o for o in options if not o.why_not]), *refused]
    cases = lower(scenario, catalog, model, options)
    if scenario.spec.measured_rates is not None:
        cases = as_measured_nodes(cases)
    found, capacity = _solved(scenario, cases)
    found = _without_refused(found, options)
    if np.all(np.isnan(found.usd_per_gpu_hour)):
        raise NoPriceError(
            nothing_priced(scenario, catalog, options, day), where=scenario.loaded.document.place(("prices",))
        )
    chosen = rank(options, cases, found)
    results = ranked_options(scenario, options, found, chosen, model.spec)
    if scenario.spec.measured_rates is not None:
        results = [_without_layout(option) for option in results]
    picked = [options[i] for i in chosen]
    warnings = [
        *notes,
        *_gpu_notes(scenario, catalog),
        *scenario_warnings(scenario, model.spec),
        *option_warnings(scenario, catalog, results, picked, day),
        *context_warnings(model.spec, results[0]),
    ]
    return Answer(scenario, results, warnings, model, picked, cases, chosen, options, capacity)


def refuse_router(scenario: Scenario, where: str = "") -> None:
    """Raise BadInputError for a router, whose models have machines each; `router.by_model` splits it."""
    routed = next((i for i, c in enumerate(scenario.spec.workload.classes) if c.model), None)
    if routed is not None:
        raise BadInputError(
            f"scenario {scenario.label} sends its classes to several models, which `planner estimate`, `compare` and "
            "`energy` answer one by one; expected one model",
            where=where or scenario.loaded.document.field_place(("workload", "classes", routed, "model")),
        )


def find_model(scenario: Scenario, catalog: Catalog) -> tuple[Loaded[ModelSpec], list[str]]:
    """Return the model a scenario names, with the longest request that its engine accepts, and how the name was read.

    A model is a config.json, a spec file, or a name of the catalogue. Raises BadInputError where `max_model_len` is
    more than the model's own length.
    """
    place = scenario.loaded.document.place(("model",))
    found = open_model(scenario.spec.model, catalog, folder=scenario.folder, where=place)
    model = _limited(found.loaded, scenario)
    if scenario.spec.model.endswith(".json"):
        notes = model.spec.notes
        return model, [f"{PurePath(scenario.spec.model).name}: {notes}"] if notes else []
    return model, [model_note(found)] if found.note else []


def _limited(model: Loaded[ModelSpec], scenario: Scenario) -> Loaded[ModelSpec]:
    """Return a model with the longest request that the scenario's engine accepts."""
    length, own = scenario.spec.engine_settings.max_model_len, model.spec.max_context_tokens
    if length is None:
        return model
    if length > own:
        place = scenario.loaded.document.place(("engine_settings", "max_model_len"))
        raise BadInputError(f"max_model_len {length:,} is more than {model.spec.id}'s {own:,} tokens", where=place)
    return replace(model, spec=model.spec.model_copy(update={"max_context_tokens": length}))


def _gpu_notes(scenario: Scenario, catalog: Catalog) -> list[str]:
    """Return how GPU names were read, where they are not ids."""
    found = (catalog.find(GpuSpec, name).note for name in scenario.spec.fleet.gpus or ())
    return [f"GPU {note}" for note in found if note]


def _without_refused(found: Estimate, options: Sequence[Candidate]) -> Estimate:
    """Return an estimate without results for the options that the engine does not start."""
    refused = np.asarray([bool(option.why_not) for option in options])
    if not refused.any():
        return found
    verdict = {"fits": 0.0, "meets_slo": 0.0, "limit": float(Limit.DOES_NOT_START)}
    columns = {
        name: column if name in _OF_THE_QUESTION else np.where(refused, verdict.get(name, np.nan), column)
        for name, column in vars(found).items()
    }
    return Estimate(**columns)


_OF_THE_QUESTION = {
    "answers_per_month",
    "input_tokens_per_answer",
    "answer_tokens_per_answer",
    "reasoning_multiplier",
    "generated_tokens_per_answer",
    "truncated_share",
    "usd_per_gpu_hour",
    "gpus_per_replica",
}
"""Results that do not depend on whether an option starts."""


def _solved(scenario: Scenario, cases: Cases) -> tuple[Estimate, ReplicaCapacity]:
    """Return (the estimate of a scenario's cases, what their replicas serve)."""
    measured = scenario.spec.measured_rates is not None
    found, capacity = (
        estimate_from_measured_rates(cases, measured_load_of(scenario, cases))
        if measured
        else estimate_and_capacity(cases)
    )
    return Estimate(**{name: np.atleast_1d(column) for name, column in vars(found).items()}), capacity


def measured_load_of(scenario: Scenario, cases: Cases) -> MeasuredLoad:
    """Return the token volume of a scenario with measured rates, and those rates."""
    rates, volume = scenario.spec.measured_rates, scenario.spec.workload.tokens_per_day
    assert rates is not None  # noqa: S101 - asked only of such scenarios
    growth = growth_factor(scenario.spec.demand)
    tokens = (volume.input * growth, volume.output * growth) if volume else None
    return measured_load(cases, rates.input_tokens_per_s_per_node, rates.output_tokens_per_s_per_node, tokens)


def _one_layout(options: list[Candidate]) -> list[Candidate]:
    """Return one option per machine and offer: measured nodes have no layout of ours."""
    unique = {(o.machine.gpu.spec.id, id(o.machine.system), id(o.offer)): o for o in options}
    return [Candidate(o.machine, o.precision, Layout(o.machine.node_gpus), o.offer) for o in unique.values()]


def _without_layout(option: Option) -> Option:
    """Return an option of measured rates: no engine, precision or layout is known."""
    return replace(
        option,
        engine=None,
        precision=None,
        tensor_parallel=None,
        pipeline_parallel=None,
        expert_parallel=None,
        data_parallel=None,
        basis="assumed" if option.basis == "assumed" else "measured",
    )
