"""Formulas as text: read once from a page, evaluated on numbers or arrays, and written out with their numbers."""

import ast
import csv
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, reduce
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np

from planner import units
from planner.fleet.replicas import spare_replicas
from planner.serving.lengths import deviation_of_minimum, mean_of_minimum
from planner.serving.steady_state import QUANTILES
from planner.serving.step import overlapped

Functions = Mapping[str, Callable[..., Any]]
FUNCTIONS: Functions = {
    "max": lambda *each: reduce(np.maximum, each),
    "min": lambda *each: reduce(np.minimum, each),
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "capped": lambda mean, second, cap: mean_of_minimum(np.asarray(mean), np.asarray(second), np.asarray(cap)),
    "capped_sd": lambda mean, second, cap: deviation_of_minimum(np.asarray(mean), np.asarray(second), np.asarray(cap)),
    "overlap": lambda a, b, p: overlapped(np.asarray(a), np.asarray(b), np.asarray(p)),
    "spares": lambda r, up, target: spare_replicas(np.asarray(r), np.asarray(up), np.asarray(target)),
}
"""What every formula may call, besides `where` and `given`."""
CONSTANTS: Mapping[str, float] = {
    **{name.lower(): np.float64(value) for name, value in vars(units).items() if name.isupper()},
    "true": np.float64(1.0),
    "false": np.float64(0.0),
    "no_number": np.float64(math.nan),
}
"""What every formula may name: the factors between units as `units.py` has them, yes and no, and the unknown."""


ELSEWHERE = frozenset({"explain", "by_year"})
"""What shows a quantity that is no column of the results: an explanation, or the cash flow by year."""


@dataclass(frozen=True)
class Formula:
    """A named formula as text, or an input that a page declares: it has no expression."""

    name: str
    expression: str
    why: str
    unit: str = ""
    shown: str = ""
    """Its place among the columns of the table, and the views that show it; nothing where only files hold it."""
    functions: Functions = field(default_factory=lambda: FUNCTIONS, repr=False, compare=False)
    """What it may call."""

    def of(self, place: str, value: str) -> "Formula":
        """Return the formula with a value in a place of its text: {p} stands for p50, p95 or p99."""
        name, expression, why = (text.replace(place, value) for text in (self.name, self.expression, self.why))
        return replace(self, name=name, expression=expression, why=why)

    @cached_property
    def tree(self) -> ast.expr:
        """Return the parsed expression (arguments are separated by ';' so that CSV needs no quotes)."""
        return ast.parse(self.expression.replace(";", ","), mode="eval").body

    def value(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - numbers or arrays, as the values are
        """Return the value on numbers or arrays. Raises KeyError for a quantity that is not there."""
        return _Reading(values, self.functions).value(self.tree)

    def names(self, values: Mapping[str, Any]) -> list[str]:
        """Return the quantities it uses, in order; of `where` and `given` of a number only the branch that holds."""
        return _Reading(values, self.functions).names(self.tree)

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the expression with its numbers in place of the names."""
        return _Reading(values, self.functions).text(self.tree)


class FormulaSet(dict[str, Formula]):
    """The formulas of a page by name, in its order."""

    def __init__(self, rows: Sequence[Formula]) -> None:
        """Take the rows of a page: those without an expression declare its inputs."""
        super().__init__({row.name: row for row in rows if row.expression})
        self.inputs = {row.name: row for row in rows if not row.expression}

    @property
    def columns(self) -> list[str]:
        """Return the names of the results: all but what only an explanation or another view shows."""
        return [name for name, formula in self.items() if formula.shown not in ELSEWHERE]

    @property
    def table(self) -> list[str]:
        """Return the results that a table shows, in its order; all where the page does not say."""
        placed = {int(word): name for name, formula in self.items() for word in formula.shown.split() if word.isdigit()}
        return [placed[place] for place in sorted(placed)] or self.columns

    def view(self, word: str) -> list[str]:
        """Return the names of what a view shows, in the order of the page."""
        return [name for name, formula in self.items() if word in formula.shown.split()]


def read_formulas(name: str, functions: Functions = FUNCTIONS) -> FormulaSet:
    """Return the formulas of a file of the package, which may call some functions."""
    text = files("planner").joinpath(name).read_text(encoding="utf-8")
    rows = [Formula(**row, functions=functions) for row in csv.DictReader(text.splitlines())]
    for place, values in _PLACES.items():
        rows = [one for f in rows for one in ([f.of(place, v) for v in values] if place in f.name else [f])]
    return FormulaSet(rows)


_PLACES = {"{p}": QUANTILES, "{side}": ("base", "model")}
"""What a name with such a place stands for: one formula for each of some values."""


@cache
def formulas(name: str = "explain/formulas.csv") -> FormulaSet:
    """Return the formulas behind a scenario's results."""
    return read_formulas(name)


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


_OPERATORS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("×", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.Pow: ("^", operator.pow),
    ast.Gt: (">", operator.gt),
    ast.LtE: ("≤", operator.le),
}


@dataclass(frozen=True)
class _Reading:
    """A formula's tree read on some values: only arithmetic and the functions at hand are known.

    `where` of a number looks only at the branch that holds (its condition holds above 0, not where it is unknown);
    `given` is the first of its arguments that is a number.
    """

    values: Mapping[str, Any]
    functions: Functions

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401 - numbers or arrays, as the values are
        """Return the value of a tree."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name() | ast.Attribute():
                return self.values[ast.unparse(node)]
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self.value(inner)
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                return _OPERATORS[type(op)][1](self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
                holds = self.holds(condition)
                if np.ndim(holds):
                    return np.where(holds, self.value(yes), self.value(no))
                return self.value(yes if holds else no)
            case ast.Call(func=ast.Name(id="given"), args=choices):
                return reduce(lambda first, x: np.where(np.isnan(first), x, first), map(self.value, choices))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.functions[name](*map(self.value, arguments))
        raise ValueError(f"not a formula: {ast.dump(node)}")

    def holds(self, condition: ast.expr) -> Any:  # noqa: ANN401 - a truth value or an array of them
        """Return whether the condition of a `where` holds."""
        return np.greater(self.value(condition), 0.0)

    def taken(self, choices: Sequence[ast.expr]) -> Sequence[ast.expr]:
        """Return the first of some formulas with a value, the last where none has; all where one is an array."""
        each = [self.value(choice) for choice in choices]
        if any(np.ndim(value) for value in each):
            return choices
        return [next((c for c, value in zip(choices, each, strict=True) if not np.isnan(value)), choices[-1])]

    def names(self, node: ast.expr) -> list[str]:
        """Return the quantities a tree uses, in order."""
        match node:
            case ast.Name() | ast.Attribute():
                return [ast.unparse(node)]
            case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
                holds = self.holds(condition)
                parts = [condition, *((yes, no) if np.ndim(holds) else (yes,) if holds else (no,))]
            case ast.Call(func=ast.Name(id="given"), args=choices):
                parts = list(self.taken(choices))
            case ast.Call(args=arguments):
                parts = arguments
            case _:
                parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return [name for part in parts for name in self.names(part)]

    def text(self, node: ast.expr) -> str:
        """Return a tree with its numbers in place of the names."""
        match node:
            case ast.Name() | ast.Attribute():
                return short(self.values[ast.unparse(node)])
            case ast.BinOp(left=left, op=op, right=right):
                return f"{self._group(left, op)} {_OPERATORS[type(op)][0]} {self._group(right, op, right_side=True)}"
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return f"{self.text(left)} {_OPERATORS[type(op)][0]} {self.text(right)}"
            case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]) if not np.ndim(
                holds := self.holds(condition)
            ):
                return self.text(yes if holds else no)
            case ast.Call(func=ast.Name(id="given"), args=choices) if len(taken := self.taken(choices)) == 1:
                return self.text(taken[0])
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return f"{name}({'; '.join(map(self.text, arguments))})"
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


def completed(values: Mapping[str, Any], known: Mapping[str, Formula]) -> dict[str, Any]:
    """Return the quantities together with the constants and with those that only the formulas name."""
    found = {**CONSTANTS, **values}

    def fill(name: str) -> None:
        while name not in found:
            try:
                found[name] = known[name].value(found)
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
    steps.append(Step(name, depth, values[name], formula.expression, formula.text(values), formula.why))
    for child in formula.names(values):
        walk(child, depth + 1, known, values, steps, seen)


def lacking(name: str, known: Mapping[str, Formula], values: Mapping[str, Any]) -> list[str]:
    """Return the inputs without a value that leave a quantity without one; none where it has a value."""
    if not np.isnan(values.get(name, math.nan)).all():
        return []
    used = known[name].names(values) if name in known else []
    below = [n for child in used if child != name for n in lacking(child, known, values)]
    return list(dict.fromkeys(below)) or [name]


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
