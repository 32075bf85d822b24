"""A question that weighs accuracy against cost."""

from typing import Annotated

from pydantic import Field, model_validator

from planner.catalog.benchmark_points import Accuracy, Budgets, Method, SampleSizes
from planner.documents.spec import DayOrLatest, Names, NonNegative, Positive, Share, Spec
from planner.economics.questions.question import QuestionFile


class Verifier(Spec):
    """What tells right samples from wrong ones: tests, a proof checker, a judge."""

    precision: Share = 1.0
    """Share of accepted samples that are right; right ones are taken never to be turned away."""
    usd_per_sample: NonNegative = 0.0
    """Cost of checking one sample [USD]."""


class QualityCandidate(Spec):
    """A model that may answer, how, and at what price."""

    model: str
    """As the benchmark's file calls it."""
    effort: Names = None
    """Only these efforts; `any` takes every one that was measured."""
    setting: Names = None
    """Only these settings."""
    method: Method | None = None
    """Left out: every measured point as it stands."""
    samples: SampleSizes = (1,)
    """Samples of an answer, one row each; the most tries of a retry."""
    budgets: Budgets | None = None
    """Generated tokens of a sample, one row each; accuracy between measured points, joined in log tokens."""
    generated_tokens: Positive | None = None
    """Taken for points whose tokens nobody measured [tokens]."""
    answer_tokens: Positive | None = None
    """Visible tokens added where only the thinking was measured [tokens]."""
    question_correlation: Share | None = None
    """How alike samples of one question are, for votes; left out, it comes from a measured vote."""
    verifier: Annotated[Verifier, Field(default_factory=Verifier)]
    usd_per_sample: NonNegative | None = None
    """What a sample costs [USD]."""
    usd_per_mtok_input: NonNegative | None = None
    """API price [USD per million tokens]."""
    usd_per_mtok_output: NonNegative | None = None
    """API price; reasoning tokens are billed as output [USD per million tokens]."""
    api: str | None = None
    """The API's name for it: its dated price of the catalogue, by `prices_as_of`."""
    scenario: str | None = None
    """Own fleet: a scenario that is answered with this model and its tokens."""
    fleet_model: str | None = None
    """The model of the catalogue that runs like it, where it is not there itself."""

    @model_validator(mode="after")
    def _one_price(self) -> "QualityCandidate":
        if (self.usd_per_mtok_input is None) != (self.usd_per_mtok_output is None):
            raise ValueError("usd_per_mtok_input and usd_per_mtok_output come together")
        ways = ("usd_per_sample", "usd_per_mtok_output", "api", "scenario")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given together; expected one price")
        if self.method is None and self.samples != (1,):
            raise ValueError("samples are given without a method; expected majority, best_of_n or retry")
        if self.method == "reranked" or (self.method == "single" and self.samples != (1,)):
            raise ValueError(
                f"{self.method} cannot be computed for other samples; expected majority, best_of_n or retry"
            )
        return self


class QualityTarget(Spec):
    """What the answer must reach."""

    accuracy: Accuracy | None = None
    """Least share of right answers [1]."""


class QualityFile(QuestionFile):
    """scenarios/quality/<name>.yaml: which model, effort and number of samples is worth its cost."""

    benchmark: str
    """A name of scenarios/benchmarks, or a file of your own, found beside this one."""
    input_tokens: NonNegative | None = None
    """Prompt of a question, billed once a sample [tokens]."""
    prices_as_of: DayOrLatest = "latest"
    """The day of API prices; `latest` is today."""
    target: Annotated[QualityTarget, Field(default_factory=QualityTarget)]
    frontier_only: bool = False
    """Leave out the rows another row beats; all stay where none has both a cost and an accuracy."""
    candidates: Annotated[tuple[QualityCandidate, ...], Field(min_length=1)]
