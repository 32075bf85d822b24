"""`planner implied`: how many times another model a model is, by what was observed of both."""

from typing import Any

import click

from planner.cli import economic


@click.command("implied")
@click.argument("question", default="o1-preview-2024-09", metavar="[QUESTION]")
@economic.options
def command(question: str, **chosen: Any) -> None:
    """Turn observations into multipliers: characters, latency, an API bill, a quota; each says what it means.

    QUESTION is a file, - (stdin) or the name of a shipped comparison.

    \b
    planner implied
    planner implied my-comparison.yaml --set observations[0].model.characters=9000 --format csv
    """
    economic.answer("implied", question, **chosen)
