"""Work beside the keys: what is called off before it began leaves no trace."""

from __future__ import annotations

from functools import partial

from user import user_of

from seqtui.tui.workers import begin


async def test_work_called_off_before_it_began_is_never_made() -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        done.append(name)

    async with user_of("lenet5") as user:
        for name in ("first", "second"):  # without a turn of the loop between them
            begin(user.app.screen, partial(work, name), "work", exclusive=True)
        await user.until(lambda: bool(done))
    assert done == ["second"]
