"""Tab 6 by keys alone: what does not fit, how it can be mended, and mending it."""

from __future__ import annotations

from collections import OrderedDict
from itertools import takewhile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from user import User, user_of

import seqtui

WIDE = 124


def broken(path: Path) -> Path:
    """A file with two layers that do not fit; no shape reaches the second until the first is mended."""
    layers = {"fc1": nn.Linear(4, 6), "act": nn.ReLU(), "fc2": nn.Linear(5, 3), "fc3": nn.Linear(9, 2)}
    seqtui.save(nn.Sequential(OrderedDict(layers)), path, input_shape=(1, 4))
    return path


async def test_no_problems_are_said_to_be_none() -> None:
    async with user_of("lenet5") as user:
        await user.press("6")
        await user.sees("No problems: every shape fits.")
        await user.press("exclamation_mark")
        assert user.toasts() == ["There is no problem to fix."]
        await user.press("enter", "j", "k", "G")
        await user.sees("No problems")


async def test_a_problem_stands_with_its_fixes_and_the_first_is_applied(tmp_path: Path) -> None:
    async with user_of(broken(tmp_path / "net.safetensors")) as user:
        await user.press("6")
        await user.sees("! fc2 takes 5 features, 6 arrive", "! set fc2 in_features=6")
        await user.press("exclamation_mark")
        await user.sees("! fc3 takes 9 features, 3 arrive", "! set fc3 in_features=3")
        await user.press("exclamation_mark")
        await user.sees("No problems: every shape fits.")
        await user.press("u")
        await user.sees("! fc3 takes 9 features")
        assert [str(step.edit) for step in user.app.workspace.history.done] == ["set fc2 in_features=6"]


def many_fixes(path: Path) -> Path:
    """A file with a layer that can be mended in several ways, and two more problems below."""
    layers = {
        "conv1": nn.Conv2d(3, 4, 3),
        "fc1": nn.Linear(64, 10),
        "fc2": nn.Linear(12, 5),
    }
    seqtui.save(nn.Sequential(OrderedDict(layers)), path, input_shape=(1, 3, 8, 8))
    return path


async def fixes_in_sight(user: User) -> list[str]:
    """The lines below the first problem, up to the next."""
    lines = [line[1:] for line in user.screen()]
    first = next(index for index, line in enumerate(lines) if line.startswith("! "))
    return list(takewhile(lambda line: line.startswith("  "), lines[first + 1 :]))


async def test_every_fix_can_be_chosen(tmp_path: Path) -> None:
    async with user_of(many_fixes(tmp_path / "net.safetensors")) as user:
        await user.press("6")
        listed = await fixes_in_sight(user)
        assert len(listed) > 1
        assert [line.strip().startswith("! ") for line in listed] == [True, *[False] * (len(listed) - 1)]
        await user.press("j", "j")
        second = user.line("›").removeprefix("›").strip()
        assert second == f"! {listed[1].strip()}"
        await user.press("enter")
        assert user.done() == ["\n".join(second.removeprefix("! ").split("; "))]
        assert "›! fc2" in user.line("›")
        await user.press("u")
        await user.press("g", "j", "j", "exclamation_mark")
        assert user.done() == ["\n".join(second.removeprefix("! ").split("; "))]


async def test_the_cursor_of_the_problems_stays_at_the_end(tmp_path: Path) -> None:
    async with user_of(many_fixes(tmp_path / "net.safetensors")) as user:
        await user.press("6", "G", "j")
        last = user.line("›")
        await user.press("k", "j", "j")
        assert user.line("›") == last


async def test_enter_goes_to_the_layer(tmp_path: Path) -> None:
    async with user_of(broken(tmp_path / "net.safetensors")) as user:
        await user.press("6", "G", "k", "g", "enter")
        assert user.at == "fc2"
        assert user.app.screen.focused is user.table


async def test_the_keys_of_the_focus_hold_beside_the_table(tmp_path: Path) -> None:
    async with user_of(broken(tmp_path / "net.safetensors"), width=WIDE) as user:
        await user.press("6", "G", "exclamation_mark")
        assert "fc3" in user.toasts()[-1]  # the table's row, which has no problem yet
        await user.press("tab", "exclamation_mark")
        await user.sees("! fc3 takes 9 features")
        await user.press("tab", "exclamation_mark")
        await user.sees("No problems: every shape fits.")


async def test_tensors_without_an_order_have_their_reason_and_their_notes(tmp_path: Path) -> None:
    save_file({"mystery.scale": torch.zeros(3)}, tmp_path / "model.safetensors")
    async with user_of(tmp_path / "model.safetensors", width=WIDE) as user:
        await user.press("6")
        await user.sees("Shapes are not followed")


async def test_a_model_without_an_input_shape_says_so(tmp_path: Path) -> None:
    seqtui.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "net.safetensors")
    async with user_of(tmp_path / "net.safetensors", width=WIDE) as user:
        await user.press("6")
        await user.sees("no input shape is known yet")
