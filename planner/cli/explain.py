"""`planner explain`: the chain of formulas behind one number, and the source of every input."""

import json
import math
from typing import Any

import click

from planner.answers import Answer, answer
from planner.cli import common
from planner.explain import Step, explain, short
from planner.provenance import Input, inputs
from planner.report.columns import columns
from planner.report.output import emit
from planner.specs.catalog import Catalog
from planner.specs.question import load_scenario

_INDENT = "  "


def render(found: Answer, field: str, steps: list[Step], sources: list[Input]) -> str:
    """Return the explanation as text: formulas first, then the inputs."""
    row = found.best
    option = " ".join(str(row[k]) for k in ("gpu", "engine", "precision", "provider", "price_tier") if row[k])
    unit = columns()[field].unit if field in columns() else ""
    lines = [f"{found.scenario.label}: {field} = {short(steps[0].value)} {unit}".rstrip(), f"best option: {option}", ""]
    for step in steps:
        if step.is_input:
            continue
        pad = _INDENT * step.depth
        lines += [
            f"{pad}{step.name} = {step.expression}",
            f"{pad}{_INDENT}= {step.substituted}",
            f"{pad}{_INDENT}= {short(step.value)}   ({step.why})",
        ]
    lines += ["", "quantities without a formula here (docs/method.md has them, or they are inputs):"]
    lines += [f"  {step.name} = {short(step.value)}" for step in steps if step.is_input]
    lines += ["", "inputs and their sources:"]
    lines += [f"  {i.name} = {_value(i.value)}\n      {i.where}: {i.source}" for i in sources]
    return "\n".join(lines) + "\n"


def relevant(sources: list[Input], steps: list[Step]) -> list[Input]:
    """Return the inputs a chain reads: those of power and carbon only where it comes by them, quality likewise."""
    groups = {step.name.split(".")[0] for step in steps if "." in step.name}
    accuracy = any(step.name == "energy.accuracy" for step in steps)
    power = any(step.name.startswith("energy.") and step.name != "energy.accuracy" for step in steps)
    left_out = set() if power else {"energy", "grid", "assumptions"}
    left_out |= set() if accuracy else {"quality"}
    return [i for i in sources if groups and i.name.split(".")[0] not in left_out]


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    limit = 100
    return text if len(text) <= limit else text[: limit - 1] + "…"


@click.command("explain")
@click.argument("scenario", metavar="SCENARIO")
@click.argument("field", default="cost_usd_per_month", metavar="[FIELD]")
@click.option("--override", metavar="NAME", help="A variant of the file.")
@click.option("--depth", type=click.IntRange(min=0), help="Leave out formulas deeper than this.")
@common.question_options
@common.format_option("text", "json")
@common.output_option
@common.catalog_option
def command(
    scenario: str,
    field: str,
    override: str | None,
    depth: int | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
    **question: Any,
) -> None:
    """Print the chain of formulas behind a result field of the best option, with its numbers and their sources.

    A field of the scenario, or an input such as gpu.hbm_bytes_per_s, is shown with its value and source.

    \b
    planner explain o1-class cost_usd_per_month
    planner explain o1-class workload.reasoning_multiplier
    """
    catalog = Catalog(catalogs)
    found = answer(load_scenario(scenario, catalog, override=override, changes=common.changes(**question)), catalog)
    every = inputs(found.scenario, catalog, found.options[0], found.model)
    asked = [i for i in every if i.name == field]
    steps = [] if asked else explain(found, field)
    steps = [s for s in steps if depth is None or s.depth <= depth]
    sources = asked or relevant(every, steps)
    common.warn(found.warnings)
    if form == "text" and asked:
        emit(
            f"{found.scenario.label}: {field} = {_value(asked[0].value)}\n{asked[0].where}: {asked[0].source}\n", output
        )
        return
    if form == "text":
        emit(render(found, field, steps, sources), output)
        return
    chain = [
        {
            "name": s.name,
            "depth": s.depth,
            "value": None if math.isnan(s.value) else s.value,
            "expression": s.expression or None,
            "with_numbers": s.substituted or None,
            "why": s.why or None,
        }
        for s in steps
    ]
    emit(
        json.dumps(
            {"scenario": found.scenario.label, "field": field, "steps": chain, "inputs": [i.row() for i in sources]},
            indent=2,
            ensure_ascii=False,
            default=str,
        )
        + "\n",
        output,
    )
