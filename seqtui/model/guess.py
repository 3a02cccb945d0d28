"""A model from bare tensor names and shapes, for a file that says nothing of its layers.

Dotted names become a tree, what is near certain of a layer is marked as a guess, and the rest stays a tree of tensors:
nothing is asserted, and every full name can be told again from path and name. Siblings stand in natural order, since
safetensors keeps none. A checkpoint can have a hundred thousand tensors and all of this runs before the first frame.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from seqtui.model.guess_kinds import Signature, guess_kind
from seqtui.model.kinds.recognise import Guess
from seqtui.model.spec import Deferred, LayerSpec, ModelSpec
from seqtui.model.tensors import (
    FLOATING,
    RUNNING_STATISTICS,
    Shape,
    TensorInfo,
    TensorRef,
    TensorTable,
    is_parameter,
)

WRAPPERS = ("module.", "_orig_mod.", "net.", "state_dict.")
"""What DataParallel, torch.compile and training scripts put before every name."""
AT_ONCE = 1000
"""Tensors up to which every layer is made at once; of a larger model, when somebody looks."""
MAX_DEPTH = 64
"""Parts of a path; what a longer name has after them is the name of a tensor."""
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


def guess_model(tensors: TensorTable, source_id: str, metadata: Mapping[str, str]) -> tuple[ModelSpec, str]:
    """A tree of the tensors with its guesses marked, and the wrapper that all names carried: `module.`, or "".

    For every tensor of every layer, wrapper + path + "." + name is its full name in the source; for those of the root
    it is wrapper + name. Where a part would be empty (`a..b`), or the path deeper than `MAX_DEPTH`, the rest of the
    name stays whole.
    """
    tensors = tensors.by_name()
    prefix = common_wrapper(tensors.names)
    maker = _Maker(source_id, tensors, _Counts(tensors) if len(tensors) > AT_ONCE else None)
    root = maker.layer("", _Part(0, len(tensors), len(prefix)))
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


class _Part(NamedTuple):
    """The tensors inside one layer: those from `first` to before `end`, whose names are alike up to `start`."""

    first: int
    end: int
    start: int
    """The character at which the names of what stands in the layer begin."""


class _Counts:
    """How many elements there are before each place of a table."""

    def __init__(self, tensors: TensorTable) -> None:
        sizes = {form: math.prod(form[1]) for form in set(tensors.forms)}
        params = {form: size if form[0] in FLOATING else 0 for form, size in sizes.items()}
        counted = [params[form] for form in tensors.forms]
        for place in [place for place, name in enumerate(tensors.names) if name.endswith(RUNNING_STATISTICS)]:
            if not is_parameter(tensors.names[place].rpartition(".")[2], tensors.forms[place][0]):
                counted[place] = 0
        self._params = list(accumulate(counted, initial=0))
        self._elements = list(accumulate(map(sizes.__getitem__, tensors.forms), initial=0))

    def inside(self, part: _Part) -> tuple[int, int]:
        """Elements of the parameters and of the buffers in a part."""
        params = self._params[part.end] - self._params[part.first]
        return params, self._elements[part.end] - self._elements[part.first] - params


class _Maker(NamedTuple):
    """Makes layers of tensors that are sorted by name, so that those inside one layer stand together."""

    source_id: str
    tensors: TensorTable
    counts: _Counts | None
    """Of a large model, in which what a container holds waits until somebody looks into it."""

    def layer(self, name: str, part: _Part) -> LayerSpec:
        """One layer with all below it, its guess made. The nameless root is a Sequential or opaque."""
        own, below = self.taken_apart(part)
        layers = self.layers(part, below, is_root=not name) if below else ()
        guess = None
        if own:
            signature = tuple(map(_name_dtype_shape, own))
            own = [own[place] for place in _order(signature)]
            guess = guess_kind(name, signature + self.right_below(own, below)) if name else None
        elif not isinstance(layers, Deferred) and looks_sequential(layers):
            guess, layers = _SEQUENTIAL, _with_gaps(layers)
        if guess is None:
            return LayerSpec(name, tensors=tuple(own), layers=layers, origin="opaque")
        kind, args, alternatives = guess
        return LayerSpec(name, kind, args, tuple(own), layers=layers, origin="guessed", alternatives=alternatives)

    def taken_apart(self, part: _Part) -> tuple[list[TensorInfo], dict[str, _Part]]:
        """The tensors right in a layer, named as it names them, and the parts of the layers right below by name."""
        own: list[TensorInfo] = []
        below: dict[str, _Part] = {}
        names = self.tensors.names
        at, end, start = part
        is_deepest = at < end and names[at].count(".", 0, start) >= MAX_DEPTH
        while at < end:
            name = names[at]
            dot = name.find(".", start)
            if dot <= start or is_deepest:  # no further part, or an empty one
                dtype, shape, nbytes = self.tensors.forms[at]
                ref = _new(TensorRef, (self.source_id, name))
                own.append(_new(TensorInfo, (name[start:], dtype, shape, nbytes, ref)))
                at += 1
            else:  # what begins with "path." ends before "path/", the next character
                after = bisect_left(names, f"{name[:dot]}/", at, end)
                below[name[start:dot]] = _Part(at, after, dot + 1)
                at = after
        return own, below

    def layers(self, part: _Part, below: Mapping[str, _Part], is_root: bool) -> Sequence[LayerSpec]:
        """The layers inside one, in natural order.

        Those of a large model are deferred, but for the root's, which are always seen, and numbered ones in a number
        that a Sequential may have: whether they form one shows in their kinds.
        """
        names = sorted(below, key=natural_key)

        def make() -> tuple[LayerSpec, ...]:
            return tuple([self.layer(name, below[name]) for name in names])

        is_seen = is_root or (len(names) <= 2 * MAX_GAPS and all(map(_is_index, names)))
        if is_seen or self.counts is None:
            return make()
        return Deferred(names, make, part.end - part.first, *self.counts.inside(part))

    def right_below(self, own: Iterable[TensorInfo], below: Mapping[str, _Part]) -> Signature:
        """Where a name is leaf and branch at once, the tensors right below it: `weight.absmax` beside `weight`."""
        if not below:
            return ()
        parts = [(tensor.name, below[tensor.name]) for tensor in own if tensor.name in below]
        return tuple(
            (f"{name}.{inside.name}", inside.dtype, inside.shape)
            for name, part in parts
            for inside in self.taken_apart(part)[0]
        )


@lru_cache(maxsize=4096)
def _order(signature: Signature) -> tuple[int, ...]:
    """The places of a layer's tensors as they shall stand: weight, bias, statistics, the others in natural order."""

    def key(place: int) -> tuple[int, str]:
        name = signature[place][0]
        is_first = name in _FIRST_TENSORS
        return _FIRST_TENSORS.index(name) if is_first else len(_FIRST_TENSORS), natural_key(name)

    return tuple(sorted(range(len(signature)), key=key))


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
