"""A model from bare tensor names and shapes, for a file that says nothing of its layers.

Dotted names become a tree, what is near certain of a layer is marked as a guess, and the rest stays a tree of tensors:
nothing is asserted, and every full name can be told again from path and name. Siblings stand in natural order, since
safetensors keeps none. A checkpoint can have a hundred thousand tensors and all of this runs before the first frame.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from seqtui.model.guess_kinds import Guess, Signature, guess_kind
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import Shape, TensorInfo, TensorRef

WRAPPERS = ("module.", "_orig_mod.", "net.", "state_dict.")
"""What DataParallel, torch.compile and training scripts put before every name."""
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
_name_dtype_shape: Callable[[TensorInfo], tuple[str, str, Shape]] = itemgetter(slice(3))


class _Tree(NamedTuple):
    """The tensors by what their names say, before there are layers."""

    tensors: Mapping[str, list[TensorInfo]]
    """Path -> the tensors right there."""
    names: Mapping[str, list[str]]
    """Path -> the names of the layers right below."""


def guess_model(tensors: Sequence[TensorInfo], source_id: str, metadata: Mapping[str, str]) -> tuple[ModelSpec, str]:
    """A tree of the tensors with its guesses marked, and the wrapper that all names carried: `module.`, or "".

    For every tensor of every layer, wrapper + path + "." + name is its full name in the source; for those of the root
    it is wrapper + name. A name with an empty part (`a..b`, `.a`) or more than `MAX_DEPTH` parts belongs to the root.
    """
    prefix = common_wrapper([tensor.name for tensor in tensors])
    root = _layer(_tree(tensors, source_id, len(prefix)), "", "")
    return ModelSpec(root, metadata=metadata), prefix


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


def _tree(tensors: Iterable[TensorInfo], source_id: str, start: int) -> _Tree:
    """All names from character `start` on, taken apart."""
    loose: list[TensorInfo] = []
    by_path = {"": loose}
    for full_name, dtype, shape, nbytes, _ in tensors:
        path, _, name = full_name[start:].rpartition(".")
        siblings = by_path.get(path)
        if siblings is None:
            siblings = by_path[path] = [] if _is_path(path) else loose
        if siblings is loose or not name:
            siblings, name = loose, full_name[start:]
        ref = _new(TensorRef, (source_id, full_name))
        siblings.append(_new(TensorInfo, (name, dtype, shape, nbytes, ref)))
    return _Tree(by_path, _names(path for path, siblings in by_path.items() if siblings and siblings is not loose))


def _is_path(path: str) -> bool:
    """Whether no part is empty and there are not too many."""
    return ".." not in f".{path}." and path.count(".") < MAX_DEPTH


def _names(paths: Iterable[str]) -> dict[str, list[str]]:
    """Path -> the names right below, for all paths and those on the way to them."""
    names: dict[str, list[str]] = defaultdict(list)
    known = {""}
    for path in paths:
        while path not in known:
            known.add(path)
            path, _, name = path.rpartition(".")
            names[path].append(name)
    return names


def _layer(tree: _Tree, path: str, name: str) -> LayerSpec:
    """The layer at a path with all below it, its guess made. The nameless root is a Sequential or opaque."""
    tensors = tree.tensors.get(path)
    layers: tuple[LayerSpec, ...] = ()
    if path in tree.names:
        start = f"{path}." if path else ""
        layers = tuple([_layer(tree, start + inner, inner) for inner in sorted(tree.names[path], key=natural_key)])
    guess = None
    if tensors:
        signature = tuple(map(_name_dtype_shape, tensors))
        tensors = [tensors[place] for place in _order(signature)]
        guess = guess_kind(name, signature + _below(tensors, layers) if layers else signature) if name else None
    elif looks_sequential(layers):
        guess, layers = _SEQUENTIAL, _with_gaps(layers)
    own = tuple(tensors or ())
    if guess is None:
        return LayerSpec(name, tensors=own, layers=layers, origin="opaque")
    kind, args, alternatives = guess
    return LayerSpec(name, kind, args, own, layers=layers, origin="guessed", alternatives=alternatives)


@lru_cache(maxsize=4096)
def _order(signature: Signature) -> tuple[int, ...]:
    """The places of a layer's tensors as they shall stand: weight, bias, statistics, the others in natural order."""

    def key(place: int) -> tuple[int, str]:
        name = signature[place][0]
        is_first = name in _FIRST_TENSORS
        return _FIRST_TENSORS.index(name) if is_first else len(_FIRST_TENSORS), natural_key(name)

    return tuple(sorted(range(len(signature)), key=key))


def _below(tensors: Iterable[TensorInfo], layers: Sequence[LayerSpec]) -> Signature:
    """Where a name is leaf and branch at once, the tensors below it: `weight.absmax` beside `weight`."""
    names = {tensor.name for tensor in tensors}
    return tuple(
        (f"{layer.name}.{tensor.name}", tensor.dtype, tensor.shape)
        for layer in layers
        if layer.name in names
        for tensor in layer.tensors
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
