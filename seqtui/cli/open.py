"""`seqtui open`: the screens; the summary as text where there is no screen."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

from seqtui.cli.output import is_terminal
from seqtui.errors import UsageError
from seqtui.formats import open_model
from seqtui.model.inputs import parse_input
from seqtui.rows import has_path
from seqtui.view import Mode, View
from seqtui.workspace import Workspace


def run(options: SimpleNamespace) -> int:
    """Take the screen once the file is known to be good; give the exit code that the app leaves with."""
    if not has_screen():
        return _as_text(options)
    workspace = Workspace(open_model(options.model))
    if options.input:
        workspace.set_input(parse_input(options.input, workspace.model))
    workspace.set_mode(Mode(options.device))
    if options.read_only:
        workspace.read_only = "it was opened with --read-only"
    return show(workspace, options, path_in(workspace.view, options.select) if options.select else "")


def has_screen() -> bool:
    """Whether there is a terminal to draw on and to read keys from."""
    return is_terminal() and sys.stdin.isatty() and sys.stderr.isatty()  # Textual draws on stderr


def show(workspace: Workspace, options: SimpleNamespace, select: str = "") -> int:
    """Run the screens on a model, which is closed then; the exit code that the app leaves with.

    The first frame is there before Textual is, whose import takes longer than all that is before it: unless the cursor
    starts elsewhere or the colours are others, when it comes from Textual.
    """
    if getattr(options, "no_color", False):
        os.environ["NO_COLOR"] = "1"  # Textual reads it when it starts

    from seqtui.tui.branches import Branches
    from seqtui.tui.first_frame import first_frame
    from seqtui.tui.terminal import Terminal

    branches, terminal = Branches(workspace.view.model), Terminal()
    frame = "" if select or options.theme else first_frame(workspace.view, branches, os.environ)
    try:
        if frame:
            terminal.take(frame)
        spare_tls()
        from seqtui.tui.app import SeqtuiApp

        app = SeqtuiApp(workspace, select, options.theme, branches, terminal)
        code = app.run(mouse=not options.no_mouse)
    finally:
        terminal.give_back()
    app.workspace.close()  # another one, where another file was opened
    if app.failure is not None:
        raise app.failure
    return code if code is not None else app.return_code or 0


def spare_tls() -> None:
    """Import asyncio as it is where Python has no OpenSSL: 5 ms and 4 MB for connections that nothing here makes.

    Whoever needs `ssl` itself imports it as ever.
    """
    if "asyncio" not in sys.modules and "ssl" not in sys.modules:
        sys.modules["ssl"] = None  # type: ignore[assignment]  # what says to `import` that there is no such module
        import asyncio  # noqa: F401 - imported to be there

        del sys.modules["ssl"]


def path_in(view: View, name: str) -> str:
    """The path in the model of what is called that there or, its wrapper included, in the file. Raises UsageError."""
    found = next((path for path in (name, name.removeprefix(view.opened.prefix)) if has_path(view.model, path)), None)
    if found is None:
        raise UsageError(
            f"no layer or tensor is called {name}",
            hint=f"seqtui weights {view.opened.path} lists the tensors, seqtui summary the layers.",
            file=view.opened.path,
        )
    return found


def _as_text(options: SimpleNamespace) -> int:
    """What `summary` prints, and one line of advice; 0, since nothing was asked about shapes that fit."""
    from seqtui.cli import summary

    summary.run(SimpleNamespace(**{**vars(options), "depth": None, "json": False, "style": "table"}))
    sys.stderr.write("seqtui: no screen to open here; run it in a terminal, or use seqtui summary\n")
    return 0
