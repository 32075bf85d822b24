"""`planner quality`: what accuracy costs."""

from typing import Any

import click

from planner.cli import common, economic


@click.command("quality")
@click.argument("question", default="logic-puzzles", metavar="[QUESTION]")
@common.target_option
@click.option("--frontier", is_flag=True, help="Only the rows no other row beats (short for --set frontier_only=true).")
@economic.options
def command(question: str, target: str | None, *, frontier: bool, sets: tuple[str, ...], **chosen: Any) -> None:
    """Say what accuracy costs on a benchmark: models, efforts and samples, per answer and per correct answer.

    QUESTION is a file, - (stdin) or the name of a shipped question. --target answers the cheapest that
    reaches an accuracy; exit 1 where nothing does.

    \b
    planner quality
    planner quality logic-puzzles --target accuracy=0.9
    planner quality swe-bench-lite --frontier --format csv
    """
    sets += ("frontier_only=true",) * frontier
    if target is not None:
        sets += (f"target.accuracy={common.read_target(target)}",)
    economic.answer("quality", question, sets=sets, **chosen)
