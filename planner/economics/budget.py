"""From a budget to answers: the largest load whose fleet is still paid for, option by option."""

import math

import numpy as np

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.crossing import halved
from planner.economics.fleet_by_demand import FleetModel, Fleets, machines
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.asked import named_beside
from planner.economics.questions.budget import BudgetFile
from planner.options.provenance import inputs
from planner.serving.normal import Array
from planner.wording import price_tier

PAGE = "economics/budget.csv"
_HALVINGS = 48
"""Bisection in the logarithm of the rate: to the 12th digit of it."""
_LEAST, _MOST = 1e-9, 1e12
"""Rates between which an answer is looked for [answers/s]: one in thirty years, a hundred per human and second."""


def budget(question: Loaded[BudgetFile], catalog: Catalog) -> QuestionResult:
    """Return one row per GPU, the one that answers most first; without any row's money enough, the gate fails.

    Raises what `planner estimate` raises for the scenario.
    """
    spec = question.spec
    place = question.document.field_place(("scenario",))
    fleet = machines(
        named_beside(spec.scenario, question.document, catalog), catalog, override=spec.override, where=place
    )
    rates = largest_rates(fleet, spec.budget_usd_per_month)
    at_most = fleet.at(np.where(np.isnan(rates), _LEAST, rates))
    best = _best_of_each_gpu(fleet, rates, at_most)
    lines = [_line(fleet, i, float(rates[i]), at_most, spec.budget_usd_per_month) for i in best]
    failed = []
    if np.all(np.isnan(rates)):
        failed = [f"{question.document.where}: {_why_nothing(fleet, spec.budget_usd_per_month)}"]
    return QuestionResult.of(
        "budget",
        question,
        PAGE,
        lines,
        verdict=_verdict(lines, spec),
        warnings=fleet.warnings,
        provenance=inputs(fleet.scenario, catalog, fleet.options[best[0]], fleet.model),
        aside=("scenario", "model"),
        failed=failed,
    )


def largest_rates(fleet: FleetModel, usd_per_month: float) -> Array:
    """Return the largest rate of each option whose fleet costs no more than a budget [answers/s]; NaN where none does.

    Cost is a staircase in the rate: it rises by whole replicas and nodes and never falls, so the edge of the
    last step within the budget is bracketed and halved, all options at once.
    """
    smallest = fleet.at(_LEAST).costs()
    rows = np.flatnonzero(smallest <= usd_per_month)
    rates = np.full(len(fleet.options), np.nan)
    if rows.size:
        rates[rows] = _edge(fleet.only(rows), usd_per_month)
    return rates


def _edge(fleet: FleetModel, usd_per_month: float) -> Array:
    """Return the rate at which each option's cost leaves the budget, all of them within it at the least rate."""
    low, high = (np.full(len(fleet.options), math.log(rate)) for rate in (_LEAST, _MOST))
    low, _ = halved(lambda log_rate: fleet.at(np.exp(log_rate)).costs() <= usd_per_month, low, high, _HALVINGS)
    return np.asarray(np.exp(low))


def _why_nothing(fleet: FleetModel, usd_per_month: float) -> str:
    """Return why no option is within a budget, with what the smallest fleet costs."""
    least = fleet.cheapest(_LEAST)
    need = "no fleet with a listed price meets the SLO"
    if least.options[0]:
        need = f"the smallest fleet that meets the SLO costs ${least.number('cost_usd_per_month'):,.0f}"
    return f"${usd_per_month:,.0f} a month is not enough: {need}"


def _best_of_each_gpu(fleet: FleetModel, rates: Array, at_most: Fleets) -> list[int]:
    """Return the option of each GPU that answers most, the most first; all of them once where none does.

    Several sellers of one machine answer the same: the cheapest of them counts, at rates alike but for the halving.
    """
    alike = np.round(np.log(np.nan_to_num(rates, nan=_LEAST)), _DIGITS)
    order = np.lexsort((np.arange(len(rates)), at_most.costs(), -alike, np.isnan(rates))).tolist()
    seen: dict[str, int] = {}
    for index in order:
        if not math.isnan(rates[index]) or not seen:
            seen.setdefault(fleet.options[index].machine.gpu.spec.id, index)
    return list(seen.values())


_DIGITS = 9
"""Digits of a rate's logarithm within which two rates are one."""


def _line(fleet: FleetModel, index: int, rate: float, at_most: Fleets, usd_per_month: float) -> ResultLine:
    """Return the row of an option."""
    option = fleet.options[index]
    offer, known = option.offer, not math.isnan(rate)
    gpu = option.machine.gpu.spec.id
    texts = {
        "scenario": fleet.scenario.label,
        "model": fleet.model.spec.id,
        "gpu": gpu if known else None,
        "engine": option.machine.engine.spec.id if known else None,
        "precision": option.precision.name if known else None,
        "provider": offer.file.spec.provider if offer and known else None,
        "price_tier": offer.quote.tier if offer and known else None,
    }
    numbers = {"budget.usd_per_month": usd_per_month, "fleet.answers_per_s": rate}
    if known:
        numbers |= flat("fleet", {name: column[index] for name, column in vars(at_most).items()})
    return solve_line(gpu, texts, numbers, page_formulas(PAGE))


def _verdict(lines: list[ResultLine], spec: BudgetFile) -> list[str]:
    best = lines[0]
    if (answers := best.value("answers_per_day")) is None:
        return [f"${spec.budget_usd_per_month:,.0f} a month buys no fleet that meets the SLO"]
    tier = price_tier(str(best.texts["price_tier"]))
    gpus = f"{best.values['gpus']:,.0f} × {best.texts['gpu']} from {best.texts['provider']} {tier}"
    unspent = best.values["unspent_usd_per_month"]
    return [
        f"${spec.budget_usd_per_month:,.0f} a month buys {answers:,.0f} answers a day on {gpus}",
        f"${best.values['cost_usd_per_answer']:.3g} per answer; ${unspent:,.0f} left, too little for one more step",
        "answers a day are a daily mean; the fleet covers the scenario's peak, headroom and spares; a month is 730 h",
    ]
