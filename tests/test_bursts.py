"""Keys that arrive in one read, as over a slow line or from a paste: a question is answered once, by the first."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from terminal import Terminal, environment, seqtui
from user import SAMPLES, user_of


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


QUESTIONS: list[tuple[Sequence[str], str, Sequence[str]]] = [
    (["j", "d", "q"], "d discard", ["escape", "escape"]),
    (["j", "r"], "rename conv1", ["x", "enter", "enter"]),
    (["j", "r"], "rename conv1", ["escape", "escape"]),
    (["colon", *"disable", "space", *"tanh1"], ":disable tanh1", ["enter", "enter"]),
    (["I"], "input shape", ["enter", "enter"]),
    (["ctrl+t"], "Search for themes", ["enter", "enter"]),
    (["ctrl+t"], "Search for themes", ["escape", "escape"]),
    (["ctrl+p"], "Search for commands", ["escape", "escape"]),
    (["question_mark"], "filter the keys", ["escape", "escape"]),
    (["j", "a"], "add after", ["escape", "escape"]),
    (["j", "e"], "out_channels", ["escape", "escape"]),
    (["j", "e"], "out_channels", ["up", "enter", "enter"]),
]


@pytest.mark.parametrize(
    ("way", "seen", "keys"), QUESTIONS, ids=lambda value: value if isinstance(value, str) else None
)
async def test_a_second_key_answers_nothing(lenet: Path, way: Sequence[str], seen: str, keys: Sequence[str]) -> None:
    async with user_of(lenet) as user:
        await user.press(*way)
        await user.sees(seen)
        await user.burst(*keys)
        await user.until(lambda: len(user.app.screen_stack) == 1)
        assert user.app.is_running
        assert not user.app.screen.has_class("-detail")
        await user.press("G")
        assert user.at == "fc3"


@pytest.mark.parametrize(
    ("way", "seen"),
    [
        ("I", "input shape"),
        ("r", "rename conv1"),
        ("e", "out_channels"),
        ("a", "add after"),
        ("at", "asking torch"),
        ("question_mark", "filter the keys"),
        ("ctrl+p", "Search for commands"),
        ("q", "d discard"),
    ],
)
async def test_what_comes_with_the_key_that_ends_a_question_reaches_nobody(lenet: Path, way: str, seen: str) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "t", way)
        await user.sees(seen)
        await user.burst("pagedown", "x", "escape", "x", "d", "enter", "down", "escape")
        await user.until(lambda: len(user.app.screen_stack) == 1)
        assert user.done() == ["disable conv1"]
        assert user.at == "conv1"
        assert not user.app.screen.has_class("-detail")


@pytest.mark.parametrize(
    ("way", "keys", "done"),
    [
        ("r", ["x", "backspace", "y", "enter", "j", "d"], "rename conv1 conv1y"),
        ("e", ["up", "enter", "1", "enter"], "set conv1 out_channels=7"),
        ("e", ["3", "2", "enter", "j", "d"], "set conv1 out_channels=32"),
        ("a", [*"linear", "down", "up", "enter", "j", "d"], "insert fc4 Linear in_features=28 out_features=28"),
        ("colon", [*"freeze", "space", *"conv1", "enter", "j", "d"], "freeze conv1"),
    ],
)
@pytest.mark.parametrize("is_ahead", [False, True], ids=["", "typed ahead"])
async def test_what_comes_behind_an_answer_is_no_part_of_it(
    lenet: Path, way: str, keys: Sequence[str], done: str, is_ahead: bool
) -> None:
    async with user_of(lenet) as user:
        await user.press("j")
        if is_ahead:
            await user.burst(way, *keys)
        else:
            await user.press(way)
            await user.burst(*keys)
        await user.until(lambda: bool(user.done()))
        await user.press("escape")
        assert [str(edit).partition(" after")[0] for edit in user.done()] == [done]
        assert not user.app.screen.has_class("-detail")


async def test_a_number_typed_ahead_takes_the_place_of_the_one_that_stands_there(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("3")
        await user.burst("p", "7", "enter")
        await user.sees("7 passes")
        user.sees_not("17 passes")
        await user.burst("p", "1", "2", "enter")
        await user.sees("12 passes")
        user.sees_not("712 passes")


async def test_what_is_searched_for_is_typed_ahead(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.burst("slash", *"fc2", "enter")
        await user.until(lambda: user.at == "fc2")


@pytest.mark.parametrize("answer", ["d", "s"])
async def test_what_ends_the_program_is_heard_once(lenet: Path, answer: str) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "t", "q")
        await user.sees("d discard")
        await user.burst(answer, answer)
        await user.until(lambda: not user.app.is_running)
        assert user.app.failure is None


def test_on_a_real_terminal(lenet: Path, tmp_path: Path) -> None:
    with Terminal(seqtui("open", lenet), env=environment(XDG_STATE_HOME=str(tmp_path))) as terminal:
        terminal.draws("61,706 parameters", ": command")
        terminal.press(":disable tanh1\r\r")
        terminal.sees("Tanh  off")
        terminal.press("jr")
        terminal.sees("rename conv1 to conv1")
        terminal.press("x\r\r")
        terminal.sees("● conv1x")
        terminal.press("q")
        terminal.sees("d discard")
        terminal.press("dd")
        assert terminal.ends() == 0


async def test_a_recovery_is_heard_once_and_a_second_key_does_nothing_to_the_model(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        user.app.exit()  # as a dropped line ends it
    async with user_of(lenet) as user:
        await user.sees("d discard")
        await user.burst("d", "d")
        await user.until(lambda: len(user.app.screen_stack) == 1)
        await user.press("G")
        assert user.done() == []
        assert user.app.failure is None


async def test_a_question_that_nobody_asked_for_waits_for_the_hands_to_rest(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        user.app.exit()  # as a dropped line ends it
    async with user_of(lenet) as user:
        await user.sees("remove tanh1")
        user.sees_not("d discard")
        await user.press("d", "r", "escape")
        await user.sees("remove tanh1")
        await user.sees("d discard")
        assert user.app.workspace.start_journal()
        await user.press("r")
        await user.until(lambda: user.done() == ["remove tanh1"])
