"""Normalization by what arrives: of features, of groups of channels, of neighbouring channels."""

from __future__ import annotations

import math

from seqtui.model.kinds.kind import (
    ArgumentError,
    Arguments,
    Given,
    Kind,
    ShapeError,
    Shapes,
    Signal,
    same_place,
)
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.pooling import require_averaged
from seqtui.model.kinds.recognise import GROUP_NORM_NAME, NORM_NAME, Evidence, Guess, recogniser
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    is_float,
    require_at_least,
    require_dimensions,
    require_dtype,
    require_float,
    require_least_dimensions,
    require_several,
    require_size,
    times,
)
from seqtui.model.tensors import Shape


def _scale(args: Arguments, shape: Shape) -> Shapes:
    """weight, and bias if the arguments ask for one, of one shape."""
    return {"weight": shape, **({"bias": shape} if args.flag("bias") else {})}


def _normalized_shape(args: Arguments) -> Shape:
    value = args["normalized_shape"]
    return () if value == () else args.integers("normalized_shape", 1)


def _sizes_from_place(given: Given, x: Signal) -> Given:
    """normalized_shape: as many of the last dimensions as there were, else the last alone."""
    shape = given.get("normalized_shape")
    if not x.shape:
        return {}
    return {"normalized_shape": x.shape[-len(shape) :] if isinstance(shape, tuple) and shape else x.shape[-1]}


def _layer_check(args: Arguments) -> None:
    shape = _normalized_shape(args)
    if args.flag("elementwise_affine"):
        require_at_least(0, "normalized_shape", *shape)


def _layer_parameters(args: Arguments) -> Shapes:
    """weight and bias of normalized_shape. Source: torch.nn.LayerNorm, "Variables"."""
    return _scale(args, _normalized_shape(args)) if args.flag("elementwise_affine") else {}


def _rms_output(args: Arguments, x: Signal) -> Signal:
    """(*, *normalized_shape) kept, whatever the weights' type. Source: torch.nn.RMSNorm, "Shape"."""
    shape = _normalized_shape(args)
    if not shape:
        raise ArgumentError("needs a normalized_shape")
    if x.shape[-len(shape) :] != shape:
        raise ShapeError(Misfit.LAST_SIZES, takes=times(shape), arrives=times(x.shape))
    require_float(x)
    return x


def _layer_output(args: Arguments, x: Signal) -> Signal:
    """The same, of the weights' type. Source: torch.nn.LayerNorm, "Shape"."""
    y = _rms_output(args, x)
    if args.flag("elementwise_affine"):
        require_dtype(x, args, takes_half=True)
    return y


def _rms_parameters(args: Arguments) -> Shapes:
    """weight of normalized_shape. Source: torch.nn.RMSNorm."""
    return {"weight": _normalized_shape(args)} if args.flag("elementwise_affine") else {}


GROUPS = 32
"""As many as a new layer has where they divide its channels. Source: Wu and He, Group Normalization, 2018."""


def _groups_from_place(given: Given, x: Signal) -> Given:
    """num_channels, and groups that divide them."""
    if len(x.shape) < 2:
        return {}
    groups = given.get("num_groups", GROUPS)
    followed = {"num_groups": math.gcd(groups, x.shape[1])} if isinstance(groups, int) else {}
    return {**followed, "num_channels": x.shape[1]}


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
    require_least_dimensions(x, 2)
    groups = args.integer("num_groups")
    require_at_least(1, "num_groups", groups)
    if args.flag("affine"):
        require_size(x, 1, args.integer("num_channels"), "channels")
    elif x.shape[1] % groups:
        raise ShapeError(Misfit.GROUPED, takes=groups, arrives=arriving(x.shape[1]))
    if args.flag("affine"):
        require_dtype(x, args, takes_half=True)
    require_float(x)
    require_several(x.shape[0] * x.shape[1] // groups * math.prod(x.shape[2:]), x)
    return x


def _local_output(args: Arguments, x: Signal) -> Signal:
    """(N, C, *) kept; int64 becomes float32. Source: torch.nn.LocalResponseNorm, "Shape"."""
    require_least_dimensions(x, 3)
    if 0 in x.shape:
        return x
    require_at_least(1, "size", args.integer("size"))
    require_averaged(min(len(x.shape) - 1, 3), x)  # torch takes channels for one more length
    return x if is_float(x) else Signal(x.shape, "float32")


def _cross_map_output(args: Arguments, x: Signal) -> Signal:
    """(N, C, H, W) kept. Source: torch.nn.CrossMapLRN2d."""
    require_dimensions(x, 4)
    require_at_least(1, "size", args.integer("size"))
    if x.shape[1] == 0:
        raise ShapeError(Misfit.NO_CHANNEL)
    require_float(x)
    return x


def _recognise_layer(evidence: Evidence) -> Guess | None:
    """Weight and bias of one shape: of several dimensions nothing else has them; of one, where the name says norm."""
    shape = evidence.weight
    if not shape or evidence.bias != shape:
        return None
    if len(shape) > 1:
        return Guess("LayerNorm", {"normalized_shape": shape})
    if not evidence.is_named(NORM_NAME) or evidence.is_named(GROUP_NORM_NAME):
        return None
    return Guess("LayerNorm", {"normalized_shape": shape[0]}, ("GroupNorm", "InstanceNorm2d", "BatchNorm2d"))


def _recognise_group(evidence: Evidence) -> Guess | None:
    """[n], [n], where the name says group: shapes do not tell it from a layer norm."""
    if len(evidence.weight) != 1 or evidence.bias != evidence.weight or not evidence.is_named(GROUP_NORM_NAME):
        return None
    return Guess("GroupNorm", {"num_channels": evidence.weight[0]}, ("LayerNorm", "InstanceNorm2d", "BatchNorm2d"))


def _recognise_rms(evidence: Evidence) -> Guess | None:
    """[n] alone, which a PReLU may have too, where the name says norm."""
    if len(evidence.weight) != 1 or not evidence.is_named(NORM_NAME):
        return None
    return Guess("RMSNorm", {"normalized_shape": evidence.weight[0]}, ("LayerNorm", "PReLU"))


KINDS = (
    Kind(
        name="LayerNorm",
        output=_layer_output,
        check=_layer_check,
        parameters=_layer_parameters,
        words=lambda args: times(args["normalized_shape"]),
        recognisers=(recogniser("weight bias", "", _recognise_layer),),
        follows={"bias": "elementwise_affine"},
        from_place=_sizes_from_place,
    ),
    Kind(
        name="GroupNorm",
        output=_group_output,
        check=_group_check,
        parameters=_group_parameters,
        words=lambda args: f"{args['num_channels']} in {args['num_groups']} groups",
        recognisers=(recogniser("weight bias", "", _recognise_group),),
        follows={"bias": "affine"},
        from_place=_groups_from_place,
    ),
    Kind(
        name="RMSNorm",
        output=_rms_output,
        check=_layer_check,
        parameters=_rms_parameters,
        words=lambda args: times(args["normalized_shape"]),
        recognisers=(recogniser("weight", "", _recognise_rms),),
        from_place=_sizes_from_place,
    ),
    *(
        Kind(name=name, output=output, window=same_place, words=lambda args: brief(args["size"]), usual={"size": 5})
        for name, output in (("LocalResponseNorm", _local_output), ("CrossMapLRN2d", _cross_map_output))
    ),
)
