"""Layers that pad with zeros or a reflection, and what each way of padding demands of the input."""

from __future__ import annotations

from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, ShapeError, Signal, Window
from seqtui.model.kinds.sentences import arriving, brief, require_dimensions, require_elements, times

Borders = tuple[tuple[int, int], ...]
"""Elements added before and after each of the last dimensions, first dimension first; negative ones crop."""


BORROWING = {"reflect": ("reflects", 1), "circular": ("wraps", 0)}
"""Mode -> how it borrows a border from the input, and how many elements of each dimension it cannot borrow."""


def padded(mode: str, borders: Borders, x: Signal) -> Signal:
    """What torch.nn.functional.pad gives in a mode other than zeros; as many borders as there are padded dimensions."""
    dims = len(borders)
    if dims > 3:
        raise ArgumentError(f"needs padding of at most 3 dimensions, not {dims}")
    require_dimensions(x, dims + 1, dims + 2)
    if mode != "circular":
        require_elements(x, -dims - 1)
    for (before, after), length in zip(borders, x.shape[-dims:], strict=True):
        verb, kept = BORROWING.get(mode, ("", 0))
        if verb and max(before, after) > length - kept:
            raise ShapeError(f"{verb} {max(before, after)} elements, {arriving(length)}")
    y = _extended(borders, x)
    if min(y.shape) < 0 or max(y.shape[-dims:]) < 1:
        raise ShapeError(f"crops everything, {times(x.shape[-dims:])} arrives")
    return y


def _borders(dims: int, args: Arguments) -> Borders:
    """torch lists the last dimension first: (left, right, top, bottom); a shorter list pads fewer dimensions."""
    sides = args.integers("padding", 2 * dims)
    if len(sides) % 2:
        raise ArgumentError(f"needs an even count of numbers for padding, not {len(sides)}")
    return tuple(zip(sides[-2::-2], sides[::-2], strict=True))


def _extended(borders: Borders, x: Signal) -> Signal:
    dims = len(borders)
    lengths = (before + length + after for (before, after), length in zip(borders, x.shape[-dims:], strict=True))
    return Signal((*x.shape[:-dims], *lengths), x.dtype)


def _zero_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(*, *lengths) with borders added to the last dimensions, of any type. Source: torch.nn.ZeroPad2d, "Shape"."""
    borders = _borders(dims, args)
    if len(x.shape) < len(borders):
        raise ShapeError(f"needs at least {len(borders)} dimensions, {arriving(len(x.shape))}")
    for (before, after), length in zip(borders, x.shape[-len(borders) :], strict=True):
        if length + min(before, 0) + min(after, 0) < 0:
            raise ShapeError(f"crops {-min(before, 0) - min(after, 0)} elements, {arriving(length)}")
    return _extended(borders, x)


def _reflection_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) or (C, *lengths) with borders added, of any type. Source: torch.nn.ReflectionPad2d, "Shape"."""
    return padded("reflect", _borders(dims, args), x)


def _window(dims: int, args: Arguments, x: Signal) -> Window:
    return Window((1,) * dims, (1,) * dims)


def _words(args: Arguments) -> str:
    return brief(args["padding"])


KINDS = tuple(
    Kind(name=f"{name}{dims}d", output=partial(output, dims), window=partial(_window, dims), words=_words)
    for name, output in (("ZeroPad", _zero_output), ("ReflectionPad", _reflection_output))
    for dims in (1, 2, 3)
)
