"""Linear and Identity."""

from __future__ import annotations

import math

from seqtui.model.kinds.kind import Arguments, Kind, ShapeError, Shapes, Signal
from seqtui.model.kinds.sentences import arriving, require_at_least, require_float


def _identity(args: Arguments, x: Signal) -> Signal:
    return x


def _check(args: Arguments) -> None:
    for name in ("in_features", "out_features"):
        require_at_least(0, name, args.integer(name))


def _parameters(args: Arguments) -> Shapes:
    """weight (out_features, in_features), bias (out_features,). Source: torch.nn.Linear, "Variables"."""
    outputs, inputs = args.integer("out_features"), args.integer("in_features")
    return {"weight": (outputs, inputs), **({"bias": (outputs,)} if args.flag("bias") else {})}


def _output(args: Arguments, x: Signal) -> Signal:
    """(*, in_features) -> (*, out_features). Source: torch.nn.Linear, "Shape"."""
    features = args.integer("in_features")
    if not x.shape:
        raise ShapeError(f"takes {features} features, a single number arrives")
    if x.shape[-1] != features:
        raise ShapeError(f"takes {features} features, {arriving(x.shape[-1])}")
    require_float(x)
    return Signal((*x.shape[:-1], args.integer("out_features")), x.dtype)


def _macs(args: Arguments, x: Signal, y: Signal) -> int:
    return math.prod(y.shape) * args.integer("in_features")


KINDS = (
    Kind(name="Identity", output=_identity, is_elementwise=True),
    Kind(
        name="Linear",
        output=_output,
        check=_check,
        parameters=_parameters,
        macs=_macs,
        words=lambda args: f"{args['in_features']}→{args['out_features']}",
    ),
)
