"""Functions applied to each element, and those that look along one dimension: the softmax family and GLU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seqtui.model.kinds.kind import (
    ArgumentError,
    Arguments,
    Given,
    Kind,
    ShapeError,
    Shapes,
    Signal,
    Window,
    accept,
    no_words,
    same_place,
)
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import ACTIVATION_NAME, NORM_NAME, Evidence, Guess, recogniser
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    dimension,
    is_float,
    require_at_least,
    require_dimensions,
    require_dtype,
    require_float,
    require_least_dimensions,
    require_numbers,
    require_room,
    times,
)


def _numbers(args: Arguments, x: Signal) -> Signal:
    """Whole numbers too, kept, but no booleans."""
    require_numbers(x)
    return x


def _float(args: Arguments, x: Signal) -> Signal:
    """Floats alone."""
    require_float(x)
    return x


def _promoted(args: Arguments, x: Signal) -> Signal:
    """Any type; whole numbers become float32."""
    return x if is_float(x) else Signal(x.shape, "float32")


def _promoted_numbers(args: Arguments, x: Signal) -> Signal:
    """The same, but no booleans."""
    return _promoted(args, _numbers(args, x))


def _celu(args: Arguments, x: Signal) -> Signal:
    if args.number("alpha") == 0:
        raise ArgumentError("cannot divide by alpha 0")
    return _float(args, x)


def _gelu(args: Arguments, x: Signal) -> Signal:
    if args["approximate"] not in ("none", "tanh"):
        raise ArgumentError(f"needs approximate none or tanh, not {args['approximate']}")
    return _float(args, x)


def _softshrink(args: Arguments, x: Signal) -> Signal:
    if args.number("lambd") < 0:
        raise ArgumentError(f"needs lambd of at least 0, not {args['lambd']}")
    return _float(args, x)


def _rrelu(args: Arguments, x: Signal) -> Signal:
    """Outside training, a leaky ReLU of the slope between its two."""
    if args.number("lower") > args.number("upper"):
        raise ArgumentError(f"needs lower of at most upper, not {args['lower']} and {args['upper']}")
    return _float(args, x)


def _rrelu_words(args: Arguments) -> str:
    bounds = (args["lower"], args["upper"])
    return "…".join(f"{bound:.4g}" if isinstance(bound, float) else times(bound) for bound in bounds)


def _threshold(args: Arguments, x: Signal) -> Signal:
    """Numbers that can be what they are replaced by, and whole ones also what they are compared with."""
    compared, replaced = (_wrapped(args.number(name), x) for name in ("threshold", "value"))
    require_room(x, replaced, *(() if is_float(x) else (compared,)))
    return _numbers(args, x)


def _wrapped(value: float, x: Signal) -> float:
    """A whole number below 0 counts from the end of those without a sign."""
    return abs(value) if isinstance(value, int) and x.dtype == "uint8" else value


def _prelu(args: Arguments, x: Signal) -> Signal:
    """(N, C, *) with a slope for each channel, or anything with one slope for all. Source: torch.nn.PReLU, "Shape"."""
    require_dtype(x, args)
    slopes = args.integer("num_parameters")
    if slopes == 1:
        return x
    require_least_dimensions(x, 1)
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if channels != slopes:
        raise ShapeError(Misfit.SIZE, noun="channels", takes=slopes, arrives=arriving(channels))
    return x


def _slopes_from_place(given: Given, x: Signal) -> Given:
    """num_parameters, where each channel has its own."""
    if given.get("num_parameters", 1) == 1 or not x.shape:
        return {}
    return {"num_parameters": x.shape[1] if len(x.shape) > 1 else 1}


def _prelu_check(args: Arguments) -> None:
    require_at_least(0, "num_parameters", args.integer("num_parameters"))
    args.number("init")


def _prelu_parameters(args: Arguments) -> Shapes:
    return {"weight": (args.integer("num_parameters"),)}


def _hardtanh_check(args: Arguments) -> None:
    if args.number("max_val") <= args.number("min_val"):
        raise ArgumentError(f"needs max_val above min_val, not {args['max_val']} and {args['min_val']}")


def _hardtanh(args: Arguments, x: Signal) -> Signal:
    """Numbers that can be either of its bounds."""
    require_room(x, args.number("min_val"), args.number("max_val"))
    return _numbers(args, x)


def _hardtanh_words(args: Arguments) -> str:
    return f"{args['min_val']}…{args['max_val']}"


def _softmax(args: Arguments, x: Signal) -> Signal:
    """Any shape that has the dimension, kept. Source: torch.nn.Softmax, "Shape"."""
    if args["dim"] is not None:
        dimension(args.integer("dim"), x)
    if 0 not in x.shape:  # torch never looks at the type of nothing
        require_float(x)
    return x


def _softmin(args: Arguments, x: Signal) -> Signal:
    """The softmax of the negative, which no boolean has."""
    require_numbers(x)
    return _softmax(args, x)


def _softmax_words(args: Arguments) -> str:
    return "" if args["dim"] is None else f"dim {brief(args['dim'])}"


def _softmax2d(args: Arguments, x: Signal) -> Signal:
    """(N, C, H, W) or (C, H, W), over the channels. Source: torch.nn.Softmax2d, "Shape"."""
    require_dimensions(x, 3, 4)
    if 0 not in x.shape:
        require_float(x)
    return x


def _glu(args: Arguments, x: Signal) -> Signal:
    """Half as long in one dimension. Source: torch.nn.GLU, "Shape"."""
    require_least_dimensions(x, 1)
    axis = dimension(args.integer("dim"), x)
    if x.shape[axis] % 2:
        raise ShapeError(Misfit.HALVES, takes=args["dim"], arrives=arriving(x.shape[axis], "element"))
    require_float(x)
    return Signal((*x.shape[:axis], x.shape[axis] // 2, *x.shape[axis + 1 :]), x.dtype)


def _window(args: Arguments, x: Signal) -> Window | None:
    """Along the batch or the channels of (N, C, ...) each element sees one place; along any other dimension all."""
    if args["dim"] is None or len(x.shape) < 3 or dimension(args.integer("dim"), x) > 1:
        return None
    return same_place(args, x)


def _value(name: str) -> Callable[[Arguments], str]:
    return lambda args: brief(args[name])


def _recognise_prelu(evidence: Evidence) -> Guess | None:
    """[n] alone, which an RMSNorm may have too, where the name says so; of one element it is a PReLU's."""
    if len(evidence.weight) != 1 or evidence.is_named(NORM_NAME):
        return None
    (size,) = evidence.weight
    if size != 1 and not evidence.is_named(ACTIVATION_NAME):
        return None
    return Guess("PReLU", {"num_parameters": size} if size != 1 else {}, ("RMSNorm", "LayerNorm"))


_ELEMENTWISE = (
    ("CELU", _celu, accept, _value("alpha")),
    ("ELU", _float, accept, _value("alpha")),
    ("GELU", _gelu, accept, lambda args: "" if args["approximate"] == "none" else brief(args["approximate"])),
    ("Hardshrink", _float, accept, _value("lambd")),
    ("Hardsigmoid", _float, accept, no_words),
    ("Hardswish", _float, accept, no_words),
    ("Hardtanh", _hardtanh, _hardtanh_check, _hardtanh_words),
    ("LeakyReLU", _float, accept, _value("negative_slope")),
    ("LogSigmoid", _float, accept, no_words),
    ("Mish", _float, accept, no_words),
    ("ReLU", _numbers, accept, no_words),
    ("ReLU6", _numbers, accept, no_words),
    ("RReLU", _rrelu, accept, _rrelu_words),
    ("SELU", _float, accept, no_words),
    ("SiLU", _float, accept, no_words),
    ("Sigmoid", _promoted, accept, no_words),
    ("Softplus", _float, accept, _value("beta")),
    ("Softshrink", _softshrink, accept, _value("lambd")),
    ("Softsign", _promoted_numbers, accept, no_words),
    ("Tanh", _promoted, accept, no_words),
    ("Tanhshrink", _promoted_numbers, accept, no_words),
    ("Threshold", _threshold, accept, lambda args: f"≤{brief(args['threshold'])}→{brief(args['value'])}"),
)
_USUAL: Mapping[str, Given] = {"Threshold": {"threshold": 0.0, "value": 0.0}}

KINDS = (
    *(
        Kind(
            name=name,
            output=output,
            check=check,
            words=words,
            is_elementwise=True,
            is_random=name == "RReLU",
            usual=_USUAL.get(name, {}),
        )
        for name, output, check, words in _ELEMENTWISE
    ),
    *(
        Kind(name=name, output=output, window=_window, words=_softmax_words, usual={"dim": -1})
        for name, output in (("Softmax", _softmax), ("LogSoftmax", _softmax), ("Softmin", _softmin))
    ),
    Kind(name="Softmax2d", output=_softmax2d, window=lambda args, x: Window((1, 1), (1, 1))),
    Kind(name="GLU", output=_glu, window=_window, words=_softmax_words),
    Kind(
        name="PReLU",
        output=_prelu,
        check=_prelu_check,
        parameters=_prelu_parameters,
        is_elementwise=True,
        words=_value("num_parameters"),
        recognisers=(recogniser("weight", "", _recognise_prelu),),
        from_place=_slopes_from_place,
    ),
)
