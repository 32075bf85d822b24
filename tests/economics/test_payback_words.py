"""Owning in words: each sentence an option can have, from its numbers alone."""

import math
from typing import Any

import numpy as np
import pytest

from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.economics import finance
from planner.economics.page import ResultLine
from planner.economics.payback_words import low_confidence, warnings, words
from planner.economics.questions.owning import OwningFile

FILE = """\
name: mine
as_of: 2026-11-01
cost_of_capital: 0.1
sources:
  guess: {title: a guess, checked: 2026-11-01, confidence: low}
  list: {title: a list, checked: 2026-11-01, confidence: high}
site: {pue: 1.25, usd_per_kwh: {value: 0.1, source: guess}}
operations: {maintenance_share: {value: 0.02, source: list}}
options:
  - {name: nodes, system: hgx-h100, life_years: {value: 4, source: guess}}
"""
QUESTION = load(OwningFile, parse_document(FILE, "mine.yaml"))
NUMBERS: dict[str, Any] = {
    "usd_per_gpu_hour": 2.0,
    "capex_usd": 3e6,
    "capex_usd_per_year": 800_000.0,
    "cost_usd_per_year": 1e6,
    "cost_of_capital": 0.1,
    "rent_usd_per_gpu_hour": 2.5,
    "rent.change_per_year": 0.0,
    "horizon_years": 4.0,
    "npv_usd": 500_000.0,
    "irr": 0.2,
    "payback_years": 2.5,
    "discounted_payback_years": 3.1,
    "lasting_payback_years": 2.5,
    "systems.life_years": 4.0,
    "network.life_years": 4.0,
    "building.life_years": 4.0,
    "network.capex_usd": 0.0,
    "building.capex_usd": 0.0,
    "site.colo_usd_per_kw_month": 0.0,
    "cash_flow_usd_by_year": np.array([-3e6, 1e6, 1e6, 1e6, 1e6]),
    "margin_usd_per_gpu_hour": 0.5,
    "own_use_usd_per_year": math.nan,
    "rent_out_less_own_use_usd_per_year": math.nan,
}


def line(source: str | None = None, **numbers: Any) -> ResultLine:
    """Return an option's row with some numbers changed; __ stands for a dot."""
    changed = {name.replace("__", "."): value for name, value in numbers.items()}
    return ResultLine("nodes", {"rent_source": source}, NUMBERS | changed)


def said(source: str | None = None, **numbers: Any) -> list[str]:
    """Return the sentences on that row."""
    return words(line(source, **numbers), QUESTION.spec)


def test_cost_and_profit_in_one_sentence() -> None:
    """The hour, the capital's part of it, and what renting out leaves over the horizon."""
    (sentence,) = said()
    assert sentence == (
        "nodes: $2.00 per GPU-hour ($3M at 10% a year; capital is 80% of the cost); rented out at $2.50: NPV $500,000 "
        "over 4 years, IRR 20.0%, payback 2.5 years (discounted: 3.1)"
    )


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        ({"npv_usd": -5e5, "irr": 0.04}, "returns less than its 10% cost of capital: NPV -$500,000"),
        ({"npv_usd": -5e5, "irr": -0.04}, "loses money: NPV -$500,000"),
        ({"npv_usd": -5e5, "irr": math.nan}, "loses money: NPV -$500,000"),
        ({"rent__change_per_year": -0.2}, "at $2.50 and falling 20% a year: "),
        ({"rent__change_per_year": 0.5}, "at $2.50 and rising 50% a year: "),
        ({"npv_usd": math.nan}, "at $2.50: margin $0.500 in the first year"),
        ({"payback_years": math.nan}, "not paid back within the horizon"),
        ({"discounted_payback_years": math.nan}, "payback 2.5 years (discounted: not within the horizon)"),
        ({"irr": math.nan, "cash_flow_usd_by_year": np.full(5, -1.0)}, "no IRR (no year earns more than it costs)"),
        (
            {"irr": math.nan, "cash_flow_usd_by_year": np.array([-10.0, 23.0, -13.2])},
            "no unique IRR (NPV is zero at several rates)",
        ),
    ],
)
def test_what_renting_out_leaves(numbers: dict[str, Any], part: str) -> None:
    """Loss or too little, moving rents, and what has no number says so instead."""
    assert part in said(**numbers)[0]
    assert part not in said()[0]


def test_a_price_of_the_catalogue_is_named() -> None:
    """Whose price of which day it is, in brackets."""
    assert "rented out at $2.50 (acme spot 2026-10-01): " in said("acme spot 2026-10-01")[0]


def test_without_a_rent_only_the_cost_is_said() -> None:
    """No price of an hour: no NPV and no lives beside a payback."""
    (only,) = said(rent_usd_per_gpu_hour=math.nan)
    assert only == "nodes: $2.00 per GPU-hour ($3M at 10% a year; capital is 80% of the cost)"


@pytest.mark.parametrize(
    ("lasting", "end"),
    [
        (2.5, "payback takes 2.5 years"),
        (3.5, "payback takes 2.5 years, or 3.5 years with all replacements paid for"),
        (math.nan, "payback takes 2.5 years, but replacements put the account back into debt within the horizon"),
    ],
)
def test_assets_of_several_lives_are_listed(lasting: float, end: str) -> None:
    """A building outlives the machines; of a network that nobody bought nothing is said."""
    building = {"building__capex_usd": 1e6, "building__life_years": 20.0, "network__life_years": 9.0}
    assert said(lasting_payback_years=lasting, **building)[1] == (
        f"nodes: asset lives in years: machines 4, building 20; {end}"
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (math.nan, "nodes: own use is worth $1.20M a year and costs $1M"),
        (100_000.0, "nodes: own use is worth $1.20M a year; renting out earns $100,000 more"),
        (-100_000.0, "nodes: own use is worth $1.20M a year, $100,000 more than renting out"),
    ],
)
def test_own_use_beside_renting_out(more: float, sentence: str) -> None:
    """Which of the two brings more, where both are known."""
    assert said(own_use_usd_per_year=1.2e6, rent_out_less_own_use_usd_per_year=more)[-1] == sentence


def test_inputs_on_weak_ground_are_named_once() -> None:
    """Those of the file by their fields, of an option without its number; those of the catalogue as they are called."""
    assert low_confidence(QUESTION, ["hgx-h100 power_w", "hgx-h100 power_w"]) == [
        "site.usd_per_kwh",
        "life_years",
        "hgx-h100 power_w",
    ]


def test_warnings_name_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak inputs, two rents of one building, no price of an hour, no library; nothing where all is well."""
    assert warnings([line()], []) == []
    twice = line(building__capex_usd=1e6, site__colo_usd_per_kw_month=100.0)
    assert warnings([twice], ["life_years"]) == [
        "low-confidence inputs: life_years",
        "nodes: counts both a purchased building and colocation rent",
    ]
    assert warnings([line(rent_usd_per_gpu_hour=math.nan)], []) == [
        "no rent_out for nodes: NPV, IRR and payback need the price of an hour"
    ]
    monkeypatch.setattr(finance, "find_spec", lambda _: None)
    assert warnings([line()], []) == [f"NPV, IRR and the break-even price {finance.MISSING}"]
