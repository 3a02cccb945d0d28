"""Commands run in this process: the code that each leaves with, and how what cannot be done is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from seqtui.cli import main


def command(*arguments: str | Path, code: int = 0) -> None:
    """One command, which must leave with `code`."""
    assert main([*map(str, arguments)]) == code


Refused = Callable[[Sequence[str | Path], int, str], None]
"""`require_refused`, as the fixture `refused` lends it: of arguments, an exit code and words."""


def require_refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str | Path], code: int, words: str) -> None:
    """The command prints nothing but a line of its own with these words, and a hint at most.

    What lies in the working folder stays as it is.
    """
    before = contents()
    command(*arguments, code=code)
    printed = capsys.readouterr()
    assert printed.out == ""
    require_sentence(printed.err, words)
    assert contents() == before


def require_sentence(printed: str, words: str) -> None:
    """What is on stderr is our own line with these words, and a hint at most."""
    first, *rest = printed.splitlines()
    assert first.startswith("seqtui: ")
    assert words in first
    assert not rest or (len(rest) == 1 and rest[0].startswith("hint: "))


def contents() -> Mapping[str, bytes]:
    """The files of the working folder."""
    return {path.name: path.read_bytes() for path in Path().iterdir()}
