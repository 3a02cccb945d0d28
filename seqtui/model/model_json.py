"""A model as JSON that reads back to the very value: for states that no edit leads to, such as an undo past a save.

Unlike the spec in a file it says where each tensor's numbers lie, and of what another model has in the same place only
that it is the same: an undone edit costs what it changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from seqtui.errors import FormatError
from seqtui.model.literals import LiteralError, parse_value, value_text
from seqtui.model.spec import Call, InputSpec, LayerSpec, ModelSpec
from seqtui.model.tensors import NewTensor, TensorInfo, TensorRef
from seqtui.model.tree import joined, walk_layer

_Object = Mapping[str, Any]
"""A JSON object. Any: what is inside is checked by making values of it."""

_WRONG = (AttributeError, IndexError, KeyError, LiteralError, RecursionError, TypeError, ValueError)
"""What making values of a wrong document raises."""

EMPTY = ModelSpec(LayerSpec(""))


def model_to_json(model: ModelSpec, known: ModelSpec = EMPTY) -> str:
    """ASCII text without a line break; a layer that `known` has at the same path stands as nothing but that path."""
    same = dict(walk_layer("", known.root))
    document = {
        "root": _layer_to_json("", model.root, same),
        "inputs": [list(spec) for spec in model.inputs],
        "calls": [list(call) for call in model.calls],
        "metadata": dict(model.metadata),
    }
    return json.dumps(document, separators=(",", ":"))


def model_from_json(text: str, known: ModelSpec = EMPTY) -> ModelSpec:
    """The model that was written, with the same `known`. Raises FormatError."""
    same = dict(walk_layer("", known.root))
    try:
        document = json.loads(text)
        return ModelSpec(
            _layer_from_json(document["root"], same),
            tuple(InputSpec(name, tuple(shape), dtype) for name, shape, dtype in document["inputs"]),
            tuple(Call(path, tuple(inputs), output) for path, inputs, output in document["calls"]),
            dict(document["metadata"]),
        )
    except _WRONG:
        raise FormatError("the model is written in a way that this seqtui does not know") from None


def _layer_to_json(path: str, layer: LayerSpec, same: Mapping[str, LayerSpec]) -> object:
    """The path alone where it is the same there; else every field that is not at its default."""
    if same.get(path) == layer:
        return path
    row: dict[str, object] = {"name": layer.name}
    for name, default in _DEFAULTS.items():
        value = getattr(layer, name)
        if name == "layers":
            value = [_layer_to_json(joined(path, child.name), child, same) for child in value]
        if value != default and value != []:
            row[name] = _WRITTEN[name](value) if name in _WRITTEN else value
    return row


def _layer_from_json(row: str | _Object, same: Mapping[str, LayerSpec]) -> LayerSpec:
    if isinstance(row, str):
        return same[row]
    given: dict[str, Any] = {
        name: _READ[name](value) if name in _READ else value for name, value in row.items() if name != "layers"
    }
    return LayerSpec(**given, layers=tuple(_layer_from_json(child, same) for child in row.get("layers", ())))


def _tensor_to_json(tensor: TensorInfo) -> list[object]:
    ref: object = tensor.ref
    if isinstance(tensor.ref, NewTensor):
        ref = tensor.ref._asdict()  # so that it is told from a reference, which is a list
    return [*tensor[:4], ref]


def _tensor_from_json(row: list[Any]) -> TensorInfo:
    name, dtype, shape, nbytes, ref = row
    if isinstance(ref, dict):
        keep = ref["keep"]
        ref = NewTensor(ref["seed"], ref["init"], TensorRef(*keep) if keep else None, tuple(ref["kept"]))
    elif ref is not None:
        ref = TensorRef(*ref)
    return TensorInfo(name, dtype, tuple(shape), nbytes, ref)


_DEFAULTS = {
    field.name: field.default if field.default_factory is MISSING else field.default_factory()
    for field in fields(LayerSpec)
    if field.name != "name"
}

_WRITTEN: Mapping[str, Callable[[Any], object]] = {
    "args": lambda args: {name: value_text(value) for name, value in args.items()},
    "tensors": lambda tensors: [_tensor_to_json(tensor) for tensor in tensors],
    "tied": dict,
    "frozen": sorted,
    "buffers": sorted,
    "unsized": sorted,
}
"""How the fields of a layer are written that JSON has no room for."""

_READ: Mapping[str, Callable[[Any], object]] = {
    "args": lambda args: {name: parse_value(text) for name, text in args.items()},
    "tensors": lambda rows: tuple(map(_tensor_from_json, rows)),
    "frozen": frozenset,
    "buffers": frozenset,
    "unsized": frozenset,
    "uncarried": tuple,
    "alternatives": tuple,
}


# Where numbers lie


def refs_of(model: ModelSpec) -> Iterator[TensorRef]:
    """Every stored tensor of which a model has numbers, as often as it has."""
    for _, layer in walk_layer("", model.root):
        for tensor in layer.tensors:
            ref = tensor.ref.keep if isinstance(tensor.ref, NewTensor) else tensor.ref
            if ref is not None:
                yield ref


def with_refs(model: ModelSpec, placed: Callable[[TensorRef], TensorRef]) -> ModelSpec:
    """The model with every reference to stored numbers replaced by another to the same numbers."""

    def tensor_with(tensor: TensorInfo) -> TensorInfo:
        match tensor.ref:
            case TensorRef() as ref:
                return tensor._replace(ref=placed(ref))
            case NewTensor(keep=TensorRef() as keep) as new:
                return tensor._replace(ref=new._replace(keep=placed(keep)))
        return tensor

    def layers_with(layers: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
        return tuple(map(layer_with, layers))

    def layer_with(layer: LayerSpec) -> LayerSpec:
        if not layer.tensors and not layer.layers:
            return layer
        return replace(layer, tensors=tuple(map(tensor_with, layer.tensors)), layers=layers_with(layer.layers))

    return replace(model, root=layer_with(model.root))
