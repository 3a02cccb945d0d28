"""What the one mutable object keeps when several things happen at once: saves, edits, reloads, other writers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from user import SAMPLES

import seqtui
from seqtui.errors import EditError, FormatError, SeqtuiError, UsageError
from seqtui.formats import open_model
from seqtui.model.edits import parse_edits
from seqtui.workspace import Workspace

torch.set_num_threads(1)


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


@pytest.fixture
def workspace(lenet: Path) -> Iterator[Workspace]:
    """That LeNet-5, opened as the screens open it."""
    workspace = opened(lenet)
    yield workspace
    workspace.close()


def opened(path: Path) -> Workspace:
    workspace = Workspace(open_model(str(path)))
    workspace.wants_journal = True
    return workspace


def do(workspace: Workspace, *edits: str) -> None:
    for edit in parse_edits(edits):
        workspace.do(edit)


def names(workspace: Workspace) -> list[str]:
    return [layer.name for layer in workspace.model.layers]


def test_while_a_save_runs_nothing_else_touches_the_model(
    workspace: Workspace, lenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = Event(), Event()
    from seqtui import saving

    save = saving.save_model

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert may_go_on.wait(30)
        return save(*arguments)

    monkeypatch.setattr(saving, "save_model", slowly)
    do(workspace, "remove tanh1", "remove tanh2")
    workspace.undo()
    saver = Thread(target=workspace.save, daemon=True)
    saver.start()
    assert begun.wait(30)
    meddling: tuple[Callable[[], object], ...] = (
        lambda: do(workspace, "remove conv1"),
        workspace.undo,
        workspace.redo,
        workspace.save,
        workspace.reload,
    )
    for meddle in meddling:
        with pytest.raises((EditError, UsageError), match="being saved"):
            meddle()
    may_go_on.set()
    saver.join()
    assert not workspace.is_changed
    do(workspace, "remove fc3")
    assert "tanh1" not in names(workspace)
    assert "fc3" not in names(workspace)
    assert "fc3.weight" in load_file(lenet)


def test_a_save_that_fails_leaves_the_model_to_be_edited(workspace: Workspace, tmp_path: Path) -> None:
    do(workspace, "remove tanh1")
    with pytest.raises(SeqtuiError):
        workspace.save(str(tmp_path / "absent" / "net.safetensors"))
    do(workspace, "remove tanh2")
    assert workspace.is_changed


def test_after_a_reload_edits_can_still_be_recovered(lenet: Path) -> None:
    first = opened(lenet)
    do(first, "remove tanh1")
    first.undo()
    shutil.copy(SAMPLES / "article_cnn.safetensors", lenet.with_suffix(".new"))
    lenet.with_suffix(".new").replace(lenet)
    first.reload()
    do(first, "remove relu1")
    first.close()  # as after a crash: nothing was saved

    second = opened(lenet)
    assert len(second.start_journal()) == 1
    second.recover()
    assert names(second) == ["conv1", "pool1", "dropout1", "conv2", "relu2", "pool2", "dropout2"]
    second.close()


def test_a_file_that_was_written_into_is_not_copied_from(workspace: Workspace, lenet: Path, tmp_path: Path) -> None:
    do(workspace, "rename conv1 first")
    other = tmp_path / "other.safetensors"
    data = bytearray(lenet.read_bytes())
    data[-4:] = b"\0\0\0\0"
    lenet.write_bytes(data)  # the same file, other numbers
    with pytest.raises(FormatError, match="somebody wrote into it"):
        workspace.save(str(other))
    assert not other.exists()
    assert workspace.is_changed


def test_a_second_session_saves_elsewhere_and_edits_that(lenet: Path, tmp_path: Path) -> None:
    first = opened(lenet)
    first.start_journal()
    second = opened(lenet)
    with pytest.raises(EditError, match="nothing can be edited"):
        do(second, "remove tanh1")
    with pytest.raises(UsageError, match="cannot be saved"):
        second.save()
    other = tmp_path / "other.safetensors"
    second.save(str(other))
    do(second, "remove tanh1")
    second.save()
    assert "tanh1" not in [layer.name for layer in seqtui.load(other).layers]
    assert "tanh1" in [layer.name for layer in seqtui.load(lenet).layers]
    first.close()
    second.close()


def test_the_suffix_of_a_file_is_read_in_any_case(workspace: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "X.SAFETENSORS"
    do(workspace, "remove tanh1")
    workspace.save(str(other))
    assert workspace.opened.path == str(other)
    assert not workspace.is_changed
    do(workspace, "remove tanh2")
    workspace.save()
    assert [path for path, _ in seqtui.load(other).walk() if path.startswith("tanh")] == ["tanh3", "tanh4"]


def test_tied_weights_that_are_made_at_a_save_are_made_once(tmp_path: Path) -> None:
    first, last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    last.weight = first.weight
    net = torch.nn.Sequential(first, torch.nn.Tanh(), last)
    path = tmp_path / "tied.safetensors"
    seqtui.save(net, path, input_shape=(1, 4))
    workspace = opened(path)
    do(workspace, "fill 0.weight default seed=3")
    assert workspace.model.layer("2").tied
    workspace.save()
    workspace.close()
    tensors = load_file(path)
    assert not torch.equal(tensors["0.weight"], first.weight)
    assert torch.equal(tensors["0.weight"], tensors["2.weight"])
    parameters = dict(seqtui.load_sequential(path).named_parameters(remove_duplicate=False))
    assert parameters["0.weight"] is parameters["2.weight"]
