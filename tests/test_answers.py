"""From a question to ranked options: order, reasons, missing prices, warnings."""

import datetime as dt
from typing import Any

import pytest

from planner.answers import Answer, answer
from planner.errors import DataMissingError
from planner.specs import Catalog, load_scenario

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
