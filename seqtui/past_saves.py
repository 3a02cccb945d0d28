"""Steps past a save, which the saved file knows nothing of: how they are kept so that another process can take them.

What is undone past a save is no edit of the saved model, so the record of it holds the model. Of its numbers most lie
in the saved file, under whatever name; the others are copied beside the journal while their own file is still open.
"""

from __future__ import annotations

from collections.abc import Mapping

from seqtui.errors import EditError
from seqtui.formats.safetensors import stored
from seqtui.formats.tensor_source import TensorSource
from seqtui.journal import Journal
from seqtui.model.edit import Edit
from seqtui.model.model_json import model_to_json, refs_of, with_refs
from seqtui.model.spec import ModelSpec
from seqtui.model.tensors import TensorRef
from seqtui.model.tree import joined, walk_layer
from seqtui.records import PAST_SAVE, Record, Verb, step

OWN = ""
"""The source id of the model's own file in a record, which may be opened by another path."""


class PastSaves:
    """Where the numbers of earlier states of one model lie by now."""

    def __init__(self) -> None:
        self._saved: dict[TensorRef, TensorRef] = {}
        """Stored tensor -> the same numbers in a file saved later."""
        self._kept: dict[TensorRef, TensorRef] = {}
        """Stored tensor -> the same numbers beside the journal."""

    def saved(self, model: ModelSpec, prefix: str, source_id: str) -> None:
        """A file was written with all that the model has, and the journal begins anew."""
        self._kept = {}
        for path, layer in walk_layer("", model.root):
            for tensor in layer.tensors:
                if tensor.stored:
                    self._saved[self._last(tensor.stored)] = TensorRef(source_id, prefix + joined(path, tensor.name))

    def opened(self, sources: Mapping[str, TensorSource]) -> None:
        """What an earlier session kept beside the journal is open."""
        refs = (TensorRef(source_id, name) for source_id, source in sources.items() for name in source.tensors)
        self._kept |= {ref: ref for ref in refs}

    def record(
        self,
        verb: Verb,
        edit: Edit,
        models: tuple[ModelSpec, ModelSpec],
        own: str,
        sources: Mapping[str, TensorSource],
        journal: Journal,
    ) -> Record:
        """An undo or a redo past a save, from one model to the other; `own` is the source id of the model's file.

        Raises FileError where there is no room for the numbers that the saved file lacks.
        """
        now, then = models
        lacking = dict.fromkeys(last for ref in refs_of(then) if (last := self._last(ref)).source_id != own)
        lacking = dict.fromkeys(ref for ref in lacking if ref not in self._kept)
        if lacking:
            names = {ref: f"{number}.{ref.name}" for number, ref in enumerate(lacking)}
            kept = journal.keep_numbers([stored(sources[ref.source_id], ref.name, names[ref]) for ref in lacking])
            self._kept |= {ref: TensorRef(kept, name) for ref, name in names.items()}

        def written(ref: TensorRef) -> TensorRef:
            last = self._last(ref)
            return TensorRef(OWN, last.name) if last.source_id == own else self._kept.get(last, last)

        return step(PAST_SAVE[verb], edit, model_to_json(with_refs(then, written), with_refs(now, written)))

    def _last(self, ref: TensorRef) -> TensorRef:
        """The same numbers in the file that was saved last of those that have them."""
        while (later := self._saved.get(ref)) is not None:
            ref = later
        return ref


def placed_in(sources: Mapping[str, TensorSource], own: str, ref: TensorRef) -> TensorRef:
    """Where numbers lie that a record says of where they lay. Raises EditError where they are gone."""
    source_id = own if ref.source_id == OWN else ref.source_id
    if source_id not in sources or ref.name not in sources[source_id].tensors:
        raise EditError("the numbers that were kept for it are gone")
    return TensorRef(source_id, ref.name)
