"""What the tests of generated code hold it against: the network that Python makes of it, and a spec without tensors."""

from __future__ import annotations

import warnings
from dataclasses import replace

from torch import nn

from seqtui.model.spec import LayerSpec


def without_tensors(layer: LayerSpec) -> LayerSpec:
    return replace(layer, tensors=(), layers=tuple(map(without_tensors, layer.layers)))


def made(text: str) -> nn.Sequential:
    """What Python makes of the code."""
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(text, names)  # our own code, to see that it is Python
    net = names["net"]
    assert isinstance(net, nn.Sequential)
    return net
