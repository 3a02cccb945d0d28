"""The JSON that the command line prints, as plain dicts. Names are exact here: JSON's own escapes make them safe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from seqtui.model.infer import LayerInfo
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import args_to_json
from seqtui.model.tensors import TensorInfo
from seqtui.model.tree import walk_layer
from seqtui.view import View

if TYPE_CHECKING:  # a summary needs no plan and no run
    from seqtui.engine.requests import LayerRun, RunResult
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
            "kept": row.num_kept,
            "new": row.num_new,
            "lost": row.num_lost,
        }
        for row in plan
    ]
    return {**summary_document(view), "weights_plan": rows}


def _num_tensors(model: ModelSpec) -> int:
    """Tensors that the file holds, or will when it is saved."""
    layers = walk_layer("", model.root)
    return sum(tensor.ref is not None for _, layer in layers for tensor in layer.tensors)


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
    """What does not fit at a layer, and the edits that would mend it, each in one line.

    A way that takes several edits stands as the `fix` that does them where it is the best; else it is left out.
    """
    if info.problem is None:
        return None
    from seqtui.model.edit import Batch  # all edits: 20 ms that a summary seldom needs
    from seqtui.model.problems import Fix, fixes

    found = fixes(view.model, view.inference, path)
    if found and isinstance(found[0], Batch):
        found[0] = Fix(path)
    return {"message": info.problem.message, "fixes": [str(edit) for edit in found if not isinstance(edit, Batch)]}


def run_document(result: RunResult, path: str, seed: int | None) -> Document:
    """The `run` document: what came out of a model in the file at `path`, and out of each of its layers."""
    return {
        "schema": SCHEMA,
        "file": path,
        "device": result.device,
        "dtype": result.dtype,
        "training": result.is_training,
        "passes": result.passes,
        "seed": seed,
        "fed": result.fed,
        "input_nan": result.given_nan,
        "input_inf": result.given_inf,
        "backward": result.with_backward,
        "output": {
            "shape": list(result.output),
            "dtype": result.output_dtype,
            "values": list(map(_number, result.values)),
            "argmax": None if result.argmax is None else list(result.argmax),
            "argmax_changed": result.argmax_changed,
        },
        "seconds": result.seconds,
        "peak_bytes": result.peak_bytes,
        "layers": [_layer_run(layer) | {"enabled": layer.path not in result.off} for layer in result.layers],
    }


def _layer_run(layer: LayerRun) -> Document:
    norms = {name: _number(gradient.norm) for name, gradient in layer.gradients.items()}
    verdicts = {name: gradient.verdict for name, gradient in layer.gradients.items() if gradient.verdict}
    return {
        "path": layer.path,
        "output": list(layer.output),
        "dtype": layer.dtype,
        "seconds": layer.seconds,
        "mean": layer.mean,
        "std": layer.std,
        "min": layer.min,
        "max": layer.max,
        "zeros": layer.zeros,
        "nan": layer.nan,
        "inf": layer.inf,
        "nan_born": layer.is_nan_born,
        "dead": layer.dead,
        "units": layer.units,
        "gradient_norms": norms or None,
        "gradient_verdicts": verdicts or None,
        "spread": None if layer.spread is None else _number(layer.spread),
    }


def _number(value: float) -> float | str:
    """A number that JSON can hold: what is not finite by name."""
    return value if math.isfinite(value) else str(value)
