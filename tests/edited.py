"""Models to edit, and what the tests of edits look at: values in, values out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
from torch import nn

from seqtui.engine.modules import spec_of
from seqtui.errors import EditError
from seqtui.model.edits import parse_edit
from seqtui.model.guess import guess_model
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import DTYPES, Shape, TensorInfo, TensorRef, TensorTable
from seqtui.model.ties import tie_groups
from seqtui.model.tree import joined, walk_layer


def model_of(net: nn.Sequential) -> ModelSpec:
    """The spec of a network whose tensors lie in a file "net", each under its full name."""

    def stored(path: str, layer: LayerSpec) -> LayerSpec:
        tensors = (tensor._replace(ref=TensorRef("net", joined(path, tensor.name))) for tensor in layer.tensors)
        inside = (stored(joined(path, child.name), child) for child in layer.layers)
        return replace(layer, tensors=tuple(tensors), layers=tuple(inside))

    model = spec_of(net)
    return replace(model, root=stored("", model.root))


def checkpoint(tensors: dict[str, Shape], dtypes: dict[str, str] | None = None) -> ModelSpec:
    """The model of a file "net" that says nothing of its layers: F32 unless said otherwise."""

    def row(name: str, shape: Shape) -> TensorInfo:
        dtype = (dtypes or {}).get(name, "F32")
        num_elements = 1
        for size in shape:
            num_elements *= size
        return TensorInfo(name, dtype, shape, num_elements * (DTYPES[dtype].bits if dtype in DTYPES else 8) // 8)

    return guess_model(TensorTable.of(row(name, shape) for name, shape in tensors.items()), "net", {})[0]


def done(model: ModelSpec, *lines: str) -> ModelSpec:
    """The model after some edits."""
    for line in lines:
        edit = parse_edit(line)
        assert edit is not None
        model = edit.apply(model)
    return model


def refused(model: ModelSpec, line: str) -> str:
    """The sentence with which an edit is refused."""
    with pytest.raises(EditError) as caught:
        done(model, line)
    assert str(caught.value.message)
    return caught.value.message


def paths(model: ModelSpec) -> list[str]:
    """Of all layers, in order."""
    return [path for path, _ in model.walk()]


def kinds(model: ModelSpec) -> dict[str, str | None]:
    """What each layer is."""
    return {path: layer.kind for path, layer in model.walk()}


def tensors(model: ModelSpec) -> dict[str, TensorInfo]:
    """Every tensor by its full name."""
    walk = walk_layer("", model.root)
    return {joined(path, tensor.name): tensor for path, layer in walk for tensor in layer.tensors}


def sources(model: ModelSpec) -> dict[str, str]:
    """Full name of every tensor that lies in the file -> its name there."""
    return {name: tensor.stored.name for name, tensor in tensors(model).items() if tensor.stored}


def ties(model: ModelSpec) -> list[list[str]]:
    """The full names of the tensors that are one, the owner first."""
    groups = ([joined(*place) for place in group] for group in tie_groups(model).values())
    return sorted({group[0]: group for group in groups}.values())


# Models to begin with


def named() -> ModelSpec:
    return model_of(
        nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 4, 3),
                bn1=nn.BatchNorm2d(4),
                relu1=nn.ReLU(),
                drop1=nn.Dropout(0.5),
                flat=nn.Flatten(),
                fc1=nn.Linear(36, 8),
                drop2=nn.Dropout(0.5),
                fc2=nn.Linear(8, 2, bias=False),
            )
        )
    )


def numbered() -> ModelSpec:
    return model_of(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)))


def nested() -> ModelSpec:
    body = OrderedDict(fc1=nn.Linear(4, 4), act=nn.ReLU(), inner=nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    return model_of(nn.Sequential(OrderedDict(stem=nn.Linear(4, 4), body=nn.Sequential(body), head=nn.Linear(4, 4))))


def tied() -> ModelSpec:
    """Three layers that share one weight; the middle one stands inside a Sequential."""
    first, second, third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = third.weight = first.weight
    return model_of(
        nn.Sequential(OrderedDict(a=first, block=nn.Sequential(nn.ReLU(), second), c=third, d=nn.Linear(4, 4)))
    )


def opaque() -> ModelSpec:
    return checkpoint(
        {
            "model.fc.weight": (4, 3),
            "model.fc.bias": (4,),
            "model.conv.weight": (8, 3, 3, 3),
            "model.scale": (4,),
            "model.ids": (4,),
            "head.weight": (4, 3),
            "a..b": (2,),
            "step": (),
        },
        {"model.ids": "I64", "step": "I64"},
    )
