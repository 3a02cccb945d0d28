"""What a path leads to: a file whose spec is refused, a file without one, a folder with a model or several."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seqtui.errors import FileError
from seqtui.formats import open_model
from seqtui.model.spec_json import SPEC_KEY

FC = {"fc.weight": torch.zeros(4, 3), "fc.bias": torch.zeros(4)}

# A spec that cannot be read


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{", "the spec in the file is not JSON"),
        ('{"seqtui":99}', "is of version 99, written by a newer seqtui"),
        ('{"seqtui":1,"kind":"Sequential","layers":[{"name":"a","kind":"system"}]}', "torch.nn has none"),
    ],
)
def test_a_spec_that_is_refused_leaves_the_weights_and_a_note(tmp_path: Path, spec: str, words: str) -> None:
    path = tmp_path / "model.safetensors"
    metadata = {SPEC_KEY: spec, "format": "pt"}
    save_file(FC, path, metadata)
    model = open_model(str(path))
    model.close()
    assert words in " ".join(model.notes)
    assert {info.name: info.shape for info in model.model.layer("fc").tensors} == {"weight": (4, 3), "bias": (4,)}
    assert model.model.layer("fc").origin == "guessed"
    assert model.model.metadata == {"format": "pt"}


def test_a_file_without_a_spec_is_guessed_and_its_wrapper_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in FC.items()}, path)
    model = open_model(str(path))
    model.close()
    assert model.prefix == "module."
    assert model.model.layer("fc").kind == "Linear"


# Folders


@pytest.mark.parametrize("name", ["only.safetensors", "ONLY.SAFETENSORS"])
def test_a_folder_with_one_model_is_that_model(name: str, tmp_path: Path) -> None:
    save_file(FC, tmp_path / name)
    (tmp_path / "README.md").write_text("hello")
    model = open_model(str(tmp_path))
    model.close()
    assert model.path == str(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "the folder holds no .safetensors file"),
        (["notes.txt"], "the folder holds no .safetensors file"),
        (["a.safetensors", "b.safetensors"], "the folder holds 2 models: a.safetensors, b.safetensors"),
        (
            [f"m-{place}.safetensors" for place in range(9)],
            "m-0.safetensors, m-1.safetensors, m-2.safetensors, m-3.safetensors, m-4.safetensors and 4 more",
        ),
        (
            ["m-1-of-2.safetensors", "m-2-of-2.safetensors", "m.safetensors.index.json"],
            "not read yet: m-1-of-2.safetensors, m-2-of-2.safetensors",
        ),
        (["m.safetensors.index.json"], "not read yet: none is here"),
    ],
)
def test_a_folder_without_the_one_model_is_a_file_error(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileError) as caught:
        open_model(str(tmp_path))
    assert words in caught.value.line()


def test_an_index_names_its_shards(tmp_path: Path) -> None:
    for name in ("m-1-of-2.safetensors", "m-2-of-2.safetensors", "m.safetensors.index.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(FileError, match=r"m-1-of-2\.safetensors, m-2-of-2\.safetensors"):
        open_model(str(tmp_path / "m.safetensors.index.json"))


def test_no_file_stays_open_after_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with pytest.raises(Exception, match="zip archive"):
            open_model(str(path))
    assert len(os.listdir("/dev/fd")) == before
