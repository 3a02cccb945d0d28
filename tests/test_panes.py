"""The two panes: beside each other, or one over the other."""

from __future__ import annotations

import pytest
from user import user_of


@pytest.mark.parametrize("over", [[], ["question_mark"]], ids=["alone", "under the help"])
async def test_the_focus_stays_in_the_detail_at_any_width(over: list[str]) -> None:
    async with user_of("lenet5", select="conv1") as user:
        await user.press("enter")
        for width in (120, 80, 120):
            await user.press(*over)
            await user.resize(width, 24)
            await user.press(*(["escape"] if over else []))
            assert "to tanh1" in user.line("out  ")
            await user.press("j")
            assert user.at == "conv1"
