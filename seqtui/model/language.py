"""The text form of edits: words in a line, and the slots that they fill, each of which is read and written here.

`remove PATH...` is a verb and one slot. A slot reads its words off a line and writes the value back as words, so that
one table (`edits.VERBS`) says how every edit is written, read, completed and explained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from seqtui.errors import EditError, UsageError
from seqtui.model.inputs import parse_input
from seqtui.model.literals import LiteralError, name_text, parse_value, value_text
from seqtui.model.spec import Value
from seqtui.model.tensors import DTYPES, TORCH_DTYPES
from seqtui.model.tree import Glob

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "'\""
_ARGUMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
SEED = "seed"
"""No argument of a layer is called that."""
_BARE_PATH = re.compile(r"[A-Za-z0-9_.*]+", re.ASCII)


class Word(NamedTuple):
    """A word of a line: text between blanks, with what brackets and quotes hold together."""

    text: str
    start: int
    """Where it begins in the line, in characters."""


def split_words(line: str) -> list[Word]:
    """The words of a line up to a comment. Raises EditError for a quote or bracket that is not closed."""
    words: list[Word] = []
    start, depth, quote, place = -1, 0, "", 0
    while place < len(line):
        character = line[place]
        if quote:
            place += character == "\\"
            quote = "" if character == quote else quote
        elif character == "#" and depth == 0:
            break
        elif character.isspace() and depth == 0:
            if start >= 0:
                words.append(Word(line[start:place], start))
            start = -1
        else:
            start = place if start < 0 else start
            quote = character if character in _QUOTES else ""
            depth += (character in _OPENING) - (character in _CLOSING)
            if depth < 0:
                raise EditError(f"a bracket is closed that is not open: {line[start:][:60]}")
        place += 1
    if quote or depth > 0:
        raise EditError(f"{'a quote' if quote else 'a bracket'} is not closed: {line[start:][:60]}")
    if start >= 0:
        words.append(Word(line[start : min(place, len(line))], start))
    return words


class Slot(Protocol):
    """A part of an edit's text."""

    @property
    def field(self) -> str:
        """The field of the edit that it fills."""

    @property
    def word(self) -> str:
        """How help names it: `PATH...`."""

    def read(self, words: list[Word]) -> Any:  # Any: what the field holds
        """The value of the words it takes off the front. Raises EditError."""

    def write(self, value: Any) -> str:
        """The words for a value; empty for one that is left out."""


def take(words: list[Word], what: str) -> str:
    """The next word, off the front. Raises EditError where there is none."""
    if not words:
        raise EditError(f"needs {what}")
    return words.pop(0).text


def read_name(text: str) -> str:
    """A name or a path from its word. Raises EditError for a quoted one that is no text."""
    if text[0] in _QUOTES:
        value = read_value(text)
        if not isinstance(value, str):
            raise EditError(f"{text[:60]} is no name")
        return value
    if not _BARE_PATH.fullmatch(text):
        raise EditError(f'{text[:60]} is no plain name; write it as "{text[:60]}"')
    return Glob(text) if "*" in text else text


def write_name(name: str) -> str:
    """The word for a name, a path or a glob."""
    return str(name) if isinstance(name, Glob) else name_text(name)


class Name(NamedTuple):
    """One name, or one path, which may be a glob where `has_globs`."""

    field: str
    word: str = "PATH"
    has_globs: bool = False

    def read(self, words: list[Word]) -> str:
        name = read_name(take(words, self.word))
        if isinstance(name, Glob) and not self.has_globs:
            raise EditError(f"{name} can name several, one is meant")
        return name

    def write(self, value: str) -> str:
        return write_name(value)


class Names(NamedTuple):
    """One path or more, globs too, up to the words that the slots after it need."""

    field: str
    word: str = "PATH..."
    leaves: int = 0

    def read(self, words: list[Word]) -> tuple[str, ...]:
        count = len(words) - self.leaves
        if count < 1:
            raise EditError(f"needs {self.word}")
        names = tuple(read_name(word.text) for word in words[:count])
        del words[:count]
        return names

    def write(self, value: tuple[str, ...]) -> str:
        return " ".join(map(write_name, value))


class OneOf(NamedTuple):
    """One bare word, as it is."""

    field: str
    word: str

    def read(self, words: list[Word]) -> str:
        return take(words, self.word)

    def write(self, value: str) -> str:
        return value


class Arguments(NamedTuple):
    """`ARG=VALUE` as often as wanted."""

    field: str = "args"
    is_required: bool = False

    @property
    def word(self) -> str:
        return "ARG=VALUE ..." if self.is_required else "[ARG=VALUE ...]"

    def read(self, words: list[Word]) -> Mapping[str, Value]:
        args: dict[str, Value] = {}
        while words and (match := _ARGUMENT.fullmatch(words[0].text)) and match[1] != SEED:
            if match[1] in args:
                raise EditError(f"{match[1]} is given twice")
            args[match[1]] = read_value(match[2])
            del words[0]
        if self.is_required and not args:
            raise EditError(f"needs {self.word}")
        return args

    def write(self, value: Mapping[str, Value]) -> str:
        return " ".join(f"{name}={value_text(item)}" for name, item in value.items())


def read_value(text: str) -> Value:
    """A value from its text; a plain word counts as text, so that `padding=same` needs no quotes.

    Raises EditError, also for `false`, which as text would be true.
    """
    if not text:
        raise EditError("needs a value after =")
    try:
        return parse_value(text)
    except LiteralError as error:
        if text.title() in ("True", "False", "None"):
            raise EditError(f"{text} is written {text.title()}") from None
        if re.fullmatch(r"[A-Za-z_][\w-]*", text):
            return text
        raise EditError(str(error)) from None


class Place(NamedTuple):
    """Where a layer goes: before or after another, or first or last in a container."""

    where: Literal["before", "after", "first", "last", "up", "down"]
    path: str = ""
    """The neighbour, or the container; "" for the model itself and for a step."""


class PlaceSlot(NamedTuple):
    """`before PATH`, `after PATH`, `first [in PATH]`, `last [in PATH]`, and where a layer is moved `up` or `down`."""

    field: str = "place"
    has_steps: bool = False

    @property
    def word(self) -> str:
        steps = " | up | down" if self.has_steps else ""
        return f"(before PATH | after PATH | first [in PATH] | last [in PATH]{steps})"

    def read(self, words: list[Word]) -> Place:
        choices = "before, after, first, last, up or down" if self.has_steps else "before, after, first or last"
        match take(words, choices):
            case ("before" | "after") as where:
                return Place(where, _one_path(words))
            case ("first" | "last") as where:
                return Place(where, _one_path(words) if Flag("is_inside", "in").read(words) else "")
            case ("up" | "down") as where if self.has_steps:
                return Place(where)
            case other:
                raise EditError(f"{other[:60]} stands where {choices} is meant")

    def write(self, value: Place) -> str:
        if value.where in ("before", "after"):
            return f"{value.where} {write_name(value.path)}"
        return f"{value.where} in {write_name(value.path)}" if value.path else value.where


def _one_path(words: list[Word]) -> str:
    return Name("path").read(words)


class After(NamedTuple):
    """`after PATH`, which may be left out."""

    field: str = "after"
    word: str = "[after PATH]"

    def read(self, words: list[Word]) -> str:
        if not words:
            return ""
        if take(words, "after") != "after":
            raise EditError("after PATH is meant, or nothing")
        return _one_path(words)

    def write(self, value: str) -> str:
        return f"after {write_name(value)}" if value else ""


class Flag(NamedTuple):
    """A word that stands or not."""

    field: str
    text: str

    @property
    def word(self) -> str:
        return f"[{self.text}]"

    def read(self, words: list[Word]) -> bool:
        if words and words[0].text == self.text:
            del words[0]
            return True
        return False

    def write(self, value: bool) -> str:
        return self.text if value else ""


class Seed(NamedTuple):
    """`seed=N`, which may be left out."""

    field: str = "seed"
    word: str = "[seed=N]"

    def read(self, words: list[Word]) -> int | None:
        if not words or not (match := re.fullmatch(r"seed=(\d{1,18})", words[0].text, re.ASCII)):
            return None
        del words[0]
        return int(match[1])

    def write(self, value: int | None) -> str:
        return "" if value is None else f"seed={value}"


class Size(NamedTuple):
    """`1,3,32,32`"""

    field: str = "shape"
    word: str = "SHAPE"

    def read(self, words: list[Word]) -> tuple[int, ...]:
        text = take(words, "SHAPE, 1,3,32,32")
        if text == "()":
            return ()
        if ":" in text:
            raise EditError(f"{text[:60]} is no shape; the type stands behind it, after a blank")
        try:
            return parse_input(text).shape
        except UsageError as error:
            raise EditError(error.message, error.hint) from None

    def write(self, value: tuple[int, ...]) -> str:
        return ",".join(map(str, value)) or "()"


class Dtype(NamedTuple):
    """A type of numbers, named in torch's way or in safetensors', in any case."""

    field: str = "dtype"
    word: str = "DTYPE"

    def read(self, words: list[Word]) -> str:
        word = take(words, self.word)
        row = TORCH_DTYPES.get(word.lower()) or DTYPES.get(word.upper())
        if row is None or row.bits < 8 or not row.torch:
            raise EditError(f"{word[:60]} is no type of a tensor; types are float32, bfloat16, float16, int64")
        return row.torch

    def write(self, value: str) -> str:
        return value


class Optional(NamedTuple):
    """A word that may be left out, for what it is then; written only where that, or the word, is not empty."""

    slot: Name | OneOf | Dtype
    default: str

    @property
    def field(self) -> str:
        return self.slot.field

    @property
    def word(self) -> str:
        return f"[{self.slot.word}]"

    def read(self, words: list[Word]) -> str:
        return self.slot.read(words) if words else self.default

    def write(self, value: str) -> str:
        return self.slot.write(value) if value or self.default else ""


def form_words(verb: str, slots: Sequence[Slot]) -> str:
    """How an edit is written: `rename PATH NAME`."""
    return " ".join([verb, *(slot.word for slot in slots)])
