"""A whole save that can be stopped at each call that it makes of the system; run as a program it dies at each in turn.

The model was edited so that the save does all that one can do: ranges are copied under new names, blocks are kept of
tensors that were resized, new ones come from torch's file, and the metadata changes.

python interrupted_save.py SOURCE ANSWER FOLDER (replace | create)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import BuiltinFunctionType
from typing import Literal

from seqtui.engine.door import Engine, Told
from seqtui.engine.requests import Initialise, Request
from seqtui.formats import open_model
from seqtui.formats.atomic import Expected
from seqtui.formats.byte_source import stamp_of
from seqtui.model.edits import Batch, parse_edits
from seqtui.saving import Target, save_model

EDITS = (
    "rename fc1 first",
    "insert norm BatchNorm2d num_features=6 after conv1",
    "set fc2 out_features=90",
    "fix",
    "meta author me",
)
HARMLESS = ("fspath", "getpid", "urandom")
"""Functions of `os` that touch no file."""

Case = Literal["replace", "create"]
"""Onto the file that was opened, which has changed by nobody else's hand, or where there is none yet."""


class Echo(Engine):
    """An engine that gives one answer, the file that torch wrote when it was asked the same."""

    def __init__(self, answer: Path) -> None:
        super().__init__()
        self.answer = answer.read_bytes()

    def ask(self, request: Request, told: Told | None = None) -> object:
        assert isinstance(request, Initialise)
        Path(request.path).write_bytes(self.answer)
        return None


class Save:
    """One save of an edited model, to be made again and again."""

    def __init__(self, source: Path, engine: Engine, folder: Path, case: Case) -> None:
        self.opened = open_model(str(source))
        self.model = Batch(tuple(parse_edits(EDITS))).apply(self.opened.model)
        self.engine = engine
        self.old = source.read_bytes() if case == "replace" else None
        """What stands there before; None where there is no file."""
        self.folder, self.scratch = folder / "models", folder / "scratch"
        self.target = self.folder / "net.safetensors"
        tempfile.tempdir = str(self.scratch)

    def begin_anew(self) -> None:
        """The target as it was, and nothing else in its folder and in that of temporary files."""
        for folder in (self.folder, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if self.old is not None:
            self.target.write_bytes(self.old)

    def run(self) -> None:
        expected: Expected = stamp_of(str(self.target)) or "absent"
        save_model(self.model, self.opened.sources, Target(str(self.target), self.engine, expected))

    def content(self) -> bytes | None:
        """What stands there now."""
        return self.target.read_bytes() if self.target.exists() else None

    def strays(self) -> list[str]:
        """What lies about beside the target."""
        names = (*os.listdir(self.folder), *os.listdir(self.scratch))
        return sorted(name for name in names if name != self.target.name)


@contextmanager
def calls_watched(at: Callable[[int, str], object]) -> Iterator[list[str]]:
    """Tell `at` the number and the name of every call of the system before it is made; the names of those so far.

    What `at` raises the call fails with. A file that fails to close is closed all the same, as Linux does.
    """
    calls: list[str] = []
    functions = {
        name: function
        for name, function in vars(os).items()
        if isinstance(function, BuiltinFunctionType) and name not in HARMLESS
    }

    def watching(name: str) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            calls.append(name)
            try:
                at(len(calls) - 1, name)
            except OSError:
                if name == "close":
                    functions[name](*arguments, **options)
                raise
            return functions[name](*arguments, **options)

        return call

    vars(os).update({name: watching(name) for name in functions})
    try:
        yield calls
    finally:
        vars(os).update(functions)


def calls_of(save: Save) -> list[str]:
    """The names of all calls of the system that a save makes when nothing happens to it."""
    save.begin_anew()
    with calls_watched(lambda number, name: None) as calls:
        save.run()
    return calls


def killed_at(save: Save, number: int) -> bool:
    """Make the save in a process that is killed as it makes a call; whether it was."""

    def kill(now: int, name: str) -> None:
        if now == number:
            os.kill(os.getpid(), signal.SIGKILL)

    save.begin_anew()
    child = os.fork()
    if not child:
        with calls_watched(kill):
            save.run()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def main(source: str, answer: str, folder: str, case: Case) -> None:
    """Print what stands at the target after a kill at each call, as JSON: [call, `old`, `new`, or `neither`]."""
    save = Save(Path(source), Echo(Path(answer)), Path(folder), case)
    calls = calls_of(save)
    states = {save.old: "old", save.content(): "new"}
    found: list[tuple[str, str]] = []
    for number, call in enumerate(calls):
        was_killed = killed_at(save, number)
        found.append((call, states.get(save.content(), "neither") if was_killed else "not killed"))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]  # the case is the test's
