"""API or own: what both cost at a scenario's demand, and from which demand on own machines cost less."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner import units
from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics import break_even_words as words
from planner.economics.break_even_inputs import Sides, Tier, Traffic, look_up
from planner.economics.crossing import first_crossing, halved, last_crossing, steps
from planner.economics.fleet_by_demand import Cheapest, FleetModel, fleet_model_of
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.break_even import BreakEvenFile
from planner.errors import DataMissingError
from planner.options.provenance import Input, inputs
from planner.serving.normal import Array

PAGE = "economics/break_even.csv"


def break_even(question: Loaded[BreakEvenFile], catalog: Catalog) -> QuestionResult:
    """Return one row per price tier: both costs at the scenario's demand, and where they cross."""
    sides = look_up(question, catalog)
    lines = [_tier_line(sides, tier, _fleet_of(sides, tier)) for tier in sides.tiers]
    works = any(tier.works for tier in sides.tiers)
    return replace(
        _result(sides, catalog, lines),
        verdict=[str(line.texts["verdict"]) for line in lines],
        shown=() if math.isfinite(sides.traffic.answers_per_day) else page_formulas(PAGE).view("sold"),
        aside=("verdict",),
        failed=() if works else ("no tier has a fleet with a price that meets the SLO",),
    )


def curve(question: Loaded[BreakEvenFile], catalog: Catalog) -> QuestionResult:
    """Return the rows of a curve: both costs over the range of demands, with both sides of the fleets' steps.

    Raises DataMissingError where the number of answers is unknown.
    """
    sides = look_up(question, catalog)
    if math.isnan(sides.traffic.answers_per_day):
        place = question.document.field_place(("scenario",))
        raise DataMissingError("a curve needs the number of answers, and this scenario only has tokens", where=place)
    lines = [line for tier in sides.tiers for line in _curve_lines(sides, tier, _fleet_of(sides, tier))]
    result = _result(sides, catalog, lines)
    identity, columns = ("tier", "gpu", "provider", "cheaper"), result.page.view("curve")
    warnings = [*result.warnings, *words.unpriced(sides)]
    return replace(result, identity=identity, fields=columns, shown=columns, warnings=warnings)


def _result(sides: Sides, catalog: Catalog, lines: list[ResultLine]) -> QuestionResult:
    """Return what the comparison and its curve share: rows, warnings and sources."""
    warnings, sources = words.warnings(sides), _sources(sides, catalog)
    return QuestionResult.of("break-even", sides.question, PAGE, lines, warnings=warnings, provenance=sources)


def _fleet_of(sides: Sides, tier: Tier) -> FleetModel | None:
    """Return the machines of a tier as a function of demand; None where it has none or the demand is unknown."""
    if tier.answer is None or math.isnan(sides.traffic.answers_per_day):
        return None
    fleet = fleet_model_of(tier.answer).contenders()
    return fleet if fleet.options else None


def _solved(
    label: str, tier: Tier, values: dict[str, float], gpu: str | None = None, provider: str | None = None
) -> ResultLine:
    """Return a row of a tier with the side that costs less."""
    line = solve_line(label, {"tier": tier.label, "gpu": gpu, "provider": provider}, values, page_formulas(PAGE))
    return line.with_texts(cheaper=words.cheaper(line))


def _tier_line(sides: Sides, tier: Tier, fleet: FleetModel | None) -> ResultLine:
    """Return the row of a tier at the scenario's own demand, with its crossings and the verdict."""
    traffic, answer = sides.traffic, tier.answer
    values = sides.inputs(traffic) | {"own.extra_share": 0.0}
    if answer is not None and math.isfinite(traffic.answers_per_day):
        values["own.extra_share"] = answer.scenario.spec.prices.extra_share
    if fleet is not None:
        values |= _crossings(sides, fleet, traffic)
    if answer is not None and tier.works:
        best = answer.best
        line = _solved(tier.label, tier, values | flat("own", best), best.gpu, best.provider)
    else:
        line = _solved(tier.label, tier, values)
    verdict = words.verdict(line, missing=tier.why_not, largest=sides.question.spec.answers_per_day.most)
    return line.with_texts(verdict=verdict)


def _crossings(sides: Sides, fleet: FleetModel, traffic: Traffic) -> dict[str, float]:
    """Return the fleets at both crossings, and where whole machines no longer matter."""
    bill = solve_line("", {}, sides.inputs(traffic), page_formulas(PAGE))
    price = bill.values["api_usd_per_answer"]
    reach = sides.question.spec.answers_per_day
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
    highest = np.asarray([wanted])
    if np.isfinite(fleet.usd_per_day(highest)[0]):
        return wanted
    low, _ = halved(lambda demand: np.isfinite(fleet.usd_per_day(demand)), np.zeros(1), highest, _HALVINGS)
    return float(low[0])


_HALVINGS = 60


def _cheapest(fleet: FleetModel, answers_per_day: Sequence[float] | Array) -> Cheapest:
    return fleet.cheapest(np.asarray(answers_per_day) / units.SECONDS_PER_DAY)


def _curve_lines(sides: Sides, tier: Tier, fleet: FleetModel | None) -> list[ResultLine]:
    """Return a tier's lines of the curve: an even grid, the steps between its points, the crossing, the scenario."""
    if fleet is None:
        return []
    reach = sides.question.spec.answers_per_day
    grid = np.geomspace(reach.least, reach.most, reach.points)
    crossing = _tier_line(sides, tier, fleet).values["break_even_answers_per_day"]
    extra = [x for x in (crossing, sides.traffic.answers_per_day) if reach.least <= x <= reach.most]
    demands = np.unique(np.concatenate([grid, steps(fleet.usd_per_day, grid), extra]))
    cheapest = _cheapest(fleet, demands)
    lines = []
    for i, demand in enumerate(demands.tolist()):
        option = cheapest.options[i]
        values = sides.inputs(sides.traffic.scaled(demand)) | flat("own", cheapest.numbers(i))
        values["own.extra_share"] = fleet.scenario.spec.prices.extra_share
        seller = (option.machine.gpu.spec.id, option.offer.file.spec.provider) if option and option.offer else ()
        lines.append(_solved(f"{tier.label} {demand:.12g}", tier, values, *seller))
    return lines


def _sources(sides: Sides, catalog: Catalog) -> list[Input]:
    """Return where the API's price and each tier's best option come from."""
    price, rates = sides.price, sides.price.rates(batch=sides.question.spec.api.batch)
    origins = {f"api.{n}": Input(f"api.{n}", value, price.where, price.source) for n, value in vars(rates).items()}
    for tier in sides.tiers:
        if tier.answer is None:
            continue
        for item in inputs(tier.answer.scenario, catalog, tier.answer.options[0], tier.answer.model):
            group = item.name.partition(".")[0]
            if group == "price":
                name = f"{tier.label}.{item.name}"
                origins[name] = item._replace(name=name)
            elif group in _SHOWN_INPUTS:
                origins.setdefault(item.name, item)
    return list(origins.values())


_SHOWN_INPUTS = {"workload", "demand", "slo", "fleet", "model", "engine", "prices", "measured_rates"}
"""Of a scenario's inputs; GPUs and engines are in `planner explain SCENARIO`."""
