"""Values by name as the columns of a table: each in the words of its unit, with the importance of what it holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.report.page import Column, Row, Table, rank_of, ranked
from planner.wording import count, money, percent, seconds, significant, times

_WORDS: dict[str, Callable[[float], str]] = {
    "USD": money,
    "share": percent,
    "s": seconds,
    "x": times,
    "tokens": count,
    "samples": count,
    "date": "{:.0f}".format,
}


def cell(value: object, unit: str = "") -> str:
    """Return a value as people read it, a number by its unit.

    >>> cell(0.153333, "USD"), cell(0.66, "share"), cell(4480.0, "messages"), cell(None, "USD"), cell(1.5, "USD/h")
    ('$0.153', '66%', '4,480', '–', '$1.50')
    >>> cell(True), cell(""), cell("o1-mini")
    ('yes', '–', 'o1-mini')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return "–" if value is None or value == "" else str(value)
    words = _WORDS.get(unit) or _WORDS.get(unit.partition("/")[0])  # USD/year is money, too
    if words:
        return words(value)
    return f"{value:,.0f}" if float(value).is_integer() else significant(value, 4)


def column(name: str, values: Sequence[Any], unit: str = "") -> Column:
    """Return a column of values; those that are no numbers are text."""
    text = not any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    text = text and (not unit or any(value is not None for value in values))
    cells = [cell(value, unit) for value in values]
    return Column(name.replace("_", " "), cells, rank_of(name, unit, text=text), text, unit)


def table(names: Sequence[str], rows: Sequence[Row], units: Mapping[str, str], labels: Sequence[str] = ()) -> Table:
    """Return the table of some rows; `labels` say what each is called, where the table may be turned on its side."""
    columns = [column(name, [row.get(name) for row in rows], units.get(name, "")) for name in names]
    return Table(ranked(columns), labels)
