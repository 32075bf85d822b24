"""A published set of runs beside what the planner says of them, and its row in a table."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.catalog.catalog import Catalog
from planner.loadtest.predict import INTERVALS, predict

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Check:
    """Predicted over measured of one published set."""

    name: str
    metric: str
    wanted: float | None
    """Largest median error aimed at."""
    ratio: Array
    groups: list[str]
    low: Array | None = None
    """p10 over measured; None where the planner gives no interval."""
    high: Array | None = None
    """p90 over measured."""

    @property
    def known(self) -> Array:
        """Return the ratios of the runs that have a prediction."""
        return self.ratio[np.isfinite(self.ratio)]

    @property
    def held(self) -> float | None:
        """Return the share of the runs measured inside p10-p90."""
        if self.low is None or self.high is None:
            return None
        inside = (self.low <= 1.0) & (self.high >= 1.0)
        return float(np.mean(inside[np.isfinite(self.ratio)]))

    @property
    def median(self) -> float:
        """Return the median error."""
        return float(np.median(np.abs(self.known - 1.0)))

    @property
    def bias(self) -> float:
        """Return the median of predicted / measured - 1."""
        return float(np.median(self.known) - 1.0)


def ratios(rows: list[dict[str, str]], measured: list[float], column: str) -> tuple[Array, Array | None, Array | None]:
    """Return (predicted, p10, p90) / measured; NaN where a row has no prediction, None where a column has no interval.

    The interval is that of the engine files for what is unseen in the case.
    """
    found = predict(rows, Catalog())

    def over_measured(name: str) -> Array:
        values = [row[name] for row in found]
        return np.asarray([np.nan if value is None else value for value in values]) / np.asarray(measured)

    if f"{column}_p10" not in INTERVALS:
        return over_measured(column), None, None
    return over_measured(column), over_measured(f"{column}_p10"), over_measured(f"{column}_p90")


def line(check: Check) -> str:
    """Return a check as a row of a Markdown table."""
    wanted, held = ("–" if x is None else f"{x:.0%}" for x in (check.wanted, check.held))
    low, high = np.quantile(check.known, [0.1, 0.9])
    numbers = (
        f"{check.known.size:,} | {check.median:.1%} | {wanted} | {check.bias:+.1%} | {low:.2f}-{high:.2f} | {held}"
    )
    return f"| {check.name} | {check.metric} | {numbers} |"


HEADER = [
    "| published | metric | runs | median error | wanted | bias | predicted/measured, 80 % of runs | held |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
]
