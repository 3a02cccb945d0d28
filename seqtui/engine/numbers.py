"""The numbers of tensors: read from a file, or made as torch makes them. What is saved and what is run are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seqtui.engine.arguments import named_tensors, torch_layer
from seqtui.engine.requests import Making
from seqtui.errors import EngineError
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import DTYPES

if TYPE_CHECKING:
    import torch
    from torch import nn


class NewNumbers:
    """Makes new tensors. Those of one layer mostly come after one another, and its constructor is called once."""

    def __init__(self) -> None:
        self._made: tuple[object, nn.Module] | None = None

    def tensor(self, making: Making, kept: Callable[[], torch.Tensor] | None) -> torch.Tensor:
        """A tensor on the CPU, the same each time. `kept` gives the one of which the leading block is taken.

        The random state is left as it was. Raises EngineError for an `init` that does not fit the shape, and whatever
        the constructor of the layer raises.
        """
        import torch

        dtype: torch.dtype = getattr(torch, making.dtype)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            tensor = self._new(making).to(dtype).contiguous().clone()
            if making.kept is not None and kept is not None:
                block = tuple(slice(size) for size in making.kept)
                tensor[block] = kept()[block].to(dtype)
        return tensor

    def _new(self, making: Making) -> torch.Tensor:
        """The tensor before anything is put into it."""
        import torch
        from torch import nn

        if making.kept == making.shape:
            return torch.empty(making.shape)
        if making.init is None:
            tensors = {name: tensor for name, tensor, _ in named_tensors(self._layer(making))}
            return tensors[making.own_name].detach()
        torch.default_generator.manual_seed(making.seed)
        tensor = torch.empty(making.shape)
        try:
            getattr(nn.init, f"{making.init}_")(tensor)
        except ValueError as error:
            raise EngineError(f"{making.name} cannot be filled by {making.init}: {error}") from None
        return tensor

    def _layer(self, making: Making) -> nn.Module:
        import torch

        key = (making.kind, repr(making.args), making.seed)
        if self._made is None or self._made[0] != key:
            torch.default_generator.manual_seed(making.seed)
            self._made = key, torch_layer(making.kind, making.args)
        return self._made[1]


def stored_tensor(source: TensorSource, name: str) -> torch.Tensor:
    """A tensor of a file on the CPU. Raises what the source raises, RuntimeError where there is no memory for it."""
    import torch

    info = source.tensors[name]
    tensor = torch.empty(info.shape, dtype=getattr(torch, DTYPES[info.dtype].torch))
    source.read_into(name, 0, as_bytes(tensor).numpy().data)
    return tensor


def dtype_word(dtype: torch.dtype) -> str:
    """torch's word for a type: `float32`."""
    return str(dtype).removeprefix("torch.")


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous tensor's own bytes, as one row of uint8 that shares its memory."""
    import torch

    return tensor.detach().view(-1).view(torch.uint8)
