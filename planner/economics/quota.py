"""Quotas of a subscription: what a message earns, costs and leaves, and the machines behind a peak."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.crossing import halved
from planner.economics.fleet_by_demand import FleetModel, machines
from planner.economics.message import read_message
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.questions.asked import named_beside
from planner.economics.questions.plan import ALL_MODELS, Limit, PlanFile
from planner.serving.normal import Array
from planner.wording import money, plural

PAGE = "economics/quota.csv"


def quota(question: Loaded[PlanFile], catalog: Catalog) -> QuestionResult:
    """Return a plan's rows: one per model, one per family of several, and one of the whole plan.

    A model's row takes the whole price, as if its subscriber used nothing else, unless the plan shares its
    revenue out; the row of the plan adds the costs up. Raises DataMissingError for an API price, a kind of text
    or a scenario that is not known.
    """
    plan, page = question.spec, page_formulas(PAGE)
    models = [_model_line(index, limit, question, catalog) for index, limit in enumerate(plan.limits)]
    lines = list(models)
    for family in dict.fromkeys(limit.family for limit in plan.limits if limit.family):
        members = [i for i, limit in enumerate(plan.limits) if limit.family == family]
        if len(members) > 1:
            lines.append(_sum_line(family, models, plan, members))
    if len(models) > 1:
        lines.append(_sum_line(ALL_MODELS, models, plan, range(len(models))))
    shown = page.table if plan.usd_per_month else page.view("unpaid")
    return QuestionResult.of(
        "quota",
        question,
        PAGE,
        lines,
        verdict=_verdict(plan, lines),
        warnings=_missing(models),
        shown=[*shown, *(page.view("peak") if plan.users.exhausting_share else ())],
        aside=("plan", "cost_basis"),
    )


def mean_use(plan: PlanFile, model: str) -> float:
    """Return the share of a model's quota that is used, on average over the groups of users; 1 without groups."""
    if plan.users.groups is None:
        return 1.0
    return math.fsum(group.share * group.of(model) for group in plan.users.groups)


def _model_line(index: int, limit: Limit, question: Loaded[PlanFile], catalog: Catalog) -> ResultLine:
    """Return the row of one model."""
    plan, page = question.spec, page_formulas(PAGE)
    read = read_message(limit.api, ("limits", index, "api"), question, catalog, plan.as_of)
    inputs = _shared(plan) | {"limit.revenue_share": 1.0} | flat("limit", limit) | flat("api", read.values)
    inputs["limit.use"] = mean_use(plan, limit.model)
    basis, notes = _cost_basis(limit, plan), list(read.notes)
    if limit.own is not None:
        place = question.document.field_place(("limits", index, "own", "scenario"))
        name = named_beside(limit.own.scenario, question.document, catalog)
        fleet = machines(name, catalog, override=limit.own.override, where=place)
        first = solve_line(limit.model, {}, inputs, page).values
        numbers, basis = _own_fleet(limit, fleet, first, 1.0 - plan.margin_target)
        inputs |= numbers
        notes += fleet.warnings
    texts = {"plan": plan.name, "model": limit.model, "cost_basis": basis}
    return solve_line(limit.model, texts, inputs, page, origins=read.origins, notes=notes)


def _shared(plan: PlanFile) -> dict[str, float]:
    """Return what every row reads."""
    return flat("plan", plan) | flat("users", plan.users) | {"rounding": _ROUNDING}


_ROUNDING = 1e-12
"""Exactly n messages must not become n - 1 through rounding."""


def _cost_basis(limit: Limit, plan: PlanFile) -> str | None:
    """Return in words where the cost of a message comes from; None where nothing says it."""
    if limit.usd_per_message is not None:
        return "given"
    if limit.api is None:
        return None
    return f"API list price of {limit.api.price_model or 'the file'}, {plan.as_of.isoformat()}"


def _own_fleet(
    limit: Limit, fleet: FleetModel, first: Mapping[str, float], cost_share: float
) -> tuple[dict[str, float], str]:
    """Return (numbers of a model's own fleet, the cost basis in words); `cost_share` of revenue may be spent.

    The fleet carries all subscribers' messages where the plan counts them, else the scenario's own load.
    """
    own = limit.own
    assert own is not None  # noqa: S101 - asked only of such limits
    load = first["users_messages_per_s"]
    chosen = fleet.cheapest(load if load > 0 else fleet.answers_per_s)
    if chosen.options[0] is None:
        return {}, f"{own.scenario}: no priced option meets the SLO"
    cost = "cost_usd_per_answer" if own.cost == "reserved" else "cost_usd_per_answer_used"
    numbers = {"own.usd_per_answer": chosen.number(cost)}
    if load > 0:
        allowed = first["revenue_usd_per_month"] * cost_share / first["messages_per_month"]
        numbers["own.largest_multiple"] = _largest_multiple(fleet, load, allowed, cost)
    peak = first["peak_messages_per_s"]
    if peak > 0:
        at_peak = fleet.cheapest(peak, peak=True)
        results = {"replicas": "replicas", "gpus": "gpus", "usd_per_month": "cost_usd_per_month"}
        numbers |= {f"fleet.{name}": at_peak.number(result) for name, result in results.items()}
    return numbers, f"{fleet.scenario.label}, {own.cost}: {chosen.label()}"


def _largest_multiple(fleet: FleetModel, load: float, allowed: float, cost: str) -> float:
    """Return the largest multiple of a load whose machines cost no more than is allowed [1]; 0 where none does.

    Parameters
    ----------
    load : messages of all subscribers today [1/s].
    allowed : dollars that may be spent on a message of today's load [USD].
    cost : which cost of an answer counts, by its name.

    More load never costs less in all, so the multiples that are paid for end at one point.
    """

    def paid(log_multiples: Array) -> NDArray[np.bool_]:
        multiples = np.exp(log_multiples)
        usd_per_message = getattr(fleet.cheapest(load * multiples).fleets, cost)
        return np.asarray(usd_per_message * multiples <= allowed)

    low, high = np.log([_SMALLEST]), np.log([_LARGEST])
    if not paid(low)[0]:
        return 0.0
    low, _ = (high, high) if paid(high)[0] else halved(paid, low, high, _HALVINGS)
    return float(np.exp(low[0]))


_SMALLEST, _LARGEST = 2.0**-20, 2.0**20
"""Multiples of today's quota between which the largest is looked for: about a millionth and a million."""
_HALVINGS = 48
"""Halvings of the logarithm of the multiple: to the 12th digit of it."""


def _sum_line(label: str, models: Sequence[ResultLine], plan: PlanFile, members: Sequence[int]) -> ResultLine:
    """Return the row of several models together: what adds up is added, one part unknown leaves the sum unknown."""
    shares = [plan.limits[i].revenue_share for i in members]
    inputs, page = _shared(plan), page_formulas(PAGE)
    inputs["limit.revenue_share"] = 1.0 if None in shares else math.fsum(s or 0.0 for s in shares)
    for name in page.inputs:
        group, _, summed = name.partition(".")
        if group == "sum":
            inputs[name] = math.fsum(models[i].values[summed] for i in members)
    return solve_line(label, {"plan": plan.name, "model": label, "cost_basis": None}, inputs, page)


def _missing(models: Sequence[ResultLine]) -> list[str]:
    """Return which models' messages have no cost."""
    unpriced = [x.label for x in models if x.texts["cost_basis"] is None and x.value("cost_usd_per_month") is None]
    if not unpriced:
        return []
    ways = "give usd_per_message, api or own; the plan's margin is unknown"
    return [f"no cost per message for {', '.join(unpriced)}: {ways}"]


def _verdict(plan: PlanFile, lines: Sequence[ResultLine]) -> list[str]:
    """Return the plan in words: what the quotas are worth, what is left, what was assumed about use."""
    whole = lines[-1]
    sentences = []
    worth = [f"{x.label} ${v:,.2f}" for x in lines if (v := x.value("list_value_usd_per_week")) is not None]
    if worth:
        revenue = whole.value("revenue_usd_per_week")
        paid = f"; a subscriber pays ${revenue:.2f}" if revenue is not None else ""
        sentences.append(f"one week's quota at list price: {', '.join(worth)}{paid}")
    margin = whole.value("margin_usd_per_month")
    if margin is not None:
        word = "profit" if margin >= 0 else "loss"
        sentences.append(f"{word} of ${abs(margin):,.2f} per subscriber per month at this usage")
    if plan.users.groups is None and plan.usd_per_month is not None:
        sentences.append("assumes every subscriber exhausts every quota (the plan gives no usage)")
    if len(lines) > 1 and plan.usd_per_month and plan.limits[0].revenue_share is None:
        sentences.append(
            "each model's row takes the whole price, as if no other model were used; the last row adds up the costs"
        )
    bases = [f"{x.label}: {b}" for x in lines if (b := x.texts["cost_basis"])]
    return [*sentences, *([f"cost per message – {'; '.join(bases)}"] if bases else []), *_peak_words(whole)]


def _peak_words(whole: ResultLine) -> list[str]:
    """Return which fleet the peak's numbers are of, where one's own machines stand ready for it."""
    gpus, dollars = whole.value("peak_gpus"), whole.value("peak_usd_per_month")
    if gpus is None or dollars is None:
        return []
    fleet = f"{plural(gpus, 'GPU')} at {money(dollars)} a month"
    return [f"the margin leaves out the peak fleet ({fleet}); it counts the fleet named under cost per message"]
