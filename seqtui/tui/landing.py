"""Where the cursor goes when an edit has changed what stands where, and under which names.

A layer keeps its arguments, the same object, whatever place and name it gets; a copy has its own.
"""

from __future__ import annotations

from seqtui.errors import EditError
from seqtui.model.edit import Edit
from seqtui.model.language import Place
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Copy, Group, Insert, Rename
from seqtui.model.tree import ANY_NAME, joined, layer_at


def made_by(edit: Edit, model: ModelSpec) -> str:
    """The path of what an edit made or named; empty for one that does neither."""
    if isinstance(edit, Rename):
        return joined(edit.path.rpartition(".")[0], edit.name)
    if isinstance(edit, Insert):
        return _new_path(model, edit.place, edit.name)
    if isinstance(edit, Copy):
        return _new_path(model, Place("after", edit.after or edit.path), edit.name)
    if isinstance(edit, Group) and edit.name != ANY_NAME:
        return joined(edit.paths[0].rpartition(".")[0], edit.name)
    return ""


def _new_path(model: ModelSpec, place: Place, name: str) -> str:
    is_beside = place.where in ("before", "after")
    parent, _, neighbour = place.path.rpartition(".") if is_beside else (place.path, "", "")
    if name != ANY_NAME:
        return joined(parent, name)
    if is_beside:
        return joined(parent, str(int(neighbour) + (place.where == "after")))
    count = len(layer_at(model, parent).layers)
    return joined(parent, "0" if place.where == "first" else str(count - 1))


def layer_or_none(model: ModelSpec, path: str) -> LayerSpec | None:
    """The layer at a path, where there is one."""
    try:
        return model.layer(path)
    except KeyError:
        return None


def same_layer(model: ModelSpec, path: str, old: LayerSpec | None) -> str:
    """Where a layer went, whatever it is called now. Empty where it is gone."""
    if old is None or not path:
        return path
    return _found(model, path, old) or (path if layer_or_none(model, path) is not None else "")


def where_is(model: ModelSpec, path: str, old: LayerSpec) -> str:
    """Where that very layer is, or in its place one that is made alike. Raises EditError where there is neither."""
    if found := _found(model, path, old):
        return found
    here = layer_or_none(model, path)
    if here is None or (here.kind, here.args) != (old.kind, old.args):
        raise EditError(f"{path} is gone, or another than it was", "u brings it back; y yanks what there is.")
    return path


def _found(model: ModelSpec, path: str, old: LayerSpec) -> str:
    """The path of a layer that was at one, whatever it is called now; empty where it is gone."""
    here = layer_or_none(model, path)
    if here is not None and here.args is old.args:
        return path
    same = (found for found, layer in model.walk() if layer.args is old.args and layer.kind == old.kind)
    return next(same, "")


def first_new(before: ModelSpec, after: ModelSpec) -> str:
    """The path of the first layer that was not there before, under any name; empty where there is none."""
    old = {id(layer.args) for _, layer in before.walk()}
    return next((path for path, layer in after.walk() if id(layer.args) not in old), "")
