"""The journal: what was written is there, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import environment

from seqtui.errors import FileError
from seqtui.formats.byte_source import Stamp, stamp_of
from seqtui.formats.safetensors import TensorData
from seqtui.journal import Journal, LockedError
from seqtui.journal_paths import journal_path
from seqtui.model.tensors import TensorInfo
from seqtui.records import UNDO, Record

STEPS = [Record("do", ("remove fc1",)), Record("do", ("rename a b", "drop c")), UNDO, Record("redo", ("rename a b",))]
"""What is written where it does not matter what."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A file that edits are about."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"weights")
    return str(path)


def opened(path: str) -> Journal:
    return Journal.open(path, stamp_of(path))


def left(path: str, steps: list[Record] = STEPS) -> Path:
    """The journal that a process left with some steps."""
    journal = opened(path)
    for step in steps:
        journal.write(step)
    journal.close()
    return Path(journal.place)


def pending(path: str) -> list[Record]:
    with contextlib.closing(opened(path)) as journal:
        return list(journal.pending)


# On disk


def test_every_step_is_a_line_in_the_file_before_the_next(model: str) -> None:
    journal = opened(model)
    place = Path(journal.place)
    assert place.read_bytes() == b""
    for count, step in enumerate(STEPS, 1):
        journal.write(step)
        assert place.read_bytes().count(b"\n") == count + 1
    documents = []
    for line in place.read_text().splitlines():
        checksum, _, body = line.partition(" ")
        assert int(checksum, 16) == zlib.crc32(body.encode())
        documents.append(json.loads(body))
    stamp = stamp_of(model)
    assert stamp
    assert documents == [
        {"seqtui": 1, "file": os.path.realpath(model), "stamp": list(stamp), "spec": ""},
        {"do": ["remove fc1"]},
        {"do": ["rename a b", "drop c"]},
        {"undo": 1},
        {"redo": ["rename a b"]},
    ]
    journal.close()


def test_nobody_else_can_read_it(model: str, state: Path) -> None:
    old_mask = os.umask(0o277)
    try:
        place = left(model)
    finally:
        os.umask(old_mask)
    assert place.parent == state / "seqtui" / "journals"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_a_folder_that_others_can_read_is_closed_to_them(model: str) -> None:
    folder = left(model).parent
    folder.chmod(0o755)
    left(model)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_was_left_is_pending_and_goes_on(model: str) -> None:
    left(model)
    assert pending(model) == STEPS
    left(model, STEPS)
    assert pending(model) == STEPS + STEPS


def test_names_of_any_kind_come_back(model: str) -> None:
    steps = [
        Record("do", (text, text * 2))
        for text in ("rename 'a b' \"c'd\"", "a\nb", "\r\u2028\x85\0", "卷积层 👩‍👩‍👧", "\ud800", '"}\n00000000 {', "")
    ]
    left(model, steps)
    assert pending(model) == steps


def test_a_model_of_any_name_has_one(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff \n\"'.safetensors")
    left(path)
    assert pending(path) == STEPS


def test_without_a_step_nothing_stays(model: str) -> None:
    assert not left(model, []).exists()


def test_two_models_have_two(model: str, tmp_path: Path) -> None:
    left(model)
    assert pending(str(tmp_path / "other.safetensors")) == []


def test_closing_twice_is_harmless(model: str) -> None:
    journal = opened(model)
    journal.write(STEPS[0])
    journal.close()
    with contextlib.closing(opened(model)):
        journal.close()
        with pytest.raises(LockedError):
            opened(model)


def test_the_disk_is_asked_to_keep_it_without_a_further_step(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = threading.Event(), os.fsync
    sizes = []

    def fsync(descriptor: int) -> None:
        real(descriptor)
        sizes.append(os.fstat(descriptor).st_size)
        asked.set()

    monkeypatch.setattr(os, "fsync", fsync)
    with contextlib.closing(opened(model)) as journal:
        for step in STEPS:
            asked.clear()
            journal.write(step)
            assert asked.wait(20)
            assert sizes[-1] == Path(journal.place).stat().st_size


# What it is about


def test_pending_steps_are_for_the_file_that_was_edited(model: str) -> None:
    left(model)
    stamp = stamp_of(model)
    assert stamp
    with contextlib.closing(opened(model)) as journal:
        assert journal.is_for(stamp)
        assert journal.is_for(stamp._replace(device=stamp.device + 1))
        for field in ("inode", "size", "modified_ns"):
            assert not journal.is_for(stamp._replace(**{field: 12345}))
        assert not journal.is_for(None)


def test_where_nothing_is_pending_it_is_for_no_file(model: str) -> None:
    with contextlib.closing(opened(model)) as journal:
        assert not journal.is_for(stamp_of(model))


def test_a_model_without_a_file_keeps_what_it_began_as(tmp_path: Path) -> None:
    path = str(tmp_path / "new.safetensors")
    with contextlib.closing(Journal.open(path, None, '{"seqtui":1}')) as journal:
        journal.write(STEPS[0])
    with contextlib.closing(Journal.open(path, None, "another")) as journal:
        assert journal.is_for(None)
        assert journal.head
        assert journal.head.spec == '{"seqtui":1}'
        journal.write(STEPS[1])
    with contextlib.closing(Journal.open(path, None)) as journal:
        assert journal.head
        assert journal.head.spec == '{"seqtui":1}'
        assert list(journal.pending) == STEPS[:2]
    Path(path).write_bytes(b"now there is one")
    with contextlib.closing(opened(path)) as journal:
        assert not journal.is_for(stamp_of(path))
        assert len(journal.pending) == 2


def test_after_a_save_it_is_about_the_new_file(model: str) -> None:
    journal = opened(model)
    journal.write(STEPS[0])
    Path(model).write_bytes(b"saved weights")
    stamp = stamp_of(model)
    assert stamp
    journal.restart(stamp)
    assert Path(journal.place).read_bytes() == b""
    journal.write(STEPS[1])
    journal.close()
    with contextlib.closing(opened(model)) as journal:
        assert list(journal.pending) == STEPS[1:2]
        assert journal.is_for(stamp)


def test_saved_and_closed_nothing_stays(model: str) -> None:
    journal = opened(model)
    journal.write(STEPS[0])
    journal.restart(Stamp(1, 2, 3, 4))
    journal.close()
    assert not Path(journal.place).exists()


def test_discarded_nothing_is_pending(model: str) -> None:
    left(model)
    with contextlib.closing(opened(model)) as journal:
        journal.discard()
        assert journal.pending == ()
        journal.write(STEPS[1])
    assert pending(model) == STEPS[1:2]


def test_steps_replayed_onto_a_file_that_changed_are_about_that_file(model: str) -> None:
    place = left(model, STEPS[:2])
    length = place.stat().st_size
    Path(model).write_bytes(b"changed by somebody")
    left(model, STEPS[2:3])
    whole = place.read_bytes()
    with contextlib.closing(opened(model)) as journal:
        assert list(journal.pending) == STEPS[:3]
        assert journal.is_for(stamp_of(model))
    for size in range(length, len(whole)):  # a head without its step counts for nothing
        place.write_bytes(whole[:size])
        with contextlib.closing(opened(model)) as journal:
            assert list(journal.pending) == STEPS[:2]
            assert not journal.is_for(stamp_of(model))
            journal.write(STEPS[2])
        assert place.read_bytes() == whole


def test_what_cannot_be_replayed_is_cut_off_and_becomes_a_recipe(model: str) -> None:
    place = left(model)
    with contextlib.closing(opened(model)) as journal:
        copy = Path(journal.keep(2))
        assert list(journal.pending) == STEPS[:2]
        journal.write(STEPS[2])
    assert copy.read_text() == "remove fc1\n# rename a b\n# drop c\n# undone: rename a b; drop c\nrename a b\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert pending(model) == STEPS[:3]
    with contextlib.closing(opened(model)) as journal:
        journal.keep(0)
        assert journal.pending == ()
    assert pending(model) == []
    assert len(list(place.parent.iterdir())) == 2


# Damage


def test_cut_off_at_any_byte_all_whole_lines_are_pending_and_it_goes_on(model: str) -> None:
    place = left(model)
    whole = place.read_bytes()
    for size in range(len(whole)):
        place.write_bytes(whole[:size])
        count = max(whole[:size].count(b"\n") - 1, 0)
        with contextlib.closing(opened(model)) as journal:
            assert list(journal.pending) == STEPS[:count]
            assert journal.notice == ""
            for step in STEPS[count:]:
                journal.write(step)
        assert place.read_bytes() == whole
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("bit", [0, 5, 7])
def test_a_flipped_bit_is_found_wherever_it_is(model: str, bit: int) -> None:
    place = left(model)
    whole = place.read_bytes()
    for byte in range(len(whole)):
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << bit
        place.write_bytes(damaged)
        count = max(whole[:byte].count(b"\n") - 1, 0)
        with contextlib.closing(opened(model)) as journal:
            assert list(journal.pending) == STEPS[:count]
            if byte < len(whole) - 1:  # without its last line break it is as if it was cut off there
                assert f"after step {count} is damaged" in journal.notice
                copy = Path(journal.notice.rpartition(" ")[2])
                assert copy.read_bytes() == damaged
                copy.unlink()


def test_zeros_that_a_disk_left_at_the_end_are_no_step(model: str) -> None:
    place = left(model)
    place.write_bytes(place.read_bytes() + bytes(4096))
    assert pending(model) == STEPS


def line(document: object) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


HEAD = {"seqtui": 1, "file": "/net", "stamp": [1, 2, 3, 4], "spec": ""}
UNKNOWN = {
    "newer": line({**HEAD, "seqtui": 2}) + line({"do": ["remove a"]}),
    "newer_otherwise": line({"seqtui": 2, "path": "/net"}),
    "later_head_newer": line(HEAD) + line({"do": ["remove a"]}) + line({**HEAD, "seqtui": 2}),
    "no_head": line({"do": ["remove a"]}),
    "stamp_short": line({**HEAD, "stamp": [1, 2, 3]}),
    "stamp_text": line({**HEAD, "stamp": "now"}),
    "stamp_float": line({**HEAD, "stamp": [1, 2, 3, 4.5]}),
    "no_spec": line({"seqtui": 1, "file": "/net", "stamp": None}),
    "verb": line(HEAD) + line({"jump": ["remove a"]}),
    "two_verbs": line(HEAD) + line({"do": ["remove a"], "undo": 1}),
    "more": line(HEAD) + line({"do": ["remove a"], "only_if": "b"}),
    "text": line(HEAD) + line({"do": "remove a"}),
    "number": line(HEAD) + line({"do": [1]}),
    "undo_two": line(HEAD) + line({"undo": 2}),
    "list": line(HEAD) + line([]),
    "null": line(HEAD) + line(None),
    "empty": line(HEAD) + line(b""),
    "no_json": line(HEAD) + line(b"remove a"),
    "no_text": line(HEAD) + line(b'{"do":["\xff"]}'),
    "deep": line(HEAD) + line(b"[" * 100_000),
    "long_number": line(HEAD) + line(b"9" * 5000),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_sound_and_not_known_is_refused_and_kept(name: str, model: str) -> None:
    place = left(model)
    place.write_bytes(UNKNOWN[name])
    with contextlib.closing(opened(model)) as journal:
        assert journal.pending == ()
        assert ("version 2" if "newer" in name else "") in journal.notice
        assert Path(journal.notice.rpartition(" ")[2]).read_bytes() == UNKNOWN[name]
        journal.write(STEPS[0])
    assert pending(model) == STEPS[:1]


# Death

WRITER = """
import os, sys
from seqtui.formats.byte_source import stamp_of
from seqtui.journal import Journal
from seqtui.records import Record

journal = Journal.open(sys.argv[1], stamp_of(sys.argv[1]))
for number in range(100_000):
    journal.write(Record("do", (f"rename layer{number} {'x' * (number % 5000)}",)))
    os.write(1, b"%d\\n" % number)
"""
"""A process that says of each step that it is written."""

HOLDER = """
import sys
from seqtui.journal import Journal
journal = Journal.open(sys.argv[1], None)
print("held", flush=True)
sys.stdin.read()
"""

KILLED = """
import os, signal, sys
from seqtui.formats.byte_source import stamp_of
from seqtui.journal import Journal
from seqtui.records import Record

path, last_call = sys.argv[1], int(sys.argv[2])
calls = 0

def fatal(real):
    def call(*args, **options):
        global calls
        calls += 1
        if calls == last_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call

journal = Journal.open(path, stamp_of(path))
with open(path, "w") as file:
    file.write("saved weights")
for name in ("ftruncate", "write", "fsync", "close", "unlink"):
    setattr(os, name, fatal(getattr(os, name)))
journal.restart(stamp_of(path))
journal.write(Record("do", ("remove new",)))
journal.close()
print("done")
"""
"""A process that is killed at the n-th call of the system after a save."""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(XDG_STATE_HOME=os.environ["XDG_STATE_HOME"]),
    )


@pytest.mark.parametrize("count", [1, 20, 700])
def test_killed_while_it_writes_every_step_it_told_of_is_there(model: str, count: int) -> None:
    with child(WRITER, model) as writer:
        assert writer.stdout
        told = [writer.stdout.readline() for _ in range(count)]
        writer.kill()
        told += writer.stdout.readlines()
    last = int(told[-1])
    texts = [f"rename layer{number} {'x' * (number % 5000)}" for number in range(last + 2)]
    steps = [Record("do", (text,)) for text in texts]
    assert pending(model) in (steps[:-1], steps)


def test_killed_around_a_save_all_steps_are_there_or_none(model: str) -> None:
    seen, is_done, call = set(), False, 0
    while not is_done:
        call += 1
        Path(model).write_bytes(b"weights")
        place = left(model)
        with child(KILLED, model, str(call)) as process:
            is_done = process.communicate()[0] == "done\n"
        assert process.returncode == (0 if is_done else -signal.SIGKILL)
        with contextlib.closing(opened(model)) as journal:
            found, is_for = list(journal.pending), journal.is_for(stamp_of(model))
        assert (found, is_for) in [(STEPS, False), ([], False), ([Record("do", ("remove new",))], True)]
        seen.add(len(found))
        place.unlink(missing_ok=True)
    assert seen == {len(STEPS), 0, 1}


# Two at once


def test_another_process_is_told_until_the_first_dies(model: str) -> None:
    with child(HOLDER, model) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught:
            opened(model)
        assert caught.value.line() == f"{model}: another seqtui has it open"
        holder.kill()
        holder.wait()
        opened(model).close()


def test_by_another_name_it_is_the_same_file(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(opened(model)):
        for name in ("link", "net.safetensors", "./state/../net.safetensors"):
            with pytest.raises(LockedError):
                opened(name)


def test_a_journal_removed_before_the_lock_was_had_is_made_again(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = opened(model), fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        first.close()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with contextlib.closing(opened(model)) as journal:
        journal.write(STEPS[0])
    assert pending(model) == STEPS[:1]


# Where none can be kept


def no_folder(state: Path) -> None:
    state.write_text("a file")


def circle(state: Path) -> None:
    state.symlink_to(state)


def folder_in_the_way(state: Path) -> None:
    (state / "seqtui").mkdir(parents=True)
    (state / "seqtui" / "journals").write_text("a file")


def read_only(state: Path) -> None:
    state.mkdir(mode=0o500)


UNWRITABLE: list[Callable[[Path], None]] = [no_folder, circle, folder_in_the_way]
if os.geteuid() != 0:  # the superuser may write anywhere
    UNWRITABLE.append(read_only)


@pytest.mark.parametrize("spoil", UNWRITABLE)
def test_a_state_folder_that_cannot_be_written_is_a_sentence(
    spoil: Callable[[Path], None], model: str, state: Path
) -> None:
    spoil(state)
    with pytest.raises(FileError, match="edits are not kept for recovery") as caught:
        opened(model)
    assert not isinstance(caught.value, LockedError)
    assert "XDG_STATE_HOME" in caught.value.hint


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda place: os.symlink("/dev/null", place)])
def test_what_is_no_file_is_no_journal(make: Callable[[str], None], model: str) -> None:
    place = journal_path(model)
    left(model).unlink()
    make(place)
    with pytest.raises(FileError, match="edits are not kept for recovery"):
        opened(model)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_a_sentence(name: str) -> None:
    with pytest.raises(FileError, match="no file can have this name"):
        Journal.open(name, None)


FULL_DISK = """
import resource, sys
from seqtui.errors import FileError
from seqtui.journal import Journal
from seqtui.records import Record

journal = Journal.open(sys.argv[1], None)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 2000))
for number in range(100):
    try:
        journal.write(Record("do", (f"remove layer{number}",)))
    except FileError as error:
        print(number, error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
journal.write(Record("do", ("too late",)))
print(len(open(journal.place, "rb").read().splitlines()))
"""
"""A process whose files may not grow: part of a line is written, as on a full disk."""


def test_on_a_full_disk_it_says_so_once_and_has_all_before(model: str) -> None:
    Path(model).unlink()
    with child(FULL_DISK, model) as process:
        told, lines = process.communicate()[0].splitlines()
    count, _, sentence = told.partition(" ")
    assert sentence.startswith("edits are no longer kept for recovery: ")
    assert int(lines) == int(count) + 1
    assert pending(model) == [Record("do", (f"remove layer{number}",)) for number in range(int(count))]
    assert int(count) > 10


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set whenever the disk was asked, and failed."""
    asked = threading.Event()

    def fsync(descriptor: int) -> None:
        asked.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    yield asked
    monkeypatch.undo()


def test_a_disk_that_keeps_nothing_is_told_of_once(model: str, failing_disk: threading.Event) -> None:
    journal = opened(model)
    told = []
    for number in range(5):  # the third is written after the first failure is known
        failing_disk.clear()
        try:
            journal.write(Record("do", (f"remove {number}",)))
        except FileError as error:
            told.append(error.message)
        assert told or failing_disk.wait(20)
    journal.close()
    assert told == ["edits are no longer kept for recovery: Input/output error"]


def test_it_knows_which_steps_it_leads_to(model: str) -> None:
    def led(journal: Journal) -> tuple[bool, bool]:
        return journal.leads_to("undo"), journal.leads_to("redo")

    with contextlib.closing(opened(model)) as journal:
        assert led(journal) == (False, False)
        journal.write(STEPS[0])
        assert led(journal) == (True, False)
        journal.write(UNDO)
        assert led(journal) == (False, True)
        journal.write(Record("back", ("remove fc2",), "{}"))
        journal.write(Record("redo", ("remove fc2",)))
        assert led(journal) == (True, True)
        journal.write(STEPS[1])
        assert led(journal) == (True, False)
    with contextlib.closing(opened(model)) as journal:  # what is pending counts
        assert led(journal) == (True, False)
        journal.restart(Stamp(1, 2, 3, 4))
        assert led(journal) == (False, False)


def numbers(count: int) -> list[TensorData]:
    return [TensorData(TensorInfo("a", "U8", (count,), count), lambda: [bytes(count)])]


def test_numbers_lie_beside_it_as_long_as_its_steps(model: str) -> None:
    with contextlib.closing(opened(model)) as journal:
        names = {journal.keep_numbers(numbers(5)), journal.keep_numbers(numbers(7))}
        journal.write(STEPS[0])
    with contextlib.closing(opened(model)) as journal:
        kept = journal.open_kept()
        assert kept.keys() == names
        assert sorted(source.num_bytes for source in kept.values()) == [5, 7]
        for source in kept.values():
            source.close()
        journal.restart(Stamp(1, 2, 3, 4))
        assert journal.open_kept() == {}
    assert list(Path(journal.place).parent.iterdir()) == []


def test_numbers_that_cannot_be_kept_end_it_until_the_next_save(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqtui.journal.LARGEST_KEPT", 10)
    with contextlib.closing(opened(model)) as journal:
        journal.keep_numbers(numbers(6))
        with pytest.raises(FileError, match="no longer kept for recovery: the undone step needs 5 B"):
            journal.keep_numbers(numbers(5))
        journal.write(STEPS[0])
        assert Path(journal.place).read_bytes() == b""
        journal.restart(Stamp(1, 2, 3, 4))
        journal.keep_numbers(numbers(10))


# Models without a path


def unnamed(name: str, *steps: Record) -> str:
    """Where the journal of a session lies that left some steps."""
    with contextlib.closing(Journal.open("", None, "{}", name)) as journal:
        for step in steps:
            journal.write(step)
    return journal.place


def test_those_that_were_left_are_found_the_latest_first() -> None:
    places = [unnamed("lenet5", STEPS[0]), unnamed("mlp", *STEPS)]
    for age, place in enumerate(places):
        os.utime(place, (age, age))
    unnamed("empty")
    with contextlib.closing(Journal.open("", None)) as living:
        living.write(STEPS[0])
        journals = Journal.left()
        assert [journal.place for journal in journals] == places[::-1]
        assert [journal.head and journal.head.file for journal in journals] == ["mlp", "lenet5"]
        assert Journal.left() == []  # they are held
        for journal in journals:
            journal.close()


def test_one_that_is_damaged_says_so_and_is_kept(state: Path) -> None:
    place = Path(unnamed("mlp", STEPS[0]))
    place.write_bytes(UNKNOWN["newer"])
    (journal,) = Journal.left()
    assert "version 2" in journal.notice
    journal.close()
    assert [path.suffix for path in place.parent.iterdir()] == [".kept"]
    assert Journal.left() == []
