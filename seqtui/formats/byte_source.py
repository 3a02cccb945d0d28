"""Bytes that can be read in part, wherever they lie, and the one kind of source there is so far: a file on disk.

Nothing here maps a file into memory: when a mapped file shrinks, the process dies of SIGBUS; a read gives an error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import NamedTuple, Protocol

from seqtui.errors import FileError, FormatError


class Stamp(NamedTuple):
    """What tells that somebody replaced or changed a file."""

    device: int
    inode: int
    size: int
    modified_ns: int


class ByteSource(Protocol):
    """Numbered bytes. Reading is safe from several threads at once."""

    @property
    def name(self) -> str:
        """The file or address, as messages name it."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def stamp(self) -> Stamp | None:
        """The file as it was when it was opened; None where there is no such thing."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the whole byte buffer from `offset` on. Raises FormatError where the bytes end, FileError where reading
        fails."""

    def close(self) -> None: ...


COPY_BYTES = 1 << 20
"""How much is held at once while a file is copied through memory."""

_NOT_OPENED = {
    errno.ENOENT: ("there is no such file", "Check the name and the folder."),
    errno.ENOTDIR: ("there is no such file: a part of its path is not a folder", "Check the name and the folder."),
    errno.EACCES: ("you have no permission to read it", "Ask its owner, or copy a version that you may read."),
    errno.EPERM: ("you have no permission to read it", "Ask its owner, or copy a version that you may read."),
    errno.ELOOP: ("its symbolic links lead in a circle", "Remove the link and name the file itself."),
    errno.ENAMETOOLONG: ("there is no such file: the name is too long", "Check the name."),
    errno.ENXIO: ("it is a socket or a device, not a file", "Name a file of tensors."),
    errno.ENODEV: ("it is a device, not a file", "Name a file of tensors."),
}
"""What the system says to opening -> what is wrong, what to do."""

_NOT_REGULAR = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class _Descriptor:
    """An open file's number, given back when nobody uses it any more.

    A number that is closed while a thread reads from it may be another file's by then.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        with contextlib.suppress(OSError):  # nothing was written that could be lost
            os.close(self.number)


class FileSource:
    """A regular file, read by position: no shared cursor, no mapping."""

    def __init__(self, path: str) -> None:
        """Open without waiting: a pipe without a writer would never answer. Raises FileError."""
        self.name = path
        try:
            descriptor = _Descriptor(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
            status = os.fstat(descriptor.number)
        except OSError as error:
            message, hint = _NOT_OPENED.get(error.errno or 0, (f"it cannot be opened: {error.strerror}", ""))
            raise FileError(message, hint, path) from None
        except ValueError:  # a NUL, or half a character
            raise FileError("there is no such file: no file can have this name", file=path) from None
        if not stat.S_ISREG(status.st_mode):
            what = next((what for is_it, what in _NOT_REGULAR if is_it(status.st_mode)), "something else")
            raise FileError(f"it is {what}, not a file", "Name a file of tensors.", path)
        self._descriptor: _Descriptor | None = descriptor
        self.size = status.st_size
        self.stamp = stamp_from(status)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            raise FileError("it was closed while it was still read", "Open it again.", self.name)
        filled = 0
        while filled < buffer.nbytes:
            try:
                count = os.preadv(descriptor.number, [buffer[filled:]], offset + filled)
            except OSError as error:
                raise FileError(f"reading it failed: {error.strerror}", "Check the disk.", self.name) from None
            if count == 0:
                raise FormatError(
                    f"the file ends at byte {offset + filled:,} while bytes up to {offset + buffer.nbytes:,} are read",
                    "It was cut off or is being written: copy it again.",
                    self.name,
                )
            filled += count

    @property
    def open_path(self) -> str:
        """Where another process reaches this very file, even once another has its name; empty where it cannot."""
        number = self._descriptor.number if self._descriptor else -1
        path = f"/proc/{os.getpid()}/fd/{number}"
        return path if os.path.exists(path) else ""

    def require_unchanged(self) -> None:
        """Raises FormatError where somebody wrote into the file itself; one that was replaced is still as it was."""
        if self._descriptor is not None and stamp_from(os.fstat(self._descriptor.number)) != self.stamp:
            message = "somebody wrote into it since it was opened, so its numbers are no longer those that it had"
            raise FormatError(message, "Open it again; `recipe FILE` keeps the edits.", self.name)

    def copy_to(self, target: int, offset: int, size: int) -> None:
        """Append bytes from `offset` on to an open file, by its number: inside the system where it can.

        Raises OSError where writing fails, and what `read_into` raises.
        """
        copied = 0
        if hasattr(os, "copy_file_range") and self._descriptor is not None:
            with contextlib.suppress(OSError):  # across disks, and on some of them, only reading and writing works
                while copied < size:
                    count = os.copy_file_range(self._descriptor.number, target, size - copied, offset + copied)
                    if not count:
                        break
                    copied += count
        buffer = memoryview(bytearray(min(COPY_BYTES, size - copied)))
        while copied < size:
            piece = buffer[: size - copied]
            self.read_into(offset + copied, piece)
            copied += len(piece)
            while piece:
                piece = piece[os.write(target, piece) :]

    def close(self) -> None:
        """Reads under way end well, later ones raise FileError. Closing twice is harmless."""
        self._descriptor = None


class FileRange:
    """Bytes of an open file, to be written elsewhere without being held."""

    __slots__ = ("offset", "size", "source")

    def __init__(self, source: FileSource, offset: int, size: int) -> None:
        self.source = source
        self.offset = offset
        self.size = size

    def __len__(self) -> int:
        return self.size


def stamp_from(status: os.stat_result) -> Stamp:
    """The stamp in what `os.stat` gave."""
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def stamp_of(path: str) -> Stamp | None:
    """The file as it is now, through symbolic links; None where there is none. Raises FileError when nobody can say."""
    try:
        return stamp_from(os.stat(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"it cannot be reached: {error.strerror}", file=path) from None
