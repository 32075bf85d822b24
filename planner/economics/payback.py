"""Owning: what machines cost an hour over their lives, and whether renting them out pays."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from planner import units
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import SystemSpec
from planner.catalog.market import PricesFile, Quote
from planner.documents.spec import Loaded
from planner.documents.yaml_reader import Key, path_text
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.payback_words import OLD_DAYS, low_confidence, warnings, words
from planner.economics.questions.owning import Asset, OwningFile, OwningOption, Worth
from planner.errors import BadInputError, DataMissingError
from planner.options.provenance import Input, file_inputs, spec_inputs
from planner.serving.normal import Array
from planner.wording import price_tier

PAGE = "economics/payback.csv"
_ASSETS = ("systems", "network", "building")


class _Price(NamedTuple):
    """What an hour brings, and where that stands."""

    usd_per_gpu_hour: float
    source: str | None = None
    inputs: Sequence[Input] = ()
    weak: bool = False
    old: bool = False
    """Older than OLD_DAYS on the day it is taken for."""


def payback(question: Loaded[OwningFile], catalog: Catalog) -> QuestionResult:
    """Return a row for each set of machines. Raises DataMissingError for a system or a price nobody knows."""
    provenance = file_inputs(question)
    lines, weak, old = [], [], []
    for index, option in enumerate(question.spec.options):
        line, taken, prices, unsure = _line(question, index, option, catalog)
        lines.append(line)
        provenance += taken
        weak += [*unsure, *(str(price.source) for price in prices if price.weak)]
        old += [str(price.source) for price in prices if price.old]
    verdict = [sentence for line in lines for sentence in words(line, question.spec)]
    doubtful = low_confidence(question, weak)
    doubts = warnings(lines, doubtful, old)
    return QuestionResult(
        "payback",
        question,
        page_formulas(PAGE),
        lines,
        verdict=verdict,
        warnings=doubts,
        provenance=provenance,
        sideways=True,
        low_confidence=doubtful,
    )


def by_year(result: QuestionResult) -> QuestionResult:
    """Return a result of machines with a row for each option and year. Raises BadInputError for other questions."""
    if not isinstance(result.question.spec, OwningFile):
        raise BadInputError(
            f"{result.question.spec.name} has no cash flow by year; expected a file of owned machines",
            where="--by-year",
        )
    columns = result.page.view("by_year")
    lines = [
        ResultLine(
            f"{line.label}, year {year:.0f}",
            {**{name: line.texts[name] for name in ("owning", "option")}, "year": f"{year:.0f}"},
            {name: line.values[name][index] if np.ndim(line.values[name]) else math.nan for name in columns},
        )
        for line in result.lines
        for index, year in enumerate(line.values["year"])
    ]
    return replace(
        result, identity=("owning", "option", "year"), fields=columns, lines=lines, shown=columns, sideways=False
    )


def _line(
    question: Loaded[OwningFile], index: int, option: OwningOption, catalog: Catalog
) -> tuple[ResultLine, list[Input], Sequence[_Price], list[str]]:
    """Return an option's row, what the catalogue gave to it, the prices, and facts of the system of low confidence."""
    spec, key = question.spec, ("options", index)
    system = catalog.get(SystemSpec, option.system, where=question.document.place((*key, "system")))
    capex = option.capex_usd_per_system or system.spec.capex_usd
    nameplate_w = system.spec.power_w
    power_kw = option.power_kw_per_system or (nameplate_w and nameplate_w / units.WATTS_PER_KW)
    for what, name, value in (("price", "capex_usd_per_system", capex), ("power", "power_kw_per_system", power_kw)):
        if value is None:
            where = question.document.place(key)
            raise DataMissingError(f"the catalogue has no {what} of {option.system}; expected {name}", where=where)
    from_system = [
        field
        for field, given in (("capex_usd", option.capex_usd_per_system), ("power_w", option.power_kw_per_system))
        if given is None
    ]
    taken = spec_inputs(f"options[{index}].system", system, [(name,) for name in ("gpus_per_node", *from_system)])
    rent = _price(question, (*key, "rent_out"), option.rent_out, system.spec.gpu, catalog)
    use = _price(question, (*key, "own_use"), option.own_use, system.spec.gpu, catalog)
    taken += [*rent.inputs, *use.inputs]
    sold = option.rent_out or option.own_use
    inputs: dict[str, Any] = {
        **flat("option", option),
        **flat("system", system.spec),
        **flat("site", option.site or spec.site),
        **flat("operations", option.operations or spec.operations),
        **_years(question, index, option),
        "option.capex_usd_per_system": capex,
        "option.power_kw_per_system": power_kw,
        "cost_of_capital": spec.cost_of_capital,
        "rent.usd_per_gpu_hour": rent.usd_per_gpu_hour,
        "rent.change_per_year": option.rent_out.change_per_year if option.rent_out else 0.0,
        "sold.share": sold.share if sold else 1.0,
        "use.usd_per_gpu_hour": use.usd_per_gpu_hour,
        "use.share": option.own_use.share if option.own_use else math.nan,
    }
    texts = {"owning": spec.name, "option": option.name, "system": system.spec.id, "gpu": system.spec.gpu}
    line = solve_line(option.name, {**texts, "rent_source": rent.source}, inputs, page_formulas(PAGE))
    weak = [f"{system.spec.id} {field}" for field in from_system if _is_weak(system, (field,))]
    return line, taken, (rent, use), weak


def _years(question: Loaded[OwningFile], index: int, option: OwningOption) -> Mapping[str, float | Array]:
    """Return the horizon by years, and when each asset is bought. Raises BadInputError where a life does not fit."""
    horizon = question.spec.horizon_years or math.floor(min(o.life_years for o in question.spec.options))
    year = np.arange(horizon + 1.0)
    found: dict[str, float | Array] = {"horizon.years": horizon, "year": year, "horizon.last": 1.0 * (year == horizon)}
    machines = Asset(capex_usd=1.0, life_years=option.life_years, residual_share=option.residual_share)
    for name, asset in zip(_ASSETS, (machines, option.network, option.building), strict=True):
        if name != "systems":
            found[f"{name}.capex_usd"] = asset.capex_usd if asset else 0.0
        life = asset.life_years if asset else float(horizon)
        if life < horizon and not life.is_integer():
            key = ("options", index, "life_years") if name == "systems" else ("options", index, name, "life_years")
            raise BadInputError(
                f"{life:g} years end inside a year of the horizon of {horizon}, when they would be bought again; "
                "expected whole years, or a shorter horizon_years",
                where=question.document.field_place(key),
            )
        again = (year > 0) & (year < horizon) & (np.mod(year, life) == 0)
        found |= {
            f"{name}.life_years": life,
            f"{name}.residual_share": asset.residual_share if asset else 0.0,
            f"{name}.bought": 1.0 * (again | (year == 0)),
            f"{name}.replaced": 1.0 * again,
            f"{name}.years_left": life - (horizon - float(np.max(year[again], initial=0.0))),
        }
    return found


def _price(question: Loaded[OwningFile], key: Key, worth: Worth | None, gpu: str, catalog: Catalog) -> _Price:
    """Return what an hour brings: the number given, or the newest price of the provider. Raises DataMissingError."""
    if worth is None:
        return _Price(math.nan)
    if worth.provider is None:
        return _Price(worth.usd_per_gpu_hour or math.nan)
    where = question.document.place((*key, "provider"))
    file = catalog.get(PricesFile, worth.provider, where=where)
    day = worth.as_of or question.spec.as_of
    known = [(i, q) for i, q in enumerate(file.spec.quotes) if _offers(q, worth, gpu, day)]
    if not known:
        has = {f"{q.tier} ({q.as_of.isoformat()})" for q in file.spec.quotes if q.gpu == gpu}
        listed = f"; it has {', '.join(sorted(has))}" if has else ""
        raise DataMissingError(
            f"{file.spec.provider} has no {worth.tier} price of {gpu} by {day.isoformat()}{listed}", where=where
        )
    newest = max(q.as_of for _, q in known)
    latest = [(i, q) for i, q in known if q.as_of == newest]
    index, quote = latest[0]
    if len({q.usd_per_gpu_hour for _, q in latest}) > 1:
        choices = ", ".join(f"{q.sku or 'no sku'} in {q.region}" for _, q in latest)
        raise BadInputError(f"{file.spec.provider} has several: {choices}; expected sku or region", where=where)
    source = f"{file.spec.provider} {price_tier(quote.tier)} {quote.as_of.isoformat()}"
    found = spec_inputs(path_text(key), file, [("quotes", index, name) for name in ("usd_per_gpu_hour", "as_of")])
    return _Price(quote.usd_per_gpu_hour, source, found, quote.confidence == "low", (day - quote.as_of).days > OLD_DAYS)


def _offers(quote: Quote, worth: Worth, gpu: str, day: dt.date) -> bool:
    """Return whether a quote is of what is asked, and held on a day."""
    same = quote.gpu == gpu and quote.tier == worth.tier
    held = quote.as_of <= day and (quote.valid_until is None or quote.valid_until >= day)
    return same and held and worth.sku in {None, quote.sku} and worth.region in {None, quote.region}


def _is_weak(loaded: Loaded[Any], key: Key) -> bool:
    source = loaded.source(*key)
    return source is not None and source.confidence == "low"
