"""Workspace: the one mutable object. It owns the open files, what was done to the model, and what is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from seqtui.errors import EditError, UsageError
from seqtui.formats import MODEL_SUFFIX, form_of, open_model
from seqtui.formats.opened import OpenedModel
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.view import Mode, View

if TYPE_CHECKING:  # edits, and what saves them, are imported with the first of them
    from seqtui.engine.door import Engine, Told
    from seqtui.engine.requests import Subject, Traced
    from seqtui.formats.atomic import Expected
    from seqtui.formats.byte_source import Stamp
    from seqtui.keeping import Began, Keeping
    from seqtui.model.edit import Edit
    from seqtui.model.history import History
    from seqtui.model.weights_kept import Planned
    from seqtui.records import Record, Verb
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
        self._keeping: Keeping | None = None
        self.wants_journal = False
        """Whether edits are to be kept on disk as they happen; the screens want it."""
        self._starting = Lock()
        self._is_saving = False
        self.read_only = ""
        """Why nothing can be edited, in a clause; empty where it can."""
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

    def reload(self, is_sure: bool = False) -> None:
        """Read the file anew, keeping the input looked at; on a SeqtuiError everything stays as it is.

        Edits that are not saved are given up only with `is_sure`.
        """
        if self._is_saving:
            raise UsageError("the model is being saved")
        if self.view.is_changed and not is_sure:
            raise UsageError("there are edits that are not saved", hint="Save them, or undo them with u.")
        opened, old = open_model(self.opened.path), self._sources
        self.opened, self.saved, self._history = opened, opened.model, None
        self._sources = dict(opened.sources)
        if self._keeping is not None and self._keeping.locked:
            self._keeping, self.read_only = None, ""  # whoever had it open may be gone: `start_journal` finds out
        self._show(is_fresh=True)
        if self._keeping is not None:
            self._keeping.reloaded(opened)
        for source in old.values():
            source.close()

    def _show(self, is_fresh: bool = False) -> None:
        """Infer what follows, from the change on."""
        model = self.model if self._given is None else replace(self.model, inputs=(self._given,))
        inference = infer_shapes(model, None if is_fresh else self.view.inference)
        self.view = View(
            self.opened, model, inference, self._sources, self.is_changed, self.view.mode, bool(self.read_only)
        )

    # Runs

    def set_mode(self, mode: Mode) -> None:
        """How the model is run from here on."""
        self.view = self.view._replace(mode=mode)

    @property
    def subject(self) -> Subject:
        """The model as it is looked at, with the files that its numbers lie in: what torch is asked about."""
        from seqtui.engine.requests import Subject

        return Subject.of(self.view.model, self._sources)

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
            raise EditError("the model is being saved: try again in a moment")
        if self.wants_journal and self.start_journal():
            raise EditError("an earlier session left edits: recover or discard them first")
        if self.read_only:
            raise EditError(f"nothing can be edited: {self.read_only}")

    def do(self, edit: Edit) -> None:
        """One edit. Raises EditError, NothingToDoError where it would change nothing, and then nothing has changed."""
        from seqtui.model.edit import changed
        from seqtui.model.problems import concrete

        self.require_editable()
        edit = concrete(edit, self.view.model, self.view.inference)
        history = self.history.do(edit)
        changed(edit, self.model, history.model)
        self._history = history
        step = self._history.done[-1]
        self._record("do", step.edit, step.before)
        if self._given is not None and self.model.inputs != step.before.inputs:
            self._given = None  # the edit says what is fed from here on
        self._show()

    def undo(self) -> Edit:
        """One step back; the edit that was undone. Raises EditError where nothing was done."""
        self.require_editable()
        if not self.history.done:
            raise EditError("there is nothing to undo")
        self._history = self.history.undo()
        step = self._history.undone[0]
        self._record("undo", step.edit, step.before)
        self._show()
        return step.edit

    def redo(self) -> Edit:
        """The last step taken again. Raises EditError where nothing was undone."""
        self.require_editable()
        if not self.history.undone:
            raise EditError("there is nothing to redo")
        self._history = self.history.redo()
        step = self._history.done[-1]
        self._record("redo", step.edit, step.before)
        self._show()
        return step.edit

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
            if self._keeping is None and not self.read_only:
                from seqtui.keeping import Keeping

                self._keeping = Keeping(self.opened)
                self.read_only = self._keeping.locked
            self.view = self.view._replace(is_read_only=bool(self.read_only))
            return self._keeping.pending if self._keeping else ()

    def take_trouble(self) -> str:
        """What the user should hear about the keeping of edits, once; empty where there is nothing."""
        if self._keeping is None:
            return ""
        trouble, self._keeping.trouble = self._keeping.trouble, ""
        return trouble

    @property
    def began(self) -> Began | None:
        """What the model of the steps that want an answer began as; None where that is a file."""
        return self._keeping.began if self._keeping else None

    def recover(self) -> int:
        """Do again what an earlier session left; how many steps that were. Raises EditError where some cannot be.

        A model without a file becomes the one that those steps began with.
        """
        assert self._keeping is not None  # whoever recovers was told of what is pending
        count = len(self._keeping.pending)
        if began := self._keeping.began:
            self.opened = self.opened._replace(model=began.model, name=began.name)
            self.saved = began.model
        self._history, error = self._keeping.recover(self.saved, self._sources)
        self._show(is_fresh=True)
        if error is not None:
            raise error
        return count

    def leave_pending(self) -> None:
        """Leave what an earlier session left to a later one; where it is about this file, nothing can be edited."""
        if self._keeping is not None:
            self._keeping.leave()

    def forget(self) -> None:
        """Nobody wants to recover what is in the journal, left by an earlier session or by this one."""
        if self._keeping is not None:
            self._keeping.forget()

    def _record(self, verb: Verb, edit: Edit, before: ModelSpec) -> None:
        """Write a step into the journal, before the next key is heard; `before` is the model before it."""
        if self._keeping is not None:
            self._keeping.write(verb, edit, (before, self.model), self._sources)

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
        expected: Expected = "anything" if is_sure else self.expected_at(path)
        if is_own and self.read_only:
            raise UsageError(f"it cannot be saved: {self.read_only}", hint="Save it under another name.")
        if self._is_saving:
            raise UsageError("the model is being saved already")
        self._is_saving = True
        try:
            target = Target(path, self.engine, expected, self.opened.prefix, told)
            model = self.view.model if form_of(path) in EXPORTS else self.model  # torch runs what it exports
            saved = save_model(model, self._sources, target)
            self._saved_as(path, is_own, saved.stamp)
        finally:
            self._is_saving = False
        return saved

    def expected_at(self, path: str) -> Expected:
        """What a save replaces unasked: the model's own file as it was opened, elsewhere nothing."""
        return (self.opened.file_stamp if self._is_own(path) else None) or "absent"

    def _saved_as(self, path: str, is_own: bool, stamp: Stamp) -> None:
        """What a file just written changes: it is the model's from here on, unless it is an export."""
        model = self.model
        if form_of(path) == MODEL_SUFFIX:
            self._go_on_from(path)
        elif is_own:
            self.opened, self.saved = self.opened._replace(stamp=stamp), model
            self._show()
        else:
            return
        self.read_only = ""  # of another file, that nobody else may have open
        if self._keeping is not None:
            self._keeping.saved(model, self.opened, is_own)
            self.read_only = self._keeping.locked

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
        if self._keeping is not None:
            self._keeping.close()
        self.end_torch()
        for source in self._sources.values():
            source.close()
