"""Models without weights: code that is read and never run, and specs. Their tensors are made when they are saved."""

from __future__ import annotations

from seqtui.errors import FormatError
from seqtui.formats import form_of
from seqtui.formats.byte_source import FileSource
from seqtui.formats.opened import OpenedModel
from seqtui.formats.source_reader import read_source
from seqtui.model.spec import ModelSpec
from seqtui.model.spec_json import MAX_BYTES, SpecError, spec_from_json
from seqtui.model.weights_kept import with_new_tensors

NO_WEIGHTS = "the file holds no weights; they are made when the model is saved as .safetensors"


def open_text(path: str) -> OpenedModel:
    """The model in a file of code, by its suffix .py, or of a spec, .json.

    Raises FormatError for what is too large, no text or not understood, with its line; FileError where it cannot be
    read.
    """
    source = FileSource(path)
    try:
        if source.size > MAX_BYTES:
            raise FormatError(f"it has {source.size:,} bytes; the limit for code is {MAX_BYTES:,}", file=path)
        data = bytearray(source.size)
        source.read_into(0, memoryview(data))
    finally:
        source.close()
    is_code = form_of(path) == ".py"
    try:
        text = data.decode("utf-8-sig")
        model = read_source(text) if is_code else _spec(text)
    except UnicodeDecodeError:
        raise FormatError("this is no text in UTF-8", file=path) from None
    except FormatError as error:
        error.file = error.file or path
        raise
    model = with_new_tensors(model, "open")
    return OpenedModel(model, {}, path, "python" if is_code else "spec", notes=(NO_WEIGHTS,), stamp=source.stamp)


def _spec(text: str) -> ModelSpec:
    """Raises FormatError."""
    try:
        return spec_from_json(text)
    except SpecError as error:
        raise FormatError(f"this is no spec of a model: it {error.message}") from None
