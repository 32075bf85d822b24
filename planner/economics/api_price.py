"""The price of an API model on a day, whoever says it: a table of the catalogue or a package."""

import datetime as dt
from dataclasses import dataclass

from planner.errors import DataMissingError


@dataclass(frozen=True)
class Rates:
    """Dollars per million tokens, every one a number."""

    usd_per_mtok_input: float
    usd_per_mtok_cached_input: float
    usd_per_mtok_output: float


@dataclass(frozen=True)
class ApiPrice:
    """The price of a model on a day, with its origin."""

    provider: str
    model: str
    day: dt.date
    """The day asked about."""
    period: str
    """The days of the price in words."""
    standard: Rates
    batch: Rates | None
    """None where the provider has no batch service for it, or none is known."""
    source: str
    where: str
    """File and line, or the package."""
    notes: tuple[str, ...] = ()
    """What a reader must know before using it."""

    def rates(self, *, batch: bool = False, where: str = "") -> Rates:
        """Return the rates of the standard or the batch service.

        Raises DataMissingError without batch rates; `where` is the place that asks for them.
        """
        if not batch:
            return self.standard
        if self.batch is None:
            raise DataMissingError(
                f"no batch price of {self.model} is known; expected batch: false", where=where or self.where
            )
        return self.batch
