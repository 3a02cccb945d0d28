"""Names and values as text and back: one way of writing them for edits, for code and for the command line.

A value is written as a Python expression and read from Python's own syntax tree; nothing is ever run.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping

from seqtui.model.kinds.catalogue import NO_ARGUMENTS, catalogue
from seqtui.model.spec import LayerValue, Value

POSITIONAL = 2
"""So many of the arguments that a constructor requires are given without their names: `nn.Conv2d(3, 16, ...)`."""
LARGEST = 2**63
"""Whole numbers reach up to here, as in torch."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
}


class LiteralError(Exception):
    """An expression that is no value. The message names the expression."""

    def __init__(self, node: ast.AST | None, message: str) -> None:
        super().__init__(message)
        self.line_number: int = getattr(node, "lineno", 0)


def name_text(name: str) -> str:
    """A name or a dotted path as an edit writes it: bare where it is plain, else quoted."""
    return name if _PLAIN.fullmatch(name) else quoted(name)


def value_text(value: Value) -> str:
    """An argument as a Python expression in one line, all of it printable."""
    if isinstance(value, LayerValue):
        return layer_call(value.kind, dict(value.args))
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """The literal of a text, in double quotes as most people write it."""
    literal = repr(text)
    if literal[0] == "'" and '"' not in literal:
        return f'"{literal[1:-1]}"'
    return literal


def layer_call(kind: str, args: Mapping[str, Value]) -> str:
    """The constructor call of a layer: `nn.Conv2d(3, 16, kernel_size=3)`.

    Of the arguments given, the first that the constructor requires stand without their names.
    """
    leading = [parameter.name for parameter in catalogue()[kind].parameters[:POSITIONAL] if parameter.is_required]
    if any(name not in args for name in leading):
        leading = []
    words = [value_text(args[name]) for name in leading]
    words += [f"{name}={value_text(value)}" for name, value in args.items() if name not in leading]
    return f"nn.{kind}({', '.join(words)})"


def parse_value(text: str) -> Value:
    """The value that a text writes. Raises LiteralError."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's, about "\\d" and the like
            node = ast.parse(text.strip(), mode="eval").body
        return ValueReader().value(node)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # null bytes; brackets by the thousand
        raise LiteralError(None, f"{excerpt(text)} is no value") from None


class ValueReader:
    """Reads values from a syntax tree, with the names that stand for layers and for constants."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """What an imported name stands for, in full: nn -> torch.nn."""
        self.constants: dict[str, Value] = {}

    def value(self, node: ast.expr) -> Value:
        """A number, text, True, False, None, a tuple, arithmetic with numbers, or a layer. Raises LiteralError."""
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return _bounded_number(node, value) if isinstance(value, int) else value
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(map(self.value, items))
            case ast.Name(id=name) if name in self.constants:
                return self.constants[name]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self._signed(operand)
                return _bounded_number(node, -number if isinstance(sign, ast.USub) else number)
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
                try:
                    return _bounded_number(node, _ARITHMETIC[type(operation)](self.number(left), self.number(right)))
                except (ZeroDivisionError, OverflowError):
                    raise LiteralError(node, f"{excerpt(node)} has no value") from None
            case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf" | "nan" as word)]):
                return float(word)
            case ast.Call():
                kind = self.kind(node)
                if kind != "Sequential":
                    return LayerValue(kind, tuple(self.arguments(kind, node).items()))
        raise LiteralError(node, f"{excerpt(node)} is no plain value")

    def number(self, node: ast.expr) -> int | float:
        """Raises LiteralError for what is no number, True and False too."""
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LiteralError(node, f"{excerpt(node)} is no number")
        return value

    def _signed(self, node: ast.expr) -> int | float:
        """The number behind a sign; the lowest of all whole numbers exists only with its sign."""
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value == LARGEST:
            return LARGEST
        return self.number(node)

    def kind(self, node: ast.Call) -> str:
        """The class of torch.nn that is called, Sequential too. Raises LiteralError."""
        full = self.full_name(node.func)
        kind = full.rpartition(".")[2]
        if full not in (f"torch.nn.{kind}", f"nn.{kind}") or (kind != "Sequential" and kind not in catalogue()):
            raise LiteralError(node, f"{excerpt(node.func)} is no layer of torch.nn")
        return kind

    def full_name(self, node: ast.expr) -> str:
        """The dotted name with what was imported put in; empty for anything that is no name."""
        if isinstance(node, ast.Attribute):
            inner = self.full_name(node.value)
            return f"{inner}.{node.attr}" if inner else ""
        return self.names.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    def arguments(self, kind: str, node: ast.Call) -> dict[str, Value]:
        """The arguments of a call by name, in the order of the constructor. Raises LiteralError."""
        names = [parameter.name for parameter in catalogue()[kind].parameters]
        if len(node.args) > len(names):
            raise LiteralError(node, f"nn.{kind} takes {len(names)} arguments, here are {len(node.args)}")
        given = dict(zip(names, map(self.value, node.args), strict=False))
        for keyword in node.keywords:
            if keyword.arg not in names:
                raise LiteralError(node, f"nn.{kind} has no argument {keyword.arg or '**'}")
            if keyword.arg in given:
                raise LiteralError(node, f"nn.{kind} is given {keyword.arg} twice")
            given[keyword.arg] = self.value(keyword.value)
        for name, _, _, default in catalogue()[kind].parameters:
            if name in NO_ARGUMENTS and given.pop(name, default) != default:
                raise LiteralError(node, f"nn.{kind} cannot be given {name} here, which no file says")
        return {name: given[name] for name in names if name in given}


def _bounded_number(node: ast.AST, number: float) -> float:
    if isinstance(number, int) and not -LARGEST <= number < LARGEST:
        raise LiteralError(node, f"{excerpt(node)} is out of range")
    return number


def excerpt(code: ast.AST | str) -> str:
    """Code itself, short and in one line."""
    text = " ".join((ast.unparse(code) if isinstance(code, ast.AST) else code).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
