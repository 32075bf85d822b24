"""API or own in words: verdicts and warnings."""

import math

from planner import units
from planner.catalog.catalog import normal
from planner.documents.spec import today
from planner.economics.break_even_inputs import Sides
from planner.economics.page import ResultLine
from planner.wording import about, plural, price_tier

SCALE = 1000.0
"""Whole machines no longer matter at this many times the largest demand of the range."""
_APART_DAYS = 180


def cheaper(line: ResultLine) -> str | None:
    """Return which side costs less at the line's demand; None where one is unknown."""
    ratio = line.values["own_over_api"]
    return None if math.isnan(ratio) else "own" if ratio <= 1.0 else "api"


def spoken(label: str) -> str:
    """Return a row's label as a sentence names it; the names of providers stay as they are.

    >>> spoken("on_demand my_cloud")
    'on-demand my_cloud'
    """
    tier, space, providers = label.partition(" ")
    return price_tier(tier) + space + providers


def verdict(line: ResultLine, *, missing: str, largest: float) -> str:
    """Return a row in a sentence or two; `largest` is the largest demand of the question's range."""
    v, tier = line.values, spoken(line.label)
    if math.isnan(v["own_usd_per_month"]) and math.isfinite(v["full_fleet_usd_per_answer"]):
        here = f"At {about(v['answers_per_day'])} a day no fleet stays within fleet.max_gpus"
        return f"{tier}: {_crossing(line, largest)}. {here}"
    if math.isnan(v["own_usd_per_month"]):
        return f"{tier}: {missing or 'no fleet meets the SLO'}"
    if math.isnan(v["answers_per_day"]):
        return (
            f"{tier}: own machines cost ${v['own_usd_per_day']:,.0f} a day; sold at the API's price, their answers "
            f"bring ${v['api_usd_per_day']:,.0f}: {v['profit_over_cost']:.0%} profit over cost, "
            f"{v['gross_margin']:.1%} gross margin"
        )
    return f"{tier}: {_crossing(line, largest)}. {_here(line)}"


def _crossing(line: ResultLine, largest: float) -> str:
    v = line.values
    at, first, over = (v[n] for n in ("break_even_answers_per_day", "first_break_even_answers_per_day",
                                      "full_fleet_over_api"))  # fmt: skip
    if v["api_usd_per_month"] == 0.0:
        return "never, the API is free"
    if math.isnan(at):
        full = v["full.answers_per_month"] / units.DAYS_PER_MONTH
        size = (
            "a full fleet"
            if full > largest * _NEARLY_FULL
            else f"the largest fleet allowed, for {about(full)} answers a day,"
        )
        return (
            f"never: even {size} costs {over:.4g} × the API "
            f"(${v['full_fleet_usd_per_answer']:.3g} against ${v['api_usd_per_answer']:.3g} an answer)"
        )
    if at == 0.0:
        return "own machines cost less at any demand: only the mean is billed, without a minimum"
    fleet = f"{plural(v['break_even_gpus'], 'GPU')}, {v['break_even_utilization']:.1%} of their hours used"
    said = f"below {about(first)} answers a day the API is cheaper, from {about(at)} on own machines are ({fleet})"
    if first < at * _CLOSE:
        said += "; in between, it depends on how busy the last replica is"
    return said + (f"; that is beyond the requested range, {about(largest)}" if at > largest else "")


_CLOSE = 0.995
_NEARLY_FULL = 0.999 * SCALE


def _here(line: ResultLine) -> str:
    v = line.values
    ratio = v["own_over_api"]
    if v["api_usd_per_month"] == 0.0:
        return f"Own machines cost ${v['own_usd_per_month']:,.0f} a month"
    side = f"own costs {ratio:.3g} × the API" if ratio > 1.0 else f"the API costs {1.0 / ratio:.3g} × own"
    return (
        f"At {about(v['answers_per_day'])} a day {side}: ${v['own_usd_per_month']:,.0f} own, "
        f"${v['api_usd_per_month']:,.0f} API a month (${v['own_usd_per_answer']:.3g} and "
        f"${v['api_usd_per_answer']:.3g} an answer)"
    )


def unpriced(sides: Sides) -> list[str]:
    """Return why each tier without a price has none, for pages without a verdict."""
    return [f"{spoken(tier.label)}: {tier.missing}" for tier in sides.tiers if tier.missing]


def warnings(sides: Sides) -> list[str]:
    """Return what a careful colleague would add."""
    api, price, cached_share = sides.question.spec.api, sides.price, sides.traffic.cached_share
    notes, answers = list(price.notes), [(tier.label, tier.answer) for tier in sides.tiers if tier.answer is not None]
    model = answers[0][1].model.spec.id
    if normal(model) != normal(price.model):
        notes.append(
            f"{price.model} and {model} are different models with different answers and tokenizers; the same token "
            "counts are assumed (set api.input_tokens and api.output_tokens to the API's own counts)"
        )
    scenario = answers[0][1].scenario.spec
    if api.batch:
        notes.append("batch answers arrive within a day: own machines meet an SLO that the batch API does not")
    if api.cached_share is None and price.standard.usd_per_mtok_cached_input < price.standard.usd_per_mtok_input:
        agents = any(c.agent for c in (scenario.workload, *scenario.workload.classes))
        like = "the context of the last turn, whatever agent.kv_cache is" if agents else "as much as your own cache"
        notes.append(
            f"assumes the API's cache finds {cached_share:.1%} of the input, {like}; api.cached_share overrides"
        )
    day = today() if scenario.prices.as_of == "latest" else scenario.prices.as_of
    if abs((price.day - day).days) > _APART_DAYS:
        notes.append(
            f"the API price is dated {price.day}, machine prices {day}; changes: {{prices.as_of: …}} sets the latter"
        )
    about: dict[str, list[str]] = {}
    for label, a in answers:
        for text in a.warnings:
            about.setdefault(text, []).append(spoken(label))
    return notes + [
        text if len(labels) == len(answers) else f"{', '.join(labels)}: {text}" for text, labels in about.items()
    ]
