"""What a half-typed ':' line may go on with: verbs, paths, kinds, arguments, places. Right and Tab take it over.

Files are proposed to Tab alone: a folder is not read for every letter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

from textual.suggester import Suggester

from seqtui.model.edits import VERBS
from seqtui.model.kinds.catalogue import catalogue, parameters
from seqtui.model.language import After, Arguments, Dtype, Name, Names, OneOf, PlaceSlot, Slot, write_name
from seqtui.model.spec import ModelSpec
from seqtui.model.tensor_edits import INITS
from seqtui.model.tensors import TORCH_DTYPES
from seqtui.model.tree import joined
from seqtui.safe_text import safe_text

MOST_PATHS = 2000
"""Layers and tensors that are gone through for a letter."""
MOST_PROPOSALS = 200
"""Words that tab goes through."""
BESIDE = ("before", "after")
ENDS = ("first", "last")


class LineSuggester(Suggester):
    """Suggestions for edits of a model, and for some words beside."""

    def __init__(self, model: ModelSpec, words: Iterable[str], file_words: Collection[str] = ()) -> None:
        """`file_words` are those of the words that a file follows."""
        super().__init__(case_sensitive=True)
        self.model = model
        self.words = (*VERBS, *words)
        self.file_words = file_words

    async def get_suggestion(self, value: str) -> str | None:
        return next(self._lines(value), None) if value else None

    def proposals(self, line: str) -> list[str]:
        """The whole lines that a line may become with its last word, each once."""
        word, blank, path = line.partition(" ")
        is_file = bool(blank) and word in self.file_words
        lines = (f"{word} {found}" for found in files(path)) if is_file else self._lines(line)
        return list(islice(dict.fromkeys(lines), MOST_PROPOSALS))

    def _lines(self, line: str) -> Iterator[str]:
        head, blank, partial = line.rpartition(" ")
        for word in self.candidates(head.split()):
            if word.startswith(partial) and word != partial:
                yield f"{head}{blank}{word}"

    def candidates(self, words: list[str]) -> Iterable[str]:
        """What may stand after some whole words."""
        if not words:
            return self.words
        verb = VERBS.get(words[0])
        if verb is None:
            return ()
        place = 0
        for word in words[1:]:
            if isinstance(verb.slots[place], Arguments) and "=" not in word:
                place += 1
            if not isinstance(verb.slots[place], Names | Arguments | PlaceSlot | After):
                place += 1
            if place == len(verb.slots):
                return ()
        return self._of(verb.slots[place:], words)

    def _of(self, slots: tuple[Slot, ...], words: list[str]) -> Iterator[str]:
        """What the first of the slots that are left takes; arguments may be left out, so the next one's too."""
        slot = slots[0]
        if isinstance(slot, Name | Names) and slot.word != "NAME":
            yield from self._paths("TENSOR" in slot.word)
        elif isinstance(slot, OneOf):
            yield from _WORDS.get(slot.word, tuple)()
        elif isinstance(slot, Dtype):
            yield from TORCH_DTYPES
        elif isinstance(slot, PlaceSlot | After):
            yield from self._paths(False) if words[-1] in (*BESIDE, "in") else (*BESIDE, *ENDS)
        elif isinstance(slot, Arguments):
            yield from (f"{item.name}=" for item in parameters(self._kind(words)))
            if len(slots) > 1:
                yield from self._of(slots[1:], words)

    def _kind(self, words: list[str]) -> str:
        """The kind whose arguments a line gives."""
        if words[0] != "set":
            return words[2] if len(words) > 2 else ""
        try:
            return self.model.layer(words[1]).kind or ""
        except KeyError:
            return ""

    def _paths(self, has_tensors: bool) -> Iterator[str]:
        for number, (path, layer) in enumerate(self.model.walk()):
            if number == MOST_PATHS:
                return
            yield write_name(path)
            if has_tensors:
                yield from (write_name(joined(path, tensor.name)) for tensor in layer.tensors)


def files(path: str) -> list[str]:
    """The files and folders that a half-typed path may become, as they are typed: `~/my\\ models/`.

    Those that begin with a dot are meant by a dot. One that cannot be shown as it is cannot be typed.
    """
    folder, slash, start = path.rpartition("/")
    place = os.path.expanduser(re.sub(r"\\(.)", r"\1", folder + slash)) or "."
    start = re.sub(r"\\(.)", r"\1", start)
    try:
        with os.scandir(place) as entries:
            found = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    except OSError:
        return []
    names = [name for name in found if name.startswith(start) and name != start and safe_text(name) == name]
    return [f"{folder}{slash}{_QUOTED.sub(_BACKSLASH, name)}" for name in names if start or name[0] != "."]


_QUOTED = re.compile(r"""(?=[\s'"\\])""")
"""Before what a shell, and the ':' line, would take for an end or a quote."""
_BACKSLASH = r"\\"


def last_part(line: str) -> str:
    """What tells a line from others that begin alike: its last word, of a path the last name."""
    word = re.split(r"(?<!\\) ", line)[-1]
    return word[word.rstrip("/").rfind("/") + 1 :]


def _kinds() -> list[str]:
    """Kinds that can stand in a Sequential."""
    return ["Sequential", *(kind for kind, entry in catalogue().items() if not entry.inputs)]


_WORDS: dict[str, Callable[[], Iterable[str]]] = {"KIND": _kinds, "INIT": lambda: INITS}
