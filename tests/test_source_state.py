"""What a layer's call does not say, in code and back: the type of the weights, what is off, and what is said of both.

Each text is run, and read without being run.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from generated import made, without_tensors
from torch import nn

from seqtui.engine.modules import described, spec_of
from seqtui.formats.source_code import source_code
from seqtui.formats.source_reader import read_source
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.model.tree import with_changes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.float8_e5m2])
def test_weights_of_another_type_are_of_it_in_the_code_and_read_back(dtype: torch.dtype) -> None:
    net = in_type(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.PReLU())), dtype)
    net[0].bias.requires_grad_(False)
    text = source_code(spec_of(net))
    word = str(dtype)
    assert f"\n).to({word})\nnet.get" in text
    again = made(text)
    assert dtypes(again) == dtypes(net)
    assert read_source(text) == spec_of(net) == spec_of(again)
    assert source_code(read_source(text)) == text


def test_half_weights_take_half_inputs_in_the_code_and_in_what_is_read() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).half()
    text = source_code(spec_of(net, (InputSpec("input", (1, 3, 8, 8), "float16"),)))
    assert text.startswith("import torch\nfrom torch import nn\n")
    total = infer_shapes(read_source(text)).total
    y = made(text).eval()(torch.zeros(1, 3, 8, 8, dtype=torch.float16))
    assert (total.output_shape, f"torch.{total.output_dtype}") == (tuple(y.shape), str(y.dtype))


def test_weights_of_several_types_are_told() -> None:
    net = nn.Sequential(nn.Linear(4, 3).half(), nn.LayerNorm(3))
    text = source_code(spec_of(net))
    assert "# weights of float16 and float32: here all of them are made float32\nnet = nn.Sequential(\n" in text
    assert set(dtypes(made(text)).values()) == {torch.float32}
    assert read_source(text).root == without_tensors(spec_of(net).root)


def test_the_type_of_a_layer_that_is_off_is_of_no_concern() -> None:
    spec = spec_of(nn.Sequential(nn.Linear(4, 3).half(), nn.LayerNorm(3)))
    assert ".to(" not in source_code(off(spec, "0"))
    assert ".to(torch.float16)" in source_code(off(spec, "1"))


def in_type(net: nn.Sequential, dtype: torch.dtype) -> nn.Sequential:
    with warnings.catch_warnings(action="ignore"):  # about complex weights
        return net.to(dtype)


def dtypes(net: nn.Sequential) -> dict[str, torch.dtype]:
    return {name: tensor.dtype for name, tensor in net.state_dict().items()}


def off(model: ModelSpec, *paths: str) -> ModelSpec:
    """The model with some layers switched off."""
    return with_changes(model, {path: lambda layer: replace(layer, enabled=False) for path in paths})


def shared() -> ModelSpec:
    """Layers of which three share a weight, one bias is frozen, and two stand in a Sequential of their own."""
    inner = nn.Sequential(OrderedDict([("a", nn.Linear(3, 3)), ("b", nn.Dropout())]))
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), inner, nn.Linear(3, 3), nn.Sequential(nn.Tanh(), nn.Identity()))
    first = net.get_submodule("2.a")
    assert isinstance(first, nn.Linear)
    owner = net.get_parameter("0.weight")
    net[3].weight = first.weight = owner
    net[0].bias.requires_grad_(False)
    first.bias.requires_grad_(False)
    return spec_of(net)


PLACES = ("0", "2", "2.a", "2.b", "3", "4", "4.0", "4.1")


@pytest.mark.parametrize("places", [places for count in range(5) for places in combinations(PLACES, count)], ids=str)
def test_whatever_is_off_the_code_runs_and_is_read_back(places: tuple[str, ...]) -> None:
    model = off(shared(), *places)
    text = source_code(model)
    net = made(text)
    assert read_source(text).root == without_tensors(model.root)
    acting = [path for path in ("0", "2.a", "3") if not {path, path.rpartition(".")[0]} & set(places)]
    linears = [net.get_submodule(path) for path in acting]
    assert [type(linear) for linear in linears] == [nn.Linear] * len(acting)
    assert len({id(linear.weight) for linear in linears}) <= 1
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"{path}.bias" for path in acting} - {"3.bias"}
    assert sum(type(module) is nn.Linear for module in net.modules()) == len(acting)


def test_lines_about_a_layer_that_is_off_stand_in_comments() -> None:
    assert source_code(off(shared(), "0", "2")) == (
        "from collections import OrderedDict\n\nfrom torch import nn\n\nnet = nn.Sequential(\n"
        "    nn.Identity(),  # off: nn.Linear(3, 3)\n"
        "    nn.ReLU(),\n"
        '    nn.Identity(),  # off: nn.Sequential(OrderedDict([("a", nn.Linear(3, 3)), ("b", nn.Dropout())]))\n'
        "    nn.Linear(3, 3),\n"
        "    nn.Sequential(\n        nn.Tanh(),\n        nn.Identity(),\n    ),\n)\n"
        '# off: net.get_submodule("2.a").weight = net.get_submodule("0").weight\n'
        '# off: net.get_submodule("3").weight = net.get_submodule("0").weight\n'
        '# off: net.get_submodule("0").bias.requires_grad_(False)\n'
        '# off: net.get_submodule("2.a").bias.requires_grad_(False)\n'
    )


def test_what_is_off_inside_what_is_off_is_given_to_an_identity() -> None:
    text = source_code(off(shared(), "4", "4.0"))
    assert "    nn.Identity(),  # off: nn.Sequential(nn.Identity(nn.Tanh()), nn.Identity())\n" in text


def test_what_no_call_carries_stays_said_of_a_layer_that_is_off() -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), nn.Dropout())
    net.get_parameter("0.parametrizations.weight.original0").requires_grad_(False)
    for model in (described(net), off(described(net), "0")):
        text = source_code(model)
        made(text)
        assert "nn.Linear(2, 2)" in text
        assert "  # not in this call: parametrized weight" in text
        assert "original0" not in text
        assert read_source(text).root.layers[0].enabled == model.root.layers[0].enabled
