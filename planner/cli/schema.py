"""`planner schema`: the JSON Schema of a kind of file, or its result columns with unit and meaning."""

import json

import click

from planner.catalog.kinds import BY_WORD, SCENARIO, questions_of
from planner.cli import common
from planner.documents import csv_table
from planner.documents.json_schema import json_schema
from planner.economics import energy, thinking
from planner.economics.page import page_formulas
from planner.errors import BadInputError
from planner.options.option import COLUMNS, INTERVAL_COLUMNS
from planner.report.output import emit

_OF_SCENARIOS = {"thinking": thinking.PAGE, "energy": energy.PAGE}
"""Commands that solve scenarios and have result columns of their own, but no kind of file."""
"""Commands that answer scenarios by a page of their own: they have columns, and no kind of file."""
_HEADER = ("field", "unit", "description")


@click.command("schema")
@click.argument("kind", type=common.Word([*BY_WORD, *_OF_SCENARIOS]), default="scenario")
@click.option(
    "--columns", "show_columns", is_flag=True, help="Print the result columns as CSV: field, unit, description."
)
@common.output_option
def command(kind: str, show_columns: bool, output: str | None) -> None:
    """Print the JSON Schema of a kind of file, for editors, or describe the result columns.

    \b
    planner schema -o scenario.schema.json
    planner schema --columns
    planner schema plan --columns
    planner schema thinking --columns
    """
    if kind in _OF_SCENARIOS and not show_columns:
        raise BadInputError(
            f"`planner {kind}` reads scenarios; expected --columns for its results, or `schema scenario`", where=kind
        )
    emit(_dictionary(kind) if show_columns else json.dumps(json_schema(BY_WORD[kind].spec), indent=2) + "\n", output)


def _dictionary(kind: str) -> str:
    """Return the result columns of a kind of file with unit and meaning. Raises BadInputError where it has none."""
    if kind in _OF_SCENARIOS:
        return _of_page(_OF_SCENARIOS[kind])
    asked = BY_WORD[kind]
    if asked is SCENARIO:
        known = COLUMNS | INTERVAL_COLUMNS
        return csv_table.write(_HEADER, ((name, column.unit, column.meaning) for name, column in known.items()))
    if asked.page is None:
        answered = ", ".join(question.word for question in questions_of())
        raise BadInputError(
            f"{kind} files are data and have no result columns; expected scenario, {answered}", where="--columns"
        )
    return _of_page(asked.page)


def _of_page(name: str) -> str:
    rows = ((f.name, f.unit, f.why) for f in page_formulas(name).values() if "." not in f.name)
    return csv_table.write(_HEADER, rows)
