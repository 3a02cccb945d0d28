"""A model into the files of other programs: written and checked in torch's process, then put in place whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.requests import Export, Exported, SourceFile, Subject
from seqtui.formats.atomic import scratch_folder, write_atomically
from seqtui.formats.byte_source import FileRange, FileSource, Stamp
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.inputs import require_input
from seqtui.model.spec import ModelSpec

if TYPE_CHECKING:
    from seqtui.saving import Target

STATE_DICT = ".pt"


class Exporting(NamedTuple):
    """A file that was written."""

    stamp: Stamp
    words: str
    """How it compares with the model: `largest difference 3.58e-07`."""


def write_export(model: ModelSpec, sources: Mapping[str, TensorSource], target: Target) -> Exporting:
    """Write a model as .pt, .onnx or .pt2, by its target's suffix, each read back and compared with the model.

    The target's prefix goes before the names in a .pt of tensors without layers. Raises UsageError where nothing says
    what the model is fed, FormatError where nothing says how its layers are connected, for all but a .pt; FileError as
    `write_atomically` does; EngineError where the model does not run or has no such form.
    """
    suffix = os.path.splitext(target.path)[1].lower()
    if suffix != STATE_DICT:
        require_input(model)
    with scratch_folder(target.path) as folder:
        scratch = os.path.join(folder, f"model{suffix}")
        request = Export(subject_of(model, sources), scratch, target.prefix, target.before)
        try:
            answer = target.engine.ask(request, target.told)
        except KeyboardInterrupt:
            target.engine.cancel(request)  # or it would go on writing into a folder that is gone
            raise
        assert isinstance(answer, Exported)
        file = FileSource(scratch)
        try:
            stamp = write_atomically(target.path, [FileRange(file, 0, file.size)], file.size, target.expected)
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
    """`largest difference 3.58e-07`, from the model before a cast too, and what else is to be known."""
    found = [] if exported.difference is None else [f"largest difference {exported.difference:.3g}"]
    if exported.cast_difference is not None:
        found.append(f"{exported.cast_difference:.3g} from the model in {exported.cast_from}")
    return "; ".join([*found, *filter(None, [exported.note])])
