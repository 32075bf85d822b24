"""The table on the terminal; plain text when piped, ASCII where the encoding is not UTF-8."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial

import click

from planner.report.grid import fitted, wrapped
from planner.report.output import Terminal
from planner.report.page import Page, Section, Table

_PIPE_WIDTH = 200
_NARROWEST = 20


def render(page: Page) -> str:
    """Return the tables of a page."""
    width, style = _width(), _style()
    parts = [_section(section, width, style) for section in page.sections]
    parts += [[style(line, bold=True) for line in wrapped(text, width)] for text in page.totals]
    return _text("\n\n".join("\n".join(lines) for lines in parts))


def render_table(table: Table) -> str:
    """Return a table alone."""
    return _text("\n".join(fitted(table, _width(), partial(_style(), bold=True))))


def render_lines(lines: list[str]) -> str:
    """Return lines of text, those too long for the terminal broken between words."""
    width = _width()
    return _text("\n".join(part for line in lines for part in _broken(line, width)))


def _broken(line: str, width: int) -> list[str]:
    text = line.lstrip()
    return wrapped(text, width, indent=line[: len(line) - len(text)], hanging="  ") if len(line) > width else [line]


def _section(section: Section, width: int, style: Callable[..., str]) -> list[str]:
    indent = "  " if section.heading else ""
    lines = []
    if section.heading:
        heading = f"{section.heading} – {section.title}" if section.title else section.heading
        lines += [style(line, bold=True) for line in wrapped(heading, width)]
    if section.question:
        lines += wrapped(section.question, width)
    for index, text in enumerate(section.verdict):
        first = {"bold": True, "fg": "green"} if index == 0 else {}
        lines += [style(line, **first) for line in wrapped(text, width, indent)]
    if section.table:
        lines += [*[""] * bool(lines), *fitted(section.table, width, partial(style, bold=True))]
    return lines + [style(line, dim=True) for note in section.notes for line in wrapped(note, width)]


def _width() -> int:
    """Return the columns a table may take: COLUMNS, else the terminal's, else a page's where it is piped."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return max(shutil.get_terminal_size((_PIPE_WIDTH, 0)).columns, _NARROWEST)
    return _PIPE_WIDTH


def _style() -> Callable[..., str]:
    """Return what marks a text for a terminal with colours; it leaves text as it is for others."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style if coloured else lambda text, **_: text


def _text(text: str) -> str:
    return (to_ascii(text) if Terminal.ascii_only else text) + "\n"


_ASCII = str.maketrans({"–": "-", "—": "-", "×": "x", "·": ".", "…": "...", "─": "-", "│": "|", "━": "-", "╸": "-"})


def to_ascii(text: str) -> str:
    """Return a text any terminal can show.

    >>> to_ascii("4 × h100 – ok")
    '4 x h100 - ok'
    """
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
