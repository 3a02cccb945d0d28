"""Runs seqtui's screens and writes down how long their event loop stood still, each time that it did.

python benchmarks/watched.py LOG MODEL [LAYER OR TENSOR]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from seqtui.formats import open_model
from seqtui.tui import app
from seqtui.workspace import Workspace

NAP = 0.001
"""Seconds after which the watcher asks to be called: by what it is called later, the loop stood still."""


class Watched(app.SeqtuiApp):
    """The program with a watcher in its loop."""

    CSS_PATH = str(Path(app.__file__).with_name("seqtui.tcss"))

    def __init__(self, workspace: Workspace, select: str, write: Callable[[str], object]) -> None:
        super().__init__(workspace, select)
        self.write = write

    def on_ready(self) -> None:
        self._watch(perf_counter())

    def _watch(self, due: float) -> None:
        """Write down how late the loop came; a task that sleeps is woken two rounds later."""
        now = perf_counter()
        self.write(f"{now - due}\n")
        asyncio.get_running_loop().call_later(NAP, self._watch, now + NAP)


def main(log: str, model: str, select: str = "") -> None:
    """Run until the terminal goes away."""
    workspace = Workspace(open_model(model))
    with open(log, "w", buffering=1, encoding="utf-8") as file:
        watched = Watched(workspace, select, file.write)
        watched.run()
    workspace.close()
    if watched.failure is not None:
        raise watched.failure


if __name__ == "__main__":
    main(*sys.argv[1:])
