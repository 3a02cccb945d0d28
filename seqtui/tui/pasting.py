"""Several layers put elsewhere in one step: edits of one layer each, under the names that hold when its turn comes.

In a numbered Sequential every one of them gives the others new names, so they are tried on the side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from seqtui.errors import EditError
from seqtui.model.edit import Edit
from seqtui.model.language import Place
from seqtui.model.layer_names import free_copy_name
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Copy, Move, Rename
from seqtui.model.tree import is_numbered, joined, layer_at, spots_of, with_changes

EDGES = ("first", "last")
"""Places that are said of a container, not of a neighbour."""


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
    """The edits that copy layers, none inside another, to a place, in their order and under free names."""
    if target.where in EDGES:
        if not layer_at(model, target.path).layers:
            return _copies_into(model, paths, target)
        target = _beside(model, target)
    parent = target.path.rpartition(".")[0]
    there = layer_at(model, parent).layers
    names: list[str] = []
    for path in paths:
        names.append(free_copy_name(there, path.rpartition(".")[2], names))
    trial = _Trial(model, [*paths, target.path])
    for path, name in reversed([*zip(paths, names, strict=True)]):
        trial.edits.append(Copy(trial.path(path), name, target.path))
    if target.where == "before":
        ((_, place),) = spots_of(model, [target.path])
        last = layer_at(trial.model, parent).layers[place + len(paths)]
        trial.edits.append(Move(target.path, Place("after", joined(parent, last.name))))
    return trial.edits


def _beside(model: ModelSpec, edge: Place) -> Place:
    """The same place at the edge of a container, said of the layer that stands there."""
    layers = layer_at(model, edge.path).layers
    first, last = joined(edge.path, layers[0].name), joined(edge.path, layers[-1].name)
    return Place("before", first) if edge.where == "first" else Place("after", last)


def _copies_into(model: ModelSpec, paths: Sequence[str], container: Place) -> list[Edit]:
    """The edits that copy layers into an empty container: beside themselves, since a copy has to stand somewhere."""
    trial = _Trial(model, [*paths, container.path])
    for path in paths:
        here = trial.path(path)
        ((parent, place),) = spots_of(trial.model, [here])
        name = free_copy_name(layer_at(trial.model, parent).layers, here.rpartition(".")[2])
        trial.edits.append(Copy(here, name))
        copy = joined(parent, layer_at(trial.model, parent).layers[place + 1].name)
        trial.edits.append(Move(copy, Place("last", trial.path(container.path))))
    return trial.edits


def moves(model: ModelSpec, paths: Sequence[str], target: Place) -> list[Edit]:
    """The edits that move layers, none inside another, to a place, in their order.

    One whose name is taken there gets a free one. Raises EditError where there is nothing to move.
    """
    moving = [path for path in paths if path != target.path]
    if not moving:
        raise EditError("that is where it stands already")
    trial = _Trial(model, [*moving, target.path])
    for first in moving if target.where in ("before", "last") else reversed(moving):
        path, goal = trial.path(first), trial.path(target.path)
        name = _fitting_name(trial.model, path, goal if target.where in EDGES else goal.rpartition(".")[0])
        if name != path.rpartition(".")[2]:
            trial.edits.append(Rename(path, name))
            path = joined(path.rpartition(".")[0], name)
        trial.edits.append(Move(path, Place(target.where, goal)))
    return trial.edits


def _fitting_name(model: ModelSpec, path: str, goal: str) -> str:
    """A name under which a layer can go to another Sequential: its own where that is free there."""
    parent, _, name = path.rpartition(".")
    here, there = layer_at(model, parent).layers, layer_at(model, goal).layers
    if parent == goal or is_numbered(here):  # of a numbered one the name follows from the place
        return name
    taken = {layer.name for layer in here}
    if there and is_numbered(there):
        return name if name.isdecimal() else next(text for text in map(str, count()) if text not in taken)
    return free_copy_name(there, name, taken - {name})


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
