"""Draws for the kinds without a window: linear, activations, normalization, dropout, flattening, tables, recurrence."""

from __future__ import annotations

import random
from functools import partial

from judge.draw import (
    Draw,
    Generator,
    anything,
    argument,
    emptied,
    flag,
    flawed,
    redimensioned,
    resized,
    retyped,
)
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import Value

INPLACE = ("CELU", "ELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "Mish", "ReLU", "ReLU6", "SELU", "SiLU")
VALUES: dict[str, dict[str, tuple[Value, ...]]] = {
    "CELU": {"alpha": (1.0, 0.5, 2, -1, 0)},
    "ELU": {"alpha": (1.0, 0.5, 2, -1, 0)},
    "GELU": {"approximate": ("none", "none", "tanh", "tanh", "sigmoid")},
    "Hardshrink": {"lambd": (0.5, 0, 2.5, -1)},
    "Hardtanh": {"min_val": (-1.0, -2, 0.5, 0, -300), "max_val": (1.0, 2, -1, -1.5, 300)},
    "LeakyReLU": {"negative_slope": (0.01, 0.2, -1, 0)},
    "Softplus": {"beta": (1.0, 2, 0.5), "threshold": (20.0, 1, 5)},
    "Softshrink": {"lambd": (0.5, 0, 1, -0.5)},
}
"""Arguments of the functions applied to each element, by kind."""
NUMBERS_ONLY = ("ReLU", "ReLU6", "Softsign", "Tanhshrink")
"""Of these the ones that refuse booleans and nothing else."""

ELEMENTWISE = (*INPLACE, "GELU", "Hardshrink", "LogSigmoid", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh")


def identity(rng: random.Random) -> Draw:
    return Draw({}, anything(rng))


def elementwise(kind: str, rng: random.Random) -> Draw:
    args: dict[str, Value] = {name: rng.choice(values) for name, values in VALUES.get(kind, {}).items()}
    if kind in INPLACE:
        args["inplace"] = flag(rng)
    x = anything(rng)
    return Draw(args, x._replace(dtype="bool") if kind in NUMBERS_ONLY and flag(rng, 0.35) else x)


def softmax(rng: random.Random) -> Draw:
    return Draw({"dim": rng.choice((None, 0, 1, -1, -1, -2, 2, -4))}, anything(rng, int_chance=0.2))


def dropout(rng: random.Random) -> Draw:
    dims = rng.choice((2, 3) if flag(rng, 0.8) else (0, 1, 4, 5))
    shape = tuple(rng.randint(0, 3) for _ in range(dims))
    p = rng.choice((0.5, 0.1, 0, 1, 1.0, 0.9, 0.25, 1.5, -0.1, 2))
    return Draw({"p": p, "inplace": flag(rng)}, Signal(shape, rng.choice(("float32", "int64"))))


def linear(rng: random.Random) -> Draw:
    features = rng.randint(0, 5)
    args: dict[str, Value] = {"in_features": features, "out_features": rng.randint(0, 5), "bias": flag(rng)}
    front = tuple(rng.randint(0, 3) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    draw = Draw(args, Signal((*front, features), "float32"))
    sizes = argument("in_features", -1, 1, 6), argument("out_features", -1, -3)
    return flawed(rng, draw, retyped, redimensioned, resized, *sizes, chance=0.5)


def batch_norm(dims: int, rng: random.Random) -> Draw:
    channels = rng.randint(0, 4)
    args: dict[str, Value] = {
        "num_features": channels,
        "eps": rng.choice((1e-5, 1e-5, 1e-3, 0, -1)),
        "momentum": rng.choice((0.1, None, 0.9)),
        "affine": flag(rng),
        "track_running_stats": flag(rng, 0.6),
        "bias": flag(rng),
    }
    size = rng.choice((0, dims)) if dims == 1 else dims
    lengths = tuple(rng.randint(0 if flag(rng, 0.1) else 1, 3) for _ in range(size))
    draw = Draw(args, Signal((rng.randint(0, 2), channels, *lengths), "float32"))
    return flawed(rng, draw, retyped, redimensioned, resized, argument("num_features", -1, 2, 5), chance=0.3)


def layer_norm(rng: random.Random) -> Draw:
    shape = tuple(rng.randint(0 if flag(rng, 0.1) else 1, 3) for _ in range(rng.randint(1, 4)))
    normalized: Value = shape[-rng.randint(1, len(shape)) :]
    args: dict[str, Value] = {
        "normalized_shape": normalized if flag(rng, 0.6) else shape[-1],
        "eps": rng.choice((1e-5, 1e-5, 1e-3, 0, -1)),
        "elementwise_affine": flag(rng),
        "bias": flag(rng),
    }
    draw = Draw(args, Signal(shape, "float32"))
    sizes = argument("normalized_shape", (), 0, 2, -1, (2, -1), (3, 2), (1, 2, 3, 1))
    return flawed(rng, draw, retyped, redimensioned, resized, sizes, chance=0.6)


def group_norm(rng: random.Random) -> Draw:
    groups = rng.randint(1, 3)
    channels = groups * rng.randint(0 if flag(rng, 0.1) else 1, 3)
    args: dict[str, Value] = {
        "num_groups": groups,
        "num_channels": channels,
        "eps": rng.choice((1e-5, 1e-5, 1e-3, 0, -1)),
        "affine": flag(rng),
        "bias": flag(rng),
    }
    lengths = tuple(rng.randint(0 if flag(rng, 0.1) else 1, 3) for _ in range(rng.randint(0, 3)))
    draw = Draw(args, Signal((rng.randint(0, 2), channels, *lengths), "float32"))
    sizes = argument("num_groups", 0, -1, -2, 2, 3), argument("num_channels", -2, 0, 2, 3, 4)
    return flawed(rng, draw, retyped, redimensioned, resized, *sizes, chance=0.55)


def flatten(rng: random.Random) -> Draw:
    args: dict[str, Value] = {
        "start_dim": rng.choice((1, 0, 0, 1, 2, -1, -2)),
        "end_dim": rng.choice((-1, -1, 1, 2, -2)),
    }
    return Draw(args, anything(rng))


def unflatten(rng: random.Random) -> Draw:
    sizes = [rng.randint(0 if flag(rng, 0.1) else 1, 3) for _ in range(rng.randint(1, 3))]
    length = 1
    for size in sizes:
        length *= size
    if flag(rng):
        sizes[rng.randrange(len(sizes))] = -1
    axis, dims = rng.randint(0, 2), rng.randint(1, 3)
    axis = min(axis, dims - 1)
    shape = (*(rng.randint(0, 3) for _ in range(axis)), length, *(rng.randint(0, 3) for _ in range(dims - axis - 1)))
    args: dict[str, Value] = {"dim": rng.choice((axis, axis - dims)), "unflattened_size": tuple(sizes)}
    draw = Draw(args, Signal(shape, rng.choice(("float32", "int64"))))
    odd = argument("unflattened_size", (), (-1,), (-1, -1), (0, -1), (2, -2), (4,), 3, (1, 2.5), (1, 0, -1))
    return flawed(rng, draw, redimensioned, resized, resized, odd, odd, argument("dim", 3, -4, 1), chance=0.5)


def embedding(rng: random.Random) -> Draw:
    rows = rng.randint(1, 5)
    args: dict[str, Value] = {
        "num_embeddings": rows,
        "embedding_dim": rng.randint(0 if flag(rng, 0.1) else 1, 4),
        "padding_idx": rng.choice((None, None, 0, rows - 1, -1, -rows)),
        "max_norm": rng.choice((None, 1.0, 0.5, 2)),
        "norm_type": rng.choice((2.0, 1.0, 3)),
        "scale_grad_by_freq": flag(rng),
        "sparse": flag(rng),
    }
    shape = tuple(rng.randint(0, 3) for _ in range(rng.randint(0, 3)))
    odd = argument("padding_idx", rows, -rows - 1, rows + 1, 0), argument("num_embeddings", 0, -1, 1, rows - 1)
    draw = Draw(args, Signal(shape, "int64"))
    return flawed(rng, draw, retyped, *odd, argument("embedding_dim", -1, 0), chance=0.5)


def recurrent(kind: str, rng: random.Random) -> Draw:
    hidden, features = rng.randint(1, 3), rng.randint(1, 3)
    args: dict[str, Value] = {
        "input_size": features,
        "hidden_size": hidden,
        "num_layers": rng.randint(1, 3),
        "bias": flag(rng),
        "batch_first": flag(rng),
        "dropout": rng.choice((0.0, 0.2, 1)),
        "bidirectional": flag(rng),
    }
    flaws = [argument(name, 0, -1, 2) for name in ("input_size", "hidden_size", "num_layers")] + [
        argument("dropout", True, -0.5, 1.5),
        argument("bias", 1, 0),
        argument("batch_first", 1),
    ]
    if kind == "RNN":
        args["nonlinearity"] = rng.choice(("tanh", "relu"))
        flaws.append(argument("nonlinearity", "gelu"))
    if kind == "LSTM":
        args["proj_size"] = rng.choice((0, rng.randint(0, hidden)))
        flaws.append(argument("proj_size", -1, 1, 4))
    batch = rng.choice(((), (1,), (2,)))
    draw = Draw(args, Signal((rng.randint(1, 4), *batch, features), "float32"))
    return flawed(rng, draw, retyped, redimensioned, resized, resized, emptied, *flaws, chance=0.5)


GENERATORS: dict[str, Generator] = {
    "Identity": identity,
    "Linear": linear,
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "Flatten": flatten,
    "Unflatten": unflatten,
    "Embedding": embedding,
    **{kind: partial(elementwise, kind) for kind in (*ELEMENTWISE, "Tanhshrink")},
    **dict.fromkeys(("Softmax", "LogSoftmax", "Softmin"), softmax),
    **{f"BatchNorm{dims}d": partial(batch_norm, dims) for dims in (1, 2, 3)},
    **{f"Dropout{suffix}": dropout for suffix in ("", "1d", "2d", "3d")},
    **{f"{kind}Dropout": dropout for kind in ("Alpha", "FeatureAlpha")},
    **{kind: partial(recurrent, kind) for kind in ("RNN", "LSTM", "GRU")},
}
