"""`planner thinking`: what thinking multiplies, side by side, and why."""

from typing import Any

import click

from planner.cli import common, economic
from planner.economics.api import find_price
from planner.economics.thinking import thinking, variants
from planner.errors import BadInputError
from planner.options.answer import answer


@click.command("thinking")
@click.argument("scenario", default=common.DEFAULT_SCENARIO, metavar="[SCENARIO]")
@click.option("--override", metavar="NAME", help="Use a variant of the file.")
@click.option("--row", metavar="MODEL", help="Model of a router.")
@click.option(
    "--multiplier",
    "multipliers",
    multiple=True,
    type=float,
    metavar="M",
    help="Add a row for this reasoning multiplier.",
)
@click.option(
    "--effort", "efforts", multiple=True, metavar="LEVEL", help="Add a row for this effort level of the model."
)
@click.option("--api", metavar="MODEL", help="Add the API bill of this model for the same tokens.")
@click.option("--at", metavar="DATE", default="latest", help="Day of the API price, YYYY-MM-DD.")
@common.question_options
@economic.output_options
def command(
    scenario: str,
    override: str | None,
    row: str | None,
    multipliers: tuple[float, ...],
    efforts: tuple[str, ...],
    api: str | None,
    at: str,
    **chosen: Any,
) -> None:
    """Show how thinking multiplies tokens, GPU time, cost, energy and latency, and why a token costs more or less.

    The best option is solved again without thinking, on the same machines and within the same limits.

    \b
    planner thinking o1-class
    planner thinking o1-class --multiplier 2 --multiplier 8
    """
    catalog, question, shown = economic.parted(chosen)
    if at != "latest" and not api:
        raise BadInputError("is the day of an API's price; expected --api MODEL with it", where="--at")
    (asked,) = common.modelled(scenario, catalog, override, row, common.changes(**question))
    price = find_price(catalog, api, common.day(at, "--at"), where="--api") if api else None
    result = thinking(answer(asked, catalog), catalog, variants(multipliers, efforts), price)
    economic.show(result, **shown)
