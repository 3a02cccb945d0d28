"""What could be added at a place, or take a layer's: every kind, with fitting arguments, and what it would do there.

One call tries them all, and is quick enough to be made when the list is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from seqtui.model.content_edits import Replace
from seqtui.model.infer import Inference, LayerInfo, infer_layer, infer_shapes
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import Entry, catalogue
from seqtui.model.kinds.kind import Kind, Signal
from seqtui.model.language import Place
from seqtui.model.layer_names import free_names
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.structure_edits import Insert, spot_at
from seqtui.model.tensors import Shape
from seqtui.model.tree import Spot, joined, layer_at, spot_of
from seqtui.model.weights_kept import floating_dtype, new_tensors, own_shapes

STAND_IN = 1
"""For an argument that is still to be asked for, to see whether the kind can stand at a place at all."""

NOTHING: Mapping[str, Value] = {}


class Addition(NamedTuple):
    """A layer that could be added."""

    kind: str
    group: str
    """The module of torch.nn that defines it: `conv`, `pooling`."""
    description: str
    name: str
    """A free one; `_` where layers are numbered."""
    args: Mapping[str, Value]
    """Those that follow from the place, and what such a layer usually begins with."""
    asked: tuple[str, ...]
    """Arguments that it needs and that only a person can say."""
    output_shape: Shape | tuple[Shape, ...] | None
    """None where it does not fit, where something is asked for, and where it is not known what arrives."""
    num_params: int | None
    """None where arguments are asked for or do not go together."""
    problem: str
    """Why it does not fit, as on a layer's own row: "needs 3 or 4 dimensions, 2 arrive"; empty where it fits."""

    def insert(self, place: Place) -> Insert:
        """The edit that adds it."""
        return Insert(self.name, self.kind, self.args, place)


def addable(model: ModelSpec, inference: Inference, place: Place) -> list[Addition]:
    """What each kind that takes one tensor would be at a place, in the order of the families.

    Raises EditError where no layer can be put.
    """
    spot = spot_at(model, place)
    arriving = arriving_at(model, inference, spot)
    dtype = floating_dtype(model)
    names = free_names(layer_at(model, spot.parent).layers, _entries())
    return [
        _addition(KINDS[kind], entry, names[kind], suggested_arguments(entry, arriving), arriving, dtype)
        for kind, entry in _entries().items()
    ]


def replaceable(model: ModelSpec, inference: Inference, path: str) -> list[Addition]:
    """What each kind would be in the place of a layer, whose name and fitting arguments it keeps.

    Raises EditError where nothing can take the place.
    """
    layer = layer_at(model, path)
    Replace(path, "Identity").apply(model)
    arriving, dtype = arriving_at(model, inference, spot_of(model, path)), floating_dtype(model)
    found = []
    for kind, entry in _entries().items():
        args = suggested_arguments(entry, arriving, Replace(path, kind).kept(layer))
        found.append(_addition(KINDS[kind], entry, layer.name, args, arriving, dtype))
    return found


def _entries() -> dict[str, Entry]:
    """The kinds that take one tensor."""
    return {kind: catalogue()[kind] for kind in KINDS if not catalogue()[kind].inputs}


def arriving_at(model: ModelSpec, inference: Inference, spot: Spot) -> tuple[Signal, ...]:
    """What a layer put at a spot would be given; empty where nothing flows there or it is not known."""
    above = layer_at(model, spot.parent)
    if not above.enabled:
        return ()
    for layer in reversed(above.layers[: spot.place]):
        if layer.is_called:
            return inference.info(joined(spot.parent, layer.name), layer).leaving
    return inference.info(spot.parent, above).arriving


def _addition(
    kind: Kind, entry: Entry, name: str, args: Mapping[str, Value], arriving: tuple[Signal, ...], dtype: str
) -> Addition:
    asked = tuple(item.name for item in entry.parameters if item.is_required and item.name not in args)
    info = _tried(kind, {**args, **dict.fromkeys(asked, STAND_IN)}, arriving, dtype)
    return Addition(
        kind=kind.name,
        group=entry.group,
        description=entry.description,
        name=name,
        args=args,
        asked=asked,
        output_shape=None if asked else info.output_shape,
        num_params=None if asked or info.problem else info.num_params,
        problem=info.problem.brief if info.problem else "",
    )


def suggested_arguments(
    entry: Entry, arriving: tuple[Signal, ...], kept: Mapping[str, Value] = NOTHING
) -> dict[str, Value]:
    """What a new layer of a kind is given where this arrives, in the order of its constructor.

    `kept` are arguments of the layer that was there, which come before the usual ones.
    """
    kind = KINDS[entry.kind]
    given = {**kind.usual, **kept}
    follow = kind.from_place(given, arriving[0]) if len(arriving) == 1 else {}
    args = {**given, **follow}
    return {item.name: args[item.name] for item in entry.parameters if item.name in args}


def completed(edit: Insert | Replace, model: ModelSpec, inference: Inference | None = None) -> Insert | Replace:
    """The edit with the arguments that it leaves out and that follow from the place: the same where there are none.

    What a person has to choose, as how many features come out, stays left out. `inference` is the model's, where it is
    known already. Raises EditError where the edit is about a place or a layer that is not there.
    """
    entry = _entries().get(edit.kind)
    if entry is None:
        return edit
    given = edit.args if isinstance(edit, Insert) else {**edit.kept(layer_at(model, edit.path)), **edit.args}
    missing = [item.name for item in entry.parameters if item.is_required and item.name not in given]
    if not missing:
        return edit
    spot = spot_at(model, edit.place) if isinstance(edit, Insert) else spot_of(model, edit.path)
    arriving = arriving_at(model, inference or infer_shapes(model), spot)
    if len(arriving) != 1:
        return edit
    from_place = KINDS[edit.kind].from_place
    names = from_place({**given, **dict.fromkeys(missing, STAND_IN)}, arriving[0])  # once all that is chosen is there
    values = from_place(given, arriving[0])
    follow = {name: values[name] for name in missing if name in names and name in values}
    return replace(edit, args={**follow, **edit.args}) if follow else edit


def _tried(kind: Kind, args: Mapping[str, Value], arriving: tuple[Signal, ...], dtype: str) -> LayerInfo:
    """What a new layer makes of what arrives, its weights of a type by safetensors' word."""
    layer = LayerSpec(kind.name, kind.name, args)
    return infer_layer(replace(layer, tensors=new_tensors(own_shapes(layer), dtype, 0)), arriving)
