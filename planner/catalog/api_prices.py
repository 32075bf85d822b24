"""Spec of a provider's API prices per million tokens, with the days they held."""

import datetime as dt
from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from planner.documents.spec import Confidence, Day, FileSpec, NonNegative, Spec
from planner.documents.yaml_reader import Document, Key
from planner.errors import BadInputError


class TokenRates(Spec):
    """Dollars per million tokens."""

    usd_per_mtok_input: NonNegative
    """Input tokens that are not read from a cache [USD per million tokens]."""
    usd_per_mtok_cached_input: NonNegative | None = None
    """Input tokens read from the provider's cache [USD per million tokens]; null where they have no discount."""
    usd_per_mtok_output: NonNegative
    """All generated tokens, reasoning included [USD per million tokens]."""


class ApiQuote(TokenRates):
    """The price of one model over a period."""

    model: str
    """The provider's name for the model."""
    aliases: tuple[str, ...] = ()
    """Other names of this model in this period."""
    valid_from: Day
    """First day of the price."""
    valid_from_is_bound: bool = False
    """True where `valid_from` is the day the price was seen, and its real first day is not known."""
    valid_to: Day | None = None
    """Last day of the price; null while it is current."""
    batch: TokenRates | None = None
    """Prices of the provider's batch service; null where it has none or they are not known."""
    confidence: Confidence
    note: str | None = None

    def names(self) -> tuple[str, ...]:
        """Return every name of the model."""
        return (self.model, *self.aliases)

    def holds(self, day: dt.date) -> bool:
        """Return whether this is the price on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def overlaps(self, other: "ApiQuote") -> bool:
        """Return whether the periods of both overlap."""
        return self.valid_from <= (other.valid_to or dt.date.max) and other.valid_from <= (self.valid_to or dt.date.max)

    def period(self) -> str:
        """Return the days of the price in words.

        >>> rates = {"usd_per_mtok_input": 3.0, "usd_per_mtok_output": 12.0, "confidence": "high", "model": "o1-mini"}
        >>> ApiQuote(**rates, valid_from=dt.date(2024, 9, 12), valid_to=dt.date(2025, 1, 30)).period()
        '2024-09-12 to 2025-01-30'
        """
        return f"{self.valid_from} to {self.valid_to}" if self.valid_to else f"since {self.valid_from}"


def _only_dollars(value: object) -> object:
    if value != "USD":
        raise ValueError(f"{value!r} is not USD; expected prices converted to USD, with the rate and its day in a note")
    return value


class ApiPricesFile(FileSpec):
    """hardware/api_prices/<provider>.yaml."""

    provider: str
    name: str
    aliases: tuple[str, ...] = ()
    currency: Annotated[Literal["USD"], BeforeValidator(_only_dollars)] = "USD"
    """Currency of the price list; only USD is accepted."""
    token_prices: Annotated[tuple[ApiQuote, ...], Field(min_length=1)]

    def check_document(self, document: Document) -> None:
        """Refuse a price that ends before it starts, and two prices of one name on the same day.

        Raises BadInputError with both places.
        """
        key: Key = ("token_prices",)
        for index, quote in enumerate(self.token_prices):
            if quote.valid_to is not None and quote.valid_to < quote.valid_from:
                raise BadInputError(
                    f"{quote.valid_to} is before valid_from, {quote.valid_from}; expected a later day",
                    where=document.field_place((*key, index, "valid_to")),
                )
        for name, (first, one), (second, other) in self._pairs():
            if one.overlaps(other):
                raise BadInputError(
                    f"{name} has a price {other.period()}, and {document.place((*key, first))} has another "
                    f"{one.period()}; expected valid_to before the next valid_from",
                    where=document.field_place((*key, second)),
                )

    def _pairs(self) -> Iterator[tuple[str, tuple[int, ApiQuote], tuple[int, ApiQuote]]]:
        """Yield every pair of prices that share a name."""
        for one, other in combinations(enumerate(self.token_prices), 2):
            known = {name.lower() for name in one[1].names()}
            if shared := next((name for name in other[1].names() if name.lower() in known), None):
                yield shared, one, other
