"""What the terminal's clipboard is sent, by OSC 52: names, and the command that opens the same view again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from seqtui.model.inputs import input_text
from seqtui.view import Mode, View

if TYPE_CHECKING:
    from seqtui.tui.actions import Deeds
    from seqtui.tui.model_screen import ModelScreen


def command_for(view: View, path: str) -> str:
    """The command line that opens a view with the cursor on a layer or a tensor."""
    command = ["seqtui", "open", view.opened.path]
    if view.model.inputs != view.opened.model.inputs:
        command += ["--input", input_text(view.model.inputs[0])]
    if view.mode.device != Mode().device:
        command += ["--device", view.mode.device]
    if path:
        command += ["--select", path]
    return shlex.join(command)


def copy(screen: ModelScreen, text: str) -> None:
    """Send a text, and say so."""
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file that is bytes and no text
        screen.warn("This name is no Unicode text; no clipboard takes it.")
        return
    screen.app.copy_to_clipboard(text)
    screen.tell(f"Sent to the terminal's clipboard: {text}")


def copy_name(screen: ModelScreen) -> None:
    """Send the name of what is under the cursor."""
    if path := screen.table.row.path:
        copy(screen, path)
    else:
        screen.warn("The model itself has no name; move to a layer or a tensor.")


def copy_command(screen: ModelScreen) -> None:
    """Send the command that opens the view again, with the cursor where it is."""
    if screen.workspace.opened.path:
        copy(screen, command_for(screen.workspace.view, screen.table.row.path))
    else:
        screen.warn("This model has no file yet that could be opened again; :w FILE saves it.")


DEEDS: Deeds = {"copy.name": copy_name, "copy.command": copy_command}
