"""Formulas as text: parsed, evaluated on numbers or arrays, and written out with their numbers."""

import ast
import csv
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np

from planner.fleet.bill import api_bill, billed_output
from planner.fleet.replicas import spare_replicas
from planner.serving.lengths import mean_of_minimum
from planner.serving.steady_state import QUANTILES
from planner.serving.step import overlapped


@dataclass(frozen=True)
class Formula:
    """A named formula as text."""

    name: str
    expression: str
    why: str
    unit: str = ""

    def of(self, place: str, value: str) -> "Formula":
        """Return the formula with a value in a place of its text: {p} stands for p50, p95 or p99."""
        name, expression, why = (text.replace(place, value) for text in (self.name, self.expression, self.why))
        return Formula(name, expression, why, self.unit)


@dataclass(frozen=True)
class Step:
    """One line of an explanation."""

    name: str
    depth: int
    value: Any
    """A number, or an array where a quantity has one for each year."""
    expression: str = ""
    substituted: str = ""
    why: str = ""

    @property
    def is_input(self) -> bool:
        """Return whether this is a leaf."""
        return not self.expression


@cache
def formulas(name: str = "explain/formulas.csv") -> dict[str, Formula]:
    """Return the formulas of a file of the package by name."""
    text = files("planner").joinpath(name).read_text(encoding="utf-8")
    rows = [Formula(**row) for row in csv.DictReader(text.splitlines())]
    for place, values in _PLACES.items():
        rows = [one for f in rows for one in ([f.of(place, v) for v in values] if place in f.name else [f])]
    return {f.name: f for f in rows}


_PLACES = {"{p}": QUANTILES, "{side}": ("base", "model")}
"""What a name with such a place stands for: one formula for each of some values."""


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max": lambda *each: reduce(np.maximum, each),
    "min": lambda *each: reduce(np.minimum, each),
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "capped": lambda mean, second, cap: mean_of_minimum(np.asarray(mean), np.asarray(second), np.asarray(cap)),
    "overlap": lambda a, b, p: overlapped(np.asarray(a), np.asarray(b), np.asarray(p)),
    "api_bill": api_bill,
    "billed_output": billed_output,
    "spares": lambda r, up, target: spare_replicas(np.asarray(r), np.asarray(up), np.asarray(target)),
}
"""What a formula may call; `economics/page.py` adds what only pages of economic questions need."""
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


def evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - numbers or arrays, as the values are
    """Return the value of a formula's tree on numbers or arrays; only arithmetic and the named functions are known.

    `where` of a number looks only at the branch that holds; `given` is the first of its arguments that is a number.
    """
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
            holds = evaluate(condition, values)
            if np.ndim(holds):
                return np.where(holds, evaluate(yes, values), evaluate(no, values))
            return evaluate(yes if holds else no, values)
        case ast.Call(func=ast.Name(id="given"), args=choices):
            return reduce(lambda first, x: np.where(np.isnan(first), x, first), (evaluate(c, values) for c in choices))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(evaluate(a, values) for a in arguments))
    raise ValueError(f"not a formula: {ast.dump(node)}")


def names_in(node: ast.expr, values: Mapping[str, Any]) -> list[str]:
    """Return the quantities a formula uses, in order; of `where` and `given` of a number only the branch that holds."""
    match node:
        case ast.Name() | ast.Attribute():
            return [ast.unparse(node)]
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            holds = evaluate(condition, values)
            taken = (yes, no) if np.ndim(holds) else (yes,) if holds else (no,)
            return [n for part in (condition, *taken) for n in names_in(part, values)]
        case ast.Call(func=ast.Name(id="given"), args=choices):
            return [n for choice in _known(choices, values) for n in names_in(choice, values)]
        case ast.Call(args=arguments):
            return [n for a in arguments for n in names_in(a, values)]
    return [n for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for n in names_in(child, values)]


def _known(choices: Sequence[ast.expr], values: Mapping[str, Any]) -> Sequence[ast.expr]:
    """Return the first of some formulas that has a value, the last where none has; all where one is an array."""
    each = [evaluate(choice, values) for choice in choices]
    if any(np.ndim(value) for value in each):
        return choices
    return [next((c for c, value in zip(choices, each, strict=True) if not np.isnan(value)), choices[-1])]


def completed(values: Mapping[str, Any], known: Mapping[str, Formula]) -> dict[str, Any]:
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


def walk(
    name: str, depth: int, known: Mapping[str, Formula], values: Mapping[str, Any], steps: list[Step], seen: set[str]
) -> None:
    """Add the chain of formulas behind a quantity to `steps`, each quantity once."""
    if name in seen:
        return
    seen.add(name)
    formula = known.get(name)
    if formula is None or np.isnan(values.get(name, math.nan)).all():
        steps.append(Step(name, depth, values.get(name, math.nan)))
        return
    tree = parse(formula.expression)
    substituted = _Numbers(values).text(tree)
    steps.append(Step(name, depth, values[name], formula.expression, substituted, formula.why))
    for child in names_in(tree, values):
        walk(child, depth + 1, known, values, steps, seen)


def lacking(name: str, known: Mapping[str, Formula], values: Mapping[str, Any]) -> list[str]:
    """Return the inputs without a value that leave a quantity without one; none where it has a value."""
    if not np.isnan(values.get(name, math.nan)).all():
        return []
    formula = known.get(name)
    used = [] if formula is None else names_in(parse(formula.expression), values)
    below = [n for child in used if child != name for n in lacking(child, known, values)]
    return list(dict.fromkeys(below)) or [name]


class _Numbers:
    """Writes a formula with its numbers in place of the names."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, node: ast.expr) -> str:
        match node:
            case ast.Name() | ast.Attribute():
                return short(self.values[ast.unparse(node)])
            case ast.BinOp(left=left, op=op, right=right):
                return f"{self._group(left, op)} {_SYMBOLS[type(op)]} {self._group(right, op, right_side=True)}"
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return f"{self.text(left)} {_SYMBOLS[type(op)]} {self.text(right)}"
            case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]) if not np.ndim(
                holds := evaluate(condition, self.values)
            ):
                return self.text(yes if holds else no)
            case ast.Call(func=ast.Name(id="given"), args=choices) if len(known := _known(choices, self.values)) == 1:
                return self.text(known[0])
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
        return f"({inner})" if (loose and tight) or keeps or isinstance(outer, ast.Pow) else inner


def short(value: Any) -> str:  # noqa: ANN401 - a number or an array
    """Return a number with six significant digits, an array in brackets with what repeats said once.

    >>> short(1234567.0), short(0.00123456789), short(3.0), short(np.array([-1.5, 2, 2, 2]))
    ('1.23457e+06', '0.00123457', '3', '[-1.5, 3 times 2]')
    >>> short(math.nan), short(np.array([1.0, math.nan]))
    ('no value', '[1, no value]')
    """
    if not np.ndim(value):
        return "no value" if math.isnan(value) else f"{value:.6g}"
    runs = [(text, len(list(run))) for text, run in groupby(map(short, value))]
    return f"[{', '.join(f'{size} times {text}' if size > 1 else text for text, size in runs)}]"
