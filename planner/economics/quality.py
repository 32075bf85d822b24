"""What accuracy costs: candidates on one benchmark, their frontier, and the cheapest that reaches a target."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from planner import units
from planner.catalog.benchmark_points import BenchmarkFile, Point
from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.documents.text_file import exists
from planner.economics.accuracy_model import pareto
from planner.economics.api import find_price
from planner.economics.api_price import ApiPrice
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.quality_rows import CHECKED, PAGE, Row, rows_of
from planner.economics.questions.asked import named_beside
from planner.economics.questions.quality import QualityFile
from planner.errors import BadInputError, PlannerError
from planner.options.answer import answer
from planner.options.provenance import Input, file_inputs
from planner.scenario.load import load_scenario
from planner.serving.lengths import lognormal_from_quantiles
from planner.wording import count, money, share


def quality(question: Loaded[QualityFile], catalog: Catalog) -> QuestionResult:
    """Return a row per candidate, effort and number of samples, cheapest first.

    Raises BadInputError for a benchmark of percentiles, DataMissingError for what nobody measured.
    """
    spec, page = question.spec, page_formulas(PAGE)
    benchmark = _benchmark(question, catalog)
    rows = [row for index in range(len(spec.candidates)) for row in rows_of(question, benchmark, index)]
    prices = _api_prices(question, catalog)
    for row in rows:
        if row.candidate.api is not None:
            _add_api_price(row, prices[row.candidate.api])
        if row.candidate.scenario is not None:
            _add_fleet(row, question, catalog)
    solved = [solve_line(row.label, row.texts, row.inputs, page) for row in rows]
    cost, accuracy = (_column(solved, name) for name in ("cost_usd_per_answer", "accuracy"))
    frontier = pareto(cost, accuracy)
    for before, after in pairwise(frontier):
        rows[after].inputs |= flat("before", {"cost_usd_per_answer": cost[before], "accuracy": accuracy[before]})
    target = spec.target.accuracy
    meets = accuracy >= (target or 0.0)
    order = np.lexsort((-accuracy, np.nan_to_num(cost, nan=math.inf), ~meets if target is not None else 0 * cost))
    lines = []
    for at in order.tolist():
        if spec.frontier_only and frontier and at not in frontier:
            continue
        marks: dict[str, str | bool | None] = {
            "on_frontier": at in frontier if math.isfinite(cost[at]) else None,
            "meets_target": None if target is None else bool(meets[at]),
        }
        lines.append(solve_line(rows[at].label, rows[at].texts | marks, rows[at].inputs, page))
    verdict = _target_words(lines, target) if target is not None else _frontier_words(lines)
    warnings = [
        *(note for price in prices.values() for note in price.notes),
        *(note for row in rows for note in row.notes),
        *_fleet_doubts(question, rows),
        *_doubts(solved, benchmark, target, frontier),
    ]
    origins = {origin.name: origin for row in rows for origin in row.origins}
    return QuestionResult(
        "quality",
        question,
        page,
        _numbered(lines),
        verdict=[*verdict, f"accuracy on {benchmark.spec.title}"],
        warnings=list(dict.fromkeys(warnings)),
        provenance=[*_question_inputs(question), *origins.values(), *_point_inputs(rows, benchmark)],
        failed=[f"{question.document.where}: {verdict[0]}"] if target is not None and not np.any(meets) else (),
    )


def _benchmark(question: Loaded[QualityFile], catalog: Catalog) -> Loaded[BenchmarkFile]:
    """Return the benchmark a question names; one of percentiles is refused."""
    place = question.document.field_place(("benchmark",))
    name = question.spec.benchmark
    if name.endswith((".yaml", ".yml")):
        beside = Path(question.document.where).parent / name
        benchmark = catalog.read(BenchmarkFile, beside if exists(beside) else Path(name))
    else:
        benchmark = catalog.get(BenchmarkFile, name, where=place)
    if benchmark.spec.scale == "percentile":
        raise BadInputError(
            f"{benchmark.spec.id} is measured in percentiles: a rank among people, not a share of correct answers, so "
            "there is no cost per correct answer, and a ratio of two percentiles says nothing about ability; expected "
            "a benchmark of shares",
            where=place,
        )
    return benchmark


def _api_prices(question: Loaded[QualityFile], catalog: Catalog) -> dict[str, ApiPrice]:
    """Return the API price of each candidate that names one, on the question's day."""
    prices = {}
    for index, candidate in enumerate(question.spec.candidates):
        if candidate.api is not None:
            place = question.document.field_place(("candidates", index, "api"))
            prices[candidate.api] = find_price(catalog, candidate.api, question.spec.prices_as_of, where=place)
    return prices


def _add_api_price(row: Row, price: ApiPrice) -> None:
    """Add an API's price to a row; the prompt is billed in full with each sample."""
    rates = {name: getattr(price.rates(), name) for name in ("usd_per_mtok_input", "usd_per_mtok_output")}
    row.inputs |= flat("price", rates)
    row.offer = f"{price.provider} API, {price.day}"
    row.origins += [Input(f"api.{row.candidate.api}.{n}", x, price.where, price.source) for n, x in rates.items()]


def _column(lines: Sequence[ResultLine], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([line.values[name] for line in lines])


def _numbered(lines: list[ResultLine]) -> list[ResultLine]:
    """Return lines whose labels are told apart by a number."""
    seen = Counter[str]()
    numbered = []
    for line in lines:
        seen[line.label] += 1
        again = seen[line.label]
        numbered.append(line if again == 1 else replace(line, label=f"{line.label} ({again})"))
    return numbered


def _add_fleet(row: Row, question: Loaded[QualityFile], catalog: Catalog) -> None:
    """Answer the row's scenario with its model and tokens, and add what an answer costs there."""
    tokens = _tokens(row)
    if math.isnan(tokens):
        return
    samples = 1 if row.method == "retry" else int(row.inputs["row.samples"])
    model = row.candidate.fleet_model or row.candidate.model
    changes = _lengths(row.point, tokens) | {"workload.samples_per_answer": samples}
    if question.spec.input_tokens is not None:
        changes["workload.input_tokens"] = question.spec.input_tokens
    try:
        name = named_beside(str(row.candidate.scenario), question.document, catalog)
        best = answer(load_scenario(name, catalog, changes={**changes, "model": model}), catalog).best
    except PlannerError as error:
        place = question.document.field_place(("candidates", question.spec.candidates.index(row.candidate)))
        raise type(error)(f"as an own fleet: {error.message}", where=place) from None
    if best.cost_usd_per_answer is None or not best.meets_slo:
        return
    row.inputs |= {"fleet.cost_usd_per_answer": best.cost_usd_per_answer, "fleet.samples": float(samples)}
    day = count((best.answers_per_month or 0.0) / units.HOURS_PER_MONTH * units.HOURS_PER_DAY)
    row.offer = f"{best.gpus} × {best.gpu} at {day} answers a day, {best.offer}"
    sets = " ".join(f"--set {path}='{json.dumps(value)}'" for path, value in changes.items())
    command = f"planner estimate {row.candidate.scenario} --model {model} {sets}"
    name = f"fleet.{row.label}.cost_usd_per_answer"
    row.origins.append(Input(name, best.cost_usd_per_answer, str(row.candidate.scenario), command))
    if best.basis in {"datasheet", "assumed"}:
        row.notes.append(f"own fleets on {best.gpu}: speeds come from the data sheet, not from measured runs")
    if (best.truncated_share or 0.0) > _MUCH_CUT:
        row.notes.append(f"the scenario's max_tokens truncates samples that were measured in full: {row.label}")


_MUCH_CUT = 0.05
"""Share of samples cut at the scenario's max_tokens above which the measured accuracy is in doubt."""


def _tokens(row: Row) -> float:
    """Return the generated tokens of a row's sample, NaN where nobody knows."""
    return row.inputs["row.budget_tokens"] if row.inputs["row.joined"] > 0.0 else row.inputs["point.generated_tokens"]


def _lengths(point: Point, tokens: float) -> dict[str, Any]:
    """Return the lengths of a scenario: visible tokens and multiplier where both were measured, else all as one."""
    counts = point.generated_tokens
    spread = lognormal_from_quantiles(counts.p50, counts.p90)[1] if counts and counts.p50 and counts.p90 else 0.0
    both = point.reasoning_tokens and (counts is None or counts.mean == tokens) and point.reasoning_tokens < tokens
    visible = tokens - (point.reasoning_tokens or 0.0) if both else tokens
    visible = float(f"{max(visible, 1.0):.6g}")
    return {
        "workload.answer_tokens": {"mean": visible, "cv": float(f"{spread:.4g}")},
        "workload.reasoning_multiplier": max(float(f"{tokens / visible:.8g}"), 1.0),
    }


def _fleet_doubts(question: Loaded[QualityFile], rows: Sequence[Row]) -> list[str]:
    """Return what is doubtful about all own fleets: that none works, and prices of other days."""
    own = [row for row in rows if row.candidate.scenario is not None and not math.isnan(_tokens(row))]
    doubts = []
    if lost := [row.label for row in own if math.isnan(row.inputs["fleet.cost_usd_per_answer"])]:
        doubts.append(f"no priced own fleet meets its SLO: {'; '.join(lost)}")
    day = question.spec.prices_as_of
    if own and day != "latest" and any(row.candidate.api for row in rows):
        doubts.append(f"API prices are as of {day}, GPU prices as the fleets' scenarios set them")
    return doubts


_MEASURED = ("accuracy", "generated_tokens.mean", "reasoning_tokens", "usd_per_sample")


def _point_inputs(rows: Sequence[Row], benchmark: Loaded[BenchmarkFile]) -> list[Input]:
    """Return the measured numbers of the rows' models with their sources."""
    models, points = {row.point.model for row in rows}, benchmark.spec.points
    kept = {f"points[{i}].{name}" for i, p in enumerate(points) if p.model in models for name in _MEASURED}
    kept |= {"questions", "wrong_answers"}
    return [i._replace(name=f"benchmark.{i.name}") for i in file_inputs(benchmark) if i.name in kept]


def _question_inputs(question: Loaded[QualityFile]) -> list[Input]:
    """Return what the question gives, and what is assumed where it matters: a verifier only where one decides."""
    checked = {i for i, c in enumerate(question.spec.candidates) if c.method in CHECKED}
    verifiers = tuple(f"candidates[{i}].verifier" for i in checked)
    inputs = file_inputs(question)
    return [i for i in inputs if not i.assumed or not i.name.startswith("candidates") or i.name.startswith(verifiers)]


def _accuracy(line: ResultLine) -> str:
    low, high = line.value("accuracy_p10"), line.value("accuracy_p90")
    spread = f" ({share(low)} to {share(high)})" if low is not None and high is not None else ""
    return f"{line.values['accuracy']:.1%}{spread}"


_UNPRICED = "no price"


def _line_words(line: ResultLine) -> str:
    return (
        f"{line.label}: {_accuracy(line)} correct, {money(line.value('cost_usd_per_answer'), _UNPRICED)} per answer, "
        f"{money(line.value('cost_usd_per_correct_answer'), _UNPRICED)} per correct answer"
    )


def _target_words(lines: Sequence[ResultLine], target: float) -> list[str]:
    """Return the cheapest row that reaches the target, or the best there is."""
    reached = [line for line in lines if line.texts["meets_target"]]
    if reached:
        priced = reached[0].value("cost_usd_per_answer") is not None
        return [f"{'cheapest' if priced else 'cost unknown'} at {target:.1%} accuracy: {_line_words(reached[0])}"]
    best = max(lines, key=lambda line: line.values["accuracy"])
    return [f"no candidate reaches {target:.1%} accuracy; the best is {_line_words(best)}"]


def _frontier_words(lines: Sequence[ResultLine]) -> list[str]:
    """Return the ends of the frontier, and its dearest point."""
    front = [line for line in lines if line.texts["on_frontier"]]
    if not front:
        best = max(lines, key=lambda line: line.values["accuracy"])
        priceless = "no row has both a price and an accuracy; give usd_per_sample, an API price or a scenario"
        return [f"best: {best.label}: {_accuracy(best)} correct", priceless]
    words = [f"cheapest: {_line_words(front[0])}"]
    if len(front) > 1:
        last = money(front[-1].value("usd_per_last_percentage_point"), _UNPRICED)
        words.append(f"best: {_line_words(front[-1])}; its last percentage point costs {last} per answer")
    return words


def _doubts(
    solved: Sequence[ResultLine], benchmark: Loaded[BenchmarkFile], target: float | None, frontier: Sequence[int]
) -> list[str]:
    """Return what a careful reader would ask about."""
    doubts = []
    if unpriced := [line.label for line in solved if line.value("cost_usd_per_answer") is None]:
        more = f"; and {len(unpriced) - _NAMED} more" if len(unpriced) > _NAMED else ""
        doubts.append(f"no cost without tokens and a price: {'; '.join(unpriced[:_NAMED])}{more}")
    if benchmark.spec.questions is None:
        doubts.append(f"{benchmark.spec.id} gives no number of questions, so there is no confidence range")
    cheapest = next(
        (solved[i] for i in frontier if target is not None and solved[i].values["accuracy"] >= target), None
    )
    if target is not None and cheapest is not None and cheapest.values["accuracy_p10"] < target:
        doubts.append(
            f"with {benchmark.spec.questions} questions, the cheapest's accuracy lies between "
            f"{cheapest.values['accuracy_p10']:.0%} and {cheapest.values['accuracy_p90']:.0%}; "
            f"the target of {target:.0%} is not certain"
        )
    return doubts


_NAMED = 3
"""Rows without a price that are named; of the others there is a count."""
