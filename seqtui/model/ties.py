"""Tensors that are one: which they are, and how they stay so while their layers move and change their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from seqtui.model.spec import Deferred, LayerSpec, ModelSpec
from seqtui.model.tree import Change, TensorPlace, find_tensor, joined, ways_to, with_changes, with_inside


def tie_groups(model: ModelSpec) -> dict[str, list[TensorPlace]]:
    """By the full name of every tensor that is one with others, all of these, itself too, the owner first."""
    groups: dict[str, list[TensorPlace]] = {}
    for path, layer in _tied_layers("", model.root):
        for name, owner in layer.tied.items():
            if owner not in groups:
                place = find_tensor(model, owner)
                groups[owner] = [place] if place else []
            groups[owner].append((path, name))
    return {joined(*place): group for group in groups.values() for place in group}


def _tied_layers(path: str, layer: LayerSpec) -> Iterator[tuple[str, LayerSpec]]:
    """The layers with tied tensors in one, itself too, in order."""
    if layer.tied:
        yield path, layer
    if isinstance(layer.layers, Deferred):  # a guess ties nothing
        return
    for child in [child for child in layer.layers if child.tied or child.layers]:
        yield from _tied_layers(joined(path, child.name), child)


def keeping_ties(model: ModelSpec, moving: Iterable[str], change: Callable[[ModelSpec], ModelSpec]) -> ModelSpec:
    """What a change of places gives, with every tied tensor tied still.

    `moving` are the paths of the layers that get another place or name, or leave, with all inside; where none of them
    is tied to anything, ties are none of the change's business. Else, while layers move, all tensors that are one carry
    the same mark in `tied`; then the first of them owns the numbers.
    """
    groups = tie_groups(model)
    tied_paths = {path for group in groups.values() for path, _ in group}
    if (ways_to(tied_paths).keys() | tied_paths).isdisjoint(moving):
        return change(model)
    marks: dict[str, dict[str, str]] = {}
    for group in groups.values():
        for path, name in group:
            marks.setdefault(path, {})[name] = joined(*group[0])
    changed = change(with_changes(model, {path: _tying(tied) for path, tied in marks.items()}))
    return replace(changed, root=_owned("", changed.root, {}))


def _owned(path: str, layer: LayerSpec, owners: dict[str, str]) -> LayerSpec:
    """The layer with the first of all tensors that carry a mark as their owner; `owners` are those known so far."""
    if layer.tied:
        full = {name: joined(path, name) for name in layer.tied}
        owned = {name: owners.setdefault(mark, full[name]) for name, mark in layer.tied.items()}
        layer = replace(layer, tied={name: owner for name, owner in owned.items() if owner != full[name]})
    if isinstance(layer.layers, Deferred):
        return layer
    inside = [(place, child) for place, child in enumerate(layer.layers) if child.tied or child.layers]
    return with_inside(layer, {place: _owned(joined(path, child.name), child, owners) for place, child in inside})


def _tying(tied: Mapping[str, str]) -> Change:
    return lambda layer: replace(layer, tied=tied)


def untied(layer: LayerSpec) -> LayerSpec:
    """A copy's layers: nothing in it is tied, and its arguments are an object of their own, by which it is known."""
    return replace(layer, args=dict(layer.args), tied={}, layers=tuple(map(untied, layer.layers)))


def sharing(model: ModelSpec, name: str) -> list[str]:
    """The full names of all other tensors that are one with this one, its owner first."""
    return [other for place in tie_groups(model).get(name, ()) if (other := joined(*place)) != name]
