"""The rows of a quality question: a candidate's measured points, and what samples, votes and budgets make of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from statistics import NormalDist

import numpy as np

from planner.catalog.benchmark_points import BenchmarkFile, Point
from planner.catalog.catalog import normal
from planner.documents.spec import Loaded
from planner.economics.accuracy_model import coverage_law, isotonic, vote_correlation
from planner.economics.page import flat, page_formulas
from planner.economics.questions.quality import QualityCandidate, QualityFile
from planner.errors import DataMissingError, suggestion
from planner.options.provenance import Input

PAGE = "economics/quality.csv"
CHECKED = ("best_of_n", "retry")
"""Methods in which a verifier decides."""
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
    origins: list[Input] = field(default_factory=list)
    """Where its price comes from, where that was looked up."""
    notes: list[str] = field(default_factory=list)
    """What to know about it."""
    offer: str | None = None
    """Where the price is from: an API, a published cost, or the fleet that was found."""

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


@dataclass(frozen=True)
class _Measured:
    """A candidate of a question beside what a benchmark measured of it."""

    question: Loaded[QualityFile]
    benchmark: Loaded[BenchmarkFile]
    index: int

    @property
    def candidate(self) -> QualityCandidate:
        """Return the candidate."""
        return self.question.spec.candidates[self.index]

    def place(self, name: str) -> str:
        """Return where a field of the candidate stands in the question's file."""
        return self.question.document.field_place(("candidates", self.index, name))

    def lacks(self, what: str, name: str) -> DataMissingError:
        """Return the error that the benchmark has no such point; `name` is the field that asks for it."""
        return DataMissingError(f"{self.benchmark.spec.id} has {what}", where=self.place(name))

    def points(self) -> list[Point]:
        """Return the candidate's points that have an accuracy. Raises DataMissingError with the nearest names."""
        every, spec = self.benchmark.spec.points, self.candidate
        of_model = [p for p in every if normal(p.model) == normal(spec.model)]
        if not of_model:
            hint = suggestion(spec.model, sorted({p.model for p in every}))
            raise self.lacks(f"no point of {spec.model!r}.{hint}", "model")
        kept = [
            p
            for p in of_model
            if (spec.effort is None or (p.effort or "default") in spec.effort)
            and (spec.setting is None or (p.setting or "default") in spec.setting)
            and p.accuracy is not None
        ]
        if not kept:
            measured = "; ".join(dict.fromkeys(p.words() or "default" for p in of_model if p.accuracy is not None))
            wanted = " ".join([*(spec.effort or ()), *(spec.setting or ())]) or "any effort"
            listed = f"Measured: {measured or 'only tokens'}."
            name = "effort" if spec.effort else "setting" if spec.setting else "model"
            raise self.lacks(f"no accuracy of {spec.model} at {wanted}. {listed}", name)
        return kept

    def rows(self) -> Iterator[Row]:
        """Yield the rows: the points as they stand, or per group of them what budgets or samples make of it."""
        points, candidate = self.points(), self.candidate
        if candidate.method is None and candidate.budgets is None:
            yield from (self.row(point, point.method, "measured", point.samples) for point in points)
            return
        groups: dict[tuple[str | None, str | None], list[Point]] = {}
        for point in points:  # samples of one group differ only in their number or budget
            groups.setdefault((point.effort, point.setting), []).append(point)
        for group in groups.values():
            yield from self.joined(group) if candidate.budgets is not None else self.sampled(group)

    def joined(self, group: list[Point]) -> Iterator[Row]:
        """Yield a row per budget, between the two measured points around it; outside the measured range refuse."""
        candidate = self.candidate
        points = sorted((p.generated_tokens.mean, p) for p in group if p.generated_tokens and p.method == "single")
        if len(points) < 2:  # noqa: PLR2004 - a line needs two points
            what = f"{len(points)} point(s) of {candidate.model} with tokens and accuracy at one effort and setting"
            raise self.lacks(f"{what}; expected two or more to join", "budgets")
        tokens = np.array([t for t, _ in points])
        accuracy = isotonic(np.array([p.accuracy for _, p in points], dtype=np.float64))
        for budget in candidate.budgets or ():
            if not tokens[0] <= budget <= tokens[-1]:
                raise DataMissingError(
                    f"{budget:,} tokens are outside what was measured of {candidate.model} ({tokens[0]:,.0f} to "
                    f"{tokens[-1]:,.0f}); what happens there is not known",
                    where=self.place("budgets"),
                )
            upper = int(np.clip(np.searchsorted(tokens, budget), 1, tokens.size - 1))
            row = self.row(
                points[upper][1].model_copy(update={"budget_tokens": None}), "single", "joined in log tokens", 1
            )
            row.inputs |= {"row.joined": 1.0, "row.budget_tokens": float(budget)}
            for side, at in (("below", upper - 1), ("above", upper)):
                row.inputs |= flat(side, {"tokens": tokens[at], "accuracy": accuracy[at]})
            yield row

    def sampled(self, group: list[Point]) -> Iterator[Row]:
        """Yield a row per single point and number of samples: measured where it was, else by the law or the vote."""
        method = self.candidate.method or "single"
        for point, samples in product((p for p in group if p.method == "single"), self.candidate.samples):
            same = [p for p in group if p.method == method and p.samples == samples]
            if samples == 1 and method != "retry":
                yield self.row(point, "single", "measured", 1)
            elif same:
                tokens = {"generated_tokens": same[0].generated_tokens or point.generated_tokens}
                of_all = same[0].model_copy(update=tokens | {"usd_per_sample": point.usd_per_sample})
                yield self.row(of_all, method, "measured", samples)
            else:
                yield self.computed(point, group, method, samples)

    def computed(self, point: Point, group: list[Point], method: str, samples: int) -> Row:
        """Return a row that nobody measured: by the coverage law where a verifier decides, else by the vote."""
        checked = method in CHECKED
        row = self.row(point, method, "coverage law" if checked else "vote", samples)
        if checked:
            row.inputs |= {"row.covered": 1.0, "row.retried": float(method == "retry")}
        else:
            row.inputs |= {"row.voted": 1.0, "row.correlation": self.correlation(point, group)}
        measured = [p.samples for p in group if p.method == ("best_of_n" if checked else method)]
        row.extrapolated = samples > max(measured, default=0 if checked else samples)
        if row.extrapolated:
            row.notes.append(f"extrapolated beyond the measured samples: {row.label}")
        return row

    def correlation(self, point: Point, group: list[Point]) -> float:
        """Return how alike samples of one question are: given, or from the largest measured vote."""
        wrong, given = self.benchmark.spec.wrong_answers, self.candidate.question_correlation
        voted = max((p for p in group if p.method == "majority"), key=lambda p: p.samples, default=None)
        if given is None and voted is not None:
            given = vote_correlation(point.accuracy or 0.0, voted.accuracy or 0.0, voted.samples, wrong)
        if given is None or math.isnan(given):
            raise DataMissingError(
                f"a vote of {self.candidate.model} depends on how alike samples of one question are, and no measured "
                "vote tells; expected question_correlation between 0 (every question equally hard) and 1",
                where=self.place("method"),
            )
        return given

    def law(self, point: Point) -> tuple[float, float]:
        """Return (a, b) of the coverage law through a model's measured samples; NaN with fewer than two."""
        kind = (normal(self.candidate.model), point.effort, point.setting)
        group = [p for p in self.benchmark.spec.points if (normal(p.model), p.effort, p.setting) == kind]
        tried = [p for p in group if p.method in {"single", "best_of_n"}]
        accuracy_by_samples = {p.samples: p.accuracy for p in tried if p.accuracy and p.accuracy < 1}
        if len(accuracy_by_samples) < 2 or any(p.budget_tokens for p in group):  # noqa: PLR2004 - a law of two constants
            return math.nan, math.nan
        return coverage_law(
            np.array(list(accuracy_by_samples), dtype=np.float64), np.array(list(accuracy_by_samples.values()))
        )

    def row(self, point: Point, method: str, basis: str, samples: int) -> Row:
        """Return a row with the inputs every row has; NaN where there is none."""
        candidate, benchmark = self.candidate, self.benchmark.spec
        published = candidate.usd_per_sample
        if published is None and not (candidate.usd_per_mtok_output is not None or candidate.api or candidate.scenario):
            published = point.usd_per_sample
        a, b = self.law(point)
        given = {
            "row.samples": samples,
            "point.accuracy": point.accuracy,
            "point.generated_tokens": _generated(candidate, point),
            "law.a": a,
            "law.b": b,
            "given.usd_per_sample": published,
            "price.usd_per_mtok_input": candidate.usd_per_mtok_input,
            "price.usd_per_mtok_output": candidate.usd_per_mtok_output,
            "input_tokens": self.question.spec.input_tokens,
            "benchmark.questions": benchmark.questions or None,
            "benchmark.wrong_answers": benchmark.wrong_answers,
            "verifier.precision": candidate.verifier.precision if method in CHECKED else 1.0,
            "verifier.usd_per_sample": candidate.verifier.usd_per_sample if method in CHECKED else 0.0,
            "interval.z": _Z_P90,
            "row.fleet": candidate.scenario is not None,
            "row.given": published is not None,
            **{f"row.{name}": False for name in ("joined", "voted", "covered", "retried")},
        }
        inputs = dict.fromkeys(page_formulas(PAGE).inputs, math.nan)
        inputs |= {name: float(value) for name, value in given.items() if value is not None}
        offer = "API" if candidate.usd_per_mtok_output is not None else "per sample" if published is not None else None
        return Row(candidate, point, method, basis, inputs, offer=offer)


def rows_of(question: Loaded[QualityFile], benchmark: Loaded[BenchmarkFile], index: int) -> list[Row]:
    """Return the rows of a candidate. Raises DataMissingError where the benchmark lacks what it needs."""
    measured = _Measured(question, benchmark, index)
    rows, candidate = list(measured.rows()), measured.candidate
    if not rows:
        what = f"no single sample of {candidate.model}, from which {candidate.method} counts; expected no method"
        raise measured.lacks(f"{what}, which takes the measured points as they stand", "method")
    return rows


def _generated(candidate: QualityCandidate, point: Point) -> float | None:
    """Return the generated tokens of a sample: measured, else thinking and the answer's, else as the candidate says."""
    if point.generated_tokens is not None:
        return point.generated_tokens.mean
    if point.reasoning_tokens is not None and candidate.answer_tokens is not None:
        return point.reasoning_tokens + candidate.answer_tokens
    return candidate.generated_tokens
