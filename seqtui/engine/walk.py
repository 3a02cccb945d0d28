"""A network run layer by layer, as `nn.Sequential.forward` does it, so that each layer can be looked at and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from seqtui.engine.refusal import refusal
from seqtui.errors import EngineError
from seqtui.model.tree import joined

if TYPE_CHECKING:
    import torch
    from torch import nn

Before: TypeAlias = Callable[[str], None]
After: TypeAlias = "Callable[[str, nn.Module, object], None]"


def through(
    network: nn.Sequential,
    value: object,
    before: Before = lambda path: None,
    after: After = lambda path, module, value: None,
    path: str = "",
) -> object:
    """What a network gives. `before` hears the path of each layer that is about to run, one that holds others before
    these; `after` hears its path, the layer, and what it gave, one that holds others after these.

    Raises EngineError where a layer raises, with the layer's path.
    """
    from torch import nn

    for name, module in network._modules.items():
        assert module is not None  # a network that was built has a layer at each place
        place = joined(path, name)
        before(place)
        if type(module) is nn.Sequential:
            value = through(module, value, before, after, place)
        else:
            value = called(place, module, value)
        after(place, module, value)
    return value


def num_layers(network: nn.Sequential) -> int:
    """How many layers `through` comes to, those that hold others too."""
    from torch import nn

    layers = network._modules.values()
    return sum(1 + (num_layers(layer) if type(layer) is nn.Sequential else 0) for layer in layers)


def called(path: str, module: nn.Module, value: object) -> object:
    """What one layer gives. Raises EngineError with its path, OutOfMemoryError where memory ran out."""
    try:
        return module(value)
    except Exception as error:  # layers raise what they like
        raise refusal(path, error) from error


def tensors_in(value: object) -> tuple[torch.Tensor, ...]:
    """The tensors that a layer gave, however they are nested, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        return (value,)
    return tuple(tensor for part in value for tensor in tensors_in(part)) if isinstance(value, tuple | list) else ()


def first_tensor(path: str, value: object) -> torch.Tensor:
    """The first of what a layer gave. Raises EngineError where it gave none."""
    found = tensors_in(value)
    if not found:
        raise EngineError(f"{path or 'the model'} gives no tensor")
    return found[0]
