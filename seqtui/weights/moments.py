"""Mean and spread that stay right: for 100 ± 0.001, for subnormals, for the largest float64, in any number of pieces.

Each piece is centred on its own mean before it is squared, and pieces are merged by the formula of Chan, Golub and
LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample variances", equation 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAFE_EXPONENT = 400
"""Squares of numbers between 2**-400 and 2**400 stay within float64, and so do their sums."""

_BLOCK = 1024
"""float32 numbers that are summed in float32 before the sums are added in float64."""

_BLOCK_RANGE = (1e-12, 1e15)
"""Largest magnitudes for which float32 holds the squares, and sums of 1,024 of them."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and squared deviations of some numbers, in units of 2**exponent."""

    count: int = 0
    scaled_mean: float = 0.0
    scaled_squares: float = 0.0
    """Sum of squared distances from the mean, in units of 4**exponent."""
    exponent: int = 0
    """0 but for numbers whose squares would leave float64."""

    def merged(self, other: Moments) -> Moments:
        """The moments of both together."""
        if not self.count or not other.count:
            return self if self.count else other
        exponent = max(self.exponent, other.exponent)
        a, b = self._in_units_of(exponent), other._in_units_of(exponent)
        count = a.count + b.count
        distance = b.scaled_mean - a.scaled_mean
        mean = a.scaled_mean + distance * (b.count / count)
        squares = a.scaled_squares + b.scaled_squares + distance * distance * (a.count * (b.count / count))
        return Moments(count, mean, squares, exponent)

    def _in_units_of(self, exponent: int) -> Moments:
        shift = self.exponent - exponent
        return Moments(
            self.count, math.ldexp(self.scaled_mean, shift), math.ldexp(self.scaled_squares, 2 * shift), exponent
        )

    @property
    def mean(self) -> float | None:
        return _unscaled(self.scaled_mean, self.exponent) if self.count else None

    @property
    def std(self) -> float | None:
        """torch.std with correction 1; None below two numbers or beyond float64."""
        if self.count < 2:
            return None
        return _unscaled(math.sqrt(self.scaled_squares / (self.count - 1)), self.exponent)

    @property
    def norm(self) -> float | None:
        """Square root of the sum of squares; None without a number or beyond float64."""
        if not self.count:
            return None
        return _unscaled(
            math.hypot(math.sqrt(self.scaled_squares), math.sqrt(self.count) * self.scaled_mean), self.exponent
        )


def moments_of(values: NDArray[Any], peak: float, scratch: NDArray[np.float64]) -> Moments:
    """Moments of at least one finite real number of any type, summed in float64.

    `peak` is their largest magnitude; `scratch` has room for as many.
    """
    import numpy as np

    exponent = _exponent(peak)
    centred = scratch[: values.size]
    if exponent:
        np.ldexp(values, -exponent, out=centred)
    else:
        np.copyto(centred, values)
    mean = float(np.add.reduce(centred)) / values.size
    np.subtract(centred, mean, out=centred)
    rest = float(np.add.reduce(centred)) / values.size
    np.multiply(centred, centred, out=centred)
    squares = float(np.add.reduce(centred)) - values.size * rest * rest
    return Moments(values.size, mean + rest, max(0.0, squares), exponent)


def moments_of_float32(values: NDArray[np.float32], scratch: NDArray[np.float32]) -> Moments:
    """The same of whole blocks of float32, at three times the speed: relative errors of std stay below 1e-6.

    The mean is subtracted exactly where it matters, and no more than 1,024 numbers are summed in float32.
    """
    import numpy as np

    centred = scratch[: values.size]
    blocks, centred_blocks = values.reshape(-1, _BLOCK), centred.reshape(-1, _BLOCK)
    pivot = np.float32(np.einsum("ij->i", blocks).sum(dtype=np.float64) / values.size)
    np.subtract(values, pivot, out=centred)
    rest = float(np.einsum("ij->i", centred_blocks).sum(dtype=np.float64)) / values.size
    squares = float(np.einsum("ij,ij->i", centred_blocks, centred_blocks).sum(dtype=np.float64))
    return Moments(values.size, float(pivot) + rest, max(0.0, squares - values.size * rest * rest))


def fits_float32(values: NDArray[Any], peak: float) -> bool:
    """Whether `moments_of_float32` may be asked."""
    lowest, highest = _BLOCK_RANGE
    return values.dtype == "float32" and values.size % _BLOCK == 0 and lowest < peak < highest


def moments_of_counts(values: NDArray[np.float64], counts: NDArray[np.int64]) -> Moments:
    """Moments of at least one number, each of which occurs `counts` times; each within 2**-400 .. 2**400 or zero."""
    total = int(counts.sum())
    mean = float((values * counts).sum()) / total
    centred = values - mean
    rest = float((centred * counts).sum()) / total
    squares = float((centred * centred * counts).sum()) - total * rest * rest
    return Moments(total, mean + rest, max(0.0, squares))


def _exponent(peak: float) -> int:
    exponent = math.frexp(peak)[1]
    return exponent if abs(exponent) > _SAFE_EXPONENT else 0


def _unscaled(number: float, exponent: int) -> float | None:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return None
