"""The normal distribution: printed tables, the standard library, symmetry; sums that do not depend on the layout."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.normal import erf, normal_cdf, normal_quantile, total

ABRAMOWITZ_STEGUN = {0.1: 0.1124629160, 0.5: 0.5204998778, 1.0: 0.8427007929, 1.5: 0.9661051465, 2.0: 0.9953222650}
"""Table 7.1 of the Handbook of Mathematical Functions, ten digits."""


@pytest.mark.parametrize("x", ABRAMOWITZ_STEGUN)
def test_erf_has_the_printed_values(x: float) -> None:
    """Ten digits of the Handbook, and the odd symmetry."""
    assert float(erf(np.array(x))) == pytest.approx(ABRAMOWITZ_STEGUN[x], abs=5e-11)
    assert float(erf(np.array(-x))) == -float(erf(np.array(x)))


def test_erf_is_that_of_the_standard_library_everywhere() -> None:
    """10,001 points over both intervals of the approximation and their seam: within 4e-16 of math.erf."""
    x = np.concatenate([np.linspace(-8.0, 8.0, 10_001), [0.46875, np.nextafter(0.46875, 1.0), 6.0, 30.0]])
    assert np.max(np.abs(erf(x) - [math.erf(v) for v in x])) <= 4e-16


def test_erf_of_no_number_is_none() -> None:
    """NaN stays NaN; an infinite argument is one."""
    assert np.isnan(erf(np.array(np.nan)))
    assert erf(np.array([-np.inf, np.inf])).tolist() == [-1.0, 1.0]


def test_normal_cdf_has_textbook_values() -> None:
    """Phi(1.96) and Phi(-1) are those of the tables, to double precision."""
    assert normal_cdf(np.array([0.0, 1.959963984540054, -1.0])) == pytest.approx(
        [0.5, 0.975, 0.15865525393145707], abs=1e-15
    )


def test_normal_cdf_is_the_integral_of_its_density() -> None:
    """Simpson's rule over the density from 0 to 2.5 gives Phi(2.5) - 1/2."""
    x = np.linspace(0.0, 2.5, 2001)
    density = np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    simpson = (density[0] + 4 * density[1::2].sum() + 2 * density[2:-1:2].sum() + density[-1]) * (x[1] - x[0]) / 3
    assert float(normal_cdf(np.array(2.5))) - 0.5 == pytest.approx(simpson, abs=1e-12)


@given(st.floats(1e-9, 1.0 - 1e-9))
def test_quantile_inverts_the_distribution(p: float) -> None:
    """Phi(z(p)) = p."""
    assert float(normal_cdf(normal_quantile(np.array(p)))) == pytest.approx(p, abs=1e-14)


def test_equal_probabilities_take_the_short_way_to_the_same_bits() -> None:
    """One probability in all rows, different ones, and a single one: the same quantile of 0.95 to the last bit."""
    expected = NormalDist().inv_cdf(0.95)
    assert set(normal_quantile(np.full((3, 2), 0.95)).ravel().tolist()) == {expected}
    assert normal_quantile(np.array([0.95, 0.5])).tolist() == [expected, 0.0]
    assert float(normal_quantile(np.array(0.95))) == expected


def test_a_sum_has_the_same_bits_in_every_layout() -> None:
    """Rows of a contiguous, a transposed and a broadcast array sum to the bits of the row alone."""
    values = np.random.default_rng(3).lognormal(0.0, 3.0, (40, 37))
    alone = [float(total(row.copy())) for row in values]
    assert total(values).tolist() == alone
    assert total(np.asfortranarray(values)).tolist() == alone
    first = np.broadcast_to(values[0], (5, 37))
    assert total(first).tolist() == [alone[0]] * 5
    assert alone == pytest.approx([math.fsum(row) for row in values])
