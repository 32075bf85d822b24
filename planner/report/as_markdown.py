"""Markdown for a pull request or a wiki page."""

from planner.report.grid import sideways
from planner.report.page import Page, Section


def render(page: Page) -> str:
    """Return one section per answer."""
    parts = ["\n\n".join("\n".join(block) for block in _blocks(section) if block) for section in page.sections]
    parts += [f"**{escape(text)}**" for text in page.totals]
    return "\n\n".join(parts) + "\n"


def _blocks(section: Section) -> list[list[str]]:
    """Return the blocks of lines of a section; some are empty."""
    table: list[str] = []
    if section.table and section.table.columns[0].cells:
        columns = sideways(section.table) if section.table.sideways else section.table.columns
        rows = [[c.title for c in columns], *zip(*(c.cells for c in columns), strict=True)]
        table = ["| " + " | ".join(map(escape, row)) + " |" for row in rows]
        table.insert(1, "|" + " --- |" * len(columns))
    return [
        [f"## {escape(section.heading)}"] if section.heading else [],
        [escape(section.question)] if section.question else [],
        [f"- {escape(line)}" for line in section.verdict],
        table,
        [f"- {escape(note)}" for note in section.notes],
        [f"> warning: {escape(w)}" for w in section.warnings],
    ]


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> escape("a|b")
    'a\\|b'
    """
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
