"""What opening a file gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from seqtui.formats.byte_source import Stamp
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.spec import ModelSpec


class OpenedModel(NamedTuple):
    """A model, and the open files that its tensors lie in."""

    model: ModelSpec
    sources: Mapping[str, TensorSource]
    """By source id. Whoever opened the model closes them."""
    path: str
    """As the user wrote it."""
    format: str
    """One word: `safetensors`, `python`, `spec`."""
    prefix: str = ""
    """The wrapper that all names of a file without a spec carry, left out of the model's paths: `module.`."""
    notes: tuple[str, ...] = ()
    """What a reader should know, in sentences: where spec and tensors disagree, what cannot be read."""
    stamp: Stamp | None = None
    """The file as it was read, where there are no sources that stay open."""
    name: str = ""
    """What a model is called that has no file yet."""

    @property
    def file_stamp(self) -> Stamp | None:
        """The file as it was opened; None for a model without one."""
        return self.stamp or next((source.stamp for source in self.sources.values()), None)

    @property
    def source_id(self) -> str:
        """Of the file that its numbers lie in; empty where it holds none."""
        return next(iter(self.sources), "")

    def close(self) -> None:
        for source in self.sources.values():
            source.close()
