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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from seqtui.errors import FileError, FormatError, SeqtuiError
from seqtui.formats import MODEL_SUFFIX
from seqtui.formats.byte_source import Stamp
from seqtui.journal_paths import SUFFIX, journal_path, make_journal_folder, unnamed_journal_path, unnamed_journal_paths
from seqtui.records import Depth, Found, Head, Record, Verb, read_lines, recipe, write_line
from seqtui.words import bytes_words

if TYPE_CHECKING:  # nothing is kept beside most journals
    from seqtui.formats.safetensors import TensorData
    from seqtui.formats.tensor_source import TensorSource

GATHERED_SECONDS = 0.1
"""How long lines gather until the disk is asked to keep them, once for all."""
LARGEST_KEPT = 1 << 30
"""Bytes of numbers that lie beside a journal at most: the state folder is in a home, where room is rare."""


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
    def open(cls, path: str, stamp: Stamp | None, spec: str = "", name: str = "") -> Self:
        """The journal of the model at `path`, which need not exist.

        `stamp` is that of the file as it was opened; for a model without one it is None, and `spec` what it begins as.
        A model without a path, known by its `name` alone, has a journal that nobody else has. Raises LockedError where
        another process has the model open, FileError where no journal can be kept; in both cases one can go on without.
        """
        try:
            make_journal_folder()
            place, descriptor = _open_named(path) if path else _open_unnamed()
            return cls._at(path, place, descriptor, Head(os.path.realpath(path) if path else name, stamp, spec))
        except OSError as error:
            raise _not_kept(path, error) from None
        except ValueError:  # a NUL, or half a character
            raise FileError("no file can have this name", file=path) from None

    @classmethod
    def left(cls) -> list[Self]:
        """The journals of models without a path whose sessions ended before the model had one, the latest first.

        They are held by this process until they are closed. One of which nothing is pending has a notice that says why.
        Raises OSError.
        """
        journals: list[Self] = []
        for place in unnamed_journal_paths():
            with contextlib.suppress(FileError, OSError):  # somebody else has it open, or it is none of ours
                journal = cls._at("", place, _open_locked(place, ""), Head("", None))
                if journal.pending or journal.notice:
                    journals.append(journal)
                else:
                    journal.close()
        return journals

    @classmethod
    def _at(cls, path: str, place: str, descriptor: int, head: Head) -> Self:
        try:
            return cls(path, place, descriptor, head)
        except BaseException:
            os.close(descriptor)
            raise

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
        self._depth = Depth()
        for record in self.pending:
            self._depth = self._depth.after(record.verb)
        self._size = self._found.ends[-1] if self.pending else 0
        self.is_broken = False
        """Whether a step is missing, so that nothing is written."""
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
    def head(self) -> Head | None:
        """What these steps are relative to; None where there are none."""
        return self._found.head

    def is_for(self, stamp: Stamp | None) -> bool:
        """Whether records are pending that are relative to the file with this stamp."""
        return self.head is not None and self.head.is_about(stamp)

    def keep(self, count: int) -> str:
        """Keep the first `count` pending records, if any; the path of a recipe of all. Raises FileError.

        For when the next cannot be replayed, or none is for the file as it is now; before anything is written.
        """
        with self._as_file_errors():
            place = self._put_aside(recipe(self.pending).encode("utf-8", "backslashreplace"), "recipe")
        self._cut(self._found.ends[count - 1] if count else 0)
        return place

    def _copy_aside(self) -> str:
        return self._put_aside(self._data(), "kept")

    def _put_aside(self, data: bytes, suffix: str) -> str:
        """The same bytes have the same copy, however often. Raises OSError."""
        place = f"{self._stem}-{zlib.crc32(data):08x}.{suffix}"
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        return place

    # What this process does

    def leads_to(self, verb: Verb) -> bool:
        """Whether the records lead to such a step. To what was done before the last save they do not."""
        return min(self._depth.after(verb)) >= 0

    def write(self, record: Record) -> None:
        """Hand a step that the records lead to to the system before returning; a moment later the disk has it.

        Raises FileError once, when steps can no longer be kept. From then on nothing is written until `restart` or
        `discard`: what follows a missing step means something else.
        """
        if self.is_broken:
            return
        if self._syncer.error:
            raise self._broken(self._syncer.error.strerror)
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
        self._depth = self._depth.after(record.verb)
        self._size += len(lines)
        self._syncer.ask()

    def keep_numbers(self, tensors: Sequence[TensorData]) -> str:
        """Copy what a step refers to into a file beside the journal, which lies there as long as the steps do.

        Its name without the folder. Raises FileError, as `write` does, where there is no room.
        """
        from seqtui.formats.safetensors import write_safetensors

        size = sum(tensor.info.nbytes for tensor in tensors)
        if size + sum(map(os.path.getsize, self._kept_files())) > LARGEST_KEPT:
            raise self._broken(
                f"the undone step needs {bytes_words(size)} that the saved file no longer has, which is too much"
            )
        place = f"{self._stem}-{os.urandom(4).hex()}{MODEL_SUFFIX}"
        try:
            write_safetensors(place, tensors, expected="absent")
        except SeqtuiError as error:
            raise self._broken(error.message) from None
        return os.path.basename(place)

    def open_kept(self) -> dict[str, TensorSource]:
        """The files with numbers that its pending steps refer to, open, by their names; those that can be read."""
        from seqtui.formats.safetensors import SafetensorsFile

        sources: dict[str, TensorSource] = {}
        for place in self._kept_files():
            with contextlib.suppress(SeqtuiError):  # whatever needs one of these numbers will miss it
                sources[os.path.basename(place)] = SafetensorsFile.open(place, os.path.basename(place))
        return sources

    def _kept_files(self) -> list[str]:
        from glob import escape, glob

        return glob(f"{escape(self._stem)}-*{MODEL_SUFFIX}")

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
            for place in () if size else self._kept_files():
                os.unlink(place)
        self._syncer.ask()

    @property
    def _stem(self) -> str:
        """With which all begins that lies beside it."""
        return self.place.removesuffix(SUFFIX)

    def _broken(self, reason: str | None) -> FileError:
        self.is_broken = True
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


# Opening


def _open_named(path: str) -> tuple[str, int]:
    """The journal of a file and its descriptor, as `_open_locked` opens it."""
    place = journal_path(path)
    return place, _open_locked(place, path)


def _open_unnamed() -> tuple[str, int]:
    """A journal that nobody else has, and its descriptor. Raises OSError."""
    while True:
        place = unnamed_journal_path()
        with contextlib.suppress(LockedError):  # by who looks for what was left, and looked before it was locked
            return place, _open_locked(place, "")


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
