"""What the ':' line proposes to go on with."""

from __future__ import annotations

import asyncio

import pytest
from user import SAMPLES, user_of

import seqtui
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
