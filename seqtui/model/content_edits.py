"""Edits of what layers are, and of what stands beside them in the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from seqtui.errors import EditError
from seqtui.model.edit import Line
from seqtui.model.kinds.catalogue import catalogue, parameters
from seqtui.model.language import Arguments, Dtype, Flag, Name, Names, OneOf, Optional, Seed, Size, Slot
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.spec_json import SPEC_KEY
from seqtui.model.structure_edits import require_kind
from seqtui.model.ties import tie_groups
from seqtui.model.tree import Change, expanded, is_chain, joined, layer_at, with_changes, with_layer
from seqtui.model.weights_kept import changed_tensors, expected_tensors, floating_dtype, is_made_of, own_shapes, seed_of
from seqtui.words import a

GUESSED = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
"""Kinds that may be changed where they are only guessed: their tensors tell all that a change needs."""

_TEXT = re.compile(r"\b(str|Literal)\b")
"""In the annotation of an argument that can be text."""


@dataclass(frozen=True, slots=True)
class Set(Line):
    """Other arguments; of a tensor whose shape changes the overlapping block is kept, or with `fresh` nothing."""

    path: str
    args: Mapping[str, Value]
    is_fresh: bool = False
    seed: int | None = None

    verb: ClassVar[str] = "set"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path"), Arguments(is_required=True), Flag("is_fresh", "fresh"), Seed())

    def apply(self, model: ModelSpec) -> ModelSpec:
        layer = layer_at(model, self.path)
        kind = layer.kind or ""
        if kind not in catalogue() or layer.origin == "opaque":
            raise EditError(f"{self.path or 'the model itself'} has no arguments that could be changed")
        if layer.origin == "guessed" and kind not in GUESSED:
            raise EditError(f"{self.path} is only guessed to be {a(kind)}; of such, Linear and convolutions change")
        if layer.origin == "guessed" and not is_made_of(layer):
            raise EditError(f"{self.path} holds other tensors than those of {a(kind)}, so its arguments cannot change")
        if layer.origin == "guessed":
            self._require_shown(layer)
        changed = replace(layer, args=said_arguments(kind, {**layer.args, **self.args}))
        seed = seed_of(self.path, str(self)) if self.seed is None else self.seed
        return _reshaped(model, self.path, layer, changed, seed, self.is_fresh)

    def _require_shown(self, layer: LayerSpec) -> None:
        """Raises EditError for an argument that no tensor shows: a file without a spec has nowhere to keep it."""
        shapes = own_shapes(layer)
        for name, value in self.args.items():
            alone = own_shapes(replace(layer, args={**layer.args, name: value}))
            if value != layer.args.get(name) and alone == shapes:
                reason = f"no tensor of {self.path} shows its {name}, and this file has nothing else to keep it in"
                raise EditError(reason, "Of a guessed layer change what its tensors show.")


@dataclass(frozen=True, slots=True)
class Replace(Line):
    """Another kind of the same name; what arguments and weights still fit are kept."""

    path: str
    kind: str
    args: Mapping[str, Value] = field(default_factory=dict)

    verb: ClassVar[str] = "replace"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path"), OneOf("kind", "KIND"), Arguments())

    def apply(self, model: ModelSpec) -> ModelSpec:
        layer = layer_at(model, self.path)
        if layer.kind not in catalogue() or layer.origin != "declared":
            raise EditError(_why_not_replaced(self.path, layer))
        require_kind(self.kind)
        args = said_arguments(self.kind, {**self.kept(layer), **self.args})
        changed = replace(layer, kind=self.kind, args=args, uncarried=())
        anew = {"weight"} if _is_transposed(self.kind) != _is_transposed(layer.kind or "") else ()
        return _reshaped(model, self.path, layer, changed, seed_of(self.path, str(self)), anew=anew)

    def kept(self, layer: LayerSpec) -> dict[str, Value]:
        """The layer's arguments that the other kind takes too; those that it must be given alone, where it refuses one.

        Both a convolution and a pool have padding, but only that of a convolution can be a text.
        """
        takes = {item.name: item for item in parameters(self.kind)}
        kept = {
            name: value
            for name, value in layer.args.items()
            if name in takes and (not isinstance(value, str) or _TEXT.search(takes[name].annotation))
        }
        try:
            expected_tensors(self.path, self.kind, {**kept, **self.args})
        except EditError:
            return {name: value for name, value in kept.items() if takes[name].is_required}
        return kept


def _why_not_replaced(path: str, layer: LayerSpec) -> str:
    """Why nothing can take a layer's place."""
    if layer.origin == "guessed":
        return f"{path} is only guessed to be {a(layer.kind)} among unknown ones: nothing can replace it"
    if not path:
        return "the model itself cannot be replaced"
    what = "a Sequential" if is_chain(layer) else "of no known kind"
    return f"{path} is {what}, so nothing can take its place"


def said_arguments(kind: str, args: Mapping[str, Value]) -> dict[str, Value]:
    """Those of a kind's arguments that a call has to say: the required, and those that are not at their default."""
    default = {item.name: item.default for item in catalogue()[kind].parameters if not item.is_required}
    return {name: value for name, value in args.items() if name not in default or repr(value) != repr(default[name])}


def _is_transposed(kind: str) -> bool:
    """Whether what goes in stands before what comes out in the shape of its weight, so that no block fits the other."""
    return kind.startswith("ConvTranspose")


def _reshaped(
    model: ModelSpec,
    path: str,
    before: LayerSpec,
    after: LayerSpec,
    seed: int,
    is_fresh: bool = False,
    anew: Collection[str] = (),
) -> ModelSpec:
    """The model with a layer of new kind or arguments, and the tensors they ask for; of `anew` nothing is kept."""
    shapes = expected_tensors(path, after.kind or "", after.args)
    kept = replace(before, tensors=tuple(tensor for tensor in before.tensors if tensor.name not in anew))
    tensors = changed_tensors(kept, shapes, floating_dtype(model), seed, is_fresh)
    now = {tensor.name: tensor.shape for tensor in tensors}
    groups = tie_groups(model)
    for tensor in before.tensors:
        name = joined(path, tensor.name)
        if name in groups and (tensor.name in anew or now.get(tensor.name) != tensor.shape):
            other = next(other for place in groups[name] if (other := joined(*place)) != name)
            raise EditError(f"{name} is one with {other}, so its shape must stay", hint=f"untie {name} comes first")
    tied = {name: owner for name, owner in before.tied.items() if name in now}
    return with_layer(model, path, replace(after, tensors=tensors, frozen=before.frozen & now.keys(), tied=tied))


@dataclass(frozen=True, slots=True)
class _Switch(Line):
    """Layers on or off."""

    paths: tuple[str, ...]

    slots: ClassVar[tuple[Slot, ...]] = (Names("paths"),)
    is_on: ClassVar[bool]

    def apply(self, model: ModelSpec) -> ModelSpec:
        paths = expanded(model, self.paths)
        are_chains = {
            parent: is_chain(layer_at(model, parent)) for parent in {path.rpartition(".")[0] for path in paths}
        }

        def change(path: str) -> Change:
            def switched(layer: LayerSpec) -> LayerSpec:
                if not (layer.is_called and are_chains[path.rpartition(".")[0]]):
                    raise EditError(f"{path} cannot be switched on or off: only layers of a Sequential can")
                return layer if layer.enabled is self.is_on else replace(layer, enabled=self.is_on)

            return switched

        return with_changes(model, {path: change(path) for path in paths})


@dataclass(frozen=True, slots=True)
class Enable(_Switch):
    """Layers that act."""

    verb: ClassVar[str] = "enable"
    is_on: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Disable(_Switch):
    """Layers that are bypassed: they stay where they are, and what arrives passes through."""

    verb: ClassVar[str] = "disable"
    is_on: ClassVar[bool] = False


# What stands beside the layers


@dataclass(frozen=True, slots=True)
class Input(Line):
    """What the model is fed."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = "input"

    verb: ClassVar[str] = "input"
    slots: ClassVar[tuple[Slot, ...]] = (
        Size(),
        Optional(Dtype(), "float32"),
        Optional(Name("name", "NAME"), "input"),
    )

    def apply(self, model: ModelSpec) -> ModelSpec:
        if not model.is_sequential:
            raise EditError("an input shape says nothing here: the file holds tensors, not layers in order")
        if not self.name:
            raise EditError("an input needs a name")
        return replace(model, inputs=(InputSpec(self.name, self.shape, self.dtype),))


@dataclass(frozen=True, slots=True)
class Meta(Line):
    """A line of text that the file carries beside its tensors."""

    key: str
    value: str

    verb: ClassVar[str] = "meta"
    slots: ClassVar[tuple[Slot, ...]] = (Name("key", "KEY"), Name("value", "VALUE"))

    def apply(self, model: ModelSpec) -> ModelSpec:
        if self.key == SPEC_KEY:
            raise EditError(f"{SPEC_KEY} is where the layers themselves are written")
        return replace(model, metadata={**model.metadata, self.key: self.value})


@dataclass(frozen=True, slots=True)
class Unmeta(Line):
    """The same taken out."""

    key: str

    verb: ClassVar[str] = "unmeta"
    slots: ClassVar[tuple[Slot, ...]] = (Name("key", "KEY"),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        if self.key not in model.metadata:
            raise EditError(f"the file carries nothing called {self.key}")
        if self.key == "format":
            raise EditError("format stays: every model file that is saved names one")
        return replace(model, metadata={key: value for key, value in model.metadata.items() if key != self.key})
