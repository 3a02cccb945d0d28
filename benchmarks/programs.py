"""The programs that are measured, as commands. A peer is looked for beside the running Python, then on the PATH."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

Command = tuple[str, ...]

_LEFT_OUT = ("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "PYTHON", "TEXTUAL")
"""How the names begin of variables that change what is measured; one of Python's forbids to keep what was compiled."""

HELLO: Command = (sys.executable, str(Path(__file__).with_name("hello.py")))


def program(name: str, *arguments: str | Path) -> Command:
    """An installed program with its arguments; empty where it is not installed."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return (found, *map(str, arguments)) if found else ()


def seqtui(*arguments: str | Path) -> Command:
    """The `seqtui` command as it is installed; a measurement without it would measure nothing."""
    command = program("seqtui", *arguments)
    assert command, "seqtui is not installed: pip install -e ."
    return command


@cache
def _state_folder() -> str:
    """Where edits are kept: what another session left of a model must not be asked about here. Gone at the end."""
    folder = TemporaryDirectory(prefix="seqtui-benchmarks-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder.name


def environment() -> dict[str, str]:
    """What all sides are started with: this process's own, but for the variables that would change the race."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    return {**kept, "TERM": "xterm-256color", "XDG_STATE_HOME": _state_folder()}


def recorded(log: Path, *arguments: str | Path) -> Command:
    """seqtui, writing down what it imports."""
    return (sys.executable, str(Path(__file__).with_name("imports.py")), str(log), *map(str, arguments))


def imported(log: Path) -> set[str]:
    """The outermost packages that a recorded program has asked for."""
    return {line.partition(".")[0] for line in log.read_text(encoding="utf-8").splitlines()}
