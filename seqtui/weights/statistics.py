"""What a tensor's numbers look like, from one pass over its bytes in small chunks: any size in under 64 MiB.

Everything but the counts is over the finite numbers; of complex ones it is the magnitude that counts. A tensor is never
read whole unless it is small, and nothing here blocks for longer than one chunk once it is told to stop.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import DTYPES, TensorInfo
from seqtui.weights.decode import read_elements, require_readable
from seqtui.weights.distribution import Histogram
from seqtui.weights.tally import NarrowTally, Totals, WideTally

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

BINS = 64

_CHUNK = 1 << 20
"""Bytes a thread reads at a time: large enough that two threads do not fight for the interpreter, small enough that the
working copies stay in the processor's cache."""

_THREADED = 1 << 23
"""Bytes from which two threads read."""

_SORTED = 1 << 20
"""Elements up to which numbers wider than 16 bits are kept and sorted."""

_SAMPLE = 1 << 16
_SAMPLE_PIECES = 16


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers about a tensor's numbers. What has no value (no finite number, beyond float64) is None."""

    count: int
    """All elements."""
    nan: int
    posinf: int
    neginf: int
    zeros: int
    min: int | float | None = None
    """int for integers and BOOL, exactly."""
    max: int | float | None = None
    mean: float | None = None
    std: float | None = None
    """torch.std's: correction 1, None below two finite numbers."""
    norm: float | None = None
    """Euclidean."""
    quantiles: Mapping[float, float] = field(default_factory=dict)
    """By fraction, for each of QUANTILES; empty without finite numbers or when none were asked for."""
    histogram: Histogram | None = None
    quantiles_exact: bool = True
    """False where quantiles are good to a relative 2**-7 (of magnitudes that float32 holds) and the histogram
    likewise: of types wider than 16 bits with more than 1,048,576 elements."""
    is_estimate: bool = False
    """True when only a sample was read: counts and norm are then scaled up to the whole tensor."""

    def as_json(self) -> dict[str, object]:
        """The `stats` object of `seqtui weights --json`; holds neither NaN nor infinity."""
        histogram = self.histogram
        return {
            "count": self.count,
            "nan": self.nan,
            "posinf": self.posinf,
            "neginf": self.neginf,
            "zeros": self.zeros,
            "min": self.min,
            "max": self.max,
            "mean": self.mean,
            "std": self.std,
            "norm": self.norm,
            "quantiles_exact": self.quantiles_exact,
            "quantiles": {str(fraction): value for fraction, value in self.quantiles.items()} or None,
            "histogram": histogram and {"edges": list(histogram.edges), "counts": list(histogram.counts)},
        }


def measure(
    source: TensorSource, name: str, *, bins: int = BINS, stop: Callable[[], bool] | None = None
) -> Statistics | None:
    """Statistics of every element; None when `stop` said so, which is asked between chunks, from any thread.

    With `bins` 0 there are neither quantiles nor a histogram, and wide types take a third of the time. Raises KeyError
    for an unknown name, UnreadableError for a type that cannot be read, FormatError or FileError when the file fails.
    """
    info = source.tensors[name]
    require_readable(info.dtype)
    workers = 2 if info.nbytes >= _THREADED else 1
    bits = DTYPES[info.dtype].bits
    most = min(_CHUNK, info.nbytes) * 8 // bits
    count = math.prod(info.shape)
    is_exact = bits <= 16 or count <= _SORTED
    if bits <= 16:
        totals = _pass(source, info, [NarrowTally(info.dtype, most) for _ in range(workers)], stop)
    else:
        tallies = [
            WideTally(info.dtype, most, has_distribution=bins > 0, keeps_numbers=is_exact) for _ in range(workers)
        ]
        totals = _pass(source, info, tallies, stop)
    return replace(_statistics(totals, count, bins), quantiles_exact=is_exact) if totals else None


def estimate(source: TensorSource, name: str, *, bins: int = BINS) -> Statistics:
    """Statistics from at most 65,536 elements in evenly spread pieces, in a few milliseconds whatever the size.

    Of a tensor that has no more they are exact, and not marked as an estimate. Raises what `measure` raises.
    """
    import numpy as np

    info = source.tensors[name]
    count = math.prod(info.shape)
    if count <= _SAMPLE:
        exact = measure(source, name, bins=bins)
        assert exact is not None  # nothing stops it
        return exact
    length = _SAMPLE // _SAMPLE_PIECES
    tally = WideTally(info.dtype, length, has_distribution=bins > 0, keeps_numbers=True)
    with np.errstate(all="ignore"):
        for piece in range(_SAMPLE_PIECES):
            start = (count - length) * piece // (_SAMPLE_PIECES - 1)
            tally.add_numbers(read_elements(source, info, start, start + length))
    return _scaled(_statistics(tally.totals(), _SAMPLE, bins), count)


def describe(numbers: NDArray[Any], dtype: str, *, bins: int = BINS) -> Statistics:
    """Statistics of decoded numbers in memory, a part of a tensor of that type; always exact."""
    import numpy as np

    tally = WideTally(dtype, max(numbers.size, 1), has_distribution=bins > 0, keeps_numbers=True)
    if numbers.size:
        with np.errstate(all="ignore"):
            tally.add_numbers(np.asarray(numbers).reshape(-1))
    return _statistics(tally.totals(), numbers.size, bins)


_Tally = TypeVar("_Tally", NarrowTally, WideTally)


def _pass(
    source: TensorSource, info: TensorInfo, tallies: Sequence[_Tally], stop: Callable[[], bool] | None
) -> Totals | None:
    """Read every byte once, with a thread for each tally; None when stopped."""
    if len(tallies) == 1:
        is_done = _read(source, info, tallies[0], 0, 1, stop)
    else:
        is_done = _read_in_threads(source, info, tallies, stop)
    if not is_done:
        return None
    for other in tallies[1:]:
        tallies[0].merge(other)
    return tallies[0].totals()


def _read_in_threads(
    source: TensorSource, info: TensorInfo, tallies: Sequence[_Tally], stop: Callable[[], bool] | None
) -> bool:
    """Let the threads take turns with the chunks; False when stopped."""
    is_over = threading.Event()

    def is_stopped() -> bool:
        return is_over.is_set() or (stop is not None and stop())

    with ThreadPoolExecutor(len(tallies)) as pool:
        jobs = [
            pool.submit(_read, source, info, tally, turn, len(tallies), is_stopped)
            for turn, tally in enumerate(tallies)
        ]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:
            is_over.set()  # where one thread fails or the user interrupts, the other ends too
    outcomes = [job.result() for job in jobs]
    return all(outcomes)


def _read(
    source: TensorSource,
    info: TensorInfo,
    tally: NarrowTally | WideTally,
    turn: int,
    turns: int,
    stop: Callable[[], bool] | None,
) -> bool:
    """Hand the chunks `turn`, `turn + turns`, ... to a tally; False when stopped."""
    import numpy as np

    buffer = memoryview(bytearray(min(_CHUNK, info.nbytes)))
    with np.errstate(all="ignore"):  # NaN and infinity are counted, not warned of
        for start in range(turn * _CHUNK, info.nbytes, turns * _CHUNK):
            if stop is not None and stop():
                return False
            raw = buffer[: info.nbytes - start]
            source.read_into(info.name, start, raw)
            tally.add(raw)
    return True


def _statistics(totals: Totals, count: int, bins: int) -> Statistics:
    spread = totals.distribution if bins else None
    return Statistics(
        count=count,
        nan=totals.nan,
        posinf=totals.posinf,
        neginf=totals.neginf,
        zeros=totals.zeros,
        min=totals.low,
        max=totals.high,
        mean=totals.moments.mean,
        std=totals.moments.std,
        norm=totals.moments.norm,
        quantiles={fraction: spread.quantile(fraction) for fraction in QUANTILES} if spread else {},
        histogram=spread.histogram(bins) if spread else None,
    )


def _scaled(sample: Statistics, count: int) -> Statistics:
    """A sample's statistics as an estimate of the whole tensor's."""
    factor = count / sample.count
    histogram = sample.histogram
    return replace(
        sample,
        count=count,
        nan=round(sample.nan * factor),
        posinf=round(sample.posinf * factor),
        neginf=round(sample.neginf * factor),
        zeros=round(sample.zeros * factor),
        norm=None if sample.norm is None else _finite(sample.norm * math.sqrt(factor)),
        histogram=histogram and replace(histogram, counts=tuple(round(number * factor) for number in histogram.counts)),
        quantiles_exact=False,
        is_estimate=True,
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
