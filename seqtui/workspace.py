"""Workspace: the one mutable object. It owns the open files, what was done to the model, and what is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from seqtui.errors import EditError, FileError, UsageError
from seqtui.formats import MODEL_SUFFIX, open_model
from seqtui.formats.opened import OpenedModel
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.view import Mode, View

if TYPE_CHECKING:  # edits, and what saves them, are imported with the first of them
    from seqtui.engine.door import Engine, Told
    from seqtui.engine.requests import Subject, Traced
    from seqtui.formats.atomic import Expected
    from seqtui.formats.byte_source import Stamp
    from seqtui.journal import Journal
    from seqtui.model.edit import Edit
    from seqtui.model.history import History
    from seqtui.model.weights_kept import Planned
    from seqtui.records import Record
    from seqtui.saving import Saved

NO_ORDER = "an input shape says nothing here: the file holds tensors, not layers in order"


class Workspace:
    """An opened model, what is done to it, and the input that it is looked at with."""

    def __init__(self, opened: OpenedModel) -> None:
        self.opened = opened
        self.saved = opened.model
        """The model as it is on disk."""
        self._sources = dict(opened.sources)
        self._history: History | None = None
        self._given: InputSpec | None = None
        """An input to look with; no edit, and not saved."""
        self._engine: Engine | None = None
        self._journal: Journal | None = None
        self.wants_journal = False
        """Whether edits are to be kept on disk as they happen; the screens want it."""
        self._starting, self._is_started = Lock(), False
        self._pending: tuple[Record, ...] = ()
        self._is_saving = False
        self.read_only = ""
        """Why nothing can be edited, in a clause; empty where it can."""
        self.trouble = ""
        """What the user should hear about the keeping of edits; whoever tells it empties it."""
        self.view = View(opened, opened.model, infer_shapes(opened.model), self._sources)

    # What is looked at

    def set_input(self, given: InputSpec) -> None:
        """Look at the model with another input. Not an edit: nothing of it is saved.

        Of tensors without an order no shape follows: they are looked at as before, and that is noted.
        """
        if not self.view.model.is_sequential:
            self.opened = self.opened._replace(notes=(*self.opened.notes, NO_ORDER))
        else:
            self._given = given
        self._show()

    def reload(self) -> None:
        """Read the file anew, keeping the input looked at; on a SeqtuiError everything stays as it is."""
        if self._is_saving:
            raise UsageError("the model is being saved")
        if self.view.is_changed:
            raise UsageError("there are edits that are not saved", hint="Save them, or undo them with u.")
        opened, old = open_model(self.opened.path), self._sources
        self.opened, self.saved, self._history = opened, opened.model, None
        self._sources = dict(opened.sources)
        self._show(is_fresh=True)
        self._move_journal(is_own=True)
        for source in old.values():
            source.close()

    def _show(self, is_fresh: bool = False) -> None:
        """Infer what follows, from the change on."""
        model = self.model if self._given is None else replace(self.model, inputs=(self._given,))
        inference = infer_shapes(model, None if is_fresh else self.view.inference)
        self.view = View(self.opened, model, inference, self._sources, self.is_changed, self.view.mode)

    # Runs

    def set_mode(self, mode: Mode) -> None:
        """How the model is run from here on."""
        self.view = self.view._replace(mode=mode)

    @property
    def subject(self) -> Subject:
        """The model as it is looked at, with the files that its numbers lie in: what torch is asked about."""
        from seqtui.exporting import subject_of

        return subject_of(self.view.model, self._sources)

    def hear(self, model: ModelSpec, traced: Iterable[Traced] | None) -> None:
        """Take what torch said of the shapes of a model, None while it is asked, unless another is looked at by now."""
        from seqtui.model.traced import asked, with_trace

        if model is self.view.model:
            rules = infer_shapes(model, self.view.inference)
            trace = {step.path: step.leaving for step in traced or ()}
            self.view = self.view._replace(inference=asked(rules) if traced is None else with_trace(rules, trace))

    @property
    def engine(self) -> Engine:
        """torch, in a process of its own that starts with the first question."""
        from seqtui.engine.door import Engine

        if self._engine is None:
            self._engine = Engine()
        return self._engine

    def end_torch(self) -> None:
        """End torch's process, whatever it is doing; it cannot be asked any more."""
        if self._engine is not None:
            self._engine.close()

    # Edits

    @property
    def model(self) -> ModelSpec:
        """The model with all edits."""
        return self._history.model if self._history else self.saved

    @property
    def history(self) -> History:
        """What was done and undone, the first time made."""
        from seqtui.model.history import History

        if self._history is None:
            self._history = History(self.saved)
        return self._history

    @property
    def is_changed(self) -> bool:
        return self.model is not self.saved

    def require_editable(self) -> None:
        """Raises EditError where nothing can be edited, now or at all."""
        if self._is_saving:
            raise EditError("the model is being saved; edits wait for that")
        if self.wants_journal and self.start_journal():
            raise EditError("an earlier session left edits: recover or discard them first")
        if self.read_only:
            raise EditError(f"nothing can be edited: {self.read_only}")

    def do(self, edit: Edit) -> None:
        """One edit. Raises EditError, and then nothing has changed."""
        from seqtui.model.problems import concrete
        from seqtui.records import done

        self.require_editable()
        self._history = self.history.do(concrete(edit, self.view.model))
        self._record(done(self._history.done[-1].edit))
        if self._given is not None and self.model.inputs != self._history.done[-1].before.inputs:
            self._given = None  # the edit says what is fed from here on
        self._show()

    def undo(self) -> Edit:
        """One step back; the edit that was undone. Raises EditError where nothing was done."""
        self.require_editable()
        if not self.history.done:
            raise EditError("there is nothing to undo")
        from seqtui.records import UNDO

        self._history = self.history.undo()
        self._record(UNDO)
        self._show()
        return self._history.undone[0].edit

    def redo(self) -> Edit:
        """The last step taken again. Raises EditError where nothing was undone."""
        self.require_editable()
        if not self.history.undone:
            raise EditError("there is nothing to redo")
        from seqtui.records import redone

        self._history = self.history.redo()
        self._record(redone(self._history.done[-1].edit))
        self._show()
        return self._history.done[-1].edit

    def plan(self) -> list[Planned]:
        """What a save does with each tensor."""
        from seqtui.model.weights_kept import weights_plan

        return weights_plan(self.saved, self.model)

    # The journal

    def start_journal(self) -> tuple[Record, ...]:
        """Keep edits on disk from here on; the steps that an earlier session left, which want an answer first.

        May be called from any thread, and again; the first edit calls it at the latest.
        """
        with self._starting:
            if not self._is_started:
                self._pending = self._open_journal()
                self._is_started = True
            return self._pending

    def _open_journal(self) -> tuple[Record, ...]:
        """What an earlier session left in the journal of the model's file, which is ours from here on.

        Where another seqtui has the file open nothing can be edited; where no journal can be kept, that is `trouble`.
        """
        if self.read_only:
            return ()
        from seqtui.journal import Journal, LockedError
        from seqtui.model.spec_json import SpecError, spec_to_json

        stamp = self._own_stamp()
        try:
            spec = "" if stamp else spec_to_json(self.saved)
            self._journal = Journal.open(self.opened.path, stamp, spec)
        except LockedError as error:
            self.read_only = error.message
            return ()
        except (FileError, SpecError) as error:
            self.trouble = error.message
            return ()
        self.trouble = self._journal.notice
        pending = self._journal.pending
        if pending and not (self._journal.is_for(stamp) and self._journal.spec == spec):
            where = self._journal.keep(0)
            self.trouble = f"an earlier session left edits of another version of this file; they are kept in {where}"
            return ()
        return pending

    def recover(self) -> int:
        """Do again what an earlier session left; how many steps that were. Raises EditError where some cannot be."""
        from seqtui.model.history import History
        from seqtui.records import ReplayError, replay

        assert self._journal is not None  # whoever recovers was told of what is pending
        pending, self._pending = self._pending, ()
        try:
            self._history = replay(History(self.saved), pending)
        except ReplayError as error:
            self._history = error.history
            where = self._journal.keep(error.count)
            raise EditError(f"{error.message}; all of them are kept in {where}") from None
        finally:
            self._show()
        return len(pending)

    def forget(self) -> None:
        """Nobody wants to recover what is in the journal, left by an earlier session or by this one."""
        self._pending = ()
        if self._journal is not None:
            self._journal.discard()

    def _record(self, record: Record) -> None:
        """Into the journal, before the next key is heard."""
        if self._journal is None:
            return
        try:
            self._journal.write(record)
        except FileError as error:
            self.trouble = error.message

    def _move_journal(self, is_own: bool) -> None:
        """After a save the journal begins anew, at the file that is the model's now."""
        if not self._is_started:
            return
        stamp = self._own_stamp()
        try:
            if is_own and stamp:
                if self._journal is not None:
                    self._journal.restart(stamp)
                return
            if self._journal is not None:
                self._journal.discard()
                self._journal.close()
            self._journal, self.read_only = None, ""  # another file, that nobody else may have open
            self._pending = self._open_journal()
        except FileError as error:
            self.trouble = error.message

    def _own_stamp(self) -> Stamp | None:
        """The model's file as it was opened; None where it has none yet."""
        return self.opened.stamp or next((source.stamp for source in self.opened.sources.values()), None)

    # Files

    def save(self, path: str = "", is_sure: bool = False, told: Told | None = None) -> Saved:
        """Write the model, to its own file where no path is given, and go on from what was written.

        An export, to code or a spec or for another program, leaves the model with its edits unsaved, unless it came
        from that very file. Another file that exists is replaced only with `is_sure`, and so is the own one where
        somebody changed it meanwhile. Raises what `save_model` raises.
        """
        from seqtui.saving import EXPORTS, Target, save_model

        path = path or self.opened.path
        if not path:
            raise UsageError("the model has no file yet", hint="Save it under a name: :w FILE")
        is_own = self._is_own(path)
        expected: Expected = "anything" if is_sure else (self._own_stamp() if is_own else None) or "absent"
        if is_own and self.read_only:
            raise UsageError(f"it cannot be saved: {self.read_only}", hint="Save it under another name.")
        if self._is_saving:
            raise UsageError("the model is being saved already")
        self._is_saving = True
        try:
            target = Target(path, self.engine, expected, self.opened.prefix, told)
            model = self.view.model if path.lower().endswith(EXPORTS) else self.model  # torch runs what it exports
            saved = save_model(model, self._sources, target)
            self._saved_as(path, is_own, saved.stamp)
        finally:
            self._is_saving = False
        return saved

    def _saved_as(self, path: str, is_own: bool, stamp: Stamp) -> None:
        """What a file just written changes: it is the model's from here on, unless it is an export."""
        if path.endswith(MODEL_SUFFIX):
            self._go_on_from(path)
            self._move_journal(is_own)
        elif is_own:
            self.opened, self.saved = self.opened._replace(stamp=stamp), self.model
            self._show()
            self._move_journal(is_own)

    def _is_own(self, path: str) -> bool:
        return bool(self.opened.path) and os.path.realpath(path) == os.path.realpath(self.opened.path)

    def _go_on_from(self, path: str) -> None:
        """The file just written is the model's from here on. What was done stays undoable: its files are still open."""
        opened = open_model(path, source_id=f"{os.path.abspath(path)}#{len(self._sources)}")
        self._sources |= opened.sources
        self.opened, self.saved = opened, opened.model
        if self._history is not None:
            self._history = replace(self._history, model=opened.model)
        self._show(is_fresh=True)

    def close(self) -> None:
        """Let go of all files, of the journal and of torch."""
        if self._journal is not None:
            self._journal.close()
        self.end_torch()
        for source in self._sources.values():
            source.close()
