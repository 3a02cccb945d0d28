"""The layer table as it is folded: what is drawn again and what stays."""

from __future__ import annotations

from user import User, user_of


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
