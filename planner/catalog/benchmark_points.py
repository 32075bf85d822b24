"""What models scored on benchmarks, and how long they thought."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

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

PERCENT = 100.0
Method = Literal["single", "majority", "best_of_n", "reranked", "retry"]
"""How samples become an answer: one; the most frequent; any right one, found by a verifier; the one a learned
scorer prefers; tries one after another until a verifier accepts."""


_LEAST_PERCENTAGE = 2.0
"""Between 1 and this a number may as well be a slip in a share: 1.2 is not called 0.012."""


def no_percentage(value: object) -> object:
    """Return a value as it is. Raises ValueError that names the share where it looks like a percentage."""
    if isinstance(value, int | float) and _LEAST_PERCENTAGE <= value <= PERCENT:
        raise ValueError(f"{value:g} looks like a percentage; expected a share between 0 and 1: {value / PERCENT:g}")
    return value


def share_of_right(value: float) -> float:
    """Return an accuracy, a share between 0 and 1. Raises ValueError that says so where it looks like a percentage."""
    no_percentage(value)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{value:g} is not a share of right answers; expected a number between 0 and 1")
    return value


Accuracy = Annotated[float, AfterValidator(share_of_right)]
"""Share of right answers [1]."""
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
            raise ValueError("p50 and p90 come together")
        if self.p50 is not None and self.p90 is not None and self.p90 < self.p50:
            raise ValueError(f"p90 {self.p90:g} is below p50 {self.p50:g}; expected a p90 above the p50")
        return self


class Point(Spec):
    """One measurement: a model at an effort or a budget, on the file's questions."""

    model: str
    """A model of the catalogue, or what its seller calls it."""
    effort: str | None = None
    """none, low, medium, high, thinking; or as the maker calls it."""
    setting: str | None = None
    """What else was different: tools, a prompt, a way to count."""
    budget_tokens: Count | None = None
    """Thinking was cut at so many tokens."""
    method: Literal["single", "majority", "best_of_n", "reranked"] = "single"
    """What `samples` became: best_of_n counts a question where any sample is right."""
    samples: Samples = 1
    accuracy: Accuracy | None = None
    """Share of the questions answered right [1]."""
    generated_tokens: TokenCounts | None = None
    """Of one sample, reasoning included."""
    reasoning_tokens: NonNegative | None = None
    """Mean of those that were thinking."""
    answers: Count | None = None
    """Answers the numbers are of; several runs of a question count each."""
    usd_per_sample: NonNegative | None = None
    """What a sample cost when it was measured, where that was published."""
    as_of: Day
    """The day it was measured or published."""

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
        """Return what tells it from the model's other points."""
        budget = f"≤{self.budget_tokens:,} thinking tokens" if self.budget_tokens else ""
        return ", ".join(x for x in (self.effort or "", budget, self.setting or "") if x)


class BenchmarkFile(FileSpec):
    """scenarios/benchmarks/<id>.yaml: what models scored, and how long they thought, on one set of questions."""

    id: str
    title: str
    questions: Count | None = None
    """Different questions: what the range of an accuracy comes from."""
    wrong_answers: Annotated[int, Field(ge=1, le=20)] = 1
    """Different wrong answers that compete in a vote; 1 (the wrong ones agree) is the hardest case."""
    scale: Literal["share", "percentile"] = "share"
    """percentile: a rank among people or programs, not a share of right answers."""
    points: Annotated[tuple[Point, ...], Field(min_length=1)]

    def check_document(self, document: Document) -> None:
        """Refuse a measurement that stands twice, with both places: neither could be told from the other."""
        seen: dict[tuple[object, ...], int] = {}
        for index, p in enumerate(self.points):
            first = seen.setdefault((p.model, p.effort, p.setting, p.budget_tokens, p.method, p.samples), index)
            if first != index:
                raise BadInputError(
                    f"{p.model} has a point like this at {document.place(('points', first))}; expected another effort, "
                    "budget, number of samples or a `setting` that says what differs",
                    where=document.field_place(("points", index)),
                )
