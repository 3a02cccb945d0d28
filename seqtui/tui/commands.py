"""What the editing keys do: the id of an action -> a function of what is selected, to an edit.

Nothing here changes anything: the screen does the edit, or shows the sentence of the EditError that is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from seqtui.errors import EditError
from seqtui.model.content_edits import Disable, Enable, Replace, Set
from seqtui.model.edit import Edit
from seqtui.model.edits import Batch
from seqtui.model.infer import infer_shapes
from seqtui.model.language import Place
from seqtui.model.layer_names import free_copy_name
from seqtui.model.problems import Fix
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Copy, Group, Insert, Move, Remove, Ungroup
from seqtui.model.tensor_edits import Cast, Drop, Fill, Freeze, Unfreeze
from seqtui.model.tree import is_chain, layer_at, outermost
from seqtui.outlook import mended, outlook
from seqtui.rows import Row
from seqtui.tui.landing import first_new, same_layer, where_is
from seqtui.tui.pasting import copies, moves, steps


class Yanked(NamedTuple):
    """Layers that will be pasted: copied, or moved where they were cut."""

    paths: tuple[str, ...] = ()
    is_cut: bool = False
    model: ModelSpec | None = None
    """The one that the paths are of; None for the one that is pasted into."""

    def paths_in(self, model: ModelSpec) -> tuple[str, ...]:
        """Where the layers are after other edits. Raises EditError for one that is gone."""
        if self.model is None or self.model is model:
            return self.paths
        return tuple(where_is(model, path, layer_at(self.model, path)) for path in self.paths)


NOTHING = Yanked()


@dataclass(frozen=True, slots=True)
class Selection:
    """What a key acts on."""

    model: ModelSpec
    row: Row
    """The one under the cursor."""
    marks: tuple[str, ...] = ()
    """Paths of the layers that are marked, in the order of the model; without any, the cursor's counts."""
    yanked: Yanked = NOTHING
    is_open: bool = False
    """Whether what is under the cursor shows what stands in it."""

    @property
    def here(self) -> str:
        """The path of the layer under the cursor, or of the one that holds the tensor there; "" for the model."""
        return self.row.path.rpartition(".")[0] if self.row.tensor else self.row.path

    @property
    def path(self) -> str:
        """The same, of a layer. Raises EditError for the model itself."""
        if not self.here:
            raise EditError("this is the model itself; move to one of its layers")
        return self.here

    @property
    def paths(self) -> tuple[str, ...]:
        """The marked layers, else the one under the cursor. Raises EditError."""
        return self.marks or (self.path,)

    def place(self, where: Literal["before", "after"]) -> Place:
        """Where a layer goes that is put before or after the row under the cursor.

        After a container that is open or empty means inside, as in outlines and lists of graphic layers, and at its
        end, where a Sequential grows; so it does after the model itself. After one that is closed means beside it.
        """
        if where == "before":
            return Place("before", self.here) if self.here else Place("first")
        layer, is_layer = self.row.layer, self.row.tensor is None
        is_inside = is_layer and layer.kind == "Sequential" and (self.is_open or not layer.layers)
        return Place("last", self.here) if is_inside or not self.here else Place("after", self.here)

    @property
    def layers(self) -> list[LayerSpec]:
        """Those at the paths. Raises EditError."""
        if not self.marks:
            return [layer_at(self.model, self.path)]
        there = dict(self.model.walk())  # to look for each of ten thousand would take a second
        return [there[path] for path in self.marks]


def _batch(edits: list[Edit]) -> Edit:
    return edits[0] if len(edits) == 1 else Batch(tuple(edits))


def _remove(chosen: Selection) -> Edit:
    """Layers of a Sequential are taken out; of what stands in no Sequential, single tensors are dropped."""
    if chosen.row.tensor and not chosen.marks and not _is_sure(chosen.model, chosen.row.path.rpartition(".")[0]):
        return Drop((chosen.row.path,))
    for path in chosen.paths:
        if not _is_sure(chosen.model, path):
            reason = f"{path} cannot be removed: how the layers are connected is not known"
            raise EditError(reason, f"d on a tensor drops that, :{Drop((path,))} all in it.")
    return Remove(chosen.paths)


def _is_sure(model: ModelSpec, path: str) -> bool:
    """Whether a layer stands in a Sequential as one of its layers, so that it can be taken out."""
    return bool(path) and layer_at(model, path).is_called and is_chain(layer_at(model, path.rpartition(".")[0]))


def _copy(chosen: Selection) -> Edit:
    """A copy below; of several layers, all below the last."""
    *_, last = paths = outermost(chosen.paths)
    if len(paths) > 1:
        return _batch(copies(chosen.model, paths, Place("after", last)))
    parent, _, name = last.rpartition(".")
    return Copy(last, free_copy_name(layer_at(chosen.model, parent).layers, name))


def _move(where: Literal["up", "down"]) -> Callable[[Selection], Edit]:
    def move(chosen: Selection) -> Edit:
        if not chosen.marks:
            return Move(chosen.path, Place(where))
        return _batch(steps(chosen.model, outermost(chosen.marks), is_up=where == "up"))

    return move


def _toggle(chosen: Selection) -> Edit:
    is_on = any(layer.enabled for layer in chosen.layers)
    return Disable(chosen.paths) if is_on else Enable(chosen.paths)


def _toggle_dropout(chosen: Selection) -> Edit:
    found = [(path, layer) for path, layer in chosen.model.walk() if "Dropout" in (layer.kind or "")]
    paths = tuple(path for path, layer in found if layer.origin == "declared")
    if not paths:
        raise EditError("the model has no dropout layer")
    is_on = any(layer.enabled for _, layer in found)
    return Disable(paths) if is_on else Enable(paths)


def _freeze(chosen: Selection) -> Edit:
    if chosen.row.tensor and not chosen.marks:
        is_frozen, paths = chosen.row.tensor.name in chosen.row.layer.frozen, [chosen.row.path]
    else:
        is_frozen, paths = all(map(_is_frozen, chosen.layers)), list(chosen.paths)
    return Unfreeze(tuple(paths)) if is_frozen else Freeze(tuple(paths))


def _is_frozen(layer: LayerSpec) -> bool:
    """Whether anything in a layer is frozen, and so unfreezing means something."""
    return bool(layer.frozen) or any(map(_is_frozen, layer.layers))


def _group(chosen: Selection) -> Edit:
    parent = chosen.paths[0].rpartition(".")[0]
    return Group(chosen.paths, free_copy_name(layer_at(chosen.model, parent).layers, "block1"))


def _ungroup(chosen: Selection) -> Edit:
    layer = layer_at(chosen.model, chosen.path)
    return Ungroup(chosen.path if layer.kind == "Sequential" else _parent_of(chosen.path))


def _parent_of(path: str) -> str:
    parent = path.rpartition(".")[0]
    if not parent:
        raise EditError(f"{path} stands in no Sequential that it could be lifted out of")
    return parent


def _paste(where: Literal["before", "after"]) -> Callable[[Selection], Edit]:
    def paste(chosen: Selection) -> Edit:
        if not chosen.yanked.paths:
            raise EditError("there is nothing to paste: y yanks layers, x cuts them")
        put = moves if chosen.yanked.is_cut else copies
        paths = outermost(chosen.yanked.paths_in(chosen.model))
        place = Place(where, chosen.here) if chosen.here in paths else chosen.place(where)  # never inside itself
        return _batch(put(chosen.model, paths, place))

    return paste


def _fix(chosen: Selection) -> Edit:
    return Fix(chosen.path if chosen.row.path else "")


COMMANDS: dict[str, Callable[[Selection], Edit]] = {
    "fix": _fix,
    "remove": _remove,
    "copy": _copy,
    "move.up": _move("up"),
    "move.down": _move("down"),
    "group": _group,
    "ungroup": _ungroup,
    "toggle": _toggle,
    "toggle.dropout": _toggle_dropout,
    "freeze": _freeze,
    "paste": _paste("after"),
    "paste.before": _paste("before"),
}
"""The actions that need nothing but what is selected."""

PUTTING = ("copy", "paste", "paste.before")
"""Those that put layers somewhere, where the cursor goes then."""


def put_by(name: str, chosen: Selection, model: ModelSpec) -> str:
    """The path of the first layer that an action put somewhere, in the model after it; empty for all other actions."""
    if name not in PUTTING:
        return ""
    if name != "copy" and chosen.yanked.is_cut:
        path = next(path for path in chosen.yanked.paths_in(chosen.model) if path != chosen.here)
        return same_layer(model, path, layer_at(chosen.model, path))
    return first_new(chosen.model, model)


CHANGES = (Insert, Replace, Set)
"""What a form asks for, and what fixes are made of."""


def again(edit: Edit, chosen: Selection) -> Edit:
    """The same edit at the layer under the cursor. Raises EditError for one that is about no layer, with the reason."""
    if isinstance(edit, Batch):
        return _mended_again(edit, chosen)
    if isinstance(edit, Remove | Enable | Disable | Freeze | Unfreeze):
        return replace(edit, paths=chosen.paths)
    if isinstance(edit, Set | Replace | Fill | Cast | Move | Fix):
        return replace(edit, path=chosen.path)
    if isinstance(edit, Insert):
        layers = layer_at(chosen.model, chosen.path.rpartition(".")[0]).layers
        return replace(edit, name=free_copy_name(layers, edit.name), place=Place("after", chosen.path))
    verb = str(edit).split()[0]
    raise EditError(f"{verb} was the last edit, and it is not about one layer, so it cannot be repeated at another")


def _mended_again(batch: Batch, chosen: Selection) -> Edit:
    """The change of a layer that fixes came with, at the layer under the cursor, with the fixes that it needs there."""
    first, *rest = batch.edits
    if not isinstance(first, CHANGES) or not all(isinstance(edit, CHANGES) for edit in rest):
        raise EditError(f"the last step was {len(batch.edits)} edits at once, which cannot be repeated at one layer")
    known = infer_shapes(chosen.model)
    found = outlook(chosen.model, known, again(first, chosen))
    return (mended(chosen.model, known, found) or found).edit
