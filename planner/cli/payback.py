"""`planner payback`: what owning GPUs costs an hour, and whether and when it pays."""

from pathlib import Path
from typing import Any

import click

from planner.cli import common, economic
from planner.documents.spec import today
from planner.economics.owned_prices import price_file, price_path, price_warnings
from planner.economics.payback import by_year
from planner.errors import BadInputError
from planner.report.output import write_below


@click.command("payback")
@click.argument("name", default="neocloud-2026-05", metavar="[NAME]")
@click.option(
    "--write-prices",
    "folder",
    metavar="DIR",
    help="Write the cost per GPU-hour as an `owned` price to DIR, for --catalog DIR.",
)
@click.option("--by-year", "years", is_flag=True, help="Show the cash flow, one row per year.")
@economic.options
def command(name: str, folder: str | None, years: bool, **chosen: Any) -> None:
    """Estimate the hourly cost of owned GPUs, and whether renting them out pays: NPV, IRR, payback time.

    NAME is a file, - (stdin) or a shipped name: of machines somebody owns, or of a spending on GPUs whose required
    revenue is asked.

    \b
    planner payback neocloud-2026-05 --by-year --format csv
    planner payback mine.yaml --set cost_of_capital=0.12 --write-prices mine
    planner estimate --catalog mine --set prices.tiers=owned
    planner payback sequoia-2024
    """
    if folder == "":
        raise BadInputError("names no folder; expected one to write hardware/prices/ in", where="--write-prices")
    result = economic.answer("payback", name, view=by_year if years else None, **chosen)
    if folder is not None:
        path = write_below(Path(folder), price_path(result), price_file(result, today()))
        common.warn(price_warnings(result))
        click.echo(f"wrote {path}; next: planner estimate --catalog {folder} --set prices.tiers=owned", err=True)
