"""Batch, layer and group normalization, as they act in eval mode."""

from __future__ import annotations

import math
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, ShapeError, Shapes, Signal, Window
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    is_float,
    require_at_least,
    require_dimensions,
    require_float,
    require_size,
    times,
)
from seqtui.model.tensors import Shape


def _scale(args: Arguments, shape: Shape) -> Shapes:
    """weight, and bias if the arguments ask for one, of one shape."""
    return {"weight": shape, **({"bias": shape} if args.flag("bias") else {})}


def _require_several(values: int, x: Signal) -> None:
    """Raises ShapeError where each statistic would be taken of a single value."""
    if values == 1:
        raise ShapeError(f"needs more than one value to normalize, {times(x.shape)} arrives")


def _batch_check(args: Arguments) -> None:
    if args.flag("affine") or args.flag("track_running_stats"):
        require_at_least(0, "num_features", args.integer("num_features"))


def _batch_parameters(args: Arguments) -> Shapes:
    """weight and bias (num_features,). Source: torch.nn.BatchNorm2d."""
    return _scale(args, (args.integer("num_features"),)) if args.flag("affine") else {}


def _batch_buffers(args: Arguments) -> Shapes:
    """The running statistics, (num_features,), and a scalar count. Source: torch.nn.BatchNorm2d."""
    if not args.flag("track_running_stats"):
        return {}
    features = (args.integer("num_features"),)
    return {"running_mean": features, "running_var": features, "num_batches_tracked": ()}


def _batch_output(allowed: tuple[int, ...], args: Arguments, x: Signal) -> Signal:
    """(N, C, ...) kept; without running statistics it takes those of the batch. Source: torch.nn.BatchNorm2d."""
    require_dimensions(x, *allowed)
    is_tracking, is_affine = args.flag("track_running_stats"), args.flag("affine")
    if args.number("eps") < 0 or (not is_tracking and args["eps"] == 0):
        raise ArgumentError(f"needs eps {'of at least' if is_tracking else 'above'} 0, not {args['eps']}")
    if not is_tracking:
        _require_several(x.shape[0] * math.prod(x.shape[2:]), x)
    if 0 in x.shape:  # torch passes nothing through, scaled at most
        if is_affine:
            require_at_least(1, "num_features", args.integer("num_features"))
        return x if is_float(x) or not is_affine else Signal(x.shape, "float32")
    if is_affine or is_tracking:
        require_size(x, 1, args.integer("num_features"), "channels")
    require_float(x)
    return x


def _batch_window(dims: int, args: Arguments, x: Signal) -> Window | None:
    """An element each, but for statistics of the batch."""
    return Window((1,) * dims, (1,) * dims) if args.flag("track_running_stats") else None


def _normalized_shape(args: Arguments) -> Shape:
    value = args["normalized_shape"]
    return () if value == () else args.integers("normalized_shape", 1)


def _layer_check(args: Arguments) -> None:
    shape = _normalized_shape(args)
    if args.flag("elementwise_affine"):
        require_at_least(0, "normalized_shape", *shape)


def _layer_parameters(args: Arguments) -> Shapes:
    """weight and bias of normalized_shape. Source: torch.nn.LayerNorm, "Variables"."""
    return _scale(args, _normalized_shape(args)) if args.flag("elementwise_affine") else {}


def _layer_output(args: Arguments, x: Signal) -> Signal:
    """(*, *normalized_shape) kept. Source: torch.nn.LayerNorm, "Shape"."""
    shape = _normalized_shape(args)
    if not shape:
        raise ArgumentError("needs a normalized_shape")
    if x.shape[-len(shape) :] != shape:
        raise ShapeError(f"takes {times(shape)} in the last dimensions, {times(x.shape)} arrives")
    require_float(x)
    return x


def _group_check(args: Arguments) -> None:
    groups, channels = args.integer("num_groups"), args.integer("num_channels")
    if groups == 0 or channels % groups:
        raise ArgumentError(f"needs num_channels that num_groups divides, not {channels} by {groups}")
    if args.flag("affine"):
        require_at_least(0, "num_channels", channels)


def _group_parameters(args: Arguments) -> Shapes:
    """weight and bias (num_channels,). Source: torch.nn.GroupNorm."""
    return _scale(args, (args.integer("num_channels"),)) if args.flag("affine") else {}


def _group_output(args: Arguments, x: Signal) -> Signal:
    """(N, C, *) kept. Source: torch.nn.GroupNorm, "Shape"."""
    if len(x.shape) < 2:
        raise ShapeError(f"needs at least 2 dimensions, {arriving(len(x.shape))}")
    groups = args.integer("num_groups")
    require_at_least(1, "num_groups", groups)
    if args.flag("affine"):
        require_size(x, 1, args.integer("num_channels"), "channels")
    elif x.shape[1] % groups:
        raise ShapeError(f"takes channels that {groups} groups divide, {arriving(x.shape[1])}")
    require_float(x)
    _require_several(x.shape[0] * x.shape[1] // groups * math.prod(x.shape[2:]), x)
    return x


def _batch(dims: int) -> Kind:
    allowed = (2, 3) if dims == 1 else (dims + 2,)
    return Kind(
        name=f"BatchNorm{dims}d",
        output=partial(_batch_output, allowed),
        check=_batch_check,
        parameters=_batch_parameters,
        buffers=_batch_buffers,
        window=partial(_batch_window, dims),
        words=lambda args: brief(args["num_features"]),
    )


KINDS = (
    *(_batch(dims) for dims in (1, 2, 3)),
    Kind(
        name="LayerNorm",
        output=_layer_output,
        check=_layer_check,
        parameters=_layer_parameters,
        words=lambda args: times(args["normalized_shape"]),
    ),
    Kind(
        name="GroupNorm",
        output=_group_output,
        check=_group_check,
        parameters=_group_parameters,
        words=lambda args: f"{args['num_channels']} in {args['num_groups']} groups",
    ),
)
