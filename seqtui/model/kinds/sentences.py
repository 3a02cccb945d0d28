"""What several families refuse, and how all of them write sizes, in one set of words.

Each `require_` raises the sentence that a person reads; `brief` and `marks` make the table's few cells.
"""

from __future__ import annotations

from seqtui.model.kinds.kind import ArgumentError, Arguments, ShapeError, Signal
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape


def arriving(count: int, noun: str = "") -> str:
    """How many arrive: `600 arrive`, `1 dimension arrives`."""
    many = f"{count} {noun}".rstrip()
    return f"{many} arrives" if count == 1 else f"{many}{'s' if noun else ''} arrive"


def is_float(x: Signal) -> bool:
    """Whether a kind that computes with floats takes it; which float it is makes no difference to a rule."""
    return x.dtype.startswith(("float", "bfloat"))


def require_float(x: Signal) -> None:
    """Raises ShapeError for whole numbers and booleans."""
    if not is_float(x):
        raise ShapeError(f"takes floating-point numbers, {x.dtype} arrives")


def require_dimensions(x: Signal, *allowed: int) -> None:
    """Raises ShapeError when the input has another number of dimensions."""
    if len(x.shape) not in allowed:
        *others, last = map(str, allowed)
        needed = f"{', '.join(others)} or {last}" if others else last
        raise ShapeError(f"needs {needed} dimensions, {arriving(len(x.shape))}")


def require_size(x: Signal, axis: int, size: int, noun: str) -> None:
    """Raises ShapeError when a dimension, which must be there, has another size."""
    if x.shape[axis] != size:
        raise ShapeError(f"takes {size} {noun}, {arriving(x.shape[axis])}")


def require_elements(x: Signal, first_axis: int) -> None:
    """Raises ShapeError when any dimension from an axis on is empty."""
    if 0 in x.shape[first_axis:]:
        raise ShapeError(f"cannot work on an empty dimension, {times(x.shape)} arrives")


def require_at_least(least: int, name: str, *values: int) -> None:
    """Raises ArgumentError when an argument, given as its parts, has a smaller one."""
    for value in values:
        if value < least:
            raise ArgumentError(f"needs {name} of at least {least}, not {brief(values)}")


def dimension(index: int, x: Signal) -> int:
    """The index of a dimension counted from the front, where a scalar counts as having one.

    Raises ShapeError when there is no such dimension.
    """
    dims = max(len(x.shape), 1)
    if not -dims <= index < dims:
        raise ShapeError(f"works on dimension {index}, {arriving(len(x.shape), 'dimension')}")
    return index % dims


def dilated(kernel: Shape, dilation: Shape) -> Shape:
    """The elements that a kernel spans when its own lie `dilation` apart."""
    return tuple(step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True))


def window_misfit(window: Shape, lengths: Shape, padded: Shape) -> ShapeError:
    """The error for a window that is larger than what arrives with its padding, sizes in elements a dimension."""
    if padded == lengths:
        return ShapeError(f"cannot fit a window of {times(window)} into {times(lengths)}")
    return ShapeError(
        f"cannot fit a window of {times(window)} into {times(padded)} with padding, {times(lengths)} arrives"
    )


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
