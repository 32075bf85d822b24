"""`planner predict`: one benchmark run per row in, the same rows with predictions out."""

import click

from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.cli.question_sheet import typed
from planner.documents.csv_table import DIALECTS, read_sheet
from planner.documents.text_file import STDIN
from planner.errors import EXIT_BAD_INPUT
from planner.loadtest.predict import INTERVALS, OUTPUTS, check_header, name_notes, predict, refused
from planner.report.page import Page, PageRow


@click.command("predict")
@click.argument("rows_file", metavar="ROWS.csv")
@click.option("--dialect", type=common.Word(DIALECTS), default="plain", show_default=True, help="CSV dialect.")
@click.option("--interval", is_flag=True, help="Add p10 and p90 of latencies and rates (uncertainty).")
@common.format_option("csv", "json")
@common.output_option
@common.notes_option
@common.catalog_option
def command(
    rows_file: str, dialect: str, interval: bool, form: str, output: str | None, catalogs: tuple[str, ...]
) -> None:
    """Predict load-test results: closed loop (concurrency), open loop (request_rate) or maximum load.

    Only model, gpu, input_tokens and output_tokens are required. If a row cannot be predicted, `error` says why,
    the other rows are predicted, and the exit code is 2.

    \b
    planner predict runs.csv -o predicted.csv
    """
    sheet = read_sheet(rows_file)
    header = sheet.header
    check_header(header)
    catalog = Catalog(catalogs)
    whole = [row for row, fault in zip(sheet.rows, sheet.faults, strict=True) if not fault]
    common.warn(name_notes(whole, catalog))
    predicted = iter(predict(whole, catalog))
    where = "stdin" if rows_file == STDIN else rows_file
    found = [
        refused(row, fault) if fault else next(predicted) for row, fault in zip(sheet.rows, sheet.faults, strict=True)
    ]
    answered = (*OUTPUTS, *INTERVALS)
    found = [row | {name: typed(name, row[name]) for name in header if name not in answered} for row in found]
    shown = answered if interval else OUTPUTS
    names = [*header, *(name for name in shown if name not in header)]
    common.show(Page(names, [PageRow(row) for row in found]), form, output, dialect)
    bad = [(number, row["error"]) for number, row in zip(sheet.numbers, found, strict=True) if row["basis"] is None]
    for number, error in bad:
        click.echo(f"error: {where}:{number}: {error}", err=True)
    click.get_current_context().exit(EXIT_BAD_INPUT if bad else 0)
