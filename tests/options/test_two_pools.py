"""Two pools in `estimate`: a prefill pool of one layout beside a decode pool of another."""

import dataclasses
import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.documents.spec import today
from planner.errors import BadInputError
from planner.explain.chain import case_namespace, explain, known_formulas
from planner.explain.formulas import completed
from planner.fleet.estimate import estimate, estimate_and_capacity, solve
from planner.fleet.sizing import fleet_cost
from planner.options.answer import Answer, answer
from planner.options.candidates import candidates
from planner.options.intervals import unseen_of, with_intervals
from planner.options.lowering import lower
from planner.options.option import COLUMNS
from planner.scenario.load import Scenario, load_scenario
from planner.serving.cases import Cases
from planner.serving.disaggregated import deployment_of
from planner.serving.disaggregated_slo import best_share, gpu_seconds, pair_capacity
from planner.serving.slo import LIMITS
from planner.serving.steady_state import length_quantiles

CATALOG = Catalog()


def asked(name: str = "o1-class", pools: str = "two", override: str | None = None, **changes: Any) -> Scenario:
    """Return a shipped question with some fields changed (dots are written as __)."""
    paths = {"fleet.pools": pools, **{k.replace("__", "."): v for k, v in changes.items()}}
    return load_scenario(name, CATALOG, override=override, changes=paths)


@cache
def ask(name: str = "o1-class", pools: str = "two", override: str | None = None, **changes: Any) -> Answer:
    """Return the answer to a shipped question with two pools, on H200 unless it says otherwise."""
    return answer(asked(name, pools, override, **{"fleet__gpus": ("h200-sxm",), **changes}), CATALOG)


def value(case: Cases, field: str) -> float:
    """Return one number of a case."""
    return float(getattr(estimate(case), field))


def test_both_pools_are_counted_once() -> None:
    """GPUs, money and GPU-seconds are those of both pools, by the fields of the row."""
    sold = {"fleet__gpus": ("h100-sxm",), "prices__providers": ("aws",)}
    row, case = ask(**sold).best, ask(**sold).case()
    detail = solve(case)[1]
    prefill, decode = detail.fleet_cost.prefill, detail.fleet_cost.decode
    assert row["gpus"] == prefill.gpus + decode.gpus == 8 * row["nodes"]
    assert row["prefill_replicas"] == prefill.replicas
    rates = float(detail.replica_capacity.prefill_answers_per_s), float(detail.replica_capacity.answers_per_s)
    seconds = row["prefill_gpus_per_replica"] / rates[0] + row["gpus_per_replica"] / rates[1]
    assert row["gpu_seconds_per_answer"] == pytest.approx(seconds)
    per_token = row["cost_usd_per_mtok_input"], row["cost_usd_per_mtok_output"]
    tokens = row["input_tokens_per_answer"], row["generated_tokens_per_answer"]
    spent = sum(p * t for p, t in zip(per_token, tokens, strict=True)) / 1e6
    assert spent == pytest.approx(row["cost_usd_per_answer"])
    share = float(prefill.gpus) / row["gpus"]
    assert per_token[0] * tokens[0] / 1e6 == pytest.approx(share * row["cost_usd_per_answer"])


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(1e-3, 1e3), factor=st.floats(1.0, 50.0))
def test_more_traffic_never_costs_less(rate: float, factor: float) -> None:
    """Reserved dollars a month grow with the rate."""
    less, more = (
        value(ask().case().replaced(demand__answers_per_s=r), "cost_usd_per_month") for r in (rate, rate * factor)
    )
    assert less <= more * (1 + 1e-12)


def test_prompts_of_next_to_nothing_need_one_prefill_replica() -> None:
    """All but a millionth of the prompts is cached: one prefill replica is enough at any rate."""
    found = estimate(ask().case().replaced(workload__cached_share=1.0 - 1e-6, workload__input_tokens_cv=0.1))
    assert float(found.prefill_replicas) == 1.0
    assert float(found.replicas) > 1.0


def test_answers_of_one_token_need_one_decode_replica() -> None:
    """The prefill yields the only token: nothing is left to decode, and there is no time per token."""
    none = {f"slo__{f.name}": np.nan for f in dataclasses.fields(ask().case().slo)}
    one = {f"workload__{n}": 0.0 for n in ("generated_tokens_cv", "answer_tokens_cv", "thinking_tokens_cv")}
    long = ask().case().replaced(workload__answer_tokens_mean=1.0, demand__answers_per_s=1000.0)
    found = estimate(long.replaced(workload__reasoning_multiplier=1.0, **one, **none))
    assert float(found.replicas) == 1.0
    assert float(found.prefill_replicas) > 1.0
    assert np.isnan(found.tpot_p95_s)


@pytest.mark.parametrize("limit", [1e-4, 1e-3])
def test_a_first_token_nobody_can_show_is_named(limit: float) -> None:
    """Below what an idle prefill replica takes: `ttft`, with the best attainable latencies beside it."""
    found = estimate(ask().case().replaced(slo__ttft_p95_s=limit))
    assert not float(found.meets_slo)
    assert LIMITS[int(found.limit)] == "ttft"
    assert float(found.ttft_p95_s) > limit
    assert np.isnan(found.gpus)


def test_a_row_is_the_point() -> None:
    """A sweep, a grid and a mixture with cases of one pool give to the bit what each case gives alone."""
    case = ask().case()
    rates, limits = np.asarray([0.1, 5.0, 300.0]), np.asarray([0.6, 2.0, np.nan, 1e-4])
    swept = case.replaced(demand__answers_per_s=rates[:, None], slo__ttft_p95_s=limits)
    layouts = np.where(np.arange(4) % 2, np.nan, case.prefill_layout.tensor_parallel)
    for cases in (swept, swept.replaced(prefill_layout__tensor_parallel=layouts)):
        found = estimate(cases)
        for i, j in itertools.product(range(3), range(4)):
            one = case.replaced(demand__answers_per_s=rates[i], slo__ttft_p95_s=limits[j])
            kept = np.broadcast_to(cases.prefill_layout.tensor_parallel, 4)[j]
            alone = estimate(one.replaced(prefill_layout__tensor_parallel=kept))
            for name, column in vars(found).items():
                assert np.array_equal(column[i, j], getattr(alone, name), equal_nan=True), name


@pytest.mark.parametrize(
    "changes",
    [{}, {"slo__ttft_p95_s": None, "slo__e2e_p95_s": 90}, {"slo__e2e_p50_s": 20, "slo__tpot_p95_s": None},
     {"slo__tpot_p95_s": None}, {"slo__ttft_p95_s": None, "slo__time_to_answer_p95_s": 60}],
)  # fmt: skip
def test_no_load_of_the_prefill_pool_takes_fewer_gpu_seconds(changes: dict[str, Any]) -> None:
    """Against 2,000 loads of a prefill replica, each with the largest decode batch: half a percent from the best."""
    cases = ask(**changes).case()
    deployment, lengths = deployment_of(cases), length_quantiles(cases)
    prefill, decode = deployment.prefill, deployment.decode
    assert prefill is not None
    with np.errstate(all="ignore"):
        found = pair_capacity(prefill, decode, lengths, cases.slo)
        least = gpu_seconds(prefill, decode, found.prefill_share, found.running)
        shares = np.linspace(0.001, 1.0, 2000)
        running, _ = best_share(prefill, decode, lengths, cases.slo, shares)
        tried = gpu_seconds(prefill, decode, shares, running)
    idle = running <= float(decode.memory.max_running_sequences) * 1.0001e-6
    assert float(least) <= np.min(tried[~idle]) * 1.005


def test_two_prefill_layouts_are_as_good_as_all() -> None:
    """The whole square of layouts holds nothing cheaper on used hours than what the two worth trying give, to 2 %."""
    question = asked(fleet__gpus=("h100-sxm",), prices__providers=("aws",), fleet__precisions=("native",))
    found = answer(question, CATALOG)
    options = candidates(question, CATALOG, found.model, today())
    square = [dataclasses.replace(o, prefill=r.layout) for o in options for r in options]
    every = estimate(lower(question, CATALOG, found.model, square))
    costs = np.where(every.meets_slo > 0, every.cost_usd_per_month, np.inf)
    assert found.best["cost_usd_per_month"] <= costs.min() * 1.02


def test_any_takes_the_cheaper() -> None:
    """The best option with either is the better of the best with one and the best with two."""
    costs = {p: ask(pools=p).best["cost_usd_per_month"] for p in ("one", "two", "any")}
    assert costs["any"] == min(costs["one"], costs["two"])
    kinds = {row["prefill_replicas"] is None for row in ask(pools="any").results}
    assert kinds <= {True, False}


@pytest.mark.parametrize("pools", ["one", "two", "any"])
def test_a_demand_needs_no_solving(pools: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What replicas serve, found once and in chunks, gives the estimate at each demand to the bit."""
    cases = ask(pools=pools).cases
    monkeypatch.setattr("planner.fleet.estimate.CHUNK_ROWS", 500)
    of_each = estimate_and_capacity(cases)[1]
    demands = cases.replaced(demand__answers_per_s=np.geomspace(1e-2, 1e3, 5)[:, None])
    cost, whole = fleet_cost(demands, of_each), estimate(demands)
    found = vars(cost.money) | {n: getattr(cost.fleet, n) for n in ("replicas", "spare_replicas", "gpus", "nodes")}
    found |= {"meets_slo": cost.meets_slo, "generated_tokens_per_answer": of_each.generated_tokens_per_answer}
    for name, column in found.items():
        finite = np.where(np.isfinite(column), column, np.nan)
        np.testing.assert_array_equal(np.broadcast_to(finite, whole.fits.shape), getattr(whole, name), err_msg=name)


def test_one_pool_stays_what_it_was() -> None:
    """The fields of prefill pools are empty with one pool; `one` is what a scenario without the field asks."""
    appended = [name for name in COLUMNS if name.startswith("prefill_")]
    first = list(COLUMNS).index(appended[0])
    assert list(COLUMNS)[first : first + 6] == appended
    row = ask(pools="one").best
    assert {row[name] for name in appended} == {None}
    plain = answer(load_scenario("o1-class", CATALOG, changes={"fleet.gpus": ("h200-sxm",)}), CATALOG).best
    assert row == plain


@pytest.mark.parametrize(
    ("name", "override", "changes"),
    [
        ("o1-class", None, {}),
        ("chat-assistant", None, {"fleet__gpus": None, "fleet__speculative_tokens": 3}),
        ("deepseek-day", "model-alone", {"fleet__gpus": ("h800-sxm",), "fleet__billing": "peak"}),
        ("o1-class", None, {"workload__turns_per_answer": 3, "fleet__gpus": ("h100-sxm",)}),
        ("chat-assistant", None, {"fleet__gpus": ("h100-sxm",), "prices__providers": ("aws",)}),
    ],
)
def test_every_formula_gives_its_number(name: str, override: str | None, changes: dict[str, Any]) -> None:
    """The text that is printed is the calculation, of both pools: to 1e-9, down to the prefill layout."""
    found = ask(name, "two", override, **changes)
    known, computed = known_formulas(found), case_namespace(found.case())[0]
    values = completed(computed, known)
    for formula in known.values():
        if not np.isnan(computed.get(formula.name, np.nan)):
            result = formula.value(values)
            assert result == pytest.approx(computed[formula.name], rel=1e-9), formula.name
    leaves = {step.name for step in explain(found, "cost_usd_per_month")}
    assert {"prefill_layout.tensor_parallel", "layout.tensor_parallel", "prefill.costs.dense_memory_s"} <= leaves
    assert explain(found, "prefill_replicas")[0].value == found.best["prefill_replicas"]


def test_a_field_of_two_pools_is_not_of_one() -> None:
    """Asked for a prefill pool where there is none, the sentence says which field decides."""
    (step,) = explain(ask(pools="one"), "prefill_replicas")
    assert np.isnan(step.value)
    assert step.why == "only for disaggregated serving (fleet.pools: two)"


def test_no_run_with_two_pools_was_fitted() -> None:
    """The basis is a data sheet, intervals know the pools, and their bounds lie around the value."""
    found = with_intervals(ask("chat-assistant", model="qwen3-32b", fleet__gpus=("h100-sxm",)))
    assert found.best["basis"] == "datasheet"
    assert "pools" in unseen_of(found, found.options[0])
    assert found.best["tpot_p95_s_p10"] < found.best["tpot_p95_s"] < found.best["tpot_p95_s_p90"]
    assert found.best["gpus_p10"] <= found.best["gpus"]


@pytest.mark.parametrize(
    ("pools", "says"),
    [
        ("three", "fleet.pools: 'three' is not valid here; expected one of 'one', 'two' or 'any'"),
        (2, "fleet.pools: 2 is not valid here; expected one of 'one', 'two' or 'any'"),
    ],
)
def test_another_number_of_pools_is_refused(pools: Any, says: str) -> None:
    """Where, what, and what was expected."""
    with pytest.raises(BadInputError) as caught:
        load_scenario("o1-class", CATALOG, changes={"fleet.pools": pools})
    assert says in str(caught.value)


@pytest.mark.parametrize("pools", ["two", "any"])
def test_measured_rates_have_no_pools(pools: str) -> None:
    """A node at measured rates serves either phase: pools beside it are refused."""
    with pytest.raises(BadInputError, match=r"fleet\.pools: nodes with measured_rates already run either phase"):
        asked("deepseek-day", pools)
