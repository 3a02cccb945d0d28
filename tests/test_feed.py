"""What a model is fed, judged by torch, numpy and Pillow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import edited, subject_of
from torch import nn

import seqtui
from seqtui.engine.feed import fed
from seqtui.engine.requests import Feed
from seqtui.errors import FileError, FormatError, OutOfMemoryError, SeqtuiError, UsageError
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec

torch.set_num_threads(1)


def model_fed(*shape: int, dtype: str = "float32", layers: tuple[LayerSpec, ...] = ()) -> ModelSpec:
    return ModelSpec(LayerSpec("", "Sequential", layers=layers), (InputSpec("input", shape, dtype),))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Drawn and constant


@pytest.mark.parametrize("dtype", ["", "float64", "bfloat16", "float16"])
def test_normal_numbers_are_those_of_the_seed_in_every_type(dtype: str) -> None:
    given = fed(model_fed(2, 3), Feed(seed=9), dtype)
    judged = torch.randn(2, 3, generator=generator(9)).to(getattr(torch, dtype or "float32"))
    assert torch.equal(given.tensor, judged)
    assert given.tensor.dtype == judged.dtype
    assert given.words == "normal 2×3, seed 9"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_zeros_and_ones(dtype: str) -> None:
    zeros, ones = (fed(model_fed(2, 3, dtype=dtype), Feed(form)) for form in ("zeros", "ones"))
    assert torch.equal(zeros.tensor, torch.zeros(2, 3, dtype=getattr(torch, dtype)))
    assert torch.equal(ones.tensor, torch.ones(2, 3, dtype=getattr(torch, dtype)))
    assert (zeros.words, ones.words) == ("zeros 2×3", "ones 2×3")


EMBEDDING = LayerSpec("e", "Embedding", {"num_embeddings": 700, "embedding_dim": 2})


@pytest.mark.parametrize(
    ("layers", "dtype", "limit"),
    [
        ((EMBEDDING,), "int64", 700),
        ((LayerSpec("d", "Dropout"), LayerSpec("b", "Sequential", layers=(EMBEDDING,))), "int32", 700),
        ((LayerSpec("l", "Linear", {"in_features": 1}, enabled=False), EMBEDDING), "int64", 700),
        ((LayerSpec("b", "EmbeddingBag", {"num_embeddings": 5, "embedding_dim": 2}),), "int64", 5),
        ((EMBEDDING,), "uint8", 255),
        ((LayerSpec("r", "ReLU"), EMBEDDING), "int64", 2),
        ((), "int64", 2),
        ((), "bool", 2),
    ],
)
def test_integers_stay_below_what_the_embedding_has(layers: tuple[LayerSpec, ...], dtype: str, limit: int) -> None:
    given = fed(model_fed(40, 50, dtype=dtype, layers=layers), Feed(seed=4))
    judged = torch.randint(limit, (40, 50), generator=generator(4)).to(getattr(torch, dtype))
    assert torch.equal(given.tensor, judged)
    assert given.words == f"integers below {limit}, 40×50, seed 4"


def test_a_type_to_run_in_leaves_integers_alone() -> None:
    assert fed(model_fed(2, 3, dtype="int64"), Feed(), "bfloat16").tensor.dtype == torch.int64


def test_on_meta_nothing_is_drawn_or_read() -> None:
    given = fed(model_fed(2**20, 2**20), Feed("file", "/nowhere"), is_meta=True)
    assert (given.tensor.is_meta, tuple(given.tensor.shape)) == (True, (2**20, 2**20))


def test_an_input_that_is_too_large_is_a_sentence() -> None:
    with pytest.raises(OutOfMemoryError, match="an input of 33554432×33554432 does not fit into memory"):
        fed(model_fed(2**25, 2**25), Feed())


# Arrays


def array_file(folder: Path, array: object) -> Feed:
    path = folder / "batch.npy"
    np.save(path, array)  # type: ignore[arg-type]  # numpy's stub asks for an array; what is none is a test of its own
    return Feed("file", str(path))


@pytest.mark.parametrize(
    ("array", "dtype", "expected"),
    [
        (np.arange(12.0).reshape(4, 3), "", torch.float32),
        (np.arange(12.0, dtype=">f4").reshape(4, 3), "bfloat16", torch.bfloat16),
        (np.asfortranarray(np.arange(12, dtype=np.float16).reshape(4, 3)), "float64", torch.float64),
        (np.arange(12.0).reshape(3, 4).T, "", torch.float32),
    ],
)
def test_a_batch_is_taken_as_it_is_in_the_type_of_the_run(
    array: np.ndarray[tuple[int, ...], np.dtype[np.floating]], dtype: str, expected: torch.dtype, tmp_path: Path
) -> None:
    feed = array_file(tmp_path, array)
    given = fed(model_fed(1, 3), feed, dtype)
    assert given.tensor.dtype == expected
    assert given.tensor.tolist() == array.tolist()
    assert given.words == f"{feed.path} 4×3"


@pytest.mark.parametrize(
    ("own", "wanted", "expected"),
    [
        ("int32", "int64", torch.int64),
        ("uint8", "int64", torch.int64),
        ("uint16", "int32", torch.int32),
        ("int64", "int32", torch.int64),
        ("uint64", "int64", torch.uint64),
        ("int8", "uint8", torch.int8),
        ("bool", "bool", torch.bool),
    ],
)
def test_integers_are_brought_to_a_type_that_has_room_for_them(
    own: str, wanted: str, expected: torch.dtype, tmp_path: Path
) -> None:
    array = np.array([[1, 0, 1]], dtype=own)
    given = fed(model_fed(1, 3, dtype=wanted, layers=(EMBEDDING,)), array_file(tmp_path, array))
    assert given.tensor.dtype == expected
    assert given.tensor.tolist() == [[1, 0, 1]]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="it is a pipe, and what is fed is read more than once"):
        fed(model_fed(1, 3), Feed("file", str(tmp_path / "pipe")))


@pytest.mark.parametrize(
    ("array", "error", "sentence"),
    [
        (np.zeros((28, 28)), UsageError, "it holds 28×28, the model takes 1×1×28×28"),
        (np.float32(3), UsageError, "it holds scalar, the model takes 1×1×28×28"),
        (np.zeros((1, 1, 28, 28), np.uint8), UsageError, "it holds uint8, the model takes float32"),
        (np.array([{"a": 1}]), FormatError, "it holds no numbers that can be fed: Object arrays cannot be loaded"),
        (np.array(["text"]), FormatError, "it holds no numbers that can be fed: can't convert np.ndarray"),
    ],
)
def test_an_array_that_does_not_fit_is_a_sentence(
    array: object, error: type[SeqtuiError], sentence: str, tmp_path: Path
) -> None:
    feed = array_file(tmp_path, array)
    with pytest.raises(error, match=sentence) as caught:
        fed(model_fed(1, 1, 28, 28), feed)
    assert caught.value.file == feed.path


def test_an_array_that_a_layer_does_not_take_is_a_sentence(tmp_path: Path) -> None:
    layers = (LayerSpec("flat", "Flatten"), LayerSpec("fc", "Linear", {"in_features": 6, "out_features": 2}))
    model = model_fed(1, 2, 3, layers=layers)
    assert fed(model, array_file(tmp_path, np.zeros((5, 3, 2), np.float32))).tensor.shape == (5, 3, 2)
    with pytest.raises(UsageError, match="it holds 1×2×4, and fc takes 6 features, 8 arrive from flat") as caught:
        fed(model, array_file(tmp_path, np.zeros((1, 2, 4), np.float32)))
    assert caught.value.hint == "The model takes 1×2×3."


def test_an_array_that_is_cut_off_is_a_sentence(tmp_path: Path) -> None:
    feed = array_file(tmp_path, np.zeros((4, 3)))
    Path(feed.path).write_bytes(Path(feed.path).read_bytes()[:-5])
    with pytest.raises(FormatError, match="it holds no numbers that can be fed"):
        fed(model_fed(1, 3), feed)


@pytest.mark.parametrize("name", ["missing.npy", "", "a\0b", "."])
def test_a_file_that_cannot_be_read_is_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="it cannot be read: "):
        fed(model_fed(1, 3), Feed("file", f"{tmp_path}/{name}"))


# Images


def image_file(folder: Path, image: Image.Image, name: str = "image.png") -> Feed:
    image.save(folder / name)
    return Feed("file", str(folder / name))


def ramp(mode: str = "L") -> Image.Image:
    """An image of 4 by 2 in which no two pixels are alike."""
    return Image.frombytes("L", (4, 2), bytes(range(0, 240, 30))).convert(mode)


def test_a_grey_image_is_a_batch_of_one_from_0_to_1(tmp_path: Path) -> None:
    given = fed(model_fed(5, 1, 2, 4), image_file(tmp_path, ramp()))
    assert given.tensor.dtype == torch.float32
    assert given.tensor.flatten().tolist() == pytest.approx([value / 255 for value in range(0, 240, 30)])
    assert given.words == f"{tmp_path}/image.png 1×1×2×4"


def test_colours_are_channels(tmp_path: Path) -> None:
    image = Image.frombytes("RGB", (2, 1), bytes([255, 0, 51, 0, 102, 0]))
    given = fed(model_fed(1, 3, 1, 2), image_file(tmp_path, image), "float64")
    assert given.tensor.tolist() == [[[[1.0, 0.0]], [[0.0, pytest.approx(0.4)]], [[pytest.approx(0.2), 0.0]]]]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_any_kind_and_size_is_brought_to_the_input(mode: str, channels: int, tmp_path: Path) -> None:
    image = ramp("L").resize((32, 16)).convert(mode)
    name = "image.tiff" if mode == "CMYK" else "image.png"
    given = fed(model_fed(1, channels, 8, 8), image_file(tmp_path, image, name))
    judged = image.convert({1: "L", 3: "RGB"}[channels]).resize((8, 8), Image.Resampling.BILINEAR)
    rows = np.asarray(judged, np.float32).reshape(8, 8, channels) / 255
    assert torch.allclose(given.tensor[0], torch.from_numpy(rows).permute(2, 0, 1))


def test_an_input_without_a_batch_takes_an_image_too(tmp_path: Path) -> None:
    assert fed(model_fed(1, 2, 4), image_file(tmp_path, ramp())).tensor.shape == (1, 2, 4)


def test_sixteen_bits_are_not_cut_off(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16))
    given = fed(model_fed(1, 1, 1, 3), image_file(tmp_path, image))
    assert given.tensor.flatten().tolist() == pytest.approx([0, 128 / 255, 1])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 784), "float32"), ((1, 2, 8, 8), "float32"), ((1, 3, 8, 8, 8), "float32"), ((1, 1, 8, 8), "int64")],
)
def test_an_input_that_takes_no_image_is_told(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no image") as caught:
        fed(model_fed(*shape, dtype=dtype), image_file(tmp_path, ramp()))
    assert "×".join(map(str, shape)) in caught.value.message


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(30)])
def test_what_is_neither_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FormatError, match=r"it is neither a \.npy batch nor an image: "):
        fed(model_fed(1, 1, 8, 8), Feed("file", str(tmp_path / "x.png")))


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None  # as where it is not installed
from seqtui.engine.feed import fed
from seqtui.engine.requests import Feed
from seqtui.errors import EngineError
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
try:
    fed(ModelSpec(LayerSpec("", "Sequential"), (InputSpec("input", (1, 1, 2, 4)),)), Feed("file", sys.argv[1]))
except EngineError as error:
    print(error.line())
"""


def test_without_pillow_an_image_is_a_sentence(tmp_path: Path) -> None:
    feed = image_file(tmp_path, ramp())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PILLOW, feed.path], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "Pillow is not installed, and images are read by it alone\n", done.stderr


def test_a_switched_off_embedding_does_not_lead(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Embedding(50, 4), nn.Embedding(9, 4))
    subject = edited(subject_of(net, tmp_path / "net.safetensors", (3, 100), "int64"), "disable 0")
    assert int(fed(subject.model, Feed()).tensor.max()) == 8
    assert seqtui.load(tmp_path / "net.safetensors").layers[0].enabled
