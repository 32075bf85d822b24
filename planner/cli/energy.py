"""`planner energy`: energy and carbon of an answer, from the GPUs to the meter, by grid and source."""

from typing import Any

import click

from planner.cli import common, economic
from planner.economics.energy import energy
from planner.options.answer import answer


@click.command("energy")
@click.argument("scenario", default=common.DEFAULT_SCENARIO, metavar="[SCENARIO]")
@click.option("--override", metavar="NAME", help="Use a variant of the file.")
@click.option("--row", metavar="MODEL", help="Show one model of a router; by default all and their sum.")
@click.option(
    "--grid", "grids", multiple=True, metavar="ZONE", help="Use this zone, with every source; may be repeated."
)
@click.option("--embodied", is_flag=True, help="Include emissions from making GPUs and servers.")
@common.question_options
@economic.output_options
def command(
    scenario: str,
    override: str | None,
    row: str | None,
    grids: tuple[str, ...],
    embodied: bool,
    **chosen: Any,
) -> None:
    """Estimate energy and carbon per answer: GPUs, node, facility; used and idle; by grid, year and source.

    \b
    planner energy o1-class
    planner energy o1-class --grid USA --grid FRA --embodied
    """
    catalog, question, shown = economic.parted(chosen)
    asked = common.modelled(scenario, catalog, override, row, common.changes(**question), every=True)
    parts = [answer(part, catalog) for part in asked]
    economic.show(energy(parts, catalog, grids, embodied=embodied), **shown)
