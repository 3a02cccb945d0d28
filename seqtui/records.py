"""The steps of a history as lines that tell when they are damaged, and as values that can be taken again.

A line is a checksum, a blank, a JSON object. What is read is believed as far as its checksums hold, and refused as a
whole where a sound line says what this version does not know: half understood it would be another model.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seqtui.errors import EditError, FormatError, SeqtuiError
from seqtui.formats.byte_source import Stamp

if TYPE_CHECKING:  # opening a journal imports no edit
    from seqtui.model.edit import Edit
    from seqtui.model.history import History
    from seqtui.model.spec import ModelSpec
    from seqtui.model.tensors import TensorRef

VERSION = 1
"""Raised when an older seqtui would misunderstand a line."""


# What is written


Verb = Literal["do", "undo", "redo", "back", "forth"]
"""Something done, the last undone, or the last undone done again; the same two past a save, which the file forgets."""

PAST_SAVE: Mapping[Verb, Verb] = {"undo": "back", "redo": "forth"}
"""What a step becomes that the records before it do not lead to."""


class Record(NamedTuple):
    """A step of the history."""

    verb: Verb
    edits: tuple[str, ...] = ()
    """The texts of what was done, redone or undone, several where they are one step; an `undo` needs none."""
    model: str = ""
    """What the model was after it, for a step past a save, as `model_to_json` writes it beside the model before."""


UNDO = Record("undo")
"""What to write when an edit was undone."""


def step(verb: Verb, edit: Edit, model: str = "") -> Record:
    """What to write of a step with an edit."""
    return UNDO if verb == "undo" else Record(verb, _texts(edit), model)


def done(edit: Edit) -> Record:
    """What to write when an edit was done."""
    return step("do", edit)


def redone(edit: Edit) -> Record:
    """What to write when an edit was done again."""
    return step("redo", edit)


class Depth(NamedTuple):
    """How many steps the records lead back to, and forth to."""

    done: int = 0
    undone: int = 0

    def after(self, verb: Verb) -> Depth:
        """Negative where the records do not lead to such a step."""
        done, undone = _DEEPER[verb]
        return Depth(self.done + done, 0 if verb == "do" else self.undone + undone)


_DEEPER: Mapping[Verb, tuple[int, int]] = {
    "do": (1, 0),
    "undo": (-1, 1),
    "redo": (1, -1),
    "back": (0, 1),
    "forth": (1, 0),
}


def _texts(edit: Edit) -> tuple[str, ...]:
    from seqtui.model.edits import Batch

    return tuple(text for one in edit.edits for text in _texts(one)) if isinstance(edit, Batch) else (str(edit),)


class Head(NamedTuple):
    """What the records are relative to. A later head in a journal takes the place of an earlier one."""

    file: str
    """Absolute, without symbolic links; for a model that has no path yet what it is called."""
    stamp: Stamp | None
    """None for a model that has no file yet."""
    spec: str = ""
    """What a model without a file began as, as `model_to_json` writes it."""

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
        document = {item.verb: 1 if item == UNDO else item.edits} | ({"model": item.model} if item.model else {})
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
        case {"undo": 1} if len(document) == 1:
            return UNDO
        case {"back": [*texts], "model": str(model)} if len(document) == 2 and _is_all_text(texts):
            return Record("back", tuple(texts), model)
        case {"forth": [*texts], "model": str(model)} if len(document) == 2 and _is_all_text(texts):
            return Record("forth", tuple(texts), model)
        case {"do": [*texts]} if len(document) == 1 and _is_all_text(texts):
            return Record("do", tuple(texts))
        case {"redo": [*texts]} if len(document) == 1 and _is_all_text(texts):
            return Record("redo", tuple(texts))
    raise FormatError("are written in a way that this seqtui does not know")


def _is_all_text(texts: list[object]) -> bool:
    return all(isinstance(text, str) for text in texts)


# What is shown


def told(records: Sequence[Record]) -> list[str]:
    """A line a step, for people: an undone one says what was undone."""
    return [f"{_WORDS[record.verb]}{'; '.join(texts)}" for record, texts in _with_texts(records)]


def recipe(records: Sequence[Record]) -> str:
    """The edits that stand at the end, a line each; what was undone stands between them as comments."""
    lines: list[str] = []
    places: list[list[int]] = []
    for record, texts in _with_texts(records):
        if record.verb in ("undo", "back"):
            for place in places.pop() if places else ():
                lines[place] = f"# {lines[place]}"
            lines.append(f"# undone: {'; '.join(texts)}")
        else:
            places.append([len(lines) + number for number in range(len(texts))])
            lines += [" ".join(text.splitlines()) for text in texts]
    return "".join(f"{line}\n" for line in lines)


_WORDS: Mapping[Verb, str] = {"do": "", "undo": "undo: ", "redo": "redo: ", "back": "undo: ", "forth": "redo: "}


def _with_texts(records: Sequence[Record]) -> Iterator[tuple[Record, tuple[str, ...]]]:
    """Each record with the texts of its edits, which an `undo` leaves to the step that it takes back."""
    done: list[tuple[str, ...]] = []
    for record in records:
        if record.verb == "undo":
            yield record, done.pop() if done else ()
            continue
        if record.verb != "back":
            done.append(record.edits)
        yield record, record.edits


# What is done again

Placed = Callable[["TensorRef"], "TensorRef"]
"""Where numbers lie by now that a record says of where they lay. Raises EditError where they are gone."""


class ReplayError(EditError):
    """A step that no longer applies. What came before it stands."""

    def __init__(self, message: str, hint: str, history: History, count: int) -> None:
        super().__init__(message, hint)
        self.history = history
        """After the steps that did apply."""
        self.count = count
        """How many records these were."""


def replay(history: History, records: Sequence[Record], placed: Placed) -> History:
    """The history with the steps that an earlier process wrote. Raises ReplayError at the first that does not apply."""
    for count, record in enumerate(records):
        try:
            history = _replayed(history, record, placed)
        except SeqtuiError as error:
            words = f"{record.verb} {'; '.join(record.edits)}".strip()[:120]
            raise ReplayError(
                f"step {count + 1} of {len(records)} no longer applies ({words}): {error.message}",
                error.hint,
                history,
                count,
            ) from None
    return history


def _replayed(history: History, record: Record, placed: Placed) -> History:
    """One step. Raises EditError, and FormatError for a model that cannot be read."""
    match record.verb:
        case "undo" if not history.done:
            raise EditError("there is nothing to undo")
        case "undo":
            return history.undo()
        case "redo" if not history.undone:
            raise EditError("there is nothing to redo")
        case "redo":
            return history.redo()
        case "back":
            return history.back(_edit(record), _landed(history, record, placed))
        case "forth":
            return history.forth(_edit(record), _landed(history, record, placed))
    return history.do(_edit(record))


def _edit(record: Record) -> Edit:
    """Raises EditError."""
    from seqtui.model.edits import Batch, parse_edits

    edits = parse_edits(record.edits)
    return edits[0] if len(edits) == 1 else Batch(tuple(edits))


def _landed(history: History, record: Record, placed: Placed) -> ModelSpec:
    """The model that a step past a save led to. Raises EditError, FormatError."""
    from seqtui.model.model_json import model_from_json, with_refs

    return with_refs(model_from_json(record.model, history.model), placed)
