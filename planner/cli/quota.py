"""`planner quota`: what a subscription's message limits earn, cost and need."""

from typing import Any

import click

from planner.cli import economic


@click.command("quota")
@click.argument("plan", default="chatgpt-plus-2024-09", metavar="[PLAN]")
@economic.options
def command(plan: str, **chosen: Any) -> None:
    """Say what a message of a plan earns and costs, row by row.

    PLAN is a file, - (stdin) or the name of a shipped plan.

    \b
    planner quota
    planner quota my-plan.yaml --set usd_per_month=30 --format csv
    """
    economic.answer("quota", plan, **chosen)
