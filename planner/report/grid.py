"""A table in lines of a width: words are wrapped, columns hidden by importance, and nothing is cut."""

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.report.page import Column, Table

_GAP = "   "
_MOST_LINES = 2
"""Lines of a title or of a cell of text before its column is rather hidden."""
MOST_SIDEWAYS = 6
"""Rows that a table on its side has room for."""
_FEWEST = 3
"""Columns below which a few rows stand one under the other instead."""
_TOGETHER = re.compile(r"(?<=\d) (?=[^\W\d_]|× [^\W\d_])|(?<=\d ×) (?=[^\W\d_])")
"""The spaces inside `1.6 s` and `72 × mi300x`."""
_SHORT_WORD = re.compile(r" (?=\w{1,2}\b)")
"""The space before the `gb` of a title: a unit stays with what it measures."""
_NO_BREAK = "\u00a0"

Style = Callable[[str], str]


def wrapped(text: str, width: int, indent: str = "", hanging: str = "") -> list[str]:
    """Return a text in lines: broken between words, never inside one, nor between a number and its unit.

    >>> wrapped("72 × mi300x for 1.6 s", 12)
    ['72 × mi300x', 'for 1.6 s']
    """
    lines = textwrap.wrap(
        _TOGETHER.sub(_NO_BREAK, text),
        max(width, 1),
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines] or [""]


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in _TOGETHER.sub(_NO_BREAK, text).split(" ")), default=0)


def _texts(column: Column) -> list[str]:
    """Return the title, its short words tied to the word before, and the cells."""
    return [_SHORT_WORD.sub(_NO_BREAK, column.title), *column.cells]


def _least(column: Column) -> int:
    """Return the width a column needs: its longest word, and what keeps its title and each cell on two lines."""
    texts = _texts(column)
    longest = max(map(len, texts))
    width = max(_longest_word(texts), longest // _MOST_LINES, 1)
    while width < longest and any(len(wrapped(text, width)) > _MOST_LINES for text in texts):
        width += 1
    return width


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the widths of columns: what each needs, and what is left over to those that lack most.

    Where not even that fits, the longest words decide: a line is rather too long than a word cut.
    """
    widths = [_least(c) for c in columns]
    if _total(widths) > width:
        widths = [_longest_word(_texts(c)) for c in columns]
    wanted = [max(map(len, _texts(c))) for c in columns]
    for _ in range(width - _total(widths)):
        lacking = [most - given for most, given in zip(wanted, widths, strict=True)]
        if max(lacking) <= 0:
            break
        widths[lacking.index(max(lacking))] += 1
    return widths


def _lines(columns: Sequence[Column], widths: Sequence[int], bold: Style) -> list[str]:
    """Return the header, a rule, and the rows."""

    def row(texts: Sequence[str]) -> list[str]:
        cells = [wrapped(text, width) for text, width in zip(texts, widths, strict=True)]
        padded = [
            [(line.ljust if column.text else line.rjust)(width) for line in (*cell, *[""] * (height - len(cell)))]
            for height in [max(map(len, cells))]
            for column, cell, width in zip(columns, cells, widths, strict=True)
        ]
        return [_GAP.join(parts).rstrip() for parts in zip(*padded, strict=True)]

    titles, *cells = zip(*map(_texts, columns), strict=True)
    body = [line for texts in cells for line in row(texts)]
    return [*map(bold, row(titles)), "─" * _total(widths), *body]


def _hidden_last(columns: Sequence[Column]) -> list[int]:
    """Return the columns in the order they are hidden: the least important, of equals the rightmost, first."""
    return sorted(range(1, len(columns)), key=lambda i: (columns[i].rank, -i))


def sideways(table: Table) -> list[Column]:
    """Return the columns of a table turned on its side: names, a column for each row, and units where there are any."""
    labels = list(table.labels)
    kept = [c for c in table.columns if len(labels) == 1 or not c.text or list(c.cells) != labels]
    titles = labels if len(labels) > 1 else ["value"]
    key = kept[0].rank if kept else table.columns[0].rank
    turned = [Column("", [c.title for c in kept], key, text=True)]
    turned += [Column(title, [c.cells[i] for c in kept], key) for i, title in enumerate(titles)]
    if any(c.unit for c in kept):
        turned.append(Column("unit", [c.unit for c in kept], key, text=True))
    return turned


def _parts(turned: Sequence[Column], values: int, width: int, bold: Style) -> list[str]:
    """Return a table on its side, in parts of as many of its columns of values as fit a width."""
    name, units = turned[0], list(turned[1 + values :])
    lines: list[str] = []
    start = 1
    while start <= values:
        stop = start + 1
        while stop <= values and _total([_least(c) for c in (name, *turned[start : stop + 1], *units)]) <= width:
            stop += 1
        part = [name, *turned[start:stop], *units]
        lines += [""] * bool(lines) + _lines(part, _widths(part, width), bold)
        start = stop
    return lines


def fitted(table: Table, width: int, bold: Style) -> list[str]:
    """Return a table in lines of a width; columns that are hidden are named."""
    columns, rows = list(table.columns), len(table.columns[0].cells)
    if table.sideways:
        return _parts(sideways(table), rows, width, bold)
    if table.most is not None:
        columns = [replace(c, cells=c.cells[: table.most]) for c in columns]
    least = [_least(c) for c in columns]
    few = 0 < len(table.labels) <= MOST_SIDEWAYS
    if few and _total(least) > width:
        turned = sideways(table)
        if _total([_least(c) for c in turned]) <= width:
            return _parts(turned, rows, width, bold)
    shown = list(range(len(columns)))
    for index in _hidden_last(columns):
        if _total([least[i] for i in shown]) <= width:
            break
        shown.remove(index)
    if few and len(shown) < min(_FEWEST, len(columns)):
        return _parts(sideways(table), rows, width, bold)
    kept = [columns[i] for i in shown]
    lines = _lines(kept, _widths(kept, width), bold)
    hidden = ", ".join(c.title for i, c in enumerate(columns) if i not in shown)
    if hidden:
        said = f"columns hidden at this terminal width: {hidden} (a wider terminal or --format csv shows all)"
        lines += wrapped(said, width)
    more = rows - len(columns[0].cells)
    return [*lines, f"and {more} more {table.of_what}"] if more else lines
