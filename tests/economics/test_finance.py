"""Money over years: published factors, the library's own functions, limits; what has no answer has none."""

import sys

import numpy as np
import pytest
import pyxirr
from hypothesis import given
from hypothesis import strategies as st

from planner.economics import finance

YEARS = st.integers(1, 40)
RATES = st.floats(1e-6, 1.0)


@pytest.mark.parametrize(
    ("rate", "years", "factor"),
    [(0.10, 4, 0.31547), (0.10, 5, 0.26380), (0.12, 4, 0.32923), (0.10, 6, 0.22961), (0.15, 3, 0.43798)],
)
def test_capital_recovery_is_the_tables(rate: float, years: int, factor: float) -> None:
    """Tables of engineering economics, to five digits."""
    assert float(finance.capital_recovery(np.float64(rate), np.float64(years))) == pytest.approx(factor, abs=5e-6)


@given(rate=RATES, years=YEARS)
def test_capital_recovery_is_the_librarys_payment(rate: float, years: int) -> None:
    """The library's level payment on a loan of 1; without interest it is 1 / years."""
    found = float(finance.capital_recovery(np.float64(rate), np.float64(years)))
    assert found == pytest.approx(-pyxirr.pmt(rate, years, 1.0), rel=1e-6)
    assert float(finance.capital_recovery(np.float64(0.0), np.float64(years))) == 1 / years


def test_capital_recovery_takes_arrays() -> None:
    """Arrays give what numbers give; a life of nothing is infinitely dear."""
    rates, years = np.array([0.0, 0.1, 0.15]), np.array([4.0, 5.0, 0.0])
    each = [float(finance.capital_recovery(r, n)) for r, n in zip(rates, years, strict=True)]
    assert finance.capital_recovery(rates, years).tolist() == each
    assert each[2] == np.inf


def test_present_value_counts_the_first_sum_today() -> None:
    """-100 + 60/1.1 + 60/1.1^2, by hand."""
    found = finance.present_value(np.float64(0.1), np.array([-100.0, 60.0, 60.0]))
    assert float(found) == pytest.approx(-100 + 60 / 1.1 + 60 / 1.21)


def test_the_rate_of_return_of_a_textbook() -> None:
    """-100 then 39, 59, 55, 20 returns 28.095 % (the example of numpy-financial's documentation)."""
    found = finance.rate_of_return(np.array([-100.0, 39.0, 59.0, 55.0, 20.0]))
    assert float(found) == pytest.approx(0.28095, abs=5e-6)


@pytest.mark.parametrize(
    ("flows", "rates"),
    [
        ([-100.0, -5.0, -5.0], 0),
        ([100.0, 5.0], 0),
        ([0.0, 0.0], 0),
        ([-100.0, 30.0, 30.0], 1),  # loses money: a rate below zero
        ([-100.0, 230.0, -132.0], 2),  # 10 % and 20 %: the textbook case, (x - 1.1)(x - 1.2)
        ([-100.0, 80.0, 80.0, -90.0, 80.0, 80.0], 1),  # bought again in year 3, and one rate all the same
    ],
)
def test_one_rate_of_return_or_none(flows: list[float], rates: int) -> None:
    """Where several rates make the sum worth nothing, or none does, there is no answer."""
    assert finance.rates_of_return(np.array(flows)) == rates
    found = float(finance.rate_of_return(np.array(flows)))
    assert np.isnan(found) == (rates != 1)
    if rates == 1:
        assert sum(flow / (1 + found) ** year for year, flow in enumerate(flows)) == pytest.approx(0, abs=1e-6)


@given(rate=st.floats(0.01, 0.9), years=YEARS, price=st.floats(1.0, 1e9))
def test_a_loan_repaid_returns_its_rate(rate: float, years: int, price: float) -> None:
    """Level payments by the capital recovery factor have the loan's rate of return and no present value."""
    payment = price * float(finance.capital_recovery(np.float64(rate), np.float64(years)))
    flows = np.array([-price, *[payment] * years])
    assert float(finance.rate_of_return(flows)) == pytest.approx(rate, abs=1e-6)
    assert float(finance.present_value(np.float64(rate), flows)) == pytest.approx(0, abs=1e-7 * price)


@pytest.mark.parametrize(
    ("earned", "bought", "years"),
    [
        ([0.0, 40.0, 40.0, 40.0], [100.0, 0.0, 0.0, 0.0], 2.5),
        ([0.0, 50.0, 50.0], [100.0, 0.0, 0.0], 2.0),
        ([0.0, 30.0, 30.0, 30.0], [100.0, 0.0, 0.0, 0.0], None),
        ([0.0, 60.0, 60.0, 60.0, 60.0], [100.0, 0.0, 100.0, 0.0, 0.0], 2 - 20 / 60),  # before it is bought again
        ([0.0, 40.0, 40.0, 40.0, 40.0], [60.0, 60.0, 0.0, 0.0, 0.0], 3.0),  # 20 + 60 are owed after year 1
        ([0.0, -5.0, -5.0], [100.0, 0.0, 0.0], None),
    ],
)
def test_payback(earned: list[float], bought: list[float], years: float | None) -> None:
    """By hand: within a year what is earned comes evenly, what is bought comes at its end."""
    found = float(finance.payback(np.array(earned), np.array(bought)))
    assert np.isnan(found) if years is None else found == pytest.approx(years)


@pytest.mark.parametrize(
    ("earned", "bought", "years"),
    [
        ([0.0, 40.0, 40.0, 40.0], [100.0, 0.0, 0.0, 0.0], 2.5),
        ([0.0, 60.0, 60.0, 60.0, 60.0], [100.0, 0.0, 100.0, 0.0, 0.0], 200 / 60),  # the first 100 after 1.67 years
        ([0.0, 60.0, 60.0, 60.0], [100.0, 0.0, 100.0, 0.0], None),
        ([0.0, 60.0, 60.0], [0.0, 0.0, 0.0], 0.0),
    ],
)
def test_lasting_payback(earned: list[float], bought: list[float], years: float | None) -> None:
    """By hand: what is bought again must be earned, too."""
    found = float(finance.lasting_payback(np.array(earned), np.array(bought)))
    assert np.isnan(found) if years is None else found == pytest.approx(years)


def test_without_the_library_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Present value and rate of return are missing, the rest answers."""
    monkeypatch.setattr(finance, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "pyxirr", None)
    flows = np.array([-100.0, 60.0, 60.0])
    assert np.isnan(finance.present_value(np.float64(0.1), flows))
    assert np.isnan(finance.rate_of_return(flows))
    found = finance.payback(np.array([0.0, 60.0, 60.0]), np.array([100.0, 0.0, 0.0]))
    assert float(found) == pytest.approx(1 + 40 / 60)
