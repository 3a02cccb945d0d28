"""Reads a Sequential from Python source without running a line of it.

What is understood: imports of torch, constants of numbers and text, one expression of `nn.Sequential` of torch's own
layers, turned into a type or not, and the lines that `source_code` writes for shared and frozen tensors. All else is
refused with its line.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from seqtui.errors import FormatError
from seqtui.formats.source_code import INPUT_DTYPE, INPUT_SHAPE, NET, OFF, castable
from seqtui.model.literals import LiteralError, ValueReader, excerpt
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.spec_json import MAX_BYTES, MAX_DEPTH, MAX_LAYERS
from seqtui.model.tensors import TORCH_DTYPES, TensorInfo, is_possible
from seqtui.model.weights_kept import new_tensors, own_shapes
from seqtui.words import plural


class SourceError(FormatError):
    """Source code that is not the form of a Sequential that is understood here."""

    def __init__(self, line: int, reason: str) -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{reason}", hint="One nn.Sequential of torch.nn layers is read, and never run.")
        self.line_number = line
        """From 1; 0 where it is about the whole."""


def read_source(text: str) -> ModelSpec:
    """The model that source code makes, all layers `declared`. Raises SourceError.

    Its layers have tensors only where the code says of which type: those of a file that would hold them, without a
    `ref`.
    """
    if len(text) > MAX_BYTES:
        raise SourceError(0, f"there are {len(text):,} characters of code; the limit is {MAX_BYTES:,}")
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's, about "\\d" and the like
            return _read(text)
    except LiteralError as error:
        raise SourceError(error.line_number, str(error)) from None
    except (RecursionError, MemoryError):  # brackets and sums by the thousand
        raise SourceError(0, "this is not Python that can be read") from None


def _read(text: str) -> ModelSpec:
    try:
        statements = ast.parse(text).body
        comments = _comments(text)
    except SyntaxError as error:
        raise SourceError(error.lineno or 0, f"this is not Python: {error.msg}") from None
    except (ValueError, tokenize.TokenError):  # null bytes
        raise SourceError(0, "this is not Python that can be read") from None
    for line, comment in comments.items():
        if comment.startswith(f"{OFF}{NET}."):
            statements += _kept(comment, line).body
    reader = _Reader(comments)
    for statement in sorted(statements, key=lambda statement: statement.lineno):
        reader.statement(statement)
    return reader.model()


def _comments(text: str) -> dict[int, str]:
    """The comment that ends each line, without its sign, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0]: token.string[1:].strip() for token in tokens if token.type == tokenize.COMMENT}


def _kept(comment: str, line: int) -> ast.Module:
    """The code that a comment keeps. Raises SourceError."""
    code = comment.removeprefix(OFF)
    try:
        return ast.increment_lineno(ast.parse(code), line - 1)
    except (SyntaxError, ValueError):
        raise SourceError(line, f"the comment keeps no call: {code[:60]}") from None


def lost_words(text: str, written: str) -> str:
    """What code that was read has and other code has not, in words: names, comments, a docstring; empty for nothing."""
    (names, docstring), (kept_names, kept_docstring) = (_said(ast.parse(code)) for code in (text, written))
    comments = Counter(_comments(text).values()) - Counter(_comments(written).values())
    lost = [name for name in names if name not in kept_names]
    lost += [plural(comments.total(), "comment")] if comments else []
    lost += ["a docstring"] if docstring and docstring != kept_docstring else []
    return ", ".join(lost)


def _said(tree: ast.Module) -> tuple[list[str], str | None]:
    """The names that code gives to something, and its docstring."""
    targets = [target for one in tree.body if isinstance(one, ast.Assign) for target in one.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)], ast.get_docstring(tree)


class _Reader:
    """One module being read: its names so far, and the network once it has been seen."""

    def __init__(self, comments: Mapping[int, str]) -> None:
        self.comments = comments
        self.used: set[int] = set()
        """The lines whose comment has told what an Identity on them stands for."""
        self.values = ValueReader()
        self.net = ""
        self.root: LayerSpec | None = None
        self.kinds: dict[str, str | None] = {}
        """Of the network's layers, by path."""
        self.frozen: dict[str, set[str]] = {}
        self.tied: dict[str, dict[str, str]] = {}
        """What is said of a layer's tensors after the network, by the layer's path."""
        self.dtype = ""
        """Of all weights, by safetensors' word; empty where nothing is said."""

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
        tensors: tuple[TensorInfo, ...] = ()
        if self.dtype:
            made = new_tensors(own_shapes(layer), self.dtype, seed=0)
            tensors = tuple(tensor._replace(ref=None) for tensor in made)
        return replace(layer, tensors=tensors, layers=tuple(inside), frozen=frozen, tied=tied)

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
                source, source_name = self.tensor(owner)
                first = self.tied.get(source, {}).get(source_name)
                self.tied.setdefault(path, {})[name] = first or f"{source}.{source_name}"
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self.assigned(name, value)
            case ast.Expr(value=ast.Call() as value) if self.makes_layer(value):
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
        match value:
            case ast.Call(func=ast.Attribute(value=ast.Call() as value, attr="to"), args=[word], keywords=[]):
                self.dtype = self.weights_dtype(word)
        kind = self.values.kind(value)
        if self.root is not None:
            raise _refusal(value, "a second network")
        if kind != "Sequential":
            raise _refusal(value, f"the network is a {kind}, not an nn.Sequential")
        self.net, self.root = name, (root := self.layer("", value, 0))
        self.kinds = {path: layer.kind for path, layer in root.walk()}

    def makes_layer(self, node: ast.Call) -> bool:
        """Whether a call stands for a layer, turned into a type or not, whatever else may be wrong with it."""
        match node.func:
            case ast.Attribute(value=ast.Call() as inner, attr="to"):
                return self.makes_layer(inner)
        return self.values.full_name(node.func).startswith(("nn.", "torch.nn."))

    def weights_dtype(self, node: ast.expr) -> str:
        """safetensors' word for the type that all weights are turned into."""
        row = TORCH_DTYPES.get(self.values.full_name(node).removeprefix("torch."))
        if row is None or not castable(row.name):
            raise _refusal(node, f"{excerpt(node)} is no type that weights can have")
        return row.name

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
        if kind == "Identity" and len(node.args) == 1:  # which torch never looks at
            return replace(self.layer(name, node.args[0], depth), enabled=False)
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
        layers = tuple(self.noted(self.layer(name, value, depth + 1), value, depth + 1) for name, value in pairs)
        seen: set[str] = set()
        for name, value in pairs:
            if not name or "." in name:
                raise _refusal(
                    value, f"{name!r} cannot be the name of a layer: it {'has a dot' if name else 'is empty'}"
                )
            if name in seen:
                raise _refusal(value, f"there is a layer {name!r} already")
            seen.add(name)
        return layers

    def is_ordered_dict(self, node: ast.expr) -> bool:
        return self.values.full_name(node) in ("OrderedDict", "collections.OrderedDict")

    def pair(self, node: ast.expr) -> tuple[str, ast.expr]:
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(name)), value]):
                return name, value
        raise _refusal(node, f"{excerpt(node)} is no pair of a name and a layer")

    def noted(self, layer: LayerSpec, node: ast.expr, depth: int) -> LayerSpec:
        """The layer, or the one that its comment keeps: `nn.Identity(),  # off: nn.Dropout(p=0.5)`."""
        line = node.end_lineno or 0
        comment = self.comments.get(line, "")
        if layer.kind != "Identity" or not layer.enabled or not comment.startswith(OFF):
            return layer
        if line in self.used:
            raise _refusal(node, "one comment stands for two Identities; each needs a line of its own")
        self.used.add(line)
        match _kept(comment, line).body:
            case [ast.Expr(value=call)]:
                reader = _Reader({})  # of a Sequential in the comment no other comment is meant
                reader.values = self.values
                return replace(reader.layer(layer.name, call, depth), enabled=False)
        raise _refusal(node, f"the comment keeps no call: {comment[:60]}")


def _refusal(node: ast.AST, reason: str) -> SourceError:
    return SourceError(getattr(node, "lineno", 0), reason)
