"""Dollars by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.fleet.bill import Money, api_bill, billed_output, money, token_money


def bill(**changes: float) -> Money:
    """Return the money of a small fleet with some inputs changed."""
    inputs = {
        "gpus": 8.0,
        "answers_per_s": 2.0,
        "gpu_seconds_per_answer": 1.5,
        "usd_per_gpu_hour": 3.0,
        "extra_share": 0.0,
        "accuracy": math.nan,
    }
    return money(**{k: np.array(changes.get(k, v)) for k, v in inputs.items()})


def test_reserved_and_used_by_hand() -> None:
    """8 GPUs x 730 h x $3 = $17,520; 2 answers a second are 5,256,000 a month; each uses 1.5 GPU-seconds."""
    found = bill()
    assert float(found.cost_usd_per_month) == 17_520.0
    assert float(found.cost_usd_per_answer) == pytest.approx(17_520 / 5_256_000)
    assert float(found.cost_usd_per_answer_used) == pytest.approx(1.5 / 3600 * 3)
    assert float(found.utilization) == pytest.approx(2 * 1.5 / 8)


def test_the_parts_add_up_to_the_whole() -> None:
    """Dollars per million input and output tokens, times the tokens, are the dollars per answer."""
    per_answer, share, read, written = (np.array(x) for x in (0.01, 0.25, 1000.0, 500.0))
    found = token_money(per_answer, share, read, written)
    parts = [float(found.cost_usd_per_mtok_input) * 1000e-6, float(found.cost_usd_per_mtok_output) * 500e-6]
    assert parts == pytest.approx([0.0025, 0.0075])


def test_unknown_price_is_nan_not_zero() -> None:
    """Without a price there is no dollar figure; the hours remain."""
    found = bill(usd_per_gpu_hour=math.nan)
    assert math.isnan(float(found.cost_usd_per_month))
    assert float(found.gpu_hours_per_month_reserved) == 5840.0


@given(price=st.floats(0.1, 50), factor=st.floats(1.0, 10.0))
def test_a_cheaper_price_never_costs_more(price: float, factor: float) -> None:
    """Cost is monotone in the price."""
    assert float(bill(usd_per_gpu_hour=price).cost_usd_per_month) <= float(
        bill(usd_per_gpu_hour=price * factor).cost_usd_per_month
    )


def test_cost_per_correct_answer() -> None:
    """At 80 % accuracy a correct answer costs a quarter more."""
    found = bill(accuracy=0.8)
    assert float(found.cost_usd_per_correct_answer) == pytest.approx(1.25 * float(found.cost_usd_per_answer))


def test_an_api_bill_and_the_output_behind_it() -> None:
    """DeepSeek's day (open-infra-index): 342 of 608 B tokens cached, $562,027; the bill gives the 168 B back."""
    prices = (0.55, 0.14, 2.19)
    usd = float(api_bill(608e9, 342 / 608, 168e9, *prices))
    assert usd == pytest.approx((266e9 * 0.55 + 342e9 * 0.14 + 168e9 * 2.19) / 1e6)
    assert usd == pytest.approx(562_027, rel=1e-3)
    assert float(billed_output(usd, 608e9, 342 / 608, *prices)) == pytest.approx(168e9)
    both = api_bill(np.array([608e9, 0.0]), 342 / 608, np.array([168e9, 1e6]), *prices)
    assert both == pytest.approx([usd, 2.19])
