"""The ':' line: an edit, or a word about files. It is completed, checked before enter, and remembered.

Tab takes a proposal over, and again the next one; up and down go through the lines of before.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual import events
from textual.content import Content

from seqtui.errors import EditError, FileError, SeqtuiError
from seqtui.formats.atomic import require_replaceable
from seqtui.model.edit import changed
from seqtui.model.edits import parse_edit
from seqtui.model.problems import concrete, in_turn
from seqtui.recipes import read_recipe, write_recipe
from seqtui.safe_text import safe_text
from seqtui.tui.completion import LineSuggester, last_part
from seqtui.tui.looking import look_at
from seqtui.tui.prompts import Ask, Line
from seqtui.tui.saver import target_note
from seqtui.words import plural

if TYPE_CHECKING:
    from seqtui.tui.editor import Editor
    from seqtui.workspace import Workspace


class CommandLine(Ask):
    """A line about a model; None when it is cancelled."""

    def __init__(self, workspace: Workspace, earlier: Sequence[str]) -> None:
        """`earlier` are the lines of before, the last one last."""
        super().__init__(":", "", lambda line: check_line(workspace, line), lambda line: note_of(workspace, line))
        self.suggester = LineSuggester(workspace.model, FILE_WORDS, FILES_FOLLOW)
        self.earlier = earlier

    def line(self) -> Line:
        return LineInput(self.suggester, self.earlier)

    def remark_shown(self, text: str) -> Content:
        """The proposals while tab goes through them, and what is wrong with the line."""
        proposals = self.query_one(LineInput).proposals_shown(self.size.width - 2)
        remark = super().remark_shown(text)
        return Content("\n").join([proposals, remark]) if proposals else remark


class LineInput(Line):
    """What is typed into, with proposals to go on with and the lines of before."""

    def __init__(self, suggester: LineSuggester, earlier: Sequence[str]) -> None:
        super().__init__(compact=True, select_on_focus=False, suggester=suggester)
        self.line_suggester = suggester
        self.lines = [*earlier, ""]
        """The last one is the new line, as it was when the lines of before were looked at."""
        self.place = len(earlier)
        """Which of the lines is shown."""
        self.proposals: Sequence[str] = ()
        """Whole lines that tab goes through."""
        self.at = 0

    async def _on_key(self, event: events.Key) -> None:
        """In the order in which keys come: a letter after a tab goes on with what tab has put there."""
        move = _MOVES.get(event.key)
        if move is None:
            self.proposals = ()
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        move(self)

    def complete(self, step: int) -> None:
        """Take the first proposal over, or the next one."""
        if len(self.proposals) < 2:  # one that was taken over may go on: what is in the folder
            self.proposals, self.at = self.line_suggester.proposals(self.value), 0
        else:
            self.at = (self.at + step) % len(self.proposals)
        if self.proposals:
            self._put(self.proposals[self.at])

    def recall(self, step: int) -> None:
        """Another line of before, or the new one again."""
        place = self.place + step
        if 0 <= place < len(self.lines):
            if self.place == len(self.lines) - 1:
                self.lines[-1] = self.value
            self.place, self.proposals = place, ()
            self._put(self.lines[place])

    def _put(self, line: str) -> None:
        self.value = line
        self.cursor_position = len(line)

    def proposals_shown(self, width: int) -> Content:
        """The last words of several proposals, from one on with which the chosen one is in sight."""
        if len(self.proposals) < 2:
            return Content("")
        words = [Content(safe_text(last_part(line))) for line in self.proposals]
        words[self.at] = words[self.at].stylize("bold reverse")
        first = self.at
        room = width - 1 - words[first].cell_length  # the ellipsis takes one
        while first and (room := room - words[first - 1].cell_length - 2) >= 0:
            first -= 1
        return Content("  ").join(words[first:]).truncate(width, ellipsis=True)


_MOVES: dict[str, Callable[[LineInput], None]] = {
    "tab": lambda line: line.complete(1),
    "shift+tab": lambda line: line.complete(-1),
    "up": lambda line: line.recall(-1),
    "down": lambda line: line.recall(1),
}


def check_line(workspace: Workspace, line: str) -> None:
    """Raise SeqtuiError for a ':' line that cannot be done: the problem of a half-typed one."""
    if not line.strip():
        raise EditError(f"type an edit, or {', '.join(FILE_WORDS)}")
    if file_command(line) is not None:
        note_of(workspace, line)
        return
    edit = parse_edit(line)
    if edit is None:
        raise EditError("a comment does nothing")
    edit = concrete(edit, workspace.view.model, workspace.view.inference)
    changed(edit, workspace.model, edit.apply(workspace.model))


def note_of(workspace: Workspace, line: str) -> str:
    """What is to be known of a line about files before it is done. Raises SeqtuiError where it cannot be."""
    command = file_command(line)
    return FILE_WORDS[command[0]].check(workspace, command[1]) if command else ""


async def run_line(editor: Editor, line: str) -> None:
    """Do what a line says that was checked."""
    if command := file_command(line):
        word, file = command
        await FILE_WORDS[word].do(editor, file)
        return
    edit = parse_edit(line)
    assert edit is not None  # the question takes no empty line
    editor.do(lambda _: edit)


def file_command(line: str) -> tuple[str, str] | None:
    """(word, file) of a ':' line that is about files; None for an edit. Raises EditError for too many words."""
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


# The words about files


class FileWord(NamedTuple):
    """A word about files."""

    check: Callable[[Workspace, str], str]
    """What is to be known before it is done; raises SeqtuiError where it cannot be."""
    do: Callable[[Editor, str], Awaitable[None]]
    takes_file: bool = True


def _check_target(workspace: Workspace, path: str) -> str:
    if not path and not workspace.opened.path:
        return ""  # enter asks for a name
    return target_note(workspace, path or workspace.opened.path)


def _check_alone(workspace: Workspace, path: str) -> str:
    if path:
        raise EditError("to quit takes no file", hint="w FILE saves one.")
    return ""


def _check_other(workspace: Workspace, path: str) -> str:
    if workspace.is_changed:
        raise EditError("there are edits that are not saved", hint="w saves them; u undoes them.")
    if path:
        _require_file(path)
    return ""


def _check_recipe(workspace: Workspace, path: str) -> str:
    if not path:
        raise EditError("recipe needs a file: recipe FILE")
    if not workspace.history.done:
        raise EditError("nothing was done yet that could be written as a recipe")
    require_replaceable(path, "absent")
    return ""


def _check_replay(workspace: Workspace, path: str) -> str:
    if not path:
        raise EditError("replay needs a file: replay FILE")
    workspace.require_editable()
    _require_file(path)
    if not os.path.isfile(path):
        raise FileError("that is no file")
    return ""


def _require_file(path: str) -> None:
    """Raises FileError where there is nothing to be read."""
    if not os.path.exists(path):
        raise FileError("there is no such file")
    if not os.access(path, os.R_OK):
        raise FileError("you have no permission to read it")


async def _quit(editor: Editor, _: str) -> None:
    await editor.screen.app.run_action("quit_now")


async def _quit_without_saving(editor: Editor, _: str) -> None:
    editor.workspace.forget()
    editor.screen.app.exit()


async def _open(editor: Editor, path: str) -> None:
    look_at(editor.screen, path)


async def _write_recipe(editor: Editor, path: str) -> None:
    """What was done, as a recipe."""
    try:
        count = write_recipe(editor.workspace.history, path)
    except SeqtuiError as error:
        editor.screen.warn(error.words())
    else:
        editor.screen.tell(f"{plural(count, 'step')} written to {path}.")


async def _replay(editor: Editor, path: str) -> None:
    """What a recipe says, as one step."""
    try:
        edits = read_recipe(path)
        if not edits:
            raise EditError("the recipe holds no edit", file=path)
    except SeqtuiError as error:
        editor.screen.warn(error.words())
        return
    lines = [(f"{path}: line {number}: {edit}: ", edit) for number, edit in edits]
    editor.do(lambda _: in_turn(lines, editor.workspace.view.model))


FILE_WORDS: dict[str, FileWord] = {
    "w": FileWord(_check_target, lambda editor, path: editor.saver.ask(path)),
    "q": FileWord(_check_alone, _quit, takes_file=False),
    "wq": FileWord(_check_target, lambda editor, path: editor.saver.ask(path, and_quit=True)),
    "q!": FileWord(_check_alone, _quit_without_saving, takes_file=False),
    "e": FileWord(_check_other, _open),
    "recipe": FileWord(_check_recipe, _write_recipe),
    "replay": FileWord(_check_replay, _replay),
}
"""Words of the ':' line that are about files, as in vi where it has them; all others begin an edit."""

FILES_FOLLOW = [word for word, what in FILE_WORDS.items() if what.takes_file]
