"""A Sequential as readable Python, one layer a line.

What the code cannot say stands beside it as a comment: the call of a layer that is off, which acts as an Identity, what
was said of its tensors, and what no constructor call carries. `source_reader` reads the same form back and never runs
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seqtui.errors import UsageError
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.literals import layer_call, value_text
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.tensors import DTYPES, FLOATING, torch_word
from seqtui.model.tree import is_numbered, joined
from seqtui.model.weights_kept import COUNTER, own_shapes
from seqtui.safe_text import safe_text
from seqtui.words import a

INDENT = "    "
OFF = "off: "
"""Begins the comment that keeps the call of a layer that is off, or a line about its tensors."""
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
    network = [f"{NET} = {first}", *rest]
    conversion, note = _weights(model)
    network[-1] += conversion
    imports = ["from torch import nn", ""]
    if conversion:
        imports.insert(0, "import torch")
    if any("OrderedDict(" in line for line in network):
        imports = ["from collections import OrderedDict", "", *imports]
    notes = [note] if note else []
    return "\n".join([*imports, *_inputs(model.inputs), *notes, *network, *_about_tensors(model)]) + "\n"


def _sequential(path: str, layer: LayerSpec, indent: str) -> Iterator[str]:
    """The lines of a Sequential's expression, all but the first indented."""
    layers = [child for child in layer.layers if child.is_called]
    if not layers:
        yield "nn.Sequential()"
        return
    numbered = is_numbered(layers)
    yield "nn.Sequential(" if numbered else "nn.Sequential(OrderedDict(["
    for child in layers:
        child_path = joined(path, child.name)
        first, *rest = _layer(child_path, child, indent + INDENT)
        lines = [first if numbered else f"({value_text(child.name)}, {first}", *rest]
        lines[-1] += ("," if numbered else "),") + _comment(child_path, child)
        yield f"{indent}{INDENT}{lines[0]}"
        yield from lines[1:]
    yield f"{indent})" if numbered else f"{indent}]))"


def _layer(path: str, layer: LayerSpec, indent: str) -> Iterator[str]:
    """The lines of one layer's expression as it acts."""
    if layer.enabled and layer.kind == "Sequential" and layer.origin == "declared":
        yield from _sequential(path, layer, indent)
    else:
        yield _call(path, layer) if layer.enabled else "nn.Identity()"


def _call(path: str, layer: LayerSpec) -> str:
    """What makes a layer, on or off, in one line; one inside that is off is given to an Identity, which looks at none.

    Raises UsageError for a layer that is no torch.nn layer.
    """
    kind = layer.kind or ""
    if layer.origin != "declared" or (kind != "Sequential" and kind not in catalogue()):
        what = f"is {'probably ' if layer.origin == 'guessed' else ''}{a(layer.kind)}" if layer.kind else "is unknown"
        raise UsageError(f"{path} {what}, no layer whose constructor call is known, so there is no code for it")
    if kind != "Sequential":
        return layer_call(kind, layer.args)
    layers = [child for child in layer.layers if child.is_called]
    calls = [_call(joined(path, child.name), child) for child in layers]
    calls = [call if child.enabled else f"nn.Identity({call})" for child, call in zip(layers, calls, strict=True)]
    if is_numbered(layers):
        return f"nn.Sequential({', '.join(calls)})"
    pairs = (f"({value_text(child.name)}, {call})" for child, call in zip(layers, calls, strict=True))
    return f"nn.Sequential(OrderedDict([{', '.join(pairs)}]))"


def _comment(path: str, layer: LayerSpec) -> str:
    """What the call of a layer does not say, after its line."""
    notes = [] if layer.enabled else [OFF + _call(path, layer)]
    notes += [f"not in this call: {safe_text(note)}" for note in layer.uncarried]
    return "".join(f"  # {note}" for note in notes)


def _inputs(inputs: tuple[InputSpec, ...]) -> Iterator[str]:
    if inputs:
        yield f"{INPUT_SHAPE} = {value_text(inputs[0].shape)}"
        if inputs[0].dtype != "float32":
            yield f"{INPUT_DTYPE} = {value_text(inputs[0].dtype)}"
        yield ""


def _weights(model: ModelSpec) -> tuple[str, str]:
    """(the end of the expression that gives all weights their type, the comment where it cannot)."""
    types = {
        tensor.dtype
        for _, layer, acts in _layers("", model.root)
        for tensor in layer.tensors
        if acts and tensor.name.rpartition(".")[2] != COUNTER
    }
    if types <= {"F32"}:
        return "", ""
    if len(types) == 1 and (word := castable(*types)):
        return f".to(torch.{word})", ""
    words = sorted(safe_text(torch_word(name)) for name in types)
    return "", f"# weights of {' and '.join(words)}: here all of them are made float32"


def castable(dtype: str) -> str:
    """torch's word for a type that a whole network can be turned into; empty for any other."""
    row = DTYPES.get(dtype)
    return row.torch if row and row.name in FLOATING and row.bits >= 8 else ""


def _layers(path: str, layer: LayerSpec, acts: bool = True) -> Iterator[tuple[str, LayerSpec, bool]]:
    """(path, layer, whether it acts) of all that stands in the code, off or in one that is off too; no Sequentials."""
    for child in layer.layers:
        child_path, child_acts = joined(path, child.name), acts and child.enabled
        if child.is_called and child.kind == "Sequential":
            yield from _layers(child_path, child, child_acts)
        elif child.is_called:
            yield child_path, child, child_acts


def _about_tensors(model: ModelSpec) -> Iterator[str]:
    """A line for each tensor that another layer owns, then one for each parameter that does not learn.

    In a comment where a layer that is off cannot take it; none for what stands in no call, as a parametrized weight.
    """
    layers = list(_layers("", model.root))
    if not any(layer.tied or layer.frozen for _, layer, _ in layers):
        return
    acts: dict[str, bool] = {}
    for path, layer, is_on in layers:
        names = own_shapes(layer).keys() | (() if layer.uncarried else {*layer.tied, *layer.frozen})
        acts |= {joined(path, name): is_on for name in names}
    ties = {joined(path, name): owner for path, layer, _ in layers for name, owner in layer.tied.items()}
    yield from _ties({tensor: owner for tensor, owner in ties.items() if tensor in acts}, acts)
    for path, layer, _ in layers:
        for tensor in (joined(path, name) for name in sorted(layer.frozen)):
            if tensor in acts:
                yield f"{'' if acts[tensor] else f'# {OFF}'}{_tensor(tensor)}.requires_grad_(False)"


def _ties(ties: Mapping[str, str], acts: Mapping[str, bool]) -> Iterator[str]:
    """The lines for tensor -> owner. For an owner that does not act stands the first tensor that is tied to it."""
    stand_ins: dict[str, str] = {}
    for tensor, owner in ties.items():
        source = owner if acts.get(owner) else stand_ins.get(owner)
        if acts[tensor] and source:
            yield f"{_tensor(tensor)} = {_tensor(source)}"
            continue
        if acts[tensor]:
            stand_ins[owner] = tensor
        if owner in acts:
            yield f"# {OFF}{_tensor(tensor)} = {_tensor(owner)}"


def _tensor(name: str) -> str:
    """A tensor of the network as an expression: `net.get_submodule("conv1").weight`."""
    path, _, attribute = name.rpartition(".")
    return f"{NET}.get_submodule({value_text(path)}).{attribute}"
