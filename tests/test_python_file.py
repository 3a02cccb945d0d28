"""Code and specs as files of their own: opened without running a line, edited, and saved into what they came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_cli import run
from user import SAMPLES, user_of

import seqtui
from seqtui.errors import FileChangedError, FileError, FormatError
from seqtui.formats import open_model
from seqtui.formats.source_code import source_code
from seqtui.model.edits import parse_edit
from seqtui.model.spec_json import MAX_BYTES
from seqtui.model.tensors import NewTensor
from seqtui.workspace import Workspace

CODE = """\
from torch import nn

input_shape = (1, 4)

net = nn.Sequential(
    nn.Linear(4, 6),
    nn.ReLU(),
    nn.Linear(6, 2),
)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


def do(workspace: Workspace, line: str) -> None:
    edit = parse_edit(line)
    assert edit is not None
    workspace.do(edit)


def test_code_is_a_model_whose_weights_are_still_to_be_made(code: Path) -> None:
    opened = open_model(str(code))
    assert opened.format == "python"
    assert source_code(opened.model) == CODE
    tensors = [tensor for _, layer in opened.model.walk() for tensor in layer.tensors]
    assert [tensor.shape for tensor in tensors] == [(6, 4), (6,), (2, 6), (2,)]
    assert all(isinstance(tensor.ref, NewTensor) for tensor in tensors)
    assert open_model(str(code)).model == opened.model


def test_code_of_every_sample_opens_as_the_sample(tmp_path: Path) -> None:
    for sample in sorted(SAMPLES.glob("*.safetensors")):
        opened = open_model(str(sample))
        opened.close()
        path = tmp_path / f"{sample.stem}.py"
        path.write_text(source_code(opened.model))
        assert source_code(open_model(str(path)).model) == path.read_text()


def test_weights_of_another_type_and_shared_ones(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\nfrom torch import nn\n"
        "net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).to(torch.float16)\n"
        'net.get_submodule("1").weight = net.get_submodule("0").weight\n'
    )
    first, second = open_model(str(path)).model.layers
    assert first.tensors[0].dtype == "F16"
    assert second.tensors[0].ref == first.tensors[0].ref
    assert second.tensors[1].ref != first.tensors[1].ref


def test_saved_as_safetensors_it_has_weights_and_goes_on_from_there(code: Path, tmp_path: Path) -> None:
    workspace = Workspace(open_model(str(code)))
    workspace.save(str(tmp_path / "net.safetensors"))
    assert not workspace.is_changed
    assert workspace.opened.format == "safetensors"
    workspace.close()
    assert load_file(tmp_path / "net.safetensors")["2.weight"].shape == (2, 6)
    net = seqtui.load_sequential(tmp_path / "net.safetensors")
    assert len(net) == 3
    assert code.read_text() == CODE


def test_saved_into_its_own_file_the_edits_count_as_saved(code: Path) -> None:
    workspace = Workspace(open_model(str(code)))
    do(workspace, "set 0 out_features=8")
    do(workspace, "set 2 in_features=8")
    assert workspace.is_changed
    assert workspace.save().path == str(code)
    assert code.read_text() == CODE.replace("6", "8")
    assert not workspace.view.is_changed
    workspace.undo()
    assert workspace.is_changed
    workspace.save()
    assert "nn.Linear(4, 8)" in code.read_text()
    workspace.close()


def test_a_file_that_somebody_changed_meanwhile_is_not_overwritten(code: Path) -> None:
    workspace = Workspace(open_model(str(code)))
    do(workspace, "remove 1")
    code.write_text(CODE + "\n\n")
    with pytest.raises(FileChangedError):
        workspace.save()
    assert code.read_text() == CODE + "\n\n"
    workspace.save(is_sure=True)
    assert "ReLU" not in code.read_text()


def test_an_export_to_another_file_leaves_the_edits_unsaved(code: Path, tmp_path: Path) -> None:
    workspace = Workspace(open_model(str(code)))
    do(workspace, "remove 1")
    workspace.save(str(tmp_path / "other.py"))
    workspace.save(str(tmp_path / "other.json"))
    assert workspace.view.is_changed
    assert workspace.opened.path == str(code)
    assert source_code(open_model(str(tmp_path / "other.json")).model) == (tmp_path / "other.py").read_text()


def test_reading_again_follows_the_file(code: Path) -> None:
    workspace = Workspace(open_model(str(code)))
    code.write_text(CODE.replace("ReLU", "Tanh"))
    workspace.reload()
    assert workspace.view.model.layer("1").kind == "Tanh"


# What is refused


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"import os\n", "line 1: an import that is not torch's"),
        (b"from torch import nn\nnet = nn.Sequential(\n", "line 2: this is not Python"),
        (b"", "there is no nn.Sequential in it"),
        (b"\xff\xfe\x00", "this is no text in UTF-8"),
        (b"#" * (MAX_BYTES + 1), "the limit for code is"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_file(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "net.py"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        open_model(str(path))
    assert sentence in caught.value.message
    assert caught.value.file == str(path)


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '{"model_type": "bert"}', "{", '{"seqtui": 99}'])
def test_other_json_is_no_spec(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="this is no spec of a model"):
        open_model(str(path))


def test_a_folder_and_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no such file"):
        open_model(str(tmp_path / "none.py"))


def test_nothing_of_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{CODE}")
    with pytest.raises(FormatError, match="line 1"):
        open_model(str(path))
    assert not (tmp_path / "ran").exists()


# On the command line and on the screen


def test_summary_and_edit_on_the_command_line(code: Path, tmp_path: Path) -> None:
    done = run("summary", code)
    assert done.returncode == 0
    assert re.search(r"Linear 4→6 +1×6 +30", done.stdout)
    assert "the file holds no weights" in done.stdout
    done = run("edit", code, "-e", "set 0 out_features=9", "-e", "fix", "--in-place")
    assert done.returncode == 0, done.stderr
    assert "nn.Linear(9, 2)" in code.read_text()
    done = run("edit", code, "-e", "remove 1", "-o", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert sorted(load_file(tmp_path / "out.safetensors")) == ["0.bias", "0.weight", "1.bias", "1.weight"]


async def test_the_screens_open_edit_and_save_code(code: Path) -> None:
    async with user_of(code) as user:
        assert user.rows() == ["", "0", "1", "2"]
        await user.press("j", "j", "d")
        assert "+" in user.screen()[0]
        await user.press("ctrl+s")
        await user.until(lambda: "ReLU" not in code.read_text())
        await user.until(lambda: " +" not in user.screen()[0])
        await user.press("4")
        await user.sees("nn.Linear(6, 2),")
        await user.press("1", "2")


COMMENTED = f'''"""Of my own."""
LR = 0.1
{CODE}  # the end
'''


def test_what_stands_beside_the_layers_is_not_lost_unasked(code: Path) -> None:
    code.write_text(COMMENTED)
    edit = ("edit", code, "-e", "remove 1", "--in-place")
    assert "saving it would lose LR, 1 comment, a docstring" in run(*edit, code=4).stderr
    assert code.read_text() == COMMENTED
    run(*edit, "--force")
    assert "LR" not in code.read_text()
    run("edit", code, "-e", "insert _ ReLU after 0", "--in-place")
    assert code.read_text() == CODE


async def test_a_save_that_would_lose_text_asks_first(code: Path) -> None:
    code.write_text(COMMENTED)
    async with user_of(code) as user:
        await user.press("j", "d", "ctrl+s")
        await user.sees("would lose LR, 1 comment, a", "o overwrite it")
        assert code.read_text() == COMMENTED
        await user.press("o")
        await user.told("written")
    assert "LR" not in code.read_text()
