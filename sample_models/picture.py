"""Draws the README's picture: the running app at 120x26 on the trained LeNet-5, as an SVG.

`python sample_models/picture.py [KEY ...]` from the top of the repository; the keys are pressed before the picture.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.app import App

from seqtui.formats import open_model
from seqtui.tui.app import SeqtuiApp
from seqtui.tui.detail import REST
from seqtui.workspace import Workspace

HERE = Path(__file__).parent
SIZE = (120, 26)
KEYS = ["j", "j", "j", "j", "l"]
"""To the second convolution, and its tensors."""


async def draw(model: Path, keys: list[str]) -> str:
    """The screen as SVG, once what is under the cursor has been measured."""
    workspace = Workspace(open_model(str(model.relative_to(Path.cwd()))))
    app: App[int] = SeqtuiApp(workspace)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*keys)
        await pilot.pause(2 * REST)
        await app.workers.wait_for_complete()
        await pilot.pause(2 * REST)
        return app.export_screenshot(title="seqtui")


if __name__ == "__main__":
    picture = asyncio.run(draw(HERE / "lenet5.safetensors", sys.argv[1:] or KEYS))
    (HERE / "lenet5.svg").write_text(picture, encoding="utf-8")
