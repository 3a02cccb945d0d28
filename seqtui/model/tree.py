"""Changes to the tree of layers, each giving a new model that shares every layer it did not touch.

What follows from a change of place is done here too: a numbered Sequential is numbered again. A model can have ten
thousand layers and an edit two milliseconds, so nothing here walks over all of them unless a pattern asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from seqtui.errors import EditError
from seqtui.model.kinds.catalogue import names_taken
from seqtui.model.spec import LayerSpec, ModelSpec

ANY_NAME = "_"
"""The name of a layer that is to be numbered."""

FEW = 64
"""Layers of a container that are changed piece by piece. For more it costs less to hold the container twice."""

Layers = tuple[LayerSpec, ...]
Change = Callable[[LayerSpec], LayerSpec]
TensorPlace = tuple[str, str]
"""Path of a layer, own name of a tensor in it."""

_ALL_BUT_NAME = attrgetter(*(field.name for field in fields(LayerSpec)[1:]))


class Spot(NamedTuple):
    """A place among the layers of a container."""

    parent: str
    place: int


class Splice(NamedTuple):
    """Layers of a container, from `start` to before `stop`, and those that take their place."""

    parent: str
    start: int
    stop: int
    layers: Layers = ()


class Glob(str):
    """A pattern of dotted paths: `*` is any part of a name, `**` any part of a path. Equal to no plain path."""

    __slots__ = ()

    def matches(self, path: str) -> bool:
        return _pattern(self).fullmatch(path) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Glob) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


@lru_cache(maxsize=64)
def _pattern(glob: Glob) -> re.Pattern[str]:
    parts = ("[^.]*" if part == "*" else ".*" if part[:1] == "*" else re.escape(part) for part in _STARS.split(glob))
    return re.compile("".join(parts), re.DOTALL)


_STARS = re.compile(r"(\*+)")


def joined(parent: str, name: str) -> str:
    """The dotted path of what is called `name` in a container."""
    return f"{parent}.{name}" if parent else name


# Finding


def layer_at(model: ModelSpec, path: str) -> LayerSpec:
    """The layer at a path. Raises EditError where there is none."""
    try:
        return model.layer(path)
    except KeyError:
        raise EditError(f"there is no layer {path}") from None


def is_chain(layer: LayerSpec) -> bool:
    """Whether it is a Sequential for certain, so that its layers can be moved."""
    return layer.kind == "Sequential" and layer.origin == "declared"


def container(model: ModelSpec, path: str) -> LayerSpec:
    """The Sequential at a path, whose layers may be moved. Raises EditError for what is none."""
    layer = layer_at(model, path)
    if path and not layer.layers and layer.kind != "Sequential":
        raise EditError(f"{path} is no Sequential, so no layers stand in it")
    if not is_chain(layer):
        inside = f"inside {path}" if path else "of this file"
        raise EditError(f"the layers {inside} cannot be added, moved or removed: how they are connected is not known")
    return layer


def spots_of(model: ModelSpec, paths: Iterable[str]) -> list[Spot]:
    """Where layers of Sequentials stand. Raises EditError where there is none that could be moved."""
    wanted: dict[str, set[str]] = {}
    for path in paths:
        if not path:
            raise EditError("the model itself cannot be moved or removed")
        parent, _, name = path.rpartition(".")
        wanted.setdefault(parent, set()).add(name)
    spots: list[Spot] = []
    for parent, names in wanted.items():
        layers = container(model, parent).layers
        found = [Spot(parent, place) for place, _ in _called(names, layers)]
        if len(found) < len(names):
            missing = min(names.difference(layer.name for layer in layers))
            raise EditError(f"there is no layer {joined(parent, missing)}")
        spots += found
    return spots


def spot_of(model: ModelSpec, path: str) -> Spot:
    """Where one layer of a Sequential stands. Raises EditError where there is none that could be moved."""
    return spots_of(model, [path])[0]


def expanded(model: ModelSpec, paths: Iterable[str]) -> list[str]:
    """The paths of layers that paths and globs name, in the order of the model, none twice.

    Raises EditError where one names nothing, and for the model itself.
    """
    wanted = list(paths)
    if "" in wanted:
        raise EditError("the model itself is no layer of it")
    if len(wanted) == 1 and not isinstance(wanted[0], Glob):
        layer_at(model, wanted[0])
        return wanted
    globs = [path for path in wanted if isinstance(path, Glob)]
    plain = {path for path in wanted if not isinstance(path, Glob)}
    there = (path for path, _ in model.walk()) if globs else _below("", model.root, ways_to(plain))
    found = [path for path in there if path in plain or any(glob.matches(path) for glob in globs)]
    are_there = plain.intersection(found)
    for path in wanted:
        if not (any(map(path.matches, found)) if isinstance(path, Glob) else path in are_there):
            raise EditError(f"there is no layer {path}")
    return found


def ways_to(paths: Iterable[str]) -> dict[str, set[str]]:
    """By the path of every container on the way to some layers, the names right in it that lead there."""
    ways: dict[str, set[str]] = {}
    for path in paths:
        while path:
            parent, _, name = path.rpartition(".")
            names = ways.setdefault(parent, set())
            if name in names:
                break
            names.add(name)
            path = parent  # climbing
    return ways


def _below(path: str, layer: LayerSpec, ways: Mapping[str, set[str]]) -> Iterator[str]:
    """The paths of the layers on some ways, depth first in order."""
    for _, child in _called(ways.get(path, ()), layer.layers):
        inside = joined(path, child.name)
        yield inside
        yield from _below(inside, child, ways)


def _called(names: Collection[str], layers: Iterable[LayerSpec]) -> Iterator[tuple[int, LayerSpec]]:
    """The layers of some names in their order, each with its place; nothing is looked at after the last."""
    found = ((place, layer) for place, layer in enumerate(layers) if layer.name in names)
    return islice(found, len(names))


def outermost(paths: Sequence[str]) -> list[str]:
    """Those that stand inside no other; the paths are in the order of the model."""
    kept: list[str] = []
    for path in paths:
        if not kept or not path.startswith(f"{kept[-1]}."):
            kept.append(path)
    return kept


def walk_layer(path: str, layer: LayerSpec) -> Iterator[tuple[str, LayerSpec]]:
    """(path, layer) of the layer itself and of everything inside."""
    yield path, layer
    yield from layer.walk(f"{path}." if path else "")


def find_tensor(model: ModelSpec, name: str) -> TensorPlace | None:
    """Where the tensor of a full name is; None where there is none. Its own name can have dots."""
    layer, path, rest = model.root, "", name
    while not any(tensor.name == rest for tensor in layer.tensors):
        first, dot, rest = rest.partition(".")
        inside = next((child for child in layer.layers if child.name == first), None) if dot else None
        if inside is None:
            return None
        layer, path = inside, joined(path, first)
    return path, rest


def tensor_paths(model: ModelSpec, path: str) -> list[TensorPlace]:
    """The tensors that a path or a glob names, in the order of the model: a tensor, or all in a layer.

    Raises EditError where there is none.
    """
    if isinstance(path, Glob):
        found = list(_matching(model.root, "", _pattern(path).fullmatch, is_inside=False))
    else:
        tensor = find_tensor(model, path)
        found = [tensor] if tensor else []
        try:
            inside = walk_layer(path, model.layer(path))
            found += [(place, own.name) for place, layer in inside for own in layer.tensors]
        except KeyError:
            pass
    if not found:
        raise EditError(f"there is no tensor {path}, nor a layer of that name with tensors")
    return found


def _matching(layer: LayerSpec, path: str, matches: Callable[[str], object], is_inside: bool) -> Iterator[TensorPlace]:
    """The tensors in a layer whose full names match, and all in a layer whose path does."""
    for tensor in layer.tensors:
        if is_inside or matches(joined(path, tensor.name)):
            yield path, tensor.name
    for child in layer.layers:
        inside = joined(path, child.name)
        yield from _matching(child, inside, matches, is_inside or bool(matches(inside)))


# Changing


def with_changes(model: ModelSpec, changes: Mapping[str, Change]) -> ModelSpec:
    """The model with the layers at some paths changed; the change of a layer sees those inside it done."""
    ways = ways_to(changes)

    def changed(path: str, layer: LayerSpec) -> LayerSpec:
        if names := ways.get(path):
            there = _called(names, layer.layers)
            layer = with_inside(layer, {place: changed(joined(path, child.name), child) for place, child in there})
        return changes[path](layer) if path in changes else layer

    return replace(model, root=changed("", model.root))


def with_inside(layer: LayerSpec, others: Mapping[int, LayerSpec]) -> LayerSpec:
    """The layer with others at some places inside, given in order; itself where these are what stands there."""
    if all(layer.layers[place] is other for place, other in others.items()):
        return layer
    if len(others) <= FEW:
        splices = [Splice("", place, place + 1, (other,)) for place, other in others.items()]
        return replace(layer, layers=_joined_up(tuple(layer.layers), splices))
    layers = list(layer.layers)
    for place, other in others.items():
        layers[place] = other
    return replace(layer, layers=tuple(layers))


def with_layer(model: ModelSpec, path: str, layer: LayerSpec) -> ModelSpec:
    """The model with another layer in the place of one, which must be there."""
    return with_changes(model, {path: lambda _: layer})


def spliced(model: ModelSpec, splices: Iterable[Splice]) -> ModelSpec:
    """The model with other layers in some Sequentials, whose paths and places are those before the change.

    One that was numbered is numbered again, unless a layer that comes in has a name. Raises EditError for what is no
    Sequential, and for a name that is twice there or that torch does not take.
    """
    by_parent: dict[str, list[Splice]] = {}
    for splice in sorted(splices, key=lambda splice: splice[:3]):
        by_parent.setdefault(splice.parent, []).append(splice)

    def change(parent: str) -> Change:
        container(model, parent)
        return lambda layer: replace(layer, layers=_spliced(parent, tuple(layer.layers), by_parent[parent]))

    return with_changes(model, {parent: change(parent) for parent in by_parent})


def _spliced(parent: str, layers: Layers, splices: Sequence[Splice]) -> Layers:
    """The layers of one container with its splices made, under their final names."""
    spliced = _joined_up(layers, splices)
    coming = [layer for splice in splices for layer in splice.layers]
    if is_numbered(layers) and all(layer.name == ANY_NAME or _is_number(layer.name) for layer in coming):
        spliced = tuple(numbered(spliced))
        check_names(parent, spliced, spliced)
    else:
        check_names(parent, spliced, coming)
    return spliced


def _joined_up(layers: Layers, splices: Iterable[Splice]) -> Layers:
    """The layers with splices made, which are in order; not even ten thousand are held twice."""
    pieces: list[Iterable[LayerSpec]] = []
    place = 0
    for _, start, stop, arrivals in splices:
        pieces += [islice(layers, place, start), arrivals]
        place = stop
    return tuple(chain(*pieces, islice(layers, place, None)))


def is_numbered(layers: Iterable[LayerSpec]) -> bool:
    """Whether layers are called 0, 1, 2, ..., as a Sequential calls those that were given no names.

    Tensors that a file holds beside them do not count.
    """
    called = (layer for layer in layers if layer.is_called)
    return all(layer.name == str(number) for number, layer in enumerate(called))


def numbered(layers: Iterable[LayerSpec]) -> Iterator[LayerSpec]:
    """The layers called 0, 1, 2, ..."""
    number = 0
    for layer in layers:
        yield renamed(layer, str(number)) if layer.is_called else layer
        number += layer.is_called


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def renamed(layer: LayerSpec, name: str) -> LayerSpec:
    """The layer under a name, itself where it has it; a few times as fast as `replace`, for ten thousand at once."""
    return layer if layer.name == name else LayerSpec(name, *_ALL_BUT_NAME(layer))


def check_names(parent: str, layers: Iterable[LayerSpec], arrivals: Sequence[LayerSpec]) -> None:
    """Raises EditError where one of the layers that came has a name that another has, or that torch does not take."""
    names = {layer.name for layer in arrivals}
    for name in names:
        if name == ANY_NAME:
            where = parent or "the model"
            raise EditError(f"the layers of {where} have names, so a new one needs one too; _ is for numbered ones")
        if not is_free(name):
            raise EditError(_why_not(name))
    for name in [layer.name for layer in layers if layer.name in names] if names else ():
        if name not in names:
            raise EditError(f"there is a layer {joined(parent, name)} already")
        names.remove(name)


def _why_not(name: str) -> str:
    """Why torch does not take a name."""
    if not name:
        return "a layer needs a name, and this one is empty"
    reason = "a dot parts the names of a path" if "." in name else "torch's Sequential has something of that name"
    return f"a layer cannot be called {name!r}: {reason}"


def is_free(name: str) -> bool:
    """Whether torch takes a name for a layer of a Sequential."""
    is_dunder = name.startswith("__") and name.endswith("__")
    return bool(name) and "." not in name and not is_dunder and name not in names_taken()
