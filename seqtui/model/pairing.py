"""Which layer of one model is which of another, of which only names and arguments are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from seqtui.model.content_edits import said_arguments
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import LayerSpec, Value
from seqtui.model.tree import is_numbered, joined


class Item:
    """A layer of either tree, and the one in the other tree that it is."""

    def __init__(self, layer: LayerSpec, parent: Item | None = None) -> None:
        self.layer = layer
        """As it was at first."""
        self.name = layer.name
        self.parent = parent
        self.twin: Item | None = None
        self.items = [Item(child, self) for child in layer.layers] if self.is_chain else []

    @property
    def is_chain(self) -> bool:
        return self.layer.kind == "Sequential" and self.layer.origin == "declared" and self.layer.is_called

    @property
    def path(self) -> str:
        return joined(self.parent.path, self.name) if self.parent else ""

    def walk(self) -> Iterator[Item]:
        """All that is called inside, depth first in order."""
        for item in self.items:
            if item.layer.is_called:
                yield item
                yield from item.walk()

    def has_twins(self) -> bool:
        """Whether anything of it stays."""
        return self.twin is not None or any(item.twin for item in self.walk())


# Which layer is which


def pair_layers(old: Item, new: Item) -> None:
    """Give every layer that stays its twin, from two roots on, which are twins themselves.

    A layer keeps its weights where it keeps its name, or where all but its name or its place is the same; in a numbered
    Sequential also where the order tells which it was.
    """
    _pair(old, new)
    _pair_everywhere(old, new)
    for item in (new, *new.walk()):
        if item.is_chain and item.twin:
            _pair_changed(item.twin, item)


def _pair(old: Item, new: Item) -> None:
    """Make two one, and then what is in them."""
    old.twin, new.twin = new, old
    if new.is_chain:
        _pair_inside(old, new)


def _alone(chain: Item) -> list[Item]:
    """The layers of a Sequential that are still to find their like."""
    return [item for item in chain.items if item.twin is None and item.layer.is_called]


def _goes_by_number(old: Item, new: Item) -> bool:
    """Whether names of two Sequentials say nothing of which layer is which."""
    return is_numbered(item.layer for item in old.items) or is_numbered(item.layer for item in new.items)


def _pair_inside(old: Item, new: Item) -> None:
    """Pair layers of the same name and kind, then those that are alike but for their names, in order."""
    if not _goes_by_number(old, new):
        by_name = {item.name: item for item in _alone(old)}
        for item in _alone(new):
            same = by_name.get(item.name)
            if same and same.layer.kind == item.layer.kind:
                _pair(same, item)
    _pair_in_order(_alone(old), _alone(new), lambda item: _likeness(item.layer))


def _pair_in_order(olds: Sequence[Item], news: Sequence[Item], key: Callable[[Item], Hashable]) -> None:
    """Pair items of the same key so that their order stays."""
    old_keys, new_keys = list(map(key, olds)), list(map(key, news))
    start = sum(1 for _ in takewhile(lambda keys: keys[0] == keys[1], zip(old_keys, new_keys, strict=False)))
    rest = SequenceMatcher(None, old_keys[start:], new_keys[start:], autojunk=False).get_matching_blocks()
    for block in ((0, 0, start), *((start + a, start + b, size) for a, b, size in rest)):
        for step in range(block[2]):
            _pair(olds[block[0] + step], news[block[1] + step])


def _likeness(layer: LayerSpec) -> Hashable:
    """What a layer is but for its name and its weights."""
    inside = tuple((child.name, _likeness(child)) for child in layer.layers if child.is_called)
    return layer.kind, repr(sorted(said_by(layer).items())), inside


def said_by(layer: LayerSpec) -> dict[str, Value]:
    """The arguments that the call of a layer has to say."""
    kind = layer.kind or ""
    return said_arguments(kind, layer.args) if kind in catalogue() else dict(layer.args)


def _pair_everywhere(old: Item, new: Item) -> None:
    """Pair layers with weights that went to another Sequential: those of the same name first, then those alike."""
    keys: tuple[Callable[[Item], Hashable], ...] = (
        lambda item: (item.name, _likeness(item.layer)),
        lambda item: _likeness(item.layer),
    )
    for key in keys:
        waiting: dict[Hashable, list[Item]] = defaultdict(list)
        for item in old.walk():
            if item.twin is None and item.layer.tensors:
                waiting[key(item)].append(item)
        for item in new.walk():
            if item.twin is None and (found := waiting.get(key(item))):
                _pair(found.pop(0), item)


def _pair_changed(old: Item, new: Item) -> None:
    """Pair layers that stand in the same place, or have the same name, and are something else now."""
    if _goes_by_number(old, new):
        _pair_in_gaps(old, new)
    else:
        by_name = {item.name: item for item in _alone(old) if not item.is_chain}
        for item in _alone(new):
            if item.name in by_name and not item.is_chain:
                _pair(by_name[item.name], item)


def _pair_in_gaps(old: Item, new: Item) -> None:
    """Between layers that are found already: pair by kind in order, then as they stand where as many are left."""
    gaps: dict[Item | None, tuple[list[Item], list[Item]]] = defaultdict(lambda: ([], []))
    for side, (chain, other) in enumerate(((old, new), (new, old))):
        anchor: Item | None = None
        for item in chain.items:
            if item.twin and item.twin.parent is other:
                anchor = (item.twin, item)[side]
            elif item.twin is None and item.layer.is_called:
                gaps[anchor][side].append(item)
    for olds, news in gaps.values():
        _pair_in_order(olds, news, lambda item: item.layer.kind)
        left = [[item for item in items if item.twin is None and not item.is_chain] for items in (olds, news)]
        if len(left[0]) == len(left[1]):
            for pair in zip(*left, strict=True):
                _pair(*pair)
