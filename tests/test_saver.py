"""Saving from the screens: what is asked before torch starts, and what happens to keys while it works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import torch
from safetensors.torch import load_file, save_file
from user import SAMPLES, User, user_of

import seqtui.saving as saving
from seqtui.model.spec import ModelSpec
from seqtui.saving import Saved, Sources, Target

torch.set_num_threads(1)


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Saves begin to write once this is set."""
    may_go_on = Event()
    save_model = saving.save_model

    def waiting(model: ModelSpec, sources: Sources, target: Target) -> Saved:
        assert may_go_on.wait(30)
        return save_model(model, sources, target)

    monkeypatch.setattr(saving, "save_model", waiting)
    yield may_go_on
    may_go_on.set()


def is_torch_up(user: User) -> bool:
    """Whether torch's process was ever asked for."""
    return user.app.workspace._engine is not None


def overwrite_in_place(file: Path) -> None:
    """Other numbers into the very file, as `cp` writes them."""
    tensors = load_file(file)
    other = file.with_suffix(".other")
    save_file({name: torch.ones_like(tensor) for name, tensor in tensors.items()}, other, metadata(file))
    file.write_bytes(other.read_bytes())


def metadata(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return dict(opened.metadata())


async def test_a_file_in_the_way_is_known_while_its_name_is_typed_and_asked_for_at_once(
    lenet: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    shutil.copy(SAMPLES / "article_cnn.safetensors", other)
    async with user_of(lenet) as user:
        await user.command("insert bn1 BatchNorm2d after conv1")
        await user.press("colon")
        await user.type(f"w {other}")
        await user.sees("it exists already; enter asks whether to overwrite it")
        await user.press("enter")
        await user.sees("it exists already", "o overwrite it")
        assert not is_torch_up(user)
        await user.press("escape")
        assert other.read_bytes() == (SAMPLES / "article_cnn.safetensors").read_bytes()
        await user.command(f"w {other}")
        await user.sees("o overwrite it")
        await user.press("o")
        await user.told("is written")
        assert "bn1.weight" in load_file(other)


async def test_a_new_model_hears_of_a_folder_that_is_not_there_before_enter(tmp_path: Path) -> None:
    from seqtui.formats.opened import OpenedModel
    from seqtui.templates import template_model
    from seqtui.tui.app import SeqtuiApp
    from seqtui.workspace import Workspace

    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(b"somebody's")
    app = SeqtuiApp(Workspace(OpenedModel(template_model("mlp"), {}, "", "safetensors")))
    async with app.run_test(size=(80, 24)) as pilot:
        user = User(app, pilot)
        await user.press("ctrl+s")
        await user.sees("save as model.safetensors")
        await user.type("/absent/net.safetensors")  # in place of the name that is proposed
        await user.sees("save as /absent/net.safetensors", "there is no folder /absent")
        await user.press("enter")
        await user.sees("save as")
        await user.press("ctrl+u")
        await user.type(str(taken))
        await user.sees("it exists already; enter asks")
        await user.press("enter")
        await user.sees("o overwrite it")
        assert not is_torch_up(user)
        await user.press("escape")
    assert taken.read_bytes() == b"somebody's"


async def test_an_edit_during_a_save_is_refused_for_the_moment(lenet: Path, gate: Event) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d", "ctrl+s", "d")
        await user.told("is being saved: try again in a moment")
        await user.press("ctrl+s")
        gate.set()
        await user.until(lambda: not user.app.workspace.is_changed)
        await user.press("d")
        assert user.rows()[1] == "pool1"


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quitting_during_a_save_waits_for_it(lenet: Path, gate: Event, key: str) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d", "ctrl+s", key)
        await user.told("seqtui quits when that is done. q again quits now")
        user.sees_not("d discard")
        gate.set()
        await user.until(lambda: not user.app.is_running)
    assert "conv1.weight" not in load_file(lenet)


async def test_quitting_during_a_save_that_fails_stays(lenet: Path, gate: Event) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d", "ctrl+s", "q")
        await user.told("seqtui quits when that is done. q again quits now")
        lenet.unlink()
        lenet.mkdir()
        gate.set()
        await user.sees("o overwrite it")
        assert user.app.is_running
        await user.press("escape", "G")
        assert user.at == "fc3"


async def test_a_question_after_torch_has_worked_takes_no_key_that_is_being_typed(lenet: Path, gate: Event) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d", "ctrl+s")
        shutil.copy(SAMPLES / "article_cnn.safetensors", lenet.with_suffix(".new"))
        lenet.with_suffix(".new").replace(lenet)
        gate.set()
        await user.sees("somebody changed it since it was opened")
        user.sees_not("o overwrite it")
        await user.press("o", "o")
        await user.sees("o overwrite it")
        assert lenet.read_bytes() == (SAMPLES / "article_cnn.safetensors").read_bytes()


async def test_of_a_file_that_was_written_into_the_edits_are_kept(lenet: Path, tmp_path: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        await user.command("set fc3 out_features=5")
        overwrite_in_place(lenet)
        await user.press("ctrl+s")
        await user.sees("somebody wrote into it", "`:recipe FILE` keeps the edits", "r read the file again")
        user.sees_not("overwrite")
        await user.press("escape")
        await user.command(f"w {tmp_path}/elsewhere.safetensors")
        await user.sees("r read the file again and do the edits there")
        await user.press("r")
        await user.until(lambda: user.done() == ["remove tanh1\nset fc3 out_features=5"])
        await user.press("ctrl+s")
        await user.told("is written")
    tensors = load_file(lenet)
    assert torch.equal(tensors["conv1.weight"], torch.ones(6, 1, 5, 5))
    assert torch.equal(tensors["fc3.weight"], torch.ones(5, 84))


async def test_edits_that_do_not_fit_what_was_written_are_not_lost(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        lenet.write_bytes((SAMPLES / "article_cnn.safetensors").read_bytes())
        await user.press("ctrl+s")
        await user.sees("r read the file again")
        await user.press("r")
        await user.told("Nothing is read again: remove tanh1")
        assert user.done() == ["remove tanh1"]
