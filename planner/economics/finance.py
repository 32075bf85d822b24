"""Money over years: what a loan costs a year, present value, rate of return, payback; one number a year, at its end."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from planner.serving.normal import Array

LIBRARY = "pyxirr"
MISSING = "need pyxirr: pip install 'inference-planner[economics]'"


def capital_recovery(rate: Array, years: Array) -> Array:
    """Return the level payment at each year's end, over a sum, that returns it with interest [1/year].

    Parameters
    ----------
    rate : cost of capital [1/year], 0 or more.
    years : life [years]; at 0 the factor is infinite.

    Notes
    -----
    rate (1 + rate)^years / ((1 + rate)^years - 1), and 1 / years without interest. The textbook formula, not
    the library's `pmt`: a cost per GPU-hour needs no extra, and arrays work. A test holds it against `pmt`.

    References
    ----------
    Any text on engineering economics, "capital recovery factor"; 10 % over 5 years is 0.26380.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(rate > 0, rate / -np.expm1(-years * np.log1p(rate)), 1.0 / np.float64(years)))


def present_value(rate: Array, flows: Array) -> Array:
    """Return the value today of yearly sums, the first one today [USD]; NaN without the library or with a gap."""
    if not _ready(flows):
        return np.asarray(np.nan)
    return np.asarray(_library().npv(float(rate), np.asarray(flows).tolist()))


def rate_of_return(flows: Array) -> Array:
    """Return the rate at which yearly sums, the first one today, are worth nothing today [1/year].

    NaN where there is none (all sums have one sign), where there are several (see `rates_of_return`), and without the
    library.
    """
    if not _ready(flows) or rates_of_return(flows) != 1:
        return np.asarray(np.nan)
    sums = np.asarray(flows)
    rate = _library().irr((sums / np.max(np.abs(sums))).tolist(), silent=True)  # it fails on sums of billions
    return np.asarray(np.nan if rate is None else rate)


def rates_of_return(flows: Array) -> int:
    """Return how many rates above -100 % make yearly sums worth nothing today: the positive roots of a polynomial.

    One change of sign means one root (Descartes); only with more of them the roots are looked for.
    """
    sums = np.asarray(flows)
    changes = int(np.count_nonzero(np.diff(np.sign(sums[sums != 0]))))
    if changes <= 1:
        return changes
    roots = np.roots(sums[::-1])
    real = np.abs(roots.imag) <= _REAL * np.abs(roots)
    return int(np.count_nonzero(real & (roots.real > 0)))


_REAL = 1e-9
"""Imaginary part over size below which a root found numerically counts as real."""


def payback(earned: Array, bought: Array) -> Array:
    """Return the years until what was earned covers what was bought [years]; NaN where it does not within the flows.

    Parameters
    ----------
    earned : what each year brings, spread evenly over it; nothing in year 0 [USD].
    bought : what is spent at the end of each year, year 0 first [USD].

    Notes
    -----
    Neither pyxirr nor numpy-financial has a payback time.
    """
    if np.ndim(earned) == 0 or np.ndim(bought) == 0 or np.isnan(earned).any():
        return np.asarray(np.nan)
    owed = float(bought[0])
    for year in range(1, len(earned)):
        if earned[year] >= owed:
            return np.asarray(year - 1 + max(owed, 0.0) / earned[year] if earned[year] else year - 1.0)
        owed += float(bought[year] - earned[year])
    return np.asarray(np.nan)


def lasting_payback(earned: Array, bought: Array) -> Array:
    """Return the years until what was earned covers what was bought, and always will [years]; else NaN.

    Parameters as for `payback`; later than it where things bought again put the account into debt once more.
    """
    if np.ndim(earned) == 0 or np.ndim(bought) == 0 or np.isnan(earned).any():
        return np.asarray(np.nan)
    owed = np.cumsum(bought) - np.cumsum(earned)
    last = int(np.flatnonzero(owed > 0)[-1]) if (owed > 0).any() else -1
    if last + 1 == len(owed):
        return np.asarray(np.nan)
    return payback(earned, bought) if last < 1 else np.asarray(last + owed[last] / earned[last + 1])


def running_total(flows: Array) -> Array:
    """Return what yearly sums add up to by each year [USD]."""
    return np.cumsum(flows)


def library_is_there() -> bool:
    """Return whether present values and rates of return can be had."""
    return find_spec(LIBRARY) is not None


def _ready(flows: Array) -> bool:
    return np.ndim(flows) == 1 and bool(np.isfinite(flows).all()) and library_is_there()


def _library() -> Any:  # noqa: ANN401 - an extra, imported where it is used
    return import_module(LIBRARY)
