"""`planner budget`: how many answers a sum of money buys."""

from typing import Any

import click

from planner.cli import economic


@click.command("budget")
@click.argument("question", default="o1-class-100k", metavar="[QUESTION]")
@economic.options
def command(question: str, **chosen: Any) -> None:
    """Say how many answers a month a budget pays for within the SLO, machine by machine, most answers first.

    QUESTION is a file, - (stdin) or the name of a shipped budget. Exit 1 where the smallest fleet costs more.

    \b
    planner budget
    planner budget o1-class-100k --set budget_usd_per_month=25000 --set scenario=gpt-4o-class
    """
    economic.answer("budget", question, **chosen)
