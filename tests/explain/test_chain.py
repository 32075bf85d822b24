"""Explanations: every formula, evaluated on every shipped question, gives the number it explains."""

import math
import re
from functools import cache
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError
from planner.explain.chain import case_namespace, explain, known_fields, known_formulas, measured_namespace, namespace
from planner.explain.code_formulas import one_pool_formulas
from planner.explain.formulas import completed
from planner.options.answer import Answer, answer
from planner.options.option import COLUMNS
from planner.options.provenance import GIVEN, NO_SOURCE, inputs
from planner.options.router import by_model
from planner.report.explanation import of_result, render
from planner.scenario.load import load_scenario

CATALOG = Catalog()
QUESTIONS = [
    (name, override)
    for name in CATALOG.files("scenarios")
    for override in (None, *load_scenario(name, CATALOG).spec.overrides)
]


@cache
def answered(name: str, override: str | None = None) -> Answer:
    """Return the answer of a shipped question."""
    return answer(by_model(load_scenario(name, CATALOG, override=override))[-1], CATALOG)


@pytest.mark.parametrize(("name", "override"), QUESTIONS)
def test_every_formula_gives_its_number(name: str, override: str | None) -> None:
    """The text that is printed is the calculation: to 1e-9, for the best option of every shipped question."""
    found = answered(name, override)
    measured = found.scenario.spec.measured_rates is not None
    known = known_formulas(found)
    computed = measured_namespace(found) if measured else case_namespace(found.case())[0]
    values = completed(computed, known)
    checked = 0
    for formula in known.values():
        expected = computed.get(formula.name, math.nan)
        if math.isnan(expected):
            continue  # steps that only the formulas name are checked through what they lead to
        assert formula.value(values) == pytest.approx(expected, rel=1e-9), formula.name
        checked += 1
    assert checked >= (15 if measured else 40)


def test_every_formula_uses_known_names_only() -> None:
    """A misspelt name in a formula would hide behind a NaN."""
    values = namespace(answered("o1-class"))
    for formula in one_pool_formulas().values():
        assert isinstance(float(formula.value(values)), float), formula.name


def test_every_dollar_and_gpu_field_can_be_explained() -> None:
    """The numbers people are asked to defend have a formula."""
    wanted = {
        n for n in COLUMNS if n.startswith(("cost_", "gpu_", "replicas", "spare", "gpus", "power", "energy", "co2e"))
    }
    assert wanted - set(known_fields(measured=False)) - {"gpu", "energy_multiplier"} == set()


@pytest.mark.parametrize(("name", "override"), QUESTIONS)
def test_every_input_names_its_origin(name: str, override: str | None) -> None:
    """Each input of each shipped question has a source, says that it is the scenario's own, or is marked as assumed."""
    found = answered(name, override)
    rows = inputs(found.scenario, CATALOG, found.options[0], found.model)
    assert len(rows) > 40
    assert [r.name for r in rows if r.source == NO_SOURCE or not r.where] == []


def test_deepseek_day_names_a_source_for_every_input() -> None:
    """The published day: nothing is merely "given", and what is assumed says so."""
    found = answered("deepseek-day")
    rows = inputs(found.scenario, CATALOG, found.options[0], found.model)
    assert [r.name for r in rows if r.source == GIVEN] == []


def test_the_chain_starts_at_the_field_and_ends_in_inputs() -> None:
    """Dollars a month go down to GPU facts, engine factors and lengths."""
    steps = explain(answered("o1-class"), "cost_usd_per_month")
    assert steps[0].name == "cost_usd_per_month"
    leaves = {s.name for s in steps if s.is_input}
    assert {
        "offer.usd_per_gpu_hour",
        "gpu.hbm_bytes_per_s",
        "engine.memory_efficiency",
        "demand.answers_per_s",
    } <= leaves


def test_an_unknown_field_names_the_nearest() -> None:
    """A misspelt field is answered with its neighbour."""
    with pytest.raises(BadInputError, match="cost_usd_per_month"):
        explain(answered("o1-class"), "cost_usd_per_mont")


def test_accuracy_belongs_to_quality() -> None:
    """The cost per correct answer is divided by the field that the scenario calls quality.accuracy."""
    scenario = load_scenario("o1-class", CATALOG, changes={"quality.accuracy": 0.8, "fleet.gpus": ("h200-sxm",)})
    found = answer(scenario, CATALOG)
    first = explain(found, "cost_usd_per_correct_answer")[0]
    assert first.expression == "cost_usd_per_answer / quality.accuracy"
    assert first.value == pytest.approx(found.best["cost_usd_per_answer"] / 0.8, rel=1e-12)
    assert dict(found.case().groups()).keys() >= {"quality", "energy"}
    assert not hasattr(found.case().energy, "accuracy")


STATES: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "one pool": ("o1-class", None, {"fleet.gpus": ("h200-sxm",)}),
    "two pools": ("o1-class", None, {"fleet.gpus": ("h200-sxm",), "fleet.pools": "two"}),
    "accuracy": ("o1-class", None, {"fleet.gpus": ("h200-sxm",), "quality.accuracy": 0.8}),
    "nodes": ("chat-assistant", None, {"fleet.gpus": ("h100-sxm",), "prices.providers": ("aws",)}),
    "measured tokens": ("deepseek-day", None, {}),
    "measured answers": (
        "deepseek-day",
        None,
        {"workload.input_tokens": 3000, "workload.answer_tokens": 900, "workload.answers_per_day": 1e6},
    ),
    "nothing meets": ("chat-assistant", None, {"fleet.gpus": ("h100-sxm",), "slo.ttft_p95_s": 0.001}),
    "two pools, nothing meets": (
        "o1-class",
        None,
        {"fleet.gpus": ("h200-sxm",), "fleet.pools": "two", "slo.ttft_p95_s": 0.001},
    ),
    "nothing fits": ("o1-class", None, {"fleet.gpus": ("l4",), "fleet.tensor_parallel": (1,)}),
    "no price": ("chat-assistant", None, {"fleet.gpus": ("l4", "tpu-v6e")}),
}


@cache
def state(name: str) -> Answer:
    """Return an answer in a state of its own."""
    question, override, changes = STATES[name]
    return answer(load_scenario(question, CATALOG, override=override, changes=changes), CATALOG)


@pytest.mark.parametrize("name", STATES)
def test_every_result_is_explained_in_every_state(name: str) -> None:
    """Each result field has a chain, or its value, or a reason; a number that is not there is nowhere called nan."""
    found = state(name)
    for field in COLUMNS:
        steps, value = explain(found, field), found.best[field]
        text = render(of_result(found, field, steps, []), "text", None)
        assert re.search(r"\bnan\b", text) is None, field
        assert steps[0].name == field
        if value is None:
            assert text.splitlines()[0].startswith(f"{found.scenario.label}: {field} = no value: {steps[0].why}")
            assert steps[0].why
        elif isinstance(value, float | int) and not isinstance(value, bool):
            assert steps[0].value == pytest.approx(value, rel=1e-9), field
        else:
            assert steps[0].value == value


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("one pool", "nodes", "the offer sells GPUs one by one, not in nodes"),
        ("one pool", "cost_usd_per_correct_answer", "the scenario gives no quality.accuracy"),
        ("one pool", "prefill_replicas", "only for disaggregated serving (fleet.pools: two)"),
        ("measured tokens", "ttft_p95_s", "the rates of nodes are measured: they say nothing of replicas, their "),
        ("measured tokens", "prefill_replicas", "only for disaggregated serving (fleet.pools: two)"),
        ("measured tokens", "energy_wh_per_answer", "the workload gives tokens_per_day, not a number of answers"),
        ("measured answers", "tpot_p50_s", "the rates of nodes are measured: they say nothing of replicas, their "),
        ("nothing meets", "gpus", "no load meets the limits (ttft)"),
        ("nothing meets", "energy_wh_per_answer", "no load meets the limits (ttft)"),
        ("two pools, nothing meets", "prefill_replicas", "no load meets the limits (ttft)"),
        ("nothing fits", "ttft_p95_s", "the option does not fit (memory)"),
        ("no price", "cost_usd_per_month", "no price of this option is known"),
        ("no price", "usd_per_gpu_hour", "no price of this option is known"),
    ],
)
def test_a_missing_number_gives_its_own_reason(name: str, field: str, reason: str) -> None:
    """The reason is that of this answer: not of pools where rates are measured, not of limits where a price lacks."""
    assert explain(state(name), field)[0].why.startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("one pool", "only for disaggregated serving"),
        ("measured tokens", "a step of the performance model, and the rates of this scenario's nodes are measured"),
    ],
)
def test_a_step_of_another_kind_of_answer_is_refused_with_the_reason(name: str, reason: str) -> None:
    """What only two pools have is told so; where rates are measured, that no model computes it."""
    with pytest.raises(BadInputError, match=reason):
        explain(state(name), "prefill.gpus")


def test_a_share_has_no_unit_beside_it() -> None:
    """The unit of the dictionary is 1, which says nothing beside a number."""
    found = state("one pool")
    for field in (name for name, column in COLUMNS.items() if column.unit == "1" and found.best[name] is not None):
        first = render(of_result(found, field, explain(found, field), []), "text", None).splitlines()[0]
        assert re.fullmatch(rf"o1-class: {field} = [-+.e\d]+", first), first
