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
    style = _style()
    parts = [_section(section, style) for section in page.sections]
    parts += [[style(line, bold=True) for line in _broken(text)] for text in page.totals]
    return _text("\n\n".join("\n".join(lines) for lines in parts))


def render_table(table: Table) -> str:
    """Return a table alone."""
    return _text("\n".join(fitted(table, _width(), partial(_style(), bold=True))))


def render_lines(lines: list[str]) -> str:
    """Return lines of text, those too long for the terminal broken between words."""
    return _text("\n".join(part for line in lines for part in _broken(line, hanging="  ")))


def _broken(line: str, hanging: str = "") -> list[str]:
    """Return a line of text in lines as long as the terminal; in a pipe it stays whole, for those who search it."""
    if not _sized() or len(line) <= _width():
        return [line]
    text = line.lstrip()
    return wrapped(text, _width(), line[: len(line) - len(text)], hanging)


def _section(section: Section, style: Callable[..., str]) -> list[str]:
    indent = "  " if section.heading else ""
    lines = []
    if section.heading:
        heading = f"{section.heading} – {section.title}" if section.title else section.heading
        lines += [style(line, bold=True) for line in _broken(heading)]
    if section.question:
        lines += _broken(section.question)
    for index, text in enumerate(section.verdict):
        first = {"bold": True, "fg": "green"} if index == 0 else {}
        lines += [style(line, **first) for line in _broken(indent + text)]
    if section.table:
        lines += [*[""] * bool(lines), *fitted(section.table, _width(), partial(style, bold=True))]
    return lines + [style(line, dim=True) for note in section.notes for line in _broken(note)]


def _width() -> int:
    """Return the columns a table may take: COLUMNS, else the terminal's, else a page's where it is piped."""
    return max(shutil.get_terminal_size().columns, _NARROWEST) if _sized() else _PIPE_WIDTH


def _sized() -> bool:
    """Return whether somebody says how wide the output is."""
    return sys.stdout.isatty() or bool(os.environ.get("COLUMNS"))


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
