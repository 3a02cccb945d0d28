"""What a search looks in: every layer and tensor in the order of rows, folded ones too.

The index of a large file takes seconds, since its layers are made for it. It is made in slices, so that keys are heard
in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from seqtui.rows import Row

PATIENCE = 512
"""Rows between two looks at the clock."""


class Place(NamedTuple):
    """A row that can be found: a tensor and a layer may be called the same."""

    path: str
    is_tensor: bool

    @classmethod
    def of(cls, row: Row) -> Place:
        return cls(row.path, row.tensor is not None)


class Index:
    """The rows of a model by their text."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._places: list[Place] = []
        self._texts: list[str] = []
        self._positions: dict[Place, int] = {}
        self._is_whole = False

    def go_on(self, seconds: float) -> bool:
        """Go on making the index for about so long, a few rows at least; whether it is whole now."""
        end = time.monotonic() + seconds
        while not self._is_whole:
            rows = list(islice(self._rows, PATIENCE))
            for row in rows:
                self._add(row)
            self._is_whole = not rows
            if time.monotonic() >= end:
                break
        return self._is_whole

    def _add(self, row: Row) -> None:
        place = Place.of(row)
        self._positions[place] = len(self._places)
        self._places.append(place)
        self._texts.append((row.path if row.tensor else f"{row.path} {row.layer.kind or ''}").casefold())

    def find(self, needle: str, start: Place, step: int) -> Place | None:
        """The next row after `start` (before it, for step -1) that holds the needle, or a layer whose kind does.

        Goes round the end; `start` itself comes last, so that the same needle goes on to the next match.
        """
        needle, count = needle.casefold(), len(self._places)
        if not needle:
            return None
        here = self._positions.get(start, -1 if step > 0 else 0)
        for distance in range(1, count + 1):
            at = (here + step * distance) % count
            if needle in self._texts[at]:
                return self._places[at]
        return None


def next_of(paths: list[str], order: list[str], here: str, step: int) -> str:
    """Of some paths, at least one, the next after a row or before it; from the last on the first again."""
    at = order.index(here) if here in order else 0
    later = [path for path in paths if (order.index(path) - at) * step > 0]
    return (later or paths)[0 if step > 0 else -1]
