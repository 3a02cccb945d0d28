"""Tab 6 by keys alone: what does not fit, how it can be mended, and mending it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from user import user_of

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


async def test_enter_goes_to_the_layer(tmp_path: Path) -> None:
    async with user_of(broken(tmp_path / "net.safetensors")) as user:
        await user.press("6", "j", "k", "G", "enter")
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
