"""Edits that mend a layer whose input does not fit, each tried by the layer's own rule before it is offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import ClassVar, NamedTuple

from seqtui.errors import EditError
from seqtui.model.additions import completed
from seqtui.model.content_edits import Input, Replace, Set
from seqtui.model.edit import Batch, Edit, Line, NothingToDoError, changed
from seqtui.model.infer import WITHOUT_FLOATS, Inference, LayerInfo, infer_layer, infer_shapes
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.kind import FLOATS, Signal
from seqtui.model.language import Name, Optional, Place, Slot
from seqtui.model.layer_names import free_name
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.structure_edits import Insert
from seqtui.model.tensor_edits import Cast
from seqtui.model.tensors import DTYPES, torch_word
from seqtui.model.tree import joined, layer_at
from seqtui.model.weights_kept import COUNTER, own_shapes

IMAGE = 4
"""Dimensions from which on a Linear is meant for all of them rather than for the last."""
LARGEST_SIDE = 64
"""So long a side of the image that features once were is looked for."""


class Chain(NamedTuple):
    """A way to mend a layer, and what then stands in a row from the first layer that is new or changed down to it."""

    edit: Edit
    layers: tuple[LayerSpec, ...]
    arriving: Signal
    is_batched: bool = True
    """Whether dimension 0 is the batch for certain, so that a batch of another size has to fit as well."""

    def fits(self) -> bool:
        """Whether what arrives goes through to the end."""
        if not self._passes(self.arriving):
            return False
        batch, rest = self.arriving.shape[:1], self.arriving.shape[1:]
        return not (self.is_batched and batch) or self._passes(self.arriving._replace(shape=(batch[0] + 1, *rest)))

    def _passes(self, x: Signal) -> bool:
        signals: tuple[Signal, ...] = (x,)
        for layer in self.layers:
            signals = infer_layer(layer, signals).leaving
            if not signals:
                return False
        return True


def fixes(model: ModelSpec, inference: Inference, path: str) -> list[Edit]:
    """The edits that mend the problem at a layer, best first; empty where there is none, or none is known.

    Each makes the layer fit what arrives at it, and can be applied.
    """
    layer = layer_at(model, path)
    info = inference.info(path, layer)
    if info.problem is None or len(info.arriving) != 1 or layer.kind not in KINDS:
        return []
    chains = [*_near(model, path, layer, info.arriving[0]), *_pooling(model, inference, path, layer)]
    edits = [chain.edit for chain in chains if chain.fits()] + [*_casts(path, layer, info.arriving[0])]
    edits += _inputs(model, path, layer, info)
    return [edit for edit in edits if _applies(edit, model)]


def _applies(edit: Edit, model: ModelSpec) -> bool:
    try:
        edit.apply(model)
    except EditError:
        return False
    return True


def _near(model: ModelSpec, path: str, layer: LayerSpec, x: Signal) -> Iterator[Chain]:
    """Ways that change the layer itself, or put another right before it."""
    flatten = _inserted(model, path, "Flatten", {})
    flat = infer_layer(_layer(flatten), (x,)).leaving
    if len(x.shape) > 2 and flat:
        yield Chain(flatten, (_layer(flatten), layer), x)
    flattened = _setting(path, layer, flat[0]) if flat and layer.kind == "Linear" and len(x.shape) > 2 else None
    if flattened:
        edits = (flattened.edit, flatten)  # in this order: where layers are numbered, an insert moves this one on
        flattened = Chain(Batch(edits), (_layer(flatten), *flattened.layers), x)
    changed = _setting(path, layer, x)
    chains = (flattened, changed) if len(x.shape) >= IMAGE else (changed, flattened)
    yield from filter(None, chains)
    yield from _unflattening(model, path, layer, x)
    yield from _replacing(model, path, layer, x)


def _setting(path: str, layer: LayerSpec, x: Signal) -> Chain | None:
    """The arguments that follow from what arrives, where they are others. A batch may be missing."""
    follow = KINDS[layer.kind or ""].from_place(layer.args, x)
    changed = {name: value for name, value in follow.items() if layer.args.get(name) != value}
    if not changed:
        return None
    return Chain(Set(path, changed), (replace(layer, args={**layer.args, **changed}),), x, is_batched=False)


def _inserted(model: ModelSpec, path: str, kind: str, args: dict[str, Value]) -> Insert:
    """A layer of a free name right before another."""
    return Insert(free_name(layer_at(model, path.rpartition(".")[0]).layers, kind), kind, args, Place("before", path))


def _layer(edit: Insert) -> LayerSpec:
    return LayerSpec(edit.name, edit.kind, edit.args)


def _unflattening(model: ModelSpec, path: str, layer: LayerSpec, x: Signal) -> Iterator[Chain]:
    """Features made an image again, for a convolution of images whose channels they were."""
    channels, dims = layer.args.get("in_channels"), _dims(layer.kind or "")
    if len(x.shape) != 2 or dims < 2 or not isinstance(channels, int):
        return
    if side := _side(x.shape[1], channels, dims):
        edit = _inserted(model, path, "Unflatten", {"dim": 1, "unflattened_size": (channels, *(side,) * dims)})
        yield Chain(edit, (_layer(edit), layer), x)


def _replacing(model: ModelSpec, path: str, layer: LayerSpec, x: Signal) -> Iterator[Chain]:
    """The kind of the same family that takes as many dimensions as arrive."""
    kind = f"{(layer.kind or '')[:-2]}{max(len(x.shape) - 2, 1)}d"
    if not _dims(layer.kind or "") or kind not in KINDS or kind == layer.kind:
        return
    follow = KINDS[kind].from_place(layer.args, x)
    edit = Replace(path, kind, {name: value for name, value in follow.items() if layer.args.get(name) != value})
    try:
        yield Chain(edit, (edit.apply(model).layer(path),), x)
    except EditError:
        return


def _pooling(model: ModelSpec, inference: Inference, path: str, layer: LayerSpec) -> Iterator[Chain]:
    """A pool before the Flatten that comes before a layer, down to as many elements as the layer wants features."""
    features = layer.args.get("in_features")
    if not isinstance(features, int):
        return
    between = [layer]
    for place, before, info in _before(model, inference, path):
        between.insert(0, before)
        if before.kind == "Flatten" and before.enabled:
            (x,) = info.arriving
            dims = len(x.shape) - 2
            side = _side(features, x.shape[1], dims) if dims in (1, 2, 3) else 0
            if side:
                edit = _inserted(model, place, f"AdaptiveAvgPool{dims}d", {"output_size": side})
                yield Chain(edit, (_layer(edit), *between), x)
            return
        if info.arriving != info.leaving:
            return


def _before(model: ModelSpec, inference: Inference, path: str) -> Iterator[tuple[str, LayerSpec, LayerInfo]]:
    """The layers that one tensor went through on its way to a layer, the nearest first; containers are left out."""
    earlier = list(takewhile(lambda place: place != path, inference.infos))
    for place in reversed(earlier):
        info = inference.infos[place]
        layer = layer_at(model, place) if len(info.arriving) == 1 else model.root
        if layer.kind != "Sequential":
            yield place, layer, info


def _casts(path: str, layer: LayerSpec, x: Signal) -> Iterator[Edit]:
    """Weights that are no floats in the type that arrives, where that is one."""
    wanted = own_shapes(layer).keys() - {COUNTER}
    odd = [each.name for each in layer.tensors if each.name in wanted and torch_word(each.dtype) in WITHOUT_FLOATS]
    if odd and x.dtype in FLOATS:
        casts = [Cast(joined(path, name), x.dtype) for name in odd]
        yield casts[0] if len(casts) == 1 else Batch(tuple(casts))


def _inputs(model: ModelSpec, path: str, layer: LayerSpec, info: LayerInfo) -> Iterator[Input]:
    """The model's input in another type, where it comes to the layer as it is and goes through it then."""
    (fed,) = model.inputs
    if info.arriving != (Signal(fed.shape, fed.dtype),):
        return
    weights = [DTYPES[tensor.dtype].torch for tensor in layer.tensors if tensor.dtype in DTYPES]
    for dtype in dict.fromkeys((*weights[:1], "float32", "int64")):
        changed = replace(model, inputs=(fed._replace(dtype=dtype),))
        if dtype != fed.dtype and infer_shapes(changed).info(path, layer).leaving:
            yield Input(fed.shape, dtype, fed.name)


def _dims(kind: str) -> int:
    """How many dimensions the images have that a kind is for, by its name; 0 where it says nothing of it."""
    return int(kind[-2]) if kind[-2:] in ("1d", "2d", "3d") else 0


def _side(features: int, channels: int, dims: int) -> int:
    """The side of the square image that so many features of so many channels are; 0 where they are none."""
    sides = (side for side in range(1, LARGEST_SIDE + 1) if channels * side**dims == features)
    return next(sides, 0)


@dataclass(frozen=True, slots=True)
class Fix(Line):
    """What does not fit is mended, from the first layer on; at a path only there, and inside."""

    path: str = ""

    verb: ClassVar[str] = "fix"
    slots: ClassVar[tuple[Slot, ...]] = (Optional(Name("path"), ""),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        return Batch(self.concrete(model)).apply(model)

    def concrete(self, model: ModelSpec) -> tuple[Edit, ...]:
        """The edits that do it, in order, none of them a Fix or a Batch.

        Raises NothingToDoError where everything fits, EditError where no fix is known for what does not.
        """
        layer_at(model, self.path)
        edits: list[Edit] = []
        inference = infer_shapes(model)
        first = next(self._meant(inference), None)
        if first is None:
            raise NothingToDoError(f"there is nothing to fix{f' at {self.path}' if self.path else ''}")
        for _ in range(len(inference.infos)):
            edit = next(self._offered(model, inference), None)
            if edit is None:
                break
            edits += edit.edits if isinstance(edit, Batch) else [edit]
            model = edit.apply(model)
            inference = infer_shapes(model, inference)
        if not edits:
            raise EditError(f"no fix is known: {inference.problems[first].message}")
        return tuple(edits)

    def _meant(self, inference: Inference) -> Iterator[str]:
        """The paths of the layers that do not fit and are meant."""
        return (path for path in inference.problems if not self.path or f"{path}.".startswith(f"{self.path}."))

    def _offered(self, model: ModelSpec, inference: Inference) -> Iterator[Edit]:
        """The first fix of each problem that is meant."""
        for path in self._meant(inference):
            yield from fixes(model, inference, path)[:1]


def concrete(edit: Edit, model: ModelSpec, inference: Inference | None = None) -> Edit:
    """The edit as it is recorded: the same change without what would have to be found out again.

    That is what a Fix does, and the arguments that a new layer takes from its place. `inference` is the model's, where
    it is known already. Raises EditError where it cannot apply, NothingToDoError where nothing is left of it.
    """
    if isinstance(edit, Fix):
        return Batch(edit.concrete(model))
    if isinstance(edit, Insert | Replace):
        return completed(edit, model, inference)
    return in_turn(((f"{step}: ", step) for step in edit.edits), model) if isinstance(edit, Batch) else edit


def in_turn(steps: Iterable[tuple[str, Edit]], model: ModelSpec) -> Batch:
    """Edits as one step, concrete each for the model that those before it make; what would change nothing is left out.

    With each comes what its errors begin with. Raises EditError, NothingToDoError where nothing is left.
    """
    edits: list[Edit] = []
    idle: NothingToDoError | None = None
    for where, step in steps:
        try:
            known = concrete(step, model)
            model = changed(known, model, known.apply(model))
        except NothingToDoError as error:
            idle = error
            continue
        except EditError as error:
            raise EditError(f"{where}{error.message}", error.hint) from None
        edits.append(known)
    if idle and not edits:
        raise idle
    return Batch(tuple(edits))
