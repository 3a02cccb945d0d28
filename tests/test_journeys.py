"""Journeys through the screens by keys alone: what is pressed, what is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from textual import events
from torch import nn
from user import DATA, SAMPLES, user_of

import seqtui
from seqtui.tui.value_grid import CELL, cell_text

LENET = ["", "conv1", "tanh1", "pool1", "conv2", "tanh2", "pool2", "flatten", "fc1", "tanh3", "fc2", "tanh4", "fc3"]


async def test_the_first_screen_shows_every_layer_whole() -> None:
    async with user_of("article_cnn") as user:
        for path, kind, output, params in (
            ("conv1", "Conv2d 3→16 k3", "1×16×30×30", "448"),
            ("relu1", "ReLU", "1×16×30×30", "·"),
            ("pool1", "MaxPool2d 2", "1×16×15×15", "·"),
            ("dropout1", "Dropout 0.5", "1×16×15×15", "·"),
            ("conv2", "Conv2d 16→32 k3", "1×32×13×13", "4,640"),
            ("pool2", "MaxPool2d 2", "1×32×6×6", "·"),
        ):
            words = user.line(f" {path} ")
            assert kind in words
            assert output in words
            assert words.endswith(params)
        assert user.line("article_cnn ").endswith("5,088")
        assert "5,088 parameters" in user.screen()[-2]
        assert "no problems" in user.screen()[-2]


async def test_columns_stand_under_their_titles() -> None:
    async with user_of("article_cnn") as user:
        header, *rows = user.screen()[1:10]
        for row in rows[1:]:
            kind = header.index("Kind")
            assert row[kind - 1] == " "
            assert row[kind] != " "
            assert len(row) <= len(header)
        assert all(len(row) == len(header) for row in rows)


async def test_an_unnamed_sequential_is_numbered() -> None:
    async with user_of("article_unnamed") as user:
        assert user.rows() == ["", "0", "1", "2", "3", "4", "5"]


async def test_moving_stops_at_either_end() -> None:
    async with user_of("lenet5") as user:
        await user.press("k")
        assert user.at == ""
        await user.press("j", "down")
        assert user.at == "tanh1"
        await user.press("G")
        assert user.at == "fc3"
        await user.press("j", "pagedown", "ctrl+d")
        assert user.at == "fc3"
        await user.press("g")
        assert user.at == ""


async def test_pages_move_the_cursor_by_what_is_in_sight() -> None:
    async with user_of("lenet5", height=10) as user:
        await user.press("pagedown")
        assert user.at == user.rows()[5]
        await user.press("pageup")
        assert user.at == ""
        await user.press("ctrl+d")
        assert user.at == user.rows()[3]
        await user.press("G")
        assert "fc3" in user.screen()[-3]


async def test_a_layer_opens_to_its_tensors_and_closes() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "l")
        assert user.rows()[1:4] == ["conv1", "conv1.weight", "conv1.bias"]
        assert "6×1×5×5  F32" in user.line("weight")
        await user.press("l")
        assert user.at == "conv1.weight"
        await user.press("h")
        assert user.at == "conv1"
        await user.press("h")
        assert "conv1.weight" not in user.rows()


async def test_everything_opens_and_closes_at_once() -> None:
    async with user_of("autoencoder") as user:
        closed = user.rows()
        await user.press("plus")
        assert len(user.rows()) > len(closed)
        await user.press("minus")
        assert all("." not in path for path in user.rows())
        assert user.at == ""


async def test_a_search_follows_every_letter_and_goes_on() -> None:
    async with user_of("lenet5") as user:
        await user.press("slash")
        await user.type("fc")
        assert user.at == "fc1"
        await user.type("2")
        assert user.at == "fc2"
        await user.press("enter")
        await user.press("slash")
        await user.type("conv")
        await user.press("enter")
        first = user.at
        await user.press("n")
        assert user.at != first
        await user.press("N")
        assert user.at == first


async def test_a_search_finds_what_is_folded() -> None:
    async with user_of("lenet5") as user:
        await user.press("slash")
        await user.type("fc2.bias")
        await user.press("enter")
        assert user.at == "fc2.bias"


async def test_escape_leaves_a_search_where_it_began() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "slash")
        await user.type("fc3")
        assert user.at == "fc3"
        await user.press("escape")
        assert user.at == "conv1"
        await user.press("n")
        assert user.toasts() == ["Search with / first."]


async def test_a_search_for_nothing_stays() -> None:
    async with user_of("lenet5") as user:
        await user.press("slash")
        await user.type("zzz")
        assert user.at == ""
        await user.press("enter", "n")
        assert user.toasts() == ["Nothing matches zzz."]


async def test_enter_on_a_tensor_shows_its_numbers() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "l", "j", "enter")
        await user.sees("conv1.weight", "count 150", "mean", "slice 1 of 6", "linear, 32 bins")
        await user.press("o", "b")
        await user.sees("log, 64 bins")
        await user.press("right_parenthesis")
        await user.sees("slice 2 of 6", "[1, 0, 0, 0]")
        await user.press("left_parenthesis", "left_parenthesis")
        await user.sees("slice 6 of 6")
        await user.press("j", "l", "l")
        await user.sees("[5, 0, 1, 2]")
        await user.press("escape")
        await user.sees("Layer", "fc3")
        assert user.at == "conv1.weight"


async def test_an_index_can_be_gone_to() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "l", "j", "enter", "i")
        await user.sees("index")
        await user.press("ctrl+u")
        await user.type("3,0,9,2")
        await user.sees("9 is out of range")
        await user.press("backspace", "backspace", "backspace")
        await user.type("4,-1")
        await user.press("enter")
        await user.sees("[3, 0, 4, 4]")


async def test_enter_on_a_layer_shows_its_arguments() -> None:
    async with user_of("lenet5") as user:
        await user.press("j", "enter")
        await user.sees("Conv2d", "out_channels", "1×6×28×28", "multiply-adds", "117,600")
        await user.sees("mean")
        await user.press("2")
        await user.sees("conv1.weight", "norm")
        await user.press("left_square_bracket")
        await user.sees("out_channels")
        await user.press("q")


async def test_the_detail_stands_beside_the_table_from_100_columns() -> None:
    async with user_of("lenet5", width=120, height=40) as user:
        await user.press("j", "j", "j", "j")
        await user.sees("conv2", "in_channels", "14×14", "weight  16×6×5×5  F32", "fc3", "from pool1", "to tanh2")
        await user.press("z")
        user.sees_not("in_channels")
        await user.sees("Multiply-adds", "Memory", "240,000")
        await user.press("escape")
        await user.sees("in_channels")
        await user.press("tab", "z")
        user.sees_not("tanh4")
        await user.press("z", "tab")
        await user.sees("tanh4", "in_channels")


async def test_another_input_shape_is_followed_by_every_output() -> None:
    async with user_of("article_cnn") as user:
        await user.press("I")
        await user.press("ctrl+u")
        await user.type("8,3,64")
        await user.sees("enter accept")
        await user.type(",x")
        await user.sees("no input shape")
        await user.press("backspace")
        await user.type("64")
        await user.press("enter")
        await user.sees("8×16×62×62", "8×32×14×14", "in 8×3×64×64")
        await user.press("I", "ctrl+u")
        await user.type("1,1,64,64")
        await user.press("enter")
        await user.sees("! conv1 takes 3 channels, 1 arrives from the input", "unknown")


async def test_a_problem_is_marked_and_found() -> None:
    async with user_of("broken_cnn") as user:
        await user.sees("! fc1 takes 3136 features, 1600 arrive from flatten")
        assert "takes 3136" in user.line("fc1 ")
        await user.press("right_curly_bracket")
        assert user.at == "fc1"
        await user.press("left_curly_bracket")
        assert user.at == "fc1"


async def test_the_model_row_tells_of_the_file() -> None:
    async with user_of("lenet5") as user:
        await user.press("enter")
        await user.sees("format", "safetensors", "61,706", "tensors", "10", "input", "1×1×28×28")


async def test_a_file_without_a_spec_is_shown_as_guessed() -> None:
    async with user_of(DATA / "seq_numbered_gaps.safetensors") as user:
        assert user.line(" 0 ").split()[:2] == ["▸", "?"]
        await user.press("I")
        assert "tensors only" in user.toasts()[0]


async def test_the_keys_can_be_looked_up_and_filtered() -> None:
    async with user_of("lenet5") as user:
        await user.press("question_mark")
        await user.sees("On the layer table", "Open: a layer's detail")
        await user.type("slice")
        user.sees_not("Open: a layer's detail")
        await user.press("escape")
        await user.sees("conv1")


async def test_the_palette_finds_actions_layers_and_tensors() -> None:
    async with user_of("lenet5") as user:
        await user.press("ctrl+p")
        await user.type("fc2.bias")
        await user.sees("fc2.bias")
        await user.press("down", "enter")
        await user.pilot.pause()
        assert user.at == "fc2.bias"
        await user.press("ctrl+p")
        await user.type("expand all")
        await user.sees("Expand all")
        await user.press("down", "enter")
        await user.pilot.pause()
        assert "conv1.weight" in user.rows()


async def test_names_and_commands_are_copied() -> None:
    async with user_of("lenet5") as user:
        await user.press("Y")
        assert "no name" in user.toasts()[-1]
        await user.press("j", "l", "j", "Y")
        assert user.app.clipboard == "conv1.weight"
        await user.press("C")
        assert user.app.clipboard.startswith("seqtui open ")
        assert user.app.clipboard.endswith("lenet5.safetensors --select conv1.weight")


@pytest.mark.parametrize("width", [80, 120])
async def test_a_selection_given_at_the_start_is_under_the_cursor(width: int) -> None:
    async with user_of("lenet5", width=width, select="fc1.weight") as user:
        assert user.at == "fc1.weight"
        await user.sees("120×400" if width == 120 else "fc1")


@pytest.mark.parametrize("sample", ["article_unnamed", "autoencoder", "lstm", "mlp", "text_classifier"])
async def test_every_sample_opens_without_a_problem(sample: str) -> None:
    async with user_of(sample) as user:
        await user.press("plus", "G")
        assert "no problems" in user.screen()[-2]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (10, 5), (30, 10), (79, 3), (100, 1), (200, 60)])
async def test_any_size_and_back_harms_nothing(size: tuple[int, int]) -> None:
    async with user_of("lenet5") as user:
        before = user.screen()
        await user.resize(*size)
        await user.press("j", "l", "j", "enter", "j", "escape", "question_mark", "escape", "g", "h", "j", "h", "h", "k")
        await user.resize(80, 24)
        await user.press("escape", "escape", "minus", "plus", "minus", "g")
        assert user.screen() == before


async def test_q_leaves_with_code_zero() -> None:
    async with user_of("lenet5") as user:
        await user.press("q")
    assert user.app.return_code == 0


async def test_the_grid_pages_through_all_of_a_tensor() -> None:
    """Each corner of fc1.weight, 120×400, and a step at its edge; torch reads the same numbers."""
    weight = load_file(SAMPLES / "lenet5.safetensors")["fc1.weight"]
    async with user_of("lenet5", select="fc1.weight") as user:
        await user.press("enter")
        await user.sees("[0, 0]")

        async def sees_value(row: int, column: int) -> None:
            value = float(weight[row, column])
            await user.sees(f"[{row}, {column}]", f"{value:.9g}", cell_text(value))

        await user.press("G")
        await sees_value(119, 0)
        await user.press("pageup")
        await user.press("g", "pagedown", "pagedown")
        assert user.line("[").split("]")[0] != "[0, 0"
        await user.press("i", "ctrl+u")
        await user.type("119,399")
        await user.press("enter")
        await sees_value(119, 399)
        await user.press("l", "j")
        await sees_value(119, 399)
        await user.press("h", "k")
        await sees_value(118, 398)


async def test_the_grid_keeps_room_in_a_low_screen() -> None:
    async with user_of("lenet5", select="fc1.weight", height=14) as user:
        await user.press("enter")
        await user.sees("[0, 0]", " 0  ")


async def test_reloading_shows_the_new_file_in_every_pane(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), str(path), input_shape=(1, 4))
    async with user_of(path, width=120, height=40) as user:
        await user.press("j", "l", "j", "2")
        await user.sees("0.weight   3×4", "count 12")
        seqtui.save(nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)), str(path), input_shape=(1, 4))
        await user.press("ctrl+l")
        await user.sees("Linear 4→9", "0.weight   9×4", "count 36")
        assert user.at == "0.weight"
        await user.press("k", "1")
        await user.sees("out_features  9", "1×9", "mean")
        seqtui.save(nn.Sequential(nn.Linear(4, 5)), str(path), input_shape=(1, 4))
        await user.press("G", "ctrl+l")
        await user.sees("Linear 4→5")
        assert user.at == ""
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        await user.press("ctrl+l")
        await user.until(lambda: "Git LFS" in user.toasts()[-1])
        await user.sees("Linear 4→5")


async def test_a_name_that_is_layer_and_tensor_is_passed_by_a_search() -> None:
    async with user_of(DATA / "hf_llama_bnb4.safetensors") as user:
        await user.press("slash")
        await user.type("0.self_attn.q_proj.weight")
        await user.press("enter")
        seen = [(user.at, user.table.row.tensor is None)]
        for _ in range(4):
            await user.press("N")
            seen.append((user.at, user.table.row.tensor is None))
        assert len(set(seen)) == len(seen)


async def test_keys_typed_ahead_reach_their_question() -> None:
    async with user_of("lenet5") as user:
        for key in ("slash", "f", "c", "2", "enter"):
            user.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await user.until(lambda: user.at == "fc2")
        for key in ("I", "ctrl+u", "2", "comma", "1", "comma", "2", "8", "comma", "2", "8", "enter"):
            user.app.post_message(events.Key(key, "," if key == "comma" else key if len(key) == 1 else None))
        await user.sees("in 2×1×28×28")


async def test_two_enters_choose_from_the_palette_once() -> None:
    async with user_of("lenet5") as user:
        await user.press("ctrl+p")
        await user.type("fc3.bias")
        await user.sees("fc3.bias")
        for _ in range(2):
            user.app.post_message(events.Key("enter", None))
        await user.until(lambda: user.at == "fc3.bias")


async def test_leaving_works_over_a_question() -> None:
    async with user_of("lenet5") as user:
        await user.press("question_mark", "ctrl+q")
    assert user.app.return_code == 0


async def test_a_name_that_is_no_text_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "bad\udcff.safetensors"
    path.write_bytes((SAMPLES / "mlp.safetensors").read_bytes())
    async with user_of(path) as user:
        await user.press("C")
        assert "no clipboard" in user.toasts()[-1]


@given(st.floats() | st.integers(-(2**63), 2**64) | st.booleans() | st.complex_numbers())
def test_a_cell_leaves_a_blank_to_the_next(value: float | complex) -> None:
    assert len(cell_text(value)) < CELL
