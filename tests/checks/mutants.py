"""Small changes of a module, one at a time, that its tests should notice.

Left alone are texts, annotations, decorators, and assignments of local names, without which nothing runs at all.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any

_OTHER: dict[type[ast.AST], Any] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
# Fields that say what something is, and not what it does.
_PASSED_OVER = {"annotation", "returns", "decorator_list", "bases", "keywords", "type_params"}
_SHOWN_CHARS = 60

_Node = ast.stmt | ast.expr
# Puts a node into the place of another.
_Put = Callable[[ast.AST], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module in which one thing is another."""

    line: int
    before: str
    after: str
    code: CodeType

    def __str__(self) -> str:
        return f"line {self.line:4}  {self.before}  ->  {self.after}"


def mutants(source: str, path: str) -> list[Mutant]:
    """Return the mutants of a module, in the order of their lines."""
    tree = ast.parse(source)
    made: list[Mutant] = []
    for put, node in list(_places(tree)):
        for other in _others(node):
            put(ast.fix_missing_locations(ast.copy_location(other, node)))
            made.append(Mutant(node.lineno, _shown(node), _shown(other), compile(tree, path, "exec")))
            put(node)
    return sorted(made, key=lambda mutant: mutant.line)


def _places(parent: ast.AST) -> Iterator[tuple[_Put, _Node]]:
    for name, value in ast.iter_fields(parent):
        if name in _PASSED_OVER and not isinstance(parent, ast.Call):
            continue
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, _Node):
                yield (
                    partial(value.__setitem__, place) if isinstance(value, list) else partial(setattr, parent, name),
                    child,
                )
            if isinstance(child, ast.AST):
                yield from _places(child)


def _others(node: _Node) -> list[_Node]:
    return _other_expressions(node) if isinstance(node, ast.expr) else _other_statements(node)


def _other_expressions(node: ast.expr) -> list[_Node]:
    match node:
        case ast.Compare(left, ops, comparators):
            swapped = [[*ops[:place], _OTHER[type(op)](), *ops[place + 1 :]] for place, op in enumerate(ops)]
            return [ast.Compare(left, other, comparators) for other in swapped]
        case ast.BoolOp(op, values):
            return [ast.BoolOp(_OTHER[type(op)](), values)]
        case ast.UnaryOp(ast.Not(), operand):
            return [operand]
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            return [ast.BinOp(left, _OTHER[type(operator)](), right)]
        case ast.Constant(bool() | int() | float() as value):
            return (
                [ast.Constant(not value)]
                if isinstance(value, bool)
                else [ast.Constant(value + 1), ast.Constant(value - 1)]
            )
        case _:
            return []


def _other_statements(node: ast.stmt) -> list[_Node]:
    others: list[_Node] = [ast.Pass()] if _can_be_removed(node) else []
    match node:
        case ast.Return(ast.expr() as value) if not _is_none(value):
            others.append(ast.Return(ast.Constant(None)))
        case ast.AugAssign(target, ast.Add() | ast.Sub() as operator, value):
            others.append(ast.AugAssign(target, _OTHER[type(operator)](), value))
    return others


def _can_be_removed(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(ast.Constant()):
            return False
        case ast.Assign(targets):
            return not any(isinstance(target, (ast.Name, ast.Tuple)) for target in targets)
        case ast.AnnAssign(target, _, value):
            return value is not None and not isinstance(target, ast.Name)
        case _:
            return isinstance(node, (ast.Expr, ast.AugAssign, ast.Delete, ast.Raise, ast.Continue, ast.Break))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
