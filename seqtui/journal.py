"""Edits as they happen, on disk, so that neither a dropped line nor `kill -9` loses one.

Each model file has one journal in the state folder, a line a step: a checksum, a blank, a JSON object. A line is handed
to the system in one call before the next key is handled, after which the death of this process cannot lose it; a thread
forces it to the disk soon after. Lines are only ever added, or cut off at the end: whenever the process dies, what
stands there is a beginning of what was done. A hole never is, so after a write that failed nothing more is written
until the model is saved.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from typing import Self

from seqtui.errors import FileError, FormatError
from seqtui.formats.byte_source import Stamp
from seqtui.records import Found, Head, Record, read_lines, write_line

GATHERED_SECONDS = 0.1
"""How long lines gather until the disk is asked to keep them, once for all."""


class LockedError(FileError):
    """Another process has the same model open, and keeps the journal."""


class Journal:
    """The journal of one model, held by this process alone until it is closed or dies.

    What is pending stays until `restart`, `discard` or `keep` says otherwise. To write while something is pending is to
    have replayed it, onto the file as it was when the journal was opened.
    """

    def __init__(self, path: str, place: str, descriptor: int, head: Head) -> None:
        """Use `open`. Raises OSError."""
        self.place = place
        """Where it lies."""
        self.notice = ""
        """A sentence for people where an earlier process left what cannot be pending; empty otherwise."""
        self._path, self._descriptor, self._head = path, descriptor, head
        self._syncer = _Syncer(descriptor)
        self._load()

    @classmethod
    def open(cls, path: str, stamp: Stamp | None, spec: str = "") -> Self:
        """The journal of the model at `path`, which need not exist.

        `stamp` is that of the file as it was opened; for a model without one it is None, and `spec` what it begins as.
        Raises LockedError where another process has the model open, FileError where no journal can be kept; in both
        cases one can go on without.
        """
        try:
            place = journal_path(path)
            _make_private(os.path.dirname(place))
            descriptor = _open_locked(place, path)
            try:
                return cls(path, place, descriptor, Head(os.path.realpath(path), stamp, spec))
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise _not_kept(path, error) from None
        except ValueError:  # a NUL, or half a character
            raise FileError("no file can have this name", file=path) from None

    def _load(self) -> None:
        """Read it, and cut off what is not sound; what was no torn line is put aside first. Raises OSError."""
        data = self._data()
        try:
            self._found = read_lines(data)
        except FormatError as error:
            self.notice = f"edits of an earlier session {error.message}; they are kept in {self._copy_aside()}"
            self._found = Found()
        if self._found.is_damaged:
            count = len(self._found.records)
            self.notice = f"of an earlier session all after step {count} is damaged; a copy is {self._copy_aside()}"
        self._base = self._found.head
        """What the lines on the disk are relative to; None where there are none."""
        self._depth = sum(record.depth for record in self.pending)
        """How many steps it can undo."""
        self._size = self._found.ends[-1] if self.pending else 0
        self._is_broken = False
        if self._size < len(data):
            os.ftruncate(self._descriptor, self._size)

    def _data(self) -> bytes:
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return file.read()

    # What an earlier process left

    @property
    def pending(self) -> tuple[Record, ...]:
        """What an earlier process did and did not save."""
        return self._found.records

    @property
    def spec(self) -> str:
        """What the model of the pending records began as; empty where it has a file."""
        return self._found.head.spec if self._found.head else ""

    def is_for(self, stamp: Stamp | None) -> bool:
        """Whether records are pending that are relative to the file with this stamp."""
        head = self._found.head
        return head is not None and head.is_about(stamp)

    def keep(self, count: int) -> str:
        """Keep the first `count` pending records, if any; the path of a copy of all, for people. Raises FileError.

        For when the next cannot be replayed, or none is for the file as it is now; before anything is written.
        """
        with self._as_file_errors():
            place = self._copy_aside()
        self._cut(self._found.ends[count - 1] if count else 0)
        return place

    def _copy_aside(self) -> str:
        """The same bytes have the same copy, however often. Raises OSError."""
        data = self._data()
        place = f"{self.place.removesuffix(SUFFIX)}-{zlib.crc32(data):08x}.kept"
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        return place

    # What this process does

    def write(self, record: Record) -> None:
        """Hand a step to the system before returning; a moment later the disk has it.

        Raises FileError once, when steps can no longer be kept. From then on nothing is written until `restart` or
        `discard`: what follows a missing step means something else.
        """
        if self._is_broken:
            return
        if self._syncer.error:
            raise self._broken(self._syncer.error.strerror)
        if self._depth + record.depth < 0:
            raise self._broken("what is undone was done before the last save")
        is_continued = self._base is not None and self._base.is_about(self._head.stamp)
        lines = write_line(record) if is_continued else write_line(self._head) + write_line(record)
        try:
            if os.write(self._descriptor, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line is not read either
                os.ftruncate(self._descriptor, self._size)
            raise self._broken(error.strerror) from None
        self._base = self._base if is_continued else self._head
        self._depth += record.depth
        self._size += len(lines)
        self._syncer.ask()

    def restart(self, stamp: Stamp) -> None:
        """Forget all steps: they are saved, and what follows is relative to the file that was written.

        Should the process die before, they are relative to a file that is no more, which `is_for` tells. Raises
        FileError.
        """
        self._head = Head(self._head.file, stamp)
        self.discard()

    def discard(self) -> None:
        """Forget all steps, those pending too, because the user wants none of them. Raises FileError."""
        self._syncer.error = None
        self._cut(0)

    def close(self) -> None:
        """Force all to the disk and let another process have the journal; one without a step is removed.

        Closing twice is harmless.
        """
        if self._descriptor < 0:
            return
        self._syncer.close()
        if not self._size:
            with contextlib.suppress(OSError):
                os.unlink(self.place)
        os.close(self._descriptor)
        self._descriptor = -1

    def _cut(self, size: int) -> None:
        """One call of the system, before which all steps are there and after which those up to `size`."""
        with self._as_file_errors():
            os.ftruncate(self._descriptor, size)
            self._load()
        self._syncer.ask()

    def _broken(self, reason: str | None) -> FileError:
        self._is_broken = True
        return FileError(
            f"edits are no longer kept for recovery: {reason}", "They are again once it is saved.", self._path
        )

    @contextlib.contextmanager
    def _as_file_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._broken(error.strerror) from None


class _Syncer:
    """Forces a file to the disk soon after it is asked to, in a thread of its own: no key waits for a disk."""

    def __init__(self, descriptor: int) -> None:
        self.error: OSError | None = None
        """The last that went wrong; what was written before it may not be on the disk."""
        self._descriptor = descriptor
        self._asked, self._ends = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        self._asked.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            self._asked.wait()
            self._ends.wait(GATHERED_SECONDS)
            self._asked.clear()  # who closes has said so before: the loop ends then, and nobody waits to be asked again
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.error = error

    def close(self) -> None:
        """Once more, and no more after."""
        if self._thread is not None:
            self._ends.set()
            self._asked.set()
            self._thread.join()
            self._sync()


# Where it lies

SUFFIX = ".jsonl"


def journal_path(path: str) -> str:
    """Where the journal of a model's file lies, by whatever path or link the file is named."""
    from hashlib import sha256  # 2 ms

    from platformdirs import user_state_path

    folder = user_state_path("seqtui", appauthor=False)
    if not folder.is_absolute():
        raise FileNotFoundError(errno.ENOENT, "there is no home folder")
    name = sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return str(folder / "journals" / (name + SUFFIX))


def _make_private(folder: str) -> None:
    """Raises OSError."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if stat.S_IMODE(os.stat(folder).st_mode) != 0o700:
        os.chmod(folder, 0o700)


def _open_locked(place: str, path: str) -> int:
    """The journal's descriptor with a lock on it that death gives back. Raises LockedError, OSError."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        descriptor = os.open(place, flags, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileExistsError(errno.EEXIST, "it is not a file", place)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(status, os.stat(place)):
                    os.fchmod(descriptor, 0o600)
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise LockedError("another seqtui has it open", "Close it there to edit it here.", path) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever held it removed it between opening and locking


def _not_kept(path: str, error: OSError) -> FileError:
    where = f"{error.filename}: " if error.filename else ""
    return FileError(
        f"edits are not kept for recovery: {where}{error.strerror}",
        "Save often, or set XDG_STATE_HOME to a folder that can be written.",
        path,
    )
