"""A page: what an answer, a comparison, an economic question or a list is before a format prints it.

Data formats (JSON, CSV) take its rows and fields; text formats (table, Markdown) take its sections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

Row = Mapping[str, Any]


class Rank(IntEnum):
    """How important a column is: on a narrow terminal the least important is hidden first."""

    SOURCE = 0
    DETAIL = 1
    TEXT = 2
    NUMBER = 3
    NAME = 4
    """What tells rows apart."""
    MONEY = 5
    """Accuracy, too."""
    ANSWER = 6
    """What was asked for."""
    KEY = 7
    """Names the row; never hidden."""


@dataclass(frozen=True)
class Column:
    """A column of a table as people read it."""

    title: str
    cells: Sequence[str]
    rank: Rank
    text: bool = False
    """Whether it is aligned to the left."""
    unit: str = ""
    """Shown where the table is turned on its side."""


@dataclass(frozen=True)
class Table:
    """What a text format shows of some rows."""

    columns: Sequence[Column]
    labels: Sequence[str] = ()
    """What the rows are called, in a table that may be turned on its side."""
    sideways: bool = False
    """Whether each row stands in a column, as in a financial statement."""
    most: int | None = None
    """Rows that a terminal shows."""
    of_what: str = ""
    """What a row is, to count those a terminal does not show."""


@dataclass(frozen=True)
class Section:
    """One answer in words, with its table."""

    heading: str = ""
    title: str = ""
    question: str = ""
    verdict: Sequence[str] = ()
    """The answer in words, the most important first."""
    table: Table | None = None
    notes: Sequence[str] = ()
    """What the table leaves out."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class PageRow:
    """One result, and what long CSV says beside each of its numbers."""

    cells: Row
    scenario: str = ""
    option: str = ""
    basis: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Page:
    """Results in the shape all formats share."""

    fields: Sequence[str]
    """Columns of the CSV, keys of the JSON results."""
    rows: Sequence[PageRow]
    sections: Sequence[Section] = ()
    totals: Sequence[str] = ()
    """What several sections come to, in words."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of the fields that long CSV has a row for."""
    warnings: Sequence[str] = ()
    inputs: Sequence[Any] = ()
    provenance: Sequence[Row] = ()
    failed: Sequence[str] = ()
    """Why the answer is no: exit code 1."""


_NOTES = {"source", "meaning", "note", "notes", "title", "verdict"}
_MOST_NAMES = 3


def rank_of(name: str, unit: str = "", *, text: bool = False) -> Rank:
    """Return how important a column is by what it holds.

    >>> rank_of("usd_per_gpu_hour").name, rank_of("source", text=True).name, rank_of("gpus", "GPUs").name
    ('MONEY', 'SOURCE', 'NUMBER')
    """
    words = set(name.split("_"))
    if text:
        return Rank.SOURCE if words & _NOTES else Rank.TEXT
    return Rank.MONEY if unit.startswith("USD") or words & {"usd", "accuracy"} else Rank.NUMBER


def leading_names(columns: Sequence[Sequence[Any]]) -> int:
    """Return how many leading columns it takes to tell the rows apart, up to three.

    >>> leading_names([["aws", "aws"], ["h100", "h200"], ["spot", "spot"]])
    2
    """
    for size in range(1, min(len(columns), _MOST_NAMES) + 1):
        rows = list(zip(*columns[:size], strict=True))
        if len(set(rows)) == len(rows):
            return size
    return min(len(columns), _MOST_NAMES)


def ranked(columns: Sequence[Column]) -> list[Column]:
    """Return the columns of a table with those that name its rows ranked as such."""
    texts = next((i for i, column in enumerate(columns) if not column.text), len(columns))
    names = leading_names([column.cells for column in columns[:texts]])
    return [
        replace(c, rank=Rank.KEY if i == 0 else max(c.rank, Rank.NAME) if i < names else c.rank)
        for i, c in enumerate(columns)
    ]
