"""Where journals lie: in one private folder, one for each path, and one for each session without a path."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

SUFFIX = ".jsonl"
UNNAMED = "new-"
"""With which the journals of models without a path begin."""


def journal_path(path: str) -> str:
    """The journal of a model's file, by whatever path or link the file is named. Raises OSError, as all here do."""
    from hashlib import sha256  # 2 ms

    return os.path.join(_folder(), sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32] + SUFFIX)


def unnamed_journal_path() -> str:
    """A journal that nobody has had, for a model without a path."""
    return os.path.join(_folder(), f"{UNNAMED}{os.urandom(8).hex()}{SUFFIX}")


def unnamed_journal_paths() -> list[str]:
    """Every journal of a model without a path, the one last written first."""
    from glob import escape, glob

    paths = glob(os.path.join(escape(_folder()), f"{UNNAMED}*{SUFFIX}"))
    return sorted(paths, key=_modified_ns, reverse=True)


def make_journal_folder() -> None:
    """Have the folder, closed to everybody else."""
    folder = _folder()
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if stat.S_IMODE(os.stat(folder).st_mode) != 0o700:
        os.chmod(folder, 0o700)


def _folder() -> str:
    from platformdirs import user_state_path

    folder = user_state_path("seqtui", appauthor=False)
    if not folder.is_absolute():
        raise FileNotFoundError(errno.ENOENT, "there is no home folder")
    return str(folder / "journals")


def _modified_ns(path: str) -> int:
    """When a file was last written; 0 where it has gone meanwhile."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
