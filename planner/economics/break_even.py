"""API or own: what both cost at a scenario's demand, and from which demand on own machines cost less."""

import math
from collections.abc import Sequence

import numpy as np

from planner import units
from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics import break_even_words as words
from planner.economics.break_even_inputs import Asked, Tier, Traffic, look_up
from planner.economics.crossing import first_crossing, halved, last_crossing, steps
from planner.economics.fleet_by_demand import Cheapest, FleetModel, fleet_model_of
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.break_even import BreakEvenFile
from planner.errors import DataMissingError
from planner.options.provenance import Input, file_inputs, inputs
from planner.serving.normal import Array

PAGE = "economics/break_even.csv"
_SOLD = (
    "own_usd_per_day",
    "api_usd_per_day",
    "own_over_api",
    "profit_over_cost",
    "gross_margin",
    "gpus",
    "utilization",
)
"""Shown where the number of answers is unknown."""
CURVE_FIELDS = (
    "answers_per_day",
    "own_usd_per_month",
    "api_usd_per_month",
    "own_over_api",
    "own_usd_per_answer",
    "api_usd_per_answer",
    "gpus",
    "utilization",
)


def break_even(question: Loaded[BreakEvenFile], catalog: Catalog) -> QuestionResult:
    """Return one row per price tier: both costs at the scenario's demand, and where they cross."""
    asked = look_up(question, catalog)
    lines = [_line(asked, tier, _fleet_of(asked, tier)) for tier in asked.tiers]
    met = any(tier.works for tier in asked.tiers)
    known = math.isfinite(asked.traffic.answers_per_day)
    return QuestionResult(
        "break-even",
        question,
        page_formulas(PAGE),
        lines,
        verdict=[str(line.texts["verdict"]) for line in lines],
        warnings=words.warnings(asked),
        provenance=[*file_inputs(question), *_sources(asked, catalog)],
        shown=() if known else _SOLD,
        aside=("verdict",),
        failed=() if met else ("no tier has a fleet with a price that meets the SLO",),
    )


def curve(question: Loaded[BreakEvenFile], catalog: Catalog) -> QuestionResult:
    """Return the rows of a curve: both costs over the range of demands, with both sides of the fleets' steps.

    Raises DataMissingError where the number of answers is unknown.
    """
    asked = look_up(question, catalog)
    if math.isnan(asked.traffic.answers_per_day):
        place = question.document.field_place(("scenario",))
        raise DataMissingError("a curve needs the number of answers, and this scenario only has tokens", where=place)
    lines = [line for tier in asked.tiers for line in _curve_of(asked, tier, _fleet_of(asked, tier))]
    identity = ("tier", "gpu", "provider", "cheaper")
    sources = [*file_inputs(question), *_sources(asked, catalog)]
    return QuestionResult(
        "break-even",
        question,
        page_formulas(PAGE),
        lines,
        identity,
        CURVE_FIELDS,
        CURVE_FIELDS,
        warnings=words.warnings(asked) + words.unpriced(asked),
        provenance=sources,
    )


def _fleet_of(asked: Asked, tier: Tier) -> FleetModel | None:
    """Return the machines of a tier as a function of demand; None where it has none or the demand is unknown."""
    if tier.found is None or math.isnan(asked.traffic.answers_per_day):
        return None
    fleet = fleet_model_of(tier.found).contenders()
    return fleet if fleet.options else None


def _line(asked: Asked, tier: Tier, fleet: FleetModel | None) -> ResultLine:
    """Return the row of a tier."""
    traffic, found = asked.traffic, tier.found
    values = asked.inputs(traffic)
    texts: dict[str, str | None] = {"tier": tier.label, "gpu": None, "provider": None, "cheaper": None}
    values["own.extra_share"] = 0.0
    if found is not None and tier.works:
        values |= flat("own", found.best)
        texts |= {"gpu": found.best.gpu, "provider": found.best.provider}
    if found is not None and math.isfinite(traffic.answers_per_day):
        values |= {"own.extra_share": found.scenario.spec.prices.extra_share}
    if fleet is not None:
        values |= _crossings(asked, fleet, traffic)
    line = solve_line(tier.label, texts, values, page_formulas(PAGE))
    verdict = words.verdict(line, missing=tier.why_not, most=asked.question.spec.answers_per_day.most)
    return ResultLine(tier.label, {**texts, "cheaper": words.cheaper(line), "verdict": verdict}, line.values)


def _crossings(asked: Asked, fleet: FleetModel, traffic: Traffic) -> dict[str, float]:
    """Return the fleets at both crossings, and where whole machines no longer matter."""
    bill = solve_line("", {}, asked.inputs(traffic), page_formulas(PAGE))
    price = bill.values["api_usd_per_answer"]
    reach = asked.question.spec.answers_per_day
    full = _largest(fleet, reach.most * words.SCALE)
    values = flat("full", _cheapest(fleet, [full]).numbers())
    values["full.answers_per_month"] = full * units.DAYS_PER_MONTH
    if not price > 0.0 or math.isnan(values["full.gpus"]):
        return values
    last = last_crossing(fleet.usd_per_day, price, full)
    if last == 0.0:
        none = {"gpu_hours_per_month_reserved": 0.0, "usd_per_gpu_hour": values["full.usd_per_gpu_hour"]}
        values |= {f"{group}.{name}": x for group in ("crossing", "first") for name, x in none.items()}
    elif math.isfinite(last):
        first = first_crossing(fleet.usd_per_day, price, last)
        both = _cheapest(fleet, [last * (1.0 + _EDGE), first * (1.0 + _EDGE)])
        values |= flat("crossing", both.numbers(0)) | flat("first", both.numbers(1))
    return values


_EDGE = 1e-9
"""The crossing may be the edge of a step: the fleet is that of the demands just above."""


def _largest(fleet: FleetModel, wanted: float) -> float:
    """Return a demand, or the largest below it that fleet.max_gpus allows [answers/day]."""
    most = np.asarray([wanted])
    if np.isfinite(fleet.usd_per_day(most)[0]):
        return wanted
    low, _ = halved(lambda demand: np.isfinite(fleet.usd_per_day(demand)), np.zeros(1), most, _HALVINGS)
    return float(low[0])


_HALVINGS = 60


def _cheapest(fleet: FleetModel, answers_per_day: Sequence[float] | Array) -> Cheapest:
    return fleet.cheapest(np.asarray(answers_per_day) / units.SECONDS_PER_DAY)


def _curve_of(asked: Asked, tier: Tier, fleet: FleetModel | None) -> list[ResultLine]:
    """Return a tier's lines of the curve: an even grid, the steps between its points, the crossing, the scenario."""
    if fleet is None:
        return []
    reach = asked.question.spec.answers_per_day
    grid = np.geomspace(reach.least, reach.most, reach.points)
    crossing = _line(asked, tier, fleet).values["break_even_answers_per_day"]
    extra = [x for x in (crossing, asked.traffic.answers_per_day) if reach.least <= x <= reach.most]
    demands = np.unique(np.concatenate([grid, steps(fleet.usd_per_day, grid), extra]))
    best = _cheapest(fleet, demands)
    lines = []
    for i, demand in enumerate(demands.tolist()):
        option = best.options[i]
        texts: dict[str, str | None] = {"tier": tier.label, "gpu": None, "provider": None}
        if option is not None and option.offer:
            texts |= {"gpu": option.machine.gpu.spec.id, "provider": option.offer.file.spec.provider}
        values = asked.inputs(asked.traffic.scaled(demand)) | flat("own", best.numbers(i))
        values["own.extra_share"] = fleet.scenario.spec.prices.extra_share
        line = solve_line(f"{tier.label} {demand:.12g}", texts, values, page_formulas(PAGE))
        lines.append(ResultLine(line.label, {**texts, "cheaper": words.cheaper(line)}, line.values))
    return lines


def _sources(asked: Asked, catalog: Catalog) -> list[Input]:
    """Return where the API's price and each tier's best option come from."""
    price, rates = asked.price, asked.price.rates(batch=asked.question.spec.api.batch)
    found = [Input(f"api.{name}", value, price.where, price.source) for name, value in vars(rates).items()]
    seen = {i.name for i in found}
    for tier in asked.tiers:
        if tier.found is None:
            continue
        for item in inputs(tier.found.scenario, catalog, tier.found.options[0], tier.found.model):
            group = item.name.partition(".")[0]
            if group == "price":
                found.append(item._replace(name=f"{tier.label}.{item.name}"))
            elif group in _TOLD and item.name not in seen:
                seen.add(item.name)
                found.append(item)
    return found


_TOLD = {"workload", "demand", "slo", "fleet", "model", "engine", "prices", "measured_rates"}
"""Of a scenario's inputs; GPUs and engines are in `planner explain SCENARIO`."""
