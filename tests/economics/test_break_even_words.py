"""API or own in words: each verdict a row can have, from its numbers alone."""

import math
from typing import Any

import pytest

from planner.economics.break_even_words import cheaper, spoken, verdict
from planner.economics.page import ResultLine

LARGEST = 1e6
NUMBERS: dict[str, float] = {
    "own_usd_per_month": 1000.0,
    "own_usd_per_day": 1000.0 * 24 / 730,
    "own_usd_per_answer": 0.001,
    "api_usd_per_month": 4000.0,
    "api_usd_per_day": 4000.0 * 24 / 730,
    "api_usd_per_answer": 0.004,
    "own_over_api": 0.25,
    "answers_per_day": 30_000.0,
    "profit_over_cost": 3.0,
    "gross_margin": 0.75,
    "break_even_answers_per_day": 8000.0,
    "first_break_even_answers_per_day": 8000.0,
    "break_even_gpus": 1.0,
    "break_even_utilization": 0.25,
    "full_fleet_usd_per_answer": 0.0005,
    "full_fleet_over_api": 0.125,
    "full.answers_per_month": LARGEST * 1000 * 730 / 24,
}


def said(missing: str = "", label: str = "on_demand", **numbers: float) -> str:
    """Return the verdict on a row with some numbers changed."""
    return verdict(ResultLine(label, {}, NUMBERS | numbers), missing=missing, largest=LARGEST)


def test_both_sides_and_the_crossing() -> None:
    """Where the fleet wins for good, what both cost here, and by how much the API is dearer."""
    assert said() == (
        "on-demand: below 8,000 answers a day the API is cheaper, from 8,000 on own machines are "
        "(1 GPU, 25.0% of their hours used). At 30,000 a day the API costs 4 × own: $1,000 own, $4,000 API a month "
        "($0.001 and $0.004 an answer)"
    )


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ({"own_over_api": 2.0}, "a day own costs 2 × the API: "),
        ({"break_even_gpus": 3.0}, "(3 GPUs, 25.0% of their hours used)"),
        ({"first_break_even_answers_per_day": 5000.0}, "; in between, it depends on how busy the last replica is."),
        ({"break_even_answers_per_day": 2e6}, "; that is beyond the requested range, 1,000,000."),
        ({"break_even_answers_per_day": 0.0}, "own machines cost less at any demand: only the mean is billed"),
    ],
)
def test_a_crossing_says_what_is_odd_about_it(numbers: dict[str, float], part: str) -> None:
    """Several crossings, one beyond the range, one at nothing."""
    assert part in said(**numbers)
    assert part not in said()


@pytest.mark.parametrize(
    ("full_answers_per_day", "size"),
    [(LARGEST * 1000, "a full fleet costs"), (5e7, "the largest fleet allowed, for 50,000,000 answers a day, costs")],
)
def test_a_fleet_that_never_wins(full_answers_per_day: float, size: str) -> None:
    """Without a crossing even the fullest fleet is dearer; where fleet.max_gpus bounds it, that is said."""
    text = said(
        break_even_answers_per_day=math.nan,
        full_fleet_over_api=3.0,
        full_fleet_usd_per_answer=0.012,
        **{"full.answers_per_month": full_answers_per_day * 730 / 24},
    )
    assert f"never: even {size} 3 × the API ($0.012 against $0.004 an answer)" in text


def test_a_free_api_has_no_ratio() -> None:
    """Own machines are never cheaper than nothing, and 'times the API' would divide by it."""
    text = said(api_usd_per_month=0.0, own_over_api=math.inf)
    assert text == "on-demand: never, the API is free. Own machines cost $1,000 a month"


def test_no_fleet_says_why() -> None:
    """Without a cost there is the given reason, else the SLO; a fleet that fits only elsewhere names the bound."""
    none: dict[str, Any] = {"own_usd_per_month": math.nan, "full_fleet_usd_per_answer": math.nan}
    assert said(**none) == "on-demand: no fleet meets the SLO"
    assert said("no price for h100-sxm", **none) == "on-demand: no price for h100-sxm"
    bounded = said(own_usd_per_month=math.nan)
    assert bounded.endswith("own machines are (1 GPU, 25.0% of their hours used). At 30,000 a day no fleet stays "
                            "within fleet.max_gpus")  # fmt: skip


def test_tokens_without_answers_are_a_business() -> None:
    """Where only tokens are known the sides are sold and bought, a day at a time."""
    text = said(answers_per_day=math.nan, own_usd_per_day=87_072.0, api_usd_per_day=562_027.0, profit_over_cost=5.45)
    assert text == (
        "on-demand: own machines cost $87,072 a day; sold at the API's price, their answers bring $562,027: "
        "545% profit over cost, 75.0% gross margin"
    )


@pytest.mark.parametrize(
    ("ratio", "side"), [(0.5, "own"), (1.0, "own"), (1.1, "api"), (math.inf, "api"), (math.nan, None)]
)
def test_the_cheaper_side(ratio: float, side: str | None) -> None:
    """Own at a tie; nobody where a side is unknown."""
    assert cheaper(ResultLine("spot", {}, {"own_over_api": ratio})) == side


@pytest.mark.parametrize(
    ("label", "words"),
    [("spot", "spot"), ("committed_3y", "committed-3y"), ("on_demand my_cloud 2", "on-demand my_cloud 2")],
)
def test_a_tier_is_spelled_and_its_providers_are_kept(label: str, words: str) -> None:
    """A provider's name may hold an underscore; it is what --set takes."""
    assert spoken(label) == words
