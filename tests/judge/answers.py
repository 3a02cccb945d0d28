"""What torch says of a case, what the rule says of it, and when the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from judge.draw import Draw
from seqtui.model.infer import LayerInfo, infer_shapes
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue
from seqtui.model.kinds.kind import ArgumentError, ShapeError, Shapes, Signal
from seqtui.model.spec import InputSpec, LayerSpec, LayerValue, ModelSpec, Value
from seqtui.model.tensors import TORCH_DTYPES, TensorInfo

if TYPE_CHECKING:
    import torch
    from torch import nn


class Answer(NamedTuple):
    """One side's answer to a case, as far as it came."""

    refused_by: Literal["", "constructor", "forward", "nothing is known"] = ""
    """The last only of a rule, and no answer of torch agrees with it."""
    message: str = ""
    """Why it is refused, in the side's own words; not compared."""
    parameters: Shapes = {}  # noqa: RUF012  never changed
    buffers: Shapes = {}  # noqa: RUF012  never changed
    outputs: tuple[Signal, ...] = ()
    nbytes: int | None = None
    """Bytes of all that comes out; None where it is refused."""
    macs: int | None = None
    """None where nothing was counted or torch was not asked."""

    def agrees_with(self, rule: Answer) -> bool:
        """Whether a rule gives torch's answer: names in torch's order, and multiply-adds where torch was asked."""
        same_macs = self.macs is None or self.macs == (rule.macs or 0)
        return same_macs and _compared(self) == _compared(rule)


def is_refused(kind: str, answer: Answer) -> bool:
    """Whether a side refuses the case; of a kind of several inputs, which no Sequential can feed, to make it at all."""
    return answer.refused_by == "constructor" if catalogue()[kind].inputs else bool(answer.refused_by)


def _compared(answer: Answer) -> tuple[object, ...]:
    shapes = list(answer.parameters.items()), list(answer.buffers.items())
    return answer.refused_by, *shapes, answer.outputs, answer.nbytes


def rule_answer(kind: str, draw: Draw) -> tuple[Answer, bool]:
    """The rule's answer, and whether the kind has multiply-adds at all."""
    rule = KINDS[kind]
    answer = Answer(refused_by="constructor")
    try:
        args = bind(kind, draw.args).with_dtype(draw.dtype)
        rule.check(args)
        parameters, buffers = rule.parameters(args), rule.buffers(args)
        answer = Answer("forward", parameters=parameters, buffers=buffers)
        info = rule_info(kind, draw, {**parameters, **buffers})
        answer = answer._replace(nbytes=info.activation_bytes)
        if info.unknown:
            return answer._replace(refused_by="nothing is known", message=info.unknown), rule.macs is not None
        output = rule.output(args, draw.x)
    except (ArgumentError, ShapeError) as error:
        return answer._replace(message=str(error)), rule.macs is not None
    outputs = (output,) if isinstance(output, Signal) else output
    macs = rule.macs(args, draw.x, outputs[0]) if rule.macs else None
    return answer._replace(refused_by="", outputs=outputs, macs=macs), rule.macs is not None


def rule_info(kind: str, draw: Draw, shapes: Shapes) -> LayerInfo:
    """What a model of this one layer says of it, its type told by the layer's tensors, as in a file.

    Of float32, which is what torch makes, the tensors are left out, as in a layer that is yet to be made.
    """
    is_new = draw.dtype == "float32"
    tensors = () if is_new else tuple(_tensor(name, draw.dtype, shape) for name, shape in shapes.items())
    layer = LayerSpec("layer", kind, draw.args, tensors)
    model = ModelSpec(LayerSpec("", "Sequential", layers=(layer,)), (InputSpec("input", *draw.x),))
    return infer_shapes(model).infos["layer"]


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> TensorInfo:
    row = TORCH_DTYPES["int64" if name == "num_batches_tracked" else dtype]
    return TensorInfo(name, row.name, shape, math.prod(shape) * row.bits // 8)


def torch_answer(kind: str, draw: Draw, with_macs: bool) -> Answer:
    """torch's answer to zeros of the case's shape and type, in eval mode."""
    from torch import nn

    answer = Answer(refused_by="constructor")
    given: list[torch.Tensor] = []
    try:
        layer = made(kind, draw)
        answer = Answer("forward", parameters=_shapes(layer.named_parameters()), buffers=_shapes(layer.named_buffers()))
        network = nn.Sequential(layer)  # a hook on an encoder layer itself makes it compute in another way
        network.register_forward_hook(lambda module, args, output: given.extend(_flat(output)))
        network(_zeros(draw.x))
    except Exception as error:  # noqa: BLE001  whatever torch raises is its refusal
        return answer._replace(message=f"{type(error).__name__}: {error}"[:200])
    outputs = tuple(Signal(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for tensor in given)
    if any(size < 0 for signal in outputs for size in signal.shape):
        return answer._replace(message="a tensor of negative size, which is none")
    nbytes = sum(tensor.nbytes for tensor in given)
    macs = _macs(kind, draw) if with_macs else None
    return answer._replace(refused_by="", outputs=outputs, nbytes=nbytes, macs=macs)


def made(kind: str, draw: Draw) -> nn.Module:
    """The layer that torch makes of a case, in eval mode. Raises whatever its constructor raises."""
    import torch

    return _constructed(kind, draw.args).to(getattr(torch, draw.dtype)).eval()


def _constructed(kind: str, args: Mapping[str, Value]) -> nn.Module:
    from torch import nn

    layer: nn.Module = getattr(nn, kind)(
        **{
            name: _constructed(value.kind, dict(value.args)) if isinstance(value, LayerValue) else value
            for name, value in args.items()
        }
    )
    return layer


def _zeros(x: Signal) -> torch.Tensor:
    import torch

    return torch.zeros(x.shape, dtype=getattr(torch, x.dtype))


def _shapes(tensors: Iterable[tuple[str, torch.Tensor]]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors}


def _flat(output: torch.Tensor | tuple[torch.Tensor | tuple[torch.Tensor, ...], ...]) -> list[torch.Tensor]:
    """The tensors of an output that may be a tuple with tuples in it."""
    return [tensor for part in output for tensor in _flat(part)] if isinstance(output, tuple) else [output]


def _macs(kind: str, draw: Draw) -> int | None:
    """Half of what torch counts on the meta device; None where that device refuses what the CPU took."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        layer, x = made(kind, draw), _zeros(draw.x)
    try:
        with FlopCounterMode(display=False) as counter:
            layer(x)
    except Exception:  # noqa: BLE001  the meta device is no judge of failure
        return None
    return int(counter.get_total_flops()) // 2
