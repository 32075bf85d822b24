"""Answers as pages: every option of some questions, or the best option of each side by side."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner.catalog.catalog import Catalog
from planner.options.answer import Answer
from planner.options.option import COLUMNS, INTERVAL_COLUMNS, Option
from planner.options.provenance import inputs, scenario_inputs
from planner.options.router import totals
from planner.report.page import Page, PageRow, Section, Table
from planner.report.quantities import COMPARED, OPTIONS, columns_of
from planner.report.summary import all_models, best_per_gpu, footnotes, question, verdict
from planner.wording import times

_SHOWN_OPTIONS = 12
_LAYOUT_PARTS = (("TP", "tensor"), ("PP", "pipeline"), ("EP", "expert"), ("DP", "data"))
_OPTION_PARTS = ("gpu", "engine", "precision", "provider", "price_tier", "region")
_RATIOS = {
    "$/month": "cost_usd_per_month",
    "used $/answer": "cost_usd_per_answer_used",
    "GPU-seconds/answer": "gpu_seconds_per_answer",
    "tokens generated": "generated_tokens_per_answer",
}
"""Quantities that a comparison also shows as multiples of the first question's."""
_NOT_HELD = (
    "rows with `relative`: the best option of each question, searched anew: GPU, layout and offer may differ; "
    "rows with `thinking`: one option with and without thinking, all else held constant, as in `planner thinking`"
)
"""Why two rows of a comparison give two ratios."""
_NAMED = 2
"""Up to so many questions are named one by one where a warning is about all."""


def options_page(
    answers: Sequence[Answer], catalog: Catalog, *, fields: Sequence[str], show_all: bool, missing: Sequence[str] = ()
) -> Page:
    """Return the page of all options of some answers; `missing` says in words what else was asked."""
    of_routers = totals(answers)
    sections = [_section(answer, show_all=show_all) for answer in answers]
    rows = [row for a in answers for row in a.results] + of_routers
    return _page(answers, catalog, fields, rows, missing, sections, [all_models(row) for row in of_routers])


def comparison_page(
    answers: Sequence[Answer],
    catalog: Catalog,
    *,
    fields: Sequence[str],
    said: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Page:
    """Return the page of the best option of each answer, with a verdict in words; ratios are to the first."""
    best = [*(a.best for a in answers), *totals(answers)]
    labels = [option.scenario for option in best]
    names = [f"{of} {o.model}" if labels.count(of) > 1 else of for of, o in zip(labels, best, strict=True)]
    quantities = columns_of(best, COMPARED)
    for column in [c for c in quantities if c.title in _RATIOS]:
        values = [option[_RATIOS[column.title]] for option in best]
        cells = [times(value / values[0]) if value and values[0] else "–" for value in values]
        quantities.append(replace(column, title=f"{column.title}, relative", cells=cells))
    notes = [_NOT_HELD] if len(best) > 1 else []
    section = Section(verdict=said, table=Table(quantities, names, sideways=True), notes=notes)
    return _page(answers, catalog, fields, best, missing, [section])


def _page(
    answers: Sequence[Answer],
    catalog: Catalog,
    fields: Sequence[str],
    options: Sequence[Option],
    missing: Sequence[str],
    sections: Sequence[Section],
    said: Sequence[str] = (),
) -> Page:
    provenance = [
        {"scenario": a.scenario.label, **i.row()}
        for a in answers
        for i in inputs(a.scenario, catalog, a.options[0], a.model)
    ]
    known = COLUMNS | INTERVAL_COLUMNS
    beside = {f"{name}_{end}" for name in fields for end in ("p10", "p90")}
    units = {name: known[name].unit for name in fields if name in known and name not in beside}
    found = [PageRow(o.row(), o.scenario, _label(o), o.basis, o.price_source) for o in options]
    warnings = [*missing, *all_warnings(answers)]
    return Page(fields, found, sections, said, units, warnings, asked(answers), provenance)


def asked(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return what was asked: each question's file and fields, given or assumed."""
    return [
        {
            "scenario": a.scenario.label,
            "file": a.scenario.loaded.document.where,
            "fields": {i.name: i.value for i in scenario_inputs(a.scenario)},
        }
        for a in answers
    ]


def all_warnings(answers: Sequence[Answer]) -> list[str]:
    """Return the warnings of some answers, each once, with the names of the questions it is about."""
    about: dict[str, list[str]] = {}
    for found in answers:
        for text in found.warnings:
            about.setdefault(text, []).append(found.scenario.label)
    everyone = len(dict.fromkeys(a.scenario.label for a in answers))
    return [
        type(text)(f"{'all' if len(names) == everyone > _NAMED else ', '.join(dict.fromkeys(names))}: {text}")
        for text, names in about.items()
    ]


def _label(option: Option) -> str:
    """Return how an option is told from the others in one text."""
    label = " ".join(option[part] for part in _OPTION_PARTS if option[part])
    for pool, words in (("", ""), ("prefill_", " prefill")):
        if option[f"{pool}tensor_parallel"] is not None:
            label += words + "".join(f" {short}{option[f'{pool}{name}_parallel']}" for short, name in _LAYOUT_PARTS)
    return label


def _section(answer: Answer, *, show_all: bool) -> Section:
    rows = answer.results if show_all else best_per_gpu(answer)
    most = None if show_all else _SHOWN_OPTIONS
    return Section(
        answer.scenario.label,
        answer.scenario.spec.title or "",
        question(answer),
        verdict(answer),
        Table(columns_of(rows, OPTIONS), most=most, of_what="GPUs that work") if rows else None,
        footnotes(answer),
        answer.warnings,
    )
