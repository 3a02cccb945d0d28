"""A Sequential as readable Python, one layer a line.

What the code cannot say stands beside it as a comment: the call of a layer that is off, which acts as an Identity, and
what no constructor call carries. `source_reader` reads the same form back and never runs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from seqtui.errors import UsageError
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.literals import layer_call, value_text
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.tree import is_numbered
from seqtui.safe_text import safe_text

INDENT = "    "
OFF = "off: "
"""Begins the comment that keeps the call of a layer that is off."""
NET, INPUT_SHAPE, INPUT_DTYPE = "net", "input_shape", "input_dtype"
"""What the module calls the network, what it is fed, and of which type; the last two as `seqtui.save` takes them."""


def source_code(model: ModelSpec) -> str:
    """The model as a Python module that makes `net`, ready to run; weights are not part of it.

    Raises UsageError for a model whose layers are not known to run one after another, or not known at all.
    """
    if not model.is_sequential:
        raise UsageError(
            "the file does not say how its layers are connected, so there is no code for it",
            hint="Only an nn.Sequential can be written as one expression.",
        )
    first, *rest = _sequential("", model.root, "")
    network = [f"{NET} = {first}", *rest, *_ties(model), *_frozen(model)]
    imports = ["from torch import nn", ""]
    if any("OrderedDict(" in line for line in network):
        imports = ["from collections import OrderedDict", "", *imports]
    return "\n".join([*imports, *_inputs(model.inputs), *network]) + "\n"


def _sequential(path: str, layer: LayerSpec, indent: str) -> Iterator[str]:
    """The lines of a Sequential's expression, all but the first indented."""
    layers = [child for child in layer.layers if child.is_called]
    if not layers:
        yield "nn.Sequential()"
        return
    numbered = is_numbered(layers)
    yield "nn.Sequential(" if numbered else "nn.Sequential(OrderedDict(["
    for child in layers:
        child_path = f"{path}.{child.name}" if path else child.name
        first, *rest = _layer(child_path, child, indent + INDENT)
        lines = [first if numbered else f"({value_text(child.name)}, {first}", *rest]
        lines[-1] += ("," if numbered else "),") + _comment(child_path, child)
        yield f"{indent}{INDENT}{lines[0]}"
        yield from lines[1:]
    yield f"{indent})" if numbered else f"{indent}]))"


def _layer(path: str, layer: LayerSpec, indent: str) -> Iterator[str]:
    """The lines of one layer's expression as it acts."""
    yield from _call(path, layer, indent) if layer.enabled else ["nn.Identity()"]


def _call(path: str, layer: LayerSpec, indent: str) -> Iterator[str]:
    """The same, whether it is off or not. Raises UsageError for a layer that is no torch.nn layer."""
    kind = layer.kind or ""
    if layer.origin != "declared" or (kind != "Sequential" and kind not in catalogue()):
        what = f"is {'probably ' if layer.origin == 'guessed' else ''}a {layer.kind}" if layer.kind else "is unknown"
        raise UsageError(f"{path} {what}, no layer whose constructor call is known, so there is no code for it")
    if kind == "Sequential":
        yield from _sequential(path, layer, indent)
    else:
        yield layer_call(kind, layer.args)


def _comment(path: str, layer: LayerSpec) -> str:
    """What the call of a layer does not say, after its line."""
    notes = [] if layer.enabled else [OFF + " ".join(line.strip() for line in _call(path, layer, ""))]
    notes += [f"not in this call: {safe_text(note)}" for note in layer.uncarried]
    return f"  # {'; '.join(notes)}" if notes else ""


def _inputs(inputs: tuple[InputSpec, ...]) -> Iterator[str]:
    if inputs:
        yield f"{INPUT_SHAPE} = {value_text(inputs[0].shape)}"
        if inputs[0].dtype != "float32":
            yield f"{INPUT_DTYPE} = {value_text(inputs[0].dtype)}"
        yield ""


def _ties(model: ModelSpec) -> Iterator[str]:
    """A line for each tensor that another layer owns."""
    for path, layer in model.walk():
        for name, owner in layer.tied.items():
            yield f"{_tensor(f'{path}.{name}')} = {_tensor(owner)}"


def _frozen(model: ModelSpec) -> Iterator[str]:
    """A line for each parameter that does not learn."""
    for path, layer in model.walk():
        for name in sorted(layer.frozen):
            yield f"{_tensor(f'{path}.{name}')}.requires_grad_(False)"


def _tensor(name: str) -> str:
    """A tensor of the network as an expression: `net.get_submodule("conv1").weight`."""
    path, _, attribute = name.rpartition(".")
    return f"{NET}.get_submodule({value_text(path)}).{attribute}"
