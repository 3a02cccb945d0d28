"""A model into the files of other programs: written and checked in torch's process, then put in place whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from seqtui.engine.door import Engine, Told
from seqtui.engine.requests import Export, Exported, SourceFile, Subject
from seqtui.formats.atomic import Expected, scratch_folder, write_atomically
from seqtui.formats.byte_source import FileRange, FileSource, Stamp
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.inputs import require_input
from seqtui.model.spec import ModelSpec

STATE_DICT = ".pt"


class Exporting(NamedTuple):
    """A file that was written."""

    stamp: Stamp
    words: str
    """How it compares with the model: `largest difference 3.58e-07`."""


def write_export(
    model: ModelSpec,
    sources: Mapping[str, TensorSource],
    path: str,
    engine: Engine,
    expected: Expected = "anything",
    prefix: str = "",
    told: Told | None = None,
) -> Exporting:
    """Write a model as .pt, .onnx or .pt2, by its path's suffix, each read back and compared with the model.

    `prefix` goes before the names in a .pt of tensors without layers. Raises UsageError where nothing says what the
    model is fed, FormatError where nothing says how its layers are connected, for all but a .pt; FileError as
    `write_atomically` does; EngineError where the model does not run or has no such form.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix != STATE_DICT:
        require_input(model)
    with scratch_folder(path) as folder:
        scratch = os.path.join(folder, f"model{suffix}")
        request = Export(subject_of(model, sources), scratch, prefix)
        try:
            answer = engine.ask(request, told)
        except KeyboardInterrupt:
            engine.cancel(request)  # or it would go on writing into a folder that is gone
            raise
        assert isinstance(answer, Exported)
        file = FileSource(scratch)
        try:
            stamp = write_atomically(path, [FileRange(file, 0, file.size)], file.size, expected)
        finally:
            file.close()
    return Exporting(stamp, difference_words(answer))


def subject_of(model: ModelSpec, sources: Mapping[str, TensorSource]) -> Subject:
    """A model as torch's process is asked about it, with the files that its numbers lie in."""
    files = (
        SourceFile(source_id, source.file.name, source.file.stamp, source.file.open_path)
        for source_id, source in sources.items()
        if isinstance(source, SafetensorsFile) and source.file
    )
    return Subject(model, tuple(files))


def difference_words(exported: Exported) -> str:
    """`largest difference 3.58e-07`, and what else is to be known."""
    found = [] if exported.difference is None else [f"largest difference {exported.difference:.3g}"]
    return "; ".join([*found, *filter(None, [exported.note])])
