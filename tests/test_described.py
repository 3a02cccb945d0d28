"""A live network as it is shown: nothing of it is refused, and nothing said of it that torch would not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from odd_layers import attention_with_foreign_part, with_extra_buffer, with_swapped_weight
from torch import Tensor, nn
from torch.nn.functional import silu
from torch.nn.utils import parametrizations, parametrize, prune

from seqtui.engine.modules import described
from seqtui.model.infer import Inference, infer_shapes
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import InputSpec

torch.set_num_threads(1)


def shown(layer: nn.Module, *shape: int) -> Inference:
    """The inference of a network of one layer, of which nothing is refused."""
    return infer_shapes(described(nn.Sequential(layer), (InputSpec("input", shape),)))


class Statistics(nn.Module):
    """A parameter and a buffer, called and typed as if each were the other."""

    def __init__(self) -> None:
        super().__init__()
        self.running_mean = nn.Parameter(torch.ones(3))
        self.register_buffer("weight", torch.ones(5))
        self.fc = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x)
        return y


class Symmetric(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).mT


class FirstRows(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight[:2]


def pruned(layer: nn.Module, *names: str) -> nn.Module:
    for name in names:
        prune.L1Unstructured.apply(layer, name, 0.5)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return layer


def parametrized(layer: nn.Module, made_by: nn.Module, unsafe: bool = False) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", made_by, unsafe=unsafe)


def attention_with_foreign_weight() -> nn.Module:
    layer = nn.MultiheadAttention(4, 2)
    parametrizations.weight_norm(layer.out_proj)
    return layer


MADE_ANEW: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "weight_norm": (lambda: parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), (1, 3, 8, 8)),
    "spectral_norm": (lambda: parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)), (1, 3, 8, 8)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(8, 8)), (1, 8)),
    "orthogonal of another height": (lambda: parametrizations.orthogonal(nn.Linear(3, 8), "weight", "cayley"), (1, 3)),
    "two": (lambda: parametrizations.spectral_norm(parametrized(nn.Linear(4, 4), Symmetric())), (1, 4)),
    "half": (lambda: parametrizations.weight_norm(nn.Linear(4, 2, bias=False)).to(torch.float64), (1, 4)),
    "old weight_norm": (lambda: torch.nn.utils.weight_norm(nn.Conv1d(3, 8, 3)), (1, 3, 8)),
    "old spectral_norm": (lambda: torch.nn.utils.spectral_norm(nn.Conv2d(3, 8, 3)), (1, 3, 8, 8)),
    "pruned": (lambda: pruned(nn.Linear(4, 4), "weight", "bias"), (1, 4)),
    "pruned twice": (lambda: pruned(pruned(nn.Linear(4, 4), "weight"), "weight"), (1, 4)),
}
"""Layers of which something computes weights anew, and what each is fed."""

UNREAD: Mapping[str, tuple[Callable[[], nn.Module], str]] = {
    "extra buffer": (with_extra_buffer, "its mask is 3, a new one has none"),
    "swapped weight": (with_swapped_weight, "its weight is 3×5, a new one has 3×2"),
    "swapped and made": (
        lambda: parametrizations.weight_norm(with_swapped_weight()),
        "its weight is 3×5, a new one has 3×2",
    ),
    "function": (
        lambda: nn.TransformerEncoderLayer(8, 2, 8, activation=silu),
        "a new one cannot be made: activation should be relu/gelu, not silu",
    ),
    "module": (
        lambda: nn.TransformerDecoderLayer(8, 2, 8, activation=nn.SiLU()),
        "its activation is torch.nn.modules.activation.SiLU, a new one has relu",
    ),
    "layers that differ": (
        lambda: encoder_of(nn.TransformerEncoderLayer(8, 4, 8)),
        "its layers.1.self_attn.num_heads is 4, a new one has 2",
    ),
    "no layers": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 0),
        "of no layers none is left to read the others from",
    ),
    "encoder of its own": (
        lambda: nn.Transformer(8, 2, 1, 1, 8, custom_encoder=nn.ReLU()),
        "its encoder.layers.0.self_attn.in_proj_weight is missing, a new one has 24×8",
    ),
    "part": (attention_with_foreign_part, "its out_proj.class is odd_layers.LoudLinear, a new one has "),
    "weight of a part": (attention_with_foreign_weight, "its out_proj.weight is missing, a new one has 4×4"),
    "class weights": (lambda: nn.CrossEntropyLoss(torch.ones(2)), "its weight is 2, a new one has none"),
}
"""Layers of torch.nn whose arguments cannot be read back, and how the reason begins."""


def encoder_of(second: nn.Module) -> nn.Module:
    """A TransformerEncoder with another layer in its second place."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 2, enable_nested_tensor=False)
    encoder.layers[1] = second
    return encoder


@pytest.mark.parametrize(
    "make",
    [
        Statistics,
        lambda: parametrizations.spectral_norm(Statistics().fc),
        lambda: nn.Sequential(Statistics(), nn.BatchNorm1d(2)),
        lambda: nn.Linear(2, 2, dtype=torch.complex128),
        *(make for make, _ in MADE_ANEW.values()),
        *(make for make, _ in UNREAD.values()),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_parameters_and_buffers_are_counted_as_torch_has_them(make: Callable[[], nn.Module]) -> None:
    module = make()
    next(module.parameters(), torch.ones(1)).requires_grad_(False)
    total = shown(module, 1, 2).total
    assert total.num_params == sum(p.numel() for p in module.parameters())
    assert total.num_trainable == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert total.num_buffers == sum(b.numel() for b in module.buffers())


@pytest.mark.parametrize("name", MADE_ANEW)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_layer_whose_weights_are_made_anew_is_that_layer(name: str) -> None:
    make, shape = MADE_ANEW[name]
    module = make()
    dtype = next(module.parameters()).dtype
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    inputs = (InputSpec("input", shape, str(dtype).removeprefix("torch.")),)
    info = infer_shapes(described(nn.Sequential(module), inputs)).infos["0"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert info.output_shape == tuple(module(torch.zeros(shape, dtype=dtype)).shape)
    assert info.output_dtype == str(dtype).removeprefix("torch.")


def with_cropping_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, args, output: output[:, :1])
    return layer


def with_cropping_parametrization() -> nn.Module:
    made_by = nn.Identity()
    layer = parametrized(nn.Linear(4, 3), made_by)
    with_cropping_hook(made_by)
    return layer


class Cropped:
    """Classes that are called as torch's are."""

    class Conv2d(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, :1]

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.in_features, self.out_features = 4, 3
            self.weight, self.bias = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.weight.T)[:, :1]

    class Dropout(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: with_cropping_hook(parametrizations.weight_norm(nn.Linear(4, 3))), "a forward hook, "),
        (lambda: parametrizations.weight_norm(with_cropping_hook(nn.Linear(4, 3))), "a forward hook, "),
        (lambda: with_cropping_hook(torch.nn.utils.weight_norm(nn.Linear(4, 3))), "a forward hook, with_cropping"),
        (lambda: parametrizations.weight_norm(Cropped.Conv2d(4, 3, 1)), "a forward of its own"),
        (lambda: torch.nn.utils.weight_norm(Cropped.Conv2d(4, 3, 1)), "a forward of its own"),
        (lambda: parametrizations.spectral_norm(Cropped.Linear()), "a forward of its own"),
        (lambda: Cropped.Dropout(0.25), "a forward of its own"),
        (lambda: parametrized(nn.Linear(4, 3), FirstRows(), unsafe=True), "parametrized weight"),
        (with_cropping_parametrization, "a forward hook, "),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_where_a_forward_may_give_another_shape_none_is_shown(make: Callable[[], nn.Module], reason: str) -> None:
    module = make()
    info = shown(module, 1, 4).infos["0"]
    assert info.unknown.startswith(reason)
    assert (info.output_shape, info.macs, info.problem) == (None, None, None)
    assert info.num_params == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_layer_whose_arguments_are_lost_is_shown_without_any(name: str) -> None:
    make, reason = UNREAD[name]
    module = make()
    kind = parametrize.type_before_parametrizations(module).__name__
    net = nn.Sequential(module, nn.ReLU())
    spec = described(net, (InputSpec("input", (5, 1, 7)),))
    layer, info = spec.layer("0"), infer_shapes(spec).infos["0"]
    assert (layer.kind, layer.args, layer.layers) == (kind, {}, ())
    assert [tensor.name for tensor in layer.tensors] == list(module.state_dict())
    assert layer.lost.startswith(reason)
    assert (info.output_shape, info.macs) == (None, None)
    if catalogue()[kind].inputs:  # whatever its arguments are, one tensor is too few
        assert info.problem is not None
        assert info.problem.brief.endswith(", one arrives")
    else:
        assert info.problem is None
        assert info.unknown == f"its arguments cannot be told, {layer.lost}"


def test_what_stands_in_a_module_of_your_own_may_be_fed_several_tensors() -> None:
    block = Statistics()
    block.attention, block.loss = nn.MultiheadAttention(2, 1), nn.MSELoss()
    assert not shown(block, 1, 2).problems


@pytest.mark.filterwarnings("ignore:Lazy")
def test_the_tensors_of_a_lazy_layer_are_named_and_not_counted() -> None:
    layer = described(nn.Sequential(nn.LazyBatchNorm1d())).layer("0")
    assert layer.unsized == {"weight", "bias", "running_mean", "running_var"}
    assert [tensor.name for tensor in layer.tensors] == ["num_batches_tracked"]
