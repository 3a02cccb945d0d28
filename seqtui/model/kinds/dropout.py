"""The dropouts. In eval mode none of them acts, so what arrives leaves."""

from __future__ import annotations

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Signal
from seqtui.model.kinds.sentences import brief, require_dimensions


def _check(args: Arguments) -> None:
    probability = args.number("p")
    if not 0 <= probability <= 1:
        raise ArgumentError(f"needs p between 0 and 1, not {probability}")


def _same(args: Arguments, x: Signal) -> Signal:
    return x


def _channels(args: Arguments, x: Signal) -> Signal:
    """(N, C, L) or (C, L) kept; the others of its family only warn of other shapes."""
    require_dimensions(x, 2, 3)
    return x


KINDS = tuple(
    Kind(
        name=name,
        output=_channels if name == "Dropout1d" else _same,
        check=_check,
        is_elementwise=True,
        is_random=True,
        words=lambda args: brief(args["p"]),
    )
    for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
)
