"""Functions applied to each element, and the softmax family, which looks along one dimension."""

from __future__ import annotations

from collections.abc import Callable

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Signal, accept, no_words
from seqtui.model.kinds.sentences import brief, dimension, is_float, require_float


def _same(args: Arguments, x: Signal) -> Signal:
    """Any type, kept."""
    return x


def _float(args: Arguments, x: Signal) -> Signal:
    """Floats alone."""
    require_float(x)
    return x


def _promoted(args: Arguments, x: Signal) -> Signal:
    """Any type; whole numbers become float32."""
    return x if is_float(x) else Signal(x.shape, "float32")


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


def _hardtanh_bounds(args: Arguments) -> tuple[str, str]:
    """The names of the two arguments that count: where they are set, the deprecated ones."""
    lowest = "min_val" if args["min_value"] is None else "min_value"
    return lowest, "max_val" if args["max_value"] is None else "max_value"


def _hardtanh_check(args: Arguments) -> None:
    lowest, highest = _hardtanh_bounds(args)
    if args.number(highest) <= args.number(lowest):
        raise ArgumentError(f"needs {highest} above {lowest}, not {args[highest]} and {args[lowest]}")


def _hardtanh_words(args: Arguments) -> str:
    lowest, highest = _hardtanh_bounds(args)
    return f"{args[lowest]}…{args[highest]}"


def _softmax(args: Arguments, x: Signal) -> Signal:
    """Any shape that has the dimension, kept. Source: torch.nn.Softmax, "Shape"."""
    if args["dim"] is not None:
        dimension(args.integer("dim"), x)
    if 0 not in x.shape:  # torch never looks at the type of nothing
        require_float(x)
    return x


def _softmax_words(args: Arguments) -> str:
    return "" if args["dim"] is None else f"dim {args['dim']}"


def _value(name: str) -> Callable[[Arguments], str]:
    return lambda args: brief(args[name])


_ELEMENTWISE = (
    ("CELU", _celu, accept, _value("alpha")),
    ("ELU", _float, accept, _value("alpha")),
    ("GELU", _gelu, accept, lambda args: "" if args["approximate"] == "none" else brief(args["approximate"])),
    ("Hardshrink", _float, accept, _value("lambd")),
    ("Hardsigmoid", _float, accept, no_words),
    ("Hardswish", _float, accept, no_words),
    ("Hardtanh", _same, _hardtanh_check, _hardtanh_words),
    ("LeakyReLU", _float, accept, _value("negative_slope")),
    ("LogSigmoid", _float, accept, no_words),
    ("Mish", _float, accept, no_words),
    ("ReLU", _same, accept, no_words),
    ("ReLU6", _same, accept, no_words),
    ("SELU", _float, accept, no_words),
    ("SiLU", _float, accept, no_words),
    ("Sigmoid", _promoted, accept, no_words),
    ("Softplus", _float, accept, _value("beta")),
    ("Softshrink", _softshrink, accept, _value("lambd")),
    ("Softsign", _promoted, accept, no_words),
    ("Tanh", _promoted, accept, no_words),
    ("Tanhshrink", _promoted, accept, no_words),
)

KINDS = (
    *(
        Kind(name=name, output=output, check=check, words=words, is_elementwise=True)
        for name, output, check, words in _ELEMENTWISE
    ),
    *(Kind(name=name, output=_softmax, words=_softmax_words) for name in ("Softmax", "LogSoftmax", "Softmin")),
)
