"""The JSON that the command line prints, as plain dicts. Names are exact here: JSON's own escapes make them safe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from seqtui.model.infer import LayerInfo
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import args_to_json
from seqtui.model.tensors import TensorInfo
from seqtui.workspace import View

if TYPE_CHECKING:  # a summary needs no plan
    from seqtui.model.weights_kept import Planned

SCHEMA = 1
"""Raised when a key changes its meaning; keys are only ever added."""

Document = dict[str, object]


def summary_document(view: View) -> Document:
    """The `summary` document of a model."""
    opened, model, total = view.opened, view.model, view.inference.total
    layers = [
        _layer(view, path, layer, source) for (path, layer), source in zip(model.walk(), _sources(model), strict=True)
    ]
    if model.root.tensors:
        rest = LayerSpec("", None, tensors=model.root.tensors, origin="opaque")
        layers.append(_layer(view, "", rest, None))
    return {
        "schema": SCHEMA,
        "file": opened.path,
        "format": opened.format,
        "inputs": [{"name": item.name, "shape": list(item.shape), "dtype": item.dtype} for item in model.inputs],
        "layers": layers,
        "totals": {
            "params": total.num_params,
            "trainable": total.num_trainable,
            "buffers": total.num_buffers,
            "macs": total.macs,
            "bytes": view.num_bytes,
            "tensors": _num_tensors(model),
        },
        "metadata": dict(model.metadata),
        "prefix": opened.prefix,
        "warnings": list(opened.notes),
    }


def edit_document(view: View, plan: Iterable[Planned]) -> Document:
    """The `edit` document: the summary of the result, and what becomes of each tensor, under its name in the file."""
    rows = [
        {
            "name": f"{view.opened.prefix}{row.name}",
            "action": row.action,
            "from": row.source or None,
            "shape": list(row.shape),
        }
        for row in plan
    ]
    return {**summary_document(view), "weights_plan": rows}


def _num_tensors(model: ModelSpec) -> int:
    """Tensors that the file holds, or will when it is saved."""
    layers = (model.root, *(layer for _, layer in model.walk()))
    return sum(tensor.ref is not None for layer in layers for tensor in layer.tensors)


def tensor_document(prefix: str, tensor: TensorInfo) -> Document:
    """Name, shape, type and bytes of a tensor; `prefix` is what stands before its own name in the file."""
    return {
        "name": f"{prefix}{tensor.name}",
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "bytes": tensor.nbytes,
    }


def _sources(model: ModelSpec) -> Iterator[list[str] | None]:
    """For every layer in order, the layer whose output goes in; an empty list for the input, None where nothing does.

    Nothing goes into what is not called, nor into what stands inside a layer that is off: that one hands on itself.
    """
    source: list[str] = []
    idle = ""
    for path, layer in model.walk():
        if not model.is_sequential or not layer.is_called or (idle and path.startswith(idle)):
            yield None
        else:
            yield source
            if not (layer.enabled and any(child.is_called for child in layer.layers)):
                source = [path]
                idle = f"{path}."


def _layer(view: View, path: str, layer: LayerSpec, source: list[str] | None) -> Document:
    info = view.inference.info(path, layer) if path else LayerInfo()
    prefix = f"{view.opened.prefix}{path}." if path else view.opened.prefix
    return {
        "path": path,
        "kind": layer.kind,
        "args": args_to_json(layer.args),
        "origin": layer.origin,
        "alternatives": list(layer.alternatives),
        "enabled": layer.enabled,
        "frozen": bool(info.num_params) and not info.num_trainable,
        "calls": 0 if source is None else 1,
        "from": source,
        "depth": path.count(".") + 1 if path else 0,
        "output": info.output_shape,
        "params": info.num_params,
        "buffers": info.num_buffers,
        "macs": info.macs,
        "activation_bytes": info.activation_bytes,
        "receptive_field": info.receptive_field,
        "problem": _problem(view, path, info),
        "tensors": [tensor_document(prefix, tensor) for tensor in layer.tensors],
    }


def _problem(view: View, path: str, info: LayerInfo) -> Document | None:
    """What does not fit at a layer, and the edits that would mend it."""
    if info.problem is None:
        return None
    from seqtui.model.problems import fixes  # all edits: 20 ms that a summary seldom needs

    return {"message": info.problem.message, "fixes": list(map(str, fixes(view.model, view.inference, path)))}
