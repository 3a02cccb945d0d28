"""What a judged case is made of: arguments and an input, and the small ways to draw them near the edge of refusal."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape


class Draw(NamedTuple):
    """One case: how a layer is made, and what it is fed."""

    args: dict[str, Value]
    x: Signal
    dtype: str = "float32"
    """torch's word for the type of the layer's weights."""


Generator = Callable[[random.Random], Draw]
"""Gives the next case of one kind; the same for the same state of its random numbers."""

Flaw = Callable[[random.Random, Draw], Draw]
"""Bends a case that may be sound. What torch then says of it is torch's business."""


def flawed(rng: random.Random, draw: Draw, *flaws: Flaw, chance: float = 0.35) -> Draw:
    """The draw as it is, or by a chance with one of the flaws, seldom with more."""
    while rng.random() < chance:
        draw, chance = rng.choice(flaws)(rng, draw), 0.15
    return draw


def retyped(rng: random.Random, draw: Draw) -> Draw:
    """Whole numbers or booleans instead of floats, or the other way round."""
    dtype = rng.choice(("int64", "int64", "bool")) if draw.x.dtype == "float32" else "float32"
    return draw._replace(x=draw.x._replace(dtype=dtype))


def redimensioned(rng: random.Random, draw: Draw) -> Draw:
    """One or two dimensions more or fewer, at the front."""
    shape = draw.x.shape
    changed = rng.choice((shape[1:], shape[2:], (1, *shape), (2, *shape), (1, 2, *shape)))
    return draw._replace(x=draw.x._replace(shape=changed))


def resized(rng: random.Random, draw: Draw) -> Draw:
    """One dimension of another size: none, one, or one more or fewer."""
    if not draw.x.shape:
        return draw
    axis = rng.randrange(len(draw.x.shape))
    size = draw.x.shape[axis]
    changed = max(0, rng.choice((0, 1, size - 1, size + 1)))
    return draw._replace(x=draw.x._replace(shape=(*draw.x.shape[:axis], changed, *draw.x.shape[axis + 1 :])))


def emptied(rng: random.Random, draw: Draw) -> Draw:
    """The first dimension empty: a batch of none."""
    return draw._replace(x=draw.x._replace(shape=(0, *draw.x.shape[1:])))


def argument(name: str, *values: Value) -> Flaw:
    """One argument set to one of the values."""
    return lambda rng, draw: draw._replace(args={**draw.args, name: rng.choice(values)})


def flag(rng: random.Random, chance: float = 0.5) -> bool:
    return rng.random() < chance


def per_dimension(rng: random.Random, dims: int, low: int, high: int) -> int | tuple[int, ...]:
    """A number for all dimensions, one for each, or one alone in a tuple."""
    form = rng.random()
    if form < 0.5:
        return rng.randint(low, high)
    return tuple(rng.randint(low, high) for _ in range(1 if form > 0.95 else dims))


def spread(value: Value, dims: int) -> Shape:
    """A number or a tuple as one whole number a dimension, whatever is missing taken from the first."""
    if isinstance(value, tuple):
        sizes = tuple(size for size in value if isinstance(size, int))
        return (sizes + sizes[:1] * dims)[:dims]
    return (value if isinstance(value, int) else 0,) * dims


def image(rng: random.Random, channels: int, lengths: Shape) -> Signal:
    """Channels of the given lengths, in a batch or alone."""
    batch = rng.choice(((), (1,), (2,), (2,)))
    return Signal((*batch, channels, *lengths), "float32")


def anything(rng: random.Random, int_chance: float = 0.35) -> Signal:
    """Up to five dimensions of up to three elements, of either type."""
    shape = tuple(rng.choice((0, 1, 2, 2, 3)) for _ in range(rng.randint(0, 5)))
    return Signal(shape, "int64" if flag(rng, int_chance) else "float32")
