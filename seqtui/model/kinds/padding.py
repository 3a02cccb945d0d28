"""Layers that pad, and what each way of padding demands of the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Given, Kind, ShapeError, Signal, Window
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    marks,
    require_dimensions,
    require_elements,
    require_least_dimensions,
    require_numbers,
    require_room,
    times,
)

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
        require_numbers(x)
        require_elements(x, -dims - 1)
    for (before, after), length in zip(borders, x.shape[-dims:], strict=True):
        verb, kept = BORROWING.get(mode, ("", 0))
        if verb and max(before, after) > length - kept:
            raise ShapeError(Misfit.MIRROR, verb=verb, takes=max(before, after), arrives=arriving(length))
    y = _extended(borders, x)
    if min(y.shape) < 0 or (mode != "circular" and max(y.shape[-dims:]) < 1):
        raise ShapeError(Misfit.CROPS, how="", arrives=times(x.shape[-dims:]))
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


def _require_value(borders: Borders, args: Arguments, x: Signal) -> None:
    """Raises for a value that is no number, or that no element of the input's type can take; None counts as 0."""
    value = 0 if args["value"] is None else args.number("value")
    if max(map(max, borders)) > 0:
        require_room(x, value)


def _constant_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(*, *lengths) with borders added to the last dimensions, of any type. Source: torch.nn.ZeroPad2d, "Shape"."""
    borders = _borders(dims, args)
    if "value" in args:
        _require_value(borders, args, x)
    require_least_dimensions(x, len(borders))
    for (before, after), length in zip(borders, x.shape[-len(borders) :], strict=True):
        if length + min(before, 0) + min(after, 0) < 0:
            raise ShapeError(
                Misfit.MIRROR, verb="crops", takes=-min(before, 0) - min(after, 0), arrives=arriving(length)
            )
    return _extended(borders, x)


def _output(mode: str, dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) or (C, *lengths) with borders added, of any type. Source: torch.nn.ReflectionPad2d, "Shape".

    The kind's own dimensions only matter to circular padding; the others go by how many borders are given.
    """
    if mode == "circular":
        require_dimensions(x, dims + 1, dims + 2)
    return padded(mode, _borders(dims, args), x)


def _window(dims: int, args: Arguments, x: Signal) -> Window:
    return Window((1,) * dims, (1,) * dims)


def _words(args: Arguments) -> str:
    return brief(args["padding"]) + (marks(args, ("value", "=", 0)) if "value" in args else "")


def _pad(name: str, dims: int, output: Callable[[Arguments, Signal], Signal]) -> Kind:
    usual: Given = {"padding": 1, "value": 0.0} if name == "ConstantPad" else {"padding": 1}
    return Kind(name=f"{name}{dims}d", output=output, window=partial(_window, dims), words=_words, usual=usual)


KINDS = (
    *(_pad(name, dims, partial(_constant_output, dims)) for name in ("ZeroPad", "ConstantPad") for dims in (1, 2, 3)),
    *(
        _pad(name, dims, partial(_output, mode, dims))
        for name, mode in (("ReflectionPad", "reflect"), ("ReplicationPad", "replicate"), ("CircularPad", "circular"))
        for dims in (1, 2, 3)
    ),
)
