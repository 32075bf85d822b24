"""`planner compare`: questions, or the variants of one, side by side."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.catalog.kinds import BY_WORD
from planner.cli import common, economic
from planner.documents import csv_table
from planner.errors import EXIT_GATE_FAILED, EXIT_INTERRUPTED, BadInputError, DataMissingError
from planner.options.answer import Answer
from planner.options.ranking import Row
from planner.report import as_json
from planner.report.as_table import render_grid
from planner.report.document import choose_fields
from planner.report.output import emit
from planner.report.summary import layout, offer
from planner.wording import count, money, seconds, share, times

_ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("best option", lambda r: f"{count(r['gpus'])} × {r['gpu']}"),
    ("layout", lambda r: f"{layout(r)}, {r['precision'] or '–'}"),
    ("offer", offer),
    ("$ a month", lambda r: money(r["cost_usd_per_month"])),
    ("$ an answer", lambda r: money(r["cost_usd_per_answer"])),
    ("$ an answer, used", lambda r: money(r["cost_usd_per_answer_used"])),
    ("$ per correct answer", lambda r: money(r["cost_usd_per_correct_answer"])),
    ("$ per M output tokens", lambda r: money(r["cost_usd_per_mtok_output"])),
    ("tokens generated", lambda r: count(r["generated_tokens_per_answer"])),
    ("GPU-seconds an answer", lambda r: seconds(r["gpu_seconds_per_answer"])),
    ("tokens, thinking", lambda r: times(r["reasoning_multiplier"])),
    ("GPU time, thinking", lambda r: times(r["gpu_time_multiplier"])),
    ("GPU-hours used", lambda r: share(r["utilization"])),
    ("TTFT p95", lambda r: seconds(r["ttft_p95_s"])),
    ("TPOT p95", lambda r: seconds(r["tpot_p95_s"])),
    ("first visible token p95", lambda r: seconds(r["time_to_answer_p95_s"])),
    ("end to end p95", lambda r: seconds(r["e2e_p95_s"])),
    ("Wh an answer", lambda r: "–" if r["energy_wh_per_answer"] is None else f"{r['energy_wh_per_answer']:.3g}"),
    ("meets the SLO", lambda r: "yes" if r["meets_slo"] else f"no ({r['limit']})"),
)
_RATIOS = ("cost_usd_per_month", "cost_usd_per_answer_used", "gpu_seconds_per_answer", "generated_tokens_per_answer")


NOT_HELD = (
    "rows with `relative`: the best option of each question, searched anew: GPU, layout and offer may differ; "
    "rows with `thinking`: one option with and without thinking, all else held constant, as in `planner thinking`"
)
"""Why two rows of the table give two ratios."""


def grid(best: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the comparison; the last rows are ratios to the first question."""
    rows = [[name, *(show(one) for one in best)] for name, show in _ROWS]
    first = best[0]
    for name in _RATIOS:
        cells = [times(one[name] / first[name]) if one[name] and first[name] else "–" for one in best]
        rows.append([f"{name}, relative", *cells])
    labels = [one["scenario"] for one in best]
    names = [f"{of} {one['model']}" if labels.count(of) > 1 else of for of, one in zip(labels, best, strict=True)]
    return ["", *names], rows


def reach(answers: list[Answer], accuracy: float) -> tuple[list[Answer], list[str], bool]:
    """Return the answers right often enough, cheapest first, the verdict in words, and whether there is one.

    All of them, most accurate first, where none is. Raises DataMissingError where no scenario says an accuracy.
    """
    if routed := [a.scenario.label for a in answers if a.scenario.router is not None]:
        raise BadInputError(f"{routed[0]} routes between models, each with its own accuracy", where="--target")
    known = [a for a in answers if a.best["accuracy"] is not None]
    silent = [a.scenario.label for a in answers if a.best["accuracy"] is None]
    if not known:
        raise DataMissingError(
            f"{', '.join(silent)}: no quality.accuracy is given; expected one to compare", where="--target"
        )
    left_out = [f"left out, for they say no quality.accuracy: {', '.join(silent)}"] * bool(silent)
    good = [a for a in known if a.best["accuracy"] >= accuracy and a.best["meets_slo"]]
    if not good:
        best = sorted(known, key=lambda a: -a.best["accuracy"])
        slow = " within its SLO" * any(a.best["accuracy"] >= accuracy for a in known)
        text = f"nothing reaches {accuracy:.1%} right{slow}; the best is {_right(best[0])}"
        return best, [text, *left_out], False
    good.sort(key=lambda a: math.inf if a.best["cost_usd_per_answer"] is None else a.best["cost_usd_per_answer"])
    return good, [f"cheapest with {accuracy:.1%} right: {_right(good[0])}", *left_out], True


def _right(found: Answer) -> str:
    row = found.best
    each, correct = money(row["cost_usd_per_answer"]), money(row["cost_usd_per_correct_answer"])
    return f"{found.scenario.label}: {row['accuracy']:.1%} right, {each} an answer, {correct} per correct answer"


@click.command("compare")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option(
    "--override", "overrides", multiple=True, metavar="NAME", help="Variants to compare; without it one file's all."
)
@click.option("--fields", metavar="A,B", help="Only these result fields (json, csv).")
@common.target_option
@common.question_options
@common.format_option("table", "json", "csv")
@common.output_option
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
    """Compare the best option of several questions, or of one question and its variants.

    With --target only those whose quality.accuracy reaches it, cheapest answer first; exit 1 where none does.
    A question of `planner quality` is answered here too: models, efforts and samples on one benchmark.

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
        economic.answer("quality", scenarios[0], sets, fields, "plain", form, output, catalogs)
        return
    wanted = overrides or (("all",) if len(scenarios) == 1 else ())
    shown = choose_fields(fields)
    questions = common.open_questions(scenarios, catalog, wanted, common.changes(**question))
    answers, missing = common.answer_all(questions, catalog)
    verdict: list[str] = []
    reached = True
    if wanted_accuracy is not None:
        answers, verdict, reached = reach(answers, wanted_accuracy)
    report = common.make_report(answers, catalog, fields=shown, show_all=True, missing=missing)
    best = [*(a.best for a in answers), *report.totals]
    common.warn([*([] if form == "table" else verdict), *report.warnings])
    if form == "table":
        lines = "".join(f"{line}\n" for line in verdict)
        note = NOT_HELD if len(best) > 1 else ""
        emit(lines + render_grid(*grid(best)) + (f"{note}\n" if note else ""), output)
    elif form == "csv":
        emit(csv_table.write(report.fields, ([row.get(n) for n in report.fields] for row in best)), output)
    else:
        emit(as_json.render(replace(report, rows=best)), output)
    failed = common.check_gates(answers, ()) if reached else EXIT_GATE_FAILED
    click.get_current_context().exit(EXIT_INTERRUPTED if missing else failed)
