"""Train mode and eval mode on the screen: seen at once, never an edit, and no part of what is printed or written."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from torch import nn
from user import saved, user_of

from seqtui.formats import open_model
from seqtui.model.infer import infer_shapes
from seqtui.rows import Row, cells, model_row, rows_below


def states(rows: list[Row], path: Path, is_training: bool) -> dict[str, str]:
    inference = infer_shapes(open_model(str(path)).model)
    return {row.path: cells(row, inference, "", is_training).state for row in rows}


def net(folder: Path) -> Path:
    layers = OrderedDict(
        fc1=nn.Linear(4, 4), rr=nn.RReLU(), drop1=nn.Dropout(0.5), drop2=nn.AlphaDropout(0.1), bn=nn.BatchNorm1d(4)
    )
    return saved(nn.Sequential(layers), folder, 2, 4)


async def test_train_mode_is_seen_in_the_title_and_at_every_random_layer(tmp_path: Path) -> None:
    async with user_of(net(tmp_path)) as user:
        await user.sees("eval · cpu", "● drop1", "● rr")
        widths = list(map(len, user.screen()[1:7]))
        await user.press("T")
        await user.sees("train · cpu", "≈ drop1", "≈ drop2", "≈ rr", "● bn", "● fc1")
        assert list(map(len, user.screen()[1:7])) == widths
        await user.press("j", "j", "j", "t")
        await user.sees("○ drop1", "≈ drop2")
        await user.press("T")
        await user.sees("eval · cpu", "○ drop1", "● drop2")


async def test_a_mode_is_no_edit(tmp_path: Path) -> None:
    async with user_of(net(tmp_path)) as user:
        await user.press("T")
        assert not user.app.workspace.is_changed
        await user.press("d")
        await user.press("u")
        await user.sees("train · cpu")
        await user.press("ctrl+l")
        await user.sees("train · cpu")


async def test_the_detail_says_what_the_mode_means(tmp_path: Path) -> None:
    async with user_of(net(tmp_path), width=124) as user:
        await user.press("j", "j", "j")
        await user.sees("in eval mode its input passes through")
        await user.press("T")
        await user.sees("≈ random in train mode: no two passes are alike")
        await user.press("k")
        await user.sees("≈ random in train mode")
        await user.press("T")
        user.sees_not("random in train mode: no")


def test_without_a_mode_rows_are_as_ever(tmp_path: Path) -> None:
    path = net(tmp_path)
    rows = list(rows_below(model_row(open_model(str(path)).model), lambda row: False))
    assert states(rows, path, False) == dict.fromkeys(("fc1", "rr", "drop1", "drop2", "bn"), "on")
    assert states(rows, path, True) == {"fc1": "on", "rr": "random", "drop1": "random", "drop2": "random", "bn": "on"}
