"""Files in, models out: `open_model` and what it gives.

A format is told by what a file holds, not by its name; code and specs alone go by theirs, since any text could be one.
"""

from __future__ import annotations

import os
from dataclasses import replace

from seqtui.errors import FileError
from seqtui.formats.attach import attach
from seqtui.formats.opened import OpenedModel
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.spec_json import SPEC_KEY, SpecError, spec_from_json

MODEL_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
TEXT_SUFFIXES = (".py", ".json")
"""Of files that hold a model without its weights."""


def form_of(path: str) -> str:
    """The suffix by which a file's name says its form, in lower case whatever its own; empty for none."""
    return os.path.splitext(path)[1].lower()


def open_model(path: str, source_id: str = "") -> OpenedModel:
    """The model in a file, or in a folder that holds one. Only its header is read; code and specs are read whole.

    Layers come from the spec in the file, else they are guessed from names and shapes. The result's path is that of the
    file itself, and so is the `source_id` that its tensors are referred to by, unless one is given. Raises FormatError
    for a file that is damaged or no model, FileError for one that cannot be reached and for a folder with no model, or
    several.
    """
    file = _file_in(path) if os.path.isdir(path) else path
    if file.endswith(INDEX_SUFFIX) and os.path.isfile(file):
        raise _sharded(file, os.path.dirname(file) or ".")
    if form_of(file) in TEXT_SUFFIXES:
        from seqtui.formats.python_file import open_text  # Python's own grammar, which most files do not need

        return open_text(file)
    source = SafetensorsFile.open(file, source_id or os.path.abspath(file))
    try:
        return _opened(source, file)
    except BaseException:
        source.close()
        raise


def _opened(source: SafetensorsFile, path: str) -> OpenedModel:
    """The model that an open file describes."""
    metadata = {key: value for key, value in source.metadata.items() if key != SPEC_KEY}
    notes = source.notes
    sources: dict[str, TensorSource] = {source.source_id: source}
    if text := source.metadata.get(SPEC_KEY):
        try:
            spec = spec_from_json(text)
        except SpecError as error:
            notes = (*notes, f"the spec in the file {error.message}; layers are guessed")
        else:
            model, differences = attach(replace(spec, metadata=metadata), source.tensors, source.source_id)
            return OpenedModel(model, sources, path, "safetensors", notes=(*notes, *differences))
    # Most files that are opened hold a spec; guessing has rules of its own, which these need not wait for.
    from seqtui.model.guess import guess_model

    model, prefix = guess_model(source.tensors, source.source_id, metadata)
    return OpenedModel(model, sources, path, "safetensors", prefix, notes)


def _file_in(folder: str) -> str:
    """The one model in a folder. Raises FileError when there is none, when there are several, and for a sharded set."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise FileError(f"the folder cannot be read: {error.strerror}", file=folder) from None
    if any(name.endswith(INDEX_SUFFIX) for name in names):
        raise _sharded(folder, folder)
    models = [name for name in names if form_of(name) == MODEL_SUFFIX]
    if not models:
        raise FileError(f"the folder holds no {MODEL_SUFFIX} file", "Name the model's own file or folder.", folder)
    if len(models) > 1:
        raise FileError(f"the folder holds {len(models):,} models: {_some(models)}", "Name one of them.", folder)
    return os.path.join(folder, models[0])


def _sharded(path: str, folder: str) -> FileError:
    """The refusal of a model that is spread over several files."""
    try:
        shards = sorted(name for name in os.listdir(folder) if name.endswith(MODEL_SUFFIX))
    except OSError:
        shards = []
    message = "the model is spread over several files, and such sets are not read yet"
    return FileError(f"{message}: {_some(shards) or 'none is here'}", "Open one of these files alone.", path)


def _some(names: list[str]) -> str:
    """Up to 5 names, and how many more."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
