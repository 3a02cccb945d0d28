"""What becomes of a layer's tensors when its arguments change: kept, resized around what was there, or made anew.

Nothing is read or computed here: a tensor that is to be made is a `NewTensor`, a note of how.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from seqtui.errors import EditError
from seqtui.model.guess_kinds import guess_kind
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind
from seqtui.model.kinds.kind import ArgumentError, Shapes
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.spec_json import MAX_LAYERS, REPEATS
from seqtui.model.tensors import DTYPES, NewTensor, Shape, TensorInfo, TensorRef, is_possible
from seqtui.model.tree import joined, walk_layer

COUNTER = "num_batches_tracked"
"""The one tensor of torch.nn's layers that is no floating one."""


def seed_of(path: str, text: str) -> int:
    """The seed of what an edit makes at a path, where none is given: a replayed edit gives the same numbers."""
    return zlib.crc32(f"{path}\n{text}".encode("utf-8", "surrogatepass"))


def expected_tensors(path: str, kind: str, args: Mapping[str, Value]) -> Shapes:
    """Parameters, then buffers, that torch gives a layer. Raises EditError for arguments that torch refuses."""
    rule = KINDS[kind]
    for name in REPEATS:
        count = args.get(name)
        if isinstance(count, int) and count > MAX_LAYERS:
            raise EditError(f"{path} would repeat itself {count:,} times; the limit is {MAX_LAYERS:,}")
    try:
        bound = bind(kind, args)
        rule.check(bound)
        shapes = {**rule.parameters(bound), **rule.buffers(bound)}
    except ArgumentError as error:
        raise EditError(f"{path} {error}", error.hint) from None
    if not all(is_possible(shape) for shape in shapes.values()):
        raise EditError(f"{path} would have more numbers than torch can count")
    return shapes


def own_shapes(layer: LayerSpec) -> Shapes:
    """The tensors that a layer has by its kind and arguments; none where these are not known or not torch's."""
    if layer.kind not in KINDS or layer.origin == "opaque":
        return {}
    try:
        return expected_tensors(layer.name, layer.kind, layer.args)
    except EditError:
        return {}


def is_made_of(layer: LayerSpec) -> bool:
    """Whether a layer's tensors are exactly those of its kind and arguments."""
    return bool(layer.tensors) and {tensor.name: tensor.shape for tensor in layer.tensors} == own_shapes(layer)


def as_tensors_tell(layer: LayerSpec) -> LayerSpec:
    """The layer with its guess made anew, after its tensors have changed; one that is not guessed as it is."""
    if layer.origin != "guessed":
        return layer
    guess = guess_kind(layer.name, tuple((tensor.name, tensor.dtype, tensor.shape) for tensor in layer.tensors))
    if guess is None:
        return replace(layer, kind=None, args={}, origin="opaque", alternatives=())
    return replace(layer, kind=guess.kind, args=guess.args, alternatives=guess.alternatives)


def floating_dtype(model: ModelSpec) -> str:
    """The type that new weights get: that of the model's first floating tensor of a torch type, else F32."""
    for _, layer in model.walk():
        for tensor in layer.tensors:
            if _is_weight(tensor.dtype):
                return tensor.dtype
    return "F32"


def _is_weight(dtype: str) -> bool:
    """Whether torch's constructors make weights of a type, by safetensors' word."""
    row = DTYPES.get(dtype)
    return row is not None and row.family == "float" and row.bits >= 16


def new_tensors(shapes: Shapes, dtype: str, seed: int) -> tuple[TensorInfo, ...]:
    """The tensors of a new layer, all to be made as torch makes them."""
    return tuple(
        _tensor(name, "I64" if name == COUNTER else dtype, shape, NewTensor(seed)) for name, shape in shapes.items()
    )


def with_new_tensors(model: ModelSpec, text: str) -> ModelSpec:
    """A model of code or of a spec with the tensors that its layers have, to be made as torch makes them.

    They are the same every time; `text` says where the model is from, for the seeds. Those that share their numbers are
    made alike. What is said of tensors that no layer has, or that differ in shape, is left out.
    """
    owners: dict[str, TensorInfo] = {}

    def with_own(path: str, layer: LayerSpec) -> LayerSpec:
        inside = tuple(with_own(joined(path, child.name), child) for child in layer.layers)
        dtype = next((tensor.dtype for tensor in layer.tensors if _is_weight(tensor.dtype)), "F32")
        tensors = new_tensors(own_shapes(layer), dtype, seed_of(path, text))
        owners.update({joined(path, tensor.name): tensor for tensor in tensors})
        frozen = layer.frozen.intersection(tensor.name for tensor in tensors)
        return replace(layer, tensors=tensors, layers=inside, frozen=frozen)

    def with_shared(layer: LayerSpec) -> LayerSpec:
        shared = {
            tensor.name: owner
            for tensor in layer.tensors
            if (owner := owners.get(layer.tied.get(tensor.name, ""))) and owner[1:3] == tensor[1:3]
        }
        tensors = tuple(
            tensor._replace(ref=shared[tensor.name].ref) if tensor.name in shared else tensor
            for tensor in layer.tensors
        )
        tied = {name: owner for name, owner in layer.tied.items() if name in shared}
        return replace(layer, tensors=tensors, tied=tied, layers=tuple(map(with_shared, layer.layers)))

    return replace(model, root=with_shared(with_own("", model.root)))


def changed_tensors(
    layer: LayerSpec, shapes: Shapes, dtype: str, seed: int, is_fresh: bool = False
) -> tuple[TensorInfo, ...]:
    """The tensors of a layer, given as it is before, once its kind or arguments ask for these shapes.

    One whose shape stays is kept. Of another the leading block that both shapes have is kept, or with `is_fresh`
    nothing. One of another number of dimensions is made anew. What the layer holds beside the tensors of its kind stays
    as it is. `dtype` is for new tensors of a layer that has none to go by. Raises EditError for numbers of a type that
    torch makes no weights of.
    """
    old = {tensor.name: tensor for tensor in layer.tensors}
    own_dtype = next((tensor.dtype for tensor in layer.tensors if _is_weight(tensor.dtype)), dtype)
    tensors: list[TensorInfo] = []
    for name, shape in shapes.items():
        tensor = old.get(name)
        if tensor is None:
            tensors += new_tensors({name: shape}, own_dtype, seed)
        elif tensor.shape == shape:
            tensors.append(tensor)
        elif not _is_weight(tensor.dtype):
            full = joined(layer.name, name)
            raise EditError(f"{full} is of type {tensor.dtype} that torch makes none of, so its shape must stay")
        else:
            ref = NewTensor(seed) if is_fresh else _resized(tensor, shape, seed)
            tensors.append(_tensor(name, tensor.dtype, shape, ref))
    own_names = own_shapes(layer).keys() | shapes.keys()
    return (*tensors, *(tensor for tensor in layer.tensors if tensor.name not in own_names))


def _resized(tensor: TensorInfo, shape: Shape, seed: int) -> NewTensor:
    """How a tensor of another shape is made around what can be kept of it.

    Of one that was resized before only the block that was kept is there to keep; one that was filled is filled again.
    """
    match tensor.ref:
        case TensorRef() as keep:
            kept = tensor.shape
        case NewTensor(keep=TensorRef() as keep, kept=kept):
            pass
        case NewTensor(init=init):
            return NewTensor(seed, init if len(tensor.shape) == len(shape) else None)
        case _:
            return NewTensor(seed)
    block = tuple(map(min, kept, shape))
    return NewTensor(seed, keep=keep, kept=block) if len(kept) == len(shape) and all(block) else NewTensor(seed)


def cast_tensor(tensor: TensorInfo, dtype: str) -> TensorInfo:
    """The tensor with its numbers converted; both types are among `DTYPES`, `dtype` is safetensors' word."""
    if tensor.dtype == dtype:
        return tensor
    ref = tensor.ref
    if isinstance(ref, TensorRef):
        ref = NewTensor(0, keep=ref, kept=tensor.shape)
    return _tensor(tensor.name, dtype, tensor.shape, ref)


def _tensor(name: str, dtype: str, shape: Shape, ref: TensorRef | NewTensor | None) -> TensorInfo:
    return TensorInfo(name, dtype, shape, math.prod(shape) * DTYPES[dtype].bits // 8, ref)


# The plan

Action = Literal["keep", "resize", "fresh", "drop"]


class Planned(NamedTuple):
    """What becomes of one tensor when the model is saved."""

    name: str
    """Its full name then; of one that is dropped, the name that it had."""
    action: Action
    source: str
    """The full name in the file of what is kept of it, empty when nothing is; of one that is dropped, its own there."""
    shape: Shape
    num_kept: int
    num_new: int
    """Elements."""
    num_lost: int = 0
    """Elements of what it was that are nowhere any more; told once, whatever shared them."""
    shared_with: str = ""
    """The full name of the tensor that holds its numbers; of one that is dropped, of one that still does."""
    untied_from: str = ""
    """The full name of a tensor whose numbers were the same, not only alike."""


def weights_plan(before: ModelSpec, after: ModelSpec) -> list[Planned]:
    """What a save of `after` does with each tensor, in its order; then what of `before` it leaves out.

    A name whose numbers come from elsewhere than from `before`, made anew or out of an earlier file, is told once.
    """
    return _Plan(before, after).rows()


class _Told(NamedTuple):
    """A tensor of a model, for its plan."""

    name: str
    """In full."""
    tensor: TensorInfo
    owner: str
    """The full name of the tensor that it shares the numbers of; empty for one that has its own."""

    @property
    def source(self) -> TensorRef | None:
        """The stored tensor of which something is kept."""
        ref = self.tensor.ref
        return ref.keep if isinstance(ref, NewTensor) else ref

    @property
    def num_kept(self) -> int:
        """Elements."""
        if self.source is None:
            return 0
        return math.prod(self.tensor.ref.kept if isinstance(self.tensor.ref, NewTensor) else self.tensor.shape)


class _Plan:
    """What is known of two models while the rows of their plan are made."""

    def __init__(self, before: ModelSpec, after: ModelSpec) -> None:
        self.old, self.now = list(_all_tensors(before)), list(_all_tensors(after))
        self.shapes = {told.source: told.tensor.shape for told in self.old if told.source}
        self.one = self._owners()
        self.most_kept: dict[TensorRef, int] = {}
        """Of what was one, how many elements stay in the tensor that keeps most."""
        self.keepers: dict[TensorRef, _Told] = {}
        """The first tensor that keeps something of what was one."""
        for told in self.now:
            if told.source:
                owner = self.owner_of(told.source)
                self.most_kept[owner] = max(told.num_kept, self.most_kept.get(owner, 0))
                self.keepers.setdefault(owner, told)
        self.counted: set[TensorRef] = set()
        """Of what was one, those whose loss is told."""

    def _owners(self) -> dict[TensorRef, TensorRef]:
        """The stored tensor of which each one that shared its numbers was a part."""
        by_name = {told.name: told for told in self.old}
        pairs = ((told.source, by_name[told.owner].source) for told in self.old if told.owner in by_name)
        return {source: owner for source, owner in pairs if source and owner}

    def owner_of(self, source: TensorRef) -> TensorRef:
        return self.one.get(source, source)

    def rows(self) -> list[Planned]:
        before = {told.name: told for told in self.old}
        used = {told.source for told in self.now}
        told_names = {told.name for told in self.now if told.source not in self.shapes}
        there = [self._row(told, before.get(told.name)) for told in self.now]
        gone = [
            self._gone(told, ref)
            for told in self.old
            if (ref := told.tensor.stored) and ref not in used and told.name not in told_names
        ]
        return [*there, *gone]

    def _lost(self, source: TensorRef) -> int:
        """Elements of a stored tensor that no tensor keeps, the first time that it is asked."""
        owner = self.owner_of(source)
        if owner in self.counted or source not in self.shapes:
            return 0
        self.counted.add(owner)
        return max(math.prod(self.shapes[source]) - self.most_kept.get(owner, 0), 0)

    def _row(self, told: _Told, before: _Told | None) -> Planned:
        """What becomes of a tensor; `before` is the one that had its name."""
        name, tensor, shared = told.name, told.tensor, told.owner
        count, kept, source = math.prod(tensor.shape), told.num_kept, told.source
        if source is None:
            lost = self._lost(before.source) if before and before.source else 0
            return Planned(name, "fresh", "", tensor.shape, 0, count, lost, shared)
        is_whole = kept == count and self.shapes.get(source, tensor.shape) == tensor.shape
        action: Action = "keep" if is_whole else "resize"
        lost, parted = self._lost(source), self._untied_from(told, before)
        return Planned(name, action, source.name, tensor.shape, kept, count - kept, lost, shared, parted)

    def _untied_from(self, told: _Told, before: _Told | None) -> str:
        """The tensor with which one shared its numbers before, and with which it does not any more."""
        if before is None or before.source is None or before.source != told.source:
            return ""
        keeper = self.keepers[self.owner_of(before.source)]
        is_parted = (told.owner or told.name) != (keeper.owner or keeper.name) and keeper.source != told.source
        return keeper.name if is_parted else ""

    def _gone(self, told: _Told, ref: TensorRef) -> Planned:
        keeper = self.keepers.get(self.owner_of(ref))
        heir = keeper.name if keeper else ""
        return Planned(told.name, "drop", ref.name, told.tensor.shape, 0, 0, self._lost(ref), heir)


def _all_tensors(model: ModelSpec) -> Iterator[_Told]:
    """Every tensor of a model."""
    for path, layer in walk_layer("", model.root):
        for tensor in layer.tensors:
            yield _Told(joined(path, tensor.name), tensor, layer.tied.get(tensor.name, ""))
