"""safetensors files, read and written. The library of that name is the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from faults import FAULTS, NAMES, SMALL, Fault, pack, sound

from seqtui.errors import FileError, FormatError
from seqtui.formats import open_model
from seqtui.formats.byte_source import FileSource, Stamp
from seqtui.formats.safetensors import SafetensorsFile, TensorData, stored, write_safetensors
from seqtui.formats.safetensors_header import MAX_HEADER
from seqtui.model.tensors import DTYPES, TensorInfo


class CountingSource:
    """A file that notes what is read of it."""

    def __init__(self, path: Path) -> None:
        self._file = FileSource(str(path))
        self.name, self.size, self.stamp = self._file.name, self._file.size, self._file.stamp
        self.reads: list[tuple[int, int]] = []
        """(offset, bytes) of every read so far."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.reads.append((offset, buffer.nbytes))
        self._file.read_into(offset, buffer)

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], SafetensorsFile]]:
    """Opens a file of these bytes, and closes it in the end."""
    files: list[SafetensorsFile] = []

    def open_bytes(content: bytes) -> SafetensorsFile:
        path = tmp_path / f"{len(files)}.safetensors"
        path.write_bytes(content)
        files.append(SafetensorsFile.open(str(path), "file"))
        return files[-1]

    yield open_bytes
    for file in files:
        file.close()


def content_of(file: SafetensorsFile, name: str) -> bytes:
    buffer = bytearray(file.tensors[name].nbytes)
    file.read_into(name, 0, memoryview(buffer))
    return bytes(buffer)


def data(name: str, dtype: str, shape: tuple[int, ...], content: bytes = b"") -> TensorData:
    content = content or bytes(int(np.prod(shape, dtype=int)) * DTYPES[dtype].bits // 8)
    return TensorData(TensorInfo(name, dtype, shape, len(content)), lambda: (content,))


# Damaged files


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_file_opens_or_is_refused_in_one_safe_line(fault: Fault, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    fault.make(path)
    if fault.error is None:
        opened = open_model(str(path))
        opened.close()
        assert fault.words in " ".join(opened.notes)
        return
    with pytest.raises(fault.error) as caught:
        open_model(str(path))
    line = caught.value.line()
    assert type(caught.value) is fault.error
    assert fault.words in line
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    assert len(line) < len(str(path)) + 200


def test_there_are_faults_by_the_hundred() -> None:
    assert len(FAULTS) > 130
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_git_lfs_pointer_comes_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(FormatError) as caught:
        open_model(str(path))
    assert "git lfs pull" in caught.value.hint


def test_a_torch_checkpoint_comes_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(FormatError, match="not read yet") as caught:
        open_model(str(path))
    assert "save_file(torch.load(" in caught.value.hint


# Round trips

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "half": np.linspace(-1, 1, 5, dtype=np.float16),
    "double": np.array([[1e300], [-0.0]]),
    "flags": np.array([True, False, True]),
    "count": np.array(7, dtype=np.int64),
    "small": np.arange(-3, 3, dtype=np.int8),
    "bytes": np.arange(3, dtype=np.uint8),
    "wide": np.array([2**63], dtype=np.uint64),
    "complex": np.array([1 + 2j], dtype=np.complex64),
    "nothing": np.zeros((0, 4), dtype=np.float32),
    **{name: np.full(2, place, dtype=np.int32) for place, name in enumerate(NAMES.values())},
}
WORDS = {np.dtype(dtype.torch): dtype.name for dtype in DTYPES.values() if hasattr(np, dtype.torch) and dtype.bits > 8}
WORDS |= {np.dtype("bool"): "BOOL", np.dtype("int8"): "I8", np.dtype("uint8"): "U8"}


@pytest.mark.parametrize("metadata", [None, {}, {'"é\\': "\n\x01\x7f\u2028😀"}])
def test_what_we_write_is_byte_for_byte_what_the_library_writes(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "ours.safetensors"
    tensors = [data(name, WORDS[array.dtype], array.shape, array.tobytes()) for name, array in ARRAYS.items()]
    write_safetensors(str(path), reversed(tensors), metadata)
    assert path.read_bytes() == safetensors.numpy.save(ARRAYS, metadata)


def test_tensors_of_every_type_stand_in_the_library_s_order(tmp_path: Path) -> None:
    tensors = {
        dtype.name: torch.zeros(4, dtype=torch.uint8).view(getattr(torch, dtype.torch))
        for dtype in DTYPES.values()
        if dtype.torch and dtype.bits == 8
    } | {
        dtype.name: torch.zeros(2, dtype=getattr(torch, dtype.torch))
        for dtype in DTYPES.values()
        if dtype.torch and dtype.bits > 8
    }
    ours = [data(name, name, tuple(tensor.shape)) for name, tensor in tensors.items()]
    write_safetensors(str(tmp_path / "ours.safetensors"), ours)
    assert (tmp_path / "ours.safetensors").read_bytes() == safetensors.torch.save(tensors)


def test_what_the_library_writes_is_read_to_the_byte(opened: Callable[[bytes], SafetensorsFile]) -> None:
    tensors = {
        "brain": torch.linspace(-3, 3, 7).bfloat16(),
        "eight": torch.arange(4).to(torch.float8_e4m3fn),
        "flag": torch.tensor(True),
        "none": torch.zeros(3, 0, dtype=torch.int16),
        "rows": torch.arange(6.0).reshape(2, 3),
    }
    file = opened(safetensors.torch.save(tensors, {"format": "pt"}))
    assert file.metadata == {"format": "pt"}
    assert {name: info.shape for name, info in file.tensors.items()} == {n: tuple(t.shape) for n, t in tensors.items()}
    for name, tensor in tensors.items():
        assert DTYPES[file.tensors[name].dtype].torch == str(tensor.dtype).removeprefix("torch.")
        assert content_of(file, name) == tensor.flatten().view(torch.uint8).numpy().tobytes()


def test_a_copy_of_every_tensor_is_the_same_file(tmp_path: Path, opened: Callable[[bytes], SafetensorsFile]) -> None:
    content = safetensors.numpy.save({**ARRAYS, "large": np.arange(700_000, dtype=np.float32)}, {"k": "v"})
    file = opened(content)
    copy = tmp_path / "copy.safetensors"
    write_safetensors(str(copy), [stored(file, name) for name in file.tensors], file.metadata)
    assert copy.read_bytes() == content


def test_a_tensor_is_copied_under_another_name(tmp_path: Path, opened: Callable[[bytes], SafetensorsFile]) -> None:
    file = opened(safetensors.numpy.save({"old": np.arange(3)}))
    write_safetensors(str(tmp_path / "new"), [stored(file, "old", "new")])
    assert safetensors.numpy.load_file(tmp_path / "new")["new"].tolist() == [0, 1, 2]


def test_a_type_that_nobody_knows_survives_a_copy(tmp_path: Path, opened: Callable[[bytes], SafetensorsFile]) -> None:
    entries = {"a": {"dtype": "I4", "shape": [8], "data_offsets": [0, 4]}}
    content = pack(entries, b"\x12\x34\x56\x78")
    file = opened(content)
    write_safetensors(str(tmp_path / "copy"), [stored(file, "a")])
    assert (tmp_path / "copy").read_bytes() == content


def test_metadata_keeps_its_order(tmp_path: Path, opened: Callable[[bytes], SafetensorsFile]) -> None:
    metadata = {key: key for key in ["zebra", "yak", "ant", "bee"]}
    write_safetensors(str(tmp_path / "file"), [data("a", "F32", (2,))], metadata)
    assert list(opened((tmp_path / "file").read_bytes()).metadata) == list(metadata)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([data("a", "F32", (2,)), data("a", "F32", (2,))], "'a' cannot be the name"),
        ([data("__metadata__", "F32", (2,))], "cannot be the name"),
        ([TensorData(TensorInfo("a", "F32", (3,), 8), lambda: (bytes(8),))], "is not 8 bytes"),
        ([TensorData(TensorInfo("a", "F32", (2,), 8), lambda: (bytes(4),))], "4 bytes came for 'a', which has 8"),
        ([data("a\ud800", "F32", (2,))], "surrogates not allowed"),
    ],
)
def test_tensors_that_cannot_stand_in_one_file_are_not_written(
    tmp_path: Path, tensors: list[TensorData], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_safetensors(str(tmp_path / "file"), tensors)
    assert list(tmp_path.iterdir()) == []


def test_a_header_above_the_limit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the limit of the format"):
        write_safetensors(str(tmp_path / "file"), [], {"long": "x" * MAX_HEADER})
    assert list(tmp_path.iterdir()) == []


# Reads of a part


def test_a_part_of_a_tensor_is_all_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    numbers = np.arange(1_000_000, dtype=np.int32)
    path.write_bytes(safetensors.numpy.save({"a": numbers, "b": numbers}))
    source = CountingSource(path)
    file = SafetensorsFile(source, "file")
    header_size = path.stat().st_size - 8_000_000
    assert sum(size for _, size in source.reads) < header_size + 128
    source.reads.clear()
    buffer = bytearray(400)
    file.read_into("b", 40_000, memoryview(buffer))
    file.close()
    assert source.reads == [(header_size + 4_000_000 + 40_000, 400)]
    assert buffer == numbers[10_000:10_100].tobytes()


def test_several_threads_read_at_once(opened: Callable[[bytes], SafetensorsFile]) -> None:
    arrays = {f"t{place}": np.full(50_000, place, dtype=np.int32) for place in range(16)}
    file = opened(safetensors.numpy.save(arrays))
    with ThreadPoolExecutor(4) as pool:
        contents = pool.map(lambda name: content_of(file, name), list(arrays) * 4)
    assert list(contents) == [array.tobytes() for array in arrays.values()] * 4


@pytest.mark.parametrize(("start", "size"), [(-1, 4), (45, 4), (0, 49), (49, 0)])
def test_a_range_outside_the_tensor_is_a_value_error(
    opened: Callable[[bytes], SafetensorsFile], start: int, size: int
) -> None:
    with pytest.raises(ValueError, match="which has 48"):
        opened(SMALL).read_into("fc.weight", start, memoryview(bytearray(size)))


def test_an_unknown_name_is_a_key_error(opened: Callable[[bytes], SafetensorsFile]) -> None:
    with pytest.raises(KeyError):
        opened(SMALL).read_into("nobody", 0, memoryview(bytearray(1)))


def test_a_file_that_shrinks_is_an_error_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(100_000)}))
    file = SafetensorsFile.open(str(path), "file")
    with path.open("r+b") as handle:
        handle.truncate(5000)
    with pytest.raises(FormatError, match="ends at byte 5,000") as caught:
        content_of(file, "a")
    file.close()
    assert caught.value.file == str(path)


def test_reading_a_closed_file_is_a_file_error(opened: Callable[[bytes], SafetensorsFile]) -> None:
    file = opened(SMALL)
    file.close()
    with pytest.raises(FileError, match="it was closed"):
        content_of(file, "fc.weight")


def test_the_stamp_is_the_file_s_own(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SMALL)
    file = SafetensorsFile.open(str(path), "file")
    file.close()
    status = path.stat()
    assert file.stamp == Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def test_a_hundred_thousand_tensors_are_all_there(opened: Callable[[bytes], SafetensorsFile]) -> None:
    names = [f"layers.{place // 20}.w{place % 20}.weight" for place in range(100_000)]
    file = opened(sound({name: ("F16", [1, 1]) for name in names}))
    assert list(file.tensors) == names
    assert file.tensors[names[-1]] == TensorInfo(names[-1], "F16", (1, 1), 2)
