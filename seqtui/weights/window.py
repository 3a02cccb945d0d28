"""The cells that a view can show, and no more: a tensor of any rank as a stack of two-dimensional slices.

Rows are the last dimension but one, columns the last, and all before them number the slices. A vector is one row, so
that a bias lies under the weight's columns; a scalar is one cell. Only the bytes of what is asked for are read, and
those between two pieces that lie closer than a page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqtui.errors import UsageError
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import DTYPES, Shape, TensorInfo
from seqtui.weights.decode import decode, read_elements
from seqtui.weights.index import Index, Selection, selected_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Cell = int | float | bool | complex

Nested = Cell | list["Nested"]
"""Numbers in lists as deep as the shape, as `ndarray.tolist` gives them."""

_GAP = 4096
"""Bytes between two wanted pieces that are read along rather than skipped: a second read costs more."""

_BLOCK = 1 << 22
"""Most bytes of one read."""


def grid_shape(shape: Shape) -> tuple[int, int]:
    """(rows, columns) of one slice."""
    rows, columns = (1, 1, *shape)[-2:]
    return rows, columns


def slice_count(shape: Shape) -> int:
    """How many slices are stacked: 1 up to two dimensions."""
    return math.prod(shape[:-2])


def slice_position(shape: Shape, slice_index: int) -> tuple[int, ...]:
    """The leading indices of a slice: of (2, 3, 5, 5) slice 4 is (1, 1). None up to two dimensions."""
    position: list[int] = []
    for size in reversed(shape[:-2]):
        slice_index, remainder = divmod(slice_index, size)
        position.append(remainder)
    return tuple(reversed(position))


def slice_of(shape: Shape, position: tuple[int, ...]) -> int:
    """The slice that an element stands in, given an index in range for each dimension."""
    index = 0
    for size, at in zip(shape[:-2], position[:-2], strict=True):
        index = index * size + at
    return index


def read_window(source: TensorSource, name: str, slice_index: int, rows: range, columns: range) -> list[list[Cell]]:
    """The cells of some rows and columns of one slice, row by row; what lies beyond the grid is left out.

    Raises UsageError for a slice that is not there, and what `read_array` raises.
    """
    info = source.tensors[name]
    if not 0 <= slice_index < slice_count(info.shape):
        raise UsageError(f"slice {slice_index} of {name} is not there: it has {slice_count(info.shape)}")
    position = slice_position(info.shape, slice_index)
    height, width = grid_shape(info.shape)
    selection: Selection = (*position, _clipped(rows, height), _clipped(columns, width))
    shape = (*info.shape[:-2], height, width)  # of a vector or scalar, as the grid shows it
    cells: list[list[Cell]] = _read_selection(source, info._replace(shape=shape), selection).tolist()
    return cells


def read_array(source: TensorSource, name: str, index: Index | None = None) -> NDArray[Any]:
    """A tensor or the part of it that an index picks, decoded, in the picked shape.

    Raises KeyError for an unknown name, UsageError for an index that does not fit and for more dimensions than numpy
    can hold, UnreadableError for a type that cannot be read, FormatError or FileError when the file fails.
    """
    info = source.tensors[name]
    selection = (index or Index(())).select(info.shape, name)
    return _read_selection(source, info, selection)


def read_values(source: TensorSource, name: str, index: Index | None = None) -> Nested:
    """`read_array` as nested lists; a single number where the index leaves no dimension."""
    values: Nested = read_array(source, name, index).tolist()
    return values


def _clipped(part: range, size: int) -> range:
    return range(*slice(part.start, part.stop, part.step).indices(size))


def _read_selection(source: TensorSource, info: TensorInfo, selection: Selection) -> NDArray[Any]:
    """The picked numbers, read in as few pieces as lie apart."""
    import numpy as np

    shape = selected_shape(selection)
    picked = np.empty(math.prod(shape), decode(b"", info.dtype).dtype)
    filled = 0
    for wanted in _pieces(info, selection) if picked.size else ():
        start, stop = int(wanted.min()), int(wanted.max()) + 1
        picked[filled : filled + wanted.size] = read_elements(source, info, start, stop)[wanted - start]
        filled += wanted.size
    try:
        return picked.reshape(shape)
    except ValueError:  # numpy has a limit, and it depends on the version
        message = f"{info.name} has {len(shape)} dimensions, more than numpy can hold"
        raise UsageError(message, "Pick some of them: [0, ..., 0].") from None


def _pieces(info: TensorInfo, selection: Selection) -> Iterator[NDArray[np.int64]]:
    """The elements to read at a time, as row-major positions in the tensor, in the order of the result."""
    import numpy as np

    # A first dimension of one position, so that there is always one to batch over.
    ranges = [range(1), *(part if isinstance(part, range) else range(part, part + 1) for part in selection)]
    strides = [0, *(math.prod(info.shape[dimension + 1 :]) for dimension in range(len(info.shape)))]
    batched, batch = _cut(ranges, strides, DTYPES[info.dtype].bits / 8)
    along = [np.arange(part.start, part.stop, part.step) * stride for part, stride in zip(ranges, strides, strict=True)]
    inner = np.zeros(1, np.int64)
    for positions in along[batched + 1 :]:
        inner = np.add.outer(inner, positions).reshape(-1)
    for outer in itertools.product(*along[:batched]):
        for first in range(0, len(ranges[batched]), batch):
            yield np.add.outer(sum(outer) + along[batched][first : first + batch], inner).reshape(-1)


def _cut(ranges: list[range], strides: list[int], octets: float) -> tuple[int, int]:
    """The dimension to go through in batches, and the positions in a batch: all behind it is read in one piece.

    From the last dimension inwards whole ranges are joined while they lie close together and the piece stays small.
    """
    span = 1
    for dimension in reversed(range(len(ranges))):
        apart = strides[dimension] * abs(ranges[dimension].step)
        is_close = (apart - span) * octets <= _GAP
        batch = max(1, int((_BLOCK / octets - span) // max(1, apart))) if is_close else 1
        if batch < len(ranges[dimension]):
            return dimension, batch
        span += apart * (len(ranges[dimension]) - 1)
    return 0, 1
