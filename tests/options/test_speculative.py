"""Speculative decoding in `estimate`: what drafts gain and cost, and that nobody measured it."""

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError
from planner.explain.chain import case_namespace, explain
from planner.explain.code_formulas import one_pool_formulas
from planner.explain.formulas import completed
from planner.fleet.estimate import Estimate, estimate
from planner.options.answer import Answer, answer
from planner.options.intervals import with_intervals
from planner.options.option import INTERVAL_COLUMNS
from planner.options.provenance import scenario_inputs
from planner.report.summary import verdict
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases
from planner.serving.replica import Replica, build_replica
from planner.serving.steady_state import load_at

CATALOG = Catalog()


@cache
def ask(name: str = "chat-assistant", **changes: Any) -> Answer:
    """Return the answer to a shipped question with some fields changed (dots are written as __)."""
    paths = {"fleet.gpus": ("h100-sxm",), **{k.replace("__", "."): v for k, v in changes.items()}}
    return answer(load_scenario(name, CATALOG, changes=paths), CATALOG)


def drafting(case: Cases, drafted: float, kept: float) -> Cases:
    """Return a case with drafts."""
    return case.replaced(layout__draft_tokens=drafted, layout__acceptance=kept)


def gain(case: Cases, drafted: float, kept: float, running: float) -> float:
    """Return the time per token without drafts over that with them, of a replica that reads no prompts."""

    def per_token(of: Cases) -> float:
        replica: Replica = build_replica(of)
        decode_only = dataclasses.replace(replica, prefill_tokens_per_decode=np.zeros(()))
        return float(load_at(decode_only, np.asarray(running)).step_s)

    return per_token(drafting(case, 0.0, 0.0)) / per_token(drafting(case, drafted, kept))


def kept_tokens(drafted: int, kept: float) -> float:
    """Return the tokens a step yields: the first is sure, each other needs all before it."""
    return 1.0 + sum(kept**i for i in range(1, drafted + 1))


@given(drafted=st.integers(1, 7), kept=st.floats(0.0, 0.95))
def test_one_sequence_gains_the_tokens_kept_over_the_drafting(drafted: int, kept: float) -> None:
    """Streaming the weights is nearly all of a step of one sequence: y/(1 + s/layers), to a tenth."""
    case = ask().case()
    expected = kept_tokens(drafted, kept) / (1.0 + drafted / float(case.model.layers))
    assert gain(case, drafted, kept, 1e-3) == pytest.approx(expected, rel=1e-3)
    assert gain(case, drafted, kept, 1.0) == pytest.approx(expected, rel=0.1)


@given(drafted=st.integers(1, 7), kept=st.floats(0.0, 0.8))
def test_where_products_bind_drafts_lose(drafted: int, kept: float) -> None:
    """A batch without end multiplies s + 1 tokens for y kept, and y < s + 1: the gain falls with it, below 1.

    The cache, which a step reads once whatever it checks, is left out.
    """
    case = ask().case().replaced(engine__sequence_overhead_s=0.0, layout__kv_bytes=1e-9)
    gains = [gain(case, drafted, kept, batch) for batch in (1.0, 64.0, 1024.0, 1e6)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] < 1.0


@given(kept=st.floats(0.0, 0.99))
def test_without_drafts_acceptance_says_nothing(kept: float) -> None:
    """No drafts: every number stays, whatever the acceptance."""
    plain = estimate(ask().case())
    same = estimate(drafting(ask().case(), 0.0, kept))
    for field in dataclasses.fields(Estimate):
        both = [float(getattr(e, field.name)) for e in (plain, same)]
        assert both[0] == pytest.approx(both[1], rel=1e-9, nan_ok=True), field.name
    assert ask(fleet__acceptance=0.3).best.row() | {"scenario_hash": ""} == ask().best.row() | {"scenario_hash": ""}


def test_a_row_of_a_sweep_equals_its_point() -> None:
    """A column of drafts gives what each gives alone."""
    drafts, case = np.asarray([0.0, 1.0, 3.0]), ask().case()
    swept = estimate(case.replaced(layout__draft_tokens=drafts, layout__acceptance=0.6))
    for i, drafted in enumerate(drafts):
        one = estimate(drafting(case, drafted, 0.6))
        assert float(one.gpu_seconds_per_answer) == swept.gpu_seconds_per_answer[i]


@pytest.mark.parametrize("name", ["chat-assistant", "o1-class"])
def test_explanations_hold_with_drafts(name: str) -> None:
    """Each formula, evaluated with three drafts, gives the number it explains, and the chain names the acceptance."""
    found = ask(name, fleet__speculative_tokens=3)
    known, computed = one_pool_formulas(), case_namespace(found.case())[0]
    values = completed(computed, known)
    for formula in known.values():
        if not math.isnan(computed.get(formula.name, math.nan)):
            value = formula.value(values)
            assert value == pytest.approx(computed[formula.name], rel=1e-9), formula.name
    assert "layout.acceptance" in {step.name for step in explain(found, "tpot_p50_s") + explain(found, "gpus")}


def test_nobody_measured_drafts() -> None:
    """No interval, a warning with the numbers, the basis of a data sheet, and an acceptance marked as assumed."""
    found = with_intervals(ask(fleet__speculative_tokens=2, model="qwen3-32b"))
    assert {found.best[name] for name in INTERVAL_COLUMNS} == {None}
    assert verdict(found)[-1] == "no interval: no run with speculative decoding was measured"
    assert [w for w in found.warnings if "2 drafted, 0.7 of them kept" in w]
    assert not [w for w in found.warnings if "see --interval" in w]
    assert found.best["basis"] == "datasheet"
    assumed = {i.name: i.assumed for i in scenario_inputs(found.scenario)}
    assert assumed["fleet.acceptance"]
    assert not assumed["fleet.speculative_tokens"]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("speculative_tokens", -1, "fleet.speculative_tokens: -1 is negative; expected a number of at least 0"),
        ("speculative_tokens", 1.5, "fleet.speculative_tokens: 1.5 is not valid here; expected a whole number"),
        ("speculative_tokens", 101, "fleet.speculative_tokens: 101 is too large; expected a number of at most 100"),
        ("acceptance", 1, "fleet.acceptance: 1 is too large; expected a number below 1"),
        ("acceptance", -0.1, "fleet.acceptance: -0.1 is negative; expected a number of at least 0"),
        ("speculativ_tokens", 2, "fleet.speculativ_tokens: unknown field. Did you mean speculative_tokens"),
    ],
)
def test_bad_drafts_are_refused_in_a_line(field: str, value: float, says: str) -> None:
    """Where, what, and what was expected."""
    with pytest.raises(BadInputError) as caught:
        load_scenario("chat-assistant", CATALOG, changes={f"fleet.{field}": value})
    assert says in str(caught.value)


def test_measured_rates_know_no_drafts() -> None:
    """A measured rate holds whatever the engine did: drafts beside it are refused."""
    with pytest.raises(BadInputError, match=r"fleet\.speculative_tokens does not apply to measured_rates"):
        load_scenario("deepseek-day", CATALOG, changes={"fleet.speculative_tokens": 1})
