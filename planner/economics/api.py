"""API prices: which price held on a day, what a bill comes to, what thinking multiplies it by."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from planner.catalog.api_prices import ApiPricesFile, ApiQuote, TokenRates
from planner.catalog.catalog import Catalog, normal
from planner.documents.spec import Loaded, today
from planner.economics.api_genai import hint, packaged_price
from planner.economics.api_price import ApiPrice, Rates
from planner.errors import BadInputError, DataMissingError, suggestion
from planner.fleet.bill import api_bill
from planner.serving.normal import Array

LATEST = "latest"


def find_price(catalog: Catalog, model: str, day: dt.date | str = LATEST, *, where: str = "") -> ApiPrice:
    """Return the API price of a model on a day.

    Parameters
    ----------
    catalog : where the dated tables lie (hardware/api_prices).
    model : a name or alias; `provider/name` where several providers sell it.
    day : a date, or `latest` for today.
    where : the place of the question, for errors.

    The tables come first: a model they name is never looked up elsewhere, also not on days they do not cover.
    Others come from the package genai-prices where it is installed (the `api-prices` extra).

    Raises DataMissingError for an unknown model (nearest names) or a day without a price (nearest prices),
    BadInputError where several providers sell the model.
    """
    date = today() if isinstance(day, str) else day
    entries = [entry for entry in _entries(catalog) if _means(entry, model)]
    if not entries:
        packaged = packaged_price(model, date)
        if packaged is None:
            raise DataMissingError(_unknown(catalog, model), where=where)
        return packaged
    holding = [entry for entry in entries if entry.quote.holds(date)]
    if not holding:
        raise DataMissingError(f"{model} has no API price on {date}. {_nearest(entries, date)}", where=where)
    if len(holding) > 1:
        names = ", ".join(f"{e.file.spec.provider}/{e.quote.model}" for e in holding)
        raise BadInputError(f"{model} is sold by several providers; expected one of {names}", where=where)
    return holding[0].price(date)


def bill_usd(
    price: ApiPrice,
    input_tokens: Array | float,
    cached_share: Array | float,
    output_tokens: Array | float,
    *,
    batch: bool = False,
) -> Array:
    """Return what an API asks for tokens [USD].

    Parameters
    ----------
    input_tokens, cached_share, output_tokens : as of `planner.fleet.bill.api_bill`.
    batch : at the batch service's rates. Raises DataMissingError where none are known.
    """
    rates = price.rates(batch=batch)
    prices = (rates.usd_per_mtok_input, rates.usd_per_mtok_cached_input, rates.usd_per_mtok_output)
    return api_bill(input_tokens, cached_share, output_tokens, *prices)


@dataclass(frozen=True)
class _Entry:
    """A price with the file and the position it stands at."""

    file: Loaded[ApiPricesFile]
    index: int

    @property
    def quote(self) -> ApiQuote:
        return self.file.spec.token_prices[self.index]

    def price(self, day: dt.date) -> ApiPrice:
        quote, key = self.quote, ("token_prices", self.index)
        source = self.file.source(*key)
        ends = f"; {quote.note}" if quote.note else ""
        return ApiPrice(
            provider=self.file.spec.provider,
            model=quote.model,
            day=day,
            period=quote.period(),
            standard=filled(quote),
            batch=filled(quote.batch) if quote.batch else None,
            source=source.cite() if source else "no source named",
            where=self.file.document.place(key),
            notes=(f"API price of {quote.model}: {quote.period()}{ends}",) if ends or quote.valid_from_is_bound else (),
        )


def filled(rates: TokenRates) -> Rates:
    """Return rates in which cached input without a discount costs what other input costs."""
    cached = rates.usd_per_mtok_cached_input
    plain = rates.usd_per_mtok_input
    return Rates(plain, plain if cached is None else cached, rates.usd_per_mtok_output)


def _entries(catalog: Catalog) -> Iterator[_Entry]:
    for loaded in catalog.all(ApiPricesFile):
        for index in range(len(loaded.spec.token_prices)):
            yield _Entry(loaded, index)


def _means(entry: _Entry, model: str) -> bool:
    """Return whether a name, with or without its provider before it, means an entry's model."""
    provider = entry.file.spec.provider
    names = {normal(name) for name in entry.quote.names()}
    owners = {normal(o) for o in (provider, entry.file.spec.name, *entry.file.spec.aliases)}
    owner, slash, rest = model.partition("/")
    return normal(model) in names or (bool(slash) and normal(owner) in owners and normal(rest) in names)


def _unknown(catalog: Catalog, model: str) -> str:
    names = dict.fromkeys(name for entry in _entries(catalog) for name in entry.quote.names())
    listing = f"`planner list api-prices` lists them{hint()}"
    return f"no API price of {model!r}.{suggestion(model, names, listing=listing)}"


def _nearest(entries: list[_Entry], day: dt.date) -> str:
    """Return the prices before and after a day in words."""
    before = [e for e in entries if e.quote.valid_to is not None and e.quote.valid_to < day]
    after = [e for e in entries if e.quote.valid_from > day]
    closest = [max(before, key=lambda e: e.quote.valid_to or day)] if before else []
    closest += [min(after, key=lambda e: e.quote.valid_from)] if after else []
    shown = (
        f"{e.quote.period()} (${e.quote.usd_per_mtok_input:g} in, ${e.quote.usd_per_mtok_output:g} out)"
        for e in closest
    )
    return f"Nearest: {'; '.join(shown)}."
