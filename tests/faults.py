"""Damaged and hostile files by the hundred: what each holds, and what opening it must say. One row a file."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from seqtui.errors import FileError, FormatError, SeqtuiError
from seqtui.model.tensors import DTYPES

Entry = tuple[str, list[int]]
"""dtype, shape."""


class Fault(NamedTuple):
    name: str
    make: Callable[[Path], None]
    """Puts the file at a path."""
    error: type[SeqtuiError] | None
    """None for a file that is sound and only looks dangerous."""
    words: str
    """What the error's sentence, or else a note, must hold."""


def pack(header: bytes | Mapping[str, object], data: bytes = b"", length: int | None = None) -> bytes:
    """A file of this header, padded to 8 bytes unless it is given as bytes, and of this data; `length` may lie."""
    if isinstance(header, bytes):
        text = header
    else:
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def sound(tensors: Mapping[str, Entry], metadata: Mapping[str, str] | None = None) -> bytes:
    """A file of zeros that every reader accepts."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, (dtype, shape) in tensors.items():
        end = at + _nbytes(dtype, shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    return pack(header, bytes(at))


def _nbytes(dtype: str, shape: list[int]) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return elements * (DTYPES[dtype].bits if dtype in DTYPES else 32) // 8


def one(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8), size: int = 8, name: str = "a") -> bytes:
    """A file of one tensor that says what it likes of itself."""
    return pack({name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, bytes(size))


SMALL = sound({"fc.bias": ("F32", [4]), "fc.weight": ("F32", [4, 3])}, {"format": "pt"})
PLAIN = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
"""The fields of a tensor of 8 bytes."""


def text(header: str, size: int = 8) -> bytes:
    return pack(header.encode(), bytes(size))


CUT_OFF = [
    ("empty", b"", "is empty"),
    ("seven_bytes", SMALL[:7], "has 7 bytes"),
    ("length_only", SMALL[:8], "claims"),
    ("half_a_header", SMALL[:60], "claims"),
    ("one_byte_less", SMALL[:-1], "ends at byte 64 of the data; the file has 63"),
    ("half_the_data", SMALL[:-40], "ends at byte"),
    ("one_byte_more", SMALL + b"x", "its tensors end at byte 64 of the data; the file has 65"),
    ("zip_appended", SMALL + b"PK\x05\x06" + bytes(18), "its tensors end at byte 64 of the data; the file has 86"),
    ("two_files_in_one", SMALL + SMALL, "its tensors end at byte 64"),
    ("length_zero", struct.pack("<Q", 0) + SMALL[8:], "brace"),
    ("length_one", struct.pack("<Q", 1) + SMALL[8:], "not JSON"),
    ("length_one_more", pack(b'{"a":{%b}}' % PLAIN.encode(), bytes(8), length=56), "not JSON"),
    ("length_most", struct.pack("<Q", 2**64 - 1) + SMALL[8:], "limit"),
    ("length_negative", struct.pack("<q", -1) + SMALL[8:], "limit"),
    ("length_above_limit", struct.pack("<Q", 100_000_001) + SMALL[8:], "limit"),
    ("length_at_limit", struct.pack("<Q", 100_000_000) + SMALL[8:], "claims 100,000,000 bytes; the file has"),
]

JSON_FAULTS = [
    ("not_utf8", pack(b'{"a\xff\xfe":{%b}}' % PLAIN.encode(), bytes(8)), "UTF-8"),
    ("surrogate_bytes", pack(b'{"a\xed\xa0\x80":{%b}}' % PLAIN.encode(), bytes(8)), "UTF-8"),
    ("surrogate_escape", text(f'{{"a\\ud800":{{{PLAIN}}}}}'), "half a character"),
    ("surrogate_in_metadata", text(f'{{"__metadata__":{{"k":"\\udc00"}},"a":{{{PLAIN}}}}}'), "half a character"),
    ("surrogate_in_metadata_key", text(f'{{"__metadata__":{{"\\udfff":""}},"a":{{{PLAIN}}}}}'), "half a character"),
    ("byte_order_mark", text(f'\ufeff{{"a":{{{PLAIN}}}}}'), "brace"),
    ("leading_space", text(f'  {{"a":{{{PLAIN}}}}}'), "brace"),
    ("padded_with_nul", text(f'{{"a":{{{PLAIN}}}}}\0\0'), "not JSON"),
    ("array", text("[]", 0), "brace"),
    ("garbage_after", text("{}x", 0), "not JSON"),
    ("two_documents", text("{} {}", 0), "not JSON"),
    ("nan", text('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'), "NaN"),
    ("infinity", text('{"a":{"dtype":"F32","shape":[-Infinity],"data_offsets":[0,8]}}'), "-Infinity"),
    ("raw_line_break", text(f'{{"a\n":{{{PLAIN}}}}}'), "not JSON"),
    ("single_quotes", text("{'a':{}}", 0), "not JSON"),
    ("trailing_comma", text(f'{{"a":{{{PLAIN}}},}}'), "not JSON"),
    ("unclosed", text(f'{{"a":{{{PLAIN}}}'), "not JSON"),
    ("long_number", text('{"a":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,8]}}'), "out of range"),
    ("deep_lists", text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 0), "nested"),
    ("deep_objects", text('{"a":' * 50_000 + "1" + "}" * 50_000, 0), "nested"),
    ("deep_sparse", text('{"a-long-name-to-thin-it-out":' * 5_000 + "1" + "}" * 5_000, 0), "nested"),
    ("many_lists", text('{"a":[' + "[]," * 10_000 + "[]]}", 0), "not a dtype"),
    ("many_nested_lists", text('{"a":[[' + "[]," * 10_000 + "[]]]}", 0), "nested"),
]

DUPLICATES = [
    (
        "name_twice",
        text(f'{{"a":{{{PLAIN}}},"a":{{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}}}', 12),
        "'a' twice",
    ),
    ("name_twice_alike", text(f'{{"a":{{{PLAIN}}},"a":{{{PLAIN}}}}}'), "'a' twice"),
    ("name_thrice", text(f'{{"a":{{{PLAIN}}},"a":{{{PLAIN}}},"a":{{{PLAIN}}}}}'), "'a' 3 times"),
    ("name_twice_escaped", text(f'{{"a":{{{PLAIN}}},"\\u0061":{{{PLAIN}}}}}'), "'a' twice"),
    ("dtype_twice", text(f'{{"a":{{"dtype":"F32",{PLAIN}}}}}'), "'dtype' twice"),
    ("shape_twice", text(f'{{"a":{{{PLAIN},"shape":[2]}}}}'), "'shape' twice"),
    ("offsets_instead_of_shape", text('{"a":{"dtype":"F32","data_offsets":[0,8],"data_offsets":[0,8]}}'), "twice"),
    ("metadata_twice", text(f'{{"__metadata__":{{}},"__metadata__":{{"k":"2"}},"a":{{{PLAIN}}}}}'), "twice"),
    ("metadata_key_twice", text(f'{{"__metadata__":{{"k":"1","k":"2"}},"a":{{{PLAIN}}}}}'), "'k' twice"),
]

ENTRIES = [
    ("no_shape", text('{"a":{"dtype":"F32","data_offsets":[0,8]}}'), "not a dtype"),
    ("no_dtype", text('{"a":{"shape":[2],"data_offsets":[0,8]}}'), "not a dtype"),
    ("no_offsets", text('{"a":{"dtype":"F32","shape":[2]}}'), "not a dtype"),
    ("entry_empty", text('{"a":{}}'), "not a dtype"),
    ("entry_null", text('{"a":null}'), "not a dtype"),
    ("entry_number", text('{"a":1}'), "not a dtype"),
    ("entry_text", text('{"a":"F32"}'), "not a dtype"),
    ("entry_list", text('{"a":["F32",[2],[0,8]]}'), "not a dtype"),
    ("entry_pairs", text('{"a":[["dtype","F32"],["shape",[2]],["data_offsets",[0,8]]]}'), "not a dtype"),
    ("dtype_number", one(dtype=32), "not a dtype"),
    ("dtype_null", one(dtype=None), "not a dtype"),
    ("shape_number", one(shape=2), "not a dtype"),
    ("shape_text", one(shape="2"), "not a dtype"),
    ("shape_object", one(shape={}), "not a dtype"),
    ("shape_float", one(shape=[2.0]), "no possible number"),
    ("shape_bool", one(shape=[True], offsets=[0, 4], size=4), "no possible number"),
    ("shape_null", one(shape=[None]), "no possible number"),
    ("shape_negative", one(shape=[-1, -2]), "no possible number"),
    ("shape_nested", one(shape=[[2]]), "no possible number"),
    ("shape_above_int64", one(shape=[2**63, 0], offsets=[0, 0], size=0), "no possible number"),
    ("offsets_negative", one(offsets=[-8, 0]), "overlaps"),
    ("offsets_float", one(offsets=[0, 8.0]), "not a dtype"),
    ("offsets_bool", one(offsets=[False, 8]), "not a dtype"),
    ("offsets_three", one(offsets=[0, 8, 8]), "not a dtype"),
    ("offsets_one", one(offsets=[8]), "not a dtype"),
    ("offsets_text", one(offsets="08"), "not a dtype"),
    ("offsets_object", one(offsets={"0": 0, "8": 8}), "not a dtype"),
    ("rank_above_limit", one(shape=[1] * 2000, offsets=[0, 4], size=4), "2,000 dimensions"),
    ("metadata_number", text(f'{{"__metadata__":{{"k":1}},"a":{{{PLAIN}}}}}'), "other than text at 'k'"),
    ("metadata_nested", text(f'{{"__metadata__":{{"k":{{"x":[]}}}},"a":{{{PLAIN}}}}}'), "other than text"),
    ("metadata_null_value", text(f'{{"__metadata__":{{"k":null}},"a":{{{PLAIN}}}}}'), "other than text"),
    ("metadata_list", text(f'{{"__metadata__":[],"a":{{{PLAIN}}}}}'), "not a JSON object"),
    ("metadata_text", text(f'{{"__metadata__":"","a":{{{PLAIN}}}}}'), "not a JSON object"),
    ("metadata_zero", text(f'{{"__metadata__":0,"a":{{{PLAIN}}}}}'), "not a JSON object"),
    ("metadata_pairs", text(f'{{"__metadata__":[["k","v"]],"a":{{{PLAIN}}}}}'), "not a JSON object"),
]


def two(first: list[int], second: list[int], size: int) -> bytes:
    """A file of two tensors of 8 bytes at these offsets."""
    entries = {
        name: {"dtype": "F32", "shape": [2], "data_offsets": offsets} for name, offsets in (("a", first), ("b", second))
    }
    return pack(entries, bytes(size))


LAYOUT = [
    ("overlap", two([0, 8], [4, 12], 12), "'b' overlaps"),
    ("same_range", two([0, 8], [0, 8], 8), "overlaps"),
    ("hole", two([0, 8], [16, 24], 24), "'b' begins at byte 16 of the data; byte 8 belongs to none"),
    ("hole_at_start", one(offsets=[8, 16], size=16), "'a' begins at byte 8 of the data; byte 0 belongs to none"),
    ("reversed", one(offsets=[8, 0]), "ends before it begins"),
    ("beyond_the_end", one(shape=[2000], offsets=[0, 8000]), "ends at byte 8,000"),
    ("far_beyond", one(shape=[2**60], offsets=[0, 2**62]), "ends at byte"),
    ("shape_too_large", one(shape=[3]), "needs 12 bytes; its offsets hold 8"),
    ("shape_too_small", one(shape=[1]), "needs 4 bytes; its offsets hold 8"),
    ("scalar_of_two", one(shape=[]), "needs 4 bytes"),
    ("nothing_of_two", one(shape=[0]), "needs 0 bytes"),
    ("more_than_can_be_counted", one(shape=[2**33, 2**33]), "more elements"),
    ("wraps_to_eight", one(shape=[2**62 + 1, 2]), "more elements"),
    ("nothing_of_too_much", one(shape=[2**62, 2**62, 0], offsets=[0, 0], size=0), "more elements"),
    ("unknown_of_too_much", one(dtype="I4", shape=[2**62, 2**62]), "more elements"),
    ("half_a_byte", one(dtype="F4", shape=[3], offsets=[0, 2], size=2), "whole bytes"),
]

OTHER_FILES = [
    ("git_lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
    ("web_page", b"<!DOCTYPE html><html>Not Found</html>", "web page"),
    ("web_page_indented", b"\n  <html><body>login</body></html>", "web page"),
    ("xml", b'<?xml version="1.0"?><Error/>', "XML"),
    ("zip", b"PK\x03\x04" + bytes(60), "zip archive"),
    ("pickle_2", b"\x80\x02}q\x00." + bytes(60), "pickle"),
    ("pickle_4", b"\x80\x04\x95" + bytes(60), "pickle"),
    ("pickle_5", b"\x80\x05\x95" + bytes(60), "pickle"),
    ("gguf", b"GGUF\x03\0\0\0" + bytes(64), "GGUF"),
    ("npy", b"\x93NUMPY\x01\0v\0{'descr'" + bytes(64), "NumPy"),
    ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    ("gzip", b"\x1f\x8b\x08\x00" + bytes(64), "gzip"),
    ("python", b"import torch\nnet = torch.nn.Linear(1, 1)\n", "text file"),
    ("json", b'{"a": 1}', "text file"),
    ("zeros", bytes(64), "brace"),
    ("noise", bytes(range(200, 256)), "limit"),
]


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def unreadable(path: Path) -> None:
    path.write_bytes(SMALL)
    path.chmod(0)


def bind_socket(path: Path) -> None:
    """A socket's own path may have 108 bytes at most: bind it by a short name from its folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


PATHS: list[tuple[str, Callable[[Path], None], str]] = [
    ("missing", lambda path: None, "no such file"),
    ("empty_folder", lambda path: path.mkdir(), "no .safetensors file"),
    ("pipe", lambda path: os.mkfifo(path), "a pipe"),
    ("socket", bind_socket, "a socket"),
    ("link_to_itself", lambda path: path.symlink_to(path.name), "circle"),
    ("link_to_nothing", link_to("nowhere/at/all"), "no such file"),
    ("device_zero", link_to("/dev/zero"), "a device"),
    ("device_null", link_to("/dev/null"), "a device"),
]
if os.geteuid() != 0:  # the superuser may read anything
    PATHS.append(("no_permission", unreadable, "permission"))

NAMES = {
    "colour": "\x1b[31mred.weight",
    "clear_screen": "\x1b[2J\x1b[Hpwned.weight",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07.weight",
    "hyperlink": "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07.weight",
    "title": "\x1b]0;pwned\x07.weight",
    "c1_control": "\x9b31mred.weight",
    "device_control": "\x1bP$q\x1b\\.weight",
    "line_break": "line1\nline2.weight",
    "carriage_return": "aaaa\rbbbb.weight",
    "tab": "a\tb.weight",
    "nul": "a\0b.weight",
    "bell": "\x07.weight",
    "right_to_left": "\u202egnp.weight\u202c",
    "isolate": "\u2066abc\u2069.weight",
    "emoji": "👩‍👩‍👧‍👦.weight",
    "wide": "卷积层.weight",
    "combining": "e" + "\u0301" * 200 + ".weight",
    "zero_width": "a\u200bb.weight",
    "markup": "[red]x.weight",
    "markup_unclosed": "[bold.weight",
    "markup_closing": "[/]x.weight",
    "markup_action": "[@click=app.quit]x[/].weight",
    "brackets": "layers[0].weight",
    "backslash": "a\\[b].weight",
    "long": "x" * 10_000 + ".weight",
    "deep": ".".join("abcdefghij" * 200) + ".weight",
    "dots": "...",
    "dot_first": ".weight",
    "slashes": "../../etc/passwd",
    "space": " ",
    "format": "%s%n{0}{x}.weight",
    "empty": "",
    "leaf_and_branch": "a.b",
}

SOUND = [
    ("small", SMALL, ""),
    ("no_tensors", text("{}", 0), ""),
    ("only_metadata", text('{"__metadata__":{"format":"pt"}}', 0), ""),
    ("metadata_null", text(f'{{"__metadata__":null,"a":{{{PLAIN}}}}}'), ""),
    ("unknown_field", text(f'{{"a":{{{PLAIN},"stride":[1]}}}}'), ""),
    ("other_order", text('{"a":{"data_offsets":[0,8],"shape":[2],"dtype":"F32"}}'), ""),
    ("trailing_spaces", text(f'{{"a":{{{PLAIN}}}}}  \n'), ""),
    ("length_like_a_pickle", text(f'{{"a":{{{PLAIN}}}}}'.ljust(640)), ""),
    ("length_like_a_text", text(f'{{"a":{{{PLAIN}}}}}'.ljust(0x2020)), ""),
    ("unaligned", sound({"b": ("U8", [3]), "a": ("F32", [2])}), ""),
    ("entries_shuffled", two([8, 16], [0, 8], 16), ""),
    ("zero_size", sound({"a": ("F32", [0, 5]), "b": ("F32", [1])}), ""),
    ("zero_size_named_last", sound({"b": ("F32", [0]), "a": ("F32", [1])}), ""),
    ("scalar", sound({"a": ("I64", [])}), ""),
    ("rank_65", one(shape=[1] * 65, offsets=[0, 4], size=4), ""),
    ("name_that_is_a_word_of_the_format", one(name="data_offsets"), ""),
    *((f"type_{dtype}", sound({"a": (dtype, [2, 4])}), "") for dtype in DTYPES),
    *((f"unknown_{word}", one(dtype=word), f"type {word!r}, which is not known") for word in ("I4", "Q4_K", "f32", "")),
    *((f"name_{word}", one(name=name), "") for word, name in NAMES.items()),
    ("all_names", sound({name: ("F16", [1]) for name in [*NAMES.values(), "a.b.weight"]}), ""),
    ("metadata_escapes", sound({}, {"\x1b[31mk": "\x1b]52;c;aGk=\x07[red]v[/nope]"}), ""),
]


def rows() -> Iterator[Fault]:
    """Every row of the tables above."""
    for table in (CUT_OFF, JSON_FAULTS, DUPLICATES, ENTRIES, LAYOUT, OTHER_FILES):
        for name, content, words in table:
            yield Fault(name, partial(_write, content), FormatError, words)
    for name, make, words in PATHS:
        yield Fault(name, make, FileError, words)
    for name, content, words in SOUND:
        yield Fault(name, partial(_write, content), None, words)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


FAULTS = list(rows())
