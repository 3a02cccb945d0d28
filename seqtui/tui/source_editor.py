"""The model's code in the editor of whoever sits there, and what became of the text as one edit.

The text lies in a file until it was taken back or given up: what somebody typed is never thrown away unasked.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from seqtui.errors import FileError, SeqtuiError, UsageError
from seqtui.formats.source_code import source_code
from seqtui.formats.source_reader import read_source
from seqtui.model.edit import Batch, Edit
from seqtui.model.rewriting import edits_between
from seqtui.model.spec_json import MAX_BYTES
from seqtui.tui.prompts import Choose

if TYPE_CHECKING:
    from textual.app import App

    from seqtui.tui.editor import Editor

FILE_NAME = "model.py"
DEFAULT_EDITOR = "vi"


async def edit_source(editor: Editor) -> None:
    """Open the code, and do what was done to it; what is refused is said, and the model stays as it is."""
    screen = editor.screen
    try:
        if editor.workspace.read_only:
            raise UsageError(f"nothing can be edited: {editor.workspace.read_only}")
        code = source_code(editor.workspace.model)
        path = _written(code)
    except SeqtuiError as error:
        screen.warn(f"{error.line()}. {error.hint}" if error.hint else error.line())
        return
    await _take_back(editor, path, code)


def _written(code: str) -> str:
    """A file with the code that nobody else can read. Raises FileError."""
    try:
        path = os.path.join(tempfile.mkdtemp(prefix="seqtui-"), FILE_NAME)
        with open(path, "w", encoding="utf-8") as file:
            file.write(code)
    except OSError as error:
        raise FileError(f"the code cannot be written into a file for the editor: {error.strerror}") from None
    return path


async def _take_back(editor: Editor, path: str, code: str) -> None:
    """Have the file edited, and ask what becomes of a text that is refused."""
    screen = editor.screen
    try:
        text = _edited(screen.app, path)
        edits = edits_between(editor.workspace.model, read_source(text)) if text != code else []
    except SeqtuiError as error:

        async def answered(choice: str | None) -> None:
            if choice == "e":
                await _take_back(editor, path, code)
            elif choice == "d":
                shutil.rmtree(os.path.dirname(path), ignore_errors=True)
            else:
                screen.tell(f"The text is kept in {path}")

        if not os.path.exists(path):
            screen.warn(f"The code was not taken back: {error.message}.")
            return
        question = f"The code was not taken back: {error.message}.\nThe text is kept in {path}"
        await screen.app.push_screen(Choose(question, {"e": "edit again", "d": "discard the text"}), answered)
        return
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    if not edits:
        screen.tell("Nothing changed." if text == code else "The text changed, the model did not.")
        return
    edit: Edit = edits[0] if len(edits) == 1 else Batch(tuple(edits))
    if editor.do(lambda _: edit):
        first, *more = str(edit).splitlines()
        screen.tell(f"{first}{f' and {len(more)} more, which u undoes as one' if more else ''}")


def _edited(app: App[object], path: str) -> str:
    """What stands in the file once the editor has ended. Raises UsageError where it did not end well.

    As with git, $VISUAL or $EDITOR is a command line, and an editor that leaves with an error (`:cq`) takes its word
    back. `os.system` keeps from this process the interrupts that are meant for the editor.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or DEFAULT_EDITOR
    try:
        with app.suspend(), _stopping_with_the_editor():
            status = os.system(f"{command} {shlex.quote(path)}")  # noqa: S605  the user's own command line
    except SuspendNotSupported:
        raise UsageError("there is no terminal here that an editor could have") from None
    if code := os.waitstatus_to_exitcode(status):
        raise UsageError(f"the editor ({command}) ended with code {code}")
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise FileError(f"the file cannot be read again: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("this is no text in UTF-8") from None


@contextmanager
def _stopping_with_the_editor() -> Iterator[None]:
    """ctrl+z in the editor stops all that stands before it; here it would wait for the loop, and the shell for us."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, handler)  # until the driver, which comes back next, tells the loop anew
