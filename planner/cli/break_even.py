"""`planner break-even`: an API or machines of one's own, and from which demand on."""

from typing import Any

import click

from planner.cli import economic
from planner.economics.break_even import curve as curve_of


@click.command("break-even")
@click.argument("question", default="o1-own-or-api", metavar="[QUESTION]")
@click.option("--curve", is_flag=True, help="Both costs over the range of demands, as CSV unless --format says else.")
@economic.options
@click.pass_context
def command(ctx: click.Context, /, question: str, *, curve: bool, **chosen: Any) -> None:
    """Say what an API asks for the answers of a scenario, what machines cost, and where the two cross.

    QUESTION is a file, - (stdin) or the name of a shipped question.

    \b
    planner break-even
    planner break-even gpt-4o-own-or-api --set api.batch=true
    planner break-even --set scenario=my.yaml --set api.model=o3 --set tiers=spot
    planner break-even o1-own-or-api --curve -o curve.csv
    """
    if curve and ctx.get_parameter_source("form") == click.core.ParameterSource.DEFAULT:
        chosen["form"] = "csv"
    economic.answer("break-even", question, solver=curve_of if curve else None, **chosen)
