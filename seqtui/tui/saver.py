"""Saver: the model on a screen into a file, one save at a time, in a thread.

What can be known before torch makes new weights is said and asked before: a question that comes seconds later finds
hands that type something else.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

from seqtui.errors import CancelledError, EditError, FileChangedError, FormatError, SeqtuiError
from seqtui.formats import form_of, open_model
from seqtui.formats.atomic import require_replaceable
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.model.edits import Batch
from seqtui.model.tree import walk_layer
from seqtui.safe_text import safe_text
from seqtui.saving import EXPORTS, WITHOUT_NUMBERS, Saved, needs_torch, require_writer
from seqtui.tui.prompts import Ask, Choose
from seqtui.tui.workers import begin

if TYPE_CHECKING:
    from seqtui.tui.editor import Editor
    from seqtui.view import View
    from seqtui.workspace import Workspace


class Saver:
    """Saves of the model on a screen."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.screen = editor.screen
        self.workspace: Workspace = editor.workspace
        self._is_busy = False
        self._quits = False
        """Whether the program ends with the save that is under way, if that goes well."""

    async def ask(self, path: str = "", and_quit: bool = False) -> None:
        """Save, asking first for a name where the model has none."""
        if path or self.workspace.opened.path:
            await self.save(path, and_quit=and_quit)
            return

        async def named(answer: str | None) -> None:
            if answer is not None:
                await self.save(os.path.expanduser(answer), and_quit=and_quit)

        note = lambda name: target_note(self.workspace, os.path.expanduser(name))  # noqa: E731  for both that follow
        await self.screen.app.push_screen(Ask("save as ", "model.safetensors", note, note, is_proposal=True), named)

    async def save(self, path: str = "", is_sure: bool = False, and_quit: bool = False) -> None:
        """Begin to write the model, or ask what has to be known before; keys are heard meanwhile."""
        if self._is_busy:
            self._quits = self._quits or and_quit
            self.screen.warn("The model is being saved: try again in a moment.")
            return
        if not path and not self.workspace.is_changed and self.workspace.opened.path:
            self.screen.tell("Nothing has changed since it was saved.")
            if and_quit:
                self.screen.app.exit()
            return
        path = path or self.workspace.opened.path
        try:
            require_writer(path)
            if form_of(path) not in WITHOUT_NUMBERS:
                require_numbers(self.workspace.view)
            require_replaceable(path, "anything" if is_sure else self.workspace.expected_at(path))
        except FormatError as error:
            await self._ask_to_read_again(error)
        except FileChangedError as error:
            await self._ask_to_replace(error, path, and_quit)
        except SeqtuiError as error:
            self.screen.warn(error.words())
        else:
            self._is_busy, self._quits = True, and_quit
            begin(self.screen, partial(self._write, path, is_sure), group="save")

    def quits_when_saved(self) -> bool:
        """Whether a save is under way that the program's end now waits for; asked again it does not."""
        is_first = self._is_busy and not self._quits
        if is_first:
            self._quits = True
            self.screen.tell("The model is being saved; seqtui quits when that is done. q again quits now.")
        return is_first

    async def _write(self, path: str, is_sure: bool) -> None:
        model = self.workspace.view.model
        try:
            if needs_torch(self.workspace.model) or form_of(path) in EXPORTS:
                saved = await self._write_with_torch(path, is_sure)
            else:
                saved = await asyncio.to_thread(self.workspace.save, path, is_sure)
        except FileChangedError as error:
            await self._ask_to_replace(error, path, self._quits, is_unexpected=True)
            return
        except CancelledError:
            self.screen.tell("Nothing is written: torch was ended.")
            return
        except SeqtuiError as error:
            self.screen.warn(error.words())
            return
        finally:
            self._is_busy = False
        self.screen.runner.saved(model)
        self.screen.show_model(self.screen.table.row.path)
        self.screen.tell(f"{saved.sentence}.")
        if self._quits:
            self.screen.app.exit()

    async def _write_with_torch(self, path: str, is_sure: bool) -> Saved:
        """What torch has a part in: new weights, and exports; a run that is under way goes first."""
        runner = self.screen.runner
        if runner.runs.doing:
            self.screen.tell("The save waits for the run; x in the run tab ends the run.")
        elif needs_torch(self.workspace.model):
            self.screen.tell("Torch makes the new weights …")
        name = safe_text(os.path.basename(path))
        return await runner.watch(lambda told: self.workspace.save(path, is_sure, told), name)

    async def _ask_to_replace(
        self, error: FileChangedError, path: str, and_quit: bool, is_unexpected: bool = False
    ) -> None:
        """Somebody else's file stands where ours would: replace it, or not."""

        async def answered(choice: str | None) -> None:
            if choice == "o":
                await self.save(path, is_sure=True, and_quit=and_quit)

        question = Choose(f"{error.line()}.", {"o": "overwrite it"}, is_unexpected=is_unexpected)
        await self.screen.app.push_screen(question, answered)

    async def _ask_to_read_again(self, error: FormatError) -> None:
        """Numbers that the model was to keep are gone: what can be kept are the edits."""

        def answered(choice: str | None) -> None:
            if choice == "r":
                self._read_again()

        question = f"{error.line()}:\nnothing with them can be saved. `:recipe FILE` keeps the edits."
        choices = {"r": "read the file again and do the edits there"}
        await self.screen.app.push_screen(Choose(question, choices), answered)

    def _read_again(self) -> None:
        """The edits that are not saved, done to the file as it is now; where they cannot be, nothing has changed."""
        try:
            edit = unsaved(self.workspace)
            edit.apply(open_model(self.workspace.opened.path).model)
            self.workspace.reload(is_sure=True)
        except SeqtuiError as error:
            self.screen.warn(f"Nothing is read again: {error.words()}")
            return
        self.screen.show_model()
        if edit.edits:
            self.editor.do(lambda _: edit)


def target_note(workspace: Workspace, path: str) -> str:
    """What is to be known before the model is written there; empty for nothing.

    Raises UsageError, FileError where it cannot be.
    """
    require_writer(path)
    require_replaceable(path)
    try:
        require_replaceable(path, workspace.expected_at(path))
    except FileChangedError as error:
        return f"{error.message}; enter asks whether to overwrite it"
    return ""


def require_numbers(view: View) -> None:
    """Raises FormatError where somebody wrote into a file that tensors of the model lie in."""
    layers = walk_layer("", view.model.root)
    used = {tensor.stored.source_id for _, layer in layers for tensor in layer.tensors if tensor.stored}
    for source in map(view.sources.__getitem__, used):
        if isinstance(source, SafetensorsFile) and source.file is not None:
            source.file.require_unchanged()


def unsaved(workspace: Workspace) -> Batch:
    """The edits that lead from the file to the model. Raises EditError where it was undone to before the file."""
    if not workspace.is_changed:
        return Batch(())
    done = workspace.history.done
    start = next((at for at, step in enumerate(done) if step.before is workspace.saved), None)
    if start is None:
        raise EditError("what is undone was done before the last save, and no edit says that")
    return Batch(tuple(step.edit for step in done[start:]))
