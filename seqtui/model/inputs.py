"""What a model is fed, as text and back: `1,3,32,32`, `4x12:int64`."""

from __future__ import annotations

import re

from seqtui.errors import UsageError
from seqtui.model.spec import InputSpec
from seqtui.model.tensors import DTYPES, MAX_DIMENSIONS, TORCH_DTYPES, is_possible


def parse_input(text: str) -> InputSpec:
    """`1,3,32,32` or `1x3x32x32`, with `:int64` behind it for another type than float32. Raises UsageError."""
    written, _, dtype = text.strip().partition(":")
    sizes = [part.strip() for part in re.split(r"[,x×]", written.strip().strip("()[]"))]
    if not all(re.fullmatch(r"[0-9]{1,19}", size) for size in sizes):
        raise UsageError(f"{text!r} is no input shape", hint="Write it as 1,3,32,32 or 4,12:int64.")
    shape = tuple(map(int, sizes))
    if not is_possible(shape):
        limits = f"At most {MAX_DIMENSIONS} dimensions, and fewer than 2**63 elements in all."
        raise UsageError(f"{text!r} is more than torch can hold in one tensor", hint=limits)
    name = dtype.strip() or "float32"
    known = TORCH_DTYPES.get(name.lower()) or DTYPES.get(name.upper())
    if known is None or not known.torch:
        raise UsageError(f"{name!r} is no tensor type", hint="Types are torch's: float32, int64, bool.")
    return InputSpec("input", shape, known.torch)


def input_text(given: InputSpec) -> str:
    """The text that `parse_input` reads back to the same shape and type."""
    shape = ",".join(map(str, given.shape))
    return shape if given.dtype == "float32" else f"{shape}:{given.dtype}"
