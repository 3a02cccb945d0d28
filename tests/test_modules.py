"""What a live module says of itself: its arguments for every kind, and a sentence for all that no spec can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy
import pytest
import torch
from odd_layers import LoudLinear, attention_with_foreign_part, with_extra_buffer, with_swapped_weight
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from seqtui.engine.arguments import named_tensors, plain_value, torch_layer
from seqtui.engine.modules import spec_of
from seqtui.errors import EngineError, UsageError
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue, parameters
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.tensors import TensorInfo

torch.set_num_threads(1)


def test_a_spec_holds_names_kinds_arguments_and_tensors() -> None:
    last = nn.Linear(2, 3, bias=False, dtype=torch.float16)
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Sequential(nn.ReLU(), nn.Dropout(0.5), last))
    conv = LayerSpec(
        "0",
        "Conv2d",
        {"in_channels": 1, "out_channels": 6, "kernel_size": 5, "padding": 2},
        tensors=(TensorInfo("weight", "F32", (6, 1, 5, 5), 600), TensorInfo("bias", "F32", (6,), 24)),
    )
    linear = LayerSpec(
        "2",
        "Linear",
        {"in_features": 2, "out_features": 3, "bias": False},
        tensors=(TensorInfo("weight", "F16", (3, 2), 12),),
    )
    block = LayerSpec("1", "Sequential", layers=(LayerSpec("0", "ReLU"), LayerSpec("1", "Dropout"), linear))
    inputs = (InputSpec("input", (1, 1, 28, 28)),)
    assert spec_of(net, inputs) == ModelSpec(LayerSpec("", "Sequential", layers=(conv, block)), inputs)


def test_a_shared_parameter_belongs_to_its_first_place() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.Sequential(shared), nn.Linear(2, 2))
    net.get_submodule("2").bias = shared.bias
    tied = {path: dict(layer.tied) for path, layer in spec_of(net).walk()}
    assert tied == {
        "0": {},
        "1": {},
        "1.0": {"weight": "0.weight", "bias": "0.bias"},
        "2": {"bias": "0.bias"},
    }


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_parameters_and_buffers_are_those_of_the_rule(kind: str) -> None:
    layer = spec_of(nn.Sequential(next(variants(kind)))).layer("0")
    args = bind(kind, layer.args)
    expected = {**KINDS[kind].parameters(args), **KINDS[kind].buffers(args)}
    assert {info.name: info.shape for info in layer.tensors} == expected


REQUIRED: Mapping[str, object] = {
    **dict.fromkeys(("in_features", "in_channels", "embedding_dim", "groups", "num_layers"), 2),
    **dict.fromkeys(("out_features", "out_channels", "num_features", "num_channels", "nhead", "num_heads"), 4),
    **dict.fromkeys(("kernel_size", "in1_features", "in2_features", "output_size", "num_embeddings"), 3),
    **dict.fromkeys(("d_model", "embed_dim", "input_size", "normalized_shape"), 8),
    **dict.fromkeys(("num_groups", "upscale_factor", "downscale_factor", "size", "padding", "norm_type"), 2),
    **dict.fromkeys(("threshold", "value"), 0.25),
    "hidden_size": 5,
    "dim": 1,
    "unflattened_size": (2, 3),
    "n_classes": 7,
    "cutoffs": [2, 4],
    "num_classes": 4,
}
OTHER_VALUES: Mapping[str, tuple[object, ...]] = {
    "bool": (True, False),
    "int": (1, 2, 3),
    "float": (0.125, 2.0),
    "str": ("sum", "reflect", "gelu", "tanh", "bilinear", "same", "max", "relu"),
    "None": (3, 0.5, True, (2, 2), (2, 3), (3,), (1, 2, 1, 2), (2, 2, 2), [2, 2]),
    "tuple": ((2, 3), (0.2, 0.3), (2, 2)),
}
SMALL: Mapping[str, Mapping[str, object]] = {
    "Transformer": {"d_model": 8, "nhead": 2, "dim_feedforward": 8},
    "TransformerEncoderLayer": {"dim_feedforward": 8},
    "TransformerDecoderLayer": {"dim_feedforward": 8},
    "FractionalMaxPool2d": {"output_size": 3},
    "FractionalMaxPool3d": {"output_size": 3},
}


HOLDS_NUMBERS = ("weight", "pos_weight", "custom_encoder", "custom_decoder")
"""Arguments that are tensors or layers: a plain value there makes no layer that works."""


def required(kind: str) -> dict[str, object]:
    given = {p.name: REQUIRED[p.name] for p in catalogue()[kind].parameters if p.is_required and p.name in REQUIRED}
    inner = {"TransformerEncoder": "encoder_layer", "TransformerDecoder": "decoder_layer"}.get(kind)
    if inner:
        given[inner] = getattr(nn, f"{kind}Layer")(8, 2, 8)
    return {**given, **SMALL.get(kind, {})}


def variants(kind: str) -> Iterator[nn.Module]:
    """A layer of the kind, then others that differ from it in one argument each, as far as torch makes them."""
    base = required(kind)
    yield getattr(nn, kind)(**base)
    for name, annotation, _, default in parameters(kind):
        if name in HOLDS_NUMBERS:
            continue
        words = [word for word in OTHER_VALUES if word in annotation] if default is not None else ["None"]
        for value in (value for word in words for value in OTHER_VALUES[word]):
            given = {**base, name: value}
            if name == "output_ratio":
                del given["output_size"]
            try:
                yield getattr(nn, kind)(**given)
            except (TypeError, ValueError, RuntimeError, AssertionError, NotImplementedError, IndexError, KeyError):
                continue  # torch does not take this value here


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", sorted(catalogue()))
def test_arguments_are_read_back(kind: str) -> None:
    for layer in variants(kind):
        spec = spec_of(nn.Sequential(layer)).layer("0")
        again = torch_layer(kind, spec.args)
        assert repr(again).replace("[", "(").replace("]", ")") == repr(layer).replace("[", "(").replace("]", ")")
        assert [(n, t.shape) for n, t, _ in named_tensors(again)] == [(n, t.shape) for n, t, _ in named_tensors(layer)]
        assert spec_of(nn.Sequential(again)).layer("0").args == spec.args


@pytest.mark.parametrize(
    ("value", "plain"),
    [([3, 3], (3, 3)), (torch.Size([2]), (2,)), (((1, 2), [3]), ((1, 2), (3,))), (None, None), (True, True)],
)
def test_plain_values(value: object, plain: Value) -> None:
    assert plain_value(value) == plain


def test_numbers_of_numpy_are_read_as_plain_ones() -> None:
    linear, dropout = nn.Linear(3, 2), nn.Dropout(0.5)
    vars(linear).update(in_features=numpy.int64(3), out_features=numpy.int32(2))
    vars(dropout).update(p=numpy.float32(0.25))
    net = nn.Sequential(linear, dropout)
    assert spec_of(net).layer("0").args == {"in_features": 3, "out_features": 2}
    assert spec_of(net).layer("1").args == {"p": 0.25}


# What no spec can hold


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return x + y


def refusal(net: nn.Sequential) -> str:
    """The sentence with which a network is refused."""
    with pytest.raises(EngineError) as caught:
        spec_of(net)
    return caught.value.message


def with_hook() -> nn.Module:
    layer = nn.ReLU()
    layer.register_forward_hook(lambda module, args, output: output + 1)
    return layer


def with_own_forward() -> nn.Module:
    layer = nn.ReLU()
    layer.forward = torch.tanh  # type: ignore[method-assign]  # what people do to patch one layer
    return layer


def with_pruned_weight() -> nn.Module:
    layer = nn.Linear(2, 2)
    prune.RandomUnstructured.apply(layer, "weight", 0.5)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return layer


def with_stale_padding() -> nn.Module:
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    layer.padding = (0,)
    return layer


def sequential_with_parameter() -> nn.Module:
    layer = nn.Sequential(nn.ReLU())
    layer.register_parameter("scale", nn.Parameter(torch.ones(1)))
    return layer


def sequential_with_none() -> nn.Module:
    layer = nn.Sequential(nn.ReLU())
    layer.register_module("1", None)
    return layer


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Doubling, "block.1 is a test_modules.Doubling, which is no layer that a spec can hold"),
        (lambda: LoudLinear(2, 2), "block.1 is a odd_layers.LoudLinear, which is no layer"),
        (lambda: Residual(nn.ReLU()), "block.1 is a test_modules.Residual, which is no layer"),
        (lambda: nn.ModuleList([nn.ReLU()]), "block.1 is a torch.nn.modules.container.ModuleList, which is no layer"),
        (with_hook, "block.1 has a forward hook (with_hook.<locals>.<lambda>), which a spec cannot hold"),
        (with_pruned_weight, "block.1 has a forward hook (RandomUn"),
        (lambda: parametrizations.weight_norm(nn.Linear(2, 2)), "block.1 has parametrized weights"),
        (with_own_forward, "block.1 was given another forward"),
        (with_extra_buffer, "block.1 is a Linear that a spec cannot hold: its mask is 3, a new one has none"),
        (with_swapped_weight, "block.1 is a Linear that a spec cannot hold: its weight is 3×5, a new one has 3×2"),
        (with_stale_padding, "block.1 is a Conv1d that a spec cannot hold: its _reversed_padding_repeated_twice is"),
        (attention_with_foreign_part, "block.1 is a MultiheadAttention that a spec cannot hold: its out_proj.class is"),
        (lambda: nn.LazyLinear(3), "block.1 is a LazyLinear that has seen no input"),
        (lambda: nn.CrossEntropyLoss(torch.ones(3)), "block.1 is a CrossEntropyLoss that a spec cannot hold: its wei"),
        (sequential_with_parameter, "block.1 is a Sequential with a tensor of its own, scale"),
        (sequential_with_none, "block.1.1 is None, not a layer"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex128), "block.1.weight is a tensor of complex128"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_spec_cannot_hold_is_refused_with_its_path(make: Callable[[], nn.Module], sentence: str) -> None:
    net = nn.Sequential()
    net.add_module("block", nn.Sequential(nn.ReLU(), make()))
    assert refusal(net).startswith(sentence)


@pytest.mark.filterwarnings("ignore")
def test_the_old_weight_norm_is_refused() -> None:
    layer = torch.nn.utils.weight_norm(nn.Linear(2, 2))
    assert refusal(nn.Sequential(layer)).startswith("0 has a forward hook (WeightNorm)")


@pytest.mark.filterwarnings("ignore:Lazy")
def test_a_lazy_layer_that_has_seen_an_input_is_an_ordinary_one() -> None:
    net = nn.Sequential(nn.LazyLinear(3))
    net(torch.ones(1, 4))
    assert spec_of(net).layer("0").args == {"in_features": 4, "out_features": 3}


def test_hooks_on_gradients_do_not_change_what_a_layer_gives() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].register_full_backward_hook(lambda module, inputs, outputs: None)
    assert spec_of(net).layer("0").kind == "Linear"


def test_a_network_that_contains_itself_is_refused() -> None:
    net = nn.Sequential(nn.Sequential())
    net.get_submodule("0").add_module("again", net)
    assert refusal(net) == "0.again contains itself"


def test_a_network_nested_too_deep_is_refused() -> None:
    net = nn.Sequential()
    for _ in range(2000):
        net = nn.Sequential(net)
    assert refusal(net) == "the network has more than 32 Sequentials inside one another"


@pytest.mark.parametrize("net", [Residual(nn.ReLU()), Doubling(), nn.Linear(2, 2), "net.pt", None])
def test_only_a_sequential_has_a_spec(net: nn.Sequential) -> None:
    with pytest.raises(UsageError, match=r"is no nn\.Sequential"):
        spec_of(net)
