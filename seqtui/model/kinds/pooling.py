"""Pooling of one to three dimensions, over a sliding window or down to a given size, and what undoes it."""

from __future__ import annotations

import math
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Output, ShapeError, Signal, Window
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    dilated,
    is_float,
    marks,
    require_at_least,
    require_dimensions,
    require_elements,
    require_float,
    require_least_dimensions,
    require_numbers,
    window_misfit,
)
from seqtui.model.tensors import Shape


def pooled_length(length: int, window: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Output length of one dimension; `window` is dilated, `padding` stands on each side, all in elements.

    Below 1 when the window does not fit. In ceil mode no window may begin in the padding after the input.
    Source: torch.nn.MaxPool2d, "Shape", and ATen/native/Pool.h, pooling_output_shape.
    """
    span = length + 2 * padding - window
    if not ceil_mode:
        return span // stride + 1
    out = -(-span // stride) + 1
    return out - 1 if (out - 1) * stride >= length + padding else out


def _window(dims: int, args: Arguments, x: Signal) -> Window:
    kernel = args.sizes("kernel_size", dims)
    extent = dilated(kernel, args.sizes("dilation", dims)) if "dilation" in args else kernel
    return Window(extent, kernel if args["stride"] is None else args.sizes("stride", dims))


def _geometry(dims: int, args: Arguments, x: Signal) -> tuple[Shape, Shape, Shape]:
    """(dilated window, stride, padding). Raises ArgumentError for what torch's forward refuses of them."""
    kernel, padding = args.sizes("kernel_size", dims), args.sizes("padding", dims)
    require_at_least(1, "kernel_size", *kernel)
    if "dilation" in args:
        require_at_least(1, "dilation", *args.sizes("dilation", dims))
    window, stride = _window(dims, args, x)
    require_at_least(1, "stride", *stride)
    require_at_least(0, "padding", *padding)
    if any(border > size // 2 for border, size in zip(padding, kernel, strict=True)):
        raise ArgumentError(f"needs padding of at most half of kernel_size, not {brief(padding)} of {brief(kernel)}")
    return window, stride, padding


def _lengths(dims: int, args: Arguments, x: Signal) -> Shape:
    window, stride, padding = _geometry(dims, args, x)
    lengths = x.shape[-dims:]
    ceil_mode = args.flag("ceil_mode")
    out = tuple(pooled_length(*sizes, ceil_mode) for sizes in zip(lengths, window, stride, padding, strict=True))
    if min(out) < 1:
        padded = tuple(length + 2 * border for length, border in zip(lengths, padding, strict=True))
        raise window_misfit(window, lengths, padded)
    return out


def _max_output(dims: int, args: Arguments, x: Signal) -> Output:
    """(N, C, *lengths) or (C, *lengths) -> new lengths; with return_indices the places of the maxima as well.

    Source: torch.nn.MaxPool2d, "Shape".
    """
    require_dimensions(x, dims + 1, dims + 2)
    require_elements(x, -dims - 1)
    out = Signal((*x.shape[:-dims], *_lengths(dims, args, x)), x.dtype)
    require_numbers(x)
    if args.flag("return_indices"):
        return out, Signal(out.shape, "int64")
    if dims == 1:
        require_float(x)
    return out


def require_averaged(dims: int, x: Signal) -> None:
    """Raises ShapeError for what torch averages no windows of: most whole numbers, and in a volume small floats."""
    if not is_float(x) and x.dtype != "int64":
        raise ShapeError(Misfit.NO_FLOATS, arrives=x.dtype)
    if dims == 3 and x.dtype in ("float16", "bfloat16"):
        raise ShapeError(Misfit.ON_CPU, takes="float32 or float64", arrives=x.dtype)


def _average_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) or (C, *lengths) -> new lengths. Source: torch.nn.AvgPool2d, "Shape"."""
    require_dimensions(x, dims + 1, dims + 2)
    require_elements(x, -dims - 1)
    require_averaged(dims, x)
    if dims > 1 and args["divisor_override"] == 0:
        raise ArgumentError("cannot divide by divisor_override 0")
    kernel = args.sizes("kernel_size", dims)
    if dims == 3 and any(size > length for size, length in zip(kernel, x.shape[-3:], strict=True)):
        raise window_misfit(kernel, x.shape[-3:], x.shape[-3:])  # padding does not help here
    return Signal((*x.shape[:-dims], *_lengths(dims, args, x)), x.dtype)


def _target(dims: int, args: Arguments, x: Signal) -> Shape:
    """output_size with each None replaced by the length that arrives."""
    wanted = args["output_size"]
    sizes = wanted if isinstance(wanted, tuple) else (wanted,) * dims
    if len(sizes) != dims:
        raise ArgumentError(f"needs {dims} sizes for output_size, not {len(sizes)}")
    if wanted is None or (dims == 1 and None in sizes):
        raise ArgumentError("needs output_size")
    require_least_dimensions(x, dims + 1 if isinstance(wanted, tuple) else dims)
    out = tuple(length if size is None else size for size, length in zip(sizes, x.shape[-dims:], strict=True))
    whole = tuple(size for size in out if isinstance(size, int))
    if whole != out:
        raise ArgumentError(f"needs whole numbers for output_size, not {wanted!r}")
    return whole


def adaptive_average(out: Shape, x: Signal) -> Signal:
    """What torch.nn.functional.adaptive_avg_pool1d to 3d give for new lengths, 0 included."""
    dims = len(out)
    is_mean = set(out) == {1}
    require_at_least(0, "output_size", *out)
    if not is_mean or dims == 1:  # a mean takes any further dimensions
        require_dimensions(x, dims + 1, dims + 2)
    if not is_mean:  # and empty ones
        require_elements(x, -dims if dims < 3 else 1)
    y = Signal((*x.shape[:-dims], *out), x.dtype)
    if is_mean or dims == 3 or 0 not in y.shape:  # an empty output is computed of any type
        require_float(x)
    return y


def _adaptive_average_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) or (C, *lengths) -> (…, *output_size). Source: torch.nn.AdaptiveAvgPool2d, "Shape"."""
    return adaptive_average(_target(dims, args, x), x)


def _adaptive_max_output(dims: int, args: Arguments, x: Signal) -> Output:
    """The same of maxima; with return_indices their places as well. Source: torch.nn.AdaptiveMaxPool2d, "Shape"."""
    require_dimensions(x, dims + 1, dims + 2)
    require_float(x)
    out = _target(dims, args, x)
    require_at_least(0, "output_size", *out)
    require_elements(x, 1)
    y = Signal((*x.shape[:-dims], *out), x.dtype)
    return (y, Signal(y.shape, "int64")) if args.flag("return_indices") else y


def _exact_sizes(name: str, dims: int, args: Arguments) -> Shape:
    """One whole number a dimension, or a single one that is no tuple. Raises ArgumentError for anything else."""
    sizes = args.integers(name, dims)
    if len(sizes) != dims:
        raise ArgumentError(f"needs {dims} whole numbers for {name}, not {len(sizes)}")
    return sizes


def _power_output(dims: int, args: Arguments, x: Signal) -> Output:
    """(N, C, *lengths) or (C, *lengths) -> new lengths; a maximum for an infinite norm, else made of averages.

    Source: torch.nn.LPPool2d, "Shape", and torch.nn.functional.lp_pool2d.
    """
    norm = args.number("norm_type")
    _exact_sizes("kernel_size", dims, args)
    if math.isinf(norm):
        return _max_output(dims, Arguments({**args, "padding": 0, "dilation": 1, "return_indices": False}), x)
    if norm == 0:
        raise ArgumentError("cannot take the root of norm_type 0")
    if dims == 1:
        args.integer("kernel_size")  # torch multiplies by it
    power = x if is_float(x) else Signal(x.shape, "float32")
    return _average_output(dims, Arguments({**args, "padding": 0, "divisor_override": None}), power)


def _ratios(dims: int, args: Arguments) -> tuple[float, ...]:
    """The part that is kept of each dimension. Raises ArgumentError for what is no part."""
    value = args["output_ratio"]
    ratios = value if isinstance(value, tuple) else (value,) * dims
    parts = tuple(ratio for ratio in ratios if isinstance(ratio, int | float))
    if len(parts) != len(ratios) or len(parts) < dims or not all(0 < part < 1 for part in parts[:dims]):
        raise ArgumentError(f"needs {dims} numbers between 0 and 1 for output_ratio, not {brief(value)}")
    return parts


def _fractional_check(dims: int, args: Arguments) -> None:
    if dims == 3:
        require_at_least(1, "kernel_size", *args.integers("kernel_size", dims))
    if (args["output_size"] is None) == (args["output_ratio"] is None):
        raise ArgumentError("needs either output_size or output_ratio")
    if args["output_ratio"] is not None:
        _ratios(dims, args)


def _fractional_lengths(dims: int, args: Arguments, x: Signal) -> Shape:
    if args["output_ratio"] is None:
        return _exact_sizes("output_size", dims, args)
    ratios = _ratios(dims, args)
    if dims == 2 and len(ratios) > 2:
        raise ArgumentError(f"needs 2 numbers for output_ratio, not {len(ratios)}")
    return tuple(int(length * ratio) for length, ratio in zip(x.shape[-dims:], ratios, strict=False))


def _fractional_output(dims: int, args: Arguments, x: Signal) -> Output:
    """(N, C, *lengths) or (C, *lengths) -> new lengths, windows at random places; with their places if asked for.

    Source: torch.nn.FractionalMaxPool2d, "Shape", and ATen/native/FractionalMaxPool2d.cpp; in three dimensions torch
    asks for one element more than the windows need.
    """
    require_dimensions(x, dims + 1, dims + 2)
    require_float(x)
    require_elements(x, 1)
    kernel = _exact_sizes("kernel_size", dims, args)
    out = _fractional_lengths(dims, args, x)
    require_at_least(0, "output_size", *out)
    overlapped = 1 if dims == 2 else 0
    for size, window, length in zip(out, kernel, x.shape[-dims:], strict=True):
        needed = size + window - overlapped
        if needed > length:
            raise ShapeError(Misfit.WINDOWS, takes=needed, count=size, window=window, arrives=arriving(length))
    y = Signal((*x.shape[:-dims], *out), x.dtype)
    return (y, Signal(y.shape, "int64")) if args.flag("return_indices") else y


def _words(args: Arguments) -> str:
    kernel = brief(args["kernel_size"])
    rest = (("stride", "s", kernel), ("padding", "p", 0), ("dilation", "d", 1), ("norm_type", "L", ""))
    return kernel + marks(args, *(mark for mark in rest if mark[0] in args))


def _fractional_words(args: Arguments) -> str:
    return f"k{brief(args['kernel_size'])}" + marks(args, ("output_size", "to ", None), ("output_ratio", "×", None))


def _adaptive_words(args: Arguments) -> str:
    return brief(args["output_size"])


_SLIDING = {"MaxPool": _max_output, "AvgPool": _average_output, "LPPool": _power_output}
_FOLLOWS = {"stride": "kernel_size"}
_USUAL = {"kernel_size": 2}


def _sliding(name: str, dims: int) -> Kind:
    return Kind(
        name=f"{name}{dims}d",
        output=partial(_SLIDING[name], dims),
        window=partial(_window, dims),
        words=_words,
        follows={} if name == "LPPool" else _FOLLOWS,
        usual={"norm_type": 2, **_USUAL} if name == "LPPool" else _USUAL,
    )


def _adaptive(name: str, dims: int) -> Kind:
    output = _adaptive_max_output if name == "AdaptiveMaxPool" else _adaptive_average_output
    return Kind(name=f"{name}{dims}d", output=partial(output, dims), words=_adaptive_words, usual={"output_size": 1})


def _fractional(dims: int) -> Kind:
    return Kind(
        name=f"FractionalMaxPool{dims}d",
        output=partial(_fractional_output, dims),
        check=partial(_fractional_check, dims),
        words=_fractional_words,
        usual={**_USUAL, "output_ratio": 0.5},
    )


KINDS = (
    *(_sliding(name, dims) for name in _SLIDING for dims in (1, 2, 3)),
    *(_adaptive(name, dims) for name in ("AdaptiveAvgPool", "AdaptiveMaxPool") for dims in (1, 2, 3)),
    *(_fractional(dims) for dims in (2, 3)),
    *(Kind(name=f"MaxUnpool{dims}d", words=_words, follows=_FOLLOWS) for dims in (1, 2, 3)),
)
