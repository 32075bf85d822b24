"""Markdown for a pull request or a wiki page."""

from planner.report.document import Report
from planner.report.summary import COLUMNS, all_models, best_per_gpu, cells, footnotes, question, verdict


def render(report: Report) -> str:
    """Return one section per answer."""
    parts = []
    for answer in report.answers:
        lines = [f"## {escape(answer.scenario.label)}", "", escape(question(answer)), ""]
        lines += [f"- {escape(line)}" for line in verdict(answer)]
        rows = answer.results if report.show_all else best_per_gpu(answer)
        if rows:
            lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
            lines += ["| " + " | ".join(escape(c) for c in cells(row)) + " |" for row in rows]
        lines += ["", *(f"- {escape(note)}" for note in footnotes(answer))]
        if answer.warnings:
            lines += ["", *(f"> warning: {escape(w)}" for w in answer.warnings)]
        parts.append("\n".join(lines))
    parts += [f"**{escape(all_models(row))}**" for row in report.totals]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> escape("a|b")
    'a\\|b'
    """
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
