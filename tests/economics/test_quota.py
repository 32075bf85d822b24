"""Quotas: an article's worked figures by hand, properties of money, and the machines of a peak by another way."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner import answer, load_scenario
from planner.catalog.catalog import Catalog
from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.economics.page import QuestionResult
from planner.economics.questions.asked import load_asked
from planner.economics.questions.plan import PlanFile
from planner.economics.quota import mean_use, quota
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_OK, BadInputError

Call = Callable[..., Any]
CATALOG = Catalog()
WEEKS_PER_MONTH = 730 / 168


def shipped(name: str = "chatgpt-plus-2024-09", **changes: Any) -> QuestionResult:
    """Return the answer to a shipped plan with some fields changed."""
    return quota(load_asked(PlanFile, "scenarios/plans", name, CATALOG, changes), CATALOG)


def plan(limits: str, rest: str = "") -> QuestionResult:
    """Return the answer to a plan of $20 a month written as YAML."""
    text = f"name: p\nas_of: 2025-01-01\nusd_per_month: 20\nlimits:\n{limits}{rest}"
    return quota(load(PlanFile, parse_document(text, "p.yaml")), CATALOG)


def value(result: QuestionResult, row: str, name: str) -> float:
    """Return a number of a row that must be there."""
    found = result.line(row).value(name)
    assert found is not None, (row, name)
    return found


def test_the_plan_of_the_article() -> None:
    """$0.153 and $0.092 a message, 4,480 a week, $3.64 + $1.21 = $4.85 at list price against $4.60, by hand."""
    result = shipped()
    assert value(result, "o1-preview", "usd_per_message_exhausted") == pytest.approx(20 / WEEKS_PER_MONTH / 30)
    assert round(value(result, "o1-preview", "usd_per_message_exhausted"), 3) == 0.153
    assert round(value(result, "o1-mini", "usd_per_message_exhausted"), 3) == 0.092
    assert value(result, "gpt-4o", "quota_messages_per_week") == 80 * 8 * 7 == 4480
    assert value(result, "gpt-4o", "quota_seconds_per_message") == 2.25 * 60
    assert value(result, "o1-preview", "list_value_usd_per_week") == pytest.approx(30 * 0.1212, abs=0.005)
    assert value(result, "o1-mini", "list_value_usd_per_week") == pytest.approx(50 * 0.0242, abs=0.005)
    assert value(result, "o1", "list_value_usd_per_week") == pytest.approx(4.85, abs=0.005)
    assert value(result, "o1", "revenue_usd_per_week") == pytest.approx(4.60, abs=0.005)
    assert value(result, "gpt-4o", "list_value_usd_per_week") == pytest.approx(25.8, abs=0.05)
    assert value(result, "gpt-4o", "list_value_multiple") == pytest.approx(5.6, abs=0.05)


def test_a_key_of_the_api() -> None:
    """20 calls a minute are 28,800 a day, at 32 s each 10.7 are in flight (Little's law); without a price no margin."""
    result = shipped("openai-api-o1-2024-09")
    assert value(result, "o1-preview", "quota_messages_per_day") == 20 * 60 * 24
    assert value(result, "o1-preview", "in_flight_exhausted") == pytest.approx(20 / 60 * 32)
    assert result.line("o1-preview").value("margin") is None
    assert result.line("o1-preview").value("usd_per_message_exhausted") is None


def test_subscribers_pay() -> None:
    """Ten million at $20 are $200 M a month."""
    assert value(shipped(), "all", "users_revenue_usd_per_month") == 10_000_000 * 20


def test_break_even_and_the_largest_quota() -> None:
    """$0.10 a message, 730 a month: break-even at 200 of them, 27.4 %; half the price left at 100."""
    limits = "  - {model: a, messages: 24, window_hours: 24, usd_per_message: 0.1}\n"
    result = plan(limits, "margin_target: 0.5\n")
    assert value(result, "a", "messages_per_month") == 730
    assert value(result, "a", "cost_usd_per_month") == pytest.approx(73)
    assert value(result, "a", "margin_usd_per_month") == pytest.approx(20 - 73)
    assert value(result, "a", "margin") == pytest.approx((20 - 73) / 20)
    assert value(result, "a", "break_even_use") == pytest.approx(200 / 730)
    assert value(result, "a", "largest_quota_messages") == math.floor(24 * 100 / 730)
    exact = plan("  - {model: a, messages: 365, window_hours: 730, usd_per_message: 0.1}\n", "margin_target: 0.5\n")
    assert value(exact, "a", "largest_quota_messages") == 100


def test_groups_are_a_distribution() -> None:
    """A tenth use all, the rest a fifth: 28 % on average; the plan's cost is the sum over models."""
    rest = (
        "users:\n  groups:\n    - {name: heavy, share: 0.1, use: 1}\n"
        "    - {name: light, share: 0.9, use: {a: 0.2, b: 0}}\n"
    )
    limits = "".join(
        f"  - {{model: {m}, messages: 10, window_hours: 24, usd_per_message: {c}}}\n"
        for m, c in (("a", 0.02), ("b", 0.5))
    )
    result = plan(limits, rest)
    assert mean_use(result.question.spec, "a") == pytest.approx(0.1 + 0.9 * 0.2)
    days = 730 / 24
    assert value(result, "a", "cost_usd_per_month") == pytest.approx(10 * days * 0.28 * 0.02)
    assert value(result, "all", "cost_usd_per_month") == pytest.approx(10 * days * (0.28 * 0.02 + 0.1 * 0.5))
    assert value(result, "all", "messages_per_month") == pytest.approx(10 * days * (0.28 + 0.1))


def test_revenue_can_be_shared_out() -> None:
    """With shares, rows split the price and their margins add up to the plan's."""
    limits = "".join(
        f"  - {{model: {m}, messages: 10, window_hours: 24, usd_per_message: 0.01, revenue_share: {s}}}\n"
        for m, s in (("a", 0.75), ("b", 0.25))
    )
    result = plan(limits)
    assert value(result, "a", "revenue_usd_per_month") == pytest.approx(15)
    parts = [value(result, m, "margin_usd_per_month") for m in ("a", "b")]
    assert value(result, "all", "margin_usd_per_month") == pytest.approx(sum(parts))


def test_an_unknown_cost_stays_unknown() -> None:
    """No cost: empty margins of the model and of the plan, and a warning that names the model."""
    limits = (
        "  - {model: a, messages: 1, window_hours: 24}\n"
        "  - {model: b, messages: 1, window_hours: 24, usd_per_message: 0.1}\n"
    )
    result = plan(limits)
    assert result.line("a").value("margin") is None
    assert result.line("all").value("margin_usd_per_month") is None
    assert value(result, "b", "margin") < 1
    assert result.warnings[0].startswith("no cost per message for a: ")


def test_own_machines_and_the_peak_agree_with_estimate() -> None:
    """Cost at the mean load, and GPUs for 2 % of a million sending 30 messages in an hour: as `estimate` says."""
    result = shipped("open-plus")
    per_day = 1e6 * 30 / 7 * 0.863
    load_changes = {"workload.answers_per_day": per_day}
    mean = answer(load_scenario("o1-class", CATALOG, changes=load_changes), CATALOG).best
    assert value(result, "deepseek-r1", "cost_usd_per_message") == pytest.approx(mean["cost_usd_per_answer"], rel=1e-6)
    rate = 1e6 * 0.02 * 30 / 3600
    assert value(result, "deepseek-r1", "peak_messages_per_s") == pytest.approx(rate)
    peak_changes = {"workload.answers_per_day": rate * 86400, "demand.curve": None, "demand.peak_to_mean": 1}
    peak = answer(load_scenario("o1-class", CATALOG, changes=peak_changes), CATALOG).best
    assert value(result, "deepseek-r1", "peak_gpus") == peak["gpus"]
    assert value(result, "deepseek-r1", "peak_usd_per_month") == pytest.approx(peak["cost_usd_per_month"])


def test_used_cost_is_below_reserved_cost() -> None:
    """Idle hours left out; a person who needs 240 s a message sends 15 of the 30 within the hour."""
    changes = {"limits[0].own.cost": "used", "limits[0].seconds_per_message": 240}
    result, reserved = shipped("open-plus", **changes), shipped("open-plus")
    name = "cost_usd_per_message"
    assert value(result, "deepseek-r1", name) < value(reserved, "deepseek-r1", name)
    assert value(result, "deepseek-r1", "peak_messages_per_s") == pytest.approx(1e6 * 0.02 * 15 / 3600)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.001, 1.0), st.floats(1.0, 50.0), st.floats(0.0, 1.0), st.integers(1, 1000))
def test_a_dearer_message_never_leaves_more(cost: float, times: float, use: float, messages: int) -> None:
    """Margins fall and break-even comes earlier as a message costs more."""

    def asked(dollars: float) -> QuestionResult:
        rest = f"users: {{groups: [{{name: g, share: 1, use: {use!r}}}]}}\n"
        return plan(f"  - {{model: a, messages: {messages}, window_hours: 24, usd_per_message: {dollars!r}}}\n", rest)

    cheap, dear = asked(cost), asked(cost * times)
    assert value(dear, "a", "margin") <= value(cheap, "a", "margin") + 1e-12
    assert value(dear, "a", "break_even_use") <= value(cheap, "a", "break_even_use") * (1 + 1e-12)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("messages: 30, window_hours: 7", "a window of 7 h does not divide a day"),
        ("messages: 30, window_hours: 36", "a window of 36 h does not divide a day"),
        ("messages: 80, window_hours: 3, seconds_per_message: 200", "which holds one every 135 s; expected at most 54"),
        ("messages: 1, window_hours: 24, usd_per_message: 1, own: {scenario: o1-class}", "expected one of them"),
        ("messages: 1, window_hours: 24, api: {tokens: 5, input_tokens: 5}", "api needs price_model"),
        ("messages: 1, window_hours: 24, api: {input_tokens: 5, price_model: o1}", "api.tokens is missing"),
        ("messages: 1, window_hours: 24, api: {tokens: 5, price_model: o1}", "api.input_tokens is missing"),
        ("messages: 1, window_hours: 24, api: {characters: 5, price_model: o1, input_tokens: 1}", "needs text"),
        ("messages: 1.5, window_hours: 24", "1.5 is not valid here; expected a whole number"),
        ("messages: 1, window_hours: 24, revenue_share: 0.5", "revenue_share of the limits sums to 0.5; expected 1"),
    ],
)  # fmt: skip
def test_impossible_limits_are_one_line(limit: str, told: str) -> None:
    """What is wrong, where, and what was expected."""
    with pytest.raises(BadInputError, match=r"p\.yaml:") as caught:
        plan(f"  - {{model: a, {limit}}}\n")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("users.groups=[{name: a, share: 0.9, use: 1}]", "the shares of groups sum to 0.9; expected 1"),
        ("users.groups=[{name: a, share: 1, use: {o1-previeu: 1}}]", "Did you mean o1-preview"),
        ("users.groups=[{name: a, share: 1, use: {o1-preview: 1}}]", "does not say its use of o1-mini, gpt-4o"),
        ("users.groups=[{name: a, share: 1, use: 1.5}]", "expected a number of at most 1"),
        ("limits[0].family=gpt-4o", "family 'gpt-4o' has the name of a row"),
        ("limits[0].model=gpt-4o", "model 'gpt-4o' has two limits"),
        ("margin_target=1", "expected a number below 1"),
    ],
)  # fmt: skip
def test_impossible_users_are_one_line(call: Call, changes: str, told: str) -> None:
    """The same through --set, with exit code 2."""
    outcome = call("quota", "--set", changes)
    assert outcome.code == EXIT_BAD_INPUT
    assert told in outcome.err
    assert "Traceback" not in outcome.err


def test_a_rolling_window_may_have_any_length(call: Call) -> None:
    """5 h from the first message: 33.6 windows a week."""
    sets = ("--set", "limits[0].rolling=true", "--set", "limits[0].window_hours=5")
    result = json.loads(call("quota", *sets, "--format", "json").out)["results"][0]
    assert result["quota_messages_per_week"] == pytest.approx(30 * 168 / 5)


def test_a_day_without_a_price_is_exit_3(call: Call) -> None:
    """Before o1-preview came out it had no price; a kind of text that is not there is told with the nearest."""
    early = call("quota", "--set", "as_of=2023-01-01")
    assert early.code == EXIT_DATA_MISSING
    assert "o1-preview has no API price on 2023-01-01" in early.err
    assert "Did you mean thinking-and-code" in call("quota", "--set", "limits[0].api.text=thinking").err
    assert call("quota", "chatgpt-plus-2024-09-22").code == EXIT_OK


def test_the_peaks_fleet_is_said_to_be_outside_the_margin() -> None:
    """With a peak the words name its fleet; without one there is nothing to say."""
    peak = shipped("open-plus", **{"users.exhausting_share": 0.1})
    gpus = peak.lines[-1].value("peak_gpus")
    assert gpus is not None
    assert f"the margin leaves out the peak fleet ({gpus:,.0f} GPUs at $" in peak.verdict[-1]
    assert not any(
        "margin:" in sentence for sentence in shipped("open-plus", **{"users.exhausting_share": None}).verdict
    )


def test_the_largest_quota_is_sized_again_and_has_room() -> None:
    """On own machines it does not follow today's quota, keeps the margin, and one message more does not.

    A million users of o1-class pay $20 for half of their quota; at 17 minutes a message a week has room for 593.
    """

    def own(messages: int, seconds: float = 1.0) -> QuestionResult:
        limit = f"model: r1, messages: {messages}, window_hours: 168, seconds_per_message: {seconds}"
        users = "users: {count: 1000000, groups: [{name: all, share: 1, use: 0.5}]}"
        return plan(f"  - {{{limit}, own: {{scenario: o1-class}}}}\n", f"margin_target: 0.5\n{users}\n")

    largest = value(own(30), "r1", "largest_quota_messages")
    assert largest == value(own(300), "r1", "largest_quota_messages")
    assert value(own(int(largest)), "r1", "margin") >= 0.5
    assert value(own(int(largest) + 1), "r1", "margin") < 0.5
    assert value(own(30, 1020.0), "r1", "largest_quota_messages") == math.floor(168 * 3600 / 1020)
