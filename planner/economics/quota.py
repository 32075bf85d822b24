"""Quotas of a subscription: what a message earns, costs and leaves, and the machines behind a peak."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.fleet_by_demand import FleetModel, machines
from planner.economics.message import NAMES, read_message
from planner.economics.page import Line, Sheet, solve_line
from planner.economics.questions.asked import named_beside
from planner.economics.questions.plan import ALL_MODELS, Limit, PlanFile
from planner.explain.formulas import formulas
from planner.options.lowering import or_nan
from planner.options.provenance import Input, file_inputs
from planner.serving.normal import Array
from planner.wording import money, plural

PAGE = "economics/quota.csv"
IDENTITY = ("plan", "model", "cost_basis")
SHOWN = (
    "quota_messages_per_week",
    "use",
    "usd_per_message_exhausted",
    "cost_usd_per_message",
    "list_value_usd_per_week",
    "margin_usd_per_month",
    "margin",
    "break_even_use",
    "largest_quota_messages",
)
SHOWN_UNPAID = (
    "quota_messages_per_day",
    "quota_messages_per_week",
    "api_usd_per_message",
    "list_value_usd_per_week",
    "in_flight_exhausted",
)
"""Of limits without a subscription's price, as an API key has them."""
_PEAK = ("peak_messages_per_s", "peak_replicas", "peak_gpus", "peak_usd_per_month")
_USERS = ("users_revenue_usd_per_month", "users_cost_usd_per_month", "users_messages_per_s")
FIELDS = (
    "quota_messages_per_day",
    "quota_messages_per_week",
    "quota_messages_per_month",
    "quota_seconds_per_message",
    "usd_per_message_exhausted",
    "use",
    "messages_per_month",
    "revenue_usd_per_month",
    "revenue_usd_per_week",
    "revenue_usd_per_message",
    "cost_usd_per_message",
    "cost_usd_per_month",
    "margin_usd_per_month",
    "margin",
    "break_even_use",
    "largest_quota_multiple",
    "largest_quota_messages",
    "api_tokens",
    "api_usd_per_message",
    "list_value_usd_per_week",
    "list_value_multiple",
    "in_flight_exhausted",
    *_USERS,
    *_PEAK,
)
_SUMMED = (
    "quota_messages_per_day",
    "quota_messages_per_week",
    "quota_messages_per_month",
    "messages_per_month",
    "list_value_usd_per_week",
    "cost_usd_per_month",
    "exhausted_cost_usd_per_month",
    "peak_messages_per_s",
    "peak_gpus",
    "peak_usd_per_month",
)
_OWN = ("own.usd_per_answer", "own.largest_multiple", "fleet.replicas", "fleet.gpus", "fleet.usd_per_month")
_UNKNOWN = math.nan


@dataclass(frozen=True)
class _Row:
    """A model's row, and what was looked up for it."""

    line: Line
    origins: list[Input]
    notes: list[str]


def quota(question: Loaded[PlanFile], catalog: Catalog) -> Sheet:
    """Return a plan's rows: one per model, one per family of several, and one of the whole plan.

    A model's row takes the whole price, as if its subscriber used nothing else, unless the plan shares its
    revenue out; the row of the plan adds the costs up. Raises DataMissingError for an API price, a kind of text
    or a scenario that is not known.
    """
    plan, page = question.spec, formulas(PAGE)
    rows = [_model_row(index, limit, question, catalog) for index, limit in enumerate(plan.limits)]
    lines = [row.line for row in rows]
    families = dict.fromkeys(limit.family for limit in plan.limits if limit.family)
    for family in families:
        members = [i for i, limit in enumerate(plan.limits) if limit.family == family]
        if len(members) > 1:
            lines.append(_sum_row(family, [rows[i].line for i in members], plan, members))
    if len(rows) > 1:
        lines.append(_sum_row(ALL_MODELS, [row.line for row in rows], plan, range(len(rows))))
    notes = [note for row in rows for note in row.notes]
    return Sheet(
        "quota",
        question,
        page,
        IDENTITY,
        FIELDS,
        lines,
        verdict=_verdict(plan, lines),
        warnings=[*dict.fromkeys(notes), *_missing(lines)],
        provenance=[*file_inputs(question), *(i for row in rows for i in row.origins)],
        shown=[*(SHOWN if plan.usd_per_month else SHOWN_UNPAID), *(_PEAK if plan.users.exhausting_share else ())],
        aside=("plan", "cost_basis"),
    )


def mean_use(plan: PlanFile, model: str) -> float:
    """Return the share of a model's quota that is used, on average over the groups of users; 1 without groups."""
    if plan.users.groups is None:
        return 1.0
    return math.fsum(group.share * group.of(model) for group in plan.users.groups)


def _model_row(index: int, limit: Limit, question: Loaded[PlanFile], catalog: Catalog) -> _Row:
    """Return the row of one model."""
    plan, page = question.spec, formulas(PAGE)
    read = read_message(limit.api, ("limits", index, "api"), question, catalog, plan.as_of)
    inputs = _shared(plan) | {
        "limit.messages": float(limit.messages),
        "limit.window_hours": limit.window_hours,
        "limit.revenue_share": 1.0 if limit.revenue_share is None else limit.revenue_share,
        "limit.use": mean_use(plan, limit.model),
        "limit.usd_per_message": or_nan(limit.usd_per_message),
        "limit.seconds_per_message": or_nan(limit.seconds_per_message),
        "limit.latency_s": or_nan(limit.latency_s),
    }
    inputs |= {f"api.{name}": read.values[name] for name in NAMES} | dict.fromkeys(_OWN, _UNKNOWN)
    basis, notes = _cost_basis(limit, plan), list(read.notes)
    if limit.own is not None:
        place = question.document.field_place(("limits", index, "own", "scenario"))
        name = named_beside(limit.own.scenario, question.document, catalog)
        found = machines(name, catalog, override=limit.own.override, where=place)
        first = solve_line(limit.model, {}, inputs, page).values
        numbers, basis = _own_fleet(limit, found, first, 1.0 - plan.margin_target)
        inputs |= numbers
        notes += found.warnings
    texts = {"plan": plan.name, "model": limit.model, "cost_basis": basis}
    return _Row(solve_line(limit.model, texts, inputs, page), read.origins, notes)


def _shared(plan: PlanFile) -> dict[str, float]:
    """Return what every row reads."""
    return {
        "plan.usd_per_month": or_nan(plan.usd_per_month),
        "plan.margin_target": plan.margin_target,
        "users.count": or_nan(plan.users.count),
        "users.exhausting_share": or_nan(plan.users.exhausting_share),
        "hours_per_day": units.HOURS_PER_DAY,
        "hours_per_week": units.HOURS_PER_WEEK,
        "hours_per_month": units.HOURS_PER_MONTH,
        "seconds_per_hour": units.SECONDS_PER_HOUR,
        "rounding": _ROUNDING,
        **{f"sum.{name}": _UNKNOWN for name in _SUMMED},
    }


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
    limit: Limit, found: FleetModel, first: Mapping[str, float], cost_share: float
) -> tuple[dict[str, float], str]:
    """Return (numbers of a model's own fleet, the cost basis in words); `cost_share` of revenue may be spent.

    The fleet carries all subscribers' messages where the plan counts them, else the scenario's own load.
    """
    own = limit.own
    assert own is not None  # noqa: S101 - asked only of such limits
    load = first["users_messages_per_s"]
    chosen = found.cheapest(load if load > 0 else found.answers_per_s)
    numbers = dict.fromkeys(_OWN, _UNKNOWN)
    if chosen.options[0] is None:
        return numbers, f"{own.scenario}: no option is priced and meets the SLO"
    numbers["own.usd_per_answer"] = chosen.number(
        "cost_usd_per_answer" if own.cost == "reserved" else "cost_usd_per_answer_used"
    )
    if load > 0:
        allowed = first["revenue_usd_per_month"] * cost_share / first["messages_per_month"]
        numbers["own.largest_multiple"] = _largest_multiple(found, load, allowed, used=own.cost != "reserved")
    peak = first["peak_messages_per_s"]
    if peak > 0:
        at_peak = found.cheapest(peak, peak=True)
        numbers["fleet.replicas"] = at_peak.number("replicas")
        numbers["fleet.gpus"] = at_peak.number("gpus")
        numbers["fleet.usd_per_month"] = at_peak.number("cost_usd_per_month")
    return numbers, f"{found.scenario.label}, {own.cost}: {chosen.label()}"


def _largest_multiple(found: FleetModel, load: float, allowed: float, *, used: bool) -> float:
    """Return the largest multiple of a load whose machines cost no more than is allowed [1]; 0 where none does.

    Parameters
    ----------
    load : messages of all subscribers today [1/s].
    allowed : dollars that may be spent on a message of today's load [USD].
    used : whether only used hours count.

    More load never costs less in all, so the multiples that are paid for end at one point; it is bracketed by powers
    of two and halved down to rounding.
    """
    name = "cost_usd_per_answer_used" if used else "cost_usd_per_answer"

    def paid(multiples: Array) -> NDArray[np.bool_]:
        each = getattr(found.cheapest(load * multiples).fleets, name)
        return np.asarray(each * multiples <= allowed)

    powers = np.exp2(np.arange(-_POWERS, _POWERS + 1.0))
    inside = np.flatnonzero(paid(powers))
    if not inside.size:
        return 0.0
    low, high = powers[inside[-1]], powers[min(inside[-1] + 1, powers.size - 1)]
    while high - low > _ROUNDING * low:
        middle = np.linspace(low, high, _CUTS)
        last = int(np.flatnonzero(paid(middle))[-1])
        if last == _CUTS - 1:
            return float(high)
        low, high = middle[last], middle[last + 1]
    return float(low)


_POWERS, _CUTS = 20, 17
"""Multiples from a millionth to a million times today's quota; parts into which a bracket is cut at once."""


def _sum_row(label: str, parts: Sequence[Line], plan: PlanFile, members: Sequence[int]) -> Line:
    """Return the row of several models together: what adds up is added, one part unknown leaves the sum unknown."""
    shares = [plan.limits[i].revenue_share for i in members]
    inputs = _shared(plan)
    inputs |= {f"sum.{name}": math.fsum(part.values[name] for part in parts) for name in _SUMMED}
    inputs["limit.revenue_share"] = 1.0 if None in shares else math.fsum(s or 0.0 for s in shares)
    names = ("messages", "window_hours", "use", "usd_per_message", "seconds_per_message", "latency_s")
    inputs |= {f"limit.{name}": _UNKNOWN for name in names}
    inputs |= {f"api.{name}": _UNKNOWN for name in NAMES} | dict.fromkeys(_OWN, _UNKNOWN)
    return solve_line(label, {"plan": plan.name, "model": label, "cost_basis": None}, inputs, formulas(PAGE))


def _missing(lines: Sequence[Line]) -> list[str]:
    unknown = [
        line.label for line in lines if line.texts["cost_basis"] is None and line.value("cost_usd_per_month") is None
    ]
    unknown = [u for u in unknown if u != ALL_MODELS]
    if not unknown:
        return []
    return [
        f"no cost of a message to {', '.join(unknown)}: give usd_per_message, api or own; the plan's margin is unknown"
    ]


def _verdict(plan: PlanFile, lines: Sequence[Line]) -> list[str]:
    """Return the plan in words: what the quotas are worth, what is left, what was assumed about use."""
    whole = lines[-1]
    found = []
    worth = [f"{x.label} ${v:,.2f}" for x in lines if (v := x.value("list_value_usd_per_week")) is not None]
    if worth:
        revenue = whole.value("revenue_usd_per_week")
        paid = f"; a subscriber pays ${revenue:.2f}" if revenue is not None else ""
        found.append(f"a week's quotas at list price: {', '.join(worth)}{paid}")
    margin = whole.value("margin_usd_per_month")
    if margin is not None:
        word = "is left" if margin >= 0 else "is lost"
        found.append(f"${abs(margin):,.2f} a subscriber and month {word} at this use")
    if plan.users.groups is None and plan.usd_per_month is not None:
        found.append("assumed, because the plan does not say: every subscriber uses every quota up")
    if len(lines) > 1 and plan.usd_per_month and plan.limits[0].revenue_share is None:
        found.append(
            "a model's row takes the whole price, as if nothing else were used; the last row adds the costs up"
        )
    bases = [f"{x.label}: {b}" for x in lines if (b := x.texts["cost_basis"])]
    return [*found, *([f"cost of a message – {'; '.join(bases)}"] if bases else []), *_peak_words(whole)]


def _peak_words(whole: Line) -> list[str]:
    """Return which fleet the peak's numbers are of, where one's own machines stand ready for it."""
    gpus, dollars = whole.value("peak_gpus"), whole.value("peak_usd_per_month")
    if gpus is None or dollars is None:
        return []
    fleet = f"the peak's fleet, {plural(gpus, 'GPU')} at {money(dollars)} a month"
    return [f"{fleet}, is not in the margin: that counts the fleet named under the cost of a message"]
