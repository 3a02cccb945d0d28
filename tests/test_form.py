"""The form of a layer's arguments, by keys: what it shows while one types, and the one edit that it ends in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from textual import events
from torch import nn
from user import DATA, saved, user_of

from seqtui.draft import stepped, text_of
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.language import read_value
from seqtui.model.spec import Value
from seqtui.model.tensors import NewTensor
from seqtui.model.tree import layer_at
from seqtui.tui.form import NAME


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_widening_a_convolution_and_fixing_what_follows(width: int, height: int) -> None:
    async with user_of("lenet5", width=width, height=height, select="conv2") as user:
        await user.press("e")
        await user.sees("conv2  Conv2d", "out_channels           16", "parameters 61,706   multiply-adds 416,520")
        await user.press(*["up"] * 8)
        assert user.line("out_channels").rstrip(" │").endswith("was 16")
        await user.sees(
            "parameters 61,706 → 62,914   multiply-adds 416,520 → unknown",
            "weight 16×6×5×5 → 24×6×5×5   2,400 kept, 1,200 new",
            "bias 16 → 24   16 kept, 8 new",
            "! fc1 takes 400 features, 600 arrive from flatten   ctrl+f fix it too",
        )
        await user.press("ctrl+f")
        await user.sees(
            "parameters 61,706 → 86,914   multiply-adds 416,520 → 560,520",
            "fixed too: set fc1 in_features=600",
        )
        await user.press("enter")
        assert user.done() == ["set conv2 out_channels=24\nset fc1 in_features=600"]
        assert user.at == "conv2"
        assert "no problems" in user.screen()[-2]
        await user.press("u")
        assert not user.app.workspace.is_changed


async def test_without_the_fix_the_problem_is_shown_in_the_table() -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("e", "2", "4", "ctrl+f", "ctrl+f", "enter")
        assert user.done() == ["set conv2 out_channels=24"]
        await user.sees("fc1 takes 400 features, 600 arrive")


async def test_the_head_for_five_classes_made_anew() -> None:
    async with user_of("lenet5", select="fc3") as user:
        await user.press("e", "5")
        await user.sees("weight 10×84 → 5×84   420 kept")
        await user.press("ctrl+k")
        await user.sees("weight 10×84 → 5×84   420 new", "ctrl+k keep")
        await user.press("enter")
        assert user.done() == ["set fc3 out_features=5 fresh"]
        weight = layer_at(user.app.workspace.model, "fc3").tensors[0]
        assert weight.shape == (5, 84)
        assert isinstance(weight.ref, NewTensor)
        assert weight.ref.keep is None
        assert layer_at(user.app.workspace.model, "fc2") is layer_at(user.app.workspace.saved, "fc2")


async def test_a_head_of_as_many_classes_made_anew() -> None:
    async with user_of("lenet5") as user:
        await user.press("G", "e", "ctrl+k")
        await user.sees("weight 10×84   840 new, 840 lost", "ctrl+k keep")
        await user.press("enter")
        assert user.done() == ["fill fc3 default"]


async def test_keys_typed_ahead_fill_the_form() -> None:
    async with user_of("lenet5", select="fc3") as user:
        for key in ("e", "1", "2", "ctrl+k", "enter"):
            user.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await user.until(lambda: bool(user.app.workspace.is_changed))
        assert user.done() == ["set fc3 out_features=12 fresh"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("24x", "out_channels: 24x is no value"),
        ("same", "conv2 needs a whole number for out_channels, not 'same'"),
        ("2.5", "conv2 needs a whole number for out_channels, not 2.5"),
        ("false", "out_channels: false is written False"),
        ("nn.relu()", "out_channels: nn.relu is no layer of torch.nn"),
    ],
)
async def test_a_wrong_value_is_said_and_enter_does_nothing(typed: str, sentence: str) -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("e")
        await user.type(typed)
        await user.sees(f"! {sentence}")
        await user.press("enter")
        await user.sees(f"! {sentence}")
        assert not user.app.workspace.is_changed


async def test_an_empty_field_is_its_default_and_a_required_one_is_asked_for() -> None:
    async with user_of("lenet5", select="conv1") as user:
        await user.press("e", "backspace")
        await user.sees("out_channels needs a value", "needed")
        await user.press("6", "tab", "tab", "tab", "backspace")
        assert "was 2" in user.line("padding  ")
        await user.press("enter")
        assert user.done() == ["set conv1 padding=0"]


async def test_escape_and_no_change_do_nothing() -> None:
    async with user_of("lenet5", select="conv2") as user:
        before = user.screen()
        await user.press("e", "9", "9", "escape")
        assert user.screen() == before
        await user.press("e", "up", "down", "ctrl+k", "ctrl+k", "enter")
        assert user.screen() == before
        assert not user.app.workspace.is_changed


async def test_flags_and_words_are_chosen() -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("e", "shift+tab", "shift+tab")
        await user.sees("zeros reflect replicate circular")
        await user.press("r", "space", "shift+tab", "space")
        assert "False" in user.line("bias")
        await user.sees("bias 16   dropped")
        await user.press("up", "up", "enter")
        assert user.done() == ['set conv2 bias=False padding_mode="replicate"']


async def test_tuples_and_fractions_step(tmp_path: Path) -> None:
    path = saved(nn.Sequential(nn.Conv2d(1, 2, (3, 5)), nn.Dropout(0.5)), tmp_path, 1, 1, 9, 9)
    async with user_of(path) as user:
        await user.press("j", "e", "tab", "up")
        assert "(4, 6)" in user.line("kernel_size")
        assert "was (3, 5)" in user.line("kernel_size")
        await user.press("escape", "j", "e", "down", "down", "enter")
        assert user.done() == ["set 1 p=0.3"]


async def test_typing_after_a_step_replaces_the_value_and_after_a_move_does_not() -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("e", "up", "up", "up", "2", "4")
        assert "24 " in user.line("out_channels")
        await user.press("down", "end", "0", "enter")
        assert user.done() == ["set conv2 out_channels=230"]


async def test_a_layer_without_arguments_and_what_is_no_layer() -> None:
    async with user_of("lenet5", select="tanh1") as user:
        await user.press("e")
        assert "tanh1 is a Tanh, which takes no arguments" in user.toasts()[-1]
        await user.press("g", "e")
        assert "this is the model itself" in user.toasts()[-1]
        await user.press("j", "l", "j", "e")
        await user.sees("conv1  Conv2d")


async def test_a_guessed_layer_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "states.safetensors"
    save_file(nn.Linear(4, 3).state_dict(prefix="head."), str(path))
    async with user_of(path) as user:
        await user.press("j", "e", "8")
        await user.sees("head  Linear", "weight 3×4 → 8×4   12 kept, 20 new", "parameters 15 → 40")
        await user.press("enter")
        assert user.done() == ["set head out_features=8"]
    async with user_of(DATA / "hf_llama_bnb4.safetensors", select="model.layers.0") as user:
        await user.press("e")
        assert "no arguments that could be changed" in user.toasts()[-1]


@pytest.mark.parametrize("size", [(1, 1), (20, 6), (40, 12), (80, 16), (200, 60)])
async def test_any_size_and_back_harms_nothing(size: tuple[int, int]) -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("e")
        before = user.screen()
        await user.resize(*size)
        await user.press("tab", "shift+tab")
        await user.resize(80, 24)
        assert user.screen() == before


def test_no_argument_has_the_name_of_the_field_for_names() -> None:
    names = {parameter.name for entry in catalogue().values() for parameter in entry.parameters}
    assert NAME not in names


@pytest.mark.parametrize(
    ("value", "up", "down"),
    [
        (5, 6, 4),
        (0.5, 0.6, 0.4),
        (0.0, 0.1, -0.1),
        (1e-5, 2e-5, 9e-6),
        (0.1, 0.2, 0.09),
        (2.5, 2.6, 2.4),
        ((2, 3), (3, 4), (1, 2)),
        (True, True, True),
        (None, None, None),
        ("zeros", "zeros", "zeros"),
        (float("inf"), float("inf"), float("inf")),
    ],
)
def test_steps(value: Value, up: Value, down: Value) -> None:
    assert (stepped(value, 1), stepped(value, -1)) == (up, down)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
values: st.SearchStrategy[Value] = scalars | st.lists(scalars, max_size=3).map(tuple)


@given(values | st.floats(allow_nan=False))
def test_what_a_field_shows_reads_back(value: Value) -> None:
    again = read_value(text_of(value))
    assert again == value
    assert type(again) is type(value)
