"""The rules about layer kinds, with torch as their judge: see tests/judge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from judge import GENERATORS, Verdict, judge
from judge.answers import rule_answer, rule_info
from judge.draw import Draw
from judge.generic import generic

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue, parameters
from seqtui.model.kinds.kind import RULED, ArgumentError, Arguments, Kind, ShapeError, Signal, Window, no_tensors
from seqtui.model.spec import LayerValue, Value
from seqtui.model.tensors import TORCH_DTYPES

NEVER_REFUSED = {"Identity", "Sigmoid", "Tanh"}
"""Kinds that take any tensor of any type."""
SEVERAL_INPUTS = {kind for kind, entry in catalogue().items() if entry.inputs}
"""Kinds that no Sequential can feed: of these constructor and tensors are judged."""


def assert_hard(verdict: Verdict) -> None:
    """The draws leave torch much to say on both sides, and every argument is varied."""
    if verdict.kind not in SEVERAL_INPUTS:
        low, high = (0, 0) if verdict.kind in NEVER_REFUSED else (0.2, 0.6)
        assert low <= verdict.refused / verdict.draws <= high
    for parameter in parameters(verdict.kind):
        assert verdict.varied[parameter.name] >= verdict.draws / 20, parameter.name


def assert_agreement(verdict: Verdict) -> None:
    shown = "\n".join(map(str, verdict.disagreements[:5]))
    assert not verdict.disagreements, f"{len(verdict.disagreements)} of {verdict.draws} draws:\n{shown}"


@pytest.mark.parametrize("kind", KINDS)
def test_rule_agrees_with_torch(kind: str) -> None:
    verdict = judge(kind, draws=200, seed=0)
    assert_agreement(verdict)
    assert_hard(verdict)
    if kind not in SEVERAL_INPUTS:
        assert verdict.macs_judged >= 3
    if KINDS[kind].window or KINDS[kind].is_elementwise:
        assert verdict.reaches_judged >= 4


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_rule_agrees_with_torch_ten_thousand_times(kind: str) -> None:
    verdict = judge(kind, draws=10_000, seed=1)
    assert_agreement(verdict)
    assert_hard(verdict)


def test_every_kind_of_the_catalogue_has_a_rule() -> None:
    assert set(GENERATORS) <= set(KINDS) == set(catalogue())


WRONG: list[tuple[str, Kind]] = [
    ("Conv1d", KINDS["Conv2d"]),
    ("Softmax", replace(KINDS["Softmax"], is_elementwise=True)),
    ("MaxPool1d", replace(KINDS["MaxPool1d"], window=lambda args, x: Window((3,), (1,)))),
    ("Bilinear", replace(KINDS["Bilinear"], parameters=no_tensors)),
    ("Linear", replace(KINDS["Linear"], macs=lambda args, x, y: 1)),
    ("Embedding", replace(KINDS["Embedding"], output=lambda args, x: x)),
    ("ReLU", replace(KINDS["ReLU"], output=lambda args, x: x)),
    ("Softmax", replace(KINDS["Softmax"], window=lambda args, x: Window((1,), (1,)))),
]


@pytest.mark.parametrize(("kind", "rule"), WRONG)
def test_the_judge_notices_a_wrong_rule(kind: str, rule: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, kind, rule)
    assert judge(kind, draws=60, seed=0).disagreements


@pytest.mark.parametrize(
    "kind", ["Linear", "Conv2d", "GroupNorm", "LeakyReLU", "PixelShuffle", "Bilinear", "MaxPool3d"]
)
def test_a_kind_without_a_generator_is_judged_all_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(GENERATORS, kind, raising=False)
    verdict = judge(kind, draws=200, seed=0)
    assert_agreement(verdict)
    assert 40 <= verdict.refused <= 120
    for parameter in parameters(kind):
        if parameter.annotation != "str":
            assert verdict.varied[parameter.name] >= 10, parameter.name


IMAGE = Signal((1, 1, 28, 28), "float32")
ENCODER_LAYER = LayerValue("TransformerEncoderLayer", (("d_model", 512), ("nhead", 8)))
WRONG_ENCODER_LAYER = LayerValue("TransformerEncoderLayer", (("d_model", 512), ("nhead", 3)))
SENTENCES: list[tuple[str, dict[str, Value], Signal, str]] = [
    (
        "Linear",
        {"in_features": 3136, "out_features": 10},
        Signal((1, 1600), "float32"),
        "takes 3136 features, 1600 arrive",
    ),
    (
        "Linear",
        {"in_features": 4, "out_features": 1},
        Signal((4,), "int64"),
        "takes floating-point numbers, int64 arrives",
    ),
    ("Linear", {"in_features": -1, "out_features": 1}, IMAGE, "needs in_features of at least 0, not -1"),
    ("Conv2d", {"in_channels": 3, "out_channels": 8, "kernel_size": 3}, IMAGE, "takes 3 channels, 1 arrives"),
    (
        "Conv2d",
        {"in_channels": 1, "out_channels": 8, "kernel_size": 3},
        Signal((1, 28), "float32"),
        "needs 3 or 4 dimensions, 2 arrive",
    ),
    (
        "Conv2d",
        {"in_channels": 1, "out_channels": 8, "kernel_size": 5},
        Signal((1, 1, 3, 3), "float32"),
        "cannot fit a window of 5×5 into 3×3",
    ),
    (
        "Conv2d",
        {"in_channels": 1, "out_channels": 8, "kernel_size": 7, "padding": 1},
        Signal((1, 1, 3, 4), "float32"),
        "cannot fit a window of 7×7 into 5×6 with padding, 3×4 arrives",
    ),
    (
        "Conv2d",
        {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "groups": 2},
        IMAGE,
        "needs in_channels that groups divides, not 3 by 2",
    ),
    (
        "MaxPool2d",
        {"kernel_size": 2, "padding": 2},
        IMAGE,
        "needs padding of at most half of kernel_size, not 2 of 2",
    ),
    ("BatchNorm2d", {"num_features": 16}, IMAGE, "takes 16 channels, 1 arrives"),
    ("BatchNorm1d", {"num_features": 1}, IMAGE, "needs 2 or 3 dimensions, 4 arrive"),
    ("Softmax", {"dim": 4}, IMAGE, "works on dimension 4, 4 dimensions arrive"),
    ("Dropout", {"p": 1.5}, IMAGE, "needs p between 0 and 1, not 1.5"),
    ("ReflectionPad2d", {"padding": 28}, IMAGE, "reflects 28 elements, 28 arrive"),
    ("Embedding", {"num_embeddings": 9, "embedding_dim": 4}, IMAGE, "takes int64 or int32, float32 arrives"),
    ("LSTM", {"input_size": 4, "hidden_size": 2}, Signal((3, 5), "float32"), "takes 4 features, 5 arrive"),
    (
        "Unflatten",
        {"dim": 1, "unflattened_size": (2, 3)},
        Signal((1, 7), "float32"),
        "takes 6 elements for 2×3, 7 arrive",
    ),
    ("LSTMCell", {"input_size": 4, "hidden_size": 2}, Signal((3, 5), "float32"), "takes 4 features, 5 arrive"),
    (
        "TransformerEncoderLayer",
        {"d_model": 512, "nhead": 8},
        Signal((10, 1, 256), "float32"),
        "takes 512 features, 256 arrive",
    ),
    ("TransformerEncoderLayer", {"d_model": 512, "nhead": 3}, IMAGE, "needs d_model that nhead divides, not 512 by 3"),
    (
        "TransformerEncoder",
        {"encoder_layer": ENCODER_LAYER, "num_layers": 6},
        IMAGE,
        "needs 2 or 3 dimensions, 4 arrive",
    ),
    (
        "TransformerEncoder",
        {"encoder_layer": WRONG_ENCODER_LAYER, "num_layers": 6},
        IMAGE,
        "needs another encoder_layer: it needs d_model that nhead divides, not 512 by 3",
    ),
    (
        "TransformerEncoder",
        {"encoder_layer": ENCODER_LAYER, "num_layers": 6, "norm": LayerValue("RMSNorm", (("normalized_shape", 256),))},
        Signal((10, 512), "float32"),
        "needs another norm: it takes 256 in the last dimensions, 10×512 arrives",
    ),
    ("TransformerEncoder", {"encoder_layer": 512, "num_layers": 6}, IMAGE, "needs a layer for encoder_layer, not 512"),
    (
        "TransformerDecoder",
        {"decoder_layer": ENCODER_LAYER, "num_layers": 6},
        IMAGE,
        "takes no TransformerEncoderLayer for decoder_layer",
    ),
    (
        "TransformerEncoder",
        {"encoder_layer": ENCODER_LAYER, "num_layers": 10**9},
        IMAGE,
        "needs num_layers of at most 10000, not 1000000000",
    ),
    (
        "AdaptiveLogSoftmaxWithLoss",
        {"in_features": 64, "n_classes": 100, "cutoffs": (50, 100)},
        IMAGE,
        "needs cutoffs that rise from 1 to below n_classes, not (50, 100)",
    ),
    ("CrossEntropyLoss", {"weight": 2.0}, IMAGE, "needs a tensor for weight, not 2.0"),
    ("PReLU", {"num_parameters": 3}, IMAGE, "takes 3 channels, 1 arrives"),
    ("GLU", {"dim": 1}, IMAGE, "halves dimension 1, 1 element arrives"),
    ("RReLU", {"lower": 0.5}, IMAGE, "needs lower of at most upper, not 0.5 and 0.3333333333333333"),
    ("LPPool2d", {"norm_type": 0, "kernel_size": 2}, IMAGE, "cannot take the root of norm_type 0"),
    (
        "FractionalMaxPool2d",
        {"kernel_size": 3, "output_size": 27},
        IMAGE,
        "needs 29 elements for 27 windows of 3, 28 arrive",
    ),
    ("FractionalMaxPool3d", {"kernel_size": 3}, IMAGE, "needs either output_size or output_ratio"),
    ("MaxUnpool2d", {"kernel_size": 2}, IMAGE, "needs more than the one tensor that arrives"),
    ("CircularPad2d", {"padding": 29}, IMAGE, "wraps 29 elements, 28 arrive"),
    (
        "ConstantPad1d",
        {"padding": 1, "value": float("-inf")},
        Signal((1, 4), "int64"),
        "needs numbers that can be -inf, int64 arrives",
    ),
    ("Upsample", {}, IMAGE, "needs either size or scale_factor"),
    ("Conv2d", {"in_channels": 3, "out_channels": 8}, IMAGE, "needs kernel_size"),
    ("ReLU", {"slope": 1}, IMAGE, "has no argument slope"),
]


@pytest.mark.parametrize(("kind", "args", "x", "sentence"), SENTENCES)
def test_refusals_are_sentences(kind: str, args: dict[str, Value], x: Signal, sentence: str) -> None:
    assert rule_answer(kind, Draw(args, x))[0].message == sentence


def test_weights_of_another_type_are_a_sentence() -> None:
    draw = Draw({"in_features": 4, "out_features": 1}, Signal((4,), "float32"), "float16")
    assert rule_answer("Linear", draw)[0].message == "has float16 weights, float32 arrives"


WORDS: list[tuple[str, dict[str, Value], str]] = [
    ("Conv2d", {"in_channels": 3, "out_channels": 16, "kernel_size": 3, "stride": 2, "padding": 1}, "3→16 k3 s2 p1"),
    (
        "Conv2d",
        {"in_channels": 6, "out_channels": 6, "kernel_size": (3, 5), "padding": "same", "groups": 6},
        "6→6 k3×5 same g6",
    ),
    (
        "Conv2d",
        {"in_channels": 3, "out_channels": 16, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
        "3→16 k3 p1 reflect",
    ),
    ("ConvTranspose1d", {"in_channels": 4, "out_channels": 2, "kernel_size": (2,), "output_padding": 1}, "4→2 k2 op1"),
    ("AvgPool2d", {"kernel_size": 2}, "2"),
    ("MaxPool2d", {"kernel_size": (3, 3), "stride": 2, "padding": 1}, "3 s2 p1"),
    ("MaxPool2d", {"kernel_size": 3, "stride": 3}, "3"),
    ("AdaptiveAvgPool2d", {"output_size": (1, None)}, "1×None"),
    ("LPPool2d", {"norm_type": 2, "kernel_size": (3, 3), "stride": 2}, "3 s2 L2"),
    ("FractionalMaxPool2d", {"kernel_size": 3, "output_size": (13, 12)}, "k3 to 13×12"),
    ("FractionalMaxPool3d", {"kernel_size": 2, "output_ratio": 0.5}, "k2 ×0.5"),
    ("MaxUnpool2d", {"kernel_size": 2, "stride": 1}, "2 s1"),
    ("ConstantPad2d", {"padding": (1, 1, 0, 0), "value": 0.5}, "1×1×0×0 =0.5"),
    ("ReplicationPad3d", {"padding": 1}, "1"),
    ("PReLU", {}, "1"),
    ("RReLU", {}, "0.125…0.3333"),
    ("Threshold", {"threshold": 0.5, "value": 0}, "≤0.5→0"),
    ("GLU", {}, "dim -1"),
    ("Dropout", {}, "0.5"),
    ("Linear", {"in_features": 400, "out_features": 120}, "400→120"),
    ("LSTM", {"input_size": 32, "hidden_size": 64, "num_layers": 2, "bidirectional": True}, "32→64 ×2 bidirectional"),
    ("BatchNorm2d", {"num_features": 16}, "16"),
    ("LayerNorm", {"normalized_shape": (4, 8)}, "4×8"),
    ("GroupNorm", {"num_groups": 4, "num_channels": 16}, "16 in 4 groups"),
    ("Softmax", {"dim": 1}, "dim 1"),
    ("Flatten", {}, ""),
    ("Flatten", {"start_dim": 2}, "2…-1"),
    ("Unflatten", {"dim": 1, "unflattened_size": (4, 4)}, "1 to 4×4"),
    ("Upsample", {"scale_factor": 2, "mode": "bilinear"}, "×2 bilinear"),
    ("Embedding", {"num_embeddings": 1000, "embedding_dim": 64}, "1000→64"),
    ("LeakyReLU", {"negative_slope": 0.2}, "0.2"),
    ("GRUCell", {"input_size": 32, "hidden_size": 64}, "32→64"),
    ("MultiheadAttention", {"embed_dim": 512, "num_heads": 8}, "512 in 8 heads"),
    ("TransformerEncoderLayer", {"d_model": 64, "nhead": 4, "dim_feedforward": 128}, "64 in 4 heads ff128"),
    ("TransformerEncoder", {"encoder_layer": ENCODER_LAYER, "num_layers": 6}, "512 in 8 heads ×6"),
    ("Transformer", {}, "512 in 8 heads ×6 ×6"),
    ("CrossEntropyLoss", {"reduction": "sum"}, "sum"),
    ("AdaptiveLogSoftmaxWithLoss", {"in_features": 64, "n_classes": 100, "cutoffs": (50,)}, "64→100"),
    ("InstanceNorm2d", {"num_features": 16}, "16"),
    ("LocalResponseNorm", {"size": 5}, "5"),
    ("PixelShuffle", {"upscale_factor": 2}, "×2"),
    ("PixelUnshuffle", {"downscale_factor": 2}, "/2"),
    ("ChannelShuffle", {"groups": 3}, "3 groups"),
    ("Unfold", {"kernel_size": (3, 3), "padding": 1}, "k3 p1"),
    ("Fold", {"output_size": (4, 5), "kernel_size": 2, "stride": 2}, "to 4×5 k2 s2"),
    ("UpsamplingBilinear2d", {"size": (8, 8)}, "to 8"),
    ("EmbeddingBag", {"num_embeddings": 1000, "embedding_dim": 64, "mode": "sum"}, "1000→64 sum"),
]


@pytest.mark.parametrize(("kind", "args", "words"), WORDS)
def test_words_for_the_table(kind: str, args: dict[str, Value], words: str) -> None:
    assert KINDS[kind].words(bind(kind, args)) == words


def test_words_never_fail_whatever_the_arguments() -> None:
    """A layer whose arguments are wrong is shown all the same, with what it was given."""
    for kind, rule in KINDS.items():
        for value in (None, "", "word", (), (1, (2, "x")), 1.5):
            rule.words(bind(kind, {parameter.name: value for parameter in parameters(kind)}))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_float_goes_through_as_it_is(dtype: str) -> None:
    cases: tuple[tuple[str, dict[str, Value]], ...] = (
        ("Linear", {"in_features": 4, "out_features": 2}),
        ("Sigmoid", {}),
        ("Softmax", {"dim": 0}),
        ("BatchNorm1d", {"num_features": 4}),
    )
    for kind, args in cases:
        answer, _ = rule_answer(kind, Draw(args, Signal((3, 4), dtype), dtype))
        assert not answer.refused_by
        assert answer.outputs[0].dtype == dtype


def test_layers_inside_a_layer_have_weights_of_its_type() -> None:
    args = bind("TransformerEncoder", {"encoder_layer": ENCODER_LAYER, "num_layers": 2})
    halved = Arguments({**args, "dtype": "float16"})
    x = Signal((10, 512), "float16")
    assert KINDS["TransformerEncoder"].output(halved, x) == x
    with pytest.raises(ShapeError, match="has float32 weights, float16 arrives"):
        KINDS["TransformerEncoder"].output(args, x)


NOT_RULED = sorted(TORCH_DTYPES.keys() - RULED)


@pytest.mark.parametrize("dtype", NOT_RULED)
def test_of_other_types_nothing_is_said(dtype: str) -> None:
    """Neither what comes out nor that anything is wrong, of no kind but the one that hands on whatever it is given."""
    for kind in KINDS.keys() - SEVERAL_INPUTS - {"Identity"}:
        draw = next(draw for draw in draws_of(kind) if not rule_answer(kind, draw)[0].refused_by)
        answer, _ = rule_answer(kind, draw._replace(x=draw.x._replace(dtype=dtype)))
        assert (answer.refused_by, answer.message) == ("nothing is known", f"no rule for {dtype}")
    x = Signal((2, 3), dtype)
    assert rule_answer("Identity", Draw({}, x))[0].outputs == (x,)


@pytest.mark.parametrize("dtype", NOT_RULED)
def test_floats_do_not_go_into_weights_of_other_types(dtype: str) -> None:
    draw = Draw({"in_features": 4, "out_features": 1}, Signal((4,), "float32"), dtype)
    answer, _ = rule_answer("Linear", draw)
    if TORCH_DTYPES[dtype].bits < 8:  # torch cannot make such weights, so nobody knows
        assert (answer.refused_by, answer.message) == ("nothing is known", f"weights of {dtype}")
    else:
        assert (answer.refused_by, answer.message) == ("forward", f"has {dtype} weights, float32 arrives")


def draws_of(kind: str) -> Iterator[Draw]:
    rng = random.Random(kind)
    while True:
        yield GENERATORS[kind](rng) if kind in GENERATORS else generic(kind, rng)


@pytest.mark.parametrize("size", [1, 199])
def test_a_transposed_convolution_that_leaves_nothing_is_refused_at_any_size(size: int) -> None:
    padding = (size + 1) // 2
    args: dict[str, Value] = {"in_channels": 1, "out_channels": 1, "kernel_size": 2, "padding": padding}
    answer, _ = rule_answer("ConvTranspose2d", Draw(args, Signal((2, 1, size, size), "float32")))
    assert answer.message == f"crops everything by padding {padding}, {size}×{size} arrives"


@pytest.mark.parametrize(
    ("kind", "dim", "field"),
    [
        ("Softmax", 0, (1, 1)),
        ("Softmax", 1, (1, 1)),
        ("LogSoftmax", 2, None),
        ("Softmin", 3, None),
        ("Softmax", -1, None),
        ("GLU", 1, (1, 1)),
        ("GLU", 2, None),
    ],
)
def test_what_looks_along_a_dimension_sees_all_of_it(kind: str, dim: int, field: tuple[int, ...] | None) -> None:
    assert rule_info(kind, Draw({"dim": dim}, Signal((2, 4, 6, 8), "float32")), {}).receptive_field == field


def test_missing_and_unknown_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="needs out_features"):
        bind("Linear", {"in_features": 1})
    with pytest.raises(ArgumentError, match="has no argument colour"):
        bind("Linear", {"in_features": 1, "out_features": 1, "colour": 1})
    with pytest.raises(ArgumentError, match="has no argument colour"):
        bind("Linear", {"in_features": 1, "colour": 1})
