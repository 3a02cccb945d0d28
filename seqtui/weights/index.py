"""The slice language of `conv1.weight[3, :, 1:4]`, with numpy's meaning.

Parsing needs no tensor; holding an index against a shape needs no numpy. Every refusal is a UsageError in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from types import EllipsisType

from seqtui.errors import UsageError
from seqtui.model.tensors import Shape

Item = int | slice | EllipsisType

Selection = tuple[int | range, ...]
"""One entry a dimension: an int drops the dimension, a range keeps the positions it names, in its order."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_HINT = "Write it as numpy does: [3, :, 1:4], [-1], [..., ::2]."


@dataclass(frozen=True, slots=True)
class Index:
    """What stands between the brackets, not yet held against a shape."""

    items: tuple[Item, ...]

    def __str__(self) -> str:
        return f"[{', '.join(map(_item_text, self.items))}]"

    def select(self, shape: Shape, name: str) -> Selection:
        """The positions that are meant, one entry for each dimension of `shape`; missing trailing ones are whole.

        Raises UsageError, naming the tensor, for a position that is not there or more indices than dimensions.
        """
        given = sum(item is not Ellipsis for item in self.items)
        if given > len(shape):
            words = "1 dimension" if len(shape) == 1 else f"{len(shape)} dimensions"
            raise UsageError(f"{name} has {words}, {given} indices are given")
        items = list(self.items) if Ellipsis in self.items else [*self.items, Ellipsis]
        at = items.index(Ellipsis)
        items[at : at + 1] = [slice(None)] * (len(shape) - given)
        return tuple(_positions(item, dimension, shape, name) for dimension, item in enumerate(items))


def selected_shape(selection: Selection) -> Shape:
    """The shape of what a selection picks."""
    return tuple(len(part) for part in selection if isinstance(part, range))


def parse_items(text: str) -> Index:
    """The index inside the brackets: `3, :, 1:4`. Raises UsageError."""
    parts = text.split(",")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    items = tuple(_parse_item(part.strip(), text) for part in parts)
    if sum(item is Ellipsis for item in items) > 1:
        raise UsageError(f"[{text}] has more than one ...", _HINT)
    return Index(items)


def split_name(text: str, names: Container[str]) -> tuple[str, Index | None]:
    """A tensor's name and the index behind it, if it ends in one.

    Names may hold brackets themselves: one that exists in full wins, then the longest that does. When none exists the
    whole text comes back, for it may be a glob. Raises UsageError when a name exists and what stands in the brackets
    behind it is no index.
    """
    if text in names or not text.endswith("]"):
        return text, None
    for at in _brackets_from_the_right(text):
        if text[:at] in names:
            return text[:at], parse_items(text[at + 1 : -1])
    return text, None


def _brackets_from_the_right(text: str) -> Iterator[int]:
    return (at for at in range(len(text) - 1, 0, -1) if text[at] == "[")


def _parse_item(text: str, whole: str) -> Item:
    if text == "...":
        return ...
    bounds = [part.strip() for part in text.split(":")]
    is_slice = len(bounds) in (2, 3)
    if not all(_INTEGER.fullmatch(part) or (is_slice and not part) for part in bounds) or len(bounds) > 3:
        raise UsageError(f"'{text}' in [{whole}] is not an index", _HINT)
    numbers = [int(part) if part else None for part in bounds]
    if not is_slice:
        return int(text)
    if len(numbers) == 3 and numbers[2] == 0:
        raise UsageError(f"'{text}' in [{whole}] has a step of 0", _HINT)
    return slice(*numbers)


def _item_text(item: Item) -> str:
    if isinstance(item, slice):
        bounds = [item.start, item.stop] if item.step is None else [item.start, item.stop, item.step]
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    return "..." if item is Ellipsis else str(item)


def _positions(item: Item, dimension: int, shape: Shape, name: str) -> int | range:
    size = shape[dimension]
    if isinstance(item, slice):
        return range(*item.indices(size))
    assert isinstance(item, int)  # the ellipsis has been written out
    if not -size <= item < size:
        raise UsageError(f"index {item} is out of range for dimension {dimension} of {name}, which has {size}")
    return item % size
