"""What a model is fed, as text and back: `1,3,32,32`, `4x12:int64`; and the types that it can be computed in."""

from __future__ import annotations

import re

from seqtui.errors import FormatError, UsageError
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.model.tensors import DTYPES, MAX_DIMENSIONS, TORCH_DTYPES, is_possible


def parse_input(text: str, model: ModelSpec | None = None) -> InputSpec:
    """`1,3,32,32` or `1x3x32x32`, with `:int64` behind it for another type than that which the model is fed, float32
    where there is none. Raises UsageError.
    """
    written, _, dtype = text.strip().partition(":")
    sizes = [part.strip() for part in re.split(r"[,x×]", written.strip().strip("()[]"))]
    if not all(re.fullmatch(r"[0-9]{1,19}", size) for size in sizes):
        raise UsageError(f"{text!r} is no input shape", hint="Write it as 1,3,32,32 or 4,12:int64.")
    shape = tuple(map(int, sizes))
    if not is_possible(shape):
        limits = f"At most {MAX_DIMENSIONS} dimensions, and fewer than 2**63 elements in all."
        raise UsageError(f"{text!r} is more than torch can hold in one tensor", hint=limits)
    name = dtype.strip() or (model.inputs[0].dtype if model and model.inputs else "float32")
    known = TORCH_DTYPES.get(name.lower()) or DTYPES.get(name.upper())
    if known is None or not known.torch:
        raise UsageError(f"{name!r} is no tensor type", hint="Types are torch's: float32, int64, bool.")
    return InputSpec("input", shape, known.torch)


def input_text(given: InputSpec) -> str:
    """The text that `parse_input` reads back to the same shape and type."""
    shape = ",".join(map(str, given.shape))
    return shape if given.dtype == "float32" else f"{shape}:{given.dtype}"


def require_input(model: ModelSpec) -> InputSpec:
    """What a model is fed. Raises FormatError for one that cannot be run, UsageError where nobody said what goes in."""
    require_sequential(model)
    if not model.inputs:
        raise UsageError("nothing says what this model is fed", hint="Say it with --input 1,3,32,32.")
    return model.inputs[0]


def require_sequential(model: ModelSpec) -> None:
    """Raises FormatError for tensors without an order, from which no network can be built."""
    if not model.is_sequential:
        raise FormatError(
            "the file does not say how its layers are connected, so no network can be built from it",
            hint="seqtui.save(net, path) writes an nn.Sequential with its layers.",
        )


def parse_float_type(text: str) -> str:
    """torch's word for a floating type, named in its way, in safetensors' or as `bf16`. Raises UsageError."""
    known = TORCH_DTYPES.get(text.lower()) or DTYPES.get(text.upper())
    if known is None or known.torch not in FLOAT_TYPES:
        raise UsageError(f"{text!r} is no type to compute in", hint=f"Types are {', '.join(FLOAT_TYPES)}.")
    return known.torch


FLOAT_TYPES = ("float32", "bfloat16", "float16", "float64")
"""Those that torch's layers compute in, by its word."""
