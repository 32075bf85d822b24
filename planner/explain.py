"""Why a number is what it is: its chain of formulas with this case's numbers, down to each input's source.

The formulas are text (formulas.csv) that is *evaluated* on the case: a test holds every one of them
against the estimate, so an explanation cannot drift away from the code.
"""

import ast
import csv
import dataclasses
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from planner import units
from planner.answers import Answer
from planner.capacity import spare_replicas
from planner.cases import Cases
from planner.cases.workload import growth_factor
from planner.errors import BadInputError, did_you_mean
from planner.estimate import Estimate, Work, solve
from planner.estimate_measured import measured_load
from planner.physics.lengths import mean_of_minimum
from planner.physics.step import overlapped
from planner.provenance import case_values
from planner.serving.steady import QUANTILES, length_quantiles, step_terms_at, waits


@dataclass(frozen=True)
class Formula:
    """A named formula as text."""

    name: str
    expression: str
    why: str

    def at(self, percentile: str) -> "Formula":
        """Return the formula at a percentile: {p} in the text stands for p50, p95 or p99."""
        return Formula(self.name.replace("{p}", percentile), self.expression.replace("{p}", percentile), self.why)


@dataclass(frozen=True)
class Step:
    """One line of an explanation."""

    name: str
    depth: int
    value: float
    expression: str = ""
    substituted: str = ""
    why: str = ""

    @property
    def is_input(self) -> bool:
        """Return whether this is a leaf."""
        return not self.expression


@cache
def formulas(name: str = "formulas.csv") -> dict[str, Formula]:
    """Return the formulas by name."""
    text = files("planner").joinpath(name).read_text(encoding="utf-8")
    rows = [Formula(**row) for row in csv.DictReader(text.splitlines())]
    each = [f.at(p) for f in rows for p in (QUANTILES if "{p}" in f.name else ("",))]
    return {f.name: f for f in each}


_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "max": max,
    "min": min,
    "ceil": math.ceil,
    "floor": math.floor,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "where": lambda condition, yes, no: yes if condition else no,
    "capped": lambda mean, second, cap: float(mean_of_minimum(np.asarray(mean), np.asarray(second), np.asarray(cap))),
    "overlap": lambda a, b, p: float(overlapped(np.asarray(a), np.asarray(b), np.asarray(p))),
    "spares": lambda r, up, target: float(spare_replicas(np.asarray(r), np.asarray(up), np.asarray(target))),
}
_SYMBOLS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "×",
    ast.Div: "/",
    ast.Pow: "^",
    ast.Gt: ">",
    ast.LtE: "≤",
}


def parse(expression: str) -> ast.expr:
    """Return the tree of a formula (arguments are separated by ';' so that CSV needs no quotes)."""
    return ast.parse(expression.replace(";", ","), mode="eval").body


def evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    """Return the value of a formula's tree; only arithmetic and the named functions are known."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name() | ast.Attribute():
            return values[ast.unparse(node)]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -evaluate(inner, values)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](evaluate(left, values), evaluate(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _OPERATORS[type(op)](evaluate(left, values), evaluate(right, values))
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return evaluate(yes if evaluate(condition, values) else no, values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(evaluate(a, values) for a in arguments))
    raise ValueError(f"not a formula: {ast.dump(node)}")


def names_in(node: ast.expr, values: Mapping[str, float]) -> list[str]:
    """Return the quantities a formula uses, in order; of a `where` only the branch that holds."""
    match node:
        case ast.Name() | ast.Attribute():
            return [ast.unparse(node)]
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            taken = yes if evaluate(condition, values) else no
            return [*names_in(condition, values), *names_in(taken, values)]
        case ast.Call(args=arguments):
            return [n for a in arguments for n in names_in(a, values)]
    return [n for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for n in names_in(child, values)]


def case_namespace(cases: Cases) -> tuple[dict[str, float], Estimate, Work]:
    """Return every quantity of a single case by the name the formulas use."""
    found, work = solve(cases)
    values: dict[str, float] = {f.name: float(getattr(found, f.name)) for f in dataclasses.fields(found)}
    values |= case_values(cases)
    for label, struct in (
        ("tokens", work.replica.tokens),
        ("memory", work.replica.memory),
        ("costs", work.replica.costs),
    ):
        values |= {f"{label}.{f.name}": float(getattr(struct, f.name)) for f in dataclasses.fields(struct)}
    for label, load in (("capacity", work.at_capacity), ("peak", work.at_peak), ("shown", work.shown)):
        terms = step_terms_at(work.replica, load)
        values |= {f"{label}.{f.name}": float(getattr(terms, f.name)) for f in dataclasses.fields(terms)}
        values |= {
            f"{label}.running": float(load.running),
            f"{label}.answers_per_s": float(load.answers_per_s),
            f"{label}.step_s": float(load.step_s),
            f"{label}.decode_only_step_s": float(load.step_alone_s),
            f"{label}.prefill_work_s": float(load.prefill_work_s),
            f"{label}.prefill_tokens": float(load.prefill_tokens_per_step),
            f"{label}.sequences_per_rank": float(load.running / work.replica.ranks),
        }
    prefill, slots = waits(work.replica, work.shown)
    lengths = length_quantiles(cases)
    for p, q in QUANTILES.items():
        values[f"shown.prefill_wait_{p}_s"] = float(prefill.quantile_s(q))
        values[f"shown.slot_wait_{p}_s"] = float(slots.quantile_s(q))
        values |= {
            f"lengths.{kind}_{p}": float(getattr(lengths, kind)[p]) for kind in ("prefill", "thinking", "output")
        }
    values |= {
        "hours_per_month": units.HOURS_PER_MONTH,
        "seconds_per_month": units.SECONDS_PER_MONTH,
        "seconds_per_hour": units.SECONDS_PER_HOUR,
        "tokens_per_mtok": units.TOKENS_PER_MTOK,
        "prefill_share": float(work.prefill_share),
        "prefill_chunk": float(work.replica.prefill_chunk),
        "decode_steps_per_answer": float(work.replica.decode_steps_per_answer),
        "billed_gpus": float(work.money.gpu_hours_per_month_reserved / units.HOURS_PER_MONTH),
        "units_billed": float(work.fleet.nodes),
        "plain_gpu_seconds_per_answer": float(work.gpu_seconds_per_answer_plain),
        "gpu_power_w": float(work.energy.gpu_power_w),
        "plain_busy_power_w": float(work.plain_busy_power_w),
    }
    return values, found, work


def explain(answer: Answer, field: str) -> list[Step]:
    """Return the chain behind a result field of an answer's best option.

    Raises BadInputError for a field that has no formula, with the nearest name.
    """
    known = known_formulas(answer)
    if field not in known:
        hint = did_you_mean(field, known) or f" Known: {', '.join(n for n in known if '.' not in n)}."
        raise BadInputError(f"no formula for {field!r}.{hint}", where="explain")
    values = namespace(answer)
    steps: list[Step] = []
    _walk(field, 0, known, values, steps, set())
    return steps


def namespace(answer: Answer) -> dict[str, float]:
    """Return the quantities of an answer's best option by the names the formulas use."""
    if answer.scenario.spec.measured_rates is None:
        return completed(case_namespace(answer.case())[0], formulas())
    return measured_namespace(answer)


def completed(values: Mapping[str, float], known: Mapping[str, Formula]) -> dict[str, float]:
    """Return the quantities together with those that only the formulas name."""
    found = dict(values)

    def fill(name: str) -> None:
        while name not in found:
            try:
                found[name] = evaluate(parse(known[name].expression), found)
            except KeyError as missing:
                if missing.args[0] == name:
                    raise
                fill(missing.args[0])

    for name in known:
        fill(name)
    return found


def measured_namespace(answer: Answer) -> dict[str, float]:
    """Return the quantities of a measured backend."""
    spec, cases = answer.scenario.spec, answer.case()
    values = {k: float(v) for k, v in answer.best.items() if isinstance(v, int | float)}
    for group, columns in cases.groups():
        if group != "workload":
            values |= {f"{group}.{name}": float(column) for name, column in columns.items()}
    rates, volume, growth = spec.measured_rates, spec.workload.tokens_per_day, growth_factor(spec.demand)
    if rates is None:
        return values
    values |= {f"measured_rates.{f}": float(getattr(rates, f)) for f in type(rates).model_fields}
    per_day = None
    if volume is not None:
        per_day = (volume.input * growth, volume.output * growth)
        values |= {"workload.tokens_per_day.input": volume.input, "workload.tokens_per_day.output": volume.output}
    load = measured_load(cases, rates.input_tokens_per_s_per_node, rates.output_tokens_per_s_per_node, per_day)
    return values | {
        "demand.growth": growth,
        "input_tokens_per_s": float(load.input_tokens_per_s),
        "output_tokens_per_s": float(load.output_tokens_per_s),
        "hours_per_month": units.HOURS_PER_MONTH,
        "seconds_per_day": units.SECONDS_PER_DAY,
    }


def known_formulas(answer: Answer) -> dict[str, Formula]:
    """Return the formulas behind an answer's results: the model's, or those of measured rates."""
    if answer.scenario.spec.measured_rates is None:
        return formulas()
    known = formulas("formulas_measured.csv")
    if answer.scenario.spec.workload.tokens_per_day is not None:
        return known
    return {name: formula for name, formula in known.items() if not name.endswith("tokens_per_s")}


def _walk(
    name: str, depth: int, known: Mapping[str, Formula], values: Mapping[str, float], steps: list[Step], seen: set[str]
) -> None:
    if name in seen:
        return
    seen.add(name)
    formula = known.get(name)
    if formula is None or math.isnan(values.get(name, math.nan)):
        steps.append(Step(name, depth, values.get(name, math.nan)))
        return
    tree = parse(formula.expression)
    substituted = _Numbers(values).text(tree)
    steps.append(Step(name, depth, values[name], formula.expression, substituted, formula.why))
    for child in names_in(tree, values):
        _walk(child, depth + 1, known, values, steps, seen)


class _Numbers:
    """Writes a formula with its numbers in place of the names."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    def text(self, node: ast.expr) -> str:
        match node:
            case ast.Name() | ast.Attribute():
                return short(self.values[ast.unparse(node)])
            case ast.BinOp(left=left, op=op, right=right):
                return f"{self._group(left, op)} {_SYMBOLS[type(op)]} {self._group(right, op, right_side=True)}"
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return f"{self.text(left)} {_SYMBOLS[type(op)]} {self.text(right)}"
            case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
                return self.text(yes if evaluate(condition, self.values) else no)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return f"{name}({'; '.join(self.text(a) for a in arguments)})"
            case ast.UnaryOp(operand=inner):
                return f"-{self.text(inner)}"
        return ast.unparse(node)

    def _group(self, node: ast.expr, outer: Any, *, right_side: bool = False) -> str:  # noqa: ANN401 - an ast operator
        """Return an operand, in brackets where it binds more loosely than its operator."""
        inner = self.text(node)
        if not isinstance(node, ast.BinOp):
            return inner
        loose = isinstance(node.op, ast.Add | ast.Sub)
        tight = isinstance(outer, ast.Mult | ast.Div)
        keeps = right_side and (isinstance(outer, ast.Div) or (isinstance(outer, ast.Sub) and loose))
        return f"({inner})" if (loose and tight) or keeps else inner


def short(value: float) -> str:
    """Return a number with six significant digits.

    >>> short(1234567.0), short(0.00123456789), short(3.0)
    ('1.23457e+06', '0.00123457', '3')
    """
    return f"{value:.6g}"


def known_fields(measured: bool) -> list[str]:  # noqa: FBT001 - one flag, named at the call
    """Return the result fields that can be explained."""
    return [n for n in formulas("formulas_measured.csv" if measured else "formulas.csv") if "." not in n]
