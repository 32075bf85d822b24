"""Formulas read from the functions that compute: each assignment of a function's body is one, so none is written twice.

A function that is read consists of assignments and a `return`. A name that is assigned to is a quantity, and so is each
field of a record that is returned; the comment above it says why. A call of a function in `_READ` is read in its place,
any other function is called by its name.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from planner.explain.formulas import Formula, formulas
from planner.serving import attention, collectives, memory, replica

Function = Callable[..., Any]
_READ: tuple[Function, ...] = (
    attention.decode_attention_s,
    attention.prefill_attention_s,
    attention.prefill_chunk,
    collectives.collectives,
    collectives.start_up_s,
    collectives.all_reduce_s_per_byte,
    collectives.all_gather_s_per_byte,
    collectives.all_to_all_s_per_byte,
    collectives.others_reached,
    memory.cache_bytes,
    memory.kv_split,
    memory.state_bytes,
    replica.dense_weight_bytes,
)
_WORDS = {"maximum": "max", "minimum": "min", "overlapped": "overlap", "mean_of_minimum": "capped"}
"""What formulas call a function that the code calls otherwise."""


@cache
def code_formulas() -> dict[str, Formula]:
    """Return the formulas that are read from the code, by name."""
    found: dict[str, Formula] = {}
    _Body(replica.step_costs, {}, found).read_record("costs.")
    return found


def one_pool_formulas() -> dict[str, Formula]:
    """Return the formulas of replicas that do prefill and decode, by name."""
    return code_formulas() | formulas("explain/formulas.csv")


class _Body(ast.NodeTransformer):
    """The body of one function: expressions of its local names become expressions of quantities."""

    def __init__(self, function: Function, names: Mapping[str, ast.expr], found: dict[str, Formula]) -> None:
        self.scope, self.names, self.found = function.__globals__, dict(names), found
        source = inspect.getsource(function)
        tree: Any = ast.parse(source).body[0]
        self.lines, self.statements = source.splitlines(), tree.body

    def read(self) -> Any:  # noqa: ANN401 - an expression, of a record where the function returns one
        """Add the formulas of the assignments; return what the function returns."""
        for statement in self.statements[:-1]:
            if isinstance(statement, ast.Assign):
                self._assign(statement.targets[0], self.visit(statement.value), self._above(statement))
        return self.statements[-1].value

    def read_record(self, group: str) -> None:
        """Add the formulas of the assignments, and those of the fields of the record that the function returns."""
        for field in self.read().keywords:
            self._add(group + field.arg, self.visit(field.value), self._above(field))

    def _assign(self, target: ast.expr, value: ast.expr, why: str) -> None:
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values):
                for one, of in zip(targets, values, strict=True):
                    self._assign(one, of, why)
            case ast.Name(id=name), ast.BinOp() | ast.Call(keywords=[]):
                self.names[name] = ast.Name(name)
                self._add(name, value, why)
            case ast.Name(id=name), _:
                self.names[name] = value

    def _add(self, name: str, value: ast.expr, why: str) -> None:
        formula = Formula(name, ast.unparse(value).replace(",", ";"), why)
        if self.found.setdefault(name, formula) != formula:
            raise ValueError(f"two formulas of {name}")

    def _above(self, node: ast.stmt | ast.keyword) -> str:
        """Return the comment above a line."""
        start = node.lineno - 1
        first = next(n for n in range(start, 0, -1) if not self.lines[n - 1].lstrip().startswith("#"))
        return " ".join(line.strip(" #") for line in self.lines[first:start])

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
        """Return a column as group.name, a field of a record as its expression."""
        match self.visit(node.value):
            case ast.Name(id="cases"):
                return ast.Name(node.attr)
            case ast.Call(keywords=fields):
                found: ast.expr = next(field.value for field in fields if field.arg == node.attr)
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
        name = ast.unparse(node.func).split(".")[-1]
        called = self.scope.get(name)
        if node.keywords:
            return ast.Call(node.func, [], [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords])
        if name == "asarray":
            return arguments[0]
        if name == "log1p":
            return ast.Call(ast.Name("log"), [_one_plus(arguments[0])], [])
        if called in _READ:
            parameters = inspect.signature(called).parameters
            body = _Body(called, dict(zip(parameters, arguments, strict=True)), self.found)
            found: ast.expr = body.visit(body.read())
            return found
        return ast.Call(ast.Name(_WORDS.get(name, name)), arguments, [])


def _one_plus(term: ast.expr) -> ast.expr:
    """Return 1 + a term, 1 - x where it is -x."""
    one = ast.Constant(1)
    if isinstance(term, ast.UnaryOp):
        return ast.BinOp(one, ast.Sub(), term.operand)
    return ast.BinOp(one, ast.Add(), term)
