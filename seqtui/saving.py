"""A model into a file: tensors copied by range from where they lie, new ones made by torch, the spec beside them.

What is written is whole or absent. Nothing is read into memory but a piece at a time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from seqtui.engine.door import Engine, Initialise, Making
from seqtui.errors import FormatError, UsageError
from seqtui.formats.atomic import Expected, write_atomically
from seqtui.formats.byte_source import Stamp
from seqtui.formats.safetensors import SafetensorsFile, stored, write_safetensors
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import SPEC_KEY, SpecError, spec_to_json
from seqtui.model.tensors import DTYPES, NewTensor, TensorInfo, TensorRef
from seqtui.model.tree import joined, walk_layer

Sources = Mapping[str, TensorSource]


def save_model(
    model: ModelSpec, sources: Sources, path: str, engine: Engine, expected: Expected = "anything", prefix: str = ""
) -> Stamp:
    """Write a model by its path's suffix, and give the new file's stamp: .safetensors, .py for code, .json for a spec.

    `prefix` goes before every tensor's name, as in the file that it came from. Raises UsageError for another suffix and
    for what a form cannot hold, FileError where nothing can be written or the file is not the `expected` one,
    EngineError where new tensors cannot be made.
    """
    write = require_writer(path)
    try:
        return write(model, sources, path, engine, expected, prefix)
    except SpecError as error:
        raise UsageError(f"the layers cannot be kept in a file: the spec {error.message}") from None


def _write_code(
    model: ModelSpec, sources: Sources, path: str, engine: Engine, expected: Expected, prefix: str
) -> Stamp:
    from seqtui.formats.source_code import source_code

    return _write_text(source_code(model), path, expected)


def _write_spec(
    model: ModelSpec, sources: Sources, path: str, engine: Engine, expected: Expected, prefix: str
) -> Stamp:
    if not model.is_sequential:
        raise UsageError("the file does not say how its layers are connected, so there is no spec of it")
    return _write_text(spec_to_json(model) + "\n", path, expected)


def _write_text(text: str, path: str, expected: Expected) -> Stamp:
    data = text.encode()
    return write_atomically(path, [data], len(data), expected)


def _write_tensors(
    model: ModelSpec, sources: Sources, path: str, engine: Engine, expected: Expected, prefix: str
) -> Stamp:
    metadata = {"format": "pt", **model.metadata}
    if model.is_sequential:
        metadata[SPEC_KEY] = spec_to_json(model)
    with made(model, sources, engine) as (complete, all_sources):
        tensors = [
            stored(all_sources[tensor.stored.source_id], tensor.stored.name, prefix + joined(layer_path, tensor.name))
            for layer_path, layer in walk_layer("", complete.root)
            for tensor in layer.tensors
            if tensor.stored
        ]
        return write_safetensors(path, tensors, metadata, expected)


Writer = Callable[[ModelSpec, Sources, str, Engine, Expected, str], Stamp]

WRITERS: dict[str, Writer] = {
    ".safetensors": _write_tensors,
    ".py": _write_code,
    ".json": _write_spec,
}
"""How each form is written."""


def require_writer(path: str) -> Writer:
    """What writes a file of this name. Raises UsageError for a suffix that says no form."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in WRITERS:
        what = f"{suffix} is" if suffix else "a name without a suffix says"
        raise UsageError(f"{what} no form that can be written", hint=f"Forms are {', '.join(WRITERS)}.")
    return WRITERS[suffix]


@contextmanager
def made(model: ModelSpec, sources: Sources, engine: Engine) -> Iterator[tuple[ModelSpec, Sources]]:
    """The model with every new tensor made, and the sources of all, for as long as the context lasts."""
    makings = list(_makings(model))
    if not makings:
        yield model, sources
        return
    with tempfile.TemporaryDirectory(prefix="seqtui-") as folder:
        kept_path = os.path.join(folder, "kept.safetensors")
        kept = [
            stored(sources[ref.keep.source_id], ref.keep.name, making.name)
            for making, ref in makings
            if ref.keep is not None
        ]
        write_safetensors(kept_path, kept)
        path = os.path.join(folder, "new.safetensors")
        engine.ask(Initialise(tuple(making for making, _ in makings), kept_path, path))
        source = SafetensorsFile.open(path, path)
        try:
            yield replace(model, root=_with_made("", model.root, path)), {**sources, path: source}
        finally:
            source.close()


def needs_torch(model: ModelSpec) -> bool:
    """Whether a save of tensors has any to make."""
    return any(isinstance(tensor.ref, NewTensor) for _, layer in walk_layer("", model.root) for tensor in layer.tensors)


def _makings(model: ModelSpec) -> Iterator[tuple[Making, NewTensor]]:
    """What has to be made, and from what; one that is tied is its owner's, and made once."""
    for path, layer in walk_layer("", model.root):
        for tensor in layer.tensors:
            ref, name = tensor.ref, joined(path, tensor.name)
            if isinstance(ref, NewTensor) and tensor.name not in layer.tied:
                yield _making(name, layer, tensor, ref), ref
            elif ref is None:
                raise FormatError(f"{name} has no numbers in the file, and is not to be made")


def _making(name: str, layer: LayerSpec, tensor: TensorInfo, ref: NewTensor) -> Making:
    return Making(
        name,
        layer.kind or "",
        dict(layer.args),
        tensor.name,
        DTYPES[tensor.dtype].torch,
        tensor.shape,
        ref.seed,
        ref.init,
        ref.kept if ref.keep else None,
    )


def _with_made(path: str, layer: LayerSpec, source_id: str) -> LayerSpec:
    """The layer and all inside with what was made in the place of what was to be made."""
    tensors = tuple(
        tensor._replace(ref=TensorRef(source_id, layer.tied.get(tensor.name, joined(path, tensor.name))))
        if isinstance(tensor.ref, NewTensor)
        else tensor
        for tensor in layer.tensors
    )
    inside = tuple(_with_made(joined(path, child.name), child, source_id) for child in layer.layers)
    return replace(layer, tensors=tensors, layers=inside)
