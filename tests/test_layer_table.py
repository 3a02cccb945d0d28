"""The layer table as it is folded, marked and edited: what is drawn again and what stays."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path

from torch import nn
from user import SAMPLES, User, saved, user_of

import seqtui


def marked(user: User) -> list[str]:
    """The names of the rows that are drawn as marked."""
    return [line.split()[-1] for line in (line[:24] for line in user.screen()) if line.startswith("▌")]


def scrollbar(user: User) -> tuple[float, float]:
    """How many lines it stands for, and the first of them in sight."""
    bar = user.table.vertical_scrollbar
    return bar.window_virtual_size, bar.position


async def test_folding_moves_the_scrollbar_and_lays_out_nothing() -> None:
    async with user_of("lenet5", height=12) as user:
        await user.press("plus", "end", "left")
        layouts: list[object] = []
        user.app.screen.screen_layout_refresh_signal.subscribe(user.table, layouts.append, immediate=True)
        rows = len(user.rows())
        assert scrollbar(user)[0] == rows + 1
        await user.press("left")
        assert user.rows()[-1] == user.at == "fc3"
        assert scrollbar(user) == (rows - 1, user.table.scroll_offset.y)
        await user.press("right")
        assert scrollbar(user) == (rows + 1, user.table.scroll_offset.y)
        assert not layouts


async def test_fewer_rows_are_scrolled_no_further_than_their_end() -> None:
    async with user_of("lenet5", height=12) as user:
        await user.press("plus", "end", "minus")
        assert user.at == "fc3"
        assert 0 < user.table.scroll_offset.y <= user.table.max_scroll_y
        assert user.screen()[-3].startswith("›")
        await user.press("home", "left")
        assert user.table.max_scroll_y == user.table.scroll_offset.y == 0
        assert "lenet5" in user.screen()[2]
        assert not "".join(user.screen()[3:-2]).strip()
        await user.press("right", "end")
        assert user.line("fc3").startswith("›")


async def test_a_theme_chosen_later_is_drawn() -> None:
    async with user_of("lenet5") as user:
        before = user.table.render_lines(user.table.size.region)[3]
        user.app.theme = "textual-light"
        await user.pilot.pause()
        after = user.table.render_lines(user.table.size.region)[3]
        assert before.text == after.text
        assert [segment.style for segment in before] != [segment.style for segment in after]


async def test_a_range_of_marks_is_drawn_as_it_grows_and_shrinks() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "j", "v")
        assert "v ends it, escape forgets it" in user.toasts()[-1]
        assert marked(user) == ["tanh1"]
        await user.press("j", "j")
        assert marked(user) == ["tanh1", "pool1", "conv2"]
        await user.press("k")
        assert marked(user) == ["tanh1", "pool1"]
        await user.press("k", "k")
        assert marked(user) == ["conv1", "tanh1"]
        await user.press("v", "G")
        assert marked(user) == ["conv1", "tanh1"]
        await user.press("escape")
        assert marked(user) == []


async def test_escape_forgets_a_range_and_keys_act_on_one_that_grows(tmp_path: Path) -> None:
    path = Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path))
    async with user_of(path) as user:
        await user.press("j", "v", "j", "escape", "j")
        assert marked(user) == []
        await user.press("v", "k", "t")
        assert user.done() == ["disable tanh1 pool1"]
        assert marked(user) == []


async def test_a_range_stays_beside_where_it_began_and_passes_what_is_open(tmp_path: Path) -> None:
    layers = {"a": nn.ReLU(), "b": nn.Sequential(nn.ReLU(), nn.ReLU()), "c": nn.Linear(4, 4), "d": nn.ReLU()}
    async with user_of(saved(nn.Sequential(OrderedDict(layers)), tmp_path, 1, 4)) as user:
        await user.press("j", "v", "j", "j")
        assert user.at == "b.0"
        assert marked(user) == ["a", "b"]
        await user.press("j", "j", "l", "l")
        assert user.at == "c.weight"
        assert marked(user) == ["a", "b", "c"]
        await user.press("escape", "v", "j", "j")
        assert user.at == "d"
        assert marked(user) == ["c", "d"]


async def test_marks_go_with_layers_that_move_and_end_with_any_other_edit(tmp_path: Path) -> None:
    layers = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh()]
    async with user_of(saved(nn.Sequential(*layers), tmp_path, 1, 4)) as user:
        await user.press("j", "space", "k", "J")
        assert "Linear" in user.line("● 1")
        assert marked(user) == ["1"]
        await user.press("u")
        assert marked(user) == ["0"]
        await user.press("U", "t")
        assert user.done()[1:] == ["disable 1"]
        assert marked(user) == []


async def test_a_frozen_layer_with_a_problem_shows_both(tmp_path: Path) -> None:
    net = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 6), fc2=nn.Linear(5, 3)))
    async with user_of(saved(net, tmp_path, 1, 4)) as user:
        await user.press("j", "j", "F")
        assert "! fc2 ❄" in user.line("fc2")
        assert "● fc1" in user.line("fc1")
        await user.press("F")
        assert "❄" not in user.line("fc2")
        await user.press("F", "t")
        assert "○ fc2 ❄" in user.line("fc2")
        await user.press("k", "F")
        assert "❄ fc1" in user.line("fc1")
        assert "❄ ❄" not in user.line("fc1")


async def test_a_tensor_that_others_are_tied_to_says_so(tmp_path: Path) -> None:
    first, second, third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    net = nn.Sequential(OrderedDict(a=first, b=nn.Sequential(second), c=third))
    async with user_of(saved(net, tmp_path, 1, 4), width=124) as user:
        await user.press("plus", "g", "j", "j")
        assert "shared with b.0" in user.line("›")
        await user.sees("weight  4×4  F32  shared with b.0.weight")
        user.sees_not("shared with a.weight")
    third.weight = first.weight
    async with user_of(saved(net, tmp_path, 1, 4), width=124) as user:
        await user.press("plus", "g", "j", "j")
        await user.sees("weight  4×4  F32  shared with b.0.weight +1")


async def test_no_column_moves_when_a_model_is_saved(tmp_path: Path) -> None:
    layers = {"a_layer_with_a_long_name": nn.ReLU(), "fc": nn.Linear(4, 4), "act": nn.ReLU()}
    async with user_of(saved(nn.Sequential(OrderedDict(layers)), tmp_path, 1, 4)) as user:
        await user.press("j", "d")
        before = user.screen()[1:-2]
        assert user.app.workspace.is_changed
        await user.press("ctrl+s")
        await user.until(lambda: not user.app.workspace.is_changed)
        await user.pilot.pause()
        assert user.screen()[1:-2] == before


async def test_another_file_gets_columns_of_its_own(tmp_path: Path) -> None:
    async with user_of("lenet5") as user:
        before = user.table.columns().widths
        long = {"a_layer_with_a_very_long_name_" * 2: nn.ReLU()}
        seqtui.save(nn.Sequential(OrderedDict(long)), tmp_path / "b.safetensors", input_shape=(1, 4))
        await user.press("colon")
        await user.type(f"e {tmp_path / 'b.safetensors'}")
        await user.press("enter")
        await user.sees("a_layer_with_a_very_long_name_")
        assert user.table.columns().widths[0] > before[0]
