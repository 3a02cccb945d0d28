"""Feature maps of the last run, as grey pixels that a screen can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from seqtui.engine.requests import Images, Maps
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError

if TYPE_CHECKING:
    import torch

MOST_BYTES = 256 << 20
"""Of all maps that are held after a run, in main memory."""


class HeldMaps:
    """Takes the first sample of each layer's output as long as there is room."""

    def __init__(self) -> None:
        self.maps: dict[str, torch.Tensor] = {}
        """By path, of shape (channels, height, width); of a sequence the height is 1."""
        self._room = MOST_BYTES

    def take(self, path: str, output: torch.Tensor, spatial: int) -> bool:
        """Keep a layer's output, behind whose channels `spatial` dimensions stand; whether it has maps and room."""
        import torch

        if spatial not in (1, 2) or not output.numel() or output.is_complex():
            return False
        sample = output.detach()[0] if output.dim() == spatial + 2 else output.detach()
        size = sample.numel() * torch.float32.itemsize
        if sample.dim() != spatial + 1 or size > self._room:
            return False
        self._room -= size
        held = sample.to("cpu", torch.float32, copy=True)
        self.maps[path] = held if spatial == 2 else held[:, None]
        return True


def maps(request: Maps, workbench: Workbench) -> Images:
    """Some channels of a layer, on one scale for all of it. Raises EngineError where the last run holds none of it."""
    held = workbench.maps.get(request.path)
    if held is None:
        raise EngineError(f"there are no feature maps of {request.path}", hint="Run the model first.")
    import torch

    num_channels, height, width = held.shape
    low, high = _bounds(held)
    # in float64: the greatest numbers of float32 lie further apart than it can say, and the least ones divide to zero
    shown = _smaller(held[request.first : request.first + request.limit], request.height, request.width).double()
    share = (torch.nan_to_num(shown, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    rows = (share * 255).round().clamp(0, 255).to(torch.uint8)
    pixels = tuple(channel.contiguous().numpy().tobytes() for channel in rows)
    new_height, new_width = shown.shape[1:]
    return Images(request.path, num_channels, request.first, (height, width), new_height, new_width, low, high, pixels)


def _bounds(maps: torch.Tensor) -> tuple[float, float]:
    """The lowest and the highest finite value, zeros where there is none.

    Found without picking the finite ones out, which takes many times the memory of the maps.
    """
    import torch

    is_finite = torch.isfinite(maps)
    low = float(maps.where(is_finite, math.inf).amin())
    high = float(maps.where(is_finite, -math.inf).amax())
    return (low, high) if low <= high else (0.0, 0.0)


def _smaller(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Maps averaged down, both ways alike, until they are at most so high and so wide."""
    import torch

    old_height, old_width = maps.shape[1:]
    scale = max(old_height / height, old_width / width)
    if scale <= 1 or not len(maps):
        return maps
    size = (max(1, math.floor(old_height / scale)), max(1, math.floor(old_width / scale)))
    return torch.nn.functional.adaptive_avg_pool2d(maps, size)
