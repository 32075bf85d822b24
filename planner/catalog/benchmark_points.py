"""Benchmark scores of models, and how long they thought."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from planner import units
from planner.documents.spec import (
    Count,
    Day,
    FileSpec,
    NonNegative,
    Positive,
    Spec,
    one_or_many,
)
from planner.documents.yaml_reader import Document
from planner.errors import BadInputError

Method = Literal["single", "majority", "best_of_n", "reranked", "retry"]
"""How samples become an answer: a single sample; the most frequent one; any right one, found by a verifier; the one
that a learned scorer prefers; one try after another until a verifier accepts."""


_LEAST_PERCENTAGE = 2.0
"""Below this, a number above 1 may be a mistyped share: nobody means 0.012 by 1.2."""


def no_percentage(value: object) -> object:
    """Return a value unchanged. Raises ValueError with the share meant where it looks like a percentage."""
    if isinstance(value, int | float) and _LEAST_PERCENTAGE <= value <= units.PERCENT:
        share = value / units.PERCENT
        raise ValueError(f"{value:g} looks like a percentage; expected a share between 0 and 1: {share:g}")
    return value


def share_of_right(value: float) -> float:
    """Return an accuracy unchanged. Raises ValueError where it is not between 0 and 1, or looks like a percentage."""
    no_percentage(value)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{value:g} is not an accuracy; expected a number between 0 and 1")
    return value


Accuracy = Annotated[float, AfterValidator(share_of_right)]
"""Share of correct answers [1]."""
Samples = Annotated[int, Field(ge=1, le=10**6)]
SampleSizes = Annotated[Annotated[tuple[Samples, ...], Field(min_length=1)], BeforeValidator(one_or_many)]
Budgets = Annotated[Annotated[tuple[Count, ...], Field(min_length=1)], BeforeValidator(one_or_many)]


class TokenCounts(Spec):
    """Generated tokens of one sample, reasoning included."""

    mean: Positive
    p50: Positive | None = None
    p90: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "TokenCounts":
        if (self.p50 is None) != (self.p90 is None):
            raise ValueError("p50 and p90 must be given together")
        if self.p50 is not None and self.p90 is not None and self.p90 < self.p50:
            raise ValueError(f"p90 {self.p90:g} is below p50 {self.p50:g}; expected a p90 above the p50")
        return self


class Point(Spec):
    """One measurement: a model at an effort or a budget, on the file's questions."""

    model: str
    """A model of the catalogue, or the provider's name for it."""
    effort: str | None = None
    """none, low, medium, high, thinking; or the vendor's word."""
    setting: str | None = None
    """Any other difference: tools, a prompt, a way of counting."""
    budget_tokens: Count | None = None
    """Limit on thinking tokens."""
    method: Literal["single", "majority", "best_of_n", "reranked"] = "single"
    """How the samples became an answer: best_of_n counts a question as right if any sample is right."""
    samples: Samples = 1
    accuracy: Accuracy | None = None
    """Share of questions answered correctly [1]."""
    generated_tokens: TokenCounts | None = None
    """Generated tokens of one sample, reasoning included."""
    reasoning_tokens: NonNegative | None = None
    """Mean number of thinking tokens among them."""
    answers: Count | None = None
    """Number of answers behind the numbers; each run of a question counts."""
    usd_per_sample: NonNegative | None = None
    """Published cost of a sample at the time of the measurement."""
    as_of: Day
    """Day of the measurement or publication."""

    @model_validator(mode="after")
    def _coherent(self) -> "Point":
        if self.accuracy is None and self.generated_tokens is None and self.reasoning_tokens is None:
            raise ValueError(
                "holds neither accuracy nor tokens; expected accuracy, generated_tokens or reasoning_tokens"
            )
        if (self.samples > 1) == (self.method == "single"):
            raise ValueError(f"{self.samples} samples are not {self.method}; expected majority, best_of_n or reranked")
        mean = self.generated_tokens.mean if self.generated_tokens else None
        if mean is not None and (self.reasoning_tokens or 0.0) > mean:
            raise ValueError(f"reasoning_tokens {self.reasoning_tokens:g} are more than the {mean:g} generated")
        return self

    def words(self) -> str:
        """Return what distinguishes it from the model's other points, in words."""
        budget = f"≤{self.budget_tokens:,} thinking tokens" if self.budget_tokens else ""
        return ", ".join(x for x in (self.effort or "", budget, self.setting or "") if x)


class BenchmarkFile(FileSpec):
    """scenarios/benchmarks/<id>.yaml: scores and thinking lengths of models on one set of questions."""

    id: str
    title: str
    questions: Count | None = None
    """Number of distinct questions; the uncertainty of an accuracy depends on it."""
    wrong_answers: Annotated[int, Field(ge=1, le=20)] = 1
    """Number of distinct wrong answers that compete in a vote; 1 (all wrong answers agree) is the worst case."""
    scale: Literal["share", "percentile"] = "share"
    """percentile: a rank among people or programs, not a share of correct answers."""
    points: Annotated[tuple[Point, ...], Field(min_length=1)]

    def check_document(self, document: Document) -> None:
        """Refuse a measurement that is given twice. Raises BadInputError with both places."""
        seen: dict[tuple[object, ...], int] = {}
        for index, p in enumerate(self.points):
            first = seen.setdefault((p.model, p.effort, p.setting, p.budget_tokens, p.method, p.samples), index)
            if first != index:
                raise BadInputError(
                    f"{p.model} has a point like this at {document.place(('points', first))}; expected another effort, "
                    "budget, number of samples or a `setting` that says what differs",
                    where=document.field_place(("points", index)),
                )
