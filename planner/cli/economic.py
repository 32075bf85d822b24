"""What the economic commands share: options, opening the question, output."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from planner.cli import common
from planner.economics.registry import QUESTIONS, kinds_of
from planner.economics.sheet import Sheet
from planner.errors import EXIT_GATE_FAILED
from planner.report.as_csv import DIALECTS
from planner.report.as_sheet import FORMATS, render
from planner.report.document import choose_fields
from planner.report.output import emit
from planner.specs.asked import load_asked, load_document, open_asked
from planner.specs.base import Loaded
from planner.specs.catalog import Catalog
from planner.specs.json_schema import spec_of
from planner.specs.kinds import is_scenario, wrong_kind
from planner.specs.reader import exists, read_document


def output_options(function: common.F) -> common.F:
    """Add the options that say which columns go where in which form."""
    for option in reversed(
        (
            click.option("--fields", metavar="A,B", help="Only these columns (json, csv, long-csv)."),
            click.option(
                "--dialect",
                type=common.Word(DIALECTS),
                default="plain",
                show_default=True,
                help="CSV for a spreadsheet.",
            ),
            common.format_option(*FORMATS),
            common.output_option,
            common.catalog_option,
        )
    ):
        function = option(function)
    return function


def parted(chosen: Mapping[str, Any]) -> tuple[Catalog, dict[str, Any], dict[str, Any]]:
    """Return (catalogue, options that change the question, options that say how it is shown)."""
    shown = {name: chosen[name] for name in ("fields", "dialect", "form", "output")}
    question = {name: value for name, value in chosen.items() if name not in shown and name != "catalogs"}
    return Catalog(chosen["catalogs"]), question, shown


def options(function: common.F) -> common.F:
    """Add the options of an economic command."""
    return common.set_option(output_options(function))


def is_question(command: str, name: str, catalog: Catalog) -> bool:
    """Return whether a name is a shipped question of a command, or a file of that kind."""
    kind, path = QUESTIONS[command], Path(name)
    is_file = path.suffix in {".yaml", ".yml", ".json"} and exists(path)
    return name in catalog.files(kind.folder) or (is_file and spec_of(read_document(path)) is kind.spec)


def find_sheet(name: str, catalog: Catalog, sets: Sequence[str]) -> Sheet | None:
    """Return the answer to an economic question by shipped name or file; None where the name is of something else."""
    for command, kind in QUESTIONS.items():
        if is_question(command, name, catalog):
            return kind.solve(load_asked(kind.spec, kind.folder, name, catalog, common.read_sets(sets)), catalog)
    return None


def answer(
    command: str,
    name: str,
    sets: tuple[str, ...],
    fields: str | None,
    dialect: str,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    view: Callable[[Sheet], Sheet] | None = None,
    solver: Callable[[Loaded[Any], Catalog], Sheet] | None = None,
) -> Sheet:
    """Answer an economic question, print it or a view of it, and return it; the fields of a file say its kind.

    `solver` answers another question about the same file.
    """
    catalog, kinds = Catalog(catalogs), kinds_of(command)
    document = open_asked([kind.folder for kind in kinds], name, catalog)
    spec = spec_of(document)
    if is_scenario(document) or (spec and not any(kind.spec is spec for kind in kinds)):
        raise wrong_kind(document, f"a file for `planner {command}`")
    kind = next((kind for kind in kinds if kind.spec is spec), kinds[0])
    sheet = (solver or kind.solve)(load_document(kind.spec, document, common.read_sets(sets)), catalog)
    show(view(sheet) if view else sheet, fields, dialect, form, output)
    return sheet


def show(sheet: Sheet, fields: str | None, dialect: str, form: str, output: str | None) -> None:
    """Print a sheet, its warnings on stderr; exits with 1 where its answer is no."""
    shown = choose_fields(fields, sheet.columns)
    common.warn(sheet.warnings)
    emit(render(sheet, form, shown, dialect), output)
    if sheet.failed:
        for line in sheet.failed:
            click.echo(f"error: {line}", err=True)
        click.get_current_context().exit(EXIT_GATE_FAILED)
