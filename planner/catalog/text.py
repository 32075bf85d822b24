"""Spec of a kind of text: characters per token, by tokenizer."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from planner.documents.spec import FileSpec, Positive, Spec

ANY_TOKENIZER = "any"


class Ratio(Spec):
    """Characters per token of one tokenizer on this kind of text."""

    tokenizer: str
    """o200k (GPT-4o, o1), cl100k (GPT-4), deepseek, claude-2; `any` where the tokenizer is not known."""
    characters_per_token: Positive
    """Mean over the counted text [characters/token]."""
    low: Positive | None = None
    """Lowest plausible value; leave out where one text was counted exactly."""
    high: Positive | None = None
    """Highest plausible value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.low or self.characters_per_token, self.high or self.characters_per_token
        if not low <= self.characters_per_token <= high:
            raise ValueError(f"{self.characters_per_token:g} is not between low {low:g} and high {high:g}")
        return self


class TextFile(FileSpec):
    """scenarios/texts/<id>.yaml: a kind of text, counted with real tokenizers."""

    id: str
    title: str
    language: str
    """Language of the text: a human language or a programming language."""
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1)]
    """One entry per tokenizer."""
