"""An economic question's rows: the file's numbers put through a page of formulas, which also explains them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from planner.documents.spec import Loaded
from planner.economics import finance
from planner.economics.accuracy_model import coverage, expected_tries, vote_accuracy, wilson
from planner.errors import BadInputError, DataMissingError, suggestion, unknown
from planner.explain.formulas import FUNCTIONS, FormulaSet, Functions, Step, completed, read_formulas, walk
from planner.fleet.bill import api_bill, billed_output
from planner.options.option import COLUMNS, number
from planner.options.provenance import Input, file_inputs

Row = dict[str, Any]
_WHOLE = {"samples", *(name for name, column in COLUMNS.items() if column.whole)}
_FUNCTIONS: Functions = {
    "api_bill": api_bill,
    "billed_output": billed_output,
    "capital_recovery": finance.capital_recovery,
    "present_value": finance.present_value,
    "rate_of_return": finance.rate_of_return,
    "payback": finance.payback,
    "lasting_payback": finance.lasting_payback,
    "running_total": finance.running_total,
    "coverage": coverage,
    "tries": expected_tries,
    "vote": vote_accuracy,
    "wilson": wilson,
}


@cache
def page_formulas(name: str) -> FormulaSet:
    """Return the formulas of a page of this folder, which may call what is not plain arithmetic by name."""
    return read_formulas(name, {**FUNCTIONS, **_FUNCTIONS})


@dataclass(frozen=True)
class ResultLine:
    """One row: what it is called, and every quantity by the name the formulas use."""

    label: str
    texts: Mapping[str, str | bool | None]
    """Identity columns: plan, model …; yes and no as truth values."""
    values: Mapping[str, Any]
    """NaN where there is no number; an array where a quantity has one for each year."""
    origins: Sequence[Input] = ()
    """Where the numbers come from that the catalogue gave to the row."""
    notes: Sequence[str] = ()
    """What to know about the row."""

    def value(self, name: str) -> float | int | None:
        """Return a result; None where it has no finite value."""
        return number(float(self.values.get(name, math.nan)), whole=name in _WHOLE)

    def with_texts(self, **texts: str | bool | None) -> "ResultLine":
        """Return the row with some of its texts set."""
        return replace(self, texts={**self.texts, **texts})


@dataclass(frozen=True)
class QuestionResult:
    """The answer to an economic question, in the shape all output formats share."""

    command: str
    """The command that answers it."""
    question: Loaded[Any]
    page: FormulaSet
    lines: Sequence[ResultLine]
    identity: Sequence[str] = ()
    """Text columns, first; those of the rows where not given."""
    fields: Sequence[str] = ()
    """Number columns, in order; the page's where not given."""
    shown: Sequence[str] = ()
    """Number columns of the table; the page's where not given."""
    verdict: Sequence[str] = ()
    """The answer in words, the most important first."""
    warnings: Sequence[str] = ()
    provenance: Sequence[Input] = ()
    low_confidence: Sequence[str] = ()
    """Inputs that stand on weak ground."""
    sideways: bool = False
    """Whether the table has a column for each row, as financial statements do."""
    aside: Sequence[str] = ()
    """Text columns the table leaves out: notes too long for it."""
    failed: Sequence[str] = ()
    """Why the answer is no: exit code 1."""

    @classmethod
    def of(
        cls,
        command: str,
        question: Loaded[Any],
        page: str,
        lines: Sequence[ResultLine],
        *,
        warnings: Sequence[str] = (),
        provenance: Sequence[Input] = (),
        **more: Any,  # noqa: ANN401 - further fields
    ) -> "QuestionResult":
        """Return the answer to a question's file: to the warnings and sources given come those of file and rows."""
        notes = [*(note for line in lines for note in line.notes), *warnings]
        origins = [*file_inputs(question), *(origin for line in lines for origin in line.origins), *provenance]
        return cls(
            command,
            question,
            page_formulas(page),
            lines,
            warnings=list(dict.fromkeys(notes)),
            provenance=origins,
            **more,
        )

    def __post_init__(self) -> None:
        """Take the columns that are not given from the rows and the page."""
        texts = tuple(self.lines[0].texts) if self.lines else ()
        for name, columns in (("identity", texts), ("fields", self.page.columns), ("shown", self.page.table)):
            if not getattr(self, name):
                object.__setattr__(self, name, columns)

    @property
    def columns(self) -> list[str]:
        """Return the columns of the CSV and the keys of the JSON results."""
        return [*self.identity, *self.fields]

    def rows(self) -> list[Row]:
        """Return the rows as every format takes them; a missing number is None."""
        return [{**line.texts, **{name: line.value(name) for name in self.fields}} for line in self.lines]

    def line(self, label: str | None) -> ResultLine:
        """Return a line by its label, the first without one. Raises DataMissingError with the labels there are."""
        if label is None:
            return self.lines[0]
        match = next((line for line in self.lines if line.label == label), None)
        if match is None:
            text = unknown("row", label, (line.label for line in self.lines))
            raise DataMissingError(text, where=self.question.document.where)
        return match

    def explain(self, name: str, label: str | None = None) -> list[Step]:
        """Return the chain of formulas behind a number of a row. Raises BadInputError with the nearest name."""
        line = self.line(label)
        if name not in self.page and name not in line.values:
            names = [n for n in (*self.page, *line.values) if "." not in n]
            listing = "`planner schema KIND --columns` lists the results"
            hint = suggestion(name, names, listing=listing)
            raise BadInputError(f"no formula for {name!r}.{hint}", where="explain")
        steps: list[Step] = []
        walk(name, 0, self.page, line.values, steps, set())
        return steps


def flat(group: str, source: object) -> dict[str, float]:
    """Return the numbers of a spec, a record or a mapping as a page names them: group.field; none where it is None."""
    fields = source if isinstance(source, Mapping) else vars(source) if source else {}
    return {f"{group}.{name}": float(value) for name, value in fields.items() if isinstance(value, int | float)}


def solve_line(
    label: str,
    texts: Mapping[str, str | bool | None],
    inputs: Mapping[str, Any],
    page: FormulaSet,
    *,
    origins: Sequence[Input] = (),
    notes: Sequence[str] = (),
) -> ResultLine:
    """Return a row: the inputs, and what the page's formulas make of them.

    An input that the page declares and nobody gives is not known: NaN, and so is what needs it.
    """
    numbers = dict.fromkeys(page.inputs, math.nan) | dict(inputs)
    with np.errstate(all="ignore"):
        values = completed({n: v if np.ndim(v) else np.float64(v) for n, v in numbers.items()}, page)
    plain = {name: value if np.ndim(value) else float(value) for name, value in values.items()}
    return ResultLine(label, texts, plain, origins, notes)
