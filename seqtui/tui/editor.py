"""Editor: what the editing keys and the ':' line do. The screen owns one, and hears from it what to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from seqtui.errors import EditError
from seqtui.model.content_edits import Input
from seqtui.model.edit import Edit
from seqtui.model.edits import Batch
from seqtui.model.inputs import parse_input
from seqtui.model.structure_edits import Rename
from seqtui.safe_text import safe_text
from seqtui.tui.commands import COMMANDS, Selection, Yanked, again, put_by
from seqtui.tui.landing import layer_or_none, made_by, same_layer
from seqtui.tui.prompts import Ask
from seqtui.tui.saver import Saver

if TYPE_CHECKING:
    from textual.screen import Screen

    from seqtui.tui.actions import Deeds
    from seqtui.tui.model_screen import ModelScreen
    from seqtui.workspace import Workspace


class Editor:
    """Edits of the model on a screen, and what they need to remember: what was yanked, and what was done last."""

    def __init__(self, screen: ModelScreen) -> None:
        self.screen = screen
        self.workspace: Workspace = screen.workspace
        self.yanked = Yanked()
        self.last: Edit | Callable[[Selection], Edit] | None = None
        """The last edit, or the command that made it: `.` does it again elsewhere."""
        self.lines: list[str] = []
        """What was typed at ':', the last one last."""
        self.saver: Saver = Saver(self)

    @property
    def chosen(self) -> Selection:
        """What the next edit is about."""
        table = self.screen.table
        return Selection(
            self.workspace.model, table.row, table.marked(), self.yanked, table.branches.is_open(table.row)
        )

    # Edits

    def command(self, name: str) -> None:
        """Do what a key means for what is selected."""
        chosen = self.chosen
        if not self.do(COMMANDS[name]):
            return
        self.last = COMMANDS[name]
        if path := put_by(name, chosen, self.workspace.model):
            self.screen.show_model(path)
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
        old = layer_or_none(self.workspace.model, row.path)
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
        self.screen.tell_trouble()

    def yank(self, is_cut: bool) -> None:
        """Remember layers for pasting."""
        try:
            paths = self.chosen.paths
        except EditError as error:
            self.screen.warn(error.words())
            return
        self.yanked = Yanked(paths, is_cut, self.workspace.model)
        what = paths[0] if len(paths) == 1 else f"{len(paths)} layers"
        them = "it" if len(paths) == 1 else "them"
        self.screen.tell(f"{what} cut: p moves {them} here" if is_cut else f"{what} yanked: p pastes a copy of {them}")
        self.screen.table.clear_marks()

    # Questions

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
        from seqtui.tui.picker import Picker, offer_at

        view = self.workspace.view
        await self._ask(lambda: Picker(view, offer_at(view, self.chosen.place(where))))

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
        """The ':' line: an edit, or a word about files."""
        from seqtui.tui.command_line import CommandLine, run_line

        async def answered(line: str | None) -> None:
            if line is not None:
                self.lines = [*(earlier for earlier in self.lines if earlier != line), line]
                await run_line(self, line)

        await self.screen.app.push_screen(CommandLine(self.workspace, self.lines), answered)

    async def ask_input(self) -> None:
        """What a new model is fed, as an edit."""

        def answered(answer: str | None) -> None:
            if answer is not None:
                given = parse_input(answer)
                self.do(lambda _: Input(given.shape, given.dtype))

        question = "input shape of the new model "
        await self.screen.app.push_screen(Ask(question, "1,3,32,32", parse_input, is_proposal=True), answered)


def _commanded(name: str) -> Callable[[ModelScreen], None]:
    return lambda screen: screen.editor.command(name)


DEEDS: Deeds = {
    **{name: _commanded(name) for name in COMMANDS},
    "add": lambda screen: screen.editor.ask_kind("after"),
    "insert": lambda screen: screen.editor.ask_kind("before"),
    "replace": lambda screen: screen.editor.ask_other_kind(),
    "edit": lambda screen: screen.editor.ask_arguments(),
    "edit.source": lambda screen: screen.editor.edit_source(),
    "rename": lambda screen: screen.editor.ask_name(),
    "yank": lambda screen: screen.editor.yank(is_cut=False),
    "cut": lambda screen: screen.editor.yank(is_cut=True),
    "repeat": lambda screen: screen.editor.repeat(),
    "undo": lambda screen: screen.editor.step(screen.editor.workspace.undo, "undone"),
    "redo": lambda screen: screen.editor.step(screen.editor.workspace.redo, "done again"),
    "command": lambda screen: screen.editor.ask_line(),
    "save": lambda screen: screen.editor.saver.ask(),
}
