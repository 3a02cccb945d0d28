"""Editor: what the editing keys and the ':' line do. The screen owns one, and hears from it what to show."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

from seqtui.errors import EditError, FileChangedError, SeqtuiError
from seqtui.model.content_edits import Input
from seqtui.model.edit import Edit
from seqtui.model.edits import Batch, parse_edit
from seqtui.model.inputs import parse_input
from seqtui.model.language import Place
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Copy, Group, Insert, Rename
from seqtui.model.tree import ANY_NAME, joined, layer_at
from seqtui.safe_text import safe_text
from seqtui.saving import needs_torch, require_writer
from seqtui.tui.commands import COMMANDS, Selection, Yanked, again
from seqtui.tui.prompts import Ask, Choose
from seqtui.words import plural

if TYPE_CHECKING:
    from textual.screen import Screen

    from seqtui.records import Record
    from seqtui.tui.model_screen import ModelScreen
    from seqtui.workspace import Workspace

LISTED = 12
"""Steps of an earlier session that are listed."""
FILE_WORDS = ("w", "q", "wq", "q!", "e", "recipe", "replay")
"""Words of the ':' line that are about files, as in vi where it has them; all others begin an edit."""


class Editor:
    """Edits of the model on a screen, and what they need to remember: what was yanked, and what was done last."""

    def __init__(self, screen: ModelScreen) -> None:
        self.screen = screen
        self.workspace: Workspace = screen.workspace
        self.yanked = Yanked()
        self.last: Edit | Callable[[Selection], Edit] | None = None
        """The last edit, or the command that made it: `.` does it again elsewhere."""

    @property
    def chosen(self) -> Selection:
        """What the next edit is about."""
        table = self.screen.table
        return Selection(self.workspace.model, table.row, table.marked(), self.yanked)

    async def deed(self, name: str) -> None:
        """Do what stands under the id of an action in DEEDS."""
        done = DEEDS[name](self)
        if done is not None:
            await done

    # Edits

    def command(self, name: str) -> None:
        """Do what a key means for what is selected."""
        if self.do(COMMANDS[name]):
            self.last = COMMANDS[name]
            if name.startswith("paste") and self.yanked.is_cut:
                self.yanked = Yanked()

    def repeat(self) -> None:
        """The last edit again, at what is selected now."""
        last = self.last
        if last is None:
            self.screen.warn("Nothing was done yet that could be repeated.")
        elif self.do(last if callable(last) else lambda chosen: again(last, chosen)):
            self.last = last

    def do(self, edit_for: Callable[[Selection], Edit]) -> bool:
        """An edit for what is selected, shown with the cursor on what it made, else on the layer where it went.

        Where it cannot be done the reason is shown; whether it was.
        """
        row = self.screen.table.row
        old = _layer_or_none(self.workspace.model, row.path)
        try:
            edit = edit_for(self.chosen)
            self.workspace.do(edit)
        except EditError as error:
            self.screen.warn(error.words())
            return False
        self.last = edit
        self.screen.tell_trouble()
        last = edit.edits[-1] if isinstance(edit, Batch) else edit
        model = self.workspace.model
        self.screen.show_model(made_by(last, model) or same_layer(model, row.path, old))
        return True

    def step(self, step: Callable[[], Edit], word: str) -> None:
        """Undo or redo."""
        try:
            edit = step()
        except EditError as error:
            self.screen.warn(error.words())
            return
        self.screen.show_model()
        first, *more = str(edit).splitlines()
        self.screen.tell(f"{word}: {first}{f' and {len(more)} more' if more else ''}")

    def yank(self, is_cut: bool) -> None:
        """Remember layers for pasting."""
        try:
            paths = self.chosen.paths
        except EditError as error:
            self.screen.warn(error.words())
            return
        self.yanked = Yanked(paths, is_cut)
        what = paths[0] if len(paths) == 1 else f"{len(paths)} layers"
        self.screen.tell(f"{what} cut: p moves it here" if is_cut else f"{what} yanked: p pastes a copy")
        self.screen.table.clear_marks()

    # Questions

    async def offer_recovery(self, pending: tuple[Record, ...]) -> None:
        """The steps of an earlier session, to be done again or forgotten."""
        words = [record.edits[0] if record.edits else record.verb for record in pending]
        shown = [f"  {word}" for word in words[-LISTED:]]
        if len(words) > LISTED:
            shown.insert(0, f"  … {len(words) - LISTED} more before these")
        question = f"An earlier session ended with {plural(len(words), 'step')} unsaved:"

        def answered(choice: str | None) -> None:
            if choice == "d":
                self.workspace.forget()
                return
            try:
                count = self.workspace.recover()
            except EditError as error:
                self.screen.warn(error.words())
            else:
                self.screen.tell(f"{plural(count, 'step')} recovered.")
            self.screen.show_model()

        choices = {"r": "recover", "d": "discard"}
        await self.screen.app.push_screen(Choose("\n".join([question, *shown]), choices, has_cancel=False), answered)

    async def edit_source(self) -> None:
        """The model's code in the user's own editor."""
        from seqtui.tui.source_editor import edit_source

        await edit_source(self)

    async def ask_name(self) -> None:
        """Another name for the layer or the tensor under the cursor."""
        path = self.screen.table.row.path
        if not path:
            self.screen.warn("The model itself has no name; :w FILE saves it under another.")
            return
        name = path.rpartition(".")[2]

        def renamed(answer: str | None) -> None:
            if answer is not None and answer != name:
                self.do(lambda _: Rename(path, answer))

        question = f"rename {safe_text(name)} to "
        check: Callable[[str], object] = lambda answer: Rename(path, answer).apply(self.workspace.model)  # noqa: E731
        await self.screen.app.push_screen(Ask(question, name, check), renamed)

    async def ask_kind(self, where: Literal["after", "before"]) -> None:
        """A new layer after or before the one under the cursor."""
        from seqtui.tui.picker import Picker, offer_at, place_of

        row, view = self.screen.table.row, self.workspace.view
        place = place_of(row, where, self.screen.table.branches.is_open(row))
        await self._ask(lambda: Picker(view, offer_at(view, place)))

    async def ask_other_kind(self) -> None:
        """Another kind for the layer under the cursor."""
        from seqtui.tui.picker import Picker, offer_for

        view = self.workspace.view
        await self._ask(lambda: Picker(view, offer_for(view, self.chosen.path)))

    async def ask_arguments(self) -> None:
        """Other arguments for the layer under the cursor."""
        from seqtui.draft import changing
        from seqtui.tui.form import Form

        view = self.workspace.view
        await self._ask(lambda: Form(view, changing(view.model, self.chosen.path)))

    async def _ask(self, question: Callable[[], Screen[Edit | None]]) -> None:
        """Do the edit that a question ends in; where it cannot be asked the reason is shown."""
        try:
            self.workspace.require_editable()
            screen = question()
        except EditError as error:
            self.screen.warn(error.words())
            return
        await self.screen.app.push_screen(screen, self._do_asked)

    def _do_asked(self, edit: Edit | None) -> None:
        """Do what was asked for; the cursor goes to a layer that is new, whatever was mended after it."""
        if edit is None or not self.do(lambda _: edit):
            return
        first = edit.edits[0] if isinstance(edit, Batch) else edit
        if path := made_by(first, self.workspace.model):
            self.screen.show_model(path)

    async def ask_line(self) -> None:
        """The ':' line: an edit, or a word about the file."""
        from seqtui.tui.completion import LineSuggester

        model = self.workspace.model
        question = Ask(":", "", lambda line: check_line(model, line), LineSuggester(model, FILE_WORDS))
        await self.screen.app.push_screen(question, self._run_line)

    async def _run_line(self, line: str | None) -> None:
        about_file = file_command(line) if line is not None else None
        if line is None:
            return
        if about_file is None:
            edit = parse_edit(line)
            assert edit is not None  # the question takes no empty line
            self.do(lambda _: edit)
        elif about_file[0] == "q":
            await self.screen.app.run_action("quit_now")
        elif about_file[0] == "q!":
            self.workspace.forget()
            self.screen.app.exit()
        elif about_file[0] == "e":
            self.screen.go_on_with(about_file[1])
        elif about_file[0] in ("recipe", "replay"):
            self._run_recipe(*about_file)
        else:
            await self.ask_to_save(about_file[1], and_quit=about_file[0] == "wq")

    # Files

    def _run_recipe(self, word: str, path: str) -> None:
        """Write what was done as a recipe, or do what one says."""
        from seqtui.tui.recipes import read_recipe, write_recipe

        try:
            if word == "recipe":
                count = write_recipe(self.workspace.history, path)
                self.screen.tell(f"{plural(count, 'step')} written to {path}.")
            else:
                batch = read_recipe(path)
                self.do(lambda _: batch)
        except SeqtuiError as error:
            self.screen.warn(error.words())

    async def ask_input(self) -> None:
        """What a new model is fed, as an edit."""

        def answered(answer: str | None) -> None:
            if answer is not None:
                given = parse_input(answer)
                self.do(lambda _: Input(given.shape, given.dtype))

        await self.screen.app.push_screen(Ask("input shape of the new model ", "1,3,32,32", parse_input), answered)

    async def ask_to_save(self, path: str = "", and_quit: bool = False) -> None:
        """Save, asking first for a name where the model has none."""
        if path or self.workspace.opened.path:
            self.save(path, and_quit=and_quit)
            return

        def named(answer: str | None) -> None:
            if answer is not None:
                self.save(answer, and_quit=and_quit)

        await self.screen.app.push_screen(Ask("save as ", "model.safetensors", require_writer), named)

    def save(self, path: str = "", is_sure: bool = False, and_quit: bool = False) -> None:
        """Write the model in a thread; keys are heard meanwhile."""
        if not path and not self.workspace.is_changed and self.workspace.opened.path:
            self.screen.tell("Nothing has changed since it was saved.")
            if and_quit:
                self.screen.app.exit()
            return
        self.screen.run_worker(self._save(path, is_sure, and_quit), group="save")

    async def _save(self, path: str, is_sure: bool, and_quit: bool) -> None:
        if needs_torch(self.workspace.model):
            self.screen.tell("Torch makes the new weights …")
        model = self.workspace.view.model
        try:
            saved = await asyncio.to_thread(self.workspace.save, path, is_sure)
        except FileChangedError as error:
            await self._ask_to_replace(error, path, and_quit)
            return
        except SeqtuiError as error:
            self.screen.warn(error.words())
            return
        self.screen.runner.saved(model)
        self.screen.show_model(self.screen.table.row.path)
        self.screen.tell(f"{saved.sentence}.")
        if and_quit:
            self.screen.app.exit()

    async def _ask_to_replace(self, error: FileChangedError, path: str, and_quit: bool) -> None:
        """Somebody else's file stands where ours would: replace it, or not."""

        def answered(choice: str | None) -> None:
            if choice == "o":
                self.save(path or self.workspace.opened.path, is_sure=True, and_quit=and_quit)

        await self.screen.app.push_screen(Choose(f"{error.line()}.", {"o": "overwrite it"}), answered)


DEEDS: dict[str, Callable[[Editor], Awaitable[None] | None]] = {
    "add": lambda editor: editor.ask_kind("after"),
    "insert": lambda editor: editor.ask_kind("before"),
    "replace": Editor.ask_other_kind,
    "edit": Editor.ask_arguments,
    "edit.source": Editor.edit_source,
    "rename": Editor.ask_name,
    "yank": lambda editor: editor.yank(is_cut=False),
    "cut": lambda editor: editor.yank(is_cut=True),
    "repeat": Editor.repeat,
    "undo": lambda editor: editor.step(editor.workspace.undo, "undone"),
    "redo": lambda editor: editor.step(editor.workspace.redo, "done again"),
    "command": Editor.ask_line,
    "save": Editor.ask_to_save,
}
"""What the keys of the editor's do, by the ids of their actions."""


def made_by(edit: Edit, model: ModelSpec) -> str:
    """The path of what an edit made or named; empty for one that does neither."""
    if isinstance(edit, Rename):
        return joined(edit.path.rpartition(".")[0], edit.name)
    if isinstance(edit, Insert):
        return _new_path(model, edit.place, edit.name)
    if isinstance(edit, Copy):
        return _new_path(model, Place("after", edit.after or edit.path), edit.name)
    if isinstance(edit, Group) and edit.name != ANY_NAME:
        return joined(edit.paths[0].rpartition(".")[0], edit.name)
    return ""


def _new_path(model: ModelSpec, place: Place, name: str) -> str:
    is_beside = place.where in ("before", "after")
    parent, _, neighbour = place.path.rpartition(".") if is_beside else (place.path, "", "")
    if name != ANY_NAME:
        return joined(parent, name)
    if is_beside:
        return joined(parent, str(int(neighbour) + (place.where == "after")))
    count = len(layer_at(model, parent).layers)
    return joined(parent, "0" if place.where == "first" else str(count - 1))


def _layer_or_none(model: ModelSpec, path: str) -> LayerSpec | None:
    try:
        return model.layer(path)
    except KeyError:
        return None


def same_layer(model: ModelSpec, path: str, old: LayerSpec | None) -> str:
    """Where a layer went: its arguments are the same object, whatever it is called now. Empty where it is gone."""
    if old is None or not path:
        return path
    here = _layer_or_none(model, path)
    if here is not None and here.args is old.args:
        return path
    same = (found for found, layer in model.walk() if layer.args is old.args and layer.kind == old.kind)
    return next(same, path if here is not None else "")


def file_command(line: str) -> tuple[str, str] | None:
    """(word, file) of a ':' line that is about the file; None for an edit. Raises EditError for too many words."""
    word, _, rest = line.strip().partition(" ")
    if word not in FILE_WORDS:
        return None
    try:
        names = shlex.split(rest)
    except ValueError:
        names = [rest.strip()]
    if len(names) > 1:
        raise EditError(f"{word} takes one file, here are {len(names)}")
    return word, os.path.expanduser(names[0]) if names else ""


def check_line(model: ModelSpec, line: str) -> None:
    """Raise SeqtuiError for a ':' line that cannot be done: the problem of a half-typed one."""
    if not line.strip():
        raise EditError(f"type an edit, or {', '.join(FILE_WORDS)}")
    if file_command(line) is not None:
        return
    edit = parse_edit(line)
    if edit is None:
        raise EditError("a comment does nothing")
    edit.apply(model)
