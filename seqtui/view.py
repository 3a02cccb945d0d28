"""View: a model as it is now, and what follows from it, as one value that every viewer is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seqtui.formats.opened import OpenedModel
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.infer import Inference
from seqtui.model.spec import ModelSpec
from seqtui.model.tensors import TensorInfo
from seqtui.rows import file_title


class Mode(NamedTuple):
    """How a model is run: no edit, not saved."""

    device: str = "cpu"
    dtype: str = ""
    """torch's word for the floating tensors; empty for those of the file."""
    is_training: bool = False

    @property
    def words(self) -> str:
        return " · ".join(filter(None, ("train" if self.is_training else "eval", self.device, self.dtype)))


class View(NamedTuple):
    """A model as it is now, and what follows from it for the input it is looked at with: all that a viewer is shown."""

    opened: OpenedModel
    model: ModelSpec
    """The model with the edits, and with the input shape that was asked for in this view."""
    inference: Inference
    sources: Mapping[str, TensorSource]
    """All open files, those of earlier saves too, by source id."""
    is_changed: bool = False
    """Whether there are edits that are not saved."""
    mode: Mode = Mode()
    is_read_only: bool = False

    @property
    def title(self) -> str:
        """What the model's own row is called."""
        if self.opened.path:
            return file_title(self.opened.path)
        return f"{self.opened.name} (new)" if self.opened.name else "new model"

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors, as they would be saved."""
        if not self.is_changed and self.opened.sources:
            return sum(source.num_bytes for source in self.opened.sources.values())
        return sum(tensor.nbytes for tensor in self._tensors())

    @property
    def num_tensors(self) -> int:
        """How many tensors would be saved."""
        if not self.is_changed and self.opened.sources:
            return sum(len(source.tensors) for source in self.opened.sources.values())
        return sum(1 for _ in self._tensors())

    def _tensors(self) -> Iterator[TensorInfo]:
        """All of the model as it is now."""
        from seqtui.model.tree import walk_layer  # which a model that nobody changes does not need

        return (tensor for _, layer in walk_layer("", self.model.root) for tensor in layer.tensors)

    def where(self, tensor: TensorInfo) -> tuple[TensorSource, str] | None:
        """The open file that a tensor's numbers lie in and its name there; None where no file holds any."""
        ref = tensor.stored
        return (self.sources[ref.source_id], ref.name) if ref else None
