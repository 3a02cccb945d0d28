"""Marks: the layers that the next edit is about, and the range of them that grows with the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqtui.model.spec import ModelSpec
from seqtui.rows import Row


class Marks:
    """Paths of marked layers."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self.paths = set(paths)
        self._start: str | None = None
        """The layer where a range began; None outside one."""
        self._range: frozenset[str] = frozenset()
        """Paths of the layers from there to the cursor."""

    def __bool__(self) -> bool:
        return bool(self.paths) or self.has_range

    def __contains__(self, row: Row) -> bool:
        return row.tensor is None and (row.path in self.paths or row.path in self._range)

    @property
    def has_range(self) -> bool:
        """Whether a range is growing."""
        return self._start is not None

    def begin(self, row: Row) -> None:
        """A range begins at a row's layer, with that alone."""
        self._start = row.path.rpartition(".")[0] if row.tensor else row.path
        self._range = frozenset({self._start} - {""})

    def reach(self, rows: Sequence[Row], cursor: int) -> None:
        """The range goes to the cursor: the layers between that stand beside the one where it began."""
        start = self._start or ""
        parent = start.rpartition(".")[0]
        at = next((at for at, row in enumerate(rows) if row.path == start and row.tensor is None), cursor)
        first, last = sorted((at, cursor))
        paths = (row.path for row in rows[first : last + 1] if row.path and row.tensor is None)
        self._range = frozenset(path for path in paths if path.rpartition(".")[0] == parent)

    def end(self) -> None:
        """Keep the layers of the range, where there is one."""
        self.paths |= self._range
        self._start, self._range = None, frozenset()

    def after(self, old: ModelSpec, new: ModelSpec) -> Marks:
        """The marks after an edit: one that only moves layers takes them along, for any other they have served."""
        if not self.paths or not new.is_sequential:
            return Marks()
        before = {path: id(layer.args) for path, layer in old.walk()}  # the same object wherever a layer goes
        after = {id(layer.args): path for path, layer in new.walk()}
        is_move = list(before.values()) != list(after) and sorted(before.values()) == sorted(after)
        return Marks(after[before[path]] for path in self.paths) if is_move else Marks()
