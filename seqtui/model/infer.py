"""Shapes, counts and costs of every layer, without torch: a short walk over the rules in `kinds`.

A wrong model is no error here. The walk goes on to the end: shapes are known down to the first layer that does not fit,
that layer says why, and everything that does not depend on shapes is counted all the way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, catalogue
from seqtui.model.kinds.kind import (
    FLOATS,
    RULED,
    ArgumentError,
    Arguments,
    Kind,
    ShapeError,
    Signal,
    UnruledTypeError,
    Window,
)
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.spec import Deferred, LayerSpec, ModelSpec
from seqtui.model.tensors import FLOATING, TORCH_DTYPES, Shape, is_parameter, is_possible, torch_word


class Problem(NamedTuple):
    """Why a layer does not fit where it stands."""

    message: str
    """A sentence that names the layer: "fc1 takes 3136 features, 1600 arrive from flatten"."""
    brief: str
    """The same for the layer's own row: "takes 3136 features, 1600 arrive"."""


class LayerInfo(NamedTuple):
    """What follows for one layer from its arguments and from what arrives."""

    arriving: tuple[Signal, ...] = ()
    """What goes in: several when the layer before gives a tuple; empty where nothing flows or it is not known."""
    leaving: tuple[Signal, ...] = ()
    """What comes out, in the same way."""
    num_params: int = 0
    """Elements of its parameters, those inside included; a tied tensor counts at its owner."""
    num_trainable: int = 0
    num_buffers: int = 0
    macs: int | None = None
    """Multiply-adds of one forward pass, biases not counted; None where there are none or the shape is not known."""
    activation_bytes: int | None = None
    """Bytes of what it gives out; for a container the sum over the layers inside."""
    receptive_field: tuple[int, ...] | None = None
    """How much of the input one output element sees, in elements a dimension; None when all, or not known."""
    problem: Problem | None = None
    unknown: str = ""
    """Why the output is not known although nothing is wrong: "weights of float16 and float32"."""
    is_torchs: bool = False
    """Whether torch was asked what comes out, and the rules have another answer or none."""

    @property
    def input_shape(self) -> Shape | None:
        """Of the first of what goes in."""
        return self.arriving[0].shape if self.arriving else None

    @property
    def output_shape(self) -> Shape | tuple[Shape, ...] | None:
        """Several shapes when a tuple comes out; None where it is not known."""
        shapes = tuple(signal.shape for signal in self.leaving)
        return (shapes[0] if len(shapes) == 1 else shapes) if shapes else None

    @property
    def output_dtype(self) -> str:
        """Of the first of what comes out; empty where it is not known."""
        return self.leaving[0].dtype if self.leaving else ""


class _Field(NamedTuple):
    """The receptive field so far: its size, and the distance in the input between neighbouring elements."""

    size: tuple[int, ...] = ()
    jump: tuple[int, ...] = ()


class _Flow(NamedTuple):
    """What travels from layer to layer; without signals something does, and what is not known."""

    signals: tuple[Signal, ...] = ()
    field: _Field | None = None


Steps = dict[tuple[int, _Flow | None], tuple[LayerSpec, LayerInfo, _Flow | None]]
"""(identity of a layer, what arrived) -> the layer, kept so that the identity holds; its info; what it passed on."""


@dataclass(slots=True)
class Inference:
    """The result for a whole model; handed to the next inference, it spares all layers that an edit left alone."""

    infos: dict[str, LayerInfo] = field(default_factory=dict)
    """By dotted path, in execution order; the whole model at ""."""
    steps: Steps = field(default_factory=dict)
    """Every step without a problem; a problem is not kept, since its sentence names a neighbour."""

    def info(self, path: str, layer: LayerSpec) -> LayerInfo:
        """The info of the layer at a path; of one inside deferred layers it is worked out now, counts alone."""
        if path not in self.infos:
            _Walk(self, {}).visit(path, layer, None)
        return self.infos[path]

    @property
    def problems(self) -> Mapping[str, Problem]:
        return {path: info.problem for path, info in self.infos.items() if info.problem}

    @property
    def num_torchs(self) -> int:
        """Shapes that are torch's, where the rules have another or none."""
        return sum(info.is_torchs for info in self.infos.values())

    @property
    def total(self) -> LayerInfo:
        return self.infos[""]


def infer_shapes(model: ModelSpec, previous: Inference | None = None) -> Inference:
    """LayerInfo of every layer and, at "", of the whole model, sparing the work that `previous` has done.

    Without an input, and in a model that is not a Sequential, counts are given and shapes are not.
    """
    result = Inference({"": LayerInfo()})
    flow = _Flow() if model.is_sequential else None
    if flow and len(model.inputs) == 1:
        flow = _Flow((Signal(model.inputs[0].shape, model.inputs[0].dtype),), _Field())
    _Walk(result, previous.steps if previous else {}).visit("", model.root, flow)
    return result


def infer_layer(layer: LayerSpec, arriving: tuple[Signal, ...]) -> LayerInfo:
    """What one layer without layers inside makes of what arrives, wherever it may stand; of nothing, counts alone."""
    return _Walk(Inference(), {}).infer(layer.name, layer, _Flow(arriving, None) if arriving else None)[0]


class _Walk:
    """One pass over a model; remembers whose output is flowing, so that a problem can name it."""

    def __init__(self, result: Inference, known: Steps) -> None:
        self.infos = result.infos
        self.steps = result.steps
        self.known = known
        self.source = "the input"

    def visit(self, path: str, layer: LayerSpec, flow: _Flow | None) -> _Flow | None:
        """Note the info of a layer and of all inside; what flows on comes back, None where nothing is known to flow."""
        if isinstance(layer.layers, Deferred) and not layer.layers.is_made:
            inside = layer.layers
            self.infos[path] = LayerInfo((), (), inside.num_params, inside.num_params, inside.num_buffers)
            return None
        if layer.layers or layer.kind == "Sequential":
            return self.container(path, layer, flow)
        self.infos[path], flow = self.step(path, layer, flow)
        return flow

    def container(self, path: str, layer: LayerSpec, flow: _Flow | None) -> _Flow | None:
        """Walk what is inside; its info is the sum of theirs, in at the first and out at the last.

        Inside a container that is off, and in what is not called, nothing flows: it is counted alone.
        """
        arrived = flow
        self.infos[path] = LayerInfo()  # holds the place: execution order is depth first
        prefix = f"{path}." if path else ""
        inside = []
        is_flowing = layer.enabled and layer.origin != "opaque"
        for child in layer.layers:
            child_path = prefix + child.name
            key = (id(child), flow)
            found = self.known.get(key) if is_flowing and child.is_called else None
            if found is not None and found[0] is child:  # of ten thousand layers almost all: not a call for each
                self.steps[key] = found
                _, self.infos[child_path], flow = found
            elif is_flowing and child.is_called:
                flow = self.visit(child_path, child, flow)
            else:
                self.visit(child_path, child, None)
            info = self.infos[child_path]
            inside.append(info)
            if info.leaving:
                self.source = child_path
        if layer.origin == "opaque":
            flow = None if arrived is None else _Flow()
        self.infos[path] = _sum(layer, inside, arrived, flow)._replace(unknown=_why_unknown(layer))
        return flow

    def step(self, path: str, layer: LayerSpec, flow: _Flow | None) -> tuple[LayerInfo, _Flow | None]:
        """What one layer without layers inside makes of what arrives."""
        key = (id(layer), flow)
        found = self.known.get(key)
        if found is None or found[0] is not layer:
            info, after = self.infer(path, layer, flow)
            if info.problem:
                return info, after
            found = (layer, info, after)
        self.steps[key] = found
        return found[1], found[2]

    def infer(self, path: str, layer: LayerSpec, flow: _Flow | None) -> tuple[LayerInfo, _Flow | None]:
        """The same, worked out by the rule of its kind."""
        unknown = None if flow is None else _Flow()
        kind = KINDS.get(layer.kind or "") if layer.origin == "declared" or layer.lost else None
        if kind is not None and flow is not None and layer.enabled and catalogue()[kind.name].inputs:
            return self.several(path, layer, kind, flow), unknown
        if kind is None or layer.lost:
            return _counted(layer, flow)._replace(unknown=_why_unknown(layer)), unknown if layer.enabled else flow
        try:
            args, parameters, buffers = _read(kind, layer)
        except ArgumentError as error:
            return _stopped(_counted(layer, flow), path, str(error)), unknown
        info = _counted(layer, flow, parameters, buffers)
        if flow is None or not flow.signals:
            return info, flow
        if not layer.enabled:
            return _with_output(info, flow.signals, flow.field), flow
        types = _weight_types(layer, parameters, buffers)
        if misfit := _no_weights_for(kind, types, flow.signals[0]):
            return _stopped(info, path, misfit, f" from {self.source}"), unknown
        if len(types) > 1 or not types <= set(FLOATS):
            return info._replace(unknown=f"weights of {' and '.join(sorted(types))}"), unknown
        typed = args.with_dtype(next(iter(types), None))
        try:
            signals, macs = _apply(kind, typed, flow.signals)
        except UnruledTypeError as error:
            return info._replace(unknown=f"no rule for {error}"), unknown
        except ShapeError as error:
            return _stopped(info, path, str(error), f" from {self.source}" if error.names_source else ""), unknown
        except ArgumentError as error:
            return _stopped(info, path, str(error)), unknown
        reach = _advance(kind, typed, flow)
        return _with_output(info, signals, reach)._replace(macs=macs), _Flow(signals, reach)

    def several(self, path: str, layer: LayerSpec, kind: Kind, flow: _Flow) -> LayerInfo:
        """The info of a layer that takes several tensors, whatever its arguments and what arrives."""
        try:
            _, parameters, buffers = _read(kind, layer)
            info = _counted(layer, flow, parameters, buffers)
        except ArgumentError:
            info = _counted(layer, flow)
        inputs = catalogue()[kind.name].inputs
        brief = Misfit.SEVERAL.format(takes=len(inputs), names=", ".join(inputs))
        return _stopped(info, path, brief, f" from {self.source}" if flow.signals else "")


def _read(kind: Kind, layer: LayerSpec) -> tuple[Arguments, Mapping[str, Shape], Mapping[str, Shape]]:
    """All arguments of a layer, and the parameters and buffers that follow. Raises ArgumentError."""
    args = bind(kind.name, layer.args)
    kind.check(args)
    return args, kind.parameters(args), kind.buffers(args)


def _stopped(info: LayerInfo, path: str, brief: str, source: str = "") -> LayerInfo:
    """The info of a layer that does not fit where it stands."""
    return info._replace(problem=Problem(f"{path} {brief}{source}", brief))


def _weight_types(layer: LayerSpec, parameters: Mapping[str, Shape], buffers: Mapping[str, Shape]) -> set[str]:
    """torch's words for the types of a layer's weights and statistics; safetensors' words where torch has none."""
    names = buffers if layer.buffers is None else layer.buffers
    types = {
        dtype
        for name, dtype, _, _, _ in layer.tensors
        if _counts(layer, name, dtype, parameters) or (name in names and dtype in FLOATING)
    }
    return {torch_word(dtype) for dtype in types}


WITHOUT_FLOATS = frozenset(name for name, row in TORCH_DTYPES.items() if row.bits >= 8).difference(FLOATS)
"""Types of weights that torch multiplies with no floating-point numbers: whole ones, complex ones, those of 8 bits."""


def _no_weights_for(kind: Kind, types: set[str], arriving: Signal) -> str:
    """Why weights of other types cannot work on floating-point numbers, or nothing where they may.

    As torch has it, they can be what a root mean square is multiplied by, and biases of an LSTM.
    """
    others = sorted(types & WITHOUT_FLOATS)
    is_small = any(dtype.startswith("float8") for dtype in others)  # which torch promotes to nothing
    may_work = (kind.name == "RMSNorm" and not is_small) or (kind.name == "LSTM" and len(types) > 1)
    if not others or may_work or arriving.dtype not in FLOATS:
        return ""
    return Misfit.OTHER_FLOATS.format(takes=others[0], arrives=arriving.dtype)


def _apply(kind: Kind, args: Arguments, arriving: tuple[Signal, ...]) -> tuple[tuple[Signal, ...], int | None]:
    """What the kind gives out, and its multiply-adds. Raises ShapeError also for a tuple where one tensor goes in.

    Raises UnruledTypeError for numbers of a type that no rule speaks of.
    """
    if kind.name == "Identity":  # the one layer that hands on whatever it is given
        return arriving, None
    if len(arriving) > 1:
        raise ShapeError(Misfit.TUPLE, arrives=len(arriving))
    if arriving[0].dtype not in RULED:
        raise UnruledTypeError(arriving[0].dtype)
    output = kind.output(args, arriving[0])
    signals = (output,) if isinstance(output, Signal) else output
    if not all(is_possible(signal.shape) for signal in signals):
        raise ShapeError(Misfit.TOO_MANY, names_source=False)
    return signals, kind.macs(args, arriving[0], signals[0]) if kind.macs else None


def _advance(kind: Kind, args: Arguments, flow: _Flow) -> _Field | None:
    """The receptive field after the layer. Source: Araujo et al., Computing Receptive Fields, Distill 2019, eq. (2)."""
    before = flow.field
    if before is None or kind.is_elementwise:
        return before
    window: Window | None = kind.window(args, flow.signals[0]) if kind.window else None
    if window is None:
        return None
    size = before.size or (1,) * len(window.extent)
    jump = before.jump or (1,) * len(window.extent)
    if len(size) != len(window.extent):
        return None
    return _Field(
        tuple(s + (extent - 1) * j for s, extent, j in zip(size, window.extent, jump, strict=True)),
        tuple(j * stride for j, stride in zip(jump, window.stride, strict=True)),
    )


def _why_unknown(layer: LayerSpec) -> str:
    """Why the output of a layer that no rule covers is not known; nothing of one that needs no reason."""
    if layer.lost:
        return f"its arguments cannot be told, {layer.lost}"
    if layer.origin == "opaque" and layer.uncarried:
        return layer.uncarried[0]
    if layer.origin == "declared" and layer.kind and layer.kind != "Sequential":
        known = "yet " if layer.kind in catalogue() else ""
        return f"no rule {known}for {layer.kind}"
    return ""


def _with_output(info: LayerInfo, signals: tuple[Signal, ...], reach: _Field | None) -> LayerInfo:
    return info._replace(
        leaving=signals,
        activation_bytes=sum(math.prod(signal.shape) * TORCH_DTYPES[signal.dtype].bits // 8 for signal in signals),
        receptive_field=reach.size or None if reach else None,
    )


def _counted(
    layer: LayerSpec,
    arrived: _Flow | None,
    parameters: Mapping[str, Shape] | None = None,
    buffers: Mapping[str, Shape] | None = None,
) -> LayerInfo:
    """The info of a layer's own tensors, the output not yet known.

    Tensors that a file or a live layer holds count with their shape there, others with the rule's.
    """
    num_params = num_trainable = num_buffers = 0
    shapes: list[tuple[str, Shape, bool]]
    if layer.tensors or parameters is None:
        shapes = [(name, shape, _counts(layer, name, dtype, parameters)) for name, dtype, shape, _, _ in layer.tensors]
    else:
        shapes = [(name, shape, True) for name, shape in parameters.items()]
        shapes += [(name, shape, False) for name, shape in (buffers or {}).items()]
    for name, shape, counts in shapes:
        if name in layer.tied:
            continue
        size = math.prod(shape)
        if counts:
            num_params += size
            num_trainable += size if name not in layer.frozen else 0
        else:
            num_buffers += size
    return LayerInfo(arrived.signals if arrived else (), (), num_params, num_trainable, num_buffers)


def _counts(layer: LayerSpec, name: str, dtype: str, parameters: Mapping[str, Shape] | None) -> bool:
    """Whether a tensor is a parameter: as a live layer has it, else as the rule names it, else as it looks."""
    if layer.buffers is not None:
        return name not in layer.buffers
    return name in parameters if parameters is not None else is_parameter(name, dtype)


def _sum(layer: LayerSpec, inside: list[LayerInfo], arrived: _Flow | None, flow: _Flow | None) -> LayerInfo:
    """The info of a container: its own tensors and the sum of what is inside."""
    own = _counted(layer, arrived)
    info = own._replace(
        num_params=own.num_params + sum(info.num_params for info in inside),
        num_trainable=own.num_trainable + sum(info.num_trainable for info in inside),
        num_buffers=own.num_buffers + sum(info.num_buffers for info in inside),
    )
    if flow is None or not flow.signals:
        return info
    counted = [info.macs for info in inside if info.macs is not None]
    return _with_output(info, flow.signals, flow.field)._replace(
        macs=sum(counted) if counted else None,
        activation_bytes=sum(info.activation_bytes or 0 for info in inside),
    )
