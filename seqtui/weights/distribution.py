"""How numbers are spread: quantiles and histograms from one ascending list of numbers and how often each occurs.

Small tensors are sorted, 16-bit ones counted pattern by pattern: both are exact. Larger ones are counted by the high
half of their float32 bits (sign, exponent, 7 bits of mantissa), which orders them to a relative 2**-7 in one pass and
half a megabyte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_INFINITY = 0x7F80
"""High half of float32's infinity; the patterns below it are the finite magnitudes in ascending order."""

_SIGN = 0x8000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of finite numbers between the least and the greatest."""

    edges: tuple[float, ...]
    """One more than counts, ascending. Each bin holds its left edge, the last one both."""
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """At least one number, ascending, with how often each occurs."""

    values: NDArray[np.float64]
    through: NDArray[np.int64]
    """How many numbers there are up to and including each value."""
    edges: NDArray[np.float64] | None = None
    """Where values stand for ranges: the range of values[i] is edges[i] to edges[i + 1]. None when they are exact."""

    def quantile(self, fraction: float) -> float:
        """The number below which a fraction lies, linear between neighbours, as torch.quantile has it.

        Of ranges it gives the end nearer to zero: off by less than a relative 2**-7, and right for 0, 1, 0.5 or 3.
        """
        rank = fraction * (int(self.through[-1]) - 1)
        below = math.floor(rank)
        left, right = (
            float(self.values[at]) for at in self.through.searchsorted([below, math.ceil(rank)], side="right")
        )
        share = rank - below
        return left if left == right or not share else left * (1 - share) + right * share

    def histogram(self, bins: int) -> Histogram:
        """Equal bins from the least to the greatest number; one bin where those are the same.

        The numbers of a range are spread evenly over it.
        """
        import numpy as np

        low, high = float(self.values[0]), float(self.values[-1])
        if self.edges is not None:
            low, high = float(self.edges[0]), float(self.edges[-1])
        total = int(self.through[-1])
        if low == high:
            return Histogram((low, high), (total,))
        # Half as wide and doubled, for high - low may be beyond float64.
        edges = np.clip(np.linspace(low / 2, high / 2, bins + 1) * 2, low, high)
        below = np.concatenate([[0], self.through])
        if self.edges is None:
            inner = below[self.values.searchsorted(edges[1:-1], side="left")]
        else:
            inner = np.rint(np.interp(edges[1:-1], self.edges, below)).astype(np.int64)
        counts = np.diff(inner, prepend=0, append=total)
        return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def distribution_of(values: NDArray[Any]) -> Distribution:
    """The exact distribution of some finite real numbers; sorts them where they are."""
    import numpy as np

    values.sort()
    return Distribution(values.astype(np.float64, copy=False), np.arange(1, values.size + 1))


def distribution_of_halves(counts: NDArray[np.int64], low: float, high: float) -> Distribution:
    """The distribution of finite numbers from `low` to `high` counted by the high half of their float32 bits: (65536,).

    What float32 cannot hold is counted as its infinity: all that is known of it is that it is at most `high`.
    """
    import numpy as np

    magnitudes = (np.arange(_INFINITY + 1, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    magnitudes[_INFINITY] = 2.0**128
    positive, negative = counts[: _INFINITY + 1].copy(), counts[_SIGN : _SIGN + _INFINITY + 1].copy()
    positive[0] += negative[0]  # zero has no sign here
    negative[0] = 0
    beyond = [np.finfo(np.float64).max]
    edges = np.concatenate([np.negative(beyond), -magnitudes[::-1], magnitudes[1:], beyond])
    values = np.concatenate([-magnitudes[::-1], magnitudes])
    in_order = np.concatenate([negative[::-1], positive])
    filled = np.flatnonzero(in_order)
    kept = slice(int(filled[0]), int(filled[-1]) + 1)
    edges = np.clip(edges[kept.start : kept.stop + 1], low, high)
    edges[0], edges[-1] = low, high
    return Distribution(np.clip(values[kept], low, high), in_order[kept].cumsum(), edges)
