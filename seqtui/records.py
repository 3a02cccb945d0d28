"""The steps of a history as lines that tell when they are damaged, and as values that can be taken again.

A line is a checksum, a blank, a JSON object. What is read is believed as far as its checksums hold, and refused as a
whole where a sound line says what this version does not know: half understood it would be another model.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seqtui.errors import EditError, FormatError
from seqtui.formats.byte_source import Stamp

if TYPE_CHECKING:  # opening a journal imports no edit
    from seqtui.model.edit import Edit
    from seqtui.model.history import History

VERSION = 1
"""Raised when an older seqtui would misunderstand a line."""


# What is written


class Record(NamedTuple):
    """A step of the history: something done, the last undone, or the last undone done again."""

    verb: Literal["do", "undo", "redo"]
    edits: tuple[str, ...] = ()
    """The texts of what was done or redone, several where they are one step."""

    @property
    def depth(self) -> int:
        """By how many steps it lengthens what can be undone."""
        return -1 if self.verb == "undo" else 1


UNDO = Record("undo")
"""What to write when an edit was undone."""


def done(edit: Edit) -> Record:
    """What to write when an edit was done."""
    return Record("do", _texts(edit))


def redone(edit: Edit) -> Record:
    """What to write when an edit was done again."""
    return Record("redo", _texts(edit))


def _texts(edit: Edit) -> tuple[str, ...]:
    from seqtui.model.edits import Batch

    return tuple(text for one in edit.edits for text in _texts(one)) if isinstance(edit, Batch) else (str(edit),)


class Head(NamedTuple):
    """What the records are relative to. A later head in a journal takes the place of an earlier one."""

    file: str
    """Absolute, without symbolic links."""
    stamp: Stamp | None
    """None for a model that has no file yet."""
    spec: str = ""
    """What a model without a file began as, as `spec_to_json` writes it."""

    def is_about(self, stamp: Stamp | None) -> bool:
        """Whether the file with this stamp is the one that is meant, unchanged.

        The device's number is left out: when the machine starts again the same disk may have another.
        """
        return self.stamp == stamp if self.stamp is None or stamp is None else self.stamp[1:] == stamp[1:]


def write_line(item: Head | Record) -> bytes:
    """ASCII, so that half a character in a name survives, and no line break but the last."""
    document: dict[str, object]
    if isinstance(item, Head):
        document = {"seqtui": VERSION, **item._asdict()}
    else:
        document = {item.verb: 1 if item == UNDO else item.edits}
    body = json.dumps(document, separators=(",", ":")).encode()
    return _checksum(body) + body + b"\n"


def _checksum(body: bytes) -> bytes:
    return b"%08x " % zlib.crc32(body)


# What is read


class Found(NamedTuple):
    """What a journal holds, as far as it is sound."""

    head: Head | None = None
    """None where there are no records."""
    records: tuple[Record, ...] = ()
    ends: tuple[int, ...] = ()
    """Where each record's line ends, in bytes."""
    is_damaged: bool = False
    """Whether something follows that was written and is not as it was. A line that was never finished is not that."""


def read_lines(data: bytes) -> Found:
    """Raises FormatError for sound lines that say what this version does not know."""
    head: Head | None = None
    next_head: Head | None = None
    records: list[Record] = []
    ends: list[int] = []
    is_damaged, place = False, 0
    for line in io.BytesIO(data):
        if not line.endswith(b"\n"):
            break
        body = line[9:-1]
        if line[:9] != _checksum(body):
            is_damaged = True
            break
        item = _parse(body)
        place += len(line)
        if isinstance(item, Head):
            next_head = item  # and not `head` yet: it was written with the record behind it
        elif next_head is None:
            raise FormatError("do not say what they are relative to")
        else:
            head = next_head
            records.append(item)
            ends.append(place)
    return Found(head, tuple(records), tuple(ends), is_damaged)


def _parse(body: bytes) -> Head | Record:
    """Raises FormatError, whose message continues "edits ..."."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"seqtui": int(version)} if version != VERSION:
            raise FormatError(f"were written by another seqtui, whose journal has version {version}")
        case {"seqtui": int(), "file": str(file), "stamp": None, "spec": str(spec)}:
            return Head(file, None, spec)
        case {"seqtui": int(), "file": str(file), "stamp": [int(), int(), int(), int()] as stamp, "spec": str(spec)}:
            return Head(file, Stamp(*stamp), spec)
        case {"do": [*texts]} if len(document) == 1 and all(isinstance(text, str) for text in texts):
            return Record("do", tuple(texts))
        case {"redo": [*texts]} if len(document) == 1 and all(isinstance(text, str) for text in texts):
            return Record("redo", tuple(texts))
        case {"undo": 1} if len(document) == 1:
            return UNDO
    raise FormatError("are written in a way that this seqtui does not know")


# What is done again


class ReplayError(EditError):
    """A step that no longer applies. What came before it stands."""

    def __init__(self, message: str, hint: str, history: History, count: int) -> None:
        super().__init__(message, hint)
        self.history = history
        """After the steps that did apply."""
        self.count = count
        """How many records these were."""


def replay(history: History, records: Sequence[Record]) -> History:
    """The history with the steps that an earlier process wrote. Raises ReplayError at the first that does not apply."""
    for count, record in enumerate(records):
        try:
            history = _replayed(history, record)
        except EditError as error:
            words = f"{record.verb} {'; '.join(record.edits)}".strip()[:120]
            raise ReplayError(
                f"step {count + 1} of {len(records)} no longer applies ({words}): {error.message}",
                error.hint,
                history,
                count,
            ) from None
    return history


def _replayed(history: History, record: Record) -> History:
    """One step. What is redone may have been undone before a save, and is then done. Raises EditError."""
    from seqtui.model.edits import Batch, parse_edits

    if record == UNDO:
        if not history.done:
            raise EditError("there is nothing to undo")
        return history.undo()
    if record.verb == "redo" and history.undone:
        return history.redo()
    edits = parse_edits(record.edits)
    return history.do(edits[0] if len(edits) == 1 else Batch(tuple(edits)))
