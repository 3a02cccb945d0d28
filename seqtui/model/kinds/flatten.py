"""Flatten and Unflatten: the same numbers in another shape."""

from __future__ import annotations

import math

from seqtui.model.kinds.kind import ArgumentError, Arguments, Given, Kind, ShapeError, Signal
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.sentences import arriving, dimension, times
from seqtui.model.tensors import Shape


def _flatten_output(args: Arguments, x: Signal) -> Signal:
    """The dimensions start_dim to end_dim as one. Source: torch.nn.Flatten, "Shape"."""
    start, end = dimension(args.integer("start_dim"), x), dimension(args.integer("end_dim"), x)
    if start > end:
        raise ShapeError(Misfit.NO_DIMENSIONS, first=start, last=end, arrives=arriving(len(x.shape), "dimension"))
    return Signal((*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]), x.dtype)


def _flatten_words(args: Arguments) -> str:
    start, end = args["start_dim"], args["end_dim"]
    return "" if (start, end) == (1, -1) else f"{start}…{end}"


def _unflatten_check(args: Arguments) -> None:
    sizes = args["unflattened_size"]
    if not isinstance(sizes, tuple) or not all(isinstance(size, int) for size in sizes):
        raise ArgumentError(f"needs whole numbers for unflattened_size, not {sizes!r}")


def _unflatten_from_place(given: Given, x: Signal) -> Given:
    """unflattened_size: the first size follows, the others stay."""
    axis, sizes = given.get("dim"), given.get("unflattened_size")
    if not isinstance(sizes, tuple) or not isinstance(axis, int) or not -len(x.shape) <= axis < len(x.shape):
        return {}
    others = math.prod(size for size in sizes[1:] if isinstance(size, int))
    return {"unflattened_size": (x.shape[axis] // others, *sizes[1:])} if others > 0 and -1 not in sizes else {}


def _unflatten_output(args: Arguments, x: Signal) -> Signal:
    """One dimension as several. Source: torch.nn.Unflatten, "Shape"; one size may be -1, which torch works out."""
    if not x.shape:
        raise ShapeError(Misfit.LEAST_DIMENSIONS, takes="1 dimension", arrives=arriving(0))
    axis = dimension(args.integer("dim"), x)
    sizes = _unflattened(args.integers("unflattened_size", 1), x.shape[axis])
    return Signal((*x.shape[:axis], *sizes, *x.shape[axis + 1 :]), x.dtype)


def _unflattened(sizes: Shape, length: int) -> Shape:
    """The sizes with a -1 worked out. Raises ShapeError unless their product is the length."""
    known = math.prod(size for size in sizes if size != -1)
    if min(sizes) < -1 or sizes.count(-1) > 1:
        raise ArgumentError(f"needs sizes of at least 0, of which one may be -1, not {times(sizes)}")
    if -1 not in sizes:
        if known != length:
            raise ShapeError(Misfit.ELEMENTS_FOR, takes=known, sizes=times(sizes), arrives=arriving(length))
        return sizes
    if not known or length % known:
        raise ShapeError(Misfit.MULTIPLE_FOR, takes=known, sizes=times(sizes), arrives=arriving(length))
    return tuple(length // known if size == -1 else size for size in sizes)


KINDS = (
    Kind(name="Flatten", output=_flatten_output, words=_flatten_words),
    Kind(
        name="Unflatten",
        output=_unflatten_output,
        check=_unflatten_check,
        words=lambda args: f"{args['dim']} to {times(args['unflattened_size'])}",
        from_place=_unflatten_from_place,
        usual={"dim": 1, "unflattened_size": (-1, 1, 1)},
    ),
)
