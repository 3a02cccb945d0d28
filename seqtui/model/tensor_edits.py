"""Edits of single tensors, in any checkpoint: what they hold, their type, whether they learn, whether they stay.

A layer's path stands for all tensors inside, a glob for all that it matches. Tensors that are one change as one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from seqtui.errors import EditError
from seqtui.model.content_edits import GUESSED
from seqtui.model.edit import Line
from seqtui.model.language import Dtype, Name, Names, OneOf, Seed, Slot
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import DTYPES, MAX_DIMENSIONS, TORCH_DTYPES, NewTensor, TensorInfo, is_parameter
from seqtui.model.ties import tie_groups
from seqtui.model.tree import (
    Change,
    Glob,
    TensorPlace,
    is_chain,
    joined,
    layer_at,
    tensor_paths,
    walk_layer,
    ways_to,
    with_changes,
)
from seqtui.model.weights_kept import as_tensors_tell, cast_tensor, is_made_of, own_shapes, seed_of
from seqtui.words import a

_ANY, _MATRIX = range(MAX_DIMENSIONS + 1), range(2, MAX_DIMENSIONS + 1)

INITS: Mapping[str, range] = {
    "default": _ANY,
    **dict.fromkeys(("zeros", "ones", "normal", "uniform", "trunc_normal"), _ANY),
    **dict.fromkeys(("kaiming_uniform", "kaiming_normal", "xavier_uniform", "xavier_normal", "orthogonal"), _MATRIX),
    "eye": range(2, 3),
    "dirac": range(3, 6),
}
"""Ways to fill a tensor, and of how many dimensions: `default` is what its layer's constructor does, the others are
those of torch.nn.init."""

CONSTANT = ("zeros", "ones")
"""Those that make whole numbers too."""

Tensors = dict[str, set[str]]
"""Own names of tensors by the path of their layer."""


@dataclass(frozen=True, slots=True)
class _Freezing(Line):
    """Whether parameters learn: of layers with all inside, or named one by one."""

    paths: tuple[str, ...]

    slots: ClassVar[tuple[Slot, ...]] = (Names("paths"),)
    is_frozen: ClassVar[bool]

    def apply(self, model: ModelSpec) -> ModelSpec:
        chosen = _with_shared(tie_groups(model), _chosen(model, self.paths))

        def change(names: set[str]) -> Change:
            def frozen(layer: LayerSpec) -> LayerSpec:
                own = {tensor.name for tensor in layer.tensors if is_parameter(tensor.name, tensor.dtype)}
                return replace(layer, frozen=layer.frozen | (names & own) if self.is_frozen else layer.frozen - names)

            return frozen

        return with_changes(model, {path: change(names) for path, names in chosen.items()})


@dataclass(frozen=True, slots=True)
class Freeze(_Freezing):
    """Parameters that do not learn."""

    verb: ClassVar[str] = "freeze"
    is_frozen: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Unfreeze(_Freezing):
    """Parameters that learn again."""

    verb: ClassVar[str] = "unfreeze"
    is_frozen: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Fill(Line):
    """The numbers of a tensor, or of all in a layer that can be filled so, made anew; those that are one stay one."""

    path: str
    init: str
    seed: int | None = None
    """Of the first layer, counted up from there: layers that are alike get other numbers."""

    verb: ClassVar[str] = "fill"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path", has_globs=True), OneOf("init", "INIT"), Seed())

    def apply(self, model: ModelSpec) -> ModelSpec:
        if self.init not in INITS:
            raise EditError(f"there is no way {self.init[:60]} to fill a tensor; there are {', '.join(INITS)}")
        chosen = _chosen(model, [self.path])
        is_named = _is_tensor(self.path, chosen)
        refs: dict[str, NewTensor] = {}
        groups = tie_groups(model)
        for number, (path, layer) in enumerate(_layers_at(model, chosen)):
            seed = seed_of(path, str(self)) if self.seed is None else self.seed + number
            new = NewTensor(seed, None if self.init == "default" else self.init)
            for name in _fillable(layer, chosen[path], self.init, is_named):
                full = joined(path, name)
                refs.update({joined(*place): refs.get(full, new) for place in groups.get(full, [(path, name)])})
        if not refs:
            raise EditError(f"{self.path} holds nothing that {self.init} could fill")
        return _with_tensors(
            model, _with_shared(groups, chosen), lambda name, tensor: tensor._replace(ref=refs.get(name, tensor.ref))
        )


def _fillable(layer: LayerSpec, names: set[str], init: str, is_named: bool) -> list[str]:
    """The tensors of a layer that a way to fill is for: its parameters, by their default its buffers too."""
    if init == "default":
        is_sure = layer.origin == "declared" or (layer.kind in GUESSED and is_made_of(layer))
        return sorted(names & own_shapes(layer).keys()) if is_sure else []
    return [
        tensor.name
        for tensor in layer.tensors
        if tensor.name in names
        and len(tensor.shape) in INITS[init]
        and (is_float(tensor.dtype) or (is_named and init in CONSTANT and is_convertible(tensor.dtype)))
        and (is_named or is_parameter(tensor.name, tensor.dtype))
    ]


@dataclass(frozen=True, slots=True)
class Cast(Line):
    """The numbers of a tensor, or the floating ones of a layer, in another type."""

    path: str
    dtype: str
    """torch's word."""

    verb: ClassVar[str] = "cast"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path", has_globs=True), Dtype())

    def apply(self, model: ModelSpec) -> ModelSpec:
        dtype = TORCH_DTYPES[self.dtype].name
        chosen = _chosen(model, [self.path])
        suits = is_convertible if _is_tensor(self.path, chosen) else is_float  # a layer's counters stay whole numbers
        chosen = {
            path: {tensor.name for tensor in layer.tensors if tensor.name in chosen[path] and suits(tensor.dtype)}
            for path, layer in _layers_at(model, chosen)
        }
        if not any(chosen.values()):
            raise EditError(f"{self.path} holds no floating numbers that could be cast")
        return _with_tensors(
            model, _with_shared(tie_groups(model), chosen), lambda _, tensor: cast_tensor(tensor, dtype)
        )


def is_float(dtype: str) -> bool:
    """Whether numbers of a type, by safetensors' word, are floating ones that torch can have one by one."""
    return is_convertible(dtype) and DTYPES[dtype].family == "float"


def is_convertible(dtype: str) -> bool:
    """Whether torch can have numbers of a type one by one, so that they can become others."""
    row = DTYPES.get(dtype)
    return row is not None and row.bits >= 8 and bool(row.torch)


@dataclass(frozen=True, slots=True)
class Drop(Line):
    """Tensors left out of the file: those that no layer of a known kind needs."""

    paths: tuple[str, ...]

    verb: ClassVar[str] = "drop"
    slots: ClassVar[tuple[Slot, ...]] = (Names("paths", "TENSOR..."),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        chosen, groups = _chosen(model, self.paths), tie_groups(model)
        for path, names in chosen.items():
            for name in sorted(names):
                if joined(path, name) in groups:
                    raise EditError(f"{joined(path, name)} is one with another tensor", hint="untie comes first")
        ways = ways_to(chosen)

        def change(path: str) -> Change:
            return lambda layer: _without_bare(_without(path, layer, chosen.get(path, set())), ways.get(path, set()))

        return with_changes(model, {path: change(path) for path in chosen.keys() | ways.keys()})


def _without(path: str, layer: LayerSpec, names: set[str]) -> LayerSpec:
    """The layer without some tensors. Raises EditError for those that its kind needs."""
    if not names:
        return layer
    if layer.origin == "declared" and (needed := names & own_shapes(layer).keys()):
        raise EditError(f"{joined(path, min(needed))} is a part of {path}, {a(layer.kind)}; remove takes it out whole")
    kept = tuple(tensor for tensor in layer.tensors if tensor.name not in names)
    return as_tensors_tell(replace(layer, tensors=kept, frozen=layer.frozen - names))


def _without_bare(above: LayerSpec, names: set[str]) -> LayerSpec:
    """The layer without those layers of some names that were tensors and nothing else, and now hold none."""
    is_sure = is_chain(above)
    kept = tuple(
        layer
        for layer in above.layers
        if layer.name not in names
        or layer.tensors
        or layer.layers
        or layer.origin == "declared"
        or (is_sure and layer.is_called)
    )
    return above if len(kept) == len(above.layers) else replace(above, layers=kept)


@dataclass(frozen=True, slots=True)
class Untie(Line):
    """A tensor with numbers of its own, the same as those that it shared."""

    path: str

    verb: ClassVar[str] = "untie"
    slots: ClassVar[tuple[Slot, ...]] = (Name("path", "TENSOR"),)

    def apply(self, model: ModelSpec) -> ModelSpec:
        group = tie_groups(model).get(self.path)
        if group is None:
            raise EditError(f"{self.path} is no tensor that is tied to another")
        heir, *others = [place for place in group if joined(*place) != self.path]
        owners = {self.path: "", joined(*heir): "", **{joined(*other): joined(*heir) for other in others}}
        changes: dict[str, Change] = {path: partial(_tied, path, owners) for path, _ in group}
        return with_changes(model, changes)


def _tied(path: str, owners: Mapping[str, str], layer: LayerSpec) -> LayerSpec:
    """The layer with its tensors tied to other owners, by their full names; "" is none."""
    tied = dict(layer.tied)
    for tensor in layer.tensors:
        owner = owners.get(joined(path, tensor.name))
        if owner is not None:
            tied.pop(tensor.name, None)
        if owner:
            tied[tensor.name] = owner
    return replace(layer, tied=tied)


# Choosing tensors


def _chosen(model: ModelSpec, paths: Iterable[str]) -> Tensors:
    """The tensors that paths and globs name, by layer."""
    chosen: Tensors = {}
    for path in paths:
        for place, name in tensor_paths(model, path):
            chosen.setdefault(place, set()).add(name)
    return chosen


def _is_tensor(path: str, chosen: Tensors) -> bool:
    """Whether a path is that of a tensor, which is then the one chosen."""
    return not isinstance(path, Glob) and [path] == [joined(at, name) for at, names in chosen.items() for name in names]


def _with_shared(groups: Mapping[str, list[TensorPlace]], chosen: Tensors) -> Tensors:
    """The same tensors, and with each all that are one with it."""
    if not groups:
        return chosen
    shared = {path: set(names) for path, names in chosen.items()}
    for path, names in chosen.items():
        for name in names:
            for place, own in groups.get(joined(path, name), ()):
                shared.setdefault(place, set()).add(own)
    return shared


def _layers_at(model: ModelSpec, paths: Collection[str]) -> Iterator[tuple[str, LayerSpec]]:
    """(path, layer) of the layers at some paths, in the order of the model."""
    if len(paths) == 1:
        (path,) = paths
        yield path, layer_at(model, path)
    else:
        yield from ((path, layer) for path, layer in walk_layer("", model.root) if path in paths)


def _with_tensors(model: ModelSpec, chosen: Tensors, change: Callable[[str, TensorInfo], TensorInfo]) -> ModelSpec:
    """The model with some tensors changed, each by its full name and what it was."""

    def changed(path: str) -> Change:
        names = chosen[path]
        return lambda layer: replace(
            layer,
            tensors=tuple(
                change(joined(path, item.name), item) if item.name in names else item for item in layer.tensors
            ),
        )

    return with_changes(model, {path: changed(path) for path in chosen})
