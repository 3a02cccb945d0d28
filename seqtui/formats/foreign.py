"""What a file is that is no safetensors file: recognised by its first bytes, so that the refusal can say it.

A file is only asked once it cannot be safetensors, because a header's length may look like any magic number.
"""

from __future__ import annotations

from typing import NamedTuple


class Foreign(NamedTuple):
    """What a file is instead, and what to do about it."""

    message: str
    hint: str


_RESAVE = (
    "In Python: safetensors.torch.save_file(torch.load({name!r}, weights_only=True), 'model.safetensors'), "
    "if it holds a plain state dict."
)
_DOWNLOAD = "Download the file itself; a server sent a page instead, often a login or an error."

_FOREIGN = (
    (
        b"version https://git-lfs",
        "this is a Git LFS pointer, not the model itself",
        "Run `git lfs pull` in its folder.",
    ),
    (b"<!doctype html", "this is a web page, not a model", _DOWNLOAD),
    (b"<html", "this is a web page, not a model", _DOWNLOAD),
    (b"<?xml", "this is an XML document, not a model", _DOWNLOAD),
    (b"pk\x03\x04", "this is a zip archive, as torch.save writes; such checkpoints are not read yet", _RESAVE),
    (b"\x80\x02", "this is a Python pickle, as old torch.save writes; such checkpoints are not read yet", _RESAVE),
    (b"\x80\x03", "this is a Python pickle; pickles are not read yet", _RESAVE),
    (b"\x80\x04", "this is a Python pickle; pickles are not read yet", _RESAVE),
    (b"\x80\x05", "this is a Python pickle; pickles are not read yet", _RESAVE),
    (b"gguf", "this is a GGUF file, which is not read yet", ""),
    (b"\x93numpy", "this is a NumPy array, which is not read yet", ""),
    (b"\x89hdf", "this is an HDF5 file, which is not read yet", ""),
    (b"\x1f\x8b", "this is a gzip archive, not a model", "Unpack it first."),
    (b"\x08\x03\x12", "this is most likely an ONNX model, which is not read yet", ""),
)
"""First bytes, in lower case -> what it is, what to do."""


def foreign_file(start: bytes, name: str) -> Foreign | None:
    """What a file with these first bytes is, or None when they say nothing."""
    lowered = start.lower().lstrip(b" \t\r\n")
    for magic, message, hint in _FOREIGN:
        if lowered.startswith(magic):
            return Foreign(message, hint.format(name=name))
    if all(byte in b"\t\n\r\f\x1b" or 32 <= byte < 127 for byte in start):
        return Foreign("this is a text file, not a file of tensors", "Name a .safetensors file.")
    return None
