"""From the spec of a workload to its columns: classes and histograms become mixture components."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from planner.catalog.market import DemandCurve
from planner.catalog.model import ModelSpec
from planner.documents.length import Length
from planner.documents.yaml_reader import Key
from planner.errors import BadInputError, DataMissingError, suggestion
from planner.options.shared_prefix import found_share
from planner.scenario.scenario import DemandSpec, ScenarioSpec
from planner.scenario.workload import THINKING_FIELDS, RequestClass, WorkloadSpec
from planner.serving.columns import DemandColumns, PauseColumns, WorkloadColumns
from planner.serving.lengths import lognormal_from_quantiles


@dataclass(frozen=True)
class Moments:
    """Mean and coefficient of variation of a length, with its weight in a mixture."""

    mean: float
    cv: float
    weight: float = 1.0


def moments(length: Length) -> Moments:
    """Return mean and cv of a length; a histogram's are those of its points.

    >>> moments(Length(mean=100.0, cv=0.5))
    Moments(mean=100.0, cv=0.5, weight=1.0)
    """
    if length.points:
        total = sum(w for _, w in length.points)
        mean = sum(x * w for x, w in length.points) / total
        second = sum(x * x * w for x, w in length.points) / total
        return Moments(mean, math.sqrt(max(second / mean**2 - 1.0, 0.0)))
    if length.p50 is not None and length.p90 is not None:
        return Moments(*lognormal_from_quantiles(length.p50, length.p90))
    return Moments(float(length.mean or 0.0), float(length.cv or 0.0))


def components(length: Length) -> list[Moments]:
    """Return the mixture components of a length: one lognormal, or one constant per histogram point."""
    if not length.points:
        return [moments(length)]
    total = sum(w for _, w in length.points)
    return [Moments(max(x, _SHORTEST_TOKENS), 0.0, w / total) for x, w in length.points if w > 0]


_SHORTEST_TOKENS = 1.0
_NONE = Length(mean=0.0)


Place = Callable[[Key], str]
"""Gives the place of the value at a path of the scenario: file, line and column."""
FieldPlace = Callable[[str], str]
"""Gives the place of a field of one request class."""


def lower_workload(spec: ScenarioSpec, model: ModelSpec, place: Place) -> WorkloadColumns:
    """Return the workload's columns, one component per class and histogram point.

    Raises DataMissingError for an effort level the model has no measured multiplier for.
    """
    workload = spec.workload
    if workload.tokens_per_day is not None:
        _check_effort(workload, model, _place_of_fields(workload, 0, place))
        return WorkloadColumns(*np.full((len(WorkloadColumns.__dataclass_fields__), 1), math.nan))
    rows: list[tuple[float, ...]] = []
    for index, (cls, share) in enumerate(_shares(workload)):
        where = _place_of_fields(workload, index, place)
        rows += _class_rows(_filled(cls, workload), share, workload.shared_tokens, model, where)
    columns = np.asarray(rows, dtype=np.float64).T
    return WorkloadColumns(*columns)


def _place_of_fields(workload: WorkloadSpec, index: int, place: Place) -> FieldPlace:
    """Return the function that gives the place of a field: in the class where that sets it, else in the workload."""

    def where(name: str) -> str:
        own = workload.classes and getattr(workload.classes[index], name, None) is not None
        return place(("workload", "classes", index, name) if own else ("workload", name))

    return where


def lower_pauses(spec: ScenarioSpec, model: ModelSpec, place: Place) -> PauseColumns | None:
    """Return the pauses between the turns of an answer; None where no tool takes time."""
    total = held = tokens = 0.0
    for index, (cls, share) in enumerate(_shares(spec.workload)):
        one = _filled(cls, spec.workload)
        if one.agent is None or not one.agent.tool_time_s:
            continue
        pauses = share * (int(one.turns_per_answer or 1) - 1) * one.agent.tool_time_s
        total += pauses
        if one.agent.kv_cache == "held":
            held += pauses
            where = _place_of_fields(spec.workload, index, place)
            tokens += pauses * (_held_between_turns(one, model, where) - spec.workload.shared_tokens)
    if not total:
        return None
    return PauseColumns(*(np.asarray(v) for v in (total, held, tokens / held if held else 0.0)))


def _held_between_turns(cls: RequestClass, model: ModelSpec, where: FieldPlace) -> float:
    """Return the mean tokens in the KV cache while a tool works: what the next turn finds there."""
    given, answer = moments(cls.input_tokens or _NONE), moments(cls.answer_tokens or _NONE)
    count, grown, as_written = (
        int(cls.turns_per_answer or 1),
        *_growth(cls, answer, _thinking(cls, answer, model, where)[0]),
    )
    return given.mean + (count - 2) / 2.0 * grown + as_written


def _shares(workload: WorkloadSpec) -> list[tuple[RequestClass, float]]:
    """Return each class with its share of the answers."""
    if not workload.classes:
        return [(workload, 1.0)]
    rates = [c.rate_per_s() for c in workload.classes]
    total = sum(r for r in rates if r is not None)
    return [
        (c, r / total if r is not None else float(c.share or 0.0)) for c, r in zip(workload.classes, rates, strict=True)
    ]


def _filled(cls: RequestClass, base: RequestClass) -> RequestClass:
    """Return a class with the workload's values for fields that it leaves out."""
    names = ["input_tokens", "answer_tokens", "cached_share", "samples_per_answer", "turns_per_answer", "agent"]
    names += ["max_tokens", *(() if cls.thinking_fields() else THINKING_FIELDS)]
    update = {name: getattr(base, name) for name in names if getattr(cls, name) is None}
    return cls.model_copy(update=update)


def _class_rows(
    cls: RequestClass, share: float, shared_tokens: float, model: ModelSpec, where: FieldPlace
) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    for given, answer in product(components(cls.input_tokens or _NONE), components(cls.answer_tokens or _NONE)):
        stated = None if cls.cached_share is None else moments(cls.cached_share).mean
        found = found_share(stated, given.mean, shared_tokens, where, "workload.")
        multiplier, generated_cv, thinking_cv = _thinking(cls, answer, model, where)
        _check_context(cls, given.mean, answer, multiplier, model.max_context_tokens, where)
        rows += [
            (
                share * given.weight * answer.weight * turn.weight,
                turn.mean,
                turn.cv,
                answer.mean,
                multiplier,
                generated_cv,
                answer.cv,
                thinking_cv,
                cached,
                float(cls.samples_per_answer or 1),
                float(cls.turns_per_answer or 1),
                float(cls.max_tokens or model.max_context_tokens),
                shared_tokens,
            )
            for turn, cached in turns(cls, given, found, answer, multiplier)
        ]
    return rows


def _check_context(
    cls: RequestClass, first: float, answer: Moments, multiplier: float, most: int, where: FieldPlace
) -> None:
    """Refuse an agent whose last turn is longer than the model's context. Raises BadInputError."""
    count = int(cls.turns_per_answer or 1)
    last = first + (count - 1) * _growth(cls, answer, multiplier)[0] + answer.mean * multiplier
    if cls.agent is not None and last > most:
        raise BadInputError(
            f"workload.agent: turn {count} has {last:,.0f} tokens, the model's context {most:,}; expected fewer "
            "turns_per_answer or tool_tokens, or a larger model context",
            where=where("agent"),
        )


def turns(
    cls: RequestClass, given: Moments, first: float, answer: Moments, multiplier: float
) -> list[tuple[Moments, float]]:
    """Return (input of a turn with its share of the turns, share of it found in the prefix cache).

    Turn j of an agent reads I + (j - 1)(kept + tool) tokens: the first prompt and, of each turn before, what it kept
    of its output and the tool's result. Held, all of the last turn's input is found again, and its output where the
    next turn reads it as it was written (dropped thinking moves what follows it). Freed, only the share `first` of the
    first prompt, which others share, is found. Consecutive turns beyond `_MOST_TURNS` are taken together, at their
    mean.
    """
    count, agent = int(cls.turns_per_answer or 1), cls.agent
    if agent is None:
        return [(given, first)]
    grown, as_written = _growth(cls, answer, multiplier)
    kept = grown - agent.tool_tokens
    found: list[tuple[Moments, float]] = []
    for group in np.array_split(np.arange(count, dtype=np.float64), min(count, _MOST_TURNS)):
        means = given.mean + group * grown
        spread = np.hypot(given.mean * given.cv, np.sqrt(group) * kept * answer.cv)
        shared = np.full_like(means, first * given.mean)
        held = np.where(group > 0.0, means - grown + as_written, shared) if agent.kv_cache == "held" else shared
        mean = float(np.mean(means))
        second = float(np.mean(np.square(means) + np.square(spread)))
        turn = Moments(mean, math.sqrt(max(second / mean**2 - 1.0, 0.0)), len(group) / count)
        found.append((turn, float(np.mean(held)) / mean))
    return found


_MOST_TURNS = 16


def _growth(cls: RequestClass, answer: Moments, multiplier: float) -> tuple[float, float]:
    """Return (tokens that a turn adds to the next turn's context, those of them that stay in the cache unchanged)."""
    agent = cls.agent
    if agent is None:
        return 0.0, 0.0
    kept = answer.mean * (multiplier if agent.keeps_thinking else 1.0)
    return kept + agent.tool_tokens, kept if agent.keeps_thinking or multiplier == 1.0 else 0.0


def _thinking(cls: RequestClass, answer: Moments, model: ModelSpec, where: FieldPlace) -> tuple[float, float, float]:
    """Return (reasoning multiplier, cv of the generated tokens, cv of the thinking tokens) of a class.

    A multiplier independent of the answer's length gives 1 + cv_G^2 = (1 + cv_A^2)(1 + cv_m^2), and for the
    thinking tokens A (m - 1) the same with cv_m m / (m - 1); thinking tokens independent of the answer give
    var_G = var_A + var_T.
    """
    if cls.reasoning_tokens is not None:
        thinking = moments(cls.reasoning_tokens)
        total = answer.mean + thinking.mean
        sd = math.hypot(answer.mean * answer.cv, thinking.mean * thinking.cv)
        return total / answer.mean, sd / total, thinking.cv
    if cls.effort is not None:
        _check_effort(cls, model, where)
        if cls.effort in model.effort_generated_tokens:
            return _from_total_length(cls, answer, model, where)
        return float(model.effort_multipliers[cls.effort]), answer.cv, answer.cv
    if cls.reasoning_multiplier is None:
        return 1.0, answer.cv, 0.0
    m = moments(cls.reasoning_multiplier)
    of_thinking = m.cv * m.mean / (m.mean - 1.0) if m.mean > 1.0 else 0.0
    return m.mean, _product_cv(answer.cv, m.cv), _product_cv(answer.cv, of_thinking)


def _check_effort(cls: RequestClass, model: ModelSpec, where: FieldPlace) -> None:
    """Raise DataMissingError for an effort level without a measured multiplier in the model's file."""
    levels = [*model.effort_multipliers, *model.effort_generated_tokens]
    if cls.effort is not None and cls.effort not in levels:
        raise DataMissingError(
            f"{model.id} has no measured multiplier for effort {cls.effort!r}.{suggestion(cls.effort, levels)} "
            "Give reasoning_multiplier or reasoning_tokens instead.",
            where=where("effort"),
        )


def _from_total_length(
    cls: RequestClass, answer: Moments, model: ModelSpec, where: FieldPlace
) -> tuple[float, float, float]:
    """Return what `_thinking` does, for an effort whose total generated length is known: the answer is part of it.

    Thinking is the rest of the total; its spread is assumed to be that of the total.
    """
    total = moments(model.effort_generated_tokens[cls.effort or ""])
    visible = moments(cls.answer_tokens or _NONE).mean
    if visible > total.mean:
        raise BadInputError(
            f"{model.id} generates {total.mean:,.0f} tokens at effort {cls.effort!r}, thinking included, fewer than "
            f"the {visible:,.0f} visible tokens; expected a shorter answer or reasoning_multiplier",
            where=where("effort"),
        )
    return max(total.mean / answer.mean, 1.0), total.cv, total.cv


def _product_cv(one: float, two: float) -> float:
    """Return the coefficient of variation of a product of independent quantities."""
    return math.sqrt((1.0 + one**2) * (1.0 + two**2) - 1.0)


def answers_per_s(workload: WorkloadSpec) -> float:
    """Return the mean rate of a workload [answers/s]; NaN where only tokens are known."""
    rate = workload.rate_per_s()
    if rate is not None:
        return rate
    rates = [c.rate_per_s() for c in workload.classes]
    known = [r for r in rates if r is not None]
    return sum(known) if known else math.nan


def peak_to_mean(demand: DemandSpec, curve: DemandCurve | None) -> float:
    """Return the rate of the peak hour divided by the mean: as given, else from the curve, else 1."""
    if demand.peak_to_mean is not None:
        return float(demand.peak_to_mean)
    if curve is None:
        return 1.0
    return max(curve.relative_rates)


def growth_factor(demand: DemandSpec) -> float:
    """Return the load in the last month of the horizon divided by today's."""
    return float((1.0 + demand.growth_per_month) ** (demand.horizon_months - 1))


def lower_demand(spec: ScenarioSpec, curve: DemandCurve | None) -> DemandColumns:
    """Return the demand's columns; growth compounds to the last month of the horizon."""
    demand = spec.demand
    growth = growth_factor(demand)
    return DemandColumns(
        answers_per_s=np.asarray(answers_per_s(spec.workload) * growth),
        peak_to_mean=np.asarray(peak_to_mean(demand, curve)),
        burst=np.asarray(float(demand.burst)),
    )
