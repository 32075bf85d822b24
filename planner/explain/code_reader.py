"""Formulas read from the functions that compute: each assignment of a function's body is one, so none is written twice.

A function that is read consists of assignments and a `return`. A name that is assigned to is a quantity, and so is each
field of a record that is returned; the comment above it says why. A call of a function that is to be read is read in
its place, any other function is called by its name.
"""

import ast
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, get_type_hints

import numpy as np

from planner.explain.formulas import Formula
from planner.serving.cases import Cases

Function = Callable[..., Any]
_WORDS = {
    "maximum": "max",
    "minimum": "min",
    "overlapped": "overlap",
    "mean_of_minimum": "capped",
    "deviation_of_minimum": "capped_sd",
    "spare_replicas": "spares",
    "nan": "no_number",
}
"""What formulas call what the code calls otherwise."""


@dataclass(frozen=True)
class CodeReader:
    """Reads functions, and what they call, into one collection of formulas."""

    inlined: Collection[Function]
    """Functions whose formulas stand in place of their calls."""
    named: Collection[Function]
    """Functions of which a call is a quantity by the function's name."""
    prefix: str = ""
    """What the names of quantities start with."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Local name -> quantity, where that is not the prefix and the name."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Group of columns -> the group that stands for it."""
    common: Mapping[str, Formula] = field(default_factory=dict)
    """Formulas that need no prefix: what reads exactly as one of these is that quantity."""
    found: dict[str, Formula] = field(default_factory=dict)

    def value(self, name: str, function: Function, **names: str) -> None:
        """Read what a function returns as a quantity; `names` are expressions of its parameters."""
        body = _Body(self, function, _expressions(**names))
        self.add(name, body.visit(body.read()), body.doc)

    def record(self, group: str, function: Function, **names: str) -> None:
        """Read the fields of the record that a function returns; `names` are as above."""
        body = _Body(self, function, _expressions(**names))
        for part in body.read().keywords:
            value = body.visit(part.value)
            if ast.unparse(value) != self.prefix + group + part.arg:
                self.add(group + part.arg, value, body.comment_above(part))

    def locals(self, function: Function, **names: str) -> None:
        """Read the local names of a function; `names` are expressions of parameters, and of names that are not read."""
        _Body(self, function, _expressions(**names)).read()

    def add(self, name: str, value: ast.expr, why: str) -> ast.Name:
        """Add a formula and return its quantity."""
        text = ast.unparse(value).replace(",", ";")
        if name in self.common and self.common[name].expression == text:
            return ast.Name(name)
        quantity = self.renamed.get(name, self.prefix + name)
        formula = Formula(quantity, text, why)
        if self.found.setdefault(quantity, formula) != formula:
            raise ValueError(f"two formulas of {quantity}")
        return ast.Name(quantity)


def _expressions(**texts: str) -> dict[str, ast.expr]:
    return {name: ast.parse(text, mode="eval").body for name, text in texts.items()}


@cache
def _columns() -> dict[str, ast.expr]:
    """Return the columns of cases by their own names, which are unique over all groups."""
    groups = {name: group for name, group in get_type_hints(Cases).items() if isinstance(group, type)}
    return _expressions(**{c.name: f"{name}.{c.name}" for name, group in groups.items() for c in fields(group)})


class _Body(ast.NodeTransformer):
    """The body of one function: expressions of its local names become expressions of quantities."""

    def __init__(self, reader: CodeReader, function: Function, given: Mapping[str, ast.expr]) -> None:
        self.reader, self.given, self.scope = reader, given, function.__globals__
        parameters = inspect.signature(function).parameters
        self.names = {name: column for name, column in _columns().items() if name in parameters} | dict(given)
        source = inspect.getsource(function)
        tree: Any = ast.parse(source).body[0]
        self.lines, self.statements = source.splitlines(), tree.body
        self.doc = (ast.get_docstring(tree) or "").partition("\n")[0].removeprefix("Return ").rstrip(".")

    def read(self) -> Any:  # noqa: ANN401 - an expression, of a record where the function returns one
        """Add the formulas of the assignments; return what the function returns."""
        for statement in self.statements[:-1]:
            if isinstance(statement, ast.Assign):
                self._assign(statement.targets[0], self.visit(statement.value), self.comment_above(statement))
        return self.statements[-1].value

    def comment_above(self, node: ast.stmt | ast.keyword) -> str:
        """Return the comment above a line."""
        start = node.lineno - 1
        first = next(n for n in range(start, 0, -1) if not self.lines[n - 1].lstrip().startswith("#"))
        return " ".join(line.strip(" #") for line in self.lines[first:start])

    def _assign(self, target: ast.expr, value: ast.expr, why: str) -> None:
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values):
                for one, of in zip(targets, values, strict=True):
                    self._assign(one, of, why)
            case ast.Name(id=name), _ if name not in self.given:
                is_formula = isinstance(value, ast.BinOp) or (isinstance(value, ast.Call) and not value.keywords)
                self.names[name] = self.reader.add(name, value, why) if is_formula else value

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Return a number as a formula has it: 1, not 1.0."""
        match node.value:
            case float() as number if number.is_integer():
                return ast.Constant(int(number))
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return what stands for a local name; a constant of the module is its number."""
        of_module = self.scope.get(node.id)
        if isinstance(of_module, float):
            return self.visit_Constant(ast.Constant(of_module))
        return self.names.get(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Return a column as group.name, a field of a record as its expression, a constant by its name."""
        match self.visit(node.value):
            case ast.Name(id="cases"):
                return ast.Name(self.reader.groups.get(node.attr, node.attr))
            case ast.Name(id="units" | "np"):
                return ast.Name(_WORDS.get(node.attr, node.attr.lower()))
            case ast.Call(keywords=keywords):
                found: ast.expr = next(part.value for part in keywords if part.arg == node.attr)
                return found
            case of:
                return ast.Attribute(of, node.attr)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """Return -expm1(x) as 1 - exp(x)."""
        match node.operand:
            case ast.Call(func=ast.Attribute(attr="expm1"), args=[power]):
                return ast.BinOp(ast.Constant(1), ast.Sub(), ast.Call(ast.Name("exp"), [self.visit(power)], []))
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Return a call by the word of formulas for it; one of a function that is read is what that returns."""
        arguments: list[ast.expr] = [self.visit(argument) for argument in node.args]
        module, _, name = ast.unparse(node.func).rpartition(".")
        called: Any = getattr(self.scope[module], name) if module else self.scope.get(name)
        if node.keywords:
            return ast.Call(node.func, [], [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords])
        if called is np.asarray:
            return arguments[0]
        if called is np.log1p:
            return ast.Call(ast.Name("log"), [_one_plus(arguments[0])], [])
        if called not in self.reader.inlined and called not in self.reader.named:
            return ast.Call(ast.Name(_WORDS.get(name, name)), arguments, [])
        body = _Body(self.reader, called, dict(zip(inspect.signature(called).parameters, arguments, strict=True)))
        value: ast.expr = body.visit(body.read())
        return self.reader.add(name, value, body.doc) if called in self.reader.named else value


def _one_plus(term: ast.expr) -> ast.expr:
    """Return 1 + a term, 1 - x where it is -x."""
    one = ast.Constant(1)
    if isinstance(term, ast.UnaryOp):
        return ast.BinOp(one, ast.Sub(), term.operand)
    return ast.BinOp(one, ast.Add(), term)
