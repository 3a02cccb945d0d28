"""A spec and the tensors of its file, made into one model. The spec is a claim, the tensors are the fact.

Every tensor of the file ends up in the model exactly once, as it is. Where the spec says otherwise, the arguments are
corrected if the shapes leave no doubt, or the layer is no longer believed, and a sentence tells the reader which.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from seqtui.formats.corrections import judge
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import MAX_DEPTH
from seqtui.model.tensors import DTYPES, Shape, TensorInfo, TensorRef

MAX_NOTES = 20
"""Sentences about one file; the rest is counted."""

Tensors = Mapping[str, TensorInfo]


def attach(spec: ModelSpec, tensors: Tensors, source_id: str) -> tuple[ModelSpec, tuple[str, ...]]:
    """The spec's model with the file's tensors in it, and where the two disagree, in sentences.

    For every tensor of every layer path + "." + name is its full name. A parameter that the spec asks for and the file
    lacks is listed without a reference. A tensor that no layer asks for is kept: in the layer whose path its name
    begins with, else in an opaque layer of its own, at the end.
    """
    attachment = _Attachment(spec, tensors, source_id)
    root = attachment.container(spec.root, "")
    notes = attachment.notes
    if len(notes) > MAX_NOTES:
        notes = [*notes[:MAX_NOTES], f"spec and tensors disagree in {len(notes) - MAX_NOTES:,} more places"]
    return replace(spec, root=root), tuple(notes)


class _Attachment:
    """One walk over a spec's layers, handing out the file's tensors and collecting what disagrees."""

    def __init__(self, spec: ModelSpec, tensors: Tensors, source_id: str) -> None:
        self.notes: list[str] = []
        self._tensors = tensors
        paths = {path for path, _ in spec.walk()}
        self._tied = {f"{path}.{name}" for path, layer in spec.walk() for name in layer.tied}
        self._owned: dict[str, dict[str, TensorInfo]] = defaultdict(dict)
        """Path of a layer -> its tensors by the rest of their name, which is their name from here on."""
        for name, info in tensors.items():
            path = name.rpartition(".")[0]
            if path.count(".") >= MAX_DEPTH:  # no layer lies deeper; a name can be of dots by the million
                path = ".".join(path.split(".", MAX_DEPTH)[:MAX_DEPTH])
            while path and path not in paths:
                path = path.rpartition(".")[0]
            rest = name[len(path) + 1 :] if path else name
            self._owned[path][rest] = info._replace(name=rest, ref=TensorRef(source_id, name))

    def container(self, layer: LayerSpec, path: str) -> LayerSpec:
        """A Sequential or an opaque layer: what the spec puts inside, then what only the file has there."""
        inside = tuple(self._layer(child, f"{path}.{child.name}" if path else child.name) for child in layer.layers)
        own, strays = _by_first_part(self._owned[path])
        if layer.kind == "Sequential" and (own or strays):
            self._note(path, f"the file has {', '.join([*own, *strays][:5])[:200]}, which the spec does not know")
        opaque = tuple(_opaque(name, found) for name, found in strays.items())
        return self._filled(replace(layer, layers=inside + opaque), path, own)

    def _layer(self, layer: LayerSpec, path: str) -> LayerSpec:
        if layer.kind is None or layer.kind == "Sequential":
            return self.container(layer, path)
        found = self._owned[path]
        args, expected, note = judge(layer.kind, layer.args, {name: info.shape for name, info in found.items()})
        if note:
            self._note(path, note)
        if args is None:
            return self._filled(replace(layer, kind=None, args={}, origin="opaque"), path, found)
        ordered = {name: found.get(name) or _missing(name, shape, found) for name, shape in expected.items()}
        believed = layer if args is layer.args else replace(layer, args=args)
        return self._filled(believed, path, ordered | found)

    def _filled(self, layer: LayerSpec, path: str, found: Tensors) -> LayerSpec:
        """The layer with these tensors, and with what of its flags they bear out."""
        tied = {name: owner for name, owner in layer.tied.items() if self._is_tied(path, name, owner)}
        for name, owner in layer.tied.items():
            if name not in tied:
                self._note(path, f"{name[:60]} cannot share the numbers of {owner[:60]}, as the spec says")
        if unknown := layer.frozen - found.keys():
            self._note(path, f"the spec freezes {', '.join(sorted(unknown)[:5])[:200]}, which the layer does not have")
        return replace(layer, tensors=tuple(found.values()), tied=tied, frozen=layer.frozen.intersection(found))

    def _is_tied(self, path: str, name: str, owner: str) -> bool:
        """Whether two tensors can be one: both are there, alike in type and shape, and the owner owns its numbers."""
        one, other = self._owned[path].get(name), self._tensors.get(owner)
        return (
            one is not None
            and other is not None
            and owner not in self._tied
            and (one.dtype, one.shape) == (other.dtype, other.shape)
        )

    def _note(self, path: str, sentence: str) -> None:
        self.notes.append(f"{path[:200]}: {sentence}" if path else sentence)


def _opaque(name: str, found: Tensors) -> LayerSpec:
    """A tree of layers of which only the tensors are known, and that no one calls."""
    own, inside = _by_first_part(found)
    layers = tuple(_opaque(child, tensors) for child, tensors in inside.items())
    return LayerSpec(name, tensors=tuple(own.values()), layers=layers, is_called=False, origin="opaque")


def _by_first_part(found: Tensors) -> tuple[dict[str, TensorInfo], dict[str, dict[str, TensorInfo]]]:
    """(tensors right here, tensors further down by the layer that they are in).

    A name with an empty part, or too many of them, is no path and stays here whole.
    """
    here: dict[str, TensorInfo] = {}
    below: dict[str, dict[str, TensorInfo]] = defaultdict(dict)
    for name, info in found.items():
        first, dot, rest = name.partition(".")
        depth = info.stored.name.count(".") if info.stored else 0
        if dot and depth <= MAX_DEPTH and "" not in name.split("."):
            below[first][rest] = info._replace(name=rest)
        else:
            here[name] = info
    return here, below


def _missing(name: str, shape: Shape, found: Tensors) -> TensorInfo:
    """A tensor that the file should have: of its siblings' type, or as torch makes it."""
    siblings = (info.dtype for info in found.values() if info.dtype in DTYPES)
    dtype = DTYPES["I64" if name == "num_batches_tracked" else next(siblings, "F32")]
    return TensorInfo(name, dtype.name, shape, math.prod(shape) * dtype.bits // 8)
