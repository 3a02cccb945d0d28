"""Layers that no call of torch.nn makes: of a class of one's own, or changed after they were made."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LoudLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


def attention_with_foreign_part() -> nn.Module:
    layer = nn.MultiheadAttention(4, 2)
    layer.out_proj = LoudLinear(4, 4)  # type: ignore[assignment]  # the very thing to be found
    return layer


def with_extra_buffer() -> nn.Module:
    layer = nn.Linear(2, 3)
    layer.register_buffer("mask", torch.ones(3))
    return layer


def with_swapped_weight() -> nn.Module:
    layer = nn.Linear(2, 3)
    layer.weight = nn.Parameter(torch.ones(3, 5))
    return layer
