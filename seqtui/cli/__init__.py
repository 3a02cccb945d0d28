"""argv -> one verb -> exit code. stdout is data, stderr is words; a failure is one line, and at most one hint.

A verb imports the room that it needs inside its own function, so that `--version` and `--help` load none.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import TextIO

from seqtui.errors import FileError, SeqtuiError

OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing to stdout fails with when there is no room for it, or nobody there any more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; nothing is raised."""
    _open_streams()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except SeqtuiError as error:
        return _refuse(error)
    except BrokenPipeError:  # whoever read has seen enough
        _drop(sys.stdout)
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last edge: our own fault, kept in a file instead of a traceback
        if not isinstance(error, OSError) or error.errno not in OUTPUT_ERRORS:
            return _report(error)
        _drop(sys.stdout)
        return _refuse(FileError(f"the output cannot be written: {error.strerror}"))
    return code


def _run(argv: Sequence[str]) -> int:
    options = only_a_model(argv)
    if options is None:
        from seqtui.cli.parser import parse

        try:
            options = parse(argv)
        except SystemExit as leaving:  # argparse, after --help and --version
            return leaving.code if isinstance(leaving.code, int) else 0
    code: int = import_module(f"seqtui.cli.{options.verb}").run(options)
    return code


ALONE: Mapping[str, Mapping[str, object]] = {
    "open": {"input": None, "select": "", "device": "cpu", "theme": "", "no_mouse": False, "read_only": False},
    "summary": {"input": None, "depth": None, "style": "table", "json": False},
}
"""The options of a verb of which nothing is typed but the model."""


def only_a_model(argv: Sequence[str]) -> SimpleNamespace | None:
    """The options of `seqtui open MODEL`, `seqtui MODEL.SUFFIX` and `seqtui summary MODEL`, None of any other command.

    Nobody who types no more than that need wait for argparse, 8 ms. A word without a dot may be a verb.
    """
    match argv:
        case [verb, model] if verb in ALONE and not model.startswith("-"):
            return SimpleNamespace(verb=verb, model=model, **ALONE[verb])
        case [model] if "." in model and not model.startswith("-"):
            return SimpleNamespace(verb="open", model=model, **ALONE["open"])
    return None


def _open_streams() -> None:
    """Give the program streams where whoever started it closed them (`>&-`), and Python has None."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - they live as long as the program


def _drop(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, or Python would fail of it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _refuse(error: SeqtuiError) -> int:
    from seqtui.safe_text import safe_text

    _say(f"seqtui: {error.line()}\n")
    if error.hint:
        _say(f"hint: {safe_text(error.hint)}\n")
    return error.exit_code


def _say(words: str) -> None:
    """To whoever still listens: the exit code tells the rest."""
    try:
        sys.stderr.write(words)
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def _report(error: Exception) -> int:
    """Write what happened into a file of the state folder and name it. Exit code 70 is sysexits' EX_SOFTWARE."""
    import tempfile
    import traceback

    from seqtui.safe_text import safe_text

    text = "".join(traceback.format_exception(error))
    try:
        from platformdirs import user_state_path

        folder = user_state_path("seqtui", appauthor=False)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=folder, prefix="report-", suffix=".txt", delete=False) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        where = f"the report is {file.name}"
    except OSError:
        where = "\n".join(safe_text(line) for line in ("the report:", *text.splitlines()))
    _say(f"seqtui: our own fault, {safe_text(repr(error))}; {where}\n")
    return 70
