"""The rows of the layer table that are open, as a list that opens and closes in place.

A branch once opened is kept when it closes, so that at a million rows opening and closing cost a copy of pointers.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from seqtui.model.spec import Deferred, ModelSpec
from seqtui.rows import Row, model_row, rows_below, sharers_of

AT_ONCE = 2000
"""Rows up to which a model is shown with all its containers open; of a larger one the outer levels are."""
EASY = 20_000
"""Tensors up to which layers are made without being asked for."""
DEEPEST = 255


class _Closed(NamedTuple):
    """The rows that stood under a branch when it was closed: a stretch of a list that nothing else uses any more."""

    rows: list[Row]
    first: int
    end: int
    depths: bytes
    """Of the stretch."""


class Branches:
    """Visible rows, and which branches are open."""

    def __init__(self, model: ModelSpec, like: Branches | None = None) -> None:
        """With what is open in `like`, another state of the same model; without one, containers are open."""
        self.root = model_row(model)
        self.sharers: Mapping[str, list[str]] = sharers_of(model.root)
        """Full name of a tensor that owns its numbers -> those of the others that are tied to it."""
        self._depth_open = _levels_within(self.root)
        self._closed: dict[str, _Closed] = {}
        """By path of the branch."""
        self.open_paths: set[str] = set()
        self.rows: list[Row] = [self.root]
        self._depths = bytearray([0])
        if like is not None:
            self.open_paths = set(like.open_paths)
            self._show(rows_below(self.root, self.is_open) if self.is_open(self.root) else iter(()))
        elif self.root.can_open:
            self.open(0)

    def is_open(self, row: Row) -> bool:
        return row.path in self.open_paths and row.tensor is None

    def open(self, index: int) -> None:
        """Show what stands under the row, as it was when the row was closed."""
        row = self.rows[index]
        if not row.can_open or self.is_open(row):
            return
        if row.path not in self._closed:
            made = _made(rows_below(row, self._opens_at_first))
            self._closed[row.path] = _Closed(made, 0, len(made), _depths(made))
        below, first, end, depths = self._closed.pop(row.path)
        self.open_paths.add(row.path)
        self._depths[index + 1 : index + 1] = depths
        if end - first < len(self.rows):
            self.rows[index + 1 : index + 1] = below[first:end]
        else:  # the few rows are put around the many
            below[end:] = self.rows[index + 1 :]
            below[:first] = self.rows[: index + 1]
            self.rows = below

    def close(self, index: int) -> None:
        """Hide everything under the row."""
        row = self.rows[index]
        if not self.is_open(row):
            return
        end = self.end(index)
        self.open_paths.remove(row.path)
        depths = bytes(self._depths[index + 1 : end])
        del self._depths[index + 1 : end]
        if end - index <= len(self.rows) // 2:
            below = self.rows[index + 1 : end]
            self._closed[row.path] = _Closed(below, 0, len(below), depths)
            del self.rows[index + 1 : end]
        else:  # the few rows leave the many
            self._closed[row.path] = _Closed(self.rows, index + 1, end, depths)
            self.rows = self.rows[: index + 1] + self.rows[end:]

    def end(self, index: int) -> int:
        """The first row after `index` that does not stand under it."""
        ends = (self._depths.find(depth, index + 1) for depth in range(self._depths[index] + 1))
        return min((end for end in ends if end >= 0), default=len(self.rows))

    def parent(self, index: int) -> int:
        """The row that `index` stands under; the first row's is itself."""
        depth = self._depths[index]
        return max(self._depths.rfind(depth - 1, 0, index), 0) if depth else 0

    def set_all(self, is_open: bool) -> None:
        """Open every branch, down to the tensors, or close all but the model itself."""
        self.open_paths = {""}
        self._show(self.all_rows() if is_open else rows_below(self.root, self.is_open))
        if is_open:
            self.open_paths.update(row.path for row in self.rows if row.can_open)

    def reveal(self, path: str, is_tensor: bool | None = None) -> int | None:
        """Open whatever hides a layer or tensor, and say where it stands; None where there is no such path.

        `is_tensor` decides where both are called the same.
        """
        index = 0
        while not self._is_there(self.rows[index], path, is_tensor):
            if not self.rows[index].can_open:
                return None
            self.open(index)
            below = self._child_towards(index, path, is_tensor)
            if below is None:
                return None
            index = below
        return index

    def is_like(self, other: Branches) -> bool:
        """Whether rows of the same names are shown."""
        return [row.path for row in self.rows] == [row.path for row in other.rows]

    def all_rows(self) -> Iterator[Row]:
        """Every layer and tensor in order, hidden ones too; not the model."""
        return rows_below(self.root, lambda _: True)

    def _show(self, rows: Iterator[Row]) -> None:
        """These and the model itself; what was closed before is forgotten."""
        self._closed.clear()
        self.rows = _made(chain([self.root], rows))
        self._depths = bytearray(_depths(self.rows))

    def _is_there(self, row: Row, path: str, is_tensor: bool | None) -> bool:
        return row.path == path and is_tensor in (None, row.tensor is not None)

    def _child_towards(self, index: int, path: str, is_tensor: bool | None) -> int | None:
        at, end = index + 1, self.end(index)
        depth = self._depths[index] + 1
        while 0 <= at < end:
            below = self.rows[at]
            if path.startswith(below.path) and (
                self._is_there(below, path, is_tensor) or (below.can_open and path.startswith(f"{below.path}."))
            ):
                return at
            at = self._depths.find(depth, at + 1, end)
        return None

    def _opens_at_first(self, row: Row) -> bool:
        """Whether a branch is open when first seen; noted, since the rows under it are shown from then on."""
        if row.layer.layers and row.depth < self._depth_open:
            self.open_paths.add(row.path)
            return True
        return False


def _levels_within(root: Row) -> int:
    """How many levels of layers can be open with at most AT_ONCE rows to show; the outermost always is.

    What is deferred is not looked into for that, but for a way that never forks and is not long in the making.
    """
    level, depth, shown = [root.layer.layers], 1, 0
    while level:
        shown += sum(map(len, level))
        if shown > AT_ONCE:
            return max(depth - 1, 1)
        layers = [layer for layers in level for layer in layers]
        level = [layer.layers for layer in layers if layer.layers]
        waiting = [each for each in level if isinstance(each, Deferred) and not each.is_made]
        if waiting and (len(layers) > 1 or sum(each.num_tensors for each in waiting) > EASY):
            return depth
        depth += 1
    return depth


def _made(rows: Iterator[Row]) -> list[Row]:
    """The rows in a list, made while the garbage collector rests, and kept from its searches where there are many.

    A search of a million rows takes half a second, and finds nothing: rows hold each other in no circle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        made = list(rows)
        if len(made) > EASY:
            gc.freeze()
        return made
    finally:
        if was_enabled:
            gc.enable()


def _depths(rows: list[Row]) -> bytes:
    return bytes([min(row.depth, DEEPEST) for row in rows])
