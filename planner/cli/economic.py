"""What the economic commands share: options, opening the question, output."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.catalog.kinds import Kind, kind_of, questions_of, wrong_kind
from planner.cli import common
from planner.documents.csv_table import DIALECTS
from planner.documents.spec import Loaded
from planner.documents.text_file import exists
from planner.documents.yaml_reader import read_document
from planner.economics.page import QuestionResult
from planner.economics.questions.asked import load_asked, load_document, open_asked
from planner.errors import EXIT_GATE_FAILED
from planner.report.columns import choose_fields
from planner.report.questions import question_page
from planner.report.registry import FORMATS


def output_options(function: common.F) -> common.F:
    """Add the options that say which columns go where in which form."""
    for option in reversed(
        (
            click.option("--fields", metavar="A,B", help="Show only these columns (json, csv, long-csv)."),
            click.option(
                "--dialect",
                type=common.Word(DIALECTS),
                default="plain",
                show_default=True,
                help="CSV dialect.",
            ),
            common.format_option(*FORMATS),
            common.output_option,
            common.notes_option,
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


def is_question(kind: Kind, name: str, catalog: Catalog) -> bool:
    """Return whether a name is a shipped question of a kind, or a file of that kind."""
    path = Path(name)
    is_file = path.suffix in {".yaml", ".yml", ".json"} and exists(path)
    return name in catalog.files(str(kind.folder)) or (is_file and kind_of(read_document(path)) is kind)


def find_result(name: str, catalog: Catalog, sets: Sequence[str]) -> QuestionResult | None:
    """Return the answer to an economic question by shipped name or file; None where the name is of something else."""
    for kind in questions_of():
        if is_question(kind, name, catalog):
            spec: type[Any] = kind.spec
            question = load_asked(spec, str(kind.folder), name, catalog, common.read_sets(sets))
            result: QuestionResult = kind.solve(question, catalog)
            return result
    return None


def answer(
    command: str,
    name: str,
    sets: Sequence[str],
    catalogs: Sequence[str],
    view: Callable[[QuestionResult], QuestionResult] | None = None,
    solver: Callable[[Loaded[Any], Catalog], QuestionResult] | None = None,
    **shown: Any,
) -> QuestionResult:
    """Answer an economic question, print it or a view of it, and return it; the fields of a file say its kind.

    `solver` answers another question about the same file; `shown` is how `show` prints it.
    """
    catalog, kinds = Catalog(catalogs), questions_of(command)
    document = open_asked([str(kind.folder) for kind in kinds], name, catalog)
    found = kind_of(document)
    if found not in {None, *kinds}:
        raise wrong_kind(document, f"a file for `planner {command}`")
    kind = found or kinds[0]
    result = (solver or kind.solve)(load_document(kind.spec, document, common.read_sets(sets)), catalog)
    show(view(result) if view else result, **shown)
    return result


def show(result: QuestionResult, fields: str | None, form: str, output: str | None, dialect: str = "plain") -> None:
    """Print a result; exits with 1 where its answer is no."""
    common.show(question_page(result, choose_fields(fields, result.columns)), form, output, dialect)
    if result.failed:
        click.get_current_context().exit(EXIT_GATE_FAILED)
