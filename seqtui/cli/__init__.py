"""argv -> one verb -> exit code. stdout is data, stderr is words; a failure is one line, and at most one hint.

A verb imports the room that it needs inside its own function, so that `--version` and `--help` load none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from seqtui.errors import SeqtuiError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; nothing is raised."""
    try:
        from seqtui.cli.parser import parse

        options = parse(sys.argv[1:] if argv is None else argv)
        code: int = import_module(f"seqtui.cli.{options.verb}").run(options)
        sys.stdout.flush()
    except SeqtuiError as error:
        return _refuse(error)
    except SystemExit as leaving:  # argparse, after --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last edge: our own fault, kept in a file instead of a traceback
        return _report(error)
    return code


def _refuse(error: SeqtuiError) -> int:
    from seqtui.safe_text import safe_text

    sys.stderr.write(f"seqtui: {error.line()}\n")
    if error.hint:
        sys.stderr.write(f"hint: {safe_text(error.hint)}\n")
    return error.exit_code


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
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="report-", suffix=".txt", delete=False) as file:
            file.write(text)
        where = f"the report is {file.name}"
    except OSError:
        where = text
    sys.stderr.write(f"seqtui: our own fault, {safe_text(repr(error))}; {where}\n")
    return 70
