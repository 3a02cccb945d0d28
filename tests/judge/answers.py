"""What torch says of a case, what the rule says of it, and when the two agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from judge.draw import Draw
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind
from seqtui.model.kinds.kind import ArgumentError, ShapeError, Shapes, Signal

if TYPE_CHECKING:
    import torch
    from torch import nn


class Answer(NamedTuple):
    """One side's answer to a case, as far as it came."""

    refused_by: Literal["", "constructor", "forward"] = ""
    message: str = ""
    """Why it is refused, in the side's own words; not compared."""
    parameters: Shapes = {}  # noqa: RUF012  never changed
    buffers: Shapes = {}  # noqa: RUF012  never changed
    outputs: tuple[Signal, ...] = ()
    macs: int | None = None
    """None where nothing was counted or torch was not asked."""

    def agrees_with(self, rule: Answer) -> bool:
        """Whether a rule gives torch's answer: names in torch's order, and multiply-adds where torch was asked."""
        same_macs = self.macs is None or self.macs == (rule.macs or 0)
        return same_macs and _compared(self) == _compared(rule)


def _compared(answer: Answer) -> tuple[object, ...]:
    return answer.refused_by, list(answer.parameters.items()), list(answer.buffers.items()), answer.outputs


def rule_answer(kind: str, draw: Draw) -> tuple[Answer, bool]:
    """The rule's answer, and whether the kind has multiply-adds at all."""
    rule = KINDS[kind]
    answer = Answer(refused_by="constructor")
    try:
        args = bind(kind, draw.args)
        rule.check(args)
        answer = Answer("forward", parameters=rule.parameters(args), buffers=rule.buffers(args))
        output = rule.output(args, draw.x)
    except (ArgumentError, ShapeError) as error:
        return answer._replace(message=str(error)), rule.macs is not None
    outputs = (output,) if isinstance(output, Signal) else output
    macs = rule.macs(args, draw.x, outputs[0]) if rule.macs else None
    return answer._replace(refused_by="", outputs=outputs, macs=macs), rule.macs is not None


def torch_answer(kind: str, draw: Draw, with_macs: bool) -> Answer:
    """torch's answer to zeros of the case's shape and type, in eval mode."""
    import torch
    from torch import nn

    answer = Answer(refused_by="constructor")
    try:
        layer: nn.Module = getattr(nn, kind)(**draw.args).eval()
        answer = Answer("forward", parameters=_shapes(layer.named_parameters()), buffers=_shapes(layer.named_buffers()))
        output = layer(torch.zeros(draw.x.shape, dtype=getattr(torch, draw.x.dtype)))
    except Exception as error:  # noqa: BLE001  whatever torch raises is its refusal
        return answer._replace(message=f"{type(error).__name__}: {error}"[:200])
    outputs = tuple(Signal(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for tensor in _flat(output))
    if any(size < 0 for signal in outputs for size in signal.shape):
        return answer._replace(message="a tensor of negative size, which is none")
    return answer._replace(refused_by="", outputs=outputs, macs=_macs(kind, draw) if with_macs else None)


def _shapes(tensors: Iterable[tuple[str, torch.Tensor]]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors}


def _flat(output: torch.Tensor | tuple[torch.Tensor | tuple[torch.Tensor, ...], ...]) -> list[torch.Tensor]:
    """The tensors of an output that may be a tuple with tuples in it."""
    return [tensor for part in output for tensor in _flat(part)] if isinstance(output, tuple) else [output]


def _macs(kind: str, draw: Draw) -> int | None:
    """Half of what torch counts on the meta device; None where that device refuses what the CPU took."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        layer: nn.Module = getattr(nn, kind)(**draw.args).eval()
        x = torch.zeros(draw.x.shape, dtype=getattr(torch, draw.x.dtype))
    try:
        with FlopCounterMode(display=False) as counter:
            layer(x)
    except Exception:  # noqa: BLE001  the meta device is no judge of failure
        return None
    return int(counter.get_total_flops()) // 2
