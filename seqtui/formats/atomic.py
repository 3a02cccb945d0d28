"""How every file is written: whole or absent, at whatever moment the process, the disk or the power fails.

The bytes go to a hidden file beside the target, are forced to the disk, and take the target's place in one rename. What
the target was is kept: mode, owner, extended attributes, and the symbolic link that leads to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Literal

from seqtui.errors import FileChangedError, FileError
from seqtui.formats.byte_source import FileRange, Stamp, stamp_from, stamp_of

Bytes = bytes | bytearray | memoryview
Chunk = Bytes | FileRange
"""One-dimensional bytes as they are written, or where they lie."""

Expected = Stamp | Literal["absent", "anything"]
"""What must stand at the target for it to be replaced: the very file that was opened, nothing, or whatever is there."""


def write_atomically(path: str, chunks: Iterable[Chunk], size: int, expected: Expected = "anything") -> Stamp:
    """Replace `path` by `size` bytes and return its new stamp.

    Whatever `chunks` raises passes through and leaves the target as it was. Raises FileError when the target is not a
    regular file, is read-only or is not what was `expected`, when the folder cannot be written, and when the disk is
    full; ValueError when the chunks do not add up to `size`.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    with _as_file_errors(path, size, folder):
        old = _replaceable(path, target, expected)
        descriptor, temporary = _create_beside(target, is_new=old is None)
        try:
            _allocate(descriptor, size)
            _write(descriptor, chunks, size)
            if old is not None:
                _keep_attributes(descriptor, target, old)
            os.fsync(descriptor)
            stamp = stamp_from(os.fstat(descriptor))
            _check_expected(path, target, expected)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            with contextlib.suppress(OSError):  # its bytes are on the disk, or not wanted
                os.close(descriptor)
    _sync_folder(folder)
    return stamp


def require_replaceable(path: str, expected: Expected = "anything") -> None:
    """Raises the FileError that `write_atomically` would begin with, before anything dear is made to be written."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileError(f"there is no folder {os.path.dirname(path)}", "Make it first, or save elsewhere.", path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError("you have no permission to write in its folder", "Save in another folder.", path)
    with _as_file_errors(path, 0, folder):
        _replaceable(path, target, expected)


@contextlib.contextmanager
def scratch_folder(path: str) -> Iterator[str]:
    """A hidden folder beside the file that is to be written, where there must be room anyway, while the context lasts.

    Raises FileError. That it cannot be removed again spoils nothing.
    """
    import shutil  # these two cost 3 ms, and whoever only reads a file makes no folder
    import tempfile

    folder = os.path.dirname(os.path.realpath(path))
    with _as_file_errors(path, 0, folder):
        made = tempfile.mkdtemp(prefix=".seqtui-", dir=folder)
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(made)


@contextlib.contextmanager
def _as_file_errors(path: str, size: int, folder: str) -> Iterator[None]:
    """What the system says, in a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FileError(
                f"the disk is full: {size:,} bytes are needed and {_free_bytes(folder):,} are free",
                "Free some space, or save to another disk.",
                path,
            ) from None
        reason = error.strerror or str(error)
        raise FileError(
            f"it cannot be written: {reason}", "Save under another name or in another folder.", path
        ) from None


def _free_bytes(folder: str) -> int:
    """Bytes that this user may still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _replaceable(path: str, target: str, expected: Expected) -> os.stat_result | None:
    """The file that will be replaced, None where there is none. Raises FileError where it must not be."""
    _check_expected(path, target, expected)
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        raise FileError("it is not a regular file", "Save under another name.", path)
    # The superuser may write anything; a file without any write permission is still meant to stay as it is.
    if not old.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        raise FileError("it is read-only", "Save under another name, or `chmod u+w` it.", path)
    return old


def _check_expected(path: str, target: str, expected: Expected) -> None:
    if expected == "anything":
        return
    now = stamp_of(target)
    if now != (None if expected == "absent" else expected):
        what = "it exists already" if expected == "absent" else "somebody changed it since it was opened"
        raise FileChangedError(what, "Save under another name, or open it again.", path)


def _create_beside(target: str, *, is_new: bool) -> tuple[int, str]:
    """A new hidden file in the target's folder: (descriptor, path).

    A file that is new gets the mode that the umask gives; one that replaces another is private until it has its mode.
    """
    temporary = os.path.join(os.path.dirname(target), f".seqtui-{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(temporary, flags, 0o666 if is_new else 0o600), temporary


def _allocate(descriptor: int, size: int) -> None:
    """Claim the space, so that a full disk is known now and not half way. Raises OSError where it is full.

    It is asked first, because some systems fill it to the brim before they say so. Not every one can claim.
    """
    disk = os.fstatvfs(descriptor)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if not hasattr(os, "posix_fallocate") or not size:
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _write(descriptor: int, chunks: Iterable[Chunk], size: int) -> None:
    written = 0
    for chunk in chunks:
        written += len(chunk)
        if written > size:
            break
        if isinstance(chunk, FileRange):
            chunk.source.copy_to(descriptor, chunk.offset, chunk.size)
            continue
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view) :]
    if written != size:
        raise ValueError(f"{written} bytes came where {size} were announced")


def _keep_attributes(descriptor: int, target: str, old: os.stat_result) -> None:
    """Owner, mode and extended attributes of the file that is replaced, as far as this user may set them.

    The mode comes after the owner, because changing the owner clears the set-user-id bit.
    """
    with contextlib.suppress(OSError):
        os.fchown(descriptor, -1, old.st_gid)
        os.fchown(descriptor, old.st_uid, -1)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(target):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(target, name))


def _sync_folder(folder: str) -> None:
    """Force the rename to the disk. It is made by now: that a folder may not be read, or synced, is no failure."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
