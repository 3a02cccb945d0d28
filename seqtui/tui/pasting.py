"""Several layers put elsewhere in one step: edits of one layer each, under the names that hold when its turn comes.

In a numbered Sequential every one of them gives the others new names, so they are tried on the side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

from seqtui.errors import EditError
from seqtui.model.edit import Edit
from seqtui.model.language import Place
from seqtui.model.layer_names import free_copy_name
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Copy, Move, Rename, spot_at
from seqtui.model.tree import is_numbered, joined, layer_at, spots_of, with_changes


class _Trial:
    """Edits done one after another on the side, and what some layers are called by then."""

    def __init__(self, model: ModelSpec, paths: Sequence[str]) -> None:
        layers = [path for path in paths if path]
        self._model = with_changes(model, dict.fromkeys(layers, _with_own_arguments))
        self._args = {path: self._model.layer(path).args for path in layers}
        self._num_tried = 0
        self.edits: list[Edit] = []

    @property
    def model(self) -> ModelSpec:
        """The model after all edits so far. Raises EditError for one that cannot apply."""
        for edit in self.edits[self._num_tried :]:
            self._model = edit.apply(self._model)
        self._num_tried = len(self.edits)
        return self._model

    def path(self, first: str) -> str:
        """Where the layer is now that had a path at first: its arguments are the same object still."""
        if not self.edits or not first:
            return first
        return next(path for path, layer in self.model.walk() if layer.args is self._args[first])


def _with_own_arguments(layer: LayerSpec) -> LayerSpec:
    return replace(layer, args=dict(layer.args))


def copies(model: ModelSpec, paths: Sequence[str], target: Place) -> list[Edit]:
    """The edits that copy layers, none inside another, to a place, in their order and under free names.

    Raises EditError where one of several would be copied into itself, with what was copied there before it.
    """
    start = _after_what_stays(model, target)
    goal = _container(start)
    first = next((joined(goal, layer.name) for layer in layer_at(model, goal).layers if layer.is_called), "")
    inside = _around(paths, start)
    if inside not in ("", paths[-1] if first else paths[0]):
        raise EditError(f"{inside} cannot be copied into itself behind others")
    trial = _Trial(model, [*paths, goal])
    if not first:
        _copy_behind(trial, paths[1:], _copied_into(trial, paths[0], goal))
    elif start.where == "after":
        _copy_behind(trial, paths, start.path)
    else:
        _copy_behind(trial, paths, first)
        ((_, place),) = spots_of(model, [first])
        last = layer_at(trial.model, goal).layers[place + len(paths)]
        trial.edits.append(Move(first, Place("after", joined(goal, last.name))))
    return trial.edits


def _copy_behind(trial: _Trial, paths: Sequence[str], neighbour: str) -> None:
    """Copy layers to behind another, the last one first."""
    there = layer_at(trial.model, neighbour.rpartition(".")[0]).layers
    names: list[str] = []
    for path in paths:
        names.append(free_copy_name(there, path.rpartition(".")[2], names))
    for path, name in reversed([*zip(paths, names, strict=True)]):
        trial.edits.append(Copy(trial.path(path), name, neighbour))


def _copied_into(trial: _Trial, path: str, container: str) -> str:
    """Copy a layer into an empty container: beside itself, since a copy goes after a layer, and then there.

    Returns the path of the copy.
    """
    here, _, own = path.rpartition(".")
    layers = layer_at(trial.model, here).layers
    ((_, place),) = spots_of(trial.model, [path])
    trial.edits.append(Copy(path, free_copy_name(layers, own)))
    copy = layer_at(trial.model, here).layers[place + 1].name
    trial.edits.append(Move(joined(here, copy), Place("first", trial.path(container))))
    name, *others = (layer.name for layer in layer_at(trial.model, container).layers)
    wanted = name if name.isdecimal() else free_copy_name((), own, others)
    if wanted != name:
        trial.edits.append(Rename(joined(container, name), wanted))
    return joined(container, wanted)


def _after_what_stays(model: ModelSpec, target: Place, moving: Sequence[str] = ()) -> Place:
    """The same place, said of the nearest layer above it that does not move: after that, or first where there is none.

    So layers can be put there one by one, the last one first, and none that comes changes the number of the next.
    """
    parent, place = spot_at(model, target)
    leaving = frozenset(moving)
    for layer in reversed(layer_at(model, parent).layers[:place]):
        if (path := joined(parent, layer.name)) not in leaving:
            return Place("after", path)
    return Place("first", parent)


def moves(model: ModelSpec, paths: Sequence[str], target: Place) -> list[Edit]:
    """The edits that move layers, none inside another, to a place, in their order.

    One whose name is taken there gets a free one. Raises EditError where there is nothing to move.
    """
    moving = [path for path in paths if path != target.path]
    if not moving:
        raise EditError("that is where it stands already")
    start = _after_what_stays(model, target, moving)
    if inside := _around(moving, start):
        raise EditError(f"{inside} cannot be moved into itself")
    container = _container(start)
    trial = _Trial(model, [*moving, start.path, container])
    for first, wanted in reversed([*zip(moving, _wanted_names(model, moving, container), strict=True)]):
        path, goal = trial.path(first), trial.path(start.path)
        place = Place(start.where, goal)
        name = _fitting_name(trial.model, path, wanted, _container(place))
        if name != path.rpartition(".")[2]:
            trial.edits.append(Rename(path, name))
            path = joined(path.rpartition(".")[0], name)
        trial.edits.append(Move(path, place))
        if name != wanted and not is_numbered(layer_at(trial.model, trial.path(container)).layers):
            trial.edits.append(Rename(trial.path(first), wanted))  # it came with a number that another needs
    return trial.edits


def _container(place: Place) -> str:
    """The path of what holds a place after a layer or at the front."""
    return place.path if place.where == "first" else place.path.rpartition(".")[0]


def _around(paths: Sequence[str], place: Place) -> str:
    """The path of the layer that holds a place; empty where none of them does."""
    return next((path for path in paths if f"{_container(place)}.".startswith(f"{path}.")), "")


def _wanted_names(model: ModelSpec, paths: Sequence[str], goal: str) -> list[str]:
    """Names for layers that come to a Sequential together: their own for as many as can have it."""
    there = layer_at(model, goal).layers
    own = [path.rpartition(".")[2] for path in paths]
    taken = {layer.name for layer in there}
    names: list[str] = []
    for path, name in zip(paths, own, strict=True):
        is_free = name not in taken or path == joined(goal, name)
        names.append(name if is_free else free_copy_name((), name, {*taken, *own}))
        taken.add(names[-1])
    return names


def _fitting_name(model: ModelSpec, path: str, wanted: str, goal: str) -> str:
    """A name under which a layer can go to another Sequential: the wanted one where it can be."""
    parent, _, name = path.rpartition(".")
    here, there = layer_at(model, parent).layers, layer_at(model, goal).layers
    if parent == goal or is_numbered(here):  # of a numbered one the name follows from the place
        return name
    taken = {layer.name for layer in here} - {name}
    if not there or not is_numbered(there):
        return free_copy_name(there, wanted, taken)
    return next(text for text in chain([wanted], map(str, count())) if text.isdecimal() and text not in taken)


class _Run(NamedTuple):
    """Neighbours in a Sequential, from `start` to before `stop`."""

    parent: str
    start: int
    stop: int


def steps(model: ModelSpec, paths: Sequence[str], is_up: bool) -> list[Edit]:
    """The edits that move layers, none inside another, one place up or down, neighbours as one.

    Each moves the layer that stands in the way. Raises EditError where there is none.
    """
    runs = sorted(_runs(model, paths), key=lambda run: run.start, reverse=not is_up)
    runs.sort(key=lambda run: run.parent.count(".") + bool(run.parent), reverse=True)  # what is inside keeps its path
    return [_step(model, run, is_up) for run in runs]


def _step(model: ModelSpec, run: _Run, is_up: bool) -> Edit:
    layers = layer_at(model, run.parent).layers
    other, edge = (run.start - 1, run.stop - 1) if is_up else (run.stop, run.start)
    if not 0 <= other < len(layers) or not layers[other].is_called:
        own = layers[run.start if is_up else run.stop - 1].name
        raise EditError(f"{joined(run.parent, own)} is the {'first' if is_up else 'last'} already")
    way = Place("after" if is_up else "before", joined(run.parent, layers[edge].name))
    return Move(joined(run.parent, layers[other].name), way)


def _runs(model: ModelSpec, paths: Sequence[str]) -> Iterator[_Run]:
    """Layers as the neighbours that they are. Raises EditError for those that cannot be moved."""
    run: _Run | None = None
    for parent, place in sorted(spots_of(model, paths)):
        if run is not None and (run.parent, run.stop) == (parent, place):
            run = run._replace(stop=place + 1)
            continue
        if run is not None:
            yield run
        run = _Run(parent, place, place + 1)
    if run is not None:
        yield run
