"""The question what becomes of the steps of an earlier session, by keys: recovered, discarded, or left for later."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from terminal import Terminal, seqtui
from user import SAMPLES, User, user_of

from seqtui.formats.opened import OpenedModel
from seqtui.templates import template_model
from seqtui.tui.app import SeqtuiApp
from seqtui.workspace import Workspace

CTRL_S = "\x13"


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


@asynccontextmanager
async def user_of_new(template: str) -> AsyncIterator[User]:
    """Someone who has just begun a new model."""
    workspace = Workspace(OpenedModel(template_model(template), {}, "", "safetensors", name=template))
    app = SeqtuiApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        yield User(app, pilot)
    workspace.close()


async def left(path: Path, *keys: str) -> None:
    """A session whose line dropped after some keys."""
    async with user_of(path) as user:
        await user.press(*keys)
        user.app.exit()


async def test_all_steps_are_listed_and_an_undone_one_says_what_it_was(lenet: Path) -> None:
    await left(lenet, "j", "d", *["t"] * 30, "u", "U")
    async with user_of(lenet) as user:
        await user.sees(
            "33 steps unsaved; up and down scroll them",
            "32  undo: ",
            "33  redo: ",
            "r recover",
            "d discard",
            "q leave, keeping them",
        )
        user.sees_not("remove conv1")
        await user.press(*["pageup"] * 4)
        await user.sees(" 1  remove conv1", " 2  disable tanh1")
        user.sees_not("33  redo")
        await user.press("pagedown", "down", "j", "up", "k")
        user.sees_not(" 1  remove conv1")


@pytest.mark.parametrize("key", ["escape", "q", "ctrl+q"])
async def test_whoever_leaves_is_asked_again_next_time(key: str, lenet: Path) -> None:
    await left(lenet, "j", "d")
    async with user_of(lenet) as user:
        await user.sees("1 step unsaved", "r recover")
        await user.press(key)
        await user.until(lambda: not user.app.is_running)
        assert user.app.failure is None
    async with user_of(lenet) as user:
        await user.sees("1 step unsaved", "r recover")
        await user.press("r")
        await user.until(lambda: user.toasts() == ["1 step recovered."])
        assert user.done()[0] == "remove conv1"


async def test_keys_that_are_typed_as_the_question_comes_answer_nothing(lenet: Path) -> None:
    await left(lenet, "j", "d")
    async with user_of(lenet) as user:
        await user.sees("1 step unsaved")
        await user.press("d", "q", "escape")
        await user.sees("1 step unsaved", "r recover")
        await user.press("r")
        await user.until(lambda: user.toasts() == ["1 step recovered."])


async def test_new_models_that_were_left_are_offered_one_by_one() -> None:
    async with user_of_new("lenet5") as first, user_of_new("article_cnn") as second:
        for user in (first, second):
            await user.press("j", "d")
            assert user.done() == ["remove conv1"]
            user.app.exit()
    async with user_of_new("") as user:
        await user.sees("1 step unsaved of article_cnn (new)", "r recover it here", "l later", "d discard")
        await user.press("l")
        await user.sees("1 step unsaved of lenet5 (new)", "r recover it here")
        await user.press("r")
        await user.sees("lenet5 (new)", "tanh1")
        assert user.rows()[1] == "tanh1"
        await user.press("u")
        assert user.rows()[1] == "conv1"
    async with user_of_new("") as user:
        await user.sees("2 steps unsaved of lenet5 (new)", "d discard")
        await user.press("d")
        await user.sees("1 step unsaved of article_cnn (new)", "d discard")
        await user.press("d")
        await user.sees("input shape of the new model")


def test_what_is_undone_after_a_save_outlives_a_kill(lenet: Path) -> None:
    """The real program on a pseudo-terminal: rename, save, undo, edit, killed; then opened again."""
    whole = load_file(lenet)
    with Terminal(seqtui("open", lenet)) as terminal:
        terminal.sees("61,706 parameters", ": command")
        terminal.press("j", "r")
        terminal.sees("rename conv1 to")
        terminal.press("x", "enter")
        terminal.sees("● conv1x")
        terminal.press(CTRL_S)
        terminal.sees("is written")
        terminal.press("u")
        terminal.sees("undone: rename conv1 conv1x")
        terminal.press("j", "d")
        terminal.sees("Sequential, 12 layers")
        terminal.process.kill()
        terminal.process.wait()
    assert "conv1x.weight" in load_file(lenet)
    with Terminal(seqtui("open", lenet)) as terminal:
        terminal.sees("2 steps unsaved", "1  undo: rename conv1 conv1x", "2  remove tanh1", "r recover")
        terminal.press("r")
        terminal.sees("2 steps recovered", "Sequential, 12 layers")
        terminal.press("q")
        terminal.sees("s save")
        terminal.press("s")
        assert terminal.ends() == 0
    after = load_file(lenet)
    assert after.keys() == whole.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in after.items())
