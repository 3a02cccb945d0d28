"""Draws for activations with a rule of their own, the rarer kinds of pooling, and padding other than zeros."""

from __future__ import annotations

import random
from functools import partial

from judge.draw import (
    Draw,
    Generator,
    anything,
    argument,
    flag,
    flawed,
    image,
    per_dimension,
    redimensioned,
    resized,
    retyped,
)
from judge.windows import IMAGE_FLAWS, edge_lengths, padding
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import Value


def prelu(rng: random.Random) -> Draw:
    slopes = rng.choice((1, 2, 3, rng.randint(0, 4)))
    args: dict[str, Value] = {"num_parameters": slopes, "init": rng.choice((0.25, 0, 0.5, -1))}
    lengths = tuple(rng.randint(0 if flag(rng, 0.1) else 1, 3) for _ in range(rng.randint(0, 3)))
    draw = Draw(args, Signal((rng.randint(0, 2), slopes, *lengths), "float32"))
    odd = argument("num_parameters", -1, 1, 2, 3), argument("init", None)
    return flawed(rng, draw, retyped, redimensioned, resized, *odd, chance=0.5)


def rrelu(rng: random.Random) -> Draw:
    args: dict[str, Value] = {
        "lower": rng.choice((0.125, 0, -0.5, 0.5, 1)),
        "upper": rng.choice((1 / 3, 0.5, 1, 2)),
        "inplace": flag(rng),
    }
    return Draw(args, anything(rng))


def threshold(rng: random.Random) -> Draw:
    numbers: tuple[Value, ...] = (0, 0.5, -1, 2, 0.1, 300, -0.5, 1e5, None)
    args: dict[str, Value] = {
        "threshold": rng.choice(numbers),
        "value": rng.choice(numbers),
        "inplace": flag(rng),
    }
    x = anything(rng)
    return Draw(args, x._replace(dtype="bool") if flag(rng, 0.1) else x)


def glu(rng: random.Random) -> Draw:
    shape = tuple(rng.choice((0, 1, 2, 2, 4, 4)) for _ in range(rng.choice((0, 1, 2, 3, 3, 4, 4))))
    draw = Draw({"dim": rng.choice((-1, -1, 0, 1, 1, -2, 2))}, Signal(shape, "float32"))
    return flawed(rng, draw, retyped, resized, argument("dim", 3, -4), chance=0.25)


def softmax2d(rng: random.Random) -> Draw:
    lengths = (rng.randint(0 if flag(rng, 0.1) else 1, 3), rng.randint(1, 3))
    return flawed(rng, Draw({}, image(rng, rng.randint(1, 3), lengths)), *IMAGE_FLAWS, redimensioned, chance=0.7)


def power_pool(dims: int, rng: random.Random) -> Draw:
    exact = rng.randint(1, 4) if dims == 1 else per_dimension(rng, dims, 1, 4)
    args: dict[str, Value] = {
        "norm_type": rng.choice((2, 1.0, 2.0, 3, 0.5, -1, float("inf"), float("-inf"))),
        "kernel_size": exact,
        "stride": rng.choice((None, per_dimension(rng, dims, 1, 4))),
        "ceil_mode": flag(rng),
    }
    flaws = (
        argument("norm_type", 0, 0.0, None),
        argument("kernel_size", 0, -1, (2,), (2, 2), (1, 2, 3)),
        argument("stride", 0, -1, (2,), (1, 2), (2, 1, 1)),
    )
    draw = Draw(args, image(rng, rng.randint(1, 3), edge_lengths(rng, dims, args)))
    return flawed(rng, draw, *IMAGE_FLAWS, *flaws, chance=0.35)


def fractional_pool(dims: int, rng: random.Random) -> Draw:
    kernel, target = per_dimension(rng, dims, 1, 3), per_dimension(rng, dims, 0 if flag(rng, 0.1) else 1, 3)
    args: dict[str, Value] = {"kernel_size": kernel, "output_size": target, "return_indices": flag(rng)}
    if flag(rng):
        parts = tuple(rng.choice((0.1, 0.25, 0.5, 0.7, 0.9)) for _ in range(dims))
        args |= {"output_size": None, "output_ratio": rng.choice((parts, parts[0]))}
    lengths = tuple(rng.randint(5, 7) if flag(rng, 0.9) else rng.randint(1, 4) for _ in range(dims))
    flaws = (
        argument("kernel_size", 0, -1, 5, (2,), (2, 2), (1, 2, 3), (2, 0, 1)),
        argument("output_size", None, -1, 2, 6, (2,), (1, 2), (1, 2, 3)),
        argument("output_ratio", None, 0.5, 0, 1, (0.5,), (0.5, 0.9), (0.5, 0.2, 0.3), (0.5, 0.5, 1.5, 0.5)),
    )
    return flawed(rng, Draw(args, image(rng, rng.randint(1, 3), lengths)), *IMAGE_FLAWS, *flaws, chance=0.2)


def unpool(dims: int, rng: random.Random) -> Draw:
    args: dict[str, Value] = {
        "kernel_size": per_dimension(rng, dims, 1, 3),
        "stride": rng.choice((None, per_dimension(rng, dims, 1, 3))),
        "padding": per_dimension(rng, dims, 0, 1),
    }
    return Draw(args, anything(rng))


def constant_padding(dims: int, rng: random.Random) -> Draw:
    draw = padding("constant", dims, rng)
    value = rng.choice((0, 0.5, -3, 2, 300, 1e5, float("-inf")) if flag(rng, 0.9) else (None, "zero", float("inf")))
    return draw._replace(args={**draw.args, "value": value})


GENERATORS: dict[str, Generator] = {
    "PReLU": prelu,
    "RReLU": rrelu,
    "Threshold": threshold,
    "GLU": glu,
    "Softmax2d": softmax2d,
    **{f"LPPool{dims}d": partial(power_pool, dims) for dims in (1, 2, 3)},
    **{f"FractionalMaxPool{dims}d": partial(fractional_pool, dims) for dims in (2, 3)},
    **{f"MaxUnpool{dims}d": partial(unpool, dims) for dims in (1, 2, 3)},
    **{f"ConstantPad{dims}d": partial(constant_padding, dims) for dims in (1, 2, 3)},
    **{f"ReplicationPad{dims}d": partial(padding, "replicate", dims) for dims in (1, 2, 3)},
    **{f"CircularPad{dims}d": partial(padding, "circular", dims) for dims in (1, 2, 3)},
}
