"""Convolutions and their transposes, of one to three dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from seqtui.model.kinds.kind import ArgumentError, Arguments, Given, Kind, ShapeError, Shapes, Signal, Window
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.padding import padded
from seqtui.model.kinds.recognise import DEPTHWISE_NAME, TRANSPOSED_NAME, Evidence, Guess, Values, recogniser
from seqtui.model.kinds.sentences import (
    brief,
    dilated,
    is_float,
    marks,
    require_at_least,
    require_dimensions,
    require_dtype,
    require_elements,
    require_size,
    times,
    weights_dtype,
    window_misfit,
)
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _check(dims: int, args: Arguments) -> None:
    groups = args.integer("groups")
    require_at_least(1, "groups", groups)
    for name in ("in_channels", "out_channels"):
        channels = args.integer(name)
        require_at_least(0, name, channels)
        if channels % groups:
            raise ArgumentError(f"needs {name} that groups divides, not {channels} by {groups}")
    require_at_least(0, "kernel_size", *args.integers("kernel_size", dims))
    mode = args["padding_mode"]
    if mode not in PADDING_MODES:
        raise ArgumentError(f"needs padding_mode {', '.join(PADDING_MODES[:-1])} or {PADDING_MODES[-1]}, not {mode}")


def _check_forward(dims: int, args: Arguments) -> None:
    """Of the convolutions that are not transposed: padding may be a word."""
    _check(dims, args)
    padding = args["padding"]
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentError(f"needs padding same, valid or whole numbers, not {padding}")
        if padding == "same" and any(stride != 1 for stride in args.integers("stride", dims)):
            raise ArgumentError(f"needs stride 1 for padding same, not {brief(args['stride'])}")


def _check_transposed(dims: int, args: Arguments) -> None:
    _check(dims, args)
    if args["padding_mode"] != "zeros":
        raise ArgumentError(f"needs padding_mode zeros, not {args['padding_mode']}")


def _parameters(dims: int, is_transposed: bool, args: Arguments) -> Shapes:
    """weight (out, in / groups, *kernel), or (in, out / groups, *kernel) transposed; bias (out,).

    Source: torch.nn.Conv2d and ConvTranspose2d, "Variables".
    """
    channels = (args.integer("out_channels"), args.integer("in_channels"))
    first, second = reversed(channels) if is_transposed else channels
    weight = (first, second // args.integer("groups"), *args.integers("kernel_size", dims))
    return {"weight": weight, **({"bias": channels[:1]} if args.flag("bias") else {})}


def _from_place(dims: int, given: Given, x: Signal) -> Given:
    """in_channels, and groups that still divide them; a depthwise convolution keeps a group for each channel.

    A new one gives out as many channels.
    """
    if len(x.shape) not in (dims + 1, dims + 2):
        return {}
    channels = x.shape[-dims - 1]
    groups, inputs, outputs = (given.get(name) for name in ("groups", "in_channels", "out_channels"))
    if "out_channels" not in given:
        return {"in_channels": channels, "out_channels": channels}
    if not isinstance(groups, int) or groups <= 1:
        return {"in_channels": channels}
    if isinstance(outputs, int) and groups == inputs:
        return {"in_channels": channels, "out_channels": outputs // groups * channels, "groups": channels}
    return {"in_channels": channels, "groups": math.gcd(groups, channels)}


class _Geometry(NamedTuple):
    kernel: Shape
    stride: Shape
    dilation: Shape
    window: Shape
    """The kernel with its dilation."""


def _geometry(dims: int, args: Arguments, x: Signal) -> _Geometry:
    """How the kernel moves, once what arrives has the right dimensions, channels and type."""
    require_dimensions(x, dims + 1, dims + 2)
    require_size(x, -dims - 1, args.integer("in_channels"), "channels")
    kernel = args.integers("kernel_size", dims)
    if len(kernel) != dims:
        raise ArgumentError(f"needs {dims} whole numbers for kernel_size, not {len(kernel)}")
    stride, dilation = args.sizes("stride", dims), args.sizes("dilation", dims)
    require_at_least(1, "stride", *stride)
    require_at_least(1, "dilation", *dilation)
    return _Geometry(kernel, stride, dilation, dilated(kernel, dilation))


def _require_content(dims: int, args: Arguments, kernel: Shape, x: Signal) -> None:
    """Raises for numbers of another type than the weights, an empty image or kernel.

    Where the batch is empty torch looks at the kernel alone, and where there are no channels at nothing.
    """
    if 0 not in x.shape[:-dims]:
        require_dtype(x, args)
        require_elements(x, -dims)
    if x.shape[-dims - 1]:
        require_at_least(1, "kernel_size", *kernel)


def _result(dims: int, args: Arguments, x: Signal, channels: int, lengths: Iterable[int]) -> Signal:
    """What comes out. Another type than the weights' only comes in an empty batch, which keeps it if it is a float, or
    without channels, where torch multiplies nothing and takes the type that holds both.
    """
    dtype, weights = x.dtype, weights_dtype(args)
    if not is_float(x):
        dtype = weights
    elif not channels and dtype != weights:
        dtype = "float64" if "float64" in (dtype, weights) else "float32"
    return Signal((*x.shape[: -dims - 1], channels, *lengths), dtype)


def _padded_by_mode(dims: int, args: Arguments, x: Signal) -> Signal:
    """What arrives after padding in a mode other than zeros, which torch does as a step of its own before."""
    padding = args["padding"]
    if padding == "same":
        kernel, dilation = args.integers("kernel_size", dims), args.integers("dilation", dims)
        totals = [step * (size - 1) for step, size in zip(dilation, kernel, strict=False)]
        totals += [0] * (len(kernel) - len(totals))
        borders = tuple((total // 2, total - total // 2) for total in totals)
    elif padding == "valid":
        borders = ((0, 0),) * dims
    else:
        borders = tuple((size, size) for size in args.integers("padding", dims))
    return padded(str(args["padding_mode"]), borders, x)


def _zero_padded(dims: int, args: Arguments, geometry: _Geometry, lengths: Shape) -> Shape:
    """The lengths with the zeros added to them."""
    if args["padding"] == "valid" or args["padding_mode"] != "zeros":
        return lengths
    if args["padding"] == "same":
        require_at_least(1, "kernel_size", *geometry.kernel)
        return tuple(length + size - 1 for length, size in zip(lengths, geometry.window, strict=True))
    padding = args.sizes("padding", dims)
    require_at_least(0, "padding", *padding)
    return tuple(length + 2 * border for length, border in zip(lengths, padding, strict=True))


def _output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, in, *lengths) or (in, *lengths) -> the same with out channels and new lengths.

    Source: torch.nn.Conv2d, "Shape".
    """
    if args["padding_mode"] != "zeros":
        x = _padded_by_mode(dims, args, x)
    geometry = _geometry(dims, args, x)
    if args.flag("bias") and (args["padding_mode"] != "zeros" or not isinstance(args["padding"], str)):
        require_dtype(x, args)  # torch holds it against the bias's type, of an empty batch too
    lengths = x.shape[-dims:]
    whole = _zero_padded(dims, args, geometry, lengths)
    require_at_least(1, "out_channels", args.integer("out_channels"))
    out = []
    for length, size, step in zip(whole, geometry.window, geometry.stride, strict=True):
        if size > length:
            raise window_misfit(geometry.window, lengths, whole)
        out.append((length - size) // step + 1)
    _require_content(dims, args, geometry.kernel, x)
    channels = args.integer("out_channels") if args["in_channels"] else 0  # torch makes nothing of nothing
    return _result(dims, args, x, channels, out)


def _transposed_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, in, *lengths) or (in, *lengths) -> the same with out channels and new lengths.

    Source: torch.nn.ConvTranspose2d, "Shape". Nothing left of a length is refused, as torch itself does it; some of the
    libraries that it hands the work to, by size, type and processor, give out nothing instead.
    """
    geometry = _geometry(dims, args, x)
    for name in ("in_channels", "out_channels"):
        require_at_least(1, name, args.integer(name))
    padding, extra = args.sizes("padding", dims), args.sizes("output_padding", dims)
    require_at_least(0, "padding", *padding)
    require_at_least(0, "output_padding", *extra)
    _require_content(dims, args, geometry.kernel, x)
    if 0 not in x.shape:
        for added, step, spread in zip(extra, geometry.stride, geometry.dilation, strict=True):
            if added >= max(step, spread):
                raise ArgumentError(f"needs output_padding below stride or dilation, not {added}")
    moves = zip(x.shape[-dims:], geometry.stride, padding, geometry.window, extra, strict=True)
    out = [(length - 1) * step - 2 * border + size + added for length, step, border, size, added in moves]
    if min(out) < 1:
        raise ShapeError(Misfit.CROPS, how=f" by padding {brief(padding)}", arrives=times(x.shape[-dims:]))
    return _result(dims, args, x, args.integer("out_channels"), out)


def _macs(dims: int, args: Arguments, x: Signal, y: Signal) -> int:
    """One multiply-add for each output element, input channel of its group and kernel element."""
    inputs = args.integer("in_channels") // args.integer("groups")
    return math.prod(y.shape) * inputs * math.prod(args.integers("kernel_size", dims))


def _transposed_macs(dims: int, args: Arguments, x: Signal, y: Signal) -> int:
    """One multiply-add for each input element, output channel of its group and kernel element."""
    outputs = args.integer("out_channels") // args.integer("groups")
    return math.prod(x.shape) * outputs * math.prod(args.integers("kernel_size", dims))


def _window(dims: int, args: Arguments, x: Signal) -> Window:
    extent = dilated(args.sizes("kernel_size", dims), args.sizes("dilation", dims))
    return Window(extent, args.sizes("stride", dims))


def _transposed_window(dims: int, args: Arguments, x: Signal) -> Window | None:
    """That of a convolution at stride 1. A larger stride steps in fractions of an element, which no Window tells."""
    return _window(dims, args, x) if set(args.sizes("stride", dims)) == {1} else None


def _words(args: Arguments) -> str:
    words = f"{args['in_channels']}→{args['out_channels']} k{brief(args['kernel_size'])}"
    rest: tuple[tuple[str, str, Value], ...] = (("output_padding", "op", 0),) if "output_padding" in args else ()
    rest += (("dilation", "d", 1), ("groups", "g", 1), ("padding_mode", "", "zeros"))
    return words + marks(args, ("stride", "s", 1), ("padding", "p", 0), *rest)


def _recognise(dims: int, evidence: Evidence) -> Guess | None:
    """(out, in / groups, *kernel), or transposed (in, out / groups, *kernel), with bias (out,) or without.

    A bias that is not as long as the first dimension proves it transposed. Else only the name can say so, and only
    where both would fit: without a bias, or with as many channels in as out.
    """
    weight, bias = evidence.weight, evidence.bias
    if len(weight) != dims + 2 or 0 in weight or (dims == 1 and not evidence.may_be_kernel()):
        return None
    plain, transposed = f"Conv{dims}d", f"ConvTranspose{dims}d"
    if bias is not None and bias != weight[:1]:
        return _proven_transposed(transposed, evidence)
    others = ("Bilinear",) if dims == 1 and bias is not None else ()
    if bias is not None and weight[0] != weight[1]:
        return Guess(plain, _convolution_args(evidence), others)
    if evidence.is_named(TRANSPOSED_NAME):
        return Guess(transposed, _transposed_args(evidence), (plain, *others))
    return Guess(plain, _convolution_args(evidence), (transposed, *others))


def _proven_transposed(kind: str, evidence: Evidence) -> Guess | None:
    """The bias counts the output channels, so here the groups are known."""
    inputs, outputs_in_group = evidence.weight[:2]
    outputs = evidence.bias[0] if evidence.bias and len(evidence.bias) == 1 else 0
    groups = outputs // outputs_in_group
    if not groups or outputs % outputs_in_group or inputs % groups:
        return None
    args = _transposed_args(evidence) | {"out_channels": outputs}
    return Guess(kind, args | ({"groups": groups} if groups > 1 else {}))


def _convolution_args(evidence: Evidence) -> Values:
    outputs, inputs = evidence.weight[:2]
    args: Values = {"in_channels": inputs, "out_channels": outputs, "kernel_size": _kernel(evidence)}
    if inputs == 1 and evidence.is_named(DEPTHWISE_NAME):
        args |= {"in_channels": outputs, "groups": outputs}
    return args | evidence.without("bias")


def _transposed_args(evidence: Evidence) -> Values:
    inputs, outputs = evidence.weight[:2]
    args: Values = {"in_channels": inputs, "out_channels": outputs, "kernel_size": _kernel(evidence)}
    return args | evidence.without("bias")


def _kernel(evidence: Evidence) -> Value:
    """One number where all sides are alike, as it is usually written."""
    kernel = evidence.weight[2:]
    return kernel[0] if len(set(kernel)) == 1 else kernel


def _forward(dims: int) -> Kind:
    return Kind(
        name=f"Conv{dims}d",
        output=partial(_output, dims),
        check=partial(_check_forward, dims),
        parameters=partial(_parameters, dims, False),
        macs=partial(_macs, dims),
        window=partial(_window, dims),
        words=_words,
        recognisers=(recogniser("weight", "bias", partial(_recognise, dims)),),
        from_place=partial(_from_place, dims),
        usual={"kernel_size": 3},
    )


def _transposed(dims: int) -> Kind:
    return Kind(
        name=f"ConvTranspose{dims}d",
        output=partial(_transposed_output, dims),
        check=partial(_check_transposed, dims),
        parameters=partial(_parameters, dims, True),
        macs=partial(_transposed_macs, dims),
        window=partial(_transposed_window, dims),
        words=_words,
        from_place=partial(_from_place, dims),
        usual={"kernel_size": 3},
    )


KINDS = tuple(make(dims) for make in (_forward, _transposed) for dims in (1, 2, 3))
