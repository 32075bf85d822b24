"""Owning in words: what an option costs, whether it pays, and what stands on weak ground."""

import re
from collections.abc import Sequence

from planner.documents.spec import Loaded
from planner.documents.yaml_reader import path_text
from planner.economics import finance
from planner.economics.page import ResultLine
from planner.economics.questions.owning import OwningFile
from planner.wording import large_money, money, share

_ASSETS = {"systems": "machines", "network": "network", "building": "building"}


def words(line: ResultLine, spec: OwningFile) -> list[str]:
    """Return an option in sentences: the cost of an hour, what renting out leaves, lives and payback, own use."""
    rent, cost = line.value("rent_usd_per_gpu_hour"), line.values["usd_per_gpu_hour"]
    capex = large_money(line.values["capex_usd"])
    costs = f"{line.label}: {money(cost)} per GPU-hour ({capex} at {spec.cost_of_capital * 100:.3g}% a year"
    costs += f"; capital is {share(line.values['capex_usd_per_year'] / line.values['cost_usd_per_year'])} of the cost)"
    if rent is None:
        return [costs, *_use(line)]
    return [f"{costs}; {_rented(line, rent)}", *_lives(line), *_use(line)]


def _rented(line: ResultLine, rent: float) -> str:
    """Return what renting out leaves, and whether it pays."""
    source = f" ({line.texts['rent_source']})" if line.texts["rent_source"] else ""
    change = line.values["rent.change_per_year"]
    moving = f" and {'rising' if change > 0 else 'falling'} {abs(change):.0%} a year" if change else ""
    text = f"rented out at {money(rent)}{source}{moving}"
    npv = line.value("npv_usd")
    if npv is None:
        return f"{text}: margin {money(line.value('margin_usd_per_gpu_hour'))} in the first year"
    years = f"over {line.values['horizon_years']:.0f} years"
    irr, short = line.value("irr"), ""
    if npv < 0:
        rate = f"{line.values['cost_of_capital'] * 100:.3g}%"
        short = f"returns less than its {rate} cost of capital: " if (irr or 0.0) > 0.0 else "loses money: "
    returned = _no_return(line) if irr is None else f"IRR {irr:.1%}"
    return f"{text}: {short}NPV {large_money(npv)} {years}, {returned}, {_payback(line)}"


def _no_return(line: ResultLine) -> str:
    """Return why there is no rate of return."""
    if finance.rates_of_return(line.values["cash_flow_usd_by_year"]) == 0:
        return "no IRR (no year earns more than it costs)"
    return "no unique IRR (NPV is zero at several rates)"


def _payback(line: ResultLine) -> str:
    simple, discounted = line.value("payback_years"), line.value("discounted_payback_years")
    if simple is None:
        return "not paid back within the horizon"
    in_todays_money = "not within the horizon" if discounted is None else f"{discounted:.1f}"
    return f"payback {simple:.1f} years (discounted: {in_todays_money})"


def _lives(line: ResultLine) -> list[str]:
    """Return how long assets of different lives last beside the payback, where there are several."""
    owned = {word: line.values[f"{name}.life_years"] for name, word in _ASSETS.items()
             if name == "systems" or line.values[f"{name}.capex_usd"]}  # fmt: skip
    simple = line.value("payback_years")
    if len(set(owned.values())) == 1 or simple is None:
        return []
    lives = ", ".join(f"{word} {years:g}" for word, years in owned.items())
    back = f"payback takes {simple:.1f} years"
    lasting = line.value("lasting_payback_years")
    if lasting is None:
        back += ", but replacements put the account back into debt within the horizon"
    elif lasting > simple:
        back += f", or {lasting:.1f} years with all replacements paid for"
    return [f"{line.label}: asset lives in years: {lives}; {back}"]


def _use(line: ResultLine) -> list[str]:
    """Return what using the machines oneself is worth beside renting them out."""
    used, more = line.value("own_use_usd_per_year"), line.value("rent_out_less_own_use_usd_per_year")
    if used is None:
        return []
    worth = f"{line.label}: own use is worth {large_money(used)} a year"
    if more is None:
        return [f"{worth} and costs {large_money(line.values['cost_usd_per_year'])}"]
    if more > 0:
        return [f"{worth}; renting out earns {large_money(more)} more"]
    return [f"{worth}, {large_money(-more)} more than renting out"]


def low_confidence(question: Loaded[OwningFile], weak: Sequence[str]) -> list[str]:
    """Return the inputs of low confidence: those of the file by their names, and those `weak` ones of the catalogue."""
    sources = question.spec.sources
    of_file = [
        re.sub(r"^options\[\d+\]\.", "", path_text(key))
        for key, name in question.document.source_names.items()
        if name in sources and sources[name].confidence == "low"
    ]
    return list(dict.fromkeys([*of_file, *weak]))


def warnings(lines: Sequence[ResultLine], doubtful: Sequence[str]) -> list[str]:
    """Return what is missing or counted twice, and which numbers are of low confidence."""
    notes = [f"low-confidence inputs: {', '.join(doubtful)}"] if doubtful else []
    notes += [] if finance.library_is_there() else [f"NPV, IRR and the break-even price {finance.MISSING}"]
    twice = [x.label for x in lines if x.values["building.capex_usd"] and x.values["site.colo_usd_per_kw_month"]]
    if twice:
        notes.append(f"{', '.join(twice)}: counts both a purchased building and colocation rent")
    silent = [line.label for line in lines if line.value("rent_usd_per_gpu_hour") is None]
    if silent:
        notes.append(f"no rent_out for {', '.join(silent)}: NPV, IRR and payback need the price of an hour")
    return notes
