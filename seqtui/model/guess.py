"""A model from bare tensor names and shapes, for a file that says nothing of its layers.

Dotted names become a tree, what is near certain of a layer is marked as a guess, and the rest stays a tree of tensors:
nothing is asserted, and every full name can be told again from path and name. Siblings stand in natural order, since
safetensors keeps none. A checkpoint can have a hundred thousand tensors and all of this runs before the first frame.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter, methodcaller
from typing import NamedTuple

from seqtui.model.guess_kinds import Guess, Signature, guess_kind
from seqtui.model.spec import Deferred, LayerSpec, ModelSpec
from seqtui.model.tensors import Shape, TensorInfo, TensorRef

WRAPPERS = ("module.", "_orig_mod.", "net.", "state_dict.")
"""What DataParallel, torch.compile and training scripts put before every name."""
AT_ONCE = 1000
"""Tensors up to which every layer is made at once; of a larger model, when somebody looks."""
MAX_DEPTH = 64
"""Parts of a path; a longer name is no path and stands whole among the tensors that belong to no layer."""
MAX_GAPS = 1000
"""Layers without tensors that the numbers of one container may imply."""
MAX_GAPS_EACH = 4
"""The same for each layer that is there."""
MAX_INDEX_DIGITS = 9
"""Digits of a number that can be the place of a layer."""

_SEQUENTIAL = Guess("Sequential", {}, ("ModuleList",))
_FIRST_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_DIGITS = re.compile("[0-9]+")
_new = tuple.__new__
"""Makes a named tuple in half the time that its class takes, and here are two for each tensor."""
_count_dots: Callable[[str], int] = methodcaller("count", ".")
_name_dtype_shape: Callable[[TensorInfo], tuple[str, str, Shape]] = itemgetter(slice(3))


def guess_model(tensors: Sequence[TensorInfo], source_id: str, metadata: Mapping[str, str]) -> tuple[ModelSpec, str]:
    """A tree of the tensors with its guesses marked, and the wrapper that all names carried: `module.`, or "".

    For every tensor of every layer, wrapper + path + "." + name is its full name in the source; for those of the root
    it is wrapper + name. A name with an empty part (`a..b`, `.a`) or more than `MAX_DEPTH` parts belongs to the root.
    """
    names = [tensor.name for tensor in tensors]
    prefix = common_wrapper(names)
    start = len(prefix)
    odd = set() if _are_paths(names) else {name for name in names if not _is_path(name[start:])}
    loose = tuple(_local(tensor, source_id, start) for tensor in tensors if tensor.name in odd) if odd else ()
    pathed = [tensor for tensor in tensors if tensor.name not in odd] if odd else tensors
    root = _Maker(source_id, is_large=len(tensors) > AT_ONCE).layer("", pathed, start)
    return ModelSpec(replace(root, tensors=root.tensors + loose), metadata=metadata), prefix


def common_wrapper(names: Sequence[str]) -> str:
    """The wrappers, also chained, that every name begins with and none ends with: `module._orig_mod.`, or ""."""
    start, is_longer = 0, bool(names)
    while is_longer:
        is_longer = False
        for wrapper in WRAPPERS:
            end = start + len(wrapper)
            if all(name.startswith(wrapper, start) and len(name) > end for name in names):
                start, is_longer = end, True
    return names[0][:start] if names else ""


def _are_paths(names: Sequence[str]) -> bool:
    """Whether all names are surely paths, looked at in bulk: hardly any file has one that is not."""
    text = "\n".join(names)
    is_odd = ".." in text or "\n." in text or ".\n" in text or text.startswith(".") or text.endswith(".")
    return not is_odd and max(map(_count_dots, names), default=0) <= MAX_DEPTH


def _is_path(name: str) -> bool:
    """Whether no part is empty and there are not too many. A name without a dot is one even when it is empty."""
    return "." not in name or (".." not in f".{name}." and name.count(".") <= MAX_DEPTH)


def _local(tensor: TensorInfo, source_id: str, start: int) -> TensorInfo:
    """The tensor as its layer has it, its name from character `start` on."""
    name, dtype, shape, nbytes, _ = tensor
    return _new(TensorInfo, (name[start:], dtype, shape, nbytes, _new(TensorRef, (source_id, name))))


class _Maker(NamedTuple):
    """Makes layers of the tensors whose names begin alike."""

    source_id: str
    is_large: bool
    """Whether what a container holds waits until somebody looks into it."""

    def layer(self, name: str, tensors: Sequence[TensorInfo], start: int) -> LayerSpec:
        """One layer with all below it, its guess made. The nameless root is a Sequential or opaque.

        `tensors` are all inside; their names are the same up to character `start`, where what stands in the layer
        begins.
        """
        own: list[TensorInfo] = []
        below: dict[str, list[TensorInfo]] = defaultdict(list)
        for tensor in tensors:
            full_name = tensor[0]
            dot = full_name.find(".", start)
            if dot < 0:
                own.append(_local(tensor, self.source_id, start))
            else:
                below[full_name[start:dot]].append(tensor)
        layers = self.layers(tensors, below, start) if below else ()
        guess = None
        if own:
            signature = tuple(map(_name_dtype_shape, own))
            own = [own[place] for place in _order(signature)]
            guess = guess_kind(name, signature + _below(own, below, start)) if name else None
        elif not isinstance(layers, Deferred) and looks_sequential(layers):
            guess, layers = _SEQUENTIAL, _with_gaps(layers)
        if guess is None:
            return LayerSpec(name, tensors=tuple(own), layers=layers, origin="opaque")
        kind, args, alternatives = guess
        return LayerSpec(name, kind, args, tuple(own), layers=layers, origin="guessed", alternatives=alternatives)

    def layers(
        self, tensors: Sequence[TensorInfo], below: Mapping[str, Sequence[TensorInfo]], start: int
    ) -> Sequence[LayerSpec]:
        """The layers inside one, in natural order.

        Those of a large model are deferred, but for numbered ones in a number that a Sequential may have: whether they
        form one shows in their kinds.
        """
        names = sorted(below, key=natural_key)

        def make() -> tuple[LayerSpec, ...]:
            return tuple([self.layer(name, below[name], start + len(name) + 1) for name in names])

        may_be_sequential = len(names) <= 2 * MAX_GAPS and all(map(_is_index, names))
        return Deferred(names, tensors, make) if self.is_large and not may_be_sequential else make()


@lru_cache(maxsize=4096)
def _order(signature: Signature) -> tuple[int, ...]:
    """The places of a layer's tensors as they shall stand: weight, bias, statistics, the others in natural order."""

    def key(place: int) -> tuple[int, str]:
        name = signature[place][0]
        is_first = name in _FIRST_TENSORS
        return _FIRST_TENSORS.index(name) if is_first else len(_FIRST_TENSORS), natural_key(name)

    return tuple(sorted(range(len(signature)), key=key))


def _below(own: Iterable[TensorInfo], below: Mapping[str, Sequence[TensorInfo]], start: int) -> Signature:
    """Where a name is leaf and branch at once, the tensors right below it: `weight.absmax` beside `weight`."""
    return tuple(
        (inside.name[start:], inside.dtype, inside.shape)
        for tensor in own
        for inside in below.get(tensor.name, ())
        if inside.name.count(".", start) == 1
    )


def looks_sequential(layers: Sequence[LayerSpec]) -> bool:
    """Whether the names are numbers with gaps, or of unlike kinds, and at least one is a layer of torch.nn.

    A complete run of equals is as likely a ModuleList. Gaps that are too many are not a Sequential's.
    """
    numbers = [layer.name for layer in layers]
    if not all(map(_is_index, numbers)):
        return False
    kinds = {layer.kind for layer in layers}
    gaps = int(numbers[-1]) + 1 - len(numbers) if numbers else 0
    is_plausible = gaps <= min(MAX_GAPS, MAX_GAPS_EACH * len(numbers))
    return kinds != {None} and is_plausible and (gaps > 0 or len(kinds) > 1)


def _is_index(name: str) -> bool:
    """Whether it is a number as torch writes one, and not absurdly long."""
    return name.isascii() and name.isdigit() and (name[0] != "0" or name == "0") and len(name) <= MAX_INDEX_DIGITS


def _with_gaps(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The numbered layers and, for each missing number, one that is known only to have been there."""
    present = {int(layer.name): layer for layer in layers}
    return tuple(present.get(index) or LayerSpec(str(index), origin="guessed") for index in range(max(present) + 1))


@lru_cache(maxsize=4096)
def natural_key(name: str) -> str:
    """Sorts names with their numbers as numbers: `2` before `10`. Numbers above 20 digits sort as text."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(20), name)
