"""The header reader that only says yes: whatever it reads, the strict one reads the same."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from faults import FAULTS, Fault, pack, sound
from hypothesis import given
from hypothesis import strategies as st

from seqtui.errors import FormatError, SeqtuiError
from seqtui.formats import safetensors_header
from seqtui.formats.byte_source import FileSource
from seqtui.formats.canonical_header import read_canonical
from seqtui.formats.safetensors_header import Header, read_header
from seqtui.model.tensors import DTYPES


def both(path: Path) -> tuple[Header | None, Header | str]:
    """What the bulk reader alone says of a file, and what the strict one alone says."""
    source = FileSource(str(path))
    size = source.size
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8]) if size >= 8 else (0,)
    try:
        text = content[8 : 8 + length].decode()
        usual = read_canonical(text, size - 8 - length) if 8 + length <= size else None
    except UnicodeDecodeError:
        usual = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors_header, "read_canonical", lambda *_: None)
        try:
            strict: Header | str = read_header(source)
        except FormatError as error:
            strict = error.message
    source.close()
    return Header(usual[1], 8 + length, usual[0], ()) if usual else None, strict


@pytest.mark.parametrize("fault", list(FAULTS), ids=lambda fault: fault.name)
def test_no_fault_is_taken_for_sound(fault: Fault, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    fault.make(path)
    try:
        FileSource(str(path)).close()
    except SeqtuiError:
        return  # no file to read a header of
    usual, strict = both(path)
    assert usual is None or usual == strict


NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
TENSORS = st.dictionaries(
    NAMES.filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(sorted(DTYPES)), st.lists(st.sampled_from([0, 1, 2, 8]), max_size=3)),
    max_size=4,
)


@given(TENSORS, st.none() | st.dictionaries(NAMES, NAMES, max_size=3))
def test_both_readers_agree_on_sound_files(
    tmp_path_factory: pytest.TempPathFactory,
    tensors: dict[str, tuple[str, list[int]]],
    metadata: dict[str, str] | None,
) -> None:
    path = tmp_path_factory.mktemp("sound") / "file.safetensors"
    path.write_bytes(sound(tensors, metadata))
    usual, strict = both(path)
    assert usual is None or usual == strict


def test_what_every_writer_writes_is_read_in_bulk(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(sound({"a.weight": ("F32", [2, 3]), "b": ("BF16", []), "é": ("I64", [0, 4])}, {"format": "pt"}))
    usual, strict = both(path)
    assert usual is not None
    assert usual == strict
    assert list(usual.tensors["a.weight"]) == ["a.weight", "F32", (2, 3), 24, None]
    assert usual.metadata == {"format": "pt"}


ENTRY = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
NEXT = '"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}'


@pytest.mark.parametrize(
    "text",
    [
        "{" + ENTRY + ",}",
        "{" + ENTRY + NEXT + "}",
        "{," + ENTRY + NEXT + "}",
        "{" + ENTRY + "x" + NEXT + "}",
        "{" + ENTRY + ", " + NEXT + "}",
        "{" + ENTRY + "," + ENTRY.replace("[0,8]", "[8,16]") + "}",
        "{" + NEXT + "," + ENTRY + "}",
        "{" + ENTRY + "},{" + NEXT + "}",
        "{" + ENTRY.replace("[2]", "[02]") + "}",
        "{" + ENTRY.replace("[2]", "[2,]") + "}",
        "{" + ENTRY.replace("[2]", "[3]") + "}",
        "{" + ENTRY.replace("[0,8]", "[8,0]") + "}",
        "{" + ENTRY.replace('"a"', '"__metadata__"') + "}",
        "{" + ENTRY.replace('"F32"', '"F33"') + "}",
        "{" + ENTRY.replace('"a"', '"\\u0061"') + "}",
        '{"__metadata__":{"k":1},' + ENTRY + "}",
        '{"__metadata__":{"k":"1","k":"2"},' + ENTRY + "}",
        '{"__metadata__":{"k":"\\ud800"},' + ENTRY + "}",
        '{"__metadata__":{}' + ENTRY + "}",
        '{"__metadata__":[],' + ENTRY + "}",
        '{"__metadata__":{"k":"1"}}',
        "{}",
        "",
    ],
)
def test_anything_unusual_is_left_to_the_strict_reader(text: str) -> None:
    assert read_canonical(text, 12 if '"b"' in text else 8) is None


def test_a_header_that_is_json_and_usual_in_all_but_spaces_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    path.write_bytes(pack(json.dumps(header).encode(), bytes(8)))
    usual, strict = both(path)
    assert usual is None
    assert isinstance(strict, Header)
