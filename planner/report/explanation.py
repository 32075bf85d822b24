"""The explanation of one number, of an answer or of an economic question: as text and as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.explain.formulas import Step, short
from planner.fleet.result_fields import DIMENSIONLESS
from planner.options.answer import Answer
from planner.options.option import COLUMNS
from planner.options.provenance import Input
from planner.report.as_table import render_lines
from planner.report.tables import cell
from planner.wording import plural

_INDENT = "  "
_READ = {"offer": ("price", "prices"), "demand": ("demand", "workload"), "tokens": ("workload",), "layout": ("fleet",)}
"""Quantities of a case -> the inputs they are made of, where those have another name."""


@dataclass(frozen=True)
class Explanation:
    """A number, the chain of formulas behind it, and the inputs they read."""

    label: str
    """What it is a number of."""
    field: str
    steps: Sequence[Step]
    sources: Sequence[Input]
    unit: str = ""
    because: str = ""
    """Why there is no value."""
    about: Sequence[str] = ()
    """Lines below the title."""
    alone: Sequence[str] = ()
    """What is said of a result without a formula, in place of the chain."""


def of_result(answer: Answer, field: str, steps: Sequence[Step], sources: Sequence[Input]) -> Explanation:
    """Return the explanation of a result of an answer's best option."""
    known = COLUMNS.get(field)
    return Explanation(
        answer.scenario.label,
        field,
        steps,
        sources,
        known.unit if known else "",
        steps[0].why if steps[0].is_input else "",
        [f"best option: {answer.best.machine}"],
        [f"meaning: {known.meaning}"] if known else [],
    )


def render(found: Explanation, form: str, levels: int | None) -> str:
    """Return an explanation; as text with so many levels of formulas, all where None."""
    if form == "json":
        return _json(found)
    return render_lines(_lines(found, [s for s in found.steps if levels is None or s.depth < levels]))


def _lines(found: Explanation, steps: Sequence[Step]) -> list[str]:
    """Return the title, the formulas of some steps, and the inputs: all of them only with all steps."""
    first = found.steps[0]
    because = f": {found.because}" if found.because else ""
    lines = [f"{found.label}: {found.field} = {with_unit(first.value, found.unit)}{because}", *found.about]
    if first.is_input and found.alone:
        return [*lines, *found.alone]
    lines.append("")
    for step in steps:
        if not step.is_input:
            pad = _INDENT * step.depth
            lines += [
                f"{pad}{step.name} = {step.expression}",
                f"{pad}{_INDENT}= {step.substituted}",
                f"{pad}{_INDENT}= {short(step.value)}" + f"   ({step.why})" * bool(step.why),
            ]
    deeper = len(found.steps) - len(steps)
    lines += ["", f"{plural(deeper, 'deeper step')}: --all shows them"] * bool(deeper)
    leaves = [f"  {step.name} = {short(step.value)}" for step in steps if step.is_input]
    if leaves:
        lines += ["", "quantities without a formula here (docs/method.md has them, or they are inputs):", *leaves]
    read = {group for step in steps for group in _READ.get(step.name.split(".")[0], (step.name.split(".")[0],))}
    sources = [i for i in found.sources if not deeper or "." not in i.name or i.name.split(".")[0] in read]
    some = "" if len(sources) == len(found.sources) else f" (of these steps; --all shows all {len(found.sources)})"
    lines += ["", f"inputs and their sources{some}:"]
    for one in sources:
        lines += [f"  {one.name} = {in_words(one.value)}", f"      {one.where}: {one.source}"]
    return lines


def render_input(label: str, one: Input, form: str) -> str:
    """Return an input, its place and its source."""
    if form == "json":
        return _json(Explanation(label, one.name, [], [one]))
    return render_lines([f"{label}: {one.name} = {in_words(one.value)}", f"{one.where}: {one.source}"])


def with_unit(value: Any, unit: str) -> str:  # noqa: ANN401 - a result of any kind
    """Return a result as the title of an explanation has it.

    >>> with_unit(2.5, "USD/h"), with_unit(0.5, "1"), with_unit(math.nan, "nodes"), with_unit(True, "")
    ('2.5 USD/h', '0.5', 'no value', 'yes')
    """
    if isinstance(value, bool | str):
        return cell(value) if value != "" else "none"
    missing = np.ndim(value) == 0 and math.isnan(value)
    return short(value) if missing or unit == DIMENSIONLESS else f"{short(value)} {unit}".rstrip()


def in_words(value: Any) -> str:  # noqa: ANN401 - whatever a file gives
    """Return an input as text."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)


def _number(value: Any) -> Any:  # noqa: ANN401 - a number or an array
    """Return a value as JSON has it: null where it is no number, a list where there is one for each year."""
    if isinstance(value, bool | str):
        return value
    return list(map(_number, value)) if np.ndim(value) else float(value) if math.isfinite(value) else None


def _json(found: Explanation) -> str:
    steps = [
        {
            "name": s.name,
            "depth": s.depth,
            "value": _number(s.value),
            "expression": s.expression or None,
            "with_numbers": s.substituted or None,
            "why": s.why or None,
        }
        for s in found.steps
    ]
    body = {
        "scenario": found.label,
        "field": found.field,
        "steps": steps,
        "inputs": [i.row() for i in found.sources],
    }
    return json.dumps(body, indent=2, ensure_ascii=False, default=str) + "\n"
