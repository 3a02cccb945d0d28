"""The spec inside the file: a model's layers as JSON, both ways.

What is read was written by anyone: nothing in it is imported, called or believed before its type is checked, and
whatever does not fit is a SpecError, after which the file's tensors are shown without it. Tensors are not part of the
text; they are in the file, and are the fact that the text is held against.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from seqtui.errors import FormatError
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import InputSpec, LayerSpec, LayerValue, ModelSpec, Value
from seqtui.model.tensors import TORCH_DTYPES, is_possible

SPEC_KEY = "seqtui.spec"
"""Its key in a safetensors file's metadata."""

MAX_BYTES = 4 << 20
MAX_LAYERS = 10_000
MAX_DEPTH = 32
"""Sequentials inside one another, and lists inside one another in an argument."""

MAX_ITEMS = 64
"""In a list of an argument: no layer takes more than a number for each dimension of a tensor."""

MAJOR = 1
"""Raised when an older reader would misunderstand; keys may be added without."""

DEFAULT_INPUT_NAME = "input"

_Object = Mapping[str, Any]
"""A JSON object. Any: what is inside is as yet unchecked."""

REPEATS = ("num_layers", "num_encoder_layers", "num_decoder_layers")
"""Arguments by which a layer repeats itself; each repetition has tensors."""


class SpecError(FormatError):
    """A spec that cannot be read, or a model that no spec can describe. The message continues "the spec ..."."""


def spec_to_json(model: ModelSpec) -> str:
    """The text for the file's metadata, without a space or a line break.

    Raises SpecError for a model whose root is no Sequential, for a kind that the catalogue does not know, and beyond
    the limits.
    """
    if not model.is_sequential or model.calls:
        raise SpecError("can only describe a Sequential")
    _check_count(model)
    document = {
        "seqtui": MAJOR,
        "kind": "Sequential",
        "inputs": [_input_to_json(spec) for spec in model.inputs],
        "layers": [_layer_to_json(layer, layer.name, 1) for layer in model.layers if layer.is_called],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    _check_size(text)
    return text


def spec_from_json(text: str) -> ModelSpec:
    """The layers and inputs, all `declared`, without tensors or metadata. Raises SpecError."""
    _check_size(text)
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise SpecError(f"is not JSON: {error.msg} at character {error.pos:,}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python converts no number of more than 4,300 digits
        raise SpecError("holds a number that is out of range") from None
    major = document.get("seqtui") if isinstance(document, dict) else None
    if type(major) is not int or major < 1:
        raise SpecError("does not say which version of seqtui it is for")
    if major > MAJOR:
        raise SpecError(f"is of version {major}, written by a newer seqtui; this one reads {MAJOR}")
    if document.get("kind") != "Sequential":
        raise SpecError("describes something other than a Sequential")
    inputs = tuple(_input_from_json(row) for row in _list(document, "inputs", "the model"))
    _check_names([spec.name for spec in inputs], "two inputs")
    layers = _layers_from_json(document, "", 1)
    model = ModelSpec(LayerSpec("", "Sequential", layers=layers), inputs)
    _check_count(model)
    return model


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise SpecError("holds half a character") from None
    if size > MAX_BYTES:
        raise SpecError(f"has {size:,} bytes; the limit is {MAX_BYTES:,}")


def _check_count(model: ModelSpec) -> None:
    """A recurrent layer counts as the layers that it says it is: its rule makes tensors for each."""
    repeats = ([layer.args.get(name) for name in REPEATS] for _, layer in model.walk())
    count = sum(max([1, *(number for number in numbers if isinstance(number, int))]) for numbers in repeats)
    if count > MAX_LAYERS:
        raise SpecError(f"has {count:,} layers; the limit is {MAX_LAYERS:,}")


def _check_items(count: int) -> None:
    if count > MAX_ITEMS:
        raise SpecError(f"has a list of {count:,} values as an argument; the limit is {MAX_ITEMS}")


def _too_deep() -> SpecError:
    return SpecError(f"is nested more than {MAX_DEPTH} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        _check_names([name for name, _ in pairs], "two values")
    return unique


def _check_names(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SpecError(f"names {what} {name[:60]!r}")
        seen.add(name)


def _refuse_constant(constant: str) -> NoReturn:
    raise SpecError(f"holds {constant}, which is not JSON")


# Writing


def _input_to_json(spec: InputSpec) -> dict[str, object]:
    name = {} if spec.name == DEFAULT_INPUT_NAME else {"name": spec.name}
    return {**name, "shape": spec.shape, "dtype": spec.dtype}


def _layer_to_json(layer: LayerSpec, path: str, depth: int) -> dict[str, object]:
    """What is at its default is left out, and what is not called. An opaque layer's kind is null: nobody knows it."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    kind = None if layer.origin == "opaque" else layer.kind
    if kind not in (None, "Sequential") and kind not in catalogue():
        raise SpecError(f"cannot describe {path[:60]!r}: no layer of torch.nn is called {str(kind)[:60]!r}")
    row: dict[str, object] = {"name": layer.name, "kind": kind}
    if layer.args:
        row["args"] = args_to_json(layer.args)
    if not layer.enabled:
        row["enabled"] = False
    if layer.frozen:
        row["frozen"] = sorted(layer.frozen)
    if layer.tied:
        row["tied"] = dict(layer.tied)
    if layer.layers or kind == "Sequential":
        row["layers"] = [
            _layer_to_json(child, f"{path}.{child.name}", depth + 1) for child in layer.layers if child.is_called
        ]
    return row


def args_to_json(args: Mapping[str, Value]) -> dict[str, object]:
    """A layer's arguments as JSON has room for them.

    `{"float": "inf"}` stands for what is not finite, `{"kind": "Linear", "args": {}}` for a layer given as an argument.
    """
    return {name: _value_to_json(value, 1) for name, value in args.items()}


def _value_to_json(value: Value, depth: int) -> object:
    if isinstance(value, tuple):
        if depth > MAX_DEPTH:
            raise _too_deep()
        _check_items(len(value))
        return [_value_to_json(item, depth + 1) for item in value]
    if isinstance(value, LayerValue):
        if depth > MAX_DEPTH:
            raise _too_deep()
        return {"kind": value.kind, "args": {name: _value_to_json(item, depth + 1) for name, item in value.args}}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


# Reading


def _list(row: _Object, key: str, where: str) -> list[Any]:
    """The list at a key; absent counts as empty."""
    found = row.get(key, [])
    if not isinstance(found, list):
        raise SpecError(f"has something other than a list as {key} of {where[:60]}")
    return found


def _input_from_json(row: object) -> InputSpec:
    if not isinstance(row, dict):
        raise SpecError("has an input that is no JSON object")
    name, shape, dtype = row.get("name", DEFAULT_INPUT_NAME), row.get("shape"), row.get("dtype", "float32")
    if not isinstance(name, str) or not name:
        raise SpecError("has an input whose name is not text")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape) or not is_possible(tuple(shape)):
        raise SpecError(f"has no possible shape for the input {name[:60]!r}")
    if not isinstance(dtype, str) or dtype not in TORCH_DTYPES:
        raise SpecError(f"has no possible dtype for the input {name[:60]!r}")
    return InputSpec(name, tuple(shape), dtype)


def _layers_from_json(row: _Object, path: str, depth: int) -> tuple[LayerSpec, ...]:
    rows = _list(row, "layers", path or "the model")
    if rows and depth > MAX_DEPTH:
        raise _too_deep()
    layers = tuple(_layer_from_json(child, path, depth) for child in rows)
    _check_names([layer.name for layer in layers], f"two layers in {path[:60] or 'the model'}")
    return layers


def _layer_from_json(row: object, parent: str, depth: int) -> LayerSpec:
    if not isinstance(row, dict):
        raise SpecError(f"has a layer in {parent[:60] or 'the model'} that is no JSON object")
    name, kind = row.get("name"), row.get("kind")
    if not isinstance(name, str) or not name or "." in name:
        raise SpecError(f"has a layer in {parent[:60] or 'the model'} whose name is empty, has a dot or is not text")
    path = f"{parent}.{name}" if parent else name
    if kind is not None and (not isinstance(kind, str) or (kind != "Sequential" and kind not in catalogue())):
        raise SpecError(f"says that {path[:60]!r} is of kind {str(kind)[:60]!r}, and torch.nn has none")
    enabled = row.get("enabled", True)
    if not isinstance(enabled, bool):
        raise SpecError(f"says neither true nor false to whether {path[:60]!r} is enabled")
    layers = _layers_from_json(row, path, depth + 1)
    if layers and kind not in (None, "Sequential"):
        raise SpecError(f"puts layers into {path[:60]!r}, which is no Sequential")
    return LayerSpec(
        name,
        kind,
        _args_from_json(row.get("args", {}), path),
        tied=_tied_from_json(row.get("tied", {}), path),
        frozen=_frozen_from_json(_list(row, "frozen", path), path),
        layers=layers,
        enabled=enabled,
        origin="opaque" if kind is None else "declared",
    )


def _args_from_json(args: object, path: str) -> dict[str, Value]:
    if not isinstance(args, dict):
        raise SpecError(f"has something other than arguments at {path[:60]!r}")
    return {name: _value_from_json(value, path, 1) for name, value in args.items()}


def _value_from_json(value: object, path: str, depth: int) -> Value:
    if isinstance(value, list):
        if depth > MAX_DEPTH:
            raise _too_deep()
        _check_items(len(value))
        return tuple(_value_from_json(item, path, depth + 1) for item in value)
    if isinstance(value, dict) and value.keys() == {"float"} and value["float"] in ("inf", "-inf", "nan"):
        return float(value["float"])
    if isinstance(value, dict) and value.keys() == {"kind", "args"}:
        return _layer_value_from_json(value, path, depth)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SpecError(f"has a number that is out of range at {path[:60]!r}")
    if value is None or isinstance(value, int | float | str):
        return value
    raise SpecError(f"has an argument at {path[:60]!r} that is no value")


def _layer_value_from_json(row: _Object, path: str, depth: int) -> LayerValue:
    kind, args = row["kind"], row["args"]
    if depth > MAX_DEPTH:
        raise _too_deep()
    if not isinstance(kind, str) or kind not in catalogue():
        raise SpecError(f"gives a {str(kind)[:60]!r} as an argument at {path[:60]!r}, and torch.nn has none")
    if not isinstance(args, dict):
        raise SpecError(f"has something other than arguments at {path[:60]!r}")
    return LayerValue(kind, tuple((name, _value_from_json(item, path, depth + 1)) for name, item in args.items()))


def _frozen_from_json(names: list[Any], path: str) -> frozenset[str]:
    if not all(isinstance(name, str) for name in names):
        raise SpecError(f"has something other than names in the list of what is frozen at {path[:60]!r}")
    return frozenset(names)


def _tied_from_json(tied: object, path: str) -> dict[str, str]:
    if not isinstance(tied, dict) or not all(isinstance(owner, str) for owner in tied.values()):
        raise SpecError(f"has something other than names in what is tied at {path[:60]!r}")
    return tied
