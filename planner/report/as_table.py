"""The table on the terminal; plain text when piped, ASCII where the encoding is not UTF-8."""

import io
import os
import shutil
import sys
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from planner.options.answer import Answer
from planner.report.document import Report
from planner.report.output import Terminal
from planner.report.summary import COLUMNS, SHOWN_OPTIONS, all_models, best_per_gpu, cells, footnotes, question, verdict

_PIPE_WIDTH = 200
_LEFT = {"GPU", "engine", "weights", "layout", "offer", "binds"}


def _console(out: io.StringIO) -> Console:
    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if terminal else _PIPE_WIDTH
    return Console(
        file=out,
        width=max(width, 40),
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        emoji=False,
        markup=False,
    )


def _text(out: io.StringIO) -> str:
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    return to_ascii(text) if Terminal.ascii_only else text


def render(report: Report) -> str:
    """Return the tables of all answers."""
    out = io.StringIO()
    console = _console(out)
    for index, answer in enumerate(report.answers):
        if index:
            console.print()
        _answer(console, answer, show_all=report.show_all)
    for row in report.totals:
        console.print()
        console.print(all_models(row), style="bold")
    return _text(out)


def table_width() -> int:
    """Return the columns a table may take: the terminal's, or a page's where it is piped."""
    return _console(io.StringIO()).width


def grid_width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the columns a grid needs at least: no word of it, and so no number, is broken."""
    return sum(_needed(header, rows)) + _GAP * (len(header) - 1)


def _needed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the longest word of each column."""
    return [max(longest_word(row[i]) for row in (header, *rows)) for i in range(len(header))]


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the width of each column: the longest word, and what is left to those whose text is longest.

    None where even the words do not fit.
    """
    widths = _needed(header, rows)
    left = width - sum(widths) - _GAP * (len(header) - 1)
    if left < 0:
        return None
    wanted = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for _ in range(left):
        lacking = [most - given for most, given in zip(wanted, widths, strict=True)]
        if max(lacking) <= 0:
            break
        widths[lacking.index(max(lacking))] += 1
    return widths


def longest_word(text: str) -> int:
    """Return the letters of the longest word."""
    return max(map(len, text.split()), default=0)


def render_grid(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Return a plain grid; the columns `left` hold text, the others numbers."""
    out = io.StringIO()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = _widths(header, rows, table_width())
    for index, name in enumerate(header):
        width = None if widths is None else widths[index]
        table.add_column(name, justify="left" if index in left else "right", overflow="fold", width=width)
    for row in rows:
        table.add_row(*row)
    _console(out).print(table)
    return _text(out)


def _answer(console: Console, answer: Answer, *, show_all: bool) -> None:
    title = f" – {answer.scenario.spec.title}" if answer.scenario.spec.title else ""
    console.print(f"{answer.scenario.label}{title}", style="bold")
    console.print(question(answer))
    for index, line in enumerate(verdict(answer)):
        console.print(f"  {line}", style="bold green" if index == 0 else None)
    rows = answer.results if show_all else best_per_gpu(answer)[:SHOWN_OPTIONS]
    if rows:
        console.print()
        names = fitting_columns([cells(row) for row in rows], console.width)
        console.print(_table(rows, names))
        if len(names) < len(COLUMNS):
            left_out = ", ".join(n for n in COLUMNS if n not in names)
            console.print(
                f"left out on this width: {left_out} (a wider terminal or --format csv shows all)", style="dim"
            )
    hidden = len(best_per_gpu(answer)) - SHOWN_OPTIONS
    if not show_all and hidden > 0:
        console.print(f"and {hidden} more GPUs that work")
    for note in footnotes(answer):
        console.print(note, style="dim")


_DROPPED_FIRST = (
    "engine",
    "first visible p95",
    "used $/answer",
    "weights",
    "used",
    "$/GPU-h",
    "TTFT p95",
    "TPOT p95",
    "layout",
)
"""Columns a narrow terminal does without, least needed first."""
_GAP = 3


def fitting_columns(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the columns of the options table that fit a width without folding a cell."""
    widths = {n: max(len(n), *(len(row[i]) for row in rows)) + _GAP for i, n in enumerate(COLUMNS)}
    for name in _DROPPED_FIRST:
        if sum(widths.values()) - _GAP <= width:
            break
        del widths[name]
    return list(widths)


def _table(rows: list[dict[str, object]], names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    for row in rows:
        table.add_row(*(cell for name, cell in zip(COLUMNS, cells(row), strict=True) if name in names))
    return table


_ASCII = str.maketrans({"–": "-", "—": "-", "×": "x", "·": ".", "…": "...", "─": "-", "│": "|", "━": "-", "╸": "-"})


def to_ascii(text: str) -> str:
    """Return a text any terminal can show.

    >>> to_ascii("4 × h100 – ok")
    '4 x h100 - ok'
    """
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
