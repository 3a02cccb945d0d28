"""Linear, Bilinear and Identity."""

from __future__ import annotations

import math

from seqtui.model.kinds.kind import Arguments, Kind, ShapeError, Shapes, Signal, from_axis
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import Evidence, Guess, Values, recogniser
from seqtui.model.kinds.sentences import require_at_least, require_dtype, require_size


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
        raise ShapeError(Misfit.NO_FEATURES, takes=features)
    require_size(x, -1, features, "features")
    require_dtype(x, args)
    return Signal((*x.shape[:-1], args.integer("out_features")), x.dtype)


def _macs(args: Arguments, x: Signal, y: Signal) -> int:
    return math.prod(y.shape) * args.integer("in_features")


def _bilinear_check(args: Arguments) -> None:
    require_at_least(1, "in1_features", args.integer("in1_features"))
    for name in ("in2_features", "out_features"):
        require_at_least(0, name, args.integer(name))


def _bilinear_parameters(args: Arguments) -> Shapes:
    """weight (out, in1, in2), bias (out,). Source: torch.nn.Bilinear, "Variables"."""
    outputs = args.integer("out_features")
    weight = (outputs, args.integer("in1_features"), args.integer("in2_features"))
    return {"weight": weight, **({"bias": (outputs,)} if args.flag("bias") else {})}


def _gptq_or_awq(evidence: Evidence) -> Guess | None:
    """GPTQ packs a word of inputs, (in / n, out), AWQ of outputs, (in, out / n); scales are (groups, out) in both."""
    packed, scales = evidence.shapes["qweight"], evidence.shapes["scales"]
    if len(packed) != 2 or len(scales) != 2:
        return None
    args: Values = {"out_features": scales[1], **evidence.without("bias")}
    inputs = evidence.shapes.get("g_idx", packed if packed[1] != scales[1] else ())
    return Guess("Linear", {"in_features": inputs[0], **args} if inputs else args)


def _packed_linear(evidence: Evidence) -> Guess:
    """bitsandbytes' 4 bits: the weight is a column of bytes, its shape stands in the quantisation state."""
    return Guess("Linear", {})


def _scaled_linear(evidence: Evidence) -> Guess | None:
    """A weight of one byte an element in its own shape, (out, in), with its scales beside it."""
    if len(evidence.weight) != 2:
        return None
    return Guess("Linear", _linear_args(evidence))


def _recognise(evidence: Evidence) -> Guess | None:
    """(out, in) with bias (out,), or without. Square with a bias it may be a Conv1D, whose weight is (in, out)."""
    if len(evidence.weight) != 2:
        return None
    if evidence.bias == evidence.weight[:1]:
        is_square = evidence.weight[0] == evidence.weight[1]
        return Guess("Linear", _linear_args(evidence), ("Conv1D",) if is_square else ())
    if evidence.bias is not None:
        return None
    return Guess("Linear", _linear_args(evidence), ("Embedding", "EmbeddingBag"))


def _linear_args(evidence: Evidence) -> Values:
    outputs, inputs = evidence.weight
    return {"in_features": inputs, "out_features": outputs, **evidence.without("bias")}


def _recognise_bilinear(evidence: Evidence) -> Guess | None:
    """(out, in1, in2), bias (out,), where the last dimension is too long for a kernel."""
    if len(evidence.weight) != 3 or evidence.bias != evidence.weight[:1] or evidence.may_be_kernel():
        return None
    outputs, first, second = evidence.weight
    return Guess("Bilinear", {"in1_features": first, "in2_features": second, "out_features": outputs}, ("Conv1d",))


IDENTITY = Kind(name="Identity", output=_identity, is_elementwise=True)

KINDS = (
    IDENTITY,
    Kind(
        name="Linear",
        output=_output,
        check=_check,
        parameters=_parameters,
        macs=_macs,
        words=lambda args: f"{args['in_features']}→{args['out_features']}",
        recognisers=(
            recogniser("qweight qzeros scales", "g_idx bias", _gptq_or_awq, is_packed=True),
            recogniser(
                "weight weight.absmax weight.quant_map",
                "bias weight.nested_absmax weight.nested_quant_map",
                _packed_linear,
                is_packed=True,
            ),
            recogniser("weight SCB", "weight_format bias", _scaled_linear, is_packed=True),
            recogniser("weight weight_scale_inv", "input_scale bias", _scaled_linear),
            recogniser("weight weight_scale", "input_scale bias", _scaled_linear),
            recogniser("weight", "bias", _recognise),
        ),
        from_place=from_axis(-1, "in_features", also="out_features"),
    ),
    Kind(
        name="Bilinear",
        check=_bilinear_check,
        parameters=_bilinear_parameters,
        words=lambda args: f"{args['in1_features']}, {args['in2_features']}→{args['out_features']}",
        recognisers=(recogniser("weight bias", "", _recognise_bilinear),),
    ),
)
