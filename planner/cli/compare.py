"""`planner compare`: questions, or the variants of one, side by side."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from planner.cli import common
from planner.errors import EXIT_INTERRUPTED
from planner.options import Row
from planner.report import as_csv, as_json
from planner.report.as_table import render_grid
from planner.report.document import choose_fields
from planner.report.output import emit
from planner.report.summary import layout, offer
from planner.specs.catalog import Catalog
from planner.words import count, money, seconds, share, times

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


@click.command("compare")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option(
    "--override", "overrides", multiple=True, metavar="NAME", help="Variants to compare; without it one file's all."
)
@click.option("--fields", metavar="A,B", help="Only these result fields (json, csv).")
@common.question_options
@common.format_option("table", "json", "csv")
@common.output_option
@common.catalog_option
def command(
    scenarios: tuple[str, ...],
    overrides: tuple[str, ...],
    fields: str | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Compare the best option of several questions, or of one question and its variants.

    \b
    planner compare o1-class gpt-4o-class
    planner compare o1-class
    """
    catalog = Catalog(catalogs)
    wanted = overrides or (("all",) if len(scenarios) == 1 else ())
    shown = choose_fields(fields)
    questions = common.open_questions(scenarios, catalog, wanted, common.changes(**question))
    answers, missing = common.answer_all(questions, catalog)
    report = common.make_report(answers, catalog, fields=shown, show_all=True, missing=missing)
    best = [*(a.best for a in answers), *report.totals]
    common.warn(report.warnings)
    if form == "table":
        emit(render_grid(*grid(best)), output)
    elif form == "csv":
        emit(as_csv.write(report.fields, ([row.get(n) for n in report.fields] for row in best)), output)
    else:
        emit(as_json.render(replace(report, rows=best)), output)
    failed = common.check_gates(answers, ())
    click.get_current_context().exit(EXIT_INTERRUPTED if missing else failed)
