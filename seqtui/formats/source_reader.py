"""Reads a Sequential from Python source without running a line of it.

What is understood: imports of torch, constants of numbers and text, one expression of `nn.Sequential` of torch's own
layers, and the lines that `source_code` writes for shared and frozen tensors. All else is refused with its line.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from seqtui.errors import FormatError
from seqtui.formats.source_code import INPUT_DTYPE, INPUT_SHAPE, OFF
from seqtui.model.literals import LiteralError, ValueReader, excerpt
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.spec_json import MAX_BYTES, MAX_DEPTH, MAX_LAYERS
from seqtui.model.tensors import TORCH_DTYPES, is_possible


class SourceError(FormatError):
    """Source code that is not the form of a Sequential that is understood here."""

    def __init__(self, line: int, reason: str) -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{reason}", hint="One nn.Sequential of torch.nn layers is read, and never run.")
        self.line_number = line
        """From 1; 0 where it is about the whole."""


def read_source(text: str) -> ModelSpec:
    """The model that source code makes, all layers `declared`, without tensors. Raises SourceError."""
    if len(text) > MAX_BYTES:
        raise SourceError(0, f"there are {len(text):,} characters of code; the limit is {MAX_BYTES:,}")
    try:
        tree = ast.parse(text)
        comments = _comments(text)
    except SyntaxError as error:
        raise SourceError(error.lineno or 0, f"this is not Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError, tokenize.TokenError):  # null bytes; brackets by the thousand
        raise SourceError(0, "this is not Python that can be read") from None
    reader = _Reader(comments)
    try:
        for statement in tree.body:
            reader.statement(statement)
    except LiteralError as error:
        raise SourceError(error.line_number, str(error)) from None
    return reader.model()


def _comments(text: str) -> dict[int, str]:
    """The comment that ends each line, without its sign, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0]: token.string[1:].strip() for token in tokens if token.type == tokenize.COMMENT}


class _Reader:
    """One module being read: its names so far, and the network once it has been seen."""

    def __init__(self, comments: Mapping[int, str]) -> None:
        self.comments = comments
        self.values = ValueReader()
        self.net = ""
        self.root: LayerSpec | None = None
        self.kinds: dict[str, str | None] = {}
        """Of the network's layers, by path."""
        self.frozen: dict[str, set[str]] = {}
        self.tied: dict[str, dict[str, str]] = {}
        """What is said of a layer's tensors after the network, by the layer's path."""

    def model(self) -> ModelSpec:
        if self.root is None:
            raise SourceError(0, "there is no nn.Sequential in it")
        root = self.marked("", self.root)
        shape = self.values.constants.get(INPUT_SHAPE)
        dtype = self.values.constants.get(INPUT_DTYPE, "float32")
        if shape is None:
            return ModelSpec(root)
        sizes = tuple(size for size in shape if type(size) is int) if isinstance(shape, tuple) else ()
        if sizes != shape or not is_possible(sizes):
            raise SourceError(0, f"{INPUT_SHAPE} = {shape!r} is no input shape")
        if not isinstance(dtype, str) or dtype not in TORCH_DTYPES:
            raise SourceError(0, f"{INPUT_DTYPE} = {dtype!r} is no type of a tensor")
        return ModelSpec(root, (InputSpec("input", sizes, dtype),))

    def marked(self, path: str, layer: LayerSpec) -> LayerSpec:
        """The layer with what is said of the tensors in it."""
        inside = (self.marked(f"{path}.{child.name}" if path else child.name, child) for child in layer.layers)
        frozen, tied = frozenset(self.frozen.get(path, ())), self.tied.get(path, {})
        return replace(layer, layers=tuple(inside), frozen=frozen, tied=tied)

    # Statements

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    self.imported(node, alias.asname or alias.name.partition(".")[0], alias.name, bool(alias.asname))
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    self.imported(node, alias.asname or alias.name, f"{module}.{alias.name}", True)
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=tensor, attr="requires_grad_"), args=[flag])) if (
                isinstance(flag, ast.Constant) and flag.value is False
            ):
                path, name = self.tensor(tensor)
                self.frozen.setdefault(path, set()).add(name)
            case ast.Assign(targets=[ast.Attribute() as target], value=ast.Attribute() as owner):
                path, name = self.tensor(target)
                self.tied.setdefault(path, {})[name] = ".".join(self.tensor(owner))
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self.assigned(name, value)
            case ast.Expr(value=ast.Call() as value):
                self.assigned("", value)
            case _:
                raise _refusal(node, f"a statement that is not understood, {excerpt(node)}")

    def imported(self, node: ast.stmt, name: str, full: str, is_member: bool) -> None:
        if full.partition(".")[0] not in ("torch", "collections", "__future__") or full.endswith("*"):
            raise _refusal(node, f"an import that is not torch's or collections', {excerpt(node)}")
        self.values.names[name] = full if is_member else name

    def assigned(self, name: str, value: ast.expr) -> None:
        """A constant, or the network."""
        if not isinstance(value, ast.Call) or self.values.full_name(value.func) == "float":
            self.values.constants[name] = self.values.value(value)
            return
        if self.root is not None:
            raise _refusal(value, "a second network")
        root = self.layer("", value, 0)
        if root.kind != "Sequential":
            raise _refusal(value, f"the network is a {root.kind}, not an nn.Sequential")
        self.net, self.root = name, root
        self.kinds = {path: layer.kind for path, layer in root.walk()}

    def tensor(self, node: ast.expr) -> tuple[str, str]:
        """(path of the layer, name of its tensor) of `net.get_submodule("conv1").weight` or `net.conv1.weight`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        match node:
            case ast.Call(func=ast.Attribute(value=node, attr="get_submodule"), args=[ast.Constant(value=str(path))]):
                parts = [*path.split("."), *parts]
        if not isinstance(node, ast.Name) or node.id != self.net or self.root is None or len(parts) < 2:
            raise _refusal(node, "a tensor that is not one of the network's")
        for end in range(1, len(parts)):
            path = ".".join(parts[:end])
            if self.kinds.get(path, "Sequential") != "Sequential":
                return path, ".".join(parts[end:])
        raise _refusal(node, f"there is no layer {'.'.join(parts[:-1])}")

    # Expressions

    def layer(self, name: str, node: ast.expr, depth: int) -> LayerSpec:
        """The layer that a constructor call makes."""
        if depth > MAX_DEPTH:
            raise _refusal(node, f"Sequentials are nested more than {MAX_DEPTH} deep")
        if not isinstance(node, ast.Call):
            raise _refusal(node, f"{excerpt(node)} is no call of a layer")
        kind = self.values.kind(node)
        if kind == "Sequential":
            return LayerSpec(name, kind, layers=self.sequential(node, depth))
        return LayerSpec(name, kind, self.values.arguments(kind, node))

    def sequential(self, node: ast.Call, depth: int) -> tuple[LayerSpec, ...]:
        """The layers in it: given one by one, or as an OrderedDict of pairs."""
        if node.keywords:
            raise _refusal(node, "an nn.Sequential takes no named arguments; names stand in an OrderedDict")
        pairs = [(str(number), value) for number, value in enumerate(node.args)]
        match node.args:
            case [ast.Call(func=func, args=[ast.List(elts=items) | ast.Tuple(elts=items)], keywords=[])] if (
                self.is_ordered_dict(func)
            ):
                pairs = [self.pair(item) for item in items]
            case [ast.Call(func=func, args=[], keywords=keywords)] if self.is_ordered_dict(func):
                pairs = [(keyword.arg or "", keyword.value) for keyword in keywords]
        if len(pairs) > MAX_LAYERS:
            raise _refusal(node, f"there are {len(pairs):,} layers; the limit is {MAX_LAYERS:,}")
        layers = tuple(self.noted(self.layer(name, value, depth + 1), value) for name, value in pairs)
        names = Counter(name for name, _ in pairs)
        for name, count in names.items():
            if not name or "." in name or count > 1:
                raise _refusal(node, f"{name!r} cannot be the name of a layer: it is empty, twice there or has a dot")
        return layers

    def is_ordered_dict(self, node: ast.expr) -> bool:
        return self.values.full_name(node) in ("OrderedDict", "collections.OrderedDict", "dict")

    def pair(self, node: ast.expr) -> tuple[str, ast.expr]:
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(name)), value]):
                return name, value
        raise _refusal(node, f"{excerpt(node)} is no pair of a name and a layer")

    def noted(self, layer: LayerSpec, node: ast.expr) -> LayerSpec:
        """The layer, or the one that its comment keeps: `nn.Identity(),  # off: nn.Dropout(p=0.5)`."""
        comment = self.comments.get(node.end_lineno or 0, "")
        if layer.kind != "Identity" or not comment.startswith(OFF):
            return layer
        call = comment.removeprefix(OFF).partition("; not in this call:")[0]
        try:
            kept = ast.parse(call, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _refusal(node, f"the comment keeps no call: {call[:60]}") from None
        ast.increment_lineno(kept, node.lineno - 1)
        return replace(self.layer(layer.name, kept, 0), enabled=False)


def _refusal(node: ast.AST, reason: str) -> SourceError:
    return SourceError(getattr(node, "lineno", 0), reason)
