"""From a question to ranked options: order, reasons, missing prices, warnings."""

import datetime as dt
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec
from planner.errors import BadInputError, DataMissingError
from planner.options.answer import Answer, answer
from planner.scenario.load import load_scenario

CATALOG = Catalog()
TODAY = dt.date(2026, 11, 24)


def ask(name: str = "chat-assistant", override: str | None = None, **changes: Any) -> Answer:
    """Return the answer to a shipped question with some fields changed (dots are written as __)."""
    paths = {k.replace("__", "."): v for k, v in changes.items()}
    return answer(load_scenario(name, CATALOG, override=override, changes=paths), CATALOG, today=TODAY)


def test_options_are_ordered_by_cost_then_by_why_they_fail() -> None:
    """Those that meet the SLO come first, cheapest first; then those that fit; then the rest."""
    rows = ask().results
    groups = [0 if r["meets_slo"] else 1 if r["fits"] else 2 for r in rows]
    assert groups == sorted(groups)
    costs = [r["cost_usd_per_month"] for r in rows if r["meets_slo"] and r["cost_usd_per_month"] is not None]
    assert costs == sorted(costs)


def test_a_reason_stands_beside_every_option_that_fails() -> None:
    """No option is left out silently: what does not fit or misses the SLO names its limit."""
    rows = ask().results
    failing = [r for r in rows if not r["meets_slo"]]
    assert failing
    assert all(r["limit"] for r in failing)


def test_an_unpriced_gpu_is_shown_without_dollars() -> None:
    """Where no offer is known the row is sized, its dollars are empty, and the limit says price_missing."""
    rows = [r for r in ask(fleet__gpus=("h100-sxm", "tpu-v6e", "h20")).results if r["provider"] is None and r["fits"]]
    assert rows
    for row in rows:
        assert row["cost_usd_per_month"] is None
        assert row["limit"] == "price_missing"
        assert row["gpus"]


def test_nothing_priced_ends_with_the_nearest_quotes() -> None:
    """Asking for a tier nobody sells is exit 3, and names quotes that exist."""
    with pytest.raises(DataMissingError, match="h20") as error:
        ask(fleet__gpus=("h20",))
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("changes", "quote"),
    [
        ({"prices__as_of": dt.date(2020, 1, 1)}, "on-demand us-east-1 $6.88 (2026-09-06: seen after prices.as_of 2020"),
        ({"prices__tiers": ("capacity_block",)}, "(2024-12-31: valid until 2025-01-01, before today)"),
        ({"prices__tiers": ("owned",)}, "on-demand us-east-1 $6.88 (2026-09-06: not among prices.tiers)"),
        ({"prices__providers": None, "prices__tiers": ("owned",)}, "not among prices.tiers)"),
    ],
)
def test_what_excludes_each_of_the_nearest_quotes_is_said(changes: dict[str, Any], quote: str) -> None:
    """A quote that exists and is not taken names the filter that excludes it: its day or its tier."""
    with pytest.raises(DataMissingError) as error:
        ask(fleet__gpus=("h100-sxm",), **({"prices__providers": ("aws",)} | changes))
    assert quote in error.value.message


def test_whole_nodes_where_the_offer_sells_nodes() -> None:
    """AWS sells p5 by eight: the bill is a multiple of 8 GPUs, and nodes x 8 = gpus."""
    best = ask(fleet__gpus=("h100-sxm",), prices__providers=("aws",)).best
    assert best["gpus"] == 8 * best["nodes"]
    assert best["cost_usd_per_month"] == pytest.approx(best["gpus"] * 730 * 6.88)


def test_an_old_price_warns_and_a_fresh_one_does_not() -> None:
    """The same quote is silent within max_age_days and warns beyond."""
    fresh = ask(fleet__gpus=("h100-sxm",), prices__providers=("aws",), prices__max_age_days=100)
    old = ask(fleet__gpus=("h100-sxm",), prices__providers=("aws",), prices__max_age_days=10)
    assert not [w for w in fresh.warnings if "older than" in w]
    assert [w for w in old.warnings if "aws h100-sxm (79 days)" in w]


def test_prices_of_an_earlier_day() -> None:
    """As of 2025-03-01 AWS asked 12.29 for an H100-hour; the newer, lower price is not looked at."""
    old = ask(fleet__gpus=("h100-sxm",), prices__providers=("aws",), prices__as_of=dt.date(2025, 5, 31)).best
    assert old["usd_per_gpu_hour"] == 12.29


def test_a_trillion_users_is_arithmetic_not_a_plan() -> None:
    """A rate beyond any fleet on record is answered with a loud warning."""
    found = ask(workload__users={"count": 1e12, "answers_per_day": 3.7})
    assert found.best["gpus"] > 1e7
    assert [w for w in found.warnings if w.startswith("BEYOND ANY FLEET ON RECORD")]


def test_an_slo_nothing_meets_names_the_constraint_and_the_best_attainable() -> None:
    """A first token in a millisecond: no option meets it, and the message says what is attainable."""
    found = ask(slo__ttft_p95_s=0.001)
    assert not found.meets
    assert [w for w in found.warnings if "ttft_p95_s 0.001 is below the best attainable" in w]


def test_a_model_too_large_for_the_candidates_says_memory() -> None:
    """DeepSeek-R1 on a T4: nothing fits, and the message says so."""
    found = ask("o1-class", fleet__gpus=("t4",))
    assert not found.meets
    assert {r["limit"] for r in found.results} == {"memory"}
    assert [w for w in found.warnings if w.startswith("nothing fits")]


def test_a_fleet_limit_names_the_smallest_fleet() -> None:
    """With max_gpus 1 for a ten-fold load, the warning says how many GPUs it takes."""
    found = ask(override="ten-times-the-users", fleet__max_gpus=1, fleet__gpus=("h100-sxm",))
    assert not found.meets
    assert [w for w in found.warnings if "no option stays within fleet.max_gpus 1; the smallest fleet needs" in w]


def test_a_thinking_model_without_a_multiplier_warns() -> None:
    """DeepSeek-R1 always thinks: leaving the multiplier out is said."""
    found = ask(model="deepseek-r1")
    assert [w for w in found.warnings if "always thinks" in w]


def test_spot_and_reserved_prices_are_separate_tiers() -> None:
    """A spot search shows spot offers only, and says that machines can be taken away."""
    found = ask(override=None, prices__tiers=("spot",))
    assert {r["price_tier"] for r in found.results if r["provider"]} == {"spot"}
    assert [w for w in found.warnings if "taken away" in w]


def test_reserved_is_never_below_used() -> None:
    """The fleet that is paid for costs at least the hours that are used."""
    for row in ask("o1-class").results:
        if row["meets_slo"] and row["cost_usd_per_answer"] is not None:
            assert row["cost_usd_per_answer"] >= row["cost_usd_per_answer_used"]
            assert row["utilization"] <= 1.0


def test_same_question_same_answer() -> None:
    """Two runs give the same rows."""
    assert ask("o1-mini-class").results == ask("o1-mini-class").results


@pytest.mark.parametrize(
    "thinking", [{"workload__reasoning_multiplier": {"mean": 11, "cv": 2}}, {"workload__reasoning_tokens": 4000}]
)
def test_the_multiplier_is_that_of_two_separate_answers(thinking: dict[str, Any]) -> None:
    """Thinking over plain, each solved alone on the same option, is the GPU-time multiplier printed."""
    fixed = {"fleet__gpus": ("h100-sxm",), "fleet__tensor_parallel": (2,), "fleet__precisions": ("bf16",),
             "prices__providers": ("jarvislabs",), "model": "qwen3-32b",
             "workload__answer_tokens": {"mean": 400, "cv": 1.5}}  # fmt: skip
    with_thoughts, plain = ask(**fixed, **thinking).best, ask(**fixed).best
    ratio = with_thoughts["gpu_seconds_per_answer"] / plain["gpu_seconds_per_answer"]
    assert with_thoughts["gpu_time_multiplier"] == pytest.approx(ratio, rel=1e-9)


def test_an_answer_of_one_token_has_no_tpot() -> None:
    """A classifier writes one token: TPOT is missing and binds nothing, and it needs no more than longer answers do."""
    one = ask(workload__answer_tokens=1, fleet__gpus=("h100-sxm",)).best
    many = ask(workload__answer_tokens=200, fleet__gpus=("h100-sxm",)).best
    assert one["tpot_p95_s"] is None
    assert one["meets_slo"]
    assert one["gpus"] <= many["gpus"]


def test_the_first_visible_token_follows_the_thoughts() -> None:
    """100 thinking tokens: the first visible one is the 101st, 100 steps after the first token."""
    best = ask(
        model="qwen3-32b", workload__input_tokens=500, workload__answer_tokens=200, workload__reasoning_tokens=100
    ).best
    assert best["time_to_answer_p50_s"] == pytest.approx(best["ttft_p50_s"] + 100 * best["tpot_p50_s"], rel=1e-6)
    assert best["e2e_p50_s"] == pytest.approx(best["ttft_p50_s"] + 299 * best["tpot_p50_s"], rel=1e-6)


def test_dollars_of_input_and_output_follow_the_engine_time() -> None:
    """On a nearly idle machine the input's share is the prompt's seconds over those of prompt and decode."""
    best = ask(
        workload__users={"count": 10, "answers_per_day": 1},
        workload__input_tokens=4000,
        workload__answer_tokens=200,
        fleet__gpus=("h100-sxm",),
    ).best
    factors = CATALOG.get(EngineSpec, best["engine"]).spec.factors
    host = factors.request_overhead_s + factors.prompt_overhead_s
    prompt = best["ttft_p50_s"] - host - (factors.scheduling_steps + 1) * best["tpot_p50_s"]
    by_time = prompt / (prompt + 199 * best["tpot_p50_s"])
    share = best["cost_usd_per_mtok_input"] * 4000e-6 / best["cost_usd_per_answer"]
    assert share == pytest.approx(by_time, rel=0.02)


def test_a_layout_nobody_rents_out_is_unpriced_not_unfit() -> None:
    """GB200 is sold two by two: larger replicas fit R1 and say that their price is missing."""
    rows = ask("o1-class", fleet__gpus=("gb200",), prices__tiers=("on_demand", "committed_3y")).results
    assert {r["limit"] for r in rows if r["fits"] and r["meets_slo"]} == {"price_missing"}


def test_machines_without_a_network_stay_in_one_node() -> None:
    """No layout spreads a card without a system over several nodes: nothing is known of what joins them."""
    assert all(r["gpus_per_replica"] <= 8 for r in ask("o1-class", fleet__gpus=("rtx-5090", "h100-sxm")).results
               if r["gpu"] == "rtx-5090")  # fmt: skip


def test_constant_lengths_and_missing_spares_are_said() -> None:
    """A percentile limit on lengths that never vary, and a service that one failure stops, are worth a warning."""
    found = ask(
        workload__input_tokens=900, workload__answer_tokens=250, workload__users={"count": 100, "answers_per_day": 2}
    )
    assert [w for w in found.warnings if "all lengths are constants" in w]
    assert [w for w in found.warnings if "no spare: a failure takes the whole service down" in w]
    assert not [w for w in ask().warnings if "all lengths are constants" in w]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workload.shared_tokens": 2000}, "workload.shared_tokens: 2,000 is more than an input of 1,268 tokens"),
        (
            {"workload.shared_tokens": 1000, "workload.cached_share": 0.1},
            "workload.cached_share: 0.1 of 1,268 input tokens is less than the 1,000 shared_tokens; expected at least",
        ),
    ],
)
def test_shared_tokens_that_cannot_be(changes: dict[str, float], message: str) -> None:
    """More is shared than an input has, or than is found in the cache: one line that names the field once."""
    with pytest.raises(BadInputError) as caught:
        answer(load_scenario("o1-class", CATALOG, changes=changes), CATALOG)
    assert str(caught.value).startswith(f"--set {message}") or str(caught.value).startswith(message)
    assert str(caught.value).count(message.partition(":")[0]) == 1


def test_a_shared_prompt_takes_room_once() -> None:
    """600 of 1,268 tokens shared: more sequences find room in a replica, and no more GPUs are needed."""
    shared = answer(load_scenario("o1-class", CATALOG, changes={"workload.shared_tokens": 600}), CATALOG).best
    alone = answer(load_scenario("o1-class", CATALOG), CATALOG).best
    assert (shared.max_concurrency_per_replica or 0) > (alone.max_concurrency_per_replica or 0)
    assert (shared.gpus or 0) <= (alone.gpus or 0)
