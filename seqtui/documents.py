"""The JSON that the command line prints, as plain dicts. Names are exact here: JSON's own escapes make them safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seqtui.model.infer import LayerInfo
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import args_to_json
from seqtui.model.tensors import TensorInfo
from seqtui.workspace import View

SCHEMA = 1
"""Raised when a key changes its meaning; keys are only ever added."""

Document = dict[str, object]


def summary_document(view: View) -> Document:
    """The `summary` document of a model."""
    opened, model, inference = view.opened, view.model, view.inference
    total = inference.total
    layers = [
        _layer(path, layer, inference.info(path, layer), source)
        for (path, layer), source in zip(model.walk(), _sources(model), strict=True)
    ]
    if model.root.tensors:
        layers.append(_layer("", LayerSpec("", None, tensors=model.root.tensors, origin="opaque"), LayerInfo(), None))
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
            "tensors": sum(len(source.tensors) for source in opened.sources.values()),
        },
        "metadata": dict(model.metadata),
        "prefix": opened.prefix,
        "warnings": list(opened.notes),
    }


def tensor_document(prefix: str, tensor: TensorInfo) -> Document:
    """Name, shape, type and bytes of a tensor; `prefix` is its layer's path with a dot.

    The name is the one in the file, where a file holds it.
    """
    return {
        "name": tensor.stored.name if tensor.stored else f"{prefix}{tensor.name}",
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


def _layer(path: str, layer: LayerSpec, info: LayerInfo, source: list[str] | None) -> Document:
    prefix = f"{path}." if path else ""
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
        "problem": _problem(info),
        "tensors": [tensor_document(prefix, tensor) for tensor in layer.tensors],
    }


def _problem(info: LayerInfo) -> Mapping[str, object] | None:
    return {"message": info.problem.message, "fixes": list(info.problem.fixes)} if info.problem else None
