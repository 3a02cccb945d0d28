"""The rules about layer kinds, with torch as their judge: see tests/judge."""

from __future__ import annotations

import random
import warnings

import pytest
import torch
from judge import GENERATORS, Verdict, judge
from judge.answers import rule_answer
from judge.draw import Draw
from torch import nn

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue
from seqtui.model.kinds.kind import ArgumentError, Signal
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

NEVER_REFUSED = {"Identity", "ReLU", "ReLU6", "Sigmoid", "Softsign", "Tanh", "Tanhshrink"}
"""Kinds that take any tensor of either type, whatever their arguments."""
NOT_DRAWN = {"device", "dtype"}
"""Arguments that say where and how exact a layer is, not what it does."""


def assert_agreement(verdict: Verdict) -> None:
    shown = "\n".join(map(str, verdict.disagreements[:5]))
    assert not verdict.disagreements, f"{len(verdict.disagreements)} of {verdict.draws} draws:\n{shown}"


@pytest.mark.parametrize("kind", KINDS)
def test_rule_agrees_with_torch(kind: str) -> None:
    verdict = judge(kind, draws=200, seed=0)
    assert_agreement(verdict)
    assert verdict.macs_judged >= 3
    low, high = (0, 0) if kind in NEVER_REFUSED else (40, 120)
    assert low <= verdict.refused <= high
    for parameter in catalogue()[kind].parameters:
        if parameter.name not in NOT_DRAWN and not parameter.name.startswith("_"):
            assert verdict.varied[parameter.name] >= 10, parameter.name


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_rule_agrees_with_torch_ten_thousand_times(kind: str) -> None:
    assert_agreement(judge(kind, draws=10_000, seed=1))


def test_every_kind_with_a_rule_is_drawn_and_catalogued() -> None:
    assert set(GENERATORS) == set(KINDS)
    assert set(KINDS) <= set(catalogue())


def test_the_judge_notices_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "Conv1d", KINDS["Conv2d"])
    assert judge("Conv1d", draws=20, seed=0).disagreements


IMAGE = Signal((1, 1, 28, 28), "float32")
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
    ("Upsample", {}, IMAGE, "needs either size or scale_factor"),
    ("Conv2d", {"in_channels": 3, "out_channels": 8}, IMAGE, "needs kernel_size"),
    ("ReLU", {"slope": 1}, IMAGE, "has no argument slope"),
]


@pytest.mark.parametrize(("kind", "args", "x", "sentence"), SENTENCES)
def test_refusals_are_sentences(kind: str, args: dict[str, Value], x: Signal, sentence: str) -> None:
    assert rule_answer(kind, Draw(args, x))[0].message == sentence


WORDS: list[tuple[str, dict[str, Value], str]] = [
    ("Conv2d", {"in_channels": 3, "out_channels": 16, "kernel_size": 3, "stride": 2, "padding": 1}, "3→16 k3 s2 p1"),
    (
        "Conv2d",
        {"in_channels": 6, "out_channels": 6, "kernel_size": (3, 5), "padding": "same", "groups": 6},
        "6→6 k3×5 same g6",
    ),
    ("ConvTranspose1d", {"in_channels": 4, "out_channels": 2, "kernel_size": (2,), "output_padding": 1}, "4→2 k2 op1"),
    ("AvgPool2d", {"kernel_size": 2}, "2"),
    ("MaxPool2d", {"kernel_size": (3, 3), "stride": 2, "padding": 1}, "3 s2 p1"),
    ("MaxPool2d", {"kernel_size": 3, "stride": 3}, "3"),
    ("AdaptiveAvgPool2d", {"output_size": (1, None)}, "1×None"),
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
]


@pytest.mark.parametrize(("kind", "args", "words"), WORDS)
def test_words_for_the_table(kind: str, args: dict[str, Value], words: str) -> None:
    assert KINDS[kind].words(bind(kind, args)) == words


def test_words_never_fail_whatever_the_arguments() -> None:
    """A layer whose arguments are wrong is shown all the same, with what it was given."""
    for kind, rule in KINDS.items():
        for value in (None, "", "word", (), (1, (2, "x")), 1.5):
            rule.words(bind(kind, {parameter.name: value for parameter in catalogue()[kind].parameters}))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_float_goes_through_as_it_is(dtype: str) -> None:
    for kind, args in (
        ("Linear", {"in_features": 4, "out_features": 2}),
        ("Sigmoid", {}),
        ("Softmax", {"dim": 0}),
        ("BatchNorm1d", {"num_features": 4}),
    ):
        answer, _ = rule_answer(kind, Draw(dict(args), Signal((3, 4), dtype)))
        assert not answer.refused_by
        assert answer.outputs[0].dtype == dtype


def test_missing_and_unknown_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="needs out_features"):
        bind("Linear", {"in_features": 1})
    with pytest.raises(ArgumentError, match="has no argument colour"):
        bind("Linear", {"in_features": 1, "out_features": 1, "colour": 1})
    with pytest.raises(ArgumentError, match="has no argument colour"):
        bind("Linear", {"in_features": 1, "colour": 1})


def influence(layer: nn.Module, shape: Shape, axis: int) -> list[list[int]]:
    """For each output index along an axis, the input indices along it that reach it: NaN goes wherever numbers go."""
    reached: list[list[int]] = []
    for index in range(shape[axis]):
        x = torch.ones(shape)
        x.select(axis, index).fill_(torch.nan)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = layer.eval()(x)
        first: torch.Tensor = y[0] if isinstance(y, tuple) else y
        is_reached = first.isnan().movedim(axis, 0).flatten(1).any(1)
        reached = reached or [[] for _ in is_reached]
        for out in is_reached.nonzero().flatten().tolist():
            reached[out].append(index)
    return reached


def sound_draws(kind: str, count: int) -> list[Draw]:
    """Draws of floats that torch takes, of which nothing is empty."""
    rng = random.Random(kind)
    draws: list[Draw] = []
    while len(draws) < count:
        draw = GENERATORS[kind](rng)
        answer, _ = rule_answer(kind, draw)
        if not answer.refused_by and draw.x.dtype == "float32" and 0 not in (*draw.x.shape, *answer.outputs[0].shape):
            draws.append(draw)
    return draws


def made(kind: str, draw: Draw) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer: nn.Module = getattr(nn, kind)(**draw.args)
    return layer


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.window])
def test_window_is_how_far_an_output_element_reaches(kind: str) -> None:
    """An element in the middle reaches from the first to the last element of its window, and the next a stride on."""
    window, checked = KINDS[kind].window, 0
    assert window is not None
    for draw in sound_draws(kind, 24):
        step = window(bind(kind, draw.args), draw.x)
        if step is None or len(draw.x.shape) <= len(step.extent) + (kind == "BatchNorm1d"):
            continue  # one that tells nothing, or too few dimensions to make the last ones longer
        dims = len(step.extent)
        for axis in range(dims):
            extent, stride = step.extent[axis], step.stride[axis]
            lengths = [reach + 8 for reach in step.extent]
            lengths[axis] = 4 * (extent + stride) + 8
            reach = influence(made(kind, draw), (*draw.x.shape[:-dims], *lengths), axis - dims)
            here, after = reach[len(reach) // 2 : len(reach) // 2 + 2]
            assert here[-1] - here[0] + 1 == extent
            assert after[0] - here[0] == stride
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.is_elementwise])
def test_elementwise_kinds_see_one_element(kind: str) -> None:
    for draw in sound_draws(kind, 5):
        assert influence(made(kind, draw), (2, 3, 4), 2) == [[0], [1], [2], [3]]
