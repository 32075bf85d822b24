"""The rows of a quality question: a candidate's measured points, and what samples, votes and budgets make of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from planner.catalog.benchmark_points import BenchmarkFile, Point
from planner.catalog.catalog import normal
from planner.documents.spec import Loaded
from planner.economics.accuracy_model import coverage_law, isotonic, vote_correlation
from planner.economics.page import page_formulas
from planner.economics.questions.quality import QualityCandidate, QualityFile
from planner.errors import DataMissingError, suggestion

PAGE = "economics/quality.csv"
CHECKED = ("best_of_n", "retry")
"""Methods in which a verifier decides."""
FieldPlace = Callable[[str], str]
"""Where a field of a candidate stands in the question's file."""
_Z_P90 = NormalDist().inv_cdf(0.9)


@dataclass
class Row:
    """One way to answer: what it is called, and its inputs of the page."""

    candidate: QualityCandidate
    point: Point
    method: str
    basis: str
    """measured, joined in log tokens, coverage law or vote."""
    inputs: dict[str, float] = field(default_factory=dict)
    extrapolated: bool = False
    """Whether it has more samples than were measured."""
    offer: str | None = None
    """Where the price is from: an API, a published cost, or the fleet that was found."""
    command: str | None = None
    """What answers the own fleet by itself."""
    truncated: float = 0.0
    """Share of its samples that the own fleet's scenario cuts."""

    @property
    def label(self) -> str:
        """Return the row's name: model, effort, method."""
        parts = [self.candidate.model, self.point.words(), self.budget_words, self.how]
        return ", ".join(p for p in parts if p)

    @property
    def budget_words(self) -> str:
        """Return the budget a joined row is for."""
        tokens = self.inputs["row.budget_tokens"]
        return "" if math.isnan(tokens) else f"{tokens:,.0f} tokens"

    @property
    def how(self) -> str:
        """Return the method with its samples."""
        samples = int(self.inputs["row.samples"])
        return (
            self.method
            if self.method == "single"
            else f"{self.method} of {samples:,}".replace("retry of", "retry up to")
        )

    @property
    def texts(self) -> dict[str, str | bool | None]:
        """Return the identity columns."""
        return {
            "model": self.candidate.model,
            "effort": self.point.effort,
            "setting": ", ".join(x for x in (self.point.setting or "", self.budget_words) if x) or None,
            "method": self.method,
            "basis": f"{self.basis}, extrapolated" if self.extrapolated else self.basis,
            "offer": self.offer,
        }


def rows_of(question: Loaded[QualityFile], benchmark: Loaded[BenchmarkFile], index: int) -> Iterator[Row]:
    """Yield the rows of a candidate. Raises DataMissingError where the benchmark lacks what it needs."""
    candidate = question.spec.candidates[index]

    def place(name: str) -> str:
        return question.document.field_place(("candidates", index, name))

    points = matching(candidate, benchmark, place)
    if candidate.method is None and candidate.budgets is None:
        for point in points:
            yield _row(question, benchmark, candidate, point, point.method, "measured", point.samples)
        return
    for group in _alike(points):
        if candidate.budgets is not None:
            yield from _joined(question, benchmark, candidate, group, place)
        else:
            yield from _sampled(question, benchmark, candidate, group, place)


def matching(candidate: QualityCandidate, benchmark: Loaded[BenchmarkFile], place: FieldPlace) -> list[Point]:
    """Return the points of a candidate that have an accuracy. Raises DataMissingError with the nearest names."""
    every, spec = benchmark.spec.points, candidate
    own = [p for p in every if normal(p.model) == normal(spec.model)]
    if not own:
        hint = suggestion(spec.model, sorted({p.model for p in every}))
        raise DataMissingError(f"{benchmark.spec.id} has no point of {spec.model!r}.{hint}", where=place("model"))
    kept = [
        p
        for p in own
        if (spec.effort is None or (p.effort or "default") in spec.effort)
        and (spec.setting is None or (p.setting or "default") in spec.setting)
    ]
    if not any(p.accuracy is not None for p in kept):
        measured = "; ".join(dict.fromkeys(p.words() or "default" for p in own if p.accuracy is not None))
        wanted = " ".join([*(spec.effort or ()), *(spec.setting or ())]) or "any effort"
        raise DataMissingError(
            f"{benchmark.spec.id} has no accuracy of {spec.model} at {wanted}. Measured: {measured or 'only tokens'}.",
            where=place("effort" if spec.effort else "setting" if spec.setting else "model"),
        )
    return [p for p in kept if p.accuracy is not None]


def _alike(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points grouped by effort and setting: samples of one group differ only in their number or budget."""
    groups: dict[tuple[str | None, str | None], list[Point]] = {}
    for point in points:
        groups.setdefault((point.effort, point.setting), []).append(point)
    return list(groups.values())


def _joined(
    question: Loaded[QualityFile],
    benchmark: Loaded[BenchmarkFile],
    candidate: QualityCandidate,
    group: list[Point],
    place: FieldPlace,
) -> Iterator[Row]:
    """Yield a row per budget, between the two measured points around it; outside the measured range refuse."""
    known = sorted((p.generated_tokens.mean, p) for p in group if p.generated_tokens and p.method == "single")
    if len(known) < 2:  # noqa: PLR2004 - a line needs two points
        raise DataMissingError(
            f"{benchmark.spec.id} has {len(known)} point(s) of {candidate.model} with tokens and accuracy at one "
            "effort and setting; expected two or more to join",
            where=place("budgets"),
        )
    tokens = np.array([t for t, _ in known])
    accuracy = isotonic(np.array([p.accuracy for _, p in known], dtype=np.float64))
    for budget in candidate.budgets or ():
        if not tokens[0] <= budget <= tokens[-1]:
            raise DataMissingError(
                f"{budget:,} tokens are outside what was measured of {candidate.model} ({tokens[0]:,.0f} to "
                f"{tokens[-1]:,.0f}); what happens there is not known",
                where=place("budgets"),
            )
        upper = int(np.clip(np.searchsorted(tokens, budget), 1, tokens.size - 1))
        point = known[upper][1].model_copy(update={"budget_tokens": None})
        row = _row(question, benchmark, candidate, point, "single", "joined in log tokens", 1)
        row.inputs |= {
            "row.joined": 1.0,
            "row.budget_tokens": float(budget),
            "below.tokens": float(tokens[upper - 1]),
            "above.tokens": float(tokens[upper]),
            "below.accuracy": float(accuracy[upper - 1]),
            "above.accuracy": float(accuracy[upper]),
        }
        yield row


def _sampled(
    question: Loaded[QualityFile],
    benchmark: Loaded[BenchmarkFile],
    candidate: QualityCandidate,
    group: list[Point],
    place: FieldPlace,
) -> Iterator[Row]:
    """Yield a row per single point and number of samples: measured where it was, else by the law or the vote."""
    method = candidate.method or "single"
    for point in (p for p in group if p.method == "single"):
        for samples in candidate.samples:
            same = [p for p in group if p.method == method and p.samples == samples]
            if samples == 1 and method != "retry":
                yield _row(question, benchmark, candidate, point, "single", "measured", 1)
            elif same:
                tokens = {"generated_tokens": same[0].generated_tokens or point.generated_tokens}
                point_of_all = same[0].model_copy(update=tokens | {"usd_per_sample": point.usd_per_sample})
                yield _row(question, benchmark, candidate, point_of_all, method, "measured", samples)
            else:
                row = _row(question, benchmark, candidate, point, method, "vote", samples)
                wrong = benchmark.spec.wrong_answers
                row.inputs |= _vote(candidate, point, group, wrong, place) if method == "majority" else {}
                if method in CHECKED:
                    row.inputs |= {"row.covered": 1.0, "row.retried": float(method == "retry")}
                    row.basis = "coverage law"
                measured = [p.samples for p in group if p.method == ("best_of_n" if method in CHECKED else method)]
                row.extrapolated = samples > max(measured, default=0 if method in CHECKED else samples)
                yield row


def _vote(
    candidate: QualityCandidate, point: Point, group: list[Point], wrong: int, place: FieldPlace
) -> dict[str, float]:
    """Return the inputs of a vote: a correlation, given or from the largest measured vote."""
    correlation = candidate.question_correlation
    voted = max((p for p in group if p.method == "majority"), key=lambda p: p.samples, default=None)
    if correlation is None and voted is not None:
        correlation = vote_correlation(point.accuracy or 0.0, voted.accuracy or 0.0, voted.samples, wrong)
    if correlation is None or math.isnan(correlation):
        raise DataMissingError(
            f"a vote of {candidate.model} needs how alike samples of one question are, and no vote was measured that "
            "says it; expected question_correlation between 0 (every question equally hard) and 1",
            where=place("method"),
        )
    return {"row.voted": 1.0, "row.correlation": correlation}


def law(candidate: QualityCandidate, benchmark: Loaded[BenchmarkFile], point: Point) -> tuple[float, float]:
    """Return (a, b) of the coverage law through a model's measured samples; NaN with fewer than two."""
    group = [
        p
        for p in benchmark.spec.points
        if normal(p.model) == normal(candidate.model) and (p.effort, p.setting) == (point.effort, point.setting)
    ]
    known = {
        p.samples: p.accuracy for p in group if p.method in {"single", "best_of_n"} and p.accuracy and p.accuracy < 1
    }
    if len(known) < 2 or any(p.budget_tokens for p in group):  # noqa: PLR2004 - a law of two constants
        return math.nan, math.nan
    return coverage_law(np.array(list(known), dtype=np.float64), np.array(list(known.values())))


def _generated(candidate: QualityCandidate, point: Point) -> float | None:
    """Return the generated tokens of a sample: measured, else thinking and the answer's, else as the candidate says."""
    if point.generated_tokens is not None:
        return point.generated_tokens.mean
    if point.reasoning_tokens is not None and candidate.answer_tokens is not None:
        return point.reasoning_tokens + candidate.answer_tokens
    return candidate.generated_tokens


def _row(
    question: Loaded[QualityFile],
    benchmark: Loaded[BenchmarkFile],
    candidate: QualityCandidate,
    point: Point,
    method: str,
    basis: str,
    samples: int,
) -> Row:
    """Return a row with the inputs every row has; NaN where there is none."""
    a, b = law(candidate, benchmark, point)
    tokens = _generated(candidate, point)
    published = candidate.usd_per_sample
    if published is None and all(
        getattr(candidate, name) is None for name in ("usd_per_mtok_output", "api", "scenario")
    ):
        published = point.usd_per_sample
    given = {
        "row.samples": samples,
        "point.accuracy": point.accuracy,
        "point.generated_tokens": tokens,
        "law.a": a,
        "law.b": b,
        "given.usd_per_sample": published,
        "price.usd_per_mtok_input": candidate.usd_per_mtok_input,
        "price.usd_per_mtok_output": candidate.usd_per_mtok_output,
        "input_tokens": question.spec.input_tokens,
    }
    flags = {f"row.{name}": 0.0 for name in ("joined", "voted", "covered", "retried")}
    flags |= {"row.fleet": float(candidate.scenario is not None), "row.given": float(published is not None)}
    checked = method in CHECKED
    constants = {
        "benchmark.questions": float(benchmark.spec.questions or math.nan),
        "benchmark.wrong_answers": float(benchmark.spec.wrong_answers),
        "verifier.precision": candidate.verifier.precision if checked else 1.0,
        "verifier.usd_per_sample": candidate.verifier.usd_per_sample if checked else 0.0,
        "interval.z": _Z_P90,
    }
    numbers = {name: float(value) for name, value in given.items() if value is not None}
    offer = "API" if candidate.usd_per_mtok_output is not None else "per sample" if published is not None else None
    return Row(
        candidate,
        point,
        method,
        basis,
        dict.fromkeys(page_formulas(PAGE).inputs, math.nan) | constants | flags | numbers,
        offer=offer,
    )
