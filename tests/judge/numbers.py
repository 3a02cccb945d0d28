"""Draws for normalizations that count channels, for what rearranges elements, for older upsampling and bags of rows."""

from __future__ import annotations

import random
from functools import partial

from judge import plain, windows
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

FLAWS = (retyped, redimensioned, resized, resized, emptied)


def instance_norm(dims: int, rng: random.Random) -> Draw:
    channels = rng.randint(0 if flag(rng, 0.1) else 1, 4)
    args: dict[str, Value] = {
        "num_features": channels,
        "eps": rng.choice((1e-5, 1e-3, 0, -0.5)),
        "momentum": rng.choice((0.1, None, 0.9)),
        "affine": flag(rng),
        "track_running_stats": flag(rng),
        "bias": flag(rng),
    }
    draw = Draw(args, image(rng, channels, tuple(rng.randint(1, 3) for _ in range(dims))))
    return flawed(rng, draw, *FLAWS, argument("num_features", -1, 0, 1, 2, 5), chance=0.5)


def sync_batch_norm(rng: random.Random) -> Draw:
    """`process_group` is asked for nothing outside training."""
    draw = plain.batch_norm(rng.randint(1, 3), rng)
    return draw._replace(args={**draw.args, "process_group": rng.choice((None, 0, "group"))})


def rms_norm(rng: random.Random) -> Draw:
    args, x, _ = plain.layer_norm(rng)
    shape, affine = args["normalized_shape"], args["elementwise_affine"]
    eps = rng.choice((None, None, 1e-5, 1e-3, 0, -1))
    return Draw({"normalized_shape": shape, "eps": eps, "elementwise_affine": affine}, x)


def response_norm(rng: random.Random) -> Draw:
    """No size below 0, of which CrossMapLRN2d takes some, and no whole `alpha`: powers of whole numbers have limits."""
    args: dict[str, Value] = {
        "size": rng.randint(1, 7) if flag(rng, 0.88) else 0,
        "alpha": rng.choice((1e-4, 0.5, 2.0)),
        "beta": rng.choice((0.75, 1, 0, -0.5)),
        "k": rng.choice((1, 2.5, 0)),
    }
    dims = 2 if flag(rng, 0.75) else rng.choice((0, 0, 0, 1, 3, 4))
    lengths = tuple(rng.randint(1, 3) for _ in range(dims))
    draw = Draw(args, Signal((rng.randint(0 if flag(rng, 0.1) else 1, 2), rng.randint(1, 5), *lengths), "float32"))
    return flawed(rng, draw, *FLAWS, argument("size", 0), chance=0.4)


def shuffle(name: str, rng: random.Random) -> Draw:
    """Channels and lengths that mostly divide."""
    factor = rng.randint(1, 3)
    least = 0 if flag(rng, 0.1) else 1
    channels = factor * (factor if name == "upscale_factor" else 1) * rng.randint(least, 3)
    step = factor if name == "downscale_factor" else 1
    front = tuple(rng.randint(least, 2) for _ in range(rng.choice((0, 1, 1, 1, 2)) if name != "groups" else 1))
    draw = Draw({name: factor}, Signal((*front, channels, *(step * rng.randint(1, 3) for _ in range(2))), "float32"))
    factors = argument(name, 0, -1, -2, 2, 3, 4, 5)
    return flawed(rng, draw, *FLAWS, factors, factors, factors, factors, chance=0.75)


def blocks(rng: random.Random) -> dict[str, Value]:
    """How the windows of Fold and Unfold slide."""
    return {
        "kernel_size": per_dimension(rng, 2, 1, 3),
        "dilation": rng.choice((1, per_dimension(rng, 2, 1, 2))),
        "padding": per_dimension(rng, 2, 0, 2),
        "stride": per_dimension(rng, 2, 1, 3),
    }


BLOCK_FLAWS = (
    *FLAWS,
    argument("kernel_size", 0, -1, (2, 1), (2, 2), (2,), (1, 2, 3)),
    argument("dilation", 0, -1, (1, 2), (2, 1), (1,), (1, 2, 1)),
    argument("padding", -1, (0, 1), (1, 0), (1,), (1, 0, 1)),
    argument("stride", 0, -1, (1, 2), (2, 1), (1,), (1, 2, 1)),
)


def unfold(rng: random.Random) -> Draw:
    args = blocks(rng)
    lengths = tuple(length or 1 for length in windows.edge_lengths(rng, 2, args))
    return flawed(rng, Draw(args, image(rng, rng.randint(1, 3), lengths)), *BLOCK_FLAWS, chance=0.2)


def fold(rng: random.Random) -> Draw:
    """As many columns as blocks, in channels that the window divides."""
    args = blocks(rng)
    lengths = tuple(length or 1 for length in windows.edge_lengths(rng, 2, args))
    kernel, dilation = spread(args["kernel_size"], 2), spread(args["dilation"], 2)
    padding, stride = spread(args["padding"], 2), spread(args["stride"], 2)
    columns = 1
    for length, size, step, border, jump in zip(lengths, kernel, dilation, padding, stride, strict=True):
        columns *= max(1, (length + 2 * border - step * (size - 1) - 1) // jump + 1)
    args["output_size"] = lengths[0] if lengths[0] == lengths[1] else lengths
    batch = rng.choice(((), (1,), (2,)))
    draw = Draw(args, Signal((*batch, kernel[0] * kernel[1] * rng.randint(1, 3), columns), "float32"))
    return flawed(rng, draw, *BLOCK_FLAWS, argument("output_size", 0, -1, 3, 4, (4,), (3, 4), (2, 3, 4)), chance=0.3)


def upsampling(rng: random.Random) -> Draw:
    dims = 2 if flag(rng, 0.8) else rng.choice((1, 3))
    args: dict[str, Value] = {"size": None, "scale_factor": None}
    if flag(rng):
        args["size"] = per_dimension(rng, dims, 1, 5)
    else:
        factors = tuple(rng.choice((0.5, 0.7, 1, 1.5, 2, 2.3)) for _ in range(dims))
        args["scale_factor"] = rng.choice((factors, factors[0]))
    shape = (rng.randint(1, 2), rng.randint(1, 2), *(rng.randint(1, 4) for _ in range(dims)))
    sizes = argument("size", None, 0, 2, -1, (2,), (0, 2), (1, 1, 1))
    scales = argument("scale_factor", None, 0, 0.1, 2, (2.0,), (2, 0.2), (1, 1.5, 2))
    return flawed(rng, Draw(args, Signal(shape, "float32")), *FLAWS, sizes, scales, chance=0.4)


def embedding_bag(rng: random.Random) -> Draw:
    args = dict(plain.embedding(rng).args)
    args["mode"] = rng.choice(("mean", "sum", "max"))
    args["include_last_offset"] = flag(rng)
    for name in ("sparse", "scale_grad_by_freq"):
        args[name] = flag(rng, 0.2 if args["mode"] == "max" else 0.5)
    shape = rng.randint(0, 3), rng.randint(0 if flag(rng, 0.1) else 1, 3)
    draw = Draw(args, Signal(shape, "int64"))
    return flawed(rng, draw, *FLAWS, argument("mode", "min", None), chance=0.25)


GENERATORS: dict[str, Generator] = {
    **{f"InstanceNorm{dims}d": partial(instance_norm, dims) for dims in (1, 2, 3)},
    "SyncBatchNorm": sync_batch_norm,
    "RMSNorm": rms_norm,
    **dict.fromkeys(("LocalResponseNorm", "CrossMapLRN2d"), response_norm),
    "PixelShuffle": partial(shuffle, "upscale_factor"),
    "PixelUnshuffle": partial(shuffle, "downscale_factor"),
    "ChannelShuffle": partial(shuffle, "groups"),
    "Fold": fold,
    "Unfold": unfold,
    **dict.fromkeys(("UpsamplingNearest2d", "UpsamplingBilinear2d"), upsampling),
    "EmbeddingBag": embedding_bag,
}
