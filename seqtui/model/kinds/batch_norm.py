"""Batch and instance normalization, as they act in eval mode: both may keep running statistics."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from seqtui.model.kinds.kind import (
    ArgumentError,
    Arguments,
    Kind,
    ShapeError,
    Shapes,
    Signal,
    Window,
    from_axis,
    same_place,
)
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import Evidence, Guess, Values, recogniser
from seqtui.model.kinds.sentences import (
    brief,
    is_float,
    require_at_least,
    require_dimensions,
    require_dtype,
    require_elements,
    require_float,
    require_least_dimensions,
    require_several,
    require_size,
    weights_dtype,
)


def _check(args: Arguments) -> None:
    if args.flag("affine") or args.flag("track_running_stats"):
        require_at_least(0, "num_features", args.integer("num_features"))


def _parameters(args: Arguments) -> Shapes:
    """weight and bias (num_features,). Source: torch.nn.BatchNorm2d."""
    if not args.flag("affine"):
        return {}
    features = (args.integer("num_features"),)
    return {"weight": features, **({"bias": features} if args.flag("bias") else {})}


def _buffers(args: Arguments) -> Shapes:
    """The running statistics, (num_features,), and a scalar count. Source: torch.nn.BatchNorm2d."""
    if not args.flag("track_running_stats"):
        return {}
    features = (args.integer("num_features"),)
    return {"running_mean": features, "running_var": features, "num_batches_tracked": ()}


def _normalized(args: Arguments, x: Signal, is_typed: bool) -> Signal:
    """What torch.batch_norm gives for channels that are those of the layer, whose weights may have to be of x's type.

    Of an empty input torch looks at nothing and passes it through, scaled at most.
    """
    if 0 in x.shape:
        return x if is_float(x) or not args.flag("affine") else Signal(x.shape, weights_dtype(args))
    if is_typed:
        require_dtype(x, args, takes_half=True)
    require_float(x)
    return x


def _batch(args: Arguments, x: Signal) -> Signal:
    """(N, C, ...) kept; without running statistics it takes those of the batch. Source: torch.nn.BatchNorm2d."""
    is_tracking, is_affine = args.flag("track_running_stats"), args.flag("affine")
    if args.number("eps") < 0 or (not is_tracking and args["eps"] == 0):
        raise ArgumentError(f"needs eps {'of at least' if is_tracking else 'above'} 0, not {args['eps']}")
    if not is_tracking:
        require_several(x.shape[0] * math.prod(x.shape[2:]), x)
    if 0 in x.shape:  # nothing is compared
        if is_affine:
            require_at_least(1, "num_features", args.integer("num_features"))
    elif is_affine or is_tracking:
        require_size(x, 1, args.integer("num_features"), "channels")
    return _normalized(args, x, is_affine or is_tracking)


def _batch_output(allowed: tuple[int, ...], args: Arguments, x: Signal) -> Signal:
    require_dimensions(x, *allowed)
    return _batch(args, x)


def _sync_output(args: Arguments, x: Signal) -> Signal:
    """(N, C, ...) kept, as any other batch norm does in eval mode. Source: torch.nn.SyncBatchNorm, "Shape"."""
    require_least_dimensions(x, 2)
    if x.shape[1] == 0:
        raise ShapeError(Misfit.NO_CHANNEL)
    return _batch(args, x)


def _instance_output(dims: int, args: Arguments, x: Signal) -> Signal:
    """(N, C, *lengths) or (C, *lengths) kept; without running statistics it takes those of each channel alone.

    Source: torch.nn.InstanceNorm2d, "Shape".
    """
    require_dimensions(x, dims + 1, dims + 2)
    is_tracking, is_affine = args.flag("track_running_stats"), args.flag("affine")
    if is_affine or (is_tracking and 0 not in x.shape):
        require_size(x, -dims - 1, args.integer("num_features"), "channels")
    if is_affine:  # torch repeats the weight for each of the batch, and needs one of it
        require_elements(Signal(x.shape[:-dims], x.dtype), 0)
    if not is_tracking:
        require_several(math.prod(x.shape[-dims:]), x)
    return _normalized(args, x, is_affine)


def _window(args: Arguments, x: Signal) -> Window | None:
    """An element each, but for statistics of what arrives."""
    return same_place(args, x) if args.flag("track_running_stats") else None


def _instance_window(dims: int, args: Arguments, x: Signal) -> Window | None:
    """The same where a batch may be missing."""
    return Window((1,) * dims, (1,) * dims) if args.flag("track_running_stats") else None


def _recognise(evidence: Evidence) -> Guess | None:
    """Running statistics of n channels; what they are channels of leaves no trace."""
    channels = evidence.shapes["running_mean"]
    vectors = {shape for name, shape in evidence.shapes.items() if name != "num_batches_tracked"}
    if len(channels) != 1 or vectors != {channels}:
        return None
    affine: Values = {} if "weight" in evidence.shapes else {"affine": False}
    others = ("BatchNorm1d", "BatchNorm3d", "SyncBatchNorm", "InstanceNorm2d", "InstanceNorm1d", "InstanceNorm3d")
    return Guess("BatchNorm2d", {"num_features": channels[0], **affine}, others)


def _batch_norm(dims: int) -> Kind:
    allowed = (2, 3) if dims == 1 else (dims + 2,)
    return replace(_SYNC_BATCH_NORM, name=f"BatchNorm{dims}d", output=partial(_batch_output, allowed))


def _instance_norm(dims: int) -> Kind:
    return replace(
        _SYNC_BATCH_NORM,
        name=f"InstanceNorm{dims}d",
        output=partial(_instance_output, dims),
        window=partial(_instance_window, dims),
        from_place=from_axis(-dims - 1, "num_features"),
    )


_SYNC_BATCH_NORM = Kind(
    name="SyncBatchNorm",
    output=_sync_output,
    check=_check,
    parameters=_parameters,
    buffers=_buffers,
    window=_window,
    words=lambda args: brief(args["num_features"]),
    follows={"bias": "affine"},
    from_place=from_axis(1, "num_features"),
)
_RECOGNISERS = (recogniser("running_mean running_var", "weight bias num_batches_tracked", _recognise),)

KINDS = (
    _batch_norm(1),
    replace(_batch_norm(2), recognisers=_RECOGNISERS),
    _batch_norm(3),
    *(_instance_norm(dims) for dims in (1, 2, 3)),
    _SYNC_BATCH_NORM,
)
