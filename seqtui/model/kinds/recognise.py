"""What a layer's tensors show of its kind, and how a row of `kinds` says that it is the one.

A guess names the likeliest kind, the arguments that follow from the shapes, and what else it could be; what cannot be
told is left unsaid. stride, padding, heads, eps and the like leave no trace in tensors and are never guessed. A layer
that was quantised is guessed as the layer it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

LARGEST_KERNEL = 31
"""A longer last dimension of three is taken for features rather than for a kernel, unless the name says `conv`."""

EMBEDDING_NAME = r"emb|wte|wpe|token|vocab|position|attention_bias"
LINEAR_NAME = r"proj|lin|head|dense|(^|_)fc(_|$)"
NORM_NAME = r"norm|group|(^|_)(ln|gn)(_|$)"
GROUP_NORM_NAME = r"group|(^|_)gn(_|$)"
ACTIVATION_NAME = r"relu|(^|_)act"
DEPTHWISE_NAME = r"depthwise|(^|_)dw"
TRANSPOSED_NAME = r"transpose|deconv|conv_?t(rans)?(_|$)|(^|_)up(_|$|conv|samp)"

Values = dict[str, Value]


class Guess(NamedTuple):
    """What a layer probably is."""

    kind: str
    """The class name in torch.nn."""
    args: Mapping[str, Value]
    """What the shapes tell, where it differs from torch's default. A convolution's `in_channels` is for groups=1."""
    alternatives: tuple[str, ...] = ()
    """Other class names, likeliest first; `Conv1D` is transformers' Linear with a transposed weight."""


class Evidence(NamedTuple):
    """All that a layer's tensors show."""

    word: str
    """The layer's own name in lower case, without digits at its end: `conv` of `conv1`."""
    shapes: Mapping[str, Shape]
    is_plain: bool
    """Whether all numbers are floating, one an element, as torch.nn creates parameters."""

    @property
    def weight(self) -> Shape:
        return self.shapes["weight"]

    @property
    def bias(self) -> Shape | None:
        return self.shapes.get("bias")

    def is_named(self, pattern: str) -> bool:
        """Whether the layer's own name speaks for one of the patterns above."""
        return re.search(pattern, self.word) is not None

    def may_be_kernel(self) -> bool:
        """Whether the last of three dimensions is short enough for a kernel, or the name says so."""
        return self.weight[2] <= LARGEST_KERNEL or "conv" in self.word

    def without(self, name: str) -> Values:
        """`bias=False` when the named tensor is not there."""
        return {} if name in self.shapes else {"bias": False}


class Recogniser(NamedTuple):
    """One way to tell a kind."""

    required: frozenset[str]
    optional: frozenset[str] | None
    """Names that may stand beside; None for any."""
    guess: Callable[[Evidence], Guess | None]
    """Asked when the names fit; None when the shapes do not."""
    is_packed: bool = False
    """Whether the numbers may be stored otherwise than torch.nn creates them."""


def recogniser(
    required: str, optional: str | None, guess: Callable[[Evidence], Guess | None], is_packed: bool = False
) -> Recogniser:
    """A way whose names are written as words: `weight bias`."""
    beside = None if optional is None else frozenset(optional.split())
    return Recogniser(frozenset(required.split()), beside, guess, is_packed)
