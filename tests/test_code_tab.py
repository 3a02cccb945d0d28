"""Tab 4 by keys alone: the code that is seen, copied, scrolled, and that follows every edit."""

from __future__ import annotations

from pathlib import Path

import pytest
from edited import done, named, nested, numbered
from safetensors.torch import save_file
from torch import zeros
from user import User, user_of

from seqtui.formats import open_model
from seqtui.formats.source_code import NET, source_code
from seqtui.model.spec import ModelSpec
from seqtui.tui.tabs.code import CodeTab, line_numbers
from seqtui.workspace import Workspace

WIDE = 124


def marked(user: User) -> str:
    """The line of code that is marked, as it stands on the screen."""
    tab = user.app.screen.query_one(CodeTab)
    look = tab.get_component_rich_style("code-tab--cursor", partial=True)
    for y in range(tab.size.height):
        strip = tab.render_line(y)
        if all(segment.style and segment.style.bgcolor == look.bgcolor for segment in strip):
            return strip.text.strip()
    return ""


async def test_the_code_is_shown_and_follows_edits_and_undo() -> None:
    async with user_of("lenet5", width=WIDE) as user:
        await user.press("4")
        await user.sees("from torch import nn", '("conv2", nn.Conv2d(6, 16, kernel_size=5)),')
        await user.press("j", "r")
        await user.press("ctrl+u")
        await user.type("first")
        await user.press("enter")
        await user.sees('("first", nn.Conv2d(1, 6, kernel_size=5, padding=2)),')
        await user.press("j", "d")
        user.sees_not("tanh1")
        await user.press("u", "u")
        await user.sees('("conv1"', '("tanh1"')


async def test_an_edit_of_another_layer_is_followed() -> None:
    async with user_of("lenet5", width=WIDE) as user:
        await user.press("j", "4", "colon")
        await user.type("rename fc2 head")
        await user.press("enter")
        await user.sees('("head", nn.Linear(120, 84)),')


async def test_the_line_of_the_layer_under_the_cursor_is_marked_and_in_sight() -> None:
    async with user_of("lenet5", width=WIDE, height=12) as user:
        await user.press("4")
        assert marked(user) == "net = nn.Sequential(OrderedDict(["
        await user.press("j")
        assert marked(user).startswith('("conv1"')
        await user.press("G")
        assert marked(user).startswith('("fc3"')
        await user.press("l", "j")
        assert user.at == "fc3.weight"
        assert marked(user).startswith('("fc3"')


async def test_the_code_scrolls_by_the_movement_keys() -> None:
    async with user_of("lenet5", width=50, height=12) as user:
        await user.press("4")
        user.sees_not("fc3")
        await user.press("G")
        await user.sees('("fc3", nn.Linear(84, 10)),', "]))")
        await user.press("g")
        await user.sees("from collections import OrderedDict")
        await user.press("j", "ctrl+d", "pagedown", "k", "pageup", "pageup")
        await user.sees("from collections import OrderedDict")
        await user.press("l")
        user.sees_not("from collections")
        await user.press("h")
        await user.sees("from collections")


async def test_the_code_is_copied_and_said_to_be_sent() -> None:
    async with user_of("lenet5") as user:
        await user.press("4", "y")
        assert user.app.clipboard == source_code(open_model(user.app.workspace.opened.path).model)
        assert user.toasts()[-1].startswith("The code was sent to the terminal's clipboard: 21 lines")


async def test_a_model_without_code_says_why(tmp_path: Path) -> None:
    save_file({"mystery.scale": zeros(3)}, tmp_path / "model.safetensors")
    async with user_of(tmp_path / "model.safetensors") as user:
        await user.press("4")
        await user.sees("the file does not say how its layers are connected")
        await user.press("y", "j", "G", "l")
        assert user.toasts()[-1].startswith("the file does not say how its layers are connected")
        assert user.app.clipboard == ""


async def test_names_from_a_file_are_no_markup(tmp_path: Path) -> None:
    workspace = Workspace(open_model(str(Path(__file__).parent.parent / "sample_models" / "lenet5.safetensors")))
    for line in ('rename conv1 "[red]x[/]"', 'rename tanh1 "\\x1b[2J"'):
        from seqtui.model.edits import parse_edit

        edit = parse_edit(line)
        assert edit is not None
        workspace.do(edit)
    path = tmp_path / "odd.safetensors"
    workspace.save(str(path))
    workspace.close()
    async with user_of(path, width=WIDE) as user:
        await user.press("4")
        await user.sees('("[red]x[/]", nn.Conv2d(', r'("\x1b[2J", nn.Tanh()),')


async def test_the_tabs_follow_one_another() -> None:
    async with user_of("lenet5", width=WIDE) as user:
        for wanted in ("2 Weights", "3 Run", "4 Code", "6 Problems", "1 Layer"):
            await user.press("right_square_bracket")
            assert f"{user.app.screen.query_one('Detail').tab} " == wanted[:2]  # type: ignore[attr-defined]
            assert wanted in user.screen()[1]
        await user.press("left_square_bracket", "left_square_bracket")
        await user.sees("from torch import nn")


async def test_a_narrow_title_keeps_the_words_of_the_tab_in_sight() -> None:
    async with user_of("lenet5", width=100) as user:
        await user.press("j", "4")
        assert "1  2  3  4 Code  6" in user.screen()[1]
        assert "conv1" in user.screen()[1]


@pytest.mark.parametrize(
    "model",
    [
        numbered(),
        named(),
        nested(),
        done(nested(), "disable body.inner head", "insert empty Sequential after stem"),
        done(nested(), "disable body"),
    ],
)
def test_every_layer_has_its_line(model: ModelSpec) -> None:
    lines = source_code(model).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{NET} = "))
    places = line_numbers(model.root, first)
    is_off = {path for path, layer in model.walk() if not layer.enabled}
    assert list(places)[1:] == [
        path for path, _ in model.walk() if not any(path.startswith(f"{other}.") for other in is_off)
    ]
    for path, number in places.items():
        layer = model.layer(path)
        assert f"nn.{layer.kind if layer.enabled else 'Identity'}(" in lines[number]
        assert (path.rpartition(".")[2].isdecimal() or f'("{layer.name}"' in lines[number]) or not path
    assert len(set(places.values())) == len(places)
