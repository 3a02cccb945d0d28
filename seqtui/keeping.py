"""Keeping: what is on the disk of the edits to one model, and what earlier sessions left there.

Nothing that was left is thrown away before somebody has said so: it is offered, it is left to a later session, or,
where it cannot be done again, it becomes a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from seqtui.errors import EditError, FileError, FormatError
from seqtui.formats.opened import OpenedModel
from seqtui.formats.tensor_source import TensorSource
from seqtui.journal import Journal, LockedError
from seqtui.model.edit import Edit
from seqtui.model.history import History
from seqtui.model.model_json import model_from_json, model_to_json
from seqtui.model.spec import ModelSpec
from seqtui.past_saves import PastSaves, placed_in
from seqtui.records import Record, ReplayError, Verb, replay, step


class Began(NamedTuple):
    """What a model without a file began as."""

    name: str
    model: ModelSpec


class Keeping:
    """The journal of one model from its opening on, whatever it is saved as."""

    def __init__(self, opened: OpenedModel) -> None:
        self.opened = opened
        """The model's file as it is now."""
        self.trouble = ""
        """What the user should hear; whoever tells it empties it."""
        self.locked = ""
        """Why nobody may edit the model here; empty where one may."""
        self._journal: Journal | None = None
        self._left: list[Journal] = []
        """What earlier sessions left and wants an answer, the first of them next."""
        self._past = PastSaves()
        self._open()

    def _open(self) -> None:
        """Have the journal of the model's file, or one of our own, and what earlier sessions left.

        Where another seqtui has the file open nothing can be edited; where no journal can be kept, that is `trouble`.
        """
        opened, stamp = self.opened, self.opened.file_stamp
        self._journal, self._left, self.locked = None, [], ""
        try:
            spec = "" if stamp else model_to_json(opened.model)
            self._journal = Journal.open(opened.path, stamp, spec, opened.name)
            journals = [self._journal] if opened.path else Journal.left()
            self._left = [journal for journal in journals if self._is_recoverable(journal)]
        except LockedError as error:
            self.locked = error.message
        except FileError as error:
            self.trouble = error.message

    def _is_recoverable(self, journal: Journal) -> bool:
        """Whether its steps can be done again here; if not, that is `trouble`, and they become a recipe.

        Raises FileError.
        """
        stamp = self.opened.file_stamp
        self.trouble = journal.notice or self.trouble
        if journal.pending and not (journal.is_for(stamp) and (stamp or _began_as(journal))):
            where = journal.keep(0)
            self.trouble = f"an earlier session left edits of another version of this file; {_way_back(where)}"
        if not journal.pending and journal is not self._journal:
            journal.close()
        return bool(journal.pending)

    # What earlier sessions left

    @property
    def pending(self) -> tuple[Record, ...]:
        """The steps that want an answer next."""
        return self._left[0].pending if self._left else ()

    @property
    def began(self) -> Began | None:
        """What the model of these steps began as; None where that is the file."""
        return _began_as(self._left[0]) if self._left else None

    def recover(self, model: ModelSpec, sources: dict[str, TensorSource]) -> tuple[History, EditError | None]:
        """The history of what is pending, from the model on; and why it ends before all of it, where it does.

        What was kept of the numbers is opened into `sources`.
        """
        journal, *others = self._left
        if self._journal is not None and self._journal is not journal:
            others.append(self._journal)
        for other in others:  # those are left to later sessions
            other.close()
        self._journal, self._left = journal, []
        kept = journal.open_kept()
        sources |= kept
        self._past.opened(kept)
        try:
            return replay(
                History(model), journal.pending, lambda ref: placed_in(sources, self.opened.source_id, ref)
            ), None
        except ReplayError as error:
            where = journal.keep(error.count)
            return error.history, EditError(f"{error.message}; {_way_back(where)}")

    def leave(self) -> None:
        """Leave what is pending to a later session."""
        self._left.pop(0).close()

    def forget(self) -> None:
        """Nobody wants what is pending; where nothing is, nobody wants what was done. Raises FileError."""
        journal = self._left.pop(0) if self._left else self._journal
        if journal is None:
            return
        journal.discard()
        if journal is not self._journal:
            journal.close()

    # What is done

    def write(
        self, verb: Verb, edit: Edit, models: tuple[ModelSpec, ModelSpec], sources: Mapping[str, TensorSource]
    ) -> None:
        """Write a step from one model to another before returning. Where it cannot be kept, that is `trouble`, once."""
        journal = self._journal
        if journal is None or journal.is_broken:
            return
        try:
            if journal.leads_to(verb):
                journal.write(step(verb, edit))
            else:
                journal.write(self._past.record(verb, edit, models, self.opened.source_id, sources, journal))
        except FileError as error:
            self.trouble = error.message

    def saved(self, model: ModelSpec, opened: OpenedModel, is_own: bool) -> None:
        """The model was saved, to the file that it had or to another: the journal begins anew, at what that is now."""
        before, self.opened = self.opened, opened
        if opened.source_id:
            self._past.saved(model, before.prefix, opened.source_id)
        self._restart(is_own)

    def reloaded(self, opened: OpenedModel) -> None:
        """The file was read anew, and nothing was done to it yet."""
        self.opened, self._past = opened, PastSaves()
        self._restart(is_own=True)

    def _restart(self, is_own: bool) -> None:
        stamp = self.opened.file_stamp
        try:
            if is_own and stamp:
                if self._journal is not None:
                    self._journal.restart(stamp)
                return
            if self._journal is not None:
                self._journal.discard()
                self._journal.close()
            self._open()
        except FileError as error:
            self.trouble = error.message

    def close(self) -> None:
        """Let other processes have the journals. Closing twice is harmless."""
        for journal in (*self._left, self._journal):
            if journal is not None:
                journal.close()


def _began_as(journal: Journal) -> Began | None:
    """What the model of its steps began as; None where that is a file, or cannot be read."""
    head = journal.head
    try:
        return Began(head.file, model_from_json(head.spec)) if head and head.spec else None
    except FormatError:
        return None


def _way_back(recipe: str) -> str:
    """How to do again what is kept in a recipe."""
    return f"all are kept: :replay {recipe} does them again"
