"""What an edit is: a small frozen value that makes one model of another, and one line of text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from seqtui.errors import EditError
from seqtui.model.language import Slot
from seqtui.model.spec import ModelSpec


class Edit(Protocol):
    """A change of a model as a value."""

    def apply(self, model: ModelSpec) -> ModelSpec:
        """The changed model. Raises EditError, and then nothing has changed."""

    def __str__(self) -> str:
        """The edit in a line that reads back to the same edit; of a batch in several."""


class Line(ABC):
    """An edit that is written as a verb and slots, of which each fills one field."""

    __slots__ = ()

    verb: ClassVar[str]
    slots: ClassVar[tuple[Slot, ...]]

    @abstractmethod
    def apply(self, model: ModelSpec) -> ModelSpec:
        """The changed model. Raises EditError, and then nothing has changed."""

    def __str__(self) -> str:
        words = (slot.write(getattr(self, slot.field)) for slot in self.slots)
        return " ".join([self.verb, *(word for word in words if word)])


@dataclass(frozen=True, slots=True)
class Batch:
    """Several edits as one step: all of them apply, or none."""

    edits: tuple[Edit, ...]

    def apply(self, model: ModelSpec) -> ModelSpec:
        """Raises EditError with the edit that cannot apply."""
        for edit in self.edits:
            try:
                model = edit.apply(model)
            except EditError as error:
                raise EditError(f"{edit}: {error.message}", error.hint) from None
        return model

    def __str__(self) -> str:
        return "\n".join(map(str, self.edits))


class NothingToDoError(EditError):
    """An edit after which all is as before: alone it is refused, among other edits it is done by doing nothing."""


def changed(edit: Edit, before: ModelSpec, after: ModelSpec) -> ModelSpec:
    """The model after an edit that makes it of another. Raises NothingToDoError where both are the same."""
    if after == before:
        first, *more = str(edit).split("\n")
        raise NothingToDoError(f"{first}{f' and {len(more)} more' if more else ''} would change nothing")
    return after
