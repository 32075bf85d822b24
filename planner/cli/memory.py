"""`planner memory`: what a replica's GPUs hold, whether the engine starts, and the longest request."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.catalog.engine_settings import EngineSettings
from planner.cli import common
from planner.cli.question_sheet import typed
from planner.documents.csv_table import read_sheet
from planner.documents.text_file import STDIN, read_lines
from planner.errors import EXIT_BAD_INPUT, EXIT_GATE_FAILED, EXIT_OK, BadInputError, unknown
from planner.loadtest.lookups import Names
from planner.loadtest.memory_plan import INPUTS, RESULTS, check_header, plan_row, plan_rows
from planner.loadtest.startup_log import read_startup_log
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
    elif log_file is not None:
        code = _show_log(log_file, row, catalog, form, output)
    else:
        code = _show_row(row, catalog, form, output)
    click.get_current_context().exit(code)


def _settings(sets: tuple[str, ...]) -> dict[str, str]:
    """Return the settings of --set by name.

    Raises BadInputError for one that engines do not have, or that has two values.
    """
    found: dict[str, str] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        name, value = name.strip().removeprefix("engine_settings."), value.strip()
        if not equals:
            raise BadInputError(f"{text!r} has no value; expected SETTING=VALUE", where="--set")
        if name in _OPTIONS:
            raise BadInputError(f"{name} is no engine setting; expected {_OPTIONS[name][0]}", where="--set")
        if name not in EngineSettings.model_fields:
            raise BadInputError(unknown("setting", name, EngineSettings.model_fields), where="--set")
        if found.setdefault(name, value) != value:
            raise BadInputError(f"{name} is {found[name]} and {value}; expected one of them", where="--set")
    return found


def _show_row(row: Mapping[str, Any], catalog: Catalog, form: str, output: str | None) -> int:
    if not row.get("model"):
        raise BadInputError("no model is given; expected --model, e.g. --model llama-3.1-8b, or ROWS.csv or --log")
    rows = plan_row(row, Names(catalog), catalog)
    _show(rows, one_plan(rows[0]) if row.get("gpu") else plans(rows), form, output)
    return _exit_code(rows)


def _show_log(log_file: str, asked: Mapping[str, str], catalog: Catalog, form: str, output: str | None) -> int:
    """Show the plan of what a log says beside it. Raises BadInputError for options that say otherwise."""
    where = "stdin" if log_file == STDIN else log_file
    log = read_startup_log(read_lines(log_file, "the start-up log of an engine"), where)
    stated = {"engine": log.engine, **log.settings}
    for name, value in asked.items():
        if name not in _NAMED_OTHERWISE and stated.get(name, value) != value:
            raise BadInputError(f"{name} is {value}, and {where} says {stated[name]}; expected it once")
    row = stated | dict(asked)
    for name, what in (("model", "model"), ("gpu", "GPU")):
        if not row.get(name):
            raise BadInputError(f"does not say which {what} it is of; expected --{name}", where=where)
    (plan,) = plan_row(row, Names(catalog), catalog)
    logged = {f"logged_{name}": one.value for name, one in log.logged.items()}
    _show([plan | logged], beside_log(plan, log), form, output)
    return _exit_code([plan])


_NAMED_OTHERWISE = ("model", "engine_version")
"""What a log may call by a name that the catalogue does not know, a path or a build."""


def _exit_code(rows: Sequence[Mapping[str, Any]]) -> int:
    return EXIT_OK if any(one["starts"] for one in rows) else EXIT_GATE_FAILED


def _show_sheet(rows_file: str, catalog: Catalog, form: str, output: str | None) -> int:
    sheet = read_sheet(rows_file)
    check_header(sheet.header)
    planned = [
        [{**row, **dict.fromkeys(RESULTS), "error": fault}] if fault else plan_rows([row], catalog)
        for row, fault in zip(sheet.rows, sheet.faults, strict=True)
    ]
    where = "stdin" if rows_file == STDIN else rows_file
    for number, rows in zip(sheet.numbers, planned, strict=True):
        if rows[0]["error"]:
            click.echo(f"error: {where}:{number}: {rows[0]['error']}", err=True)
    rows = [row for some in planned for row in some]
    _show(rows, plans(rows), form, output, sheet.header)
    return EXIT_BAD_INPUT if any(row["error"] for row in rows) else EXIT_OK


def _show(
    rows: list[dict[str, Any]], section: Section, form: str, output: str | None, header: Sequence[str] = ()
) -> None:
    """Show plans: the columns of a sheet, the other inputs that a plan states, results, what a log says."""
    others = [name for name in INPUTS if name not in header and any(name in row for row in rows)]
    inputs = [name for name in (*header, *others) if name not in RESULTS]
    logged = dict.fromkeys(name for row in rows for name in row if name.startswith("logged_"))
    fields = [*inputs, *RESULTS, *logged]
    repeated = [{name: typed(name, v) if isinstance(v := row.get(name), str) else v for name in inputs} for row in rows]
    filled = [PageRow(dict.fromkeys(fields) | row | given) for row, given in zip(rows, repeated, strict=True)]
    common.show(Page(fields, filled, [section], units=RESULTS), form, output)
