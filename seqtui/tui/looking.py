"""What a model is looked at with, and which: another input, its file as it is now, or another file in its place.

None of it is an edit, and none of it waits for what edits need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqtui.errors import SeqtuiError
from seqtui.formats import open_model
from seqtui.model.inputs import input_text, parse_input
from seqtui.tui.prompts import Ask
from seqtui.tui.workers import begin
from seqtui.workspace import Workspace

if TYPE_CHECKING:
    from seqtui.model.spec import InputSpec
    from seqtui.tui.actions import Deeds
    from seqtui.tui.model_screen import ModelScreen


async def ask_input(screen: ModelScreen) -> None:
    """Ask for another input shape, of the model's own type where none is named, and look at the model with it."""
    model = screen.workspace.view.model
    if not model.is_sequential:
        screen.warn("Shapes follow from layers in order; this file holds tensors only.")
        return

    def fed(answer: str) -> InputSpec:
        return parse_input(answer, model)

    def answered(answer: str | None) -> None:
        if answer is not None:
            screen.workspace.set_input(fed(answer))
            screen.show_model()

    old = input_text(model.inputs[0]) if model.inputs else ""
    await screen.app.push_screen(Ask("input shape ", old, fed), answered)


def look_at(screen: ModelScreen, path: str) -> None:
    """Open another file in place of the model; without a path, the model's own again."""
    if not path:
        reload(screen)
    elif screen.workspace.is_changed:
        screen.warn("There are edits that are not saved. Save them with :w, or undo them with u.")
    else:
        try:
            opened = open_model(path)
        except SeqtuiError as error:
            screen.warn(error.line())
        else:
            screen.post_message(screen.Opened(Workspace(opened)))


def reload(screen: ModelScreen) -> None:
    """Read the model's file anew, and draw the whole screen again."""
    try:
        screen.workspace.reload()
    except SeqtuiError as error:
        screen.warn(error.line())
        return
    screen.show_model()
    screen.refresh(layout=True)
    screen.tell(f"{screen.workspace.view.opened.path} read again.")
    begin(screen, screen.start_journal)


DEEDS: Deeds = {"input": ask_input, "reload": reload}
