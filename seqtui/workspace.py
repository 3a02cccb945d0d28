"""Workspace: the one mutable object. It owns the open files and says what is looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from seqtui.formats import open_model
from seqtui.formats.opened import OpenedModel
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.infer import Inference, infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.model.tensors import TensorInfo
from seqtui.rows import file_title

NO_ORDER = "an input shape says nothing here: the file holds tensors, not layers in order"


class View(NamedTuple):
    """A model as opened, and what follows from it for the input it is looked at with: all that a viewer is shown."""

    opened: OpenedModel
    model: ModelSpec
    """The opened model, with the input shape that was asked for in this view."""
    inference: Inference

    @property
    def title(self) -> str:
        """What the model's own row is called."""
        return file_title(self.opened.path)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(source.num_bytes for source in self.opened.sources.values())

    def where(self, tensor: TensorInfo) -> tuple[TensorSource, str] | None:
        """The open file that a tensor's numbers lie in and its name there; None where no file holds any."""
        ref = tensor.stored
        return (self.opened.sources[ref.source_id], ref.name) if ref else None


class Workspace:
    """An opened model, looked at with one input."""

    def __init__(self, opened: OpenedModel) -> None:
        self.view = View(opened, opened.model, infer_shapes(opened.model))

    def set_input(self, given: InputSpec) -> None:
        """Look at the model with another input. Not an edit: nothing of it is saved.

        Of tensors without an order no shape follows: they are looked at as before, and that is noted.
        """
        if not self.view.model.is_sequential:
            opened = self.view.opened
            self.view = self.view._replace(opened=opened._replace(notes=(*opened.notes, NO_ORDER)))
            return
        model = replace(self.view.model, inputs=(given,))
        self.view = View(self.view.opened, model, infer_shapes(model, self.view.inference))

    def reload(self) -> None:
        """Read the file anew, keeping the input looked at; on a SeqtuiError everything stays as it is."""
        old = self.view
        opened = open_model(old.opened.path)
        is_given = old.model.inputs != old.opened.model.inputs
        model = replace(opened.model, inputs=old.model.inputs) if is_given else opened.model
        self.view = View(opened, model, infer_shapes(model))
        old.opened.close()

    def close(self) -> None:
        self.view.opened.close()
