"""Tab 3 by keys alone: runs of the model, what differs between them, what they find, and what becomes of them."""

from __future__ import annotations

import os
import re
import signal
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import torch
from lent import lent_engine
from safetensors.torch import save_file
from terminal import Terminal
from torch import nn
from user import SAMPLES, User, saved, user_of

import seqtui
from seqtui.engine.door import Engine
from seqtui.model.inputs import parse_input
from seqtui.tui.tabs.run import RunTab

WIDE = 124
BARE = Path(__file__).parent.parent / ".venv-bare" / "bin" / "python"
"""An interpreter with seqtui and all that it needs but torch; `make test` makes it."""
ENDLESS = "10000"
"""Passes that outlast any test, of a batch that is not small."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with lent_engine() as engine:
        yield engine


def faulty(folder: Path, has_nan: bool = False) -> Path:
    """A network with three dead channels and, if asked for, a NaN in its second convolution."""
    torch.manual_seed(0)
    conv1, conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3)
    inside = nn.Sequential(OrderedDict(conv2=conv2, relu2=nn.ReLU()))
    layers = OrderedDict(conv1=conv1, relu1=nn.ReLU(), block=inside, flat=nn.Flatten(), fc1=nn.Linear(64, 5))
    assert conv1.bias is not None
    with torch.no_grad():
        conv1.bias[:3] = -100.0
        if has_nan:
            conv2.weight[0, 0, 0, 0] = float("nan")
    net = nn.Sequential(layers)
    return saved(net, folder, 6, 1, 8, 8)


def marked(user: User) -> str:
    """The row of the tab that the cursor stands on."""
    tab = user.app.screen.query_one(RunTab)
    look = tab.get_component_rich_style("run-tab--cursor", partial=True)
    for y in range(tab.size.height):
        strip = tab.render_line(y)
        if all(segment.style and segment.style.bgcolor == look.bgcolor for segment in strip):
            return strip.text.strip()
    return ""


# What is random


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_dropout_makes_runs_differ_until_it_is_off_or_the_mode_is_eval(
    engine: Engine, width: int, height: int
) -> None:
    async with user_of("article_cnn", width=width, height=height, engine=engine) as user:
        await user.press("T")
        await user.sees("train · cpu")
        await user.run()
        user.sees_not("the run before")
        await user.run()
        await user.sees("output differs from the run before by")
        await user.press("D")
        await user.sees("of the model before the last edit; R runs it as it is")
        user.sees_not("layers off ○")
        await user.run()
        await user.sees("2 layers off ○", "○ dropout1", "○ dropout2")
        await user.run()
        await user.sees("output equal to the run before")
        await user.press("u", "T")
        await user.sees("eval · cpu", "of the model before the last edit; R runs it as it is")
        await user.run()
        await user.run()
        await user.sees("output equal to the run before")
        await user.press("T")
        await user.run()
        await user.sees("output differs from the run before by")
        assert isinstance(user.app.screen.focused, RunTab)


async def test_the_layer_under_the_cursor_is_switched_off_in_the_tab_too(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.run()
        await user.press("j", "j", "t")
        assert user.done() == ["disable tanh1"]
        await user.press("question_mark")
        await user.type("dropout")
        await user.sees("In the run tab", "All dropout layers on or off")


async def test_passes_show_the_spread_and_how_the_answer_changes(tmp_path: Path, engine: Engine) -> None:
    net = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 8), drop=nn.Dropout(0.5), fc2=nn.Linear(8, 3)))
    async with user_of(saved(net, tmp_path, 2, 4), engine=engine) as user:
        await user.press("3", "p", "ctrl+u")
        await user.type("0")
        await user.sees("a whole number from 1 to 10,000 is needed")
        await user.press("backspace")
        await user.type("20")
        await user.press("enter", "T")
        await user.sees("20 passes", "train")
        await user.run()
        await user.sees("Spread", "the argmax of a sample is not its usual one in", "of its passes")
        assert user.line(" fc1 ").split()[-1] == "0"
        assert user.line(" drop ").endswith("■■■■■■■■")


# What is seen of a run


async def test_the_same_numbers_as_torch_with_columns_under_their_titles(engine: Engine) -> None:
    net = seqtui.load_sequential(str(SAMPLES / "lenet5.safetensors")).eval()
    given = torch.randn((1, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        conv1, output = net[0](given), net(given)
    async with user_of("lenet5", width=120, height=40, engine=engine) as user:
        await user.run()
        await user.sees("no room for Min, Max")
        await user.press("z")
        await user.sees("fed normal 1×1×28×28, seed 0", "a pass")
        user.sees_not("no room for")
        title, row = user.line("Std"), user.line(" conv1 ")
        for name, value in (("Mean", conv1.mean()), ("Std", conv1.std()), ("Min", conv1.min()), ("Max", conv1.max())):
            end = title.index(name) + len(name)
            assert row[:end].split()[-1] == f"{value:.3g}"
        assert f"argmax {output.argmax()}" in user.line("sample 0")


async def test_the_cursor_is_the_layer_table_s(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.run()
        assert marked(user) == ""
        await user.press("j", "j")
        assert marked(user).startswith("tanh1")
        assert user.at == "tanh1"
        await user.press("G")
        assert user.at == "fc3"
        await user.press("k", "k", "k")
        assert marked(user).startswith("tanh3")
        await user.press("g", "k", "ctrl+d")
        assert user.at == "flatten" or user.at.startswith("fc")
        assert marked(user).startswith(user.at)
        await user.press("escape", "G", "k", "k", "k", "k", "l", "j", "3")
        assert user.at == "fc1.weight"
        assert marked(user).startswith("fc1")
    async with user_of("lenet5", width=WIDE, engine=engine) as user:
        await user.run()
        await user.press("tab")
        assert user.app.screen.focused is user.table
        await user.press("j")
        assert marked(user).startswith("conv1")


async def test_keys_that_come_faster_than_the_table_answers_are_all_heard(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.run()
        await user.burst(*"jjjjj")
        assert user.at == "tanh2"
        assert marked(user).startswith("tanh2")
        await user.burst(*"kkjjGkkkj")
        assert user.at == "fc2"
        assert marked(user).startswith("fc2")
        await user.burst("k", "1")  # the tab is not told any more
        await user.press("escape", "j", "3", "j")
        assert user.at == "tanh4"


async def test_what_stands_below_the_layers_is_reached_on_a_low_screen(tmp_path: Path, engine: Engine) -> None:
    async with user_of(faulty(tmp_path), height=14, engine=engine) as user:
        await user.press("3", "b")
        await user.sees("backward")
        await user.run()
        await user.sees("Mean")
        user.sees_not("sample 0")
        await user.press("G")
        await user.sees("sample 0")
        user.sees_not("Mean")  # the titles of the layers' columns stand over layers alone
        assert user.at == "fc1"
        await user.press("g")
        assert user.at == "conv1"
        await user.sees(" conv1 ", "Mean")


async def test_dead_units_and_gradients_are_told(tmp_path: Path, engine: Engine) -> None:
    async with user_of(faulty(tmp_path), height=40, engine=engine) as user:
        await user.press("3", "b")
        await user.run()
        await user.sees("relu1: 3 of 8 units gave zero for all 6 samples", "Gradient norm", "block.conv2.weight")
        await user.press("b")
        await user.sees("the next run")
        await user.run()
        user.sees_not("Gradient norm")


async def test_nan_is_marked_where_it_is_born(tmp_path: Path, engine: Engine) -> None:
    async with user_of(faulty(tmp_path, has_nan=True), height=30, engine=engine) as user:
        await user.run()
        await user.sees("! block.conv2: 96 NaN came out, none went in")
        assert user.line("conv2  ").startswith("!")
        assert not user.line("relu2  ").startswith("!")
        await user.run()
        await user.sees("output equal to the run before")


async def test_every_value_of_the_output_can_be_read_on_a_small_screen(engine: Engine) -> None:
    net = seqtui.load_sequential(str(SAMPLES / "lenet5.safetensors")).eval()
    given = torch.randn((1, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = net(given)[0]
    async with user_of("lenet5", engine=engine) as user:
        await user.run()
        await user.press("G")
        await user.sees(*(f"{value:.3g}" for value in output.tolist()))
        user.sees_not("…")


# What is fed


async def test_the_input_is_chosen_and_the_next_run_uses_it(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "batch.npy", np.ones((3, 1, 28, 28), dtype=np.float32))
    async with user_of("lenet5", engine=engine) as user:
        await user.press("3")
        await user.sees("R runs the model", "fed normal 1×1×28×28, seed 0")
        await user.press("i", "z")
        await user.sees("fed zeros 1×1×28×28")
        await user.run()
        await user.press("i", "n", "backspace")
        await user.type("7")
        await user.press("enter")
        await user.sees("the next run   fed normal 1×1×28×28, seed 7")
        await user.run()
        user.sees_not("the next run")
        user.sees_not("the run before")
        await user.press("i", "f")
        await user.type("nowhere.npy")
        await user.sees("there is no such file")
        await user.press("ctrl+u")
        await user.type("batch.npy")
        await user.press("enter")
        await user.run()
        await user.sees("fed batch.npy 3×1×28×28", "3×6×28×28")


# Feature maps


def shades(user: User) -> list[int]:
    """The greys of the first line of pixels on the screen."""
    tab = user.app.screen.query_one(RunTab)
    lines = [tab.render_line(y) for y in range(tab.size.height)]
    pixels = next(line for line in lines if "▀" in line.text)
    greys = [(segment.text, segment.style.color) for segment in pixels if segment.style and "▀" in segment.text]
    return [color.triplet.red for text, color in greys if color and color.triplet for _ in text]


async def test_feature_maps_follow_the_cursor(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conv1 = nn.Conv2d(1, 3, 1, bias=False)
    net = nn.Sequential(OrderedDict(conv1=conv1, relu1=nn.ReLU(), flat=nn.Flatten()))
    with torch.no_grad():
        conv1.weight[:] = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1)
    np.save(tmp_path / "ones.npy", np.ones((1, 1, 6, 6), dtype=np.float32))
    async with user_of(saved(net, tmp_path, 1, 1, 6, 6), engine=engine) as user:
        await user.press("3", "i", "f")
        await user.type("ones.npy")
        await user.press("enter")
        await user.run()
        await user.press("j", "m")
        await user.sees("conv1  3 maps 6×6   black -1, white 1", "▀")
        greys = shades(user)
        assert sorted(set(greys)) == [0, 133, 255]
        assert greys == sorted(greys)
        await user.press("j")
        await user.sees("relu1  3 maps 6×6   black 0, white 1")
        await user.press("j")
        await user.sees("flat gives no maps: what comes out is 1×108", "Mean", "relu1")
        user.sees_not("▀")
        await user.press("k")
        await user.sees("▀")
        await user.press("j", "m")
        user.sees_not("flat gives no maps")
        await user.press("m")
        await user.sees("flat gives no maps", "Mean")
        await user.run()
        user.sees_not("flat gives no maps")
        await user.press("k")
        user.sees_not("▀")
        await user.sees("Mean")


async def test_more_maps_than_fit_are_shown_in_turn(engine: Engine) -> None:
    async with user_of("article_cnn", engine=engine) as user:
        await user.run()
        await user.press("right_parenthesis")
        assert user.toasts() == ["Feature maps are shown with m, on a layer that gives some."]
        await user.press("j", "m")
        await user.sees("0…9 of 16 maps 30×30")
        await user.press("right_parenthesis")
        await user.sees("10…15 of 16 maps")
        await user.press("right_parenthesis")
        await user.sees("0…9 of 16 maps")
        await user.press("left_parenthesis")
        await user.sees("10…15 of 16 maps")


# Edits and saves


async def test_a_run_needs_no_file_and_knows_when_it_is_of_another_model(tmp_path: Path, engine: Engine) -> None:
    net = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 8), act=nn.ReLU(), fc2=nn.Linear(8, 3)))
    async with user_of(saved(net, tmp_path, 1, 4), width=WIDE, engine=engine) as user:
        await user.press("colon")
        await user.type("set fc2 out_features=2")
        await user.press("enter")
        await user.run()
        await user.sees("Output  1×2")
        await user.press("j", "t")
        await user.sees("○ fc1", "of the model before the last edit")
        await user.press("u")
        user.sees_not("of the model before the last edit")
        await user.press("ctrl+s")
        await user.until(lambda: any("written" in toast for toast in user.toasts()))
        user.sees_not("of the model before the last edit")
        await user.run()
        await user.sees("output equal to the run before")


# What cannot be run


async def test_what_cannot_be_run_says_so(tmp_path: Path, engine: Engine) -> None:
    seqtui.save(nn.Sequential(nn.Linear(2, 2)), str(tmp_path / "net.safetensors"))
    async with user_of(tmp_path / "net.safetensors", engine=engine) as user:
        await user.press("R")
        assert user.toasts() == ["Nothing says what this model is fed: I sets the input shape."]
    save_file({"mystery.scale": torch.zeros(3)}, tmp_path / "bare.safetensors")
    async with user_of(tmp_path / "bare.safetensors", engine=engine) as user:
        await user.press("R", "T", "at")
        assert len(user.toasts()) == 1
        assert "does not say how its layers are connected" in user.toasts()[0]
    async with user_of("broken_cnn", engine=engine) as user:
        await user.press("R")
        await user.sees("! fc1 takes 3136 features, 1600 arrive from flatten. 6 lists it with its")
        await user.press("x")
        assert user.toasts() == ["Nothing is running."]


# What becomes of torch's process


async def endless_run(user: User) -> int:
    """A run that will not end; the number of torch's process."""
    user.app.workspace.set_input(parse_input("300,1,28,28"))
    await user.press("3", "p", "ctrl+u")
    await user.type(ENDLESS)
    await user.press("enter", "R")
    await user.sees("running", "x in this tab cancels", "pass ")
    process = user.app.workspace.engine._process
    assert process is not None
    return process.pid


async def test_a_run_is_cancelled_and_another_begins() -> None:
    async with user_of("lenet5") as user:
        await endless_run(user)
        await user.press("R")
        assert user.toasts() == ["A run is under way; x in the run tab cancels it."]
        await user.press("x")
        await user.sees("cancelled", "torch ended")
        user.sees_not("! cancelled")
        await user.press("p", "1", "enter")  # in place of the number that stands there
        await user.run()
        await user.sees("Output  300×10", "torch ready")
        user.sees_not("cancelled")


async def test_a_process_that_is_killed_is_told_and_the_model_can_be_edited() -> None:
    async with user_of("lenet5") as user:
        os.kill(await endless_run(user), signal.SIGKILL)
        await user.sees("! torch's process was killed, most likely for lack of memory")
        await user.press("escape", "j", "d")
        assert user.done() == ["remove conv1"]


async def test_too_little_memory_on_a_device_offers_the_cpu() -> None:
    async with user_of("lenet5") as user:
        await user.press("at")
        await user.sees("meta")
        await user.press("down", "down", "down", "down", "down", "enter")
        await user.sees("eval · meta")
        os.kill(await endless_run(user), signal.SIGKILL)
        await user.sees("most likely for lack of memory", "run on the cpu")
        await user.press("c")
        await user.sees("eval · cpu", "torch starting")
        await user.sees("running")
        await user.press("x")
        await user.sees("cancelled")


async def test_what_waits_for_a_run_says_so() -> None:
    async with user_of("lenet5") as user:
        await endless_run(user)
        await user.press("at")
        await user.sees("the list comes when the run is over")
        await user.press("escape", "x")
        await user.sees("cancelled")


async def test_how_long_a_run_takes_is_told_while_it_runs() -> None:
    async with user_of("lenet5") as user:
        await endless_run(user)

        def seconds() -> int:
            return max(map(int, re.findall(r" (\d+) s  ", "\n".join(user.screen()))), default=0)

        await user.until(lambda: seconds() > 0)
        before = seconds()
        await user.until(lambda: seconds() > before)
        await user.press("x")
        await user.sees("cancelled")


async def test_a_run_that_waits_is_cancelled_at_once_and_what_hangs_is_ended() -> None:
    async with user_of("lenet5") as user:
        await user.run()
        process = user.app.workspace.engine._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        await user.press("at")
        await user.sees("asking torch")
        await user.press("escape", "R")
        await user.sees("waiting for torch")
        await user.press("x")
        await user.sees("cancelled", "torch busy")
        assert process.poll() is None
        await user.press("x")
        await user.sees("torch ended")
        await user.run()
        await user.sees("Output  1×10", "torch ready")


async def test_an_idle_process_that_is_killed_is_told_unasked() -> None:
    async with user_of("lenet5") as user:
        await user.run()
        await user.sees("torch ready")
        process = user.app.workspace.engine._process
        assert process is not None
        process.kill()
        await user.sees("torch ended")
        await user.run()
        await user.sees("output equal to the run before", "torch ready")


async def test_a_save_that_needs_torch_waits_for_the_run_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes((SAMPLES / "lenet5.safetensors").read_bytes())
    async with user_of(path) as user:
        await endless_run(user)
        await user.press("colon")
        await user.type("set fc3 out_features=2")
        await user.press("enter", "ctrl+s")
        await user.sees("net.safetensors waits")
        await user.until(lambda: "The save waits for the run; x in the run tab ends the run." in user.toasts())
        await user.press("x")
        await user.until(lambda: any("written" in toast for toast in user.toasts()))
        await user.sees("cancelled", "torch ready")


async def test_a_save_is_ended_where_torch_hangs(tmp_path: Path) -> None:
    net = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 8), fc2=nn.Linear(8, 3)))
    path = saved(net, tmp_path, 1, 4)
    before = path.read_bytes()
    async with user_of(path, width=WIDE) as user:
        await user.run()
        process = user.app.workspace.engine._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        await user.press("colon")
        await user.type("set fc2 out_features=2")
        await user.press("enter", "ctrl+s")
        await user.sees("net.safetensors waits", "x cancel")  # for the shapes of what was edited
        await user.press("x")
        await user.until(lambda: "Nothing is written: torch was ended." in user.toasts())
        await user.sees("torch ended")
    assert path.read_bytes() == before


async def test_quitting_does_not_wait_for_a_process_that_hangs() -> None:
    async with user_of("lenet5") as user:
        os.kill(await endless_run(user), signal.SIGSTOP)
        began = monotonic()
        await user.press("q")
    assert user.app.return_code == 0
    assert monotonic() - began < 5


def test_without_torch_there_is_a_sentence_and_the_screen_goes_on() -> None:
    assert BARE.exists(), "there is no .venv-bare to try seqtui without torch in: make .venv-bare/.installed"
    with Terminal([str(BARE), "-m", "seqtui", "open", str(SAMPLES / "lenet5.safetensors")]) as terminal:
        terminal.sees("fc3", "61,706 parameters", "q quit")
        terminal.press("R")
        terminal.sees("torch is not installed, and models are run by it alone")
        terminal.press("@")
        terminal.sees("torch is not installed, and devices are found by it alone")
        terminal.press("escape")
        terminal.sees("3 Run")
        terminal.press("q")
        assert terminal.ends() == 0


# Shapes by torch


async def test_shapes_that_no_rule_tells_are_asked_of_torch_and_marked(tmp_path: Path, engine: Engine) -> None:
    net = nn.Sequential(OrderedDict(tanh1=nn.Tanh(), flat=nn.Flatten()))
    seqtui.save(net, str(tmp_path / "net.safetensors"), input_shape=(2, 3, 4), input_dtype=torch.complex64)
    async with user_of(tmp_path / "net.safetensors", width=WIDE, engine=engine) as user:
        await user.sees("2×12 *", "shapes by torch *")
        assert "2×3×4 *" in user.line(" tanh1 ")
        await user.press("j")
        await user.sees("by torch")
        await user.press("d")
        await user.sees("2×12 *")


async def test_where_the_rules_are_right_nothing_is_marked(engine: Engine) -> None:
    async with user_of("lenet5", width=WIDE, engine=engine) as user:
        await user.run()
        await user.until(lambda: engine.state == "ready")
        user.sees_not(" *")
        await user.sees("no problems")
