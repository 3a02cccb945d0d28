"""Losses and distances: they compare several tensors, so none can stand in a Sequential. Two have parameters."""

from __future__ import annotations

import math
from itertools import pairwise

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Shapes, accept
from seqtui.model.kinds.sentences import marks, require_at_least


def _check(args: Arguments) -> None:
    """Weights are tensors, which torch keeps as buffers and no argument of a spec can be."""
    for name in ("weight", "pos_weight"):
        if args.get(name) is not None:
            raise ArgumentError(f"needs a tensor for {name}, not {args[name]!r}")


def _margin_check(args: Arguments) -> None:
    if args.number("margin") <= 0:
        raise ArgumentError(f"needs margin above 0, not {args['margin']}")


def _multi_margin_check(args: Arguments) -> None:
    _check(args)
    if args["p"] not in (1, 2):
        raise ArgumentError(f"needs p of 1 or 2, not {args['p']}")


def _huber_check(args: Arguments) -> None:
    args.number("delta")


def _linear_check(args: Arguments) -> None:
    _check(args)
    if not 0 <= args.number("label_smoothing") <= 1:
        raise ArgumentError(f"needs label_smoothing between 0 and 1, not {args['label_smoothing']}")
    require_at_least(0, "in_features", args.integer("in_features"))
    require_at_least(0, "num_classes times out_features", _linear_outputs(args))


def _linear_outputs(args: Arguments) -> int:
    """One logit for each class and each of the further dimensions."""
    sizes = args["out_features"]
    if not isinstance(sizes, tuple):
        raise ArgumentError(f"needs a tuple for out_features, not {sizes!r}")
    return args.integer("num_classes") * (math.prod(args.integers("out_features", 1)) if sizes else 1)


def _linear_parameters(args: Arguments) -> Shapes:
    """Those of its linear layer. Source: torch.nn.LinearCrossEntropyLoss, its constructor."""
    outputs = _linear_outputs(args)
    shapes: Shapes = {"linear.weight": (outputs, args.integer("in_features"))}
    return shapes | ({"linear.bias": (outputs,)} if args.flag("bias") else {})


def _cutoffs(args: Arguments) -> tuple[int, ...]:
    """Where the clusters begin and, at last, where all classes end. Raises ArgumentError unless they rise."""
    if not isinstance(args["cutoffs"], tuple):
        raise ArgumentError(f"needs a tuple for cutoffs, not {args['cutoffs']!r}")
    cutoffs = (*args.integers("cutoffs", 1), args.integer("n_classes"))
    if cutoffs[0] <= 0 or any(before >= after for before, after in pairwise(cutoffs)):
        raise ArgumentError(f"needs cutoffs that rise from 1 to below n_classes, not {args['cutoffs']!r}")
    return cutoffs


def _projections(args: Arguments) -> tuple[int, ...]:
    """Features of each cluster: fewer by div_value for each one further back. Raises ArgumentError for no number."""
    features, divisor = args.integer("in_features"), args.number("div_value")
    try:
        return tuple(int(features // divisor ** (number + 1)) for number, _ in enumerate(_cutoffs(args)[1:]))
    except (ArithmeticError, ValueError):
        raise ArgumentError(f"cannot divide by powers of div_value {divisor}") from None


def _adaptive_check(args: Arguments) -> None:
    require_at_least(0, "in_features", args.integer("in_features"))
    if min(_projections(args)) < 0:
        raise ArgumentError(f"needs div_value above 0, not {args['div_value']}")


def _adaptive_parameters(args: Arguments) -> Shapes:
    """A head for the commonest classes and the clusters, then each cluster's projection and classes.

    Source: torch.nn.AdaptiveLogSoftmaxWithLoss, its constructor.
    """
    features, cutoffs = args.integer("in_features"), _cutoffs(args)
    head = cutoffs[0] + len(cutoffs) - 1
    shapes: Shapes = {"head.weight": (head, features), **({"head.bias": (head,)} if args.flag("head_bias") else {})}
    for number, (size, (begin, end)) in enumerate(zip(_projections(args), pairwise(cutoffs), strict=True)):
        shapes |= {f"tail.{number}.0.weight": (size, features), f"tail.{number}.1.weight": (end - begin, size)}
    return shapes


def _words(args: Arguments) -> str:
    return marks(args, ("reduction", "", "mean")).lstrip() if "reduction" in args else ""


_CHECKS = {
    **dict.fromkeys(("CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "KLDivLoss"), accept),
    **dict.fromkeys(("L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss", "NLLLoss2d"), accept),
    **dict.fromkeys(("PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss"), accept),
    **dict.fromkeys(("CosineSimilarity", "PairwiseDistance"), accept),
    **dict.fromkeys(("BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss"), _check),
    "HuberLoss": _huber_check,
    "MultiLabelSoftMarginLoss": _check,
    "MultiMarginLoss": _multi_margin_check,
    "TripletMarginLoss": _margin_check,
    "TripletMarginWithDistanceLoss": _margin_check,
}
"""What the constructor refuses, for every kind that is nothing but its function."""

KINDS = (
    *(
        Kind(
            name=name,
            check=check,
            words=_words,
            kept_as={"p": "norm"} if name == "PairwiseDistance" else {},
        )
        for name, check in _CHECKS.items()
    ),
    Kind(
        name="LinearCrossEntropyLoss",
        check=_linear_check,
        parameters=_linear_parameters,
        words=lambda args: f"{args['in_features']}→{args['num_classes']}",
        kept_as={"in_features": "linear.in_features", "bias": "linear.bias"},
    ),
    Kind(
        name="AdaptiveLogSoftmaxWithLoss",
        check=_adaptive_check,
        parameters=_adaptive_parameters,
        words=lambda args: f"{args['in_features']}→{args['n_classes']}",
        kept_as={"cutoffs": "cutoffs[:-1]"},
    ),
)
