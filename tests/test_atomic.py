"""How files are written: whole or absent, whatever happens, and as what the target was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqtui.errors import FileError, FormatError
from seqtui.formats.atomic import write_atomically
from seqtui.formats.byte_source import stamp_of

OLD, NEW = b"old" * 1000, b"new!" * 1000

KILLED = """
import os, signal, sys
from seqtui.formats.atomic import write_atomically

path, function, last_call = sys.argv[1], sys.argv[2], int(sys.argv[3])
real, calls = getattr(os, function), 0

def kill_at_last_call(*args, **options):
    global calls
    calls += 1
    if calls == last_call:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

setattr(os, function, kill_at_last_call)
write_atomically(path, (b"new!" * 250 for _ in range(4)), 4000)
"""
"""A process that is killed as it calls a function of the system for the n-th time."""

KILLED_BETWEEN_CHUNKS = """
import os, signal, sys
from seqtui.formats.atomic import write_atomically

def chunks():
    yield b"new!" * 250
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(sys.argv[1], chunks(), 4000)
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(OLD)
    return path


def write(path: Path, chunks: Iterator[bytes] | None = None) -> None:
    write_atomically(str(path), chunks or iter([NEW[:1000], NEW[1000:]]), len(NEW))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("function", "call", "content"),
    [
        ("posix_fallocate", 1, OLD),
        ("write", 1, OLD),
        ("write", 3, OLD),
        ("fchmod", 1, OLD),
        ("fsync", 1, OLD),
        ("replace", 1, OLD),
        ("fsync", 2, NEW),
    ],
)
def test_a_killed_save_leaves_the_old_file_or_the_new_one(
    target: Path, function: str, call: int, content: bytes
) -> None:
    child = subprocess.run([sys.executable, "-c", KILLED, str(target), function, str(call)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert target.read_bytes() == content


def test_a_save_that_is_killed_half_way_through_its_bytes_leaves_the_old_file(target: Path) -> None:
    child = subprocess.run([sys.executable, "-c", KILLED_BETWEEN_CHUNKS, str(target)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert target.read_bytes() == OLD


def test_a_killed_first_save_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    target = tmp_path / "new"
    child = subprocess.run([sys.executable, "-c", KILLED, str(target), "replace", "1"], check=False)
    assert child.returncode == -signal.SIGKILL
    assert not target.exists()


def test_the_whole_file_is_there_afterwards_and_nothing_beside_it(target: Path) -> None:
    write(target)
    assert target.read_bytes() == NEW
    assert names_in(target.parent) == [target.name]


@pytest.mark.parametrize("error", [FormatError("a source was cut off"), KeyboardInterrupt()])
def test_what_the_chunks_raise_passes_through_and_changes_nothing(target: Path, error: BaseException) -> None:
    def chunks() -> Iterator[bytes]:
        yield NEW[:1000]
        raise error

    with pytest.raises(type(error)):
        write(target, chunks())
    assert target.read_bytes() == OLD
    assert names_in(target.parent) == [target.name]


@pytest.mark.parametrize("content", [NEW[:-1], NEW + b"x", b""])
def test_bytes_that_do_not_add_up_are_not_written(target: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="bytes came where 4000 were announced"):
        write(target, iter([content]))
    assert target.read_bytes() == OLD
    assert names_in(target.parent) == [target.name]


def test_an_empty_file_can_be_written(tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "empty"), [], 0)
    assert (tmp_path / "empty").read_bytes() == b""


# What the target was


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o4755])
def test_the_mode_is_kept(target: Path, mode: int) -> None:
    target.chmod(mode)
    write(target)
    assert target.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_the_owner_is_kept(target: Path) -> None:
    os.chown(target, 1234, 2345)
    write(target)
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 2345)


def test_extended_attributes_are_kept(target: Path) -> None:
    try:
        os.setxattr(target, "user.origin", b"a hub")
    except OSError:
        pytest.skip("this disk has no extended attributes")
    write(target)
    assert os.getxattr(target, "user.origin") == b"a hub"


def test_a_symbolic_link_stays_and_its_file_is_replaced(target: Path) -> None:
    link = target.parent / "elsewhere" / "latest"
    link.parent.mkdir()
    link.symlink_to(f"../{target.name}")
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert names_in(link.parent) == ["latest"]


def test_a_link_to_nothing_makes_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link")
    assert (tmp_path / "real").read_bytes() == NEW


# Refusals


def test_a_read_only_file_is_refused(target: Path) -> None:
    target.chmod(0o444)
    with pytest.raises(FileError, match="read-only"):
        write(target)
    assert target.read_bytes() == OLD


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file or directory") as caught:
        write(tmp_path / "nowhere" / "model")
    assert caught.value.line().startswith(str(tmp_path / "nowhere" / "model"))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    for name, words in (("pipe", "not a regular file"), ("folder", "not a regular file"), ("circle", "cannot be")):
        with pytest.raises(FileError, match=words):
            write(tmp_path / name)
    assert names_in(tmp_path) == ["circle", "folder", "pipe"]


def test_a_file_that_somebody_changed_is_refused(target: Path) -> None:
    opened = stamp_of(str(target))
    assert opened is not None
    write_atomically(str(target), [NEW], len(NEW), opened)  # still as it was
    with pytest.raises(FileError, match="somebody changed it"):
        write_atomically(str(target), [OLD], len(OLD), opened)
    assert target.read_bytes() == NEW


def test_a_file_that_is_changed_during_the_save_is_refused(target: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield NEW[:1000]
        target.write_bytes(b"theirs")
        yield NEW[1000:]

    opened = stamp_of(str(target))
    assert opened is not None
    with pytest.raises(FileError, match="somebody changed it"):
        write_atomically(str(target), chunks(), len(NEW), opened)
    assert target.read_bytes() == b"theirs"
    assert names_in(target.parent) == [target.name]


def test_a_file_that_was_removed_counts_as_changed(target: Path) -> None:
    opened = stamp_of(str(target))
    assert opened is not None
    target.unlink()
    with pytest.raises(FileError, match="somebody changed it"):
        write_atomically(str(target), [NEW], len(NEW), opened)


def test_a_new_file_does_not_replace_one_when_asked_not_to(target: Path) -> None:
    write_atomically(str(target.parent / "other"), [NEW], len(NEW), "absent")
    with pytest.raises(FileError, match="exists already"):
        write_atomically(str(target), [NEW], len(NEW), "absent")
    assert target.read_bytes() == OLD


def test_the_stamp_that_comes_back_is_that_of_the_new_file(target: Path) -> None:
    stamp = write_atomically(str(target), [NEW], len(NEW))
    assert stamp == stamp_of(str(target))
    write_atomically(str(target), [OLD], len(OLD), stamp)
    assert target.read_bytes() == OLD


def test_a_full_disk_is_told_with_both_figures(target: Path) -> None:
    with pytest.raises(FileError, match=r"the disk is full: \d+(,\d+)+ bytes are needed and [\d,]+ are free"):
        write_atomically(str(target), [], 1 << 60)
    assert target.read_bytes() == OLD
    assert names_in(target.parent) == [target.name]


def test_a_disk_that_fills_up_half_way_leaves_the_old_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(FileError, match="the disk is full: 4,000 bytes are needed"):
        write(target)
    assert target.read_bytes() == OLD
    assert names_in(target.parent) == [target.name]


def test_a_disk_that_cannot_allocate_is_written_all_the_same(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    write(target)
    assert target.read_bytes() == NEW
