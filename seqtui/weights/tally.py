"""What one reading thread keeps while a tensor's bytes go by, in buffers that stay in the processor's cache.

Types of at most 16 bits are counted pattern by pattern, which says everything about them exactly; wider ones are
summed as they come. A tally is used by one thread at a time and merged at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seqtui.model.tensors import DTYPES
from seqtui.weights.decode import decode
from seqtui.weights.distribution import Distribution, distribution_of, distribution_of_halves
from seqtui.weights.moments import Moments, fits_float32, moments_of, moments_of_counts, moments_of_float32

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PATTERNS = 1 << 16


@dataclass(slots=True)
class Totals:
    """Everything that a pass finds out; of finite numbers but for the first three."""

    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    zeros: int = 0
    low: int | float | None = None
    """The least finite number; None while there is none."""
    high: int | float | None = None
    moments: Moments = field(default_factory=Moments)
    distribution: Distribution | None = None

    def include(self, other: Totals) -> None:
        """Add what was found elsewhere in the same tensor, but for the distribution."""
        self.nan += other.nan
        self.posinf += other.posinf
        self.neginf += other.neginf
        self.zeros += other.zeros
        if other.low is not None and other.high is not None:
            self.low = other.low if self.low is None else min(self.low, other.low)
            self.high = other.high if self.high is None else max(self.high, other.high)
        self.moments = self.moments.merged(other.moments)


class PatternCounts:
    """How often each of the 65,536 patterns of two bytes occurs."""

    def __init__(self, most: int) -> None:
        """`most`: patterns in one call of `add`."""
        import numpy as np

        self.counts = np.zeros(_PATTERNS, np.int64)
        self._index = np.empty(most, np.intp)  # bincount would convert into a new array each time

    def add(self, patterns: NDArray[np.uint16]) -> None:
        import numpy as np

        index = self._index[: patterns.size]
        index[:] = patterns
        self.counts += np.bincount(index, minlength=_PATTERNS)


class NarrowTally:
    """Counts every number of a type of 4, 8 or 16 bits; two or four of a smaller type as one pattern."""

    def __init__(self, dtype: str, most: int) -> None:
        """`most`: numbers in one call of `add`."""
        self._dtype = dtype
        self._patterns = PatternCounts(most * DTYPES[dtype].bits // 16)
        self._odd_bytes: list[int] = []

    def add(self, raw: memoryview) -> None:
        import numpy as np

        if raw.nbytes % 2:
            self._odd_bytes.append(raw[-1])
        self._patterns.add(np.frombuffer(raw, "<u2", raw.nbytes // 2))

    def merge(self, other: NarrowTally) -> None:
        self._patterns.counts += other._patterns.counts
        self._odd_bytes += other._odd_bytes

    def totals(self) -> Totals:
        """What the counts say, all of it exact."""
        import numpy as np

        counts = self._number_counts()
        patterns = np.flatnonzero(counts)
        bits = DTYPES[self._dtype].bits
        numbers = decode(patterns.astype("<u2" if bits == 16 else "u1").tobytes(), self._dtype)
        values = numbers[:: 8 // min(bits, 8)].astype(np.float64)
        counts = counts[patterns]
        finite = np.isfinite(values)
        totals = Totals(
            nan=int(counts[np.isnan(values)].sum()),
            posinf=int(counts[np.isposinf(values)].sum()),
            neginf=int(counts[np.isneginf(values)].sum()),
            zeros=int(counts[values == 0].sum()),
        )
        order = np.argsort(values[finite], kind="stable")
        values, counts = values[finite][order], counts[finite][order]
        if values.size:
            number = float if DTYPES[self._dtype].family == "float" else int
            totals.low, totals.high = number(values[0]), number(values[-1])
            totals.moments = moments_of_counts(values, counts)
            totals.distribution = Distribution(values, counts.cumsum())
        return totals

    def _number_counts(self) -> NDArray[np.int64]:
        """How often each number occurs, by its bits: (65536,), (256,) or (16,)."""
        bits, counts = 16, self._patterns.counts
        while bits > DTYPES[self._dtype].bits:
            bits //= 2
            pairs = counts.reshape(1 << bits, 1 << bits)
            counts = pairs.sum(0) + pairs.sum(1)
            if bits == 8:
                for octet in self._odd_bytes:
                    counts[octet] += 1
        return counts


class WideTally:
    """Sums numbers of a type of 32 bits or more, and keeps or counts them for their distribution."""

    def __init__(self, dtype: str, most: int, *, has_distribution: bool, keeps_numbers: bool) -> None:
        """`most`: numbers in one call of `add`. `keeps_numbers`: all of them, for an exact distribution."""
        import numpy as np

        self._dtype = dtype
        self._totals = Totals()
        self._kept: list[NDArray[Any]] | None = [] if has_distribution and keeps_numbers else None
        self._halves = PatternCounts(most) if has_distribution and not keeps_numbers else None
        self._singles = np.empty(most, np.float32)
        self._doubles = np.empty(most, np.float64)
        self._flags = np.empty(most, np.bool_)

    def add(self, raw: memoryview) -> None:
        self.add_numbers(decode(raw, self._dtype))

    def add_numbers(self, numbers: NDArray[Any]) -> None:
        """Add at least one decoded number. Needs numpy's warnings about NaN and overflow switched off."""
        import numpy as np

        numbers = _real(numbers)
        found = Totals()
        low, high = numbers.min(), numbers.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            found.nan = int(np.isnan(numbers).sum())
            found.posinf = int(np.isposinf(numbers).sum())
            found.neginf = int(np.isneginf(numbers).sum())
            numbers = numbers[np.isfinite(numbers)]
            low, high = (numbers.min(), numbers.max()) if numbers.size else (None, None)
        if numbers.size:
            found.low, found.high = low.item(), high.item()
            found.zeros = self._zeros(numbers) if low <= 0 <= high else 0
            found.moments = self._moments(numbers, float(max(abs(found.low), abs(found.high))))
            self._note(numbers)
        self._totals.include(found)

    def merge(self, other: WideTally) -> None:
        self._totals.include(other._totals)
        if self._halves and other._halves:
            self._halves.counts += other._halves.counts
        if self._kept is not None and other._kept is not None:
            self._kept += other._kept

    def totals(self) -> Totals:
        import numpy as np

        low, high = self._totals.low, self._totals.high
        if low is not None and high is not None:
            if self._kept:
                self._totals.distribution = distribution_of(np.concatenate(self._kept))
            elif self._halves:
                self._totals.distribution = distribution_of_halves(self._halves.counts, float(low), float(high))
        return self._totals

    def _zeros(self, numbers: NDArray[Any]) -> int:
        import numpy as np

        return int(np.count_nonzero(np.equal(numbers, 0, out=self._flags[: numbers.size])))

    def _moments(self, numbers: NDArray[Any], peak: float) -> Moments:
        if fits_float32(numbers, peak):
            return moments_of_float32(numbers, self._singles)
        return moments_of(numbers, peak, self._doubles)

    def _note(self, numbers: NDArray[Any]) -> None:
        """Keep or count finite numbers for their distribution, where one is wanted."""
        import numpy as np

        if self._kept is not None:
            self._kept.append(numbers.copy())
        elif self._halves is not None:
            singles = self._singles[: numbers.size]
            if numbers.dtype == np.float32:
                singles = numbers
            else:
                np.copyto(singles, numbers, casting="unsafe")
            self._halves.add(singles.view("<u2")[1::2])


def _real(numbers: NDArray[Any]) -> NDArray[Any]:
    """Magnitudes of complex numbers in float64, where they cannot overflow; 0 and 1 for BOOL."""
    import numpy as np

    if numbers.dtype.kind == "c":
        numbers = np.hypot(numbers.real, numbers.imag, dtype=np.float64)
    return numbers.view(np.uint8) if numbers.dtype.kind == "b" else numbers
