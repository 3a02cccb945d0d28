"""Draws for the kinds that slide or fit a window: convolutions, pooling, padding, Upsample."""

from __future__ import annotations

import random
from functools import partial

from judge.draw import (
    Draw,
    Generator,
    argument,
    emptied,
    flag,
    flawed,
    image,
    per_dimension,
    redimensioned,
    resized,
    retyped,
    spread,
)
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

IMAGE_FLAWS = (retyped, redimensioned, resized, resized, emptied)


def edge_lengths(rng: random.Random, dims: int, args: dict[str, Value]) -> Shape:
    """Lengths at which the padded input holds the dilated kernel and little more; now and then one falls short."""
    kernel, padding = spread(args["kernel_size"], dims), spread(args.get("padding"), dims)
    dilation = spread(args.get("dilation", 1), dims)
    short = rng.randrange(dims) if flag(rng, 0.15) else None
    return tuple(
        max(0, step * (size - 1) + 1 - 2 * border + (-1 if axis == short else rng.choice((0, 0, 1, 2, 3, 4, 5))))
        for axis, (size, border, step) in enumerate(zip(kernel, padding, dilation, strict=True))
    )


def convolution(rng: random.Random, dims: int) -> dict[str, Value]:
    """What convolutions and transposed ones share; kernels and channels small, for the sake of the clock."""
    groups = rng.choice((1, 1, 2, 3))
    return {
        "in_channels": groups * (rng.randint(1, 2) if flag(rng, 0.97) else 0),
        "out_channels": groups * rng.randint(1, 2),
        "kernel_size": per_dimension(rng, dims, 1, 3) if flag(rng, 0.97) else 0,
        "stride": rng.choice((1, per_dimension(rng, dims, 1, 3))),
        "padding": per_dimension(rng, dims, 0, 2),
        "dilation": per_dimension(rng, dims, 1, 2),
        "groups": groups,
        "bias": flag(rng),
        "padding_mode": "zeros",
    }


CONVOLUTION_FLAWS = (
    *IMAGE_FLAWS,
    argument("groups", 0, -1, 2, 3, 4),
    argument("in_channels", 0, -2, 3),
    argument("out_channels", 0, -2, 5),
    argument("kernel_size", 0, -1, (2, 2), (1, 2, 3), (2,)),
    argument("stride", 0, -1, (1, 2), (1, 2, 1)),
    argument("padding", -1, (1, 2), (0, 1, 2), (1, -1)),
    argument("dilation", -1, (1, 2), (1, 2, 1)),
)


def forward_convolution(dims: int, rng: random.Random) -> Draw:
    args = convolution(rng, dims)
    if flag(rng, 0.3):
        args["padding"] = rng.choice(("same", "valid"))
        if args["padding"] == "same" and flag(rng, 0.9):
            args["stride"] = 1
    if flag(rng, 0.3):
        args["padding_mode"] = rng.choice(("reflect", "replicate", "circular"))
    channels = args["in_channels"]
    assert isinstance(channels, int)
    draw = Draw(args, image(rng, channels, edge_lengths(rng, dims, args)))
    return flawed(
        rng,
        draw,
        *CONVOLUTION_FLAWS,
        argument("padding", "full", "same"),
        argument("padding_mode", "mirror"),
        chance=0.16,
    )


def transposed_convolution(dims: int, rng: random.Random) -> Draw:
    args = convolution(rng, dims)
    args["padding"] = per_dimension(rng, dims, 0, rng.choice((1, 1, 2)))
    limits = zip(spread(args["stride"], dims), spread(args["dilation"], dims), strict=True)
    fitting = tuple(rng.randint(0, max(limit) - 1) for limit in limits)
    args["output_padding"] = rng.choice((0, fitting, fitting, per_dimension(rng, dims, 0, 1)))
    channels = args["in_channels"]
    assert isinstance(channels, int)
    lengths = tuple(rng.randint(0 if flag(rng, 0.03) else 1, 4) for _ in range(dims))
    draw = Draw(args, image(rng, channels, lengths))
    if flag(rng, 0.1):
        args["padding_mode"] = rng.choice(("reflect", "replicate", "circular", "mirror"))
    flaws = (argument("output_padding", 1, 2, -1, (1, 0), (1, 0, 2)), argument("padding", 3, 4, "same"))
    return flawed(rng, draw, *CONVOLUTION_FLAWS, *flaws, chance=0.1)


def sliding_pool(dims: int, is_max: bool, rng: random.Random) -> Draw:
    args: dict[str, Value] = {
        "kernel_size": per_dimension(rng, dims, 1, 4),
        "stride": rng.choice((None, per_dimension(rng, dims, 1, 4))),
        "padding": rng.choice((0, per_dimension(rng, dims, 0, 1), per_dimension(rng, dims, 0, 2))),
        "ceil_mode": flag(rng),
    }
    flaws = [argument("kernel_size", 0, -1, (2, 2), (1, 2, 3)), argument("stride", 0, -1, (1, 2), (2, 1, 1))]
    flaws.append(argument("padding", -1, 2, (0, 1), (1, 0, 1)))
    if is_max:
        args |= {"dilation": per_dimension(rng, dims, 1, 3), "return_indices": flag(rng)}
        flaws.append(argument("dilation", 0, -1, (1, 2), (2, 1, 1)))
    else:
        args["count_include_pad"] = flag(rng)
        if dims > 1:
            args["divisor_override"] = rng.choice((None, 1, 3, -2))
            flaws.append(argument("divisor_override", 0))
    lengths = edge_lengths(rng, dims, args if is_max or flag(rng) else {**args, "padding": 0})
    return flawed(rng, Draw(args, image(rng, rng.randint(1, 3), lengths)), *IMAGE_FLAWS, *flaws, chance=0.15)


def adaptive_pool(dims: int, is_max: bool, rng: random.Random) -> Draw:
    target: Value = per_dimension(rng, dims, 0 if flag(rng, 0.1) else 1, 3)
    if isinstance(target, tuple) and flag(rng):
        target = tuple(rng.choice((size, None)) for size in target)
    args: dict[str, Value] = {"output_size": target}
    if is_max:
        args["return_indices"] = flag(rng)
    draw = Draw(args, image(rng, rng.randint(1, 3), tuple(rng.randint(1, 5) for _ in range(dims))))
    sizes = argument("output_size", None, -1, (2,), (1, 1), (2, None), (1, 1, 1), (None, 2, -1), (1, 2, 3, 4))
    return flawed(rng, draw, *IMAGE_FLAWS, sizes, sizes, sizes, argument("output_size", 0, 1, 1), chance=0.5)


SIDES = {"constant": ((-2, 3),), "reflect": ((-1, 2),), "replicate": ((-1, 2),), "circular": ((-1, 1), (0, 2))}
"""Mode of padding -> (least, most) elements of a side. Where a circular one crops one side and wraps more than one
element at the other, torch may copy elements onto themselves: it refuses some of these and muddles the rest."""


def padding(mode: str, dims: int, rng: random.Random) -> Draw:
    shortest, chance = (1 if mode == "constant" else 3), 0.55
    sides = per_dimension(rng, 2 * dims, *rng.choice(SIDES[mode]))
    args: dict[str, Value] = {"padding": sides * 2 if isinstance(sides, tuple) and len(sides) == 1 else sides}
    draw = Draw(args, image(rng, rng.randint(1, 3), tuple(rng.randint(shortest, 6) for _ in range(dims))))
    odd = (argument("padding", (2,), (1, 0, 2), (1,) * 8), argument("padding", -2, -4, 3, 4, (1, 0), (1, 1, -3, 0)))
    return flawed(rng, draw, *IMAGE_FLAWS, *odd, *odd, argument("padding", (0, 1, 2, 0, 1, 0)), chance=chance)


MODES = {3: ("nearest", "linear"), 4: ("nearest", "bilinear", "bicubic"), 5: ("nearest", "trilinear")}


def upsample(rng: random.Random) -> Draw:
    dims = rng.randint(3, 5)
    mode = rng.choice((*MODES[dims], "area", "nearest-exact"))
    lengths = tuple(rng.randint(1, 4) for _ in range(dims - 2))
    args: dict[str, Value] = {"size": None, "scale_factor": None, "mode": mode, "align_corners": None}
    if flag(rng):
        args["size"] = per_dimension(rng, dims - 2, 1, 5)
    else:
        factors = tuple(rng.choice((0.5, 0.7, 1, 1.5, 2, 2.3, 3)) for _ in lengths)
        args["scale_factor"] = rng.choice((factors, factors[0]))
    if mode in ("linear", "bilinear", "bicubic", "trilinear"):
        args["align_corners"] = rng.choice((None, True, False))
    args["recompute_scale_factor"] = rng.choice((None, False, args["size"] is None))
    flaws = (
        retyped,
        redimensioned,
        resized,
        resized,
        emptied,
        argument("size", None, 0, 2, -1, (2,), (0, 2), (1, 1, 1)),
        argument("scale_factor", None, 0, 0.1, 2, (2.0,), (2, 0.2), (1, 1.5, 2)),
        argument("mode", "linear", "bilinear", "bicubic", "trilinear", "area", "cubic"),
        argument("align_corners", True, False),
        argument("recompute_scale_factor", True),
    )
    return flawed(rng, Draw(args, Signal((rng.randint(1, 2), rng.randint(1, 2), *lengths), "float32")), *flaws)


GENERATORS: dict[str, Generator] = {"Upsample": upsample}
for _dims in (1, 2, 3):
    GENERATORS |= {
        f"Conv{_dims}d": partial(forward_convolution, _dims),
        f"ConvTranspose{_dims}d": partial(transposed_convolution, _dims),
        f"MaxPool{_dims}d": partial(sliding_pool, _dims, True),
        f"AvgPool{_dims}d": partial(sliding_pool, _dims, False),
        f"AdaptiveAvgPool{_dims}d": partial(adaptive_pool, _dims, False),
        f"AdaptiveMaxPool{_dims}d": partial(adaptive_pool, _dims, True),
        f"ZeroPad{_dims}d": partial(padding, "constant", _dims),
        f"ReflectionPad{_dims}d": partial(padding, "reflect", _dims),
    }
