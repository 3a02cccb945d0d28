"""Edits of where layers stand and what they are called. Weights follow their layers as references; no data moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

from seqtui.errors import EditError
from seqtui.model.edit import Line
from seqtui.model.kinds.catalogue import catalogue, did_you_mean
from seqtui.model.language import After, Arguments, Name, Names, OneOf, Place, PlaceSlot, Slot
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.ties import keeping_ties, untied
from seqtui.model.tree import (
    ANY_NAME,
    Change,
    Splice,
    Spot,
    check_names,
    container,
    expanded,
    find_tensor,
    is_numbered,
    joined,
    layer_at,
    numbered,
    outermost,
    renamed,
    spliced,
    spot_of,
    spots_of,
    with_changes,
    with_inside,
)
from seqtui.model.weights_kept import (
    as_tensors_tell,
    expected_tensors,
    floating_dtype,
    new_tensors,
    own_shapes,
    seed_of,
)
from seqtui.words import a

LAST = Place("last")


def _restructured(model: ModelSpec, splices: Callable[[ModelSpec], Sequence[Splice]]) -> ModelSpec:
    """The model with splices made, which take what they put elsewhere from the model they are given."""
    moving = (path for splice in splices(model) for path in _moving(splice, layer_at(model, splice.parent).layers))
    return keeping_ties(model, moving, lambda marked: spliced(marked, splices(marked)))


def _moving(splice: Splice, layers: Sequence[LayerSpec]) -> Iterator[str]:
    """The paths of what a splice moves in a container: the container's own where all in it get other numbers."""
    parent, start, stop, _ = splice
    if is_numbered(layers):
        yield parent
    yield from (joined(parent, layer.name) for layer in layers[start:stop])


def spot_at(model: ModelSpec, place: Place) -> Spot:
    """The spot that a place in an edit means. Raises EditError where there is none."""
    if place.where in ("before", "after"):
        spot = spot_of(model, place.path)
        return spot._replace(place=spot.place + (place.where == "after"))
    return Spot(place.path, 0 if place.where == "first" else _end(container(model, place.path)))


def _end(above: LayerSpec) -> int:
    """The place after the last layer that is called."""
    places = range(len(above.layers), 0, -1)
    return next((place for place in places if above.layers[place - 1].is_called), 0)


@dataclass(frozen=True, slots=True)
class Insert(Line):
    """A new layer, its weights still to be made."""

    name: str
    kind: str
    args: Mapping[str, Value] = field(default_factory=dict)
    place: Place = LAST

    verb: ClassVar[str] = "insert"
    slots: ClassVar[tuple[Slot, ...]] = (Name("name", "NAME"), OneOf("kind", "KIND"), Arguments(), PlaceSlot())

    def apply(self, model: ModelSpec) -> ModelSpec:
        spot = spot_at(model, self.place)
        layer = self.layer(model, spot.parent)
        return _restructured(model, lambda _: [Splice(spot.parent, spot.place, spot.place, (layer,))])

    def layer(self, model: ModelSpec, parent: str) -> LayerSpec:
        """The layer itself. Raises EditError for what is no kind, or arguments that torch refuses."""
        if self.kind == "Sequential":
            if self.args:
                raise EditError("a Sequential takes no arguments; its layers are inserted one by one")
            return LayerSpec(self.name, self.kind)
        require_kind(self.kind)
        called = a(self.kind) if self.name == ANY_NAME else joined(parent, self.name)
        shapes = expected_tensors(called, self.kind, self.args)
        if not shapes:
            return LayerSpec(self.name, self.kind, dict(self.args))
        # A layer without a name has the count instead: two that are alike start from other numbers.
        name = str(len(layer_at(model, parent).layers)) if self.name == ANY_NAME else self.name
        tensors = new_tensors(shapes, floating_dtype(model), seed_of(joined(parent, name), str(self)))
        return LayerSpec(self.name, self.kind, dict(self.args), tensors)


def require_kind(kind: str) -> None:
    """Raises EditError for what is no layer of torch.nn that one tensor flows through."""
    if kind == "Sequential":
        raise EditError("no layer can be replaced by a Sequential", "group puts layers into one.")
    entry = catalogue().get(kind)
    if entry is None:
        reason = f"{kind[:60]} is no layer of torch.nn that can stand in a Sequential"
        raise EditError(reason, did_you_mean(kind[:60], catalogue()))
    if entry.inputs:
        raise EditError(
            f"{a(kind)} takes {len(entry.inputs)} tensors ({', '.join(entry.inputs)}), a Sequential has one"
        )


@dataclass(frozen=True, slots=True)
class Remove(Line):
    """Layers taken out; what was tied to their tensors keeps the numbers."""

    paths: tuple[str, ...]

    verb: ClassVar[str] = "remove"
    slots: ClassVar[tuple[Slot, ...]] = (Names("paths"),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        spots = spots_of(model, outermost(expanded(model, self.paths)))
        return _restructured(model, lambda _: [Splice(parent, place, place + 1) for parent, place in spots])


@dataclass(frozen=True, slots=True)
class Move(Line):
    """A layer at another place, in another container too."""

    path: str
    place: Place

    verb: ClassVar[str] = "move"
    slots: ClassVar[tuple[Slot, ...]] = (
        Name("path"),
        PlaceSlot(has_steps=True),
    )

    def apply(self, model: ModelSpec) -> ModelSpec:
        spot = spot_of(model, self.path)
        target = self._step(model, spot) if self.place.where in ("up", "down") else spot_at(model, self.place)
        if f"{target.parent}.".startswith(f"{self.path}."):
            raise EditError(f"{self.path} cannot be moved into itself")

        def splices(marked: ModelSpec) -> list[Splice]:
            layer = layer_at(marked, spot.parent).layers[spot.place]
            return [
                Splice(spot.parent, spot.place, spot.place + 1),
                Splice(target.parent, target.place, target.place, (layer,)),
            ]

        return _restructured(model, splices)

    def _step(self, model: ModelSpec, spot: Spot) -> Spot:
        """The spot one layer further up or down. Raises EditError at the end."""
        place = spot.place + (-1 if self.place.where == "up" else 2)
        if not 0 <= place <= _end(layer_at(model, spot.parent)):
            raise EditError(f"{self.path} is the {'first' if place < 0 else 'last'} already")
        return spot._replace(place=place)


@dataclass(frozen=True, slots=True)
class Rename(Line):
    """Another name; the tensors of a layer follow."""

    path: str
    name: str

    verb: ClassVar[str] = "rename"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path"), Name("name", "NAME"))

    def apply(self, model: ModelSpec) -> ModelSpec:
        parent, _, name = self.path.rpartition(".")
        try:
            there = enumerate(model.layer(parent).layers)
            place = next((place for place, layer in there if layer.name == name), None)
        except KeyError:
            place = None
        if place is not None:
            return self._applied(model, self.path, parent, partial(self._with_layer, parent, place))
        tensor = find_tensor(model, self.path)
        if tensor is None:
            raise EditError(f"there is no layer {self.path}, nor a tensor")
        path, own = tensor
        return self._applied(model, path, path, partial(self._with_tensor, path, own))

    def _applied(self, model: ModelSpec, moving: str, path: str, change: Change) -> ModelSpec:
        return keeping_ties(model, [moving], lambda marked: with_changes(marked, {path: change}))

    def _with_layer(self, parent: str, place: int, above: LayerSpec) -> LayerSpec:
        layer = renamed(above.layers[place], self.name)
        changed = with_inside(above, {place: layer})
        if changed is not above:
            check_names(parent, changed.layers, [layer])
        return changed

    def _with_tensor(self, path: str, name: str, layer: LayerSpec) -> LayerSpec:
        if layer.origin == "declared" and name in own_shapes(layer):
            raise EditError(f"the tensors of {path}, which is {a(layer.kind)}, are called as torch calls them")
        if name != self.name and (not self.name or "." in self.name):
            raise EditError(f"a tensor cannot be called {self.name!r}: it is empty or has a dot")
        if any(tensor.name == self.name != name for tensor in layer.tensors):
            raise EditError(f"there is a tensor {joined(path, self.name)} already")

        def new(own: str) -> str:
            return self.name if own == name else own

        changed = replace(
            layer,
            tensors=tuple(tensor._replace(name=new(tensor.name)) for tensor in layer.tensors),
            tied={new(own): owner for own, owner in layer.tied.items()},
            frozen=frozenset(map(new, layer.frozen)),
        )
        return as_tensors_tell(changed)


@dataclass(frozen=True, slots=True)
class Copy(Line):
    """A second layer with the same arguments and numbers, tied to nothing; behind the first unless said otherwise."""

    path: str
    name: str
    after: str = ""

    verb: ClassVar[str] = "copy"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path"), Name("name", "NAME"), After())

    def apply(self, model: ModelSpec) -> ModelSpec:
        layer = renamed(untied(layer_at(model, self.path)), self.name)
        parent, place = spot_at(model, Place("after", self.after or self.path))
        return _restructured(model, lambda _: [Splice(parent, place, place, (layer,))])


@dataclass(frozen=True, slots=True)
class Group(Line):
    """Neighbouring layers wrapped in a Sequential of their own."""

    paths: tuple[str, ...]
    name: str

    verb: ClassVar[str] = "group"
    slots: ClassVar[tuple[Slot, ...]] = (Names("paths", leaves=1), Name("name", "NAME"))

    def apply(self, model: ModelSpec) -> ModelSpec:
        spots = sorted(spots_of(model, expanded(model, self.paths)))
        parent, start = spots[0]
        stop = start + len(spots)
        if spots != [Spot(parent, place) for place in range(start, stop)]:
            raise EditError("only layers that stand next to one another can be grouped")

        def splices(marked: ModelSpec) -> list[Splice]:
            there = layer_at(marked, parent).layers
            inside = numbered(there[start:stop]) if is_numbered(there) else there[start:stop]
            return [Splice(parent, start, stop, (LayerSpec(self.name, "Sequential", layers=tuple(inside)),))]

        return _restructured(model, splices)


@dataclass(frozen=True, slots=True)
class Ungroup(Line):
    """The layers of a Sequential lifted out of it, which is then gone."""

    path: str

    verb: ClassVar[str] = "ungroup"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path"),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        parent, place = spot_of(model, self.path)
        group = container(model, self.path)
        if not group.enabled:
            raise EditError(f"{self.path} is off, and its layers would come on; enable it first")
        if group.tensors:
            own = joined(self.path, group.tensors[0].name)
            raise EditError(f"{self.path} holds {own}, which is no layer's", hint=f"drop {own} comes first")
        return _restructured(
            model, lambda marked: [Splice(parent, place, place + 1, tuple(layer_at(marked, self.path).layers))]
        )
