"""`planner estimate`: options of one or several questions, best first; or one answer per row of a sheet."""

from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.documents.csv_table import DIALECTS
from planner.errors import EXIT_INTERRUPTED, BadInputError
from planner.options.intervals import with_intervals
from planner.options.option import COLUMNS, INTERVAL_COLUMNS
from planner.report.answers import options_page
from planner.report.columns import choose_fields
from planner.report.registry import FORMATS


@click.command("estimate")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="NAME",
    help="Use a variant of the file; `all` for the baseline and all variants.",
)
@click.option(
    "--from",
    "sheet",
    metavar="SHEET.csv",
    help="Solve one scenario per row: headers are field paths, `scenario` names the baseline. The default "
    "--format is csv.",
)
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="Show all options, not only the best for each GPU (or for each row of a sheet).",
)
@click.option("--max", "largest", multiple=True, metavar="FIELD=X", help="Exit with 1 if the best option is above X.")
@click.option("--min", "smallest", multiple=True, metavar="FIELD=X", help="Exit with 1 if the best option is below X.")
@click.option(
    "--interval", is_flag=True, help="Add p10 and p90 of latencies, throughput, GPUs and costs (uncertainty)."
)
@click.option("--fields", metavar="A,B", help="Show only these result fields (json, csv, long-csv).")
@click.option("--dialect", type=common.Word(DIALECTS), default="plain", show_default=True, help="CSV dialect.")
@common.question_options
@common.format_option(*FORMATS)
@common.output_option
@common.notes_option
@common.catalog_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    scenarios: tuple[str, ...],
    overrides: tuple[str, ...],
    sheet: str | None,
    show_all: bool,
    largest: tuple[str, ...],
    smallest: tuple[str, ...],
    interval: bool,
    fields: str | None,
    dialect: str,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Size a fleet for a scenario: GPU type and count, cost, latency.

    SCENARIO is a file, - (stdin) or the name of a shipped scenario. The default is a worked example of
    a reasoning model.

    \b
    planner estimate
    planner estimate chat-assistant --set workload.users.count=20000 --gpu h100-sxm
    planner estimate my.yaml --format csv -o result.csv --max cost_usd_per_month=50000
    """
    catalog = Catalog(catalogs)
    sets = common.changes(**question)
    gates = common.read_gates(largest, smallest)
    known = (*COLUMNS, *(INTERVAL_COLUMNS if interval else ()))
    choose_fields(fields, known)
    if sheet is not None:
        from planner.cli.question_sheet import FORMS, answer_sheet  # noqa: PLC0415 - only a sheet needs it

        if gates or overrides:
            raise BadInputError("a sheet has no gates; name a row's variant in its `override` column", where="--from")
        if ctx.get_parameter_source("form") == click.core.ParameterSource.DEFAULT:
            form = "csv"
        if form not in FORMS:
            raise BadInputError(f"a sheet is answered as csv, json or table, not {form}", where="--format")
        page, code = answer_sheet(sheet, scenarios, catalog, sets, show_all=show_all, interval=interval, fields=fields)
        common.show(page, form, output, dialect)
        ctx.exit(code)
    questions = common.open_questions(scenarios, catalog, overrides, sets)
    answers, missing = common.answer_all(questions, catalog)
    answers = [with_intervals(a) for a in answers] if interval else answers
    shown = choose_fields(fields, known)
    page = options_page(answers, catalog, fields=shown, show_all=show_all, missing=missing)
    common.show(page, form, output, dialect)
    failed = common.check_gates(answers, gates)
    ctx.exit(EXIT_INTERRUPTED if missing else failed)
