"""Draws for recurrent cells, attention and transformers, and for the kinds that compare several tensors.

Of a kind that needs several tensors only the constructor is judged: what its draws feed is refused by both sides.
"""

from __future__ import annotations

import random
from functools import partial

from judge.draw import Draw, Flaw, Generator, argument, emptied, flag, flawed, redimensioned, resized, retyped
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import LayerValue, Value

UNFED = Signal((1,), "float32")


def cell(kind: str, rng: random.Random) -> Draw:
    features = rng.randint(0 if flag(rng, 0.1) else 1, 4)
    args: dict[str, Value] = {
        "input_size": features,
        "hidden_size": rng.randint(0 if flag(rng, 0.1) else 1, 4),
        "bias": flag(rng),
    }
    flaws = [argument(name, -1, 0, 2) for name in ("input_size", "hidden_size")]
    if kind == "RNNCell":
        args["nonlinearity"] = rng.choice(("tanh", "relu"))
        flaws.append(argument("nonlinearity", "gelu", None))
    draw = Draw(args, Signal((*rng.choice(((), (1,), (3,))), features), "float32"))
    return flawed(rng, draw, retyped, redimensioned, resized, resized, emptied, *flaws, chance=0.5)


def bilinear(rng: random.Random) -> Draw:
    args: dict[str, Value] = {name: rng.randint(0, 4) for name in ("in1_features", "in2_features", "out_features")}
    sizes = (argument(name, -1) for name in tuple(args))
    return flawed(rng, Draw({**args, "bias": flag(rng)}, UNFED), *sizes, chance=0.3)


def attention(rng: random.Random) -> Draw:
    heads = rng.randint(1, 3)
    width = heads * rng.randint(1, 3)
    args: dict[str, Value] = {
        "embed_dim": width,
        "num_heads": heads,
        "dropout": rng.choice((0.0, 0.5, 2)),
        **{name: flag(rng) for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")},
        **{name: rng.choice((None, width, rng.randint(0, 4))) for name in ("kdim", "vdim")},
    }
    flaws = argument("embed_dim", 0, -2, 5), argument("num_heads", 0, -1, 4), argument("kdim", -1), argument("vdim", -1)
    return flawed(rng, Draw(args, UNFED), *flaws, chance=0.4)


LAYER_FLAWS: tuple[Flaw, ...] = (
    argument("d_model", 0, -2, 5, 6),
    argument("nhead", 0, -1, 4, 5),
    argument("dim_feedforward", -1, 0),
    argument("dropout", 1.5, -0.1, 1),
    argument("activation", "tanh", ""),
)


def layer_args(rng: random.Random) -> dict[str, Value]:
    """Arguments of a layer of a transformer that torch takes."""
    heads = rng.choice((1, 2, 2, 3, 4))
    return {
        "d_model": heads * rng.randint(1, 3),
        "nhead": heads,
        "dim_feedforward": rng.randint(0 if flag(rng, 0.1) else 1, 5),
        "dropout": rng.choice((0.1, 0.0, 0.5)),
        "activation": rng.choice(("relu", "gelu")),
        "layer_norm_eps": rng.choice((1e-5, 1e-3, 0)),
        "batch_first": flag(rng, 0.6),
        "norm_first": flag(rng),
        "bias": flag(rng, 0.7),
    }


def sequence(rng: random.Random, width: Value) -> Signal:
    """Steps of the given features, in a batch or alone."""
    assert isinstance(width, int)
    return Signal((*rng.choice(((), (1,), (2,), (3,))), rng.randint(1, 4), width), "float32")


SEQUENCE_FLAWS: tuple[Flaw, ...] = (retyped, redimensioned, resized, resized, emptied)


def transformer_layer(rng: random.Random) -> Draw:
    args = layer_args(rng)
    flaws = *SEQUENCE_FLAWS, *LAYER_FLAWS
    return flawed(rng, Draw(args, sequence(rng, args["d_model"])), *flaws, chance=0.55)


def unfed_layer(rng: random.Random) -> Draw:
    return flawed(rng, Draw(layer_args(rng), UNFED), *LAYER_FLAWS, chance=0.6)


def value(kind: str, args: dict[str, Value]) -> LayerValue:
    return LayerValue(kind, tuple(args.items()))


def norm(rng: random.Random, width: Value) -> LayerValue:
    """A layer to stand at the end of a stack: most fit, some do not, some can not be made."""
    if flag(rng, 0.15):
        width = rng.choice((1, 3, -1))
    return rng.choice(
        (
            value("LayerNorm", {"normalized_shape": width, "bias": flag(rng)}),
            value("LayerNorm", {"normalized_shape": width, "elementwise_affine": False}),
            value("RMSNorm", {"normalized_shape": width}),
            value("BatchNorm1d", {"num_features": rng.randint(1, 3)}),
            value("Identity", {}),
        )
    )


def stack(half: str, rng: random.Random) -> Draw:
    """A TransformerEncoder or TransformerDecoder."""
    inner = flawed(rng, Draw(layer_args(rng), UNFED), *LAYER_FLAWS, chance=0.2).args
    width = inner["d_model"]
    args: dict[str, Value] = {
        f"{half}_layer": value(f"Transformer{half.capitalize()}Layer", inner),
        "num_layers": rng.randint(1, 3),
        "norm": norm(rng, width) if flag(rng) else None,
    }
    flaws = [argument("num_layers", 0, -1), argument("num_layers", 1.5, None)]
    if half == "decoder":
        return flawed(rng, Draw(args, UNFED), *flaws)
    args |= {"enable_nested_tensor": flag(rng), "mask_check": flag(rng)}
    x = sequence(rng, max(0, width) if isinstance(width, int) else 1)
    return flawed(rng, Draw(args, x), *SEQUENCE_FLAWS, *flaws)


def transformer(rng: random.Random) -> Draw:
    args = layer_args(rng) | {f"num_{half}_layers": rng.choice((0, 1, 2, -1)) for half in ("encoder", "decoder")}
    for half in ("encoder", "decoder"):
        custom = stack(half, rng).args
        args[f"custom_{half}"] = value(f"Transformer{half.capitalize()}", custom) if flag(rng) else None
    flaws = *LAYER_FLAWS, argument("num_encoder_layers", 1.5), argument("num_decoder_layers", "2")
    return flawed(rng, Draw(args, UNFED), *flaws)


def adaptive_softmax(rng: random.Random) -> Draw:
    classes = rng.randint(2, 9)
    cutoffs = sorted(rng.sample(range(1, classes), rng.randint(1, min(3, classes - 1))))
    args: dict[str, Value] = {
        "in_features": rng.randint(0, 9),
        "n_classes": classes,
        "cutoffs": tuple(cutoffs),
        "div_value": rng.choice((4.0, 2, 1.5, 0.5)),
        "head_bias": flag(rng),
    }
    odd = argument("cutoffs", (), (0, 2), (2, 2), (3, 1), (9,), 2, (1, 2.0), (-1, 1))
    flaws = (
        odd,
        argument("div_value", 0, 0.0, -1.5, 1e300),
        argument("in_features", -1),
        argument("n_classes", 0, 2, -3),
    )
    return flawed(rng, Draw(args, UNFED), *flaws, chance=0.5)


LOSS_VALUES: dict[str, tuple[Value, ...]] = {
    **dict.fromkeys(("full", "log_input", "log_target", "swap", "zero_infinity", "keepdim", "bias"), (True, False)),
    **dict.fromkeys(("weight", "pos_weight"), (None, None, None, None, None, None, 1.0, (0.5, 2.0))),
    **dict.fromkeys(("in_features", "num_classes"), (1, 2, 3, 4, 5, 0, 2, 3, 4, 1, 6, -1)),
    "reduction": ("mean", "sum", "none", "other"),
    "ignore_index": (-100, 0, 3),
    "label_smoothing": (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, -0.1),
    "out_features": ((), (), (1,), (3,), (2,), (2, 3), (0,), (-1, -2), 2, (2.0,)),
    "options": (None, 1),
    "margin": (1.0, 0.5, 2, 0, -1, 0.0),
    "p": (1, 2, 1, 2, 3, 1.5),
    "eps": (1e-8, 1e-6, 0.1),
    "beta": (1.0, 0.5),
    "delta": (1.0, 0.5, 2, None, "1"),
    "blank": (0, 1),
    "dim": (1, 0, -1),
    "distance_function": (None, LayerValue("PairwiseDistance", (("p", 1),)), LayerValue("CosineSimilarity")),
}
"""Arguments of losses and distances, by name."""


def comparison(kind: str, rng: random.Random) -> Draw:
    """A loss or a distance."""
    parameters = (parameter.name for parameter in catalogue()[kind].parameters)
    return Draw({name: rng.choice(LOSS_VALUES[name]) for name in parameters if name in LOSS_VALUES}, UNFED)


COMPARISONS = [name for name, entry in catalogue().items() if entry.group in ("loss", "distance")]

GENERATORS: dict[str, Generator] = {
    **{kind: partial(cell, kind) for kind in ("RNNCell", "LSTMCell", "GRUCell")},
    "Bilinear": bilinear,
    "MultiheadAttention": attention,
    "TransformerEncoderLayer": transformer_layer,
    "TransformerDecoderLayer": unfed_layer,
    "TransformerEncoder": partial(stack, "encoder"),
    "TransformerDecoder": partial(stack, "decoder"),
    "Transformer": transformer,
    "AdaptiveLogSoftmaxWithLoss": adaptive_softmax,
    **{kind: partial(comparison, kind) for kind in COMPARISONS},
}
