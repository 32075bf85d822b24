"""`planner memory`: what a replica's GPUs hold, whether the engine starts, and the longest request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.documents.csv_table import read_sheet
from planner.documents.yaml_reader import read_text
from planner.errors import EXIT_BAD_INPUT, EXIT_GATE_FAILED, EXIT_OK, BadInputError, unknown
from planner.loadtest.lookups import Names
from planner.loadtest.memory_plan import INPUTS, RESULTS, check_header, plan_row, plan_rows
from planner.loadtest.startup_log import StartupLog, read_startup_log
from planner.report.memory import beside_log, one_plan, plans
from planner.report.page import Page, PageRow, Section

_OPTIONS = {
    "model": ("--model", "MODEL", "Catalogue id, Hugging Face id, spec file or config.json."),
    "gpu": ("--gpu", "GPU", "Catalogue id; without one, the fewest of each GPU that start."),
    "tensor_parallel": ("--tp", "N", "Tensor parallelism; without one, the smallest that starts."),
    "pipeline_parallel": ("--pp", "N", "Pipeline parallelism."),
    "data_parallel": ("--dp", "N", "Attention data parallelism."),
    "expert_parallel": ("--ep", "N", "Expert parallelism."),
    "engine": ("--engine", "ENGINE", "vllm (default), sglang or trtllm."),
    "engine_version": ("--engine-version", "VERSION", "Release of the engine; by default the newest known."),
    "precision": ("--precision", "FORMAT", "Format of the weights; by default as published."),
    "kv_precision": ("--kv-precision", "FORMAT", "Format of the KV cache; by default bf16."),
}
_FORMS = ("table", "csv", "json")


def _row_options(function: Any) -> Any:
    for name, (flag, metavar, help_text) in reversed(_OPTIONS.items()):
        function = click.option(flag, name, metavar=metavar, help=help_text)(function)
    return function


@click.command("memory")
@click.argument("rows_file", metavar="[ROWS.csv]", required=False)
@_row_options
@click.option("--log", "log_file", metavar="FILE", help="Start-up log of vLLM or SGLang: planned beside logged.")
@click.option("--set", "sets", multiple=True, metavar="SETTING=VALUE", help="Engine setting, e.g. max_model_len=32768.")
@common.format_option(*_FORMS)
@common.output_option
@common.catalog_option
def command(
    *,
    rows_file: str | None,
    log_file: str | None,
    sets: tuple[str, ...],
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **options: str | None,
) -> None:
    """Show what a model takes of each GPU, how long requests may be, and whether the engine starts.

    Exit code 1 where nothing starts.

    \b
    planner memory --model llama-3.1-8b --gpu l4
    planner memory --model path/config.json
    planner memory ROWS.csv -o planned.csv
    planner memory --log server.log --gpu h100-sxm
    """
    row = {name: value for name, value in options.items() if value is not None} | _settings(sets)
    if sum(source is not None for source in (rows_file, log_file)) > 1:
        raise BadInputError("ROWS.csv and --log are given together; expected one of them")
    catalog = Catalog(catalogs)
    if rows_file is not None:
        if row:
            raise BadInputError(f"{next(iter(row))} is given beside {rows_file}; expected it as a column there")
        code = _show_sheet(rows_file, catalog, form, output)
    else:
        log = read_startup_log(read_text(Path(log_file)).splitlines(), log_file) if log_file else None
        code = _show_row(({"engine": log.engine} | dict(log.settings) if log else {}) | row, log, catalog, form, output)
    click.get_current_context().exit(code)


def _settings(sets: tuple[str, ...]) -> dict[str, str]:
    """Return the settings of --set by name. Raises BadInputError for one that engines do not have."""
    found = {}
    for text in sets:
        name, equals, value = text.partition("=")
        name = name.strip().removeprefix("engine_settings.")
        if not equals:
            raise BadInputError(f"{text!r} has no value; expected SETTING=VALUE", where="--set")
        if name not in INPUTS:
            raise BadInputError(unknown("setting", name, INPUTS), where="--set")
        found[name] = value.strip()
    return found


def _show_row(row: Mapping[str, Any], log: StartupLog | None, catalog: Catalog, form: str, output: str | None) -> int:
    if not row.get("model"):
        raise BadInputError("no model is given; expected --model, e.g. --model llama-3.1-8b, or ROWS.csv or --log")
    rows = plan_row(row, Names(catalog), catalog)
    if log is not None and row.get("gpu"):
        section = beside_log(rows[0], log)
        rows = [rows[0] | {f"logged_{name}": one.value for name, one in log.logged.items()}]
    else:
        section = one_plan(rows[0]) if row.get("gpu") else plans(rows)
    _show(rows, [name for name in INPUTS if any(name in one for one in rows)], section, form, output)
    return EXIT_OK if any(one["starts"] for one in rows) or log else EXIT_GATE_FAILED


def _show_sheet(rows_file: str, catalog: Catalog, form: str, output: str | None) -> int:
    sheet = read_sheet(rows_file)
    check_header(sheet.header)
    planned = [
        [{**row, **dict.fromkeys(RESULTS), "error": fault}] if fault else plan_rows([row], catalog)
        for row, fault in zip(sheet.rows, sheet.faults, strict=True)
    ]
    for number, rows in zip(sheet.numbers, planned, strict=True):
        if rows[0]["error"]:
            click.echo(f"error: {rows_file}:{number}: {rows[0]['error']}", err=True)
    rows = [row for some in planned for row in some]
    names = [*sheet.header, *(name for name in INPUTS if name not in sheet.header and any(name in r for r in rows))]
    _show(rows, [name for name in names if name not in RESULTS], plans(rows), form, output)
    return EXIT_BAD_INPUT if any(row["error"] for row in rows) else EXIT_OK


def _show(rows: list[dict[str, Any]], inputs: list[str], section: Section, form: str, output: str | None) -> None:
    logged = dict.fromkeys(name for row in rows for name in row if name.startswith("logged_"))
    fields = [*inputs, *RESULTS, *logged]
    filled = [PageRow(dict.fromkeys(fields) | row) for row in rows]
    common.show(Page(fields, filled, [section], units=RESULTS), form, output)
