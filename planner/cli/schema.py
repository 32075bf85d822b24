"""`planner schema`: JSON Schema of the files, or the dictionary of the result columns."""

import json

import click

from planner.cli import common
from planner.report import as_csv
from planner.report.columns import Column, columns, interval_columns
from planner.report.output import emit
from planner.specs.json_schema import SCHEMAS, json_schema


@click.command("schema")
@click.argument("kind", type=common.Word(list(SCHEMAS)), default="scenario")
@click.option("--columns", "show_columns", is_flag=True, help="The result columns: field, unit, description (CSV).")
@common.output_option
def command(kind: str, show_columns: bool, output: str | None) -> None:
    """Print the JSON Schema of a kind of file (for editors), or the column dictionary.

    \b
    planner schema -o scenario.schema.json
    planner schema --columns
    """
    text = (
        as_csv.write(Column._fields, (columns() | interval_columns()).values())
        if show_columns
        else json.dumps(json_schema(kind), indent=2) + "\n"
    )
    emit(text, output)
