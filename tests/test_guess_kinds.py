"""Guesses of single layers: what torch makes is told from its tensors, and torch makes the same tensors again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from seqtui.model.guess_kinds import guess_kind, recognisers
from seqtui.model.kinds.recognise import Guess
from seqtui.model.tensors import DTYPES, Shape


def guess(name: str, shapes: Mapping[str, Shape], dtype: str = "F32") -> Guess | None:
    """The guess for a layer with own tensors of one type; what has a dot in its name belongs to a layer below."""
    return guess_kind(name, tuple((key, dtype, shape) for key, shape in shapes.items() if "." not in key))


MODULES: dict[str, nn.Module] = {
    "linear": nn.Linear(3, 5),
    "projection": nn.Linear(3, 5, bias=False),
    "square": nn.Linear(4, 4),
    "embedding": nn.Embedding(7, 3),
    "bilinear": nn.Bilinear(3, 40, 5),
    "conv_a": nn.Conv1d(3, 5, 7),
    "conv_b": nn.Conv1d(3, 5, 41),
    "conv_c": nn.Conv2d(3, 5, (3, 2)),
    "conv_d": nn.Conv2d(3, 5, 1, bias=False),
    "conv_e": nn.Conv3d(4, 4, 3),
    "dwconv": nn.Conv2d(6, 6, 3, groups=6),
    "up_a": nn.ConvTranspose1d(3, 5, 4),
    "up_b": nn.ConvTranspose2d(4, 4, 2),
    "up_c": nn.ConvTranspose2d(6, 5, 2, bias=False),
    "wide": nn.ConvTranspose3d(6, 4, (1, 2, 3), groups=2),
    "bn1": nn.BatchNorm2d(5),
    "bn2": nn.BatchNorm1d(5, affine=False),
    "instance": nn.InstanceNorm2d(5, affine=True, track_running_stats=True),
    "layernorm": nn.LayerNorm(5),
    "ln_f": nn.LayerNorm((2, 5)),
    "ln_2": nn.LayerNorm(5, bias=False),
    "gn": nn.GroupNorm(2, 6),
    "rmsnorm": nn.RMSNorm(5),
    "act": nn.PReLU(),
    "prelu2": nn.PReLU(3),
    "attn": nn.MultiheadAttention(4, 2),
    "attn_b": nn.MultiheadAttention(4, 2, bias=False, add_bias_kv=True),
    "attn_c": nn.MultiheadAttention(4, 2, kdim=3, vdim=6),
    "lstm": nn.LSTM(3, 5, 2, bidirectional=True),
    "lstm_b": nn.LSTM(3, 5, bias=False, proj_size=2),
    "gru": nn.GRU(3, 5),
    "rnn": nn.RNN(3, 5, 3, nonlinearity="relu"),
    "cell": nn.LSTMCell(3, 5),
    "cell_b": nn.GRUCell(3, 5, bias=False),
    "cell_c": nn.RNNCell(3, 5),
}
NO_TRACE: dict[str, dict[str, int]] = {"GroupNorm": {"num_groups": 1}, "MultiheadAttention": {"num_heads": 1}}
"""What a constructor asks for and no tensor tells."""


def shapes_of(module: nn.Module) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def make(found: Guess) -> nn.Module:
    """What torch makes of a guess."""
    module = getattr(nn, found.kind)(**found.args, **NO_TRACE.get(found.kind, {}), device="meta")
    assert isinstance(module, nn.Module)
    return module


@pytest.mark.parametrize("name", MODULES)
def test_torch_makes_the_same_tensors_from_the_guess(name: str) -> None:
    module = MODULES[name]
    found = guess(name, shapes_of(module))
    assert found is not None
    assert type(module).__name__ in (found.kind, *found.alternatives)
    assert shapes_of(make(found)) == shapes_of(module)


TOLD_BY_NOTHING = ("bn2", "instance", "ln_2")


@pytest.mark.parametrize("name", [name for name in MODULES if name not in TOLD_BY_NOTHING])
def test_the_right_kind_leads_where_tensors_or_names_tell_it(name: str) -> None:
    module = MODULES[name]
    found = guess(name, shapes_of(module))
    assert found is not None
    assert found.kind == type(module).__name__


UNDECIDED: dict[str, dict[str, Shape]] = {
    "scale and shift": {"weight": (8,), "bias": (8,)},
    "scale": {"weight": (8,)},
    "a transposed weight": {"weight": (8, 24), "bias": (24,)},
    "stacked experts": {"weight": (8, 64, 128)},
    "no weight": {"bias": (8,)},
    "more than torch has": {"weight": (8, 8), "bias": (8,), "scale": (8,)},
    "bias of no length": {"weight": (8, 3, 3, 3), "bias": (7,)},
    "no numbers": {"weight": (0, 0, 0, 0), "bias": (0,)},
    "hidden size 0": {"weight_ih_l0": (4, 3), "weight_hh_l0": (4, 0)},
    "a scalar": {"weight": ()},
}


@pytest.mark.parametrize("tensors", UNDECIDED.values(), ids=UNDECIDED)
def test_what_shapes_do_not_tell_is_left_open(tensors: dict[str, Shape]) -> None:
    assert guess("x", tensors) is None


@pytest.mark.parametrize("dtype", ["I8", "U8", "BOOL", "F4", "X9"])
def test_packed_or_unknown_numbers_are_no_linear(dtype: str) -> None:
    assert guess("fc", {"weight": (8, 4), "bias": (8,)}, dtype) is None


TENSOR_NAMES = sorted({name for row in recognisers() for name in row.required | (row.optional or set())} | {"other"})
SIZES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 64]), max_size=6).map(tuple)
ROWS = st.dictionaries(st.sampled_from(TENSOR_NAMES), st.tuples(st.sampled_from([*DTYPES, "X9"]), SIZES))
LAYER_NAMES = st.sampled_from(["x", "norm", "prelu", "emb", "up", "dw", "gn", "conv"])


@given(LAYER_NAMES, ROWS)
def test_any_shapes_are_guessed_without_failing(name: str, rows: dict[str, tuple[str, Shape]]) -> None:
    found = guess_kind(name, tuple((key, dtype, shape) for key, (dtype, shape) in rows.items()))
    assert found is None or hasattr(nn, found.kind)
    assert found is None or found.kind not in found.alternatives


WEIGHTS = st.lists(st.sampled_from([1, 2, 3, 4, 6, 40]), min_size=1, max_size=5).map(tuple)
BIASES = st.none() | st.sampled_from([1, 2, 3, 4, 6, 12, 40])


@given(LAYER_NAMES, WEIGHTS, BIASES)
def test_torch_makes_any_weight_and_bias_from_their_guess(name: str, weight: Shape, bias: int | None) -> None:
    shapes: dict[str, Shape] = {"weight": weight} | ({} if bias is None else {"bias": (bias,)})
    found = guess(name, shapes)
    assume(found is not None)
    assert found is not None
    assert shapes_of(make(found)) == shapes
