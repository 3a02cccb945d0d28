"""What several families refuse, and how all of them write sizes, in one set of words.

Each `require_` raises the sentence that a person reads; `brief` and `marks` make the table's few cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from seqtui.model.kinds.kind import FLOATS, ArgumentError, Arguments, ShapeError, Signal
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

MAX_REPEATS = 10_000
"""Most layers that one layer may repeat: far more than any has, and few enough to name all their parameters."""

_RANGES: Mapping[str, tuple[float, float]] = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2.0**63), 2.0**63),
    "float16": (-65504, 65504),
    "bfloat16": (-(2.0**128 - 2.0**120), 2.0**128 - 2.0**120),
    "float32": (-(2.0**128 - 2.0**104), 2.0**128 - 2.0**104),
}
"""Least and most that an element can be, for the types of which torch checks it."""


def arriving(count: int, noun: str = "") -> str:
    """How many arrive: `600 arrive`, `1 dimension arrives`."""
    many = f"{count} {noun}".rstrip()
    return f"{many} arrives" if count == 1 else f"{many}{'s' if noun else ''} arrive"


def is_float(x: Signal) -> bool:
    """Whether a kind that computes with floats takes it."""
    return x.dtype in FLOATS


def require_float(x: Signal) -> None:
    """Raises ShapeError for whole numbers and booleans."""
    if not is_float(x):
        raise ShapeError(Misfit.NO_FLOATS, arrives=x.dtype)


def require_numbers(x: Signal) -> None:
    """Raises ShapeError for booleans."""
    if x.dtype == "bool":
        raise ShapeError(Misfit.NO_NUMBERS, arrives=x.dtype)


def require_room(x: Signal, *values: float) -> None:
    """Raises ShapeError for a value that the input's type cannot take without overflow; a boolean takes any."""
    least, most = _RANGES.get(x.dtype, (-math.inf, math.inf))
    for value in values:
        if not least <= value <= most and (math.isfinite(value) or not is_float(x)):
            raise ShapeError(Misfit.HOLDS, takes=value, arrives=x.dtype)


def weights_dtype(args: Arguments) -> str:
    """torch's word for the type of the layer's weights: float32 where none is said, as torch makes them."""
    return str(args.get("dtype") or "float32")


def require_dtype(x: Signal, args: Arguments, takes_half: bool = False) -> None:
    """Raises ShapeError for whole numbers, and for floats of another type than the layer's weights.

    With `takes_half`, as for norms, float32 weights take floats of 16 bits as well.
    """
    require_float(x)
    weights = weights_dtype(args)
    if x.dtype != weights and not (takes_half and weights == "float32" and x.dtype in ("float16", "bfloat16")):
        raise ShapeError(Misfit.OTHER_FLOATS, takes=weights, arrives=x.dtype)


def require_dimensions(x: Signal, *allowed: int) -> None:
    """Raises ShapeError when the input has another number of dimensions."""
    if len(x.shape) not in allowed:
        *others, last = map(str, allowed)
        needed = f"{', '.join(others)} or {last}" if others else last
        raise ShapeError(Misfit.DIMENSIONS, takes=needed, arrives=arriving(len(x.shape)))


def require_least_dimensions(x: Signal, least: int) -> None:
    """Raises ShapeError when the input has fewer dimensions."""
    if len(x.shape) < least:
        needed = f"{least} dimension{'s' if least > 1 else ''}"
        raise ShapeError(Misfit.LEAST_DIMENSIONS, takes=needed, arrives=arriving(len(x.shape)))


def require_size(x: Signal, axis: int, size: int, noun: str) -> None:
    """Raises ShapeError when a dimension, which must be there, has another size; the noun is in the plural."""
    if x.shape[axis] != size:
        noun = noun.removesuffix("s") if size == 1 else noun
        raise ShapeError(Misfit.SIZE, noun=noun, takes=size, arrives=arriving(x.shape[axis]))


def require_elements(x: Signal, first_axis: int) -> None:
    """Raises ShapeError when any dimension from an axis on is empty."""
    if 0 in x.shape[first_axis:]:
        raise ShapeError(Misfit.EMPTY, arrives=times(x.shape))


def require_several(values: int, x: Signal) -> None:
    """Raises ShapeError where each statistic would be taken of a single value."""
    if values == 1:
        raise ShapeError(Misfit.SINGLE_VALUE, arrives=times(x.shape))


def require_at_least(least: int, name: str, *values: int) -> None:
    """Raises ArgumentError when an argument, given as its parts, has a smaller one."""
    for value in values:
        if value < least:
            raise ArgumentError(f"needs {name} of at least {least}, not {brief(values)}")


def require_at_most(most: int, name: str, value: int) -> None:
    """Raises ArgumentError when an argument is larger."""
    if value > most:
        raise ArgumentError(f"needs {name} of at most {most}, not {value}")


def dimension(index: int, x: Signal) -> int:
    """The index of a dimension counted from the front, where a scalar counts as having one.

    Raises ShapeError when there is no such dimension.
    """
    dims = max(len(x.shape), 1)
    if not -dims <= index < dims:
        raise ShapeError(Misfit.NO_DIMENSION, takes=index, arrives=arriving(len(x.shape), "dimension"))
    return index % dims


def dilated(kernel: Shape, dilation: Shape) -> Shape:
    """The elements that a kernel spans when its own lie `dilation` apart."""
    return tuple(step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True))


def window_misfit(window: Shape, lengths: Shape, padded: Shape) -> ShapeError:
    """The error for a window that is larger than what arrives with its padding, sizes in elements a dimension."""
    if padded == lengths:
        return ShapeError(Misfit.WINDOW, takes=times(window), arrives=times(lengths))
    return ShapeError(Misfit.PADDED_WINDOW, takes=times(window), padded=times(padded), arrives=times(lengths))


def times(value: Value) -> str:
    """A shape as the screens write it, `5×5`; any other argument as Python does."""
    if not isinstance(value, tuple):
        return str(value)
    return "×".join(map(str, value)) or "a scalar"


def brief(value: Value) -> str:
    """The same in fewer cells: `3` for (3, 3)."""
    if isinstance(value, tuple) and value and value.count(value[0]) == len(value):
        return str(value[0])
    return times(value)


def marks(args: Arguments, *marked: tuple[str, str, Value]) -> str:
    """` s2 p1`: of (argument, letter, default), those that differ from their default; a word stands without letter."""
    words = ""
    for name, letter, default in marked:
        value = args[name]
        if value is not None and brief(value) != str(default):
            words += f" {value}" if isinstance(value, str) else f" {letter}{brief(value)}"
    return words
