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
from planner.economics.payback_words import low_confidence, warnings, words
from planner.economics.questions.owning import Asset, OwningFile, OwningOption, Worth
from planner.errors import BadInputError, DataMissingError
from planner.options.provenance import Input, spec_inputs
from planner.serving.normal import Array
from planner.wording import price_tier

PAGE = "economics/payback.csv"


class _Price(NamedTuple):
    """What an hour brings, and where that stands."""

    usd_per_gpu_hour: float
    source: str | None = None
    inputs: Sequence[Input] = ()
    weak: bool = False
    """Whether its source calls it uncertain."""
    notes: Sequence[str] = ()


def payback(question: Loaded[OwningFile], catalog: Catalog) -> QuestionResult:
    """Return a row for each set of machines. Raises DataMissingError for a system or a price nobody knows."""
    rows = [_line(question, index, option, catalog) for index, option in enumerate(question.spec.options)]
    lines = [line for line, _ in rows]
    doubtful = low_confidence(question, [name for _, weak in rows for name in weak])
    return QuestionResult.of(
        "payback",
        question,
        PAGE,
        lines,
        verdict=[sentence for line in lines for sentence in words(line, question.spec)],
        warnings=warnings(lines, doubtful),
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


_FROM_SYSTEM = {
    "capex_usd_per_system": ("price", "capex_usd", 1.0),
    "power_kw_per_system": ("power", "power_w", units.WATTS_PER_KW),
}
"""What an option leaves to the catalogue: what it is, the field of the system, and how many of its unit are one."""


def _line(
    question: Loaded[OwningFile], index: int, option: OwningOption, catalog: Catalog
) -> tuple[ResultLine, list[str]]:
    """Return an option's row, and which facts and prices of the catalogue are of low confidence."""
    spec, key = question.spec, ("options", index)
    system = catalog.get(SystemSpec, option.system, where=question.document.place((*key, "system")))
    inputs: dict[str, Any] = {
        **flat("option", option),
        **flat("system", system.spec),
        **flat("site", option.site or spec.site),
        **flat("operations", option.operations or spec.operations),
        **_years(question, index, option),
    }
    from_system: list[str] = []
    for name, (what, field, size) in _FROM_SYSTEM.items():
        if getattr(option, name) is None:
            if (value := getattr(system.spec, field)) is None:
                where = question.document.place(key)
                raise DataMissingError(f"the catalogue has no {what} of {option.system}; expected {name}", where=where)
            inputs[f"option.{name}"] = value / size
            from_system.append(field)
    rent = _price(question, (*key, "rent_out"), option.rent_out, system.spec.gpu, catalog)
    use = _price(question, (*key, "own_use"), option.own_use, system.spec.gpu, catalog)
    sold = option.rent_out or option.own_use
    inputs |= {
        "cost_of_capital": spec.cost_of_capital,
        "rent.usd_per_gpu_hour": rent.usd_per_gpu_hour,
        "rent.change_per_year": option.rent_out.change_per_year if option.rent_out else 0.0,
        "sold.share": sold.share if sold else 1.0,
        "use.usd_per_gpu_hour": use.usd_per_gpu_hour,
        "use.share": option.own_use.share if option.own_use else math.nan,
    }
    texts = {"owning": spec.name, "option": option.name, "system": system.spec.id, "gpu": system.spec.gpu}
    facts = spec_inputs(f"options[{index}].system", system, [(name,) for name in ("gpus_per_node", *from_system)])
    line = solve_line(
        option.name,
        {**texts, "rent_source": rent.source},
        inputs,
        page_formulas(PAGE),
        origins=[*facts, *rent.inputs, *use.inputs],
        notes=[*rent.notes, *use.notes],
    )
    weak = [f"{system.spec.id} {field}" for field in from_system if _is_weak(system, field)]
    return line, weak + [str(price.source) for price in (rent, use) if price.weak]


def _years(question: Loaded[OwningFile], index: int, option: OwningOption) -> Mapping[str, float | Array]:
    """Return the horizon by years, and when each asset is bought. Raises BadInputError where a life does not fit."""
    horizon = question.spec.horizon_years or math.floor(min(o.life_years for o in question.spec.options))
    year = np.arange(horizon + 1.0)
    inputs: dict[str, float | Array] = {"horizon.years": horizon, "year": year, "horizon.last": 1.0 * (year == horizon)}
    machines = Asset(capex_usd=1.0, life_years=option.life_years, residual_share=option.residual_share)
    for name, asset in (("systems", machines), ("network", option.network), ("building", option.building)):
        if name != "systems":
            inputs[f"{name}.capex_usd"] = asset.capex_usd if asset else 0.0
        life = asset.life_years if asset else float(horizon)
        if life < horizon and not life.is_integer():
            key = ("options", index, *(() if name == "systems" else (name,)), "life_years")
            raise BadInputError(
                f"{life:g} years end inside a year of the horizon of {horizon}, when they would be bought again; "
                "expected whole years, or a shorter horizon_years",
                where=question.document.field_place(key),
            )
        again = (year > 0) & (year < horizon) & (np.mod(year, life) == 0)
        inputs |= {
            f"{name}.life_years": life,
            f"{name}.residual_share": asset.residual_share if asset else 0.0,
            f"{name}.bought": 1.0 * (again | (year == 0)),
            f"{name}.replaced": 1.0 * again,
            f"{name}.years_left": life - (horizon - float(np.max(year[again], initial=0.0))),
        }
    return inputs


def _price(question: Loaded[OwningFile], key: Key, worth: Worth | None, gpu: str, catalog: Catalog) -> _Price:
    """Return what an hour brings: the number given, or the newest price of the provider. Raises DataMissingError."""
    if worth is None:
        return _Price(math.nan)
    if worth.provider is None:
        return _Price(worth.usd_per_gpu_hour or math.nan)
    where = question.document.place((*key, "provider"))
    file = catalog.get(PricesFile, worth.provider, where=where)
    day = worth.as_of or question.spec.as_of
    offered = [(i, q) for i, q in enumerate(file.spec.quotes) if _offers(q, worth, gpu, day)]
    if not offered:
        has = {f"{q.tier} ({q.as_of.isoformat()})" for q in file.spec.quotes if q.gpu == gpu}
        listed = f"; it has {', '.join(sorted(has))}" if has else ""
        raise DataMissingError(
            f"{file.spec.provider} has no {worth.tier} price of {gpu} by {day.isoformat()}{listed}", where=where
        )
    newest = max(q.as_of for _, q in offered)
    latest = [(i, q) for i, q in offered if q.as_of == newest]
    index, quote = latest[0]
    if len({q.usd_per_gpu_hour for _, q in latest}) > 1:
        choices = ", ".join(f"{q.sku or 'no sku'} in {q.region}" for _, q in latest)
        raise BadInputError(f"{file.spec.provider} has several: {choices}; expected sku or region", where=where)
    source = f"{file.spec.provider} {price_tier(quote.tier)} {quote.as_of.isoformat()}"
    origins = spec_inputs(path_text(key), file, [("quotes", index, name) for name in ("usd_per_gpu_hour", "as_of")])
    notes = [f"price older than {_OLD_DAYS} days: {source}"] if (day - quote.as_of).days > _OLD_DAYS else []
    return _Price(quote.usd_per_gpu_hour, source, origins, quote.confidence == "low", notes)


_OLD_DAYS = 180
"""Age from which a price of the catalogue warns, as in scenarios."""


def _offers(quote: Quote, worth: Worth, gpu: str, day: dt.date) -> bool:
    """Return whether a quote is of what is asked, and held on a day."""
    same = quote.gpu == gpu and quote.tier == worth.tier
    held = quote.as_of <= day and (quote.valid_until is None or quote.valid_until >= day)
    return same and held and worth.sku in {None, quote.sku} and worth.region in {None, quote.region}


def _is_weak(loaded: Loaded[Any], field: str) -> bool:
    source = loaded.source(field)
    return source is not None and source.confidence == "low"
