"""What the `:` line proposes to go on with, says before enter, and remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.widgets import Input
from user import SAMPLES, User, user_of

import seqtui
from seqtui.tui.command_line import FILES_FOLLOW
from seqtui.tui.completion import LineSuggester

PROPOSALS = [
    ("ins", "insert"),
    ("remove con", "remove conv1"),
    ("remove conv1 tan", "remove conv1 tanh1"),
    ("rename conv1 x", None),
    ("insert bn1 BatchN", "insert bn1 BatchNorm1d"),
    ("insert loss CrossEnt", None),
    ("insert bn1 BatchNorm2d num", "insert bn1 BatchNorm2d num_features="),
    ("insert bn1 BatchNorm2d num_features=6 aft", "insert bn1 BatchNorm2d num_features=6 after"),
    ("insert bn1 BatchNorm2d after fc", "insert bn1 BatchNorm2d after fc1"),
    ("set conv2 out", "set conv2 out_channels="),
    ("set conv2 out_channels=3 str", "set conv2 out_channels=3 stride="),
    ("fill conv1 kaim", "fill conv1 kaiming_uniform"),
    ("cast conv1 bf", "cast conv1 bfloat16"),
    ("drop conv1.w", "drop conv1.weight"),
    ("wq", None),
    ("nonsense x", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "whole"), PROPOSALS)
def test_a_line_is_gone_on_with(line: str, whole: str | None) -> None:
    model = seqtui.load(SAMPLES / "lenet5.safetensors")
    suggester = LineSuggester(model, ("w", "wq"))
    proposal = asyncio.run(suggester.get_suggestion(line))
    assert proposal == whole


async def test_right_takes_the_proposal_over() -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type("remo")
        await user.sees("remove")
        await user.press("right")
        await user.type(" tanh1")
        await user.press("enter")
        assert "tanh1" not in user.rows()


def typed(user: User) -> str:
    """What stands in the ':' line."""
    return user.app.screen.query_one(Input).value


async def test_tab_takes_a_proposal_over_and_then_the_next() -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type("remove fc")
        await user.press("tab")
        assert typed(user) == "remove fc1"
        await user.sees("fc1  fc2  fc3")
        await user.press("tab", "tab")
        assert typed(user) == "remove fc3"
        await user.press("tab")
        assert typed(user) == "remove fc1"
        await user.press("shift+tab")
        assert typed(user) == "remove fc3"
        await user.type(" ")
        user.sees_not("fc1  fc2  fc3")
        await user.type("tanh4")
        await user.press("enter")
        assert user.done() == ["remove fc3 tanh4"]


async def test_of_many_proposals_the_chosen_one_is_in_sight() -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type("insert x ")
        for _ in range(60):
            await user.press("tab")
            assert typed(user).rpartition(" ")[2] in "\n".join(user.screen()[-4:-1])


async def test_letters_in_the_same_burst_go_on_with_what_tab_put_there() -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.burst(*"dis", "tab", "space", *"tan", "tab", "enter")
        await user.until(lambda: user.done() == ["disable tanh1"])


async def test_up_and_down_go_through_the_lines_of_before() -> None:
    async with user_of("lenet5") as user:
        for text in ("disable tanh1", "disable tanh2", "disable tanh1"):
            await user.press("colon")
            await user.type(text)
            await user.press("enter" if text not in user.done() else "escape")
        await user.press("colon")
        await user.type("free")
        await user.press("up")
        assert typed(user) == "disable tanh2"
        await user.press("up", "up")
        assert typed(user) == "disable tanh1"
        await user.press("down", "down", "down")
        assert typed(user) == "free"
        await user.press("up", "backspace")
        await user.type("3")
        await user.press("enter")
        assert user.done()[-1] == "disable tanh3"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("w /nodir/x.safetensors", "there is no folder /nodir"),
        ("w x.docx", ".docx is no form that can be written"),
        ("w /etc/hostname.safetensors/x.py", "there is no folder"),
        ("replay nofile", "there is no such file"),
        ("replay", "replay needs a file"),
        ("recipe x.txt", "nothing was done yet"),
        ("e nofile", "there is no such file"),
        ("q 3", "to quit takes no file"),
        ("w a b", "w takes one file, here are 2"),
        ("insert x Conv2d after conv1", "x needs out_channels"),
        ("insert _ BatchNorm2d num_features=-1 after conv1", "a BatchNorm2d needs"),
    ],
)
async def test_what_enter_would_be_refused_for_is_said_before(line: str, sentence: str) -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type(line)
        await user.sees(sentence)
        await user.press("enter")
        assert typed(user) == line


async def test_the_grammar_of_a_half_typed_line_is_all_in_sight() -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type("insert bn1")
        await user.sees("insert: needs KIND. insert NAME KIND [ARG=VALUE ...]", "last [in PATH])")


async def test_arguments_that_follow_from_the_place_may_be_left_out() -> None:
    async with user_of("lenet5") as user:
        for text in (
            "insert bn1 BatchNorm2d after conv1",
            "insert fc0 Linear out_features=400 before fc1",
            "replace tanh3 LayerNorm",
        ):
            await user.press("colon")
            await user.type(text)
            await user.press("enter")
        assert user.done() == [
            "insert bn1 BatchNorm2d num_features=6 after conv1",
            "insert fc0 Linear in_features=400 out_features=400 before fc1",
            "replace tanh3 LayerNorm normalized_shape=120",
        ]
        await user.sees("no problems")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with files of many names."""
    for name in ("other.safetensors", "mine/a.txt", "mine/b c.txt", "it's.txt", ".hidden", "bad\x1b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("remove tanh1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("e o", ["e other.safetensors"]),
        ("w ", ["w it\\'s.txt", "w mine/", "w other.safetensors"]),
        ("recipe mi", ["recipe mine/"]),
        ("recipe mine/", ["recipe mine/a.txt", "recipe mine/b\\ c.txt"]),
        ("replay mine/b\\ ", ["replay mine/b\\ c.txt"]),
        ("wq .", ["wq .hidden"]),
        ("e ~/a", ["e ~/a.txt"]),
        ("e nowhere/x", []),
        ("q ", []),
    ],
)
def test_tab_proposes_files_where_a_file_follows(models: Path, line: str, lines: list[str]) -> None:
    model = seqtui.load(SAMPLES / "lenet5.safetensors")
    assert LineSuggester(model, (), FILES_FOLLOW).proposals(line) == lines


async def test_tab_goes_into_a_folder_and_takes_a_name_with_a_blank(models: Path) -> None:
    async with user_of("lenet5") as user:
        await user.press("colon")
        await user.type("replay m")
        await user.press("tab")
        assert typed(user) == "replay mine/"
        await user.press("tab")
        await user.sees("a.txt  b\\ c.txt")
        await user.press("tab", "enter")
        assert user.done() == ["remove tanh1"]


async def test_a_replay_names_the_line_that_cannot_be_done(models: Path) -> None:
    (models / "two.txt").write_text("# first\nremove tanh1\n\nset fc9 bias=False\n")
    (models / "odd.txt").write_text("remove tanh1\nremve tanh2\n")
    async with user_of("lenet5") as user:
        await user.command("replay two.txt")
        await user.told("two.txt: line 4: set fc9 bias=False: there is no layer fc9")
        await user.command("replay odd.txt")
        await user.told("odd.txt: line 2: there is no edit remve")
        await user.command("replay mine")
        await user.sees("that is no file")
        assert user.done() == []
