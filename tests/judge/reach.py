"""How far an output element sees: what the rule says of the receptive field, and what torch says when one input element
is changed. The change is a NaN, which goes wherever numbers go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from judge.answers import made, rule_info
from judge.draw import Draw
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind
from seqtui.model.kinds.kind import Kind, Window
from seqtui.model.tensors import Shape

if TYPE_CHECKING:
    import torch
    from torch import nn

Reach = Window | Literal["its own element", "other elements", "something irregular"]
"""A step of a window, or for elementwise kinds what an output element sees."""

MARGIN = 8
"""Elements beside what the window needs, so that one in the middle is untouched by the borders."""
PLACES = 5
"""Input elements that are changed of an elementwise kind's, at most."""


def reach_answers(kind: str, draw: Draw, output_shape: Shape) -> tuple[Reach, Reach] | None:
    """(torch's answer, the rule's) to a case that both take; None where there is nothing to ask.

    That is where the rule says nothing, something is empty, some numbers are not float32, or torch refuses the longer
    input that would show a whole window.
    """
    rule = KINDS[kind]
    if {draw.x.dtype, draw.dtype} != {"float32"} or 0 in (*draw.x.shape, *output_shape):
        return None
    if rule.is_elementwise:
        return _seen_elementwise(made(kind, draw), draw.x.shape), "its own element"
    claimed = _claimed(rule, draw)
    seen = _seen(made(kind, draw), draw.x.shape, claimed) if claimed else None
    return (seen, claimed) if seen and claimed else None


def _claimed(rule: Kind, draw: Draw) -> Window | None:
    """The rule's window, its extent as the walk over a model tells it; None where no window fits.

    Of dimensions from the third on that it does not speak of it says one element.
    """
    window = rule.window(bind(rule.name, draw.args), draw.x) if rule.window else None
    if window is None or len(draw.x.shape) < len(window.extent):
        return None
    others = (1,) * (len(draw.x.shape) - 2 - len(window.extent))
    return Window(others + (rule_info(rule.name, draw, {}).receptive_field or ()), others + window.stride)


def _seen_elementwise(layer: nn.Module, shape: Shape) -> Reach:
    import torch

    for place in range(0, torch.Size(shape).numel(), max(1, torch.Size(shape).numel() // PLACES)):
        x = torch.ones(shape)
        x.view(-1)[place] = torch.nan
        changed = x.isnan()  # now, for a layer may work in place
        if not torch.equal(layer(x).isnan(), changed):
            return "other elements"
    return "its own element"


def _seen(layer: nn.Module, shape: Shape, claimed: Window) -> Reach | None:
    """The window in the last dimensions of an input long enough to hold what is claimed; None where torch refuses."""
    dims = len(claimed.extent)
    steps: list[tuple[int, int]] = []
    for axis, (extent, stride) in enumerate(zip(*claimed, strict=True)):
        lengths = [reach + MARGIN for reach in claimed.extent]
        lengths[axis] = 4 * (extent + stride) + MARGIN
        reached = _reached(layer, (*shape[:-dims], *lengths), axis - dims)
        if reached is None:
            return None
        here, after = reached[len(reached) // 2 : len(reached) // 2 + 2]
        if not here or not after:
            return "something irregular"
        steps.append((here[-1] - here[0] + 1, after[0] - here[0]))
    return Window(tuple(extent for extent, _ in steps), tuple(stride for _, stride in steps))


def _reached(layer: nn.Module, shape: Shape, axis: int) -> list[list[int]] | None:
    """For each output index along an axis, the input indices along it that reach it; None where torch refuses."""
    import torch

    reached: list[list[int]] = []
    for index in range(shape[axis]):
        x = torch.ones(shape)
        x.select(axis, index).fill_(torch.nan)
        try:
            y: torch.Tensor | tuple[torch.Tensor, ...] = layer(x)
        except RuntimeError:
            return None
        first = y[0] if isinstance(y, tuple) else y
        is_reached = first.isnan().movedim(axis, 0).reshape(first.shape[axis], -1).any(1)
        reached = reached or [[] for _ in is_reached]
        for out in is_reached.nonzero().flatten().tolist():
            reached[out].append(index)
    return reached
