"""`planner explain`: the chain of formulas behind one number, and the source of every input."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np

from planner.catalog.catalog import Catalog
from planner.cli import common
from planner.cli.economic import find_sheet
from planner.economics import energy, thinking
from planner.economics.page import Sheet
from planner.errors import BadInputError
from planner.explain.chain import explain, known_formulas
from planner.explain.formulas import Step, formulas, lacking, short
from planner.options.answer import Answer, answer
from planner.options.provenance import Input, file_inputs, inputs
from planner.report.as_page import word
from planner.report.columns import DIMENSIONLESS, columns
from planner.report.output import emit
from planner.scenario.load import Scenario, load_scenario

_INDENT = "  "


def render(found: Answer, field: str, steps: list[Step], sources: list[Input]) -> str:
    """Return the explanation as text: formulas first, then the inputs."""
    row, first = found.best, steps[0]
    option = " ".join(str(row[k]) for k in ("gpu", "engine", "precision", "provider", "price_tier") if row[k])
    unit = columns()[field].unit if field in columns() else ""
    title = [f"{found.scenario.label}: {field} = {_with_unit(first.value, unit)}", f"best option: {option}"]
    if not first.is_input:
        return chain([*title, ""], steps, sources)
    title[0] += f": {first.why}" if first.why else ""
    meaning = [f"meaning: {columns()[field].description}"] if field in columns() else []
    return "\n".join([*title, *meaning]) + "\n"


def _with_unit(value: Any, unit: str) -> str:
    """Return a result as the title of an explanation has it.

    >>> _with_unit(2.5, "USD/h"), _with_unit(0.5, "1"), _with_unit(math.nan, "nodes"), _with_unit(True, "")
    ('2.5 USD/h', '0.5', 'no value', 'yes')
    """
    if isinstance(value, bool | str):
        return word(value) or "none"
    missing = np.ndim(value) == 0 and math.isnan(value)
    return short(value) if missing or unit == DIMENSIONLESS else f"{short(value)} {unit}".rstrip()


def chain(title: list[str], steps: list[Step], sources: list[Input]) -> str:
    """Return the chain as text under a title: formulas first, then the inputs."""
    lines = list(title)
    for step in steps:
        if step.is_input:
            continue
        pad = _INDENT * step.depth
        lines += [
            f"{pad}{step.name} = {step.expression}",
            f"{pad}{_INDENT}= {step.substituted}",
            f"{pad}{_INDENT}= {short(step.value)}   ({step.why})",
        ]
    leaves = [f"  {step.name} = {short(step.value)}" for step in steps if step.is_input]
    lines += ["", "quantities without a formula here (docs/method.md has them, or they are inputs):", *leaves] * bool(
        leaves
    )
    lines += ["", "inputs and their sources:"]
    lines += [f"  {i.name} = {_value(i.value)}\n      {i.where}: {i.source}" for i in sources]
    return "\n".join(lines) + "\n"


def relevant(sources: list[Input], steps: list[Step]) -> list[Input]:
    """Return the inputs a chain reads: those of power and carbon only where it comes by them, quality likewise."""
    groups = {step.name.split(".")[0] for step in steps if "." in step.name}
    left_out = set() if "energy" in groups else {"energy", "grid", "assumptions"}
    left_out |= set() if "quality" in groups else {"quality"}
    return [i for i in sources if groups and i.name.split(".")[0] not in left_out]


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
    limit = 100
    return text if len(text) <= limit else text[: limit - 1] + "…"


@click.command("explain")
@click.argument("scenario", metavar="SCENARIO")
@click.argument("field", default="cost_usd_per_month", metavar="[FIELD]")
@click.option("--override", metavar="NAME", help="A variant of the file.")
@click.option(
    "--row", metavar="LABEL", help="The row of an economic question (its first without it), or the model of a router."
)
@click.option("--depth", type=click.IntRange(min=0), help="Leave out formulas deeper than this.")
@common.question_options
@common.format_option("text", "json")
@common.output_option
@common.catalog_option
def command(
    scenario: str,
    field: str,
    override: str | None,
    row: str | None,
    depth: int | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Print the chain of formulas behind a result field of the best option, with its numbers and their sources.

    A field of the scenario, or an input such as gpu.hbm_bytes_per_s, is shown with its value and source. The numbers of
    `planner thinking` and `planner energy` are explained by their names, too.
    A plan or another economic question is explained row by row: name the row with --row.

    \b
    planner explain o1-class cost_usd_per_month
    planner explain o1-class workload.reasoning_multiplier
    planner explain chatgpt-plus-2024-09 usd_per_message_exhausted --row o1-mini
    """
    catalog = Catalog(catalogs)
    asked_sheet = find_sheet(scenario, catalog, question["sets"])
    if asked_sheet is not None:
        _refuse_options(asked_sheet, {"override": override, **question})
        emit(_of_sheet(asked_sheet, field, row, depth, form), output)
        return
    whole = load_scenario(scenario, catalog, override=override, changes=common.changes(**question))
    given = _of_class(whole, field)
    if given is None:
        found = answer(common.part_of(whole, row), catalog)
        common.warn(found.warnings)
        emit(_of_answer(found, catalog, field, depth, form), output)
        click.get_current_context().exit(common.check_gates([found], ()))
    emit(_input(whole, given, form), output)


def _refuse_options(sheet: Sheet, given: Mapping[str, Any]) -> None:
    """Refuse the options of scenarios for an economic question, which takes only --set and --row."""
    wrong = [name for name, value in given.items() if value and name != "sets"]
    if wrong:
        raise BadInputError(
            f"is of scenarios; a question of `planner {sheet.command}` takes --set", where=f"--{wrong[0]}"
        )


def _of_class(scenario: Scenario, field: str) -> Input | None:
    """Return a field of a request class as the file gives it; None for other fields."""
    if not field.startswith("workload.classes["):
        return None
    return next((i for i in file_inputs(scenario.loaded) if i.name == field), None)


def _of_answer(found: Answer, catalog: Catalog, field: str, depth: int | None, form: str) -> str:
    """Return the explanation of a result field, an input, or a number of `planner thinking` or `planner energy`."""
    every = inputs(found.scenario, catalog, found.options[0], found.model)
    asked = next((i for i in every if i.name == field), None)
    if asked is not None:
        return _input(found.scenario, asked, form)
    solver = next((of for page, of in _PAGES.items() if field in formulas(page)), None)
    if solver is not None and field not in known_formulas(found) and field not in found.best:
        common.refuse_measured(found.scenario)
        sheet, label = solver(found, catalog)
        return _of_sheet(sheet, field, label, depth, form)
    steps = [s for s in explain(found, field) if depth is None or s.depth <= depth]
    sources = relevant(every, steps)
    if form == "json":
        return _json(found.scenario.label, field, steps, sources)
    return render(found, field, steps, sources)


_PAGES: dict[str, Callable[[Answer, Catalog], tuple[Sheet, str | None]]] = {
    thinking.PAGE: lambda found, catalog: (thinking.thinking(found, catalog), thinking.ASKED),
    energy.PAGE: lambda found, catalog: (energy.energy([found], catalog), None),
}
"""Page -> the sheet that is made of it for an answer, and the row that is explained."""


def _input(scenario: Scenario, one: Input, form: str) -> str:
    if form == "json":
        return _json(scenario.label, one.name, [], [one])
    return f"{scenario.label}: {one.name} = {_value(one.value)}\n{one.where}: {one.source}\n"


def _number(value: Any) -> Any:
    """Return a value as JSON has it: null where it is no number, a list where there is one for each year."""
    if isinstance(value, bool | str):
        return value
    return list(map(_number, value)) if np.ndim(value) else float(value) if math.isfinite(value) else None


def _json(label: str, field: str, steps: list[Step], sources: list[Input]) -> str:
    chain = [
        {
            "name": s.name,
            "depth": s.depth,
            "value": _number(s.value),
            "expression": s.expression or None,
            "with_numbers": s.substituted or None,
            "why": s.why or None,
        }
        for s in steps
    ]
    found = {"scenario": label, "field": field, "steps": chain, "inputs": [i.row() for i in sources]}
    return json.dumps(found, indent=2, ensure_ascii=False, default=str) + "\n"


def _of_sheet(sheet: Sheet, field: str, row: str | None, depth: int | None, form: str) -> str:
    """Return the explanation of a number of an economic question."""
    line = sheet.line(row)
    steps = [s for s in sheet.explain(field, line.label) if depth is None or s.depth <= depth]
    label, sources = f"{sheet.question.spec.name}, {line.label}", list(sheet.provenance)
    if form == "json":
        return _json(label, field, steps, sources)
    unit = sheet.page[field].unit if field in sheet.page else ""
    lacks = [name for name in lacking(field, sheet.page, line.values) if name != field]
    because = f": {', '.join(lacks)} not known" if lacks else ""
    why = [f"  {text}" for text in sheet.verdict] if because or steps[0].is_input else []
    return chain([f"{label}: {field} = {_with_unit(steps[0].value, unit)}{because}", *why, ""], steps, sources)
