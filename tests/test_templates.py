"""Templates are what torch builds from their code: tensors, parameters, output shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from seqtui.errors import UsageError
from seqtui.formats.source_code import source_code
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import NewTensor
from seqtui.templates import TEMPLATES, template_model

SIZES = {"article_cnn": 5_088, "article_unnamed": 5_088, "alexnet": 61_100_840, "vgg11": 132_863_336, "lenet5": 61_706}
"""Parameters as others count them: torchvision's documentation, LeNet's layers by hand."""
LARGE = ("alexnet", "vgg11")
"""Built without numbers."""


def network(name: str) -> tuple[nn.Sequential, torch.Tensor]:
    """What the code of a template makes where torch runs it, in eval, and something to feed it."""
    found: dict[str, Any] = {}
    with torch.device("meta" if name in LARGE else "cpu"):
        exec(source_code(template_model(name)), found)
        fed = torch.zeros(found["input_shape"], dtype=getattr(torch, found.get("input_dtype", "float32")))
    net = found["net"]
    assert isinstance(net, nn.Sequential)
    return net.eval(), fed


def shapes(model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model by its full name, in order."""
    return {f"{path}.{tensor.name}": tensor.shape for path, layer in model.walk() for tensor in layer.tensors}


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_is_what_torch_builds_from_its_code(name: str) -> None:
    torch.set_num_threads(1)
    model, (net, fed) = template_model(name), network(name)
    inference = infer_shapes(model)
    assert shapes(model) == {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    assert list(shapes(model)) == list(net.state_dict())
    assert inference.total.num_params == sum(parameter.numel() for parameter in net.parameters())
    assert inference.total.num_params == SIZES.get(name, inference.total.num_params)
    assert inference.total.output_shape == tuple(net(fed).shape)
    assert not inference.problems


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_weight_is_made_yet_and_each_layer_has_a_seed_of_its_own(name: str) -> None:
    layers = [layer for _, layer in template_model(name).walk() if layer.tensors]
    seeds = [tensor.ref.seed for layer in layers for tensor in layer.tensors[:1] if isinstance(tensor.ref, NewTensor)]
    assert len(set(seeds)) == len(layers)
    assert all(isinstance(tensor.ref, NewTensor) for layer in layers for tensor in layer.tensors)
    assert template_model(name) == template_model(name)


def test_without_a_name_there_is_nothing_yet() -> None:
    assert template_model("") == ModelSpec(LayerSpec("", "Sequential"))


def test_unknown_name_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="there is no template lenet") as near:
        template_model("lenet")
    assert near.value.hint == "Did you mean lenet5?"
    with pytest.raises(UsageError) as far:
        template_model("resnet1202")
    assert far.value.hint == f"Templates are {', '.join(TEMPLATES)}."
