"""Required revenue: Sequoia's two published questions, with both factors open."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from planner.errors import EXIT_BAD_INPUT, EXIT_OK


def rows(call: Callable[..., Any], *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the rows of the shipped question by name."""
    found = call("payback", "sequoia-2024", "--format", "json", *arguments)
    assert found.code == EXIT_OK
    return {row["row"]: row for row in json.loads(found.out)["results"]}


def test_the_published_questions(call: Callable[..., Any]) -> None:
    """2023: "$200B question", a "$125B hole"; 2024: "$600B question", a $500B hole (Sequoia Capital)."""
    found = rows(call)
    assert found["2023-09"]["required_revenue_usd_per_year"] == 200e9
    assert found["2023-09"]["hole_usd_per_year"] == 125e9
    assert found["2024-06"]["required_revenue_usd_per_year"] == 600e9
    assert found["2024-06"]["hole_usd_per_year"] == 500e9


def test_the_hole_is_not_spending_less_revenue(call: Callable[..., Any]) -> None:
    """The article says that spending exceeded revenue by 120 and 500 billion; it is 2 x 50 - 75 and 2 x 150 - 100."""
    found = rows(call)
    assert found["2023-09"]["spend_less_revenue_usd_per_year"] == 25e9
    assert found["2024-06"]["spend_less_revenue_usd_per_year"] == 200e9
    assert "(not a loss: spending exceeds revenue by $200B in that year)" in call("payback", "sequoia-2024").out


def test_both_factors_are_open(call: Callable[..., Any]) -> None:
    """A data centre of 1.6 times its GPUs and a margin of 20 %: 150 x 1.6 / 0.8 = 300, by hand."""
    found = rows(call, "--set", "data_centre_factor=1.6", "--set", "gross_margin=0.2")
    assert found["2024-06"]["required_revenue_usd_per_year"] == pytest.approx(300e9)
    assert found["2024-06"]["revenue_share"] == pytest.approx(1 / 3)


def test_revenue_beyond_the_requirement_is_said(call: Callable[..., Any]) -> None:
    """400 are earned where 300 are required."""
    sets = ("--set", "data_centre_factor=1", "--set", "spending[1].revenue_usd_per_year=4e11")
    assert "$100B above the requirement" in call("payback", "sequoia-2024", *sets).out


def test_without_a_revenue_only_the_requirement_is_answered(call: Callable[..., Any]) -> None:
    """The hole is empty, and the words say why."""
    change = ("--set", "spending[0].revenue_usd_per_year=null")
    assert rows(call, *change)["2023-09"]["hole_usd_per_year"] is None
    assert "no reported revenue to compare with" in call("payback", "sequoia-2024", *change).out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("gross_margin=1", "1 is too large; expected a number below 1"),
        ("gross_margin=50", "50 is too large; expected a number below 1"),
        ("data_centre_factor=0.5", "expected a number of at least 1"),
        ("spending[0].name=2024-06", "two rows are called '2024-06'"),
        ("gross_margn=0.4", "Did you mean gross_margin?"),
    ],
)
def test_bad_input_is_one_line(call: Callable[..., Any], change: str, words: str) -> None:
    """A margin of everything would ask for infinite revenue."""
    found = call("payback", "sequoia-2024", "--set", change)
    assert (found.code, len(found.errors)) == (EXIT_BAD_INPUT, 1)
    assert words in found.errors[0]


def test_explain_finds_it(call: Callable[..., Any]) -> None:
    """The chain of the hole, in the row of 2024."""
    found = call("explain", "sequoia-2024", "hole_usd_per_year", "--row", "2024-06")
    assert "6e+11 - 1e+11" in found.out
