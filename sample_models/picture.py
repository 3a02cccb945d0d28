"""Draws the README's picture: the running app at 120x34 on the trained LeNet-5, as an SVG.

`python sample_models/picture.py [KEY ...]` from the top of the repository; the keys are pressed before the picture.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.app import App

from seqtui.formats import open_model
from seqtui.tui.app import SeqtuiApp
from seqtui.tui.detail import Detail
from seqtui.workspace import Workspace

HERE = Path(__file__).parent
SIZE = (120, 26)


async def draw(model: Path, keys: list[str]) -> str:
    """The screen as SVG, once what is under the cursor has been measured."""
    workspace = Workspace(open_model(str(model.relative_to(Path.cwd()))))
    app: App[int] = SeqtuiApp(workspace)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*keys)
        while not app.screen.query_one(Detail).statistics:
            await pilot.pause(0.05)
        await app.workers.wait_for_complete()
        await pilot.pause(0.3)
        return app.export_screenshot(title="seqtui")


if __name__ == "__main__":
    picture = asyncio.run(draw(HERE / "lenet5.safetensors", sys.argv[1:] or ["j", "l", "j", "j", "j", "j", "j", "j"]))
    (HERE / "lenet5.svg").write_text(picture, encoding="utf-8")
