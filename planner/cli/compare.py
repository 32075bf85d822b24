"""`planner compare`: questions, or the variants of one, side by side."""

import math
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.catalog.kinds import BY_WORD
from planner.cli import common, economic
from planner.errors import EXIT_GATE_FAILED, EXIT_INTERRUPTED, BadInputError, DataMissingError
from planner.options.answer import Answer
from planner.report.answers import comparison_page
from planner.report.columns import choose_fields
from planner.report.registry import FORMATS
from planner.wording import money


def reach(answers: list[Answer], accuracy: float) -> tuple[list[Answer], list[str], bool]:
    """Return the answers right often enough, cheapest first, the verdict in words, and whether there is one.

    All of them, most accurate first, where none is. Raises DataMissingError where no scenario says an accuracy.
    """
    if routed := [a.scenario.label for a in answers if a.scenario.router is not None]:
        raise BadInputError(f"{routed[0]} routes between models, each with its own accuracy", where="--target")
    known = [(a.best.accuracy, a) for a in answers if a.best.accuracy is not None]
    silent = [a.scenario.label for a in answers if a.best.accuracy is None]
    if not known:
        raise DataMissingError(
            f"{', '.join(silent)}: no quality.accuracy is given; expected one to compare", where="--target"
        )
    left_out = [f"not compared, no quality.accuracy: {', '.join(silent)}"] * bool(silent)
    good = [a for right, a in known if right >= accuracy and a.best.meets_slo]
    if not good:
        best = [a for _, a in sorted(known, key=lambda pair: -pair[0])]
        slow = " within its SLO" * any(right >= accuracy for right, _ in known)
        text = f"nothing reaches {accuracy:.1%} accuracy{slow}; the best is {_right(best[0])}"
        return best, [text, *left_out], False
    good.sort(key=lambda a: math.inf if a.best.cost_usd_per_answer is None else a.best.cost_usd_per_answer)
    return good, [f"cheapest at {accuracy:.1%} accuracy: {_right(good[0])}", *left_out], True


def _right(found: Answer) -> str:
    best = found.best
    each, correct = money(best.cost_usd_per_answer), money(best.cost_usd_per_correct_answer)
    return f"{found.scenario.label}: {best.accuracy:.1%} right, {each} an answer, {correct} per correct answer"


@click.command("compare")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="NAME",
    help="Variant to compare; by default all variants of a single file.",
)
@click.option("--fields", metavar="A,B", help="Show only these result fields (json, csv).")
@common.target_option
@common.question_options
@common.format_option(*FORMATS)
@common.output_option
@common.notes_option
@common.catalog_option
def command(
    scenarios: tuple[str, ...],
    overrides: tuple[str, ...],
    fields: str | None,
    target: str | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Compare the best options of several scenarios, or of a scenario and its variants.

    With --target, show only those whose quality.accuracy reaches it, cheapest first; exit with 1 if none does.
    A question for `planner quality` is accepted, too: models, efforts and samples on a benchmark.

    \b
    planner compare o1-class gpt-4o-class
    planner compare o1-class
    planner compare logic-puzzles --target accuracy=0.9
    """
    catalog = Catalog(catalogs)
    wanted_accuracy = None if target is None else common.read_target(target)
    if len(scenarios) == 1 and economic.is_question(BY_WORD["quality"], scenarios[0], catalog):
        only = [name for name, value in {**question, "override": overrides}.items() if value and name != "sets"]
        if only:
            raise BadInputError("is of scenarios; a question of `planner quality` takes --set", where=f"--{only[0]}")
        sets = question["sets"] + (() if target is None else (f"target.accuracy={wanted_accuracy}",))
        economic.answer("quality", scenarios[0], sets, catalogs, fields=fields, form=form, output=output)
        return
    wanted = overrides or (("all",) if len(scenarios) == 1 else ())
    shown = choose_fields(fields)
    questions = common.open_questions(scenarios, catalog, wanted, common.changes(**question))
    answers, missing = common.answer_all(questions, catalog)
    verdict: list[str] = []
    reached = True
    if wanted_accuracy is not None:
        answers, verdict, reached = reach(answers, wanted_accuracy)
    page = comparison_page(answers, catalog, fields=shown, said=verdict, missing=missing)
    common.show(page, form, output)
    for line in verdict if form not in {"table", "markdown"} else ():
        click.echo(line, err=True)
    failed = common.check_gates(answers, ()) if reached else EXIT_GATE_FAILED
    click.get_current_context().exit(EXIT_INTERRUPTED if missing else failed)
