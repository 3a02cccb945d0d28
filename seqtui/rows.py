"""The rows that the command line and the screens both show: one a layer, one a tensor, the model itself first.

A row is a value; how wide it is drawn and in what colours is the viewer's affair. All text that came from a file has
passed `safe_text` when it leaves here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from seqtui.model.infer import Inference, LayerInfo
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue
from seqtui.model.kinds.kind import ArgumentError
from seqtui.model.spec import Deferred, LayerSpec, ModelSpec, Value
from seqtui.model.tensors import NewTensor, TensorInfo
from seqtui.safe_text import safe_text
from seqtui.words import NONE, UNKNOWN, bytes_words, count_words, output_words, plural, shape_words

State = Literal["on", "off", "random", "problem", "guessed", "frozen", "plain"]
"""What the sign before a row says; `plain` has none: containers, tensors and layers of which nothing is known.

`random` is what draws random numbers in train mode, while that is how the model is run."""

SIGNS: dict[State, str] = {
    "on": "●", "off": "○", "random": "≈", "problem": "!", "guessed": "?", "frozen": "❄", "plain": " "
}  # fmt: skip


NO_SHARERS: Mapping[str, list[str]] = {}
REASON_WIDTH = 40
"""Cells that the reason for an unknown output may take of a row; a longer one stands below the table."""


class Row(NamedTuple):
    """One line of the tree."""

    path: str
    """Dotted path of the layer, "" for the model; of a tensor the full name inside the model."""
    depth: int
    layer: LayerSpec
    """The layer shown, or the one that holds the tensor."""
    tensor: TensorInfo | None = None

    @property
    def can_open(self) -> bool:
        """Whether anything stands below it."""
        return self.tensor is None and bool(self.layer.tensors or self.layer.layers)


class Cells(NamedTuple):
    """A row's columns as text, nothing padded."""

    state: State
    label: str
    kind: str
    output: str
    params: str
    macs: str
    memory: str
    is_frozen: bool = False
    """Whether no parameter of it is trained, whatever the sign says."""

    def without_problem(self) -> Cells:
        """The same with no sentence where the output shape stands."""
        return self._replace(output=UNKNOWN) if self.state == "problem" else self


def model_row(model: ModelSpec) -> Row:
    """The first row: the model itself."""
    return Row("", 0, model.root)


def rows_below(row: Row, is_open: Callable[[Row], bool]) -> Iterator[Row]:
    """Everything under a row in order, tensors before layers, going down where `is_open`."""
    prefix = f"{row.path}." if row.path else ""
    depth = row.depth + 1
    for tensor in row.layer.tensors:
        yield Row(prefix + tensor.name, depth, row.layer, tensor)
    for layer in row.layer.layers:
        below = Row(prefix + layer.name, depth, layer)
        yield below
        if (layer.tensors or layer.layers) and is_open(below):
            yield from rows_below(below, is_open)


def has_path(model: ModelSpec, path: str) -> bool:
    """Whether a layer or a tensor is called that."""
    towards = rows_below(model_row(model), lambda row: path.startswith(f"{row.path}."))
    return any(row.path == path for row in towards)


def cells(
    row: Row, inference: Inference, title: str, is_training: bool = False, sharers: Mapping[str, list[str]] = NO_SHARERS
) -> Cells:
    """The columns of a row; `title` is the label of the model's own. What is random in train mode has a sign there.

    `sharers` are what `sharers_of` says of the model.
    """
    if row.tensor:
        return _tensor_cells(row.tensor, row.layer, sharers.get(row.path, []))
    info = inference.info(row.path, row.layer)
    output = _output_cell(row, info)
    if not info.num_params and not row.layer.tensors and not row.layer.layers and row.layer.kind is None:
        output = NONE
    return Cells(
        state=state_of(row.layer, info, is_training),
        label=safe_text(row.layer.name if row.depth else title),
        kind=kind_cell(row.layer),
        output=output,
        params=count_words(info.num_params),
        macs=count_words(info.macs),
        memory=bytes_words(info.activation_bytes),
        is_frozen=bool(info.num_params and not info.num_trainable),
    )


def state_of(layer: LayerSpec, info: LayerInfo, is_training: bool = False) -> State:
    """What is most worth knowing of a layer, as one sign."""
    if info.problem:
        return "problem"
    if not layer.enabled:
        return "off"
    if layer.origin == "guessed":
        return "guessed"
    if layer.kind is None or layer.kind == "Sequential":
        return "plain"
    if is_training and layer.kind in KINDS and KINDS[layer.kind].is_random:
        return "random"
    return "frozen" if info.num_params and not info.num_trainable else "on"


def kind_cell(layer: LayerSpec) -> str:
    """Kind and arguments in a few cells: `Conv2d 3→16 k3`; for a container how many layers it holds."""
    if layer.layers and (layer.kind is None or layer.kind == "Sequential"):
        inside = plural(len(layer.layers), "layer")
        return f"{layer.kind}, {inside}" if layer.kind else inside
    if layer.kind is None:
        return plural(len(layer.tensors), "tensor") if layer.tensors else "not in the file"
    text = f"{layer.kind} {argument_words(layer)}".rstrip()
    if layer.origin == "declared" and layer.uncarried:
        text = f"{text}, {', '.join(layer.uncarried)}"
    return safe_text(text if layer.enabled else f"{text}  off")


def argument_words(layer: LayerSpec) -> str:
    """The arguments as the kind's own row words them; where there is no rule, those given."""
    kind = KINDS.get(layer.kind or "")
    if kind is not None and layer.origin != "opaque":
        try:
            return kind.words(bind(kind.name, layer.args))
        except (ArgumentError, KeyError):  # a wrong or, in a guess, a missing argument: say what there is
            pass
    return " ".join(value_words(value) for value in layer.args.values())


def value_words(value: Value) -> str:
    """An argument's value as Python writes it, short: a tuple as `3×3`."""
    if isinstance(value, tuple) and value and all(isinstance(item, int) for item in value):
        return "×".join(str(item) for item in value)
    return repr(value) if isinstance(value, str) else str(value)


def description(kind: str) -> str:
    """One line on what a kind does, from torch's own documentation."""
    entry = catalogue().get(kind)
    return entry.description if entry else ""


def file_title(path: str) -> str:
    """What to call a model on its own row: the file's name without its suffix."""
    return os.path.splitext(os.path.basename(path))[0] or path


def _output_cell(row: Row, info: LayerInfo) -> str:
    if info.problem:
        return safe_text(info.problem.brief)
    if info.unknown:
        return UNKNOWN if has_long_reason(info) else safe_text(info.unknown)
    if info.output_shape is None and (row.layer.origin != "declared" or row.layer.kind is None):
        return NONE
    return f"{output_words(info.output_shape)} *" if info.is_torchs else output_words(info.output_shape)


def has_long_reason(info: LayerInfo) -> bool:
    """Whether a row has no room for why the output is not known."""
    return len(info.unknown) > REASON_WIDTH


def _tensor_cells(tensor: TensorInfo, layer: LayerSpec, sharers: list[str]) -> Cells:
    tied = layer.tied.get(tensor.name)
    shared = f"shared with {others_words(sharers)}" if sharers else ""
    return Cells(
        state="frozen" if tensor.name in layer.frozen else "plain",
        label=safe_text(tensor.name),
        kind=safe_text(f"{shape_words(tensor.shape)}  {tensor.dtype}"),
        output=safe_text(f"tied to {tied}") if tied else safe_text(shared),
        params=count_words(math.prod(tensor.shape)),
        macs="",
        memory=bytes_words(tensor.nbytes),
    )


def sharers_of(layer: LayerSpec, path: str = "") -> dict[str, list[str]]:
    """By the full name of every tensor that others are tied to, their full names, in a layer and all inside."""
    prefix, found = f"{path}." if path else "", dict[str, list[str]]()
    for name, owner in layer.tied.items():
        found.setdefault(owner, []).append(f"{prefix}{name}")
    for child in () if isinstance(layer.layers, Deferred) else layer.layers:  # a guess ties nothing
        if child.tied or child.layers:
            for owner, names in sharers_of(child, f"{prefix}{child.name}").items():
                found.setdefault(owner, []).extend(names)
    return found


def others_words(names: Sequence[str]) -> str:
    """The first of some names, and how many more: `fc2.weight +1`."""
    return f"{names[0]} +{len(names) - 1}" if len(names) > 1 else names[0]


def making_words(tensor: TensorInfo) -> str:
    """What a new tensor will be made of: `2,400 kept, 1,200 new when saved`; empty for one that a file holds."""
    ref = tensor.ref
    if not isinstance(ref, NewTensor):
        return ""
    kept = math.prod(ref.kept) if ref.keep else 0
    counts = [f"{n:,} {word}" for n, word in ((kept, "kept"), (math.prod(tensor.shape) - kept, "new")) if n]
    return f"{', '.join(counts) or 'nothing'} when saved"


def tensor_path(row: Row, tensor: TensorInfo) -> str:
    """The full name in the model of a row's tensor or, on a layer's row, of one of the layer's."""
    return row.path if row.tensor else f"{row.path}.{tensor.name}".removeprefix(".")
