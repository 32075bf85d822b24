"""The files of economic questions: each rule between fields, broken once, is one line with its place."""

from typing import Any

import pytest

from planner.documents.spec import Loaded, load
from planner.documents.yaml_reader import parse_document
from planner.economics.questions.break_even import BreakEvenFile
from planner.economics.questions.budget import BudgetFile
from planner.economics.questions.implied import ImpliedFile
from planner.economics.questions.owning import OwningFile
from planner.economics.questions.plan import PlanFile
from planner.economics.questions.quality import QualityFile
from planner.economics.questions.question import QuestionFile
from planner.economics.questions.revenue import RevenueFile
from planner.errors import BadInputError

PLAN = "name: p\nas_of: 2025-01-01\nusd_per_month: 20\nlimits:\n"
LIMIT = "model: a, messages: 10, window_hours: 24"
OWNING = """\
name: mine
as_of: 2026-11-01
cost_of_capital: 0.1
site: {pue: 1.25, usd_per_kwh: 0.1}
operations: {maintenance_share: 0.02}
options:
"""
OPTION = "name: nodes, system: hgx-h100, life_years: 4"
QUALITY = "name: q\nbenchmark: logic-puzzles\ncandidates:\n"
IMPLIED = "name: q\nas_of: 2025-02-28\nbase: a\nmodel: b\nobservations:\n"
REVENUE = "name: r\nas_of: 2024-06-30\ndata_centre_factor: 2\ngross_margin: 0.5\nspending:\n"
BREAK_EVEN = "name: b\nscenario: o1-class\napi: {model: o1, as_of: 2026-10-22}\n"


def read(kind: type[QuestionFile], text: str) -> Loaded[Any]:
    """Return a question written as YAML."""
    return load(kind, parse_document(text, "q.yaml"))


def refused(kind: type[QuestionFile], text: str) -> str:
    """Return the one line that refuses a question, which names the file."""
    with pytest.raises(BadInputError) as caught:
        read(kind, text)
    line = str(caught.value)
    assert line.startswith("q.yaml:")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("usd_per_message: 1, own: {scenario: o1-class}", "both usd_per_message and own say what a message costs"),
        ("api: {price_model: o1, input_tokens: 5}", "api.tokens is missing; expected the generated tokens or"),
        ("api: {characters: 9, price_model: o1, input_tokens: 5}", "api.characters needs text (a kind of text) or"),
        ("api: {tokens: 9, input_tokens: 5}", "api needs price_model, or usd_per_mtok_input and usd_per_mtok_output"),
        ("api: {tokens: 9, price_model: o1}", "api.input_tokens is missing; an API bills the prompt as well"),
        ("api: {tokens: 9, characters: 9, price_model: o1, input_tokens: 5}", "api gives both tokens and characters"),
        (
            "api: {characters: 9, text: code-python, characters_per_token: 3, price_model: o1, input_tokens: 5}",
            "api gives both text and characters_per_token",
        ),
        (
            "api: {tokens: 9, price_model: o1, usd_per_mtok_input: 1, usd_per_mtok_output: 4, input_tokens: 5}",
            "api gives both price_model and usd_per_mtok_output",
        ),
        ("api: {tokens: 9, usd_per_mtok_output: 4, input_tokens: 5}", "api gives one price; expected"),
        (
            "api: {tokens: 9, usd_per_mtok_input: 1, usd_per_mtok_output: 4, input_tokens: 5, cached_share: 0.5}",
            "api.cached_share needs price_model: the cached price is not given here",
        ),
        ("seconds_per_message: 8641", "10 messages of 8641 s do not fit into 24 h, which holds one every 8640 s"),
    ],
)
def test_a_limit_whose_fields_disagree_is_refused(fields: str, fault: str) -> None:
    """Two costs, half a price, a length in two units, more messages than a window has time for."""
    assert fault in refused(PlanFile, f"{PLAN}  - {{{LIMIT}, {fields}}}\n")


@pytest.mark.parametrize("hours", [1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 730])
def test_windows_that_end_at_the_same_hours_are_taken(hours: float) -> None:
    """Parts of a day, whole days and the month of 730 hours."""
    assert read(PlanFile, f"{PLAN}  - {{model: a, messages: 1, window_hours: {hours}}}\n").spec.limits[0].messages == 1


@pytest.mark.parametrize("hours", [5, 7, 25, 36])
def test_other_windows_must_roll(hours: float) -> None:
    """They would reset at other hours each day, unless the first message starts them."""
    limit = f"model: a, messages: 1, window_hours: {hours}"
    assert f"a window of {hours} h does not divide a day" in refused(PlanFile, f"{PLAN}  - {{{limit}}}\n")
    assert read(PlanFile, f"{PLAN}  - {{{limit}, rolling: true}}\n").spec.limits[0].rolling


@pytest.mark.parametrize(
    ("limits", "rest", "fault"),
    [
        (("revenue_share: 1", "messages: 5"), "", "some limits have a revenue_share and some have none"),
        (("revenue_share: 0.5", "revenue_share: 0.4"), "", "revenue_share of the limits sums to 0.9; expected 1"),
        (("family: all", "family: all"), "", "family 'all' has the name of a row"),
        ((), "users: {exhausting_share: 0.1}\n", "exhausting_share needs count: how many users there are"),
    ],
)
def test_a_plan_whose_limits_disagree_is_refused(limits: tuple[str, ...], rest: str, fault: str) -> None:
    """Shares of revenue that are no whole, a family with a row's name, a share of nobody."""
    rows = [f"model: m{i}, messages: 10, window_hours: 24, {more}" for i, more in enumerate(limits)] or [LIMIT]
    rows = [row.replace("messages: 10, window_hours: 24, messages: 5", "messages: 5, window_hours: 24") for row in rows]
    assert fault in refused(PlanFile, PLAN + "".join(f"  - {{{row}}}\n" for row in rows) + rest)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("rent_out: {tier: spot}", "takes a number or a provider; expected either usd_per_gpu_hour, or provider"),
        ("rent_out: {usd_per_gpu_hour: 2, provider: aws, tier: spot}", "takes a number or a provider"),
        ("rent_out: {provider: aws}", "provider and tier belong together; expected both, or usd_per_gpu_hour alone"),
        ("own_use: {usd_per_gpu_hour: 2, share: 0}", "0 is zero; expected a number above 0"),
        ("network: {capex_usd: 1e6, life_years: 0.5}", "0.5 is too small; expected a number of at least 1"),
        ("building: {life_years: 20}", "building.capex_usd: is missing; expected a value"),
        ("load_share: 1.2", "1.2 is too large; expected a number of at most 1"),
    ],
)
def test_an_owning_option_out_of_bounds_is_refused(fields: str, fault: str) -> None:
    """Half a price, no hours at all, assets without a price or shorter than a year."""
    assert fault in refused(OwningFile, f"{OWNING}  - {{{OPTION}, {fields}}}\n")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("usd_per_mtok_input: 1", "usd_per_mtok_input and usd_per_mtok_output come together"),
        ("api: o1, scenario: o1-class", "api and scenario are given together; expected one price"),
        ("usd_per_sample: 1, api: o1", "usd_per_sample and api are given together; expected one price"),
        ("samples: 5", "samples are given without a method; expected majority, best_of_n or retry"),
        ("method: reranked", "reranked cannot be computed for other samples"),
        ("method: single, samples: [1, 2]", "single cannot be computed for other samples"),
        ("question_correlation: 2", "2 is too large; expected a number of at most 1"),
    ],
)
def test_a_candidate_whose_fields_disagree_is_refused(fields: str, fault: str) -> None:
    """Half a price, two prices, samples of a method that has none."""
    assert fault in refused(QualityFile, f"{QUALITY}  - {{model: o1-mini, {fields}}}\n")


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (OwningFile, f"{OWNING}  - {{{OPTION}}}\n  - {{{OPTION}}}\n", "two options are called 'nodes'"),
        (
            RevenueFile,
            f"{REVENUE}  - {{name: a, gpu_spend_usd_per_year: 1}}\n  - {{name: a, gpu_spend_usd_per_year: 2}}\n",
            "two rows are called 'a'; expected a name of its own for each",
        ),
        (
            ImpliedFile,
            f"{IMPLIED}" + "  - {basis: tokens, base: {tokens: 1}, model: {tokens: 2}}\n" * 2,
            "two observations are called 'tokens'; expected a label for each",
        ),
    ],
)
def test_rows_of_one_name_are_refused(kind: type[QuestionFile], text: str, fault: str) -> None:
    """Rows are explained by their names."""
    assert fault in refused(kind, text)


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        (PlanFile, PLAN + "  []\n", "limits"),
        (OwningFile, OWNING + "  []\n", "options"),
        (QualityFile, QUALITY + "  []\n", "candidates"),
        (ImpliedFile, IMPLIED + "  []\n", "observations"),
        (RevenueFile, REVENUE + "  []\n", "spending"),
        (BreakEvenFile, BREAK_EVEN + "tiers: []\n", "tiers"),
    ],
)
def test_a_question_without_rows_is_refused(kind: type[QuestionFile], text: str, name: str) -> None:
    """An empty list has no answer."""
    line = refused(kind, text)
    assert name in line
    assert "expected at least 1" in line


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        ("tiers: spot\nanswers_per_day: {least: 5, most: 5}\n", "most, 5, is not above least, 5; expected a range"),
        ("tiers: spot\nanswers_per_day: {points: 1}\n", "1 is too small; expected a number of at least 2"),
        ("tiers: sport\n", "expected one of 'on_demand'"),
        ("tiers: {providers: aws}\n", "tiers.tier: is missing"),
    ],
)
def test_a_range_or_tier_that_cannot_be_is_refused(rest: str, fault: str) -> None:
    """A range without a width, a curve of one point, a tier that nobody sells."""
    assert fault in refused(BreakEvenFile, BREAK_EVEN + rest)


@pytest.mark.parametrize(
    ("written", "tiers"),
    [
        ("spot", [("spot", None)]),
        ("[spot, owned]", [("spot", None), ("owned", None)]),
        ("{tier: owned, providers: acme}", [("owned", ("acme",))]),
        ("[spot, {tier: owned, providers: [acme, other]}]", [("spot", None), ("owned", ("acme", "other"))]),
        ("[{tier: owned, providers: any}]", [("owned", None)]),
    ],
)
def test_tiers_are_written_short_or_long(written: str, tiers: list[tuple[str, Any]]) -> None:
    """One or several, each by its name or with the providers whose prices count."""
    spec = read(BreakEvenFile, f"{BREAK_EVEN}tiers: {written}\n").spec
    assert [(choice.tier, choice.providers) for choice in spec.tiers] == tiers


def test_another_scenario_keeps_the_tiers_and_drops_their_sellers() -> None:
    """The sellers were chosen for the scenario the file named; other kinds of question have nothing such."""
    data = {"name": "b", "tiers": ("spot", {"tier": "owned", "providers": ("acme",)})}
    assert BreakEvenFile.for_another_scenario(data)["tiers"] == ("spot", "owned")
    assert BreakEvenFile.for_another_scenario({"tiers": {"tier": "spot"}})["tiers"] == ("spot",)
    assert BudgetFile.for_another_scenario(data) == data


@pytest.mark.parametrize("sum_", ["0", "-1", "nan", "plenty"])
def test_a_budget_is_a_sum_above_zero(sum_: str) -> None:
    """Nothing, a debt, no number and a word buy no answers."""
    text = f"name: b\nscenario: o1-class\nbudget_usd_per_month: {sum_}\n"
    assert "budget_usd_per_month" in refused(BudgetFile, text)


def test_a_title_is_left_out_or_kept() -> None:
    """Every question has a name, and one line for people where somebody wrote it."""
    text = "name: b\nscenario: o1-class\nbudget_usd_per_month: 5\n"
    assert read(BudgetFile, text).spec.title is None
    assert read(BudgetFile, f"{text}title: Five dollars\n").spec.title == "Five dollars"
    assert "name: is missing" in refused(BudgetFile, text.removeprefix("name: b\n"))
