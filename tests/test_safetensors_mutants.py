"""safetensors files changed at random: read, or refused, as the library of that name does."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors
from faults import pack, sound

from seqtui.errors import FormatError
from seqtui.formats import open_model


def outcome(path: Path) -> tuple[str, str]:
    """(what a FormatError says or "", what the notes say); any other error is raised."""
    try:
        opened = open_model(str(path))
    except FormatError as error:
        return error.message, ""
    opened.close()
    return "", " ".join(opened.notes)


def library_refuses(path: Path) -> bool:
    try:
        with safetensors.safe_open(path, framework="pt"):
            return False
    except safetensors.SafetensorError:
        return True


STRICTER = (
    "begin with a brace",  # the format says it must; the library skips white space
    "twice",  # the library lets the last one win, though the format forbids it
    " times",
    "possible number",  # sizes from 2^63 on, which torch cannot hold
    "more elements",
    "not a dtype",  # an entry given as a list instead of an object
    "dimensions",
    "nested",
    "half a character",  # in a field that the library skips
    "out of range",
)
"""Words of refusals that the library does not know."""

MORE_LENIENT: dict[str, Callable[[bytes, str], bool]] = {
    "a type that nobody knows": lambda content, notes: "which is not known" in notes,
    "minus zero for zero": lambda content, notes: b"-0" in content,
}
"""What the library refuses and we do not, by what stands in the file or in the notes."""


WORDS = (
    *(b'"', b"[", b"]", b"{", b"}", b",", b":", b"0", b"-", b"9", b"\\", b"\\u", b" ", b"null", b"true", b"1e1", b"\0"),
    *(b'"shape"', b'"dtype":"I8",', b'"F64"', b"\xff", b"__metadata__", b"18446744073709551615", b'"x":[],', b"-0"),
)
"""What is put into a header, or over a part of it."""


def change(header: bytearray, draw: random.Random) -> None:
    """Change, cut, double or move a few bytes at one place."""
    at, other = sorted(draw.sample(range(len(header)), 2))
    word = draw.choice(WORDS)
    match draw.randrange(6):
        case 0:
            header[at : at + len(word)] = word
        case 1:
            header[at:at] = word
        case 2:
            del header[at : at + draw.randint(1, 8)]
        case 3:
            header[at] = draw.randrange(256)
        case 4:
            header[at:at] = header[at : at + draw.randint(1, 60)]
        case _:
            header[at], header[other] = header[other], header[at]


def mutants(count: int) -> Iterator[bytes]:
    """A good file whose header was changed in one to three places; its length put right most times."""
    tensors = {"fc.weight": ("F32", [4, 3]), "fc.bias": ("BF16", [4]), "zero": ("I64", [0]), "é": ("U8", [])}
    good = sound({name: (dtype, shape) for name, (dtype, shape) in tensors.items()}, {"format": "pt", "a": "b"})
    (length,) = struct.unpack_from("<Q", good)
    header, rest = good[8 : 8 + length], good[8 + length :]
    draw = random.Random(20240501)
    for _ in range(count):
        mutant = bytearray(header)
        for _ in range(draw.randint(1, 3)):
            change(mutant, draw)
        yield pack(bytes(mutant), rest, None if draw.random() < 0.9 else length)


def test_mutants_are_read_or_refused_as_the_library_does(tmp_path: Path) -> None:
    path = tmp_path / "mutant.safetensors"
    accepted = 0
    for content in mutants(4000):
        path.write_bytes(content)
        refusal, notes = outcome(path)
        if refusal:
            assert library_refuses(path) or any(words in refusal for words in STRICTER), (refusal, content)
        else:
            accepted += 1
            assert not library_refuses(path) or any(is_so(content, notes) for is_so in MORE_LENIENT.values()), content
    assert accepted > 100
