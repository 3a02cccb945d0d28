"""Upsample and its two older forms: a signal, an image or a volume to another size, by torch's interpolations."""

from __future__ import annotations

import math
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Signal
from seqtui.model.kinds.pooling import adaptive_average
from seqtui.model.kinds.sentences import brief, require_at_least, require_dimensions, require_elements, require_float
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

MODES = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
}
"""Mode -> number of dimensions that it takes."""


def _check(args: Arguments) -> None:
    scale = args["scale_factor"]
    if scale is not None:
        for factor in scale if isinstance(scale, tuple) else (scale,):
            if not isinstance(factor, int | float):
                raise ArgumentError(f"needs numbers for scale_factor, not {factor!r}")


def _each(name: str, value: Value, lengths: Shape) -> tuple[float, ...]:
    """One number for each length."""
    values = value if isinstance(value, tuple) else (value,) * len(lengths)
    numbers = tuple(number for number in values if isinstance(number, int | float))
    if len(numbers) != len(values) or len(values) != len(lengths):
        raise ArgumentError(f"needs {len(lengths)} numbers for {name}, not {brief(value)}")
    return numbers


def _lengths(args: Arguments, lengths: Shape) -> Shape:
    """The new lengths; a length times its factor is cut, not rounded. Source: torch.nn.Upsample, "Shape"."""
    size, scale = args["size"], args["scale_factor"] or None
    if (size is None) == (scale is None):
        raise ArgumentError("needs either size or scale_factor")
    if size is None:
        factors = _each("scale_factor", scale, lengths)
        return tuple(_whole(length * factor) for length, factor in zip(lengths, factors, strict=True))
    if args.get("recompute_scale_factor"):
        raise ArgumentError("cannot recompute_scale_factor from a size")
    return tuple(_whole(length) for length in _each("size", size, lengths))


def _whole(length: float) -> int:
    if not math.isfinite(length):
        raise ArgumentError(f"needs new lengths that can be counted, not {length}")
    return int(length)


def _output(args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) -> (N, C, *new lengths). Source: torch.nn.Upsample, "Shape"."""
    mode = args["mode"]
    if mode not in MODES:
        raise ArgumentError(f"needs one of the modes {', '.join(MODES)}, not {mode}")
    assert isinstance(mode, str)  # it is a key of the table
    if mode in ("nearest", "nearest-exact", "area") and args["align_corners"] is not None:
        raise ArgumentError(f"cannot set align_corners with mode {mode}")
    return _resized(mode, args, x)


def _resized(mode: str, args: Arguments, x: Signal) -> Signal:
    require_dimensions(x, *MODES[mode])
    out = _lengths(args, x.shape[2:])
    if mode == "area":
        return adaptive_average(out, x)
    if x.dtype != "uint8" or mode in ("linear", "trilinear"):  # bytes too, as images are made of
        require_float(x)
    require_elements(x, 1)
    require_at_least(1, "every new length", *out)
    return Signal((*x.shape[:2], *out), x.dtype)


def _words(args: Arguments) -> str:
    return _change(args) if args["mode"] == "nearest" else f"{_change(args)} {args['mode']}"


def _change(args: Arguments) -> str:
    size = args["size"]
    return f"to {brief(size)}" if size is not None else f"×{brief(args['scale_factor'])}"


KINDS = tuple(
    Kind(name=name, output=output, check=_check, words=words, usual={"scale_factor": 2})
    for name, output, words in (
        ("Upsample", _output, _words),
        ("UpsamplingNearest2d", partial(_resized, "nearest"), _change),
        ("UpsamplingBilinear2d", partial(_resized, "bilinear"), _change),
    )
)
