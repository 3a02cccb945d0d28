"""A model into a file: tensors copied by range from where they lie, new ones made by torch, the spec beside them; or
what torch makes of it for other programs.

What is written is whole or absent. Nothing is read into memory but a piece at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from seqtui.engine.door import Engine, Told
from seqtui.engine.requests import STATE_DICT, Export, Exported, Initialise, Making, Subject
from seqtui.errors import FileChangedError, FormatError, UsageError
from seqtui.formats import MODEL_SUFFIX, form_of
from seqtui.formats.atomic import Expected, scratch_folder, write_atomically
from seqtui.formats.byte_source import FileRange, FileSource, Stamp
from seqtui.formats.safetensors import SafetensorsFile, stored, write_safetensors
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.inputs import require_input
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.spec_json import SPEC_KEY, SpecError, spec_to_json
from seqtui.model.tensors import NewTensor, TensorRef
from seqtui.model.tree import joined, walk_layer

Sources = Mapping[str, TensorSource]

LAYERS_ALONE = "it holds the layers alone, without weights"


class Target(NamedTuple):
    """Where a model is written, and with what."""

    path: str
    engine: Engine
    expected: Expected = "anything"
    """What may stand there so far."""
    prefix: str = ""
    """Goes before every tensor's name, as in the file that the model came from."""
    told: Told | None = None
    """Hears how far torch is."""
    before: Subject | None = None
    """The model before its numbers were cast, from which the difference of an export is told too."""


class Saved(NamedTuple):
    """A file that was written."""

    path: str
    stamp: Stamp
    words: str = ""
    """What is to be known of it, in a clause: `largest difference 3.58e-07`."""

    @property
    def sentence(self) -> str:
        return f"{self.path} is written{'; ' if self.words else ''}{self.words}"


def save_model(model: ModelSpec, sources: Sources, target: Target) -> Saved:
    """Write a model by its path's suffix.

    Raises UsageError for another suffix, for what a form cannot hold and where nothing says what a model to be exported
    is fed, FormatError where nothing says how its layers are connected, FileError where nothing can be written or the
    file is not the expected one, EngineError where new tensors cannot be made, the model does not run or torch has no
    such form.
    """
    write = require_writer(target.path)
    try:
        return write(model, sources, target)
    except SpecError as error:
        raise UsageError(f"the layers cannot be kept in a file: the spec {error.message}") from None


def _write_code(model: ModelSpec, sources: Sources, target: Target) -> Saved:
    from seqtui.formats.source_code import source_code

    text = source_code(model)
    if isinstance(target.expected, Stamp):  # the file that the model was read from
        _require_nothing_lost(target.path, text)
    return _write_text(text, model, target)


def _require_nothing_lost(path: str, text: str) -> None:
    """Raises FileChangedError for code that has more than the layers, which is all that would be written."""
    from seqtui.formats.source_reader import lost_words

    lost = ""
    # what raises here is not the file that was read, which the writer tells
    with suppress(OSError, ValueError, SyntaxError), open(path, encoding="utf-8-sig") as file:
        lost = lost_words(file.read(), text)
    if lost:
        reason = f"it holds more than the layers, and saving it would lose {lost}"
        raise FileChangedError(reason, hint="Save it under another name, or --force it.", file=path)


def _write_spec(model: ModelSpec, sources: Sources, target: Target) -> Saved:
    if not model.is_sequential:
        raise UsageError("the file does not say how its layers are connected, so there is no spec of it")
    return _write_text(spec_to_json(model) + "\n", model, target)


def _write_text(text: str, model: ModelSpec, target: Target) -> Saved:
    data = text.encode()
    stamp = write_atomically(target.path, [data], len(data), target.expected)
    return Saved(target.path, stamp, LAYERS_ALONE if _has_numbers(model) else "")


def _has_numbers(model: ModelSpec) -> bool:
    """Whether a model has other numbers than those that its layers begin with."""
    return any(
        not isinstance(tensor.ref, NewTensor) or tensor.ref.init or tensor.ref.keep
        for _, layer in walk_layer("", model.root)
        for tensor in layer.tensors
    )


def _export(model: ModelSpec, sources: Sources, target: Target) -> Saved:
    """For other programs: written by torch, read back and compared with the model, and then put in place whole."""
    form = form_of(target.path)
    if form != STATE_DICT:
        require_input(model)
    with scratch_folder(target.path) as folder:
        scratch = os.path.join(folder, f"model{form}")
        request = Export(Subject.of(model, sources), scratch, target.prefix, target.before)
        try:
            answer = target.engine.ask(request, target.told)
        except KeyboardInterrupt:
            target.engine.cancel(request)  # or it would go on writing into a folder that is gone
            raise
        assert isinstance(answer, Exported)
        with closing(FileSource(scratch)) as file:
            stamp = write_atomically(target.path, [FileRange(file, 0, file.size)], file.size, target.expected)
    return Saved(target.path, stamp, _difference_words(answer))


def _difference_words(exported: Exported) -> str:
    """How far it is from the model, from the one before a cast too, and what else is to be known."""
    found = [] if exported.difference is None else [f"largest difference {exported.difference:.3g}"]
    if exported.cast_difference is not None:
        found.append(f"{exported.cast_difference:.3g} from the model in {exported.cast_from}")
    return "; ".join([*found, *filter(None, [exported.note])])


def _write_tensors(model: ModelSpec, sources: Sources, target: Target) -> Saved:
    metadata = {"format": "pt", **model.metadata}
    if model.is_sequential:
        metadata[SPEC_KEY] = spec_to_json(model)
    with made(model, sources, target) as (complete, all_sources):
        tensors = [
            stored(
                all_sources[tensor.stored.source_id],
                tensor.stored.name,
                target.prefix + joined(path, tensor.name),
            )
            for path, layer in walk_layer("", complete.root)
            for tensor in layer.tensors
            if tensor.stored
        ]
        return Saved(target.path, write_safetensors(target.path, tensors, metadata, target.expected))


Writer = Callable[[ModelSpec, Sources, Target], Saved]

EXPORTS = (STATE_DICT, ".onnx", ".pt2")
"""Suffixes of what torch writes for other programs."""
WITHOUT_NUMBERS = (".py", ".json")
"""Suffixes of what holds the layers alone."""
WRITERS: dict[str, Writer] = {
    MODEL_SUFFIX: _write_tensors,
    ".py": _write_code,
    ".json": _write_spec,
    **dict.fromkeys(EXPORTS, _export),
}
"""How each form is written."""


def require_writer(path: str) -> Writer:
    """What writes a file of this name. Raises UsageError for a suffix that says no form."""
    form = form_of(path)
    if form not in WRITERS:
        what = f"{form} is" if form else "a name without a suffix says"
        raise UsageError(f"{what} no form that can be written", f"Forms are {', '.join(WRITERS)}.", path)
    return WRITERS[form]


@contextmanager
def made(model: ModelSpec, sources: Sources, target: Target) -> Iterator[tuple[ModelSpec, Sources]]:
    """The model with every new tensor made, and the sources of all, for as long as the context lasts."""
    makings = list(_makings(model))
    if not makings:
        yield model, sources
        return
    with scratch_folder(target.path) as folder:
        kept_path = os.path.join(folder, "kept.safetensors")
        kept = [
            stored(sources[ref.keep.source_id], ref.keep.name, making.name)
            for making, ref in makings
            if ref.keep is not None
        ]
        write_safetensors(kept_path, kept)
        path = os.path.join(folder, "new.safetensors")
        target.engine.ask(Initialise(tuple(making for making, _ in makings), kept_path, path), target.told)
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
                yield Making.of(name, layer, tensor, ref), ref
            elif ref is None:
                raise FormatError(f"{name} has no numbers in the file, and is not to be made")


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
