"""From nothing to a file by keys alone: the article's model, as it stands among the samples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from terminal import Terminal, seqtui
from user import SAMPLES, User

from seqtui.formats.opened import OpenedModel
from seqtui.templates import template_model
from seqtui.tui.app import SeqtuiApp
from seqtui.workspace import Workspace

LAYERS = [
    ("conv2d", "conv1", "16"),
    ("relu", "relu1", ""),
    ("maxpool2d", "pool1", ""),
    ("dropout", "dropout1", ""),
    ("conv2d", "conv2", "32"),
    ("relu", "relu2", ""),
    ("maxpool2d", "pool2", ""),
    ("dropout", "dropout2", ""),
]
"""What is typed into the list of kinds, the name that is proposed, and a convolution's channels."""


async def add(user: User, kind: str, channels: str) -> None:
    """`a`, the kind, and for a convolution its channels in the form."""
    await user.press("a")
    await user.type(kind)
    if channels:
        await user.press("tab")  # to the arguments, at the first that does not follow from the place
        await user.press(*["backspace"] * 4)
        await user.type(channels)
    await user.press("enter")


async def test_the_articles_model(tmp_path: Path) -> None:
    workspace = Workspace(OpenedModel(template_model(""), {}, "", "safetensors"))
    app = SeqtuiApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        user = User(app, pilot)
        await user.sees("input shape of the new model 1,3,32,32")
        await user.press("enter")
        await user.sees("in 1×3×32×32")
        for kind, name, channels in LAYERS:
            await add(user, kind, channels)
            assert user.at == name, "\n".join(user.screen())
        await user.sees("5,088 parameters", "1×32×6×6", "no problems")
        await user.press("C")
        assert "no file yet" in user.toasts()[-1]
        await user.press("ctrl+s")
        await user.sees("save as")
        await user.press(*["backspace"] * 30)
        await user.type(str(tmp_path / "article.safetensors"))
        await user.press("enter")
        await user.until(lambda: any("written" in toast for toast in user.toasts()))
    workspace.close()
    assert summary(tmp_path / "article.safetensors") == summary(SAMPLES / "article_cnn.safetensors")


def test_a_new_model_is_called_by_its_template_till_it_has_a_file(tmp_path: Path) -> None:
    with Terminal(seqtui("new", "mlp")) as terminal:
        terminal.sees("mlp (new)", "Sequential, 8 layers")
        assert terminal.lines[0].split("  ")[0] == " mlp (new)"
        assert "mlp (new)" in terminal.lines[2]
        terminal.press("q")
        assert terminal.ends() == 0
    with Terminal(seqtui("new", "mlp", "-o", tmp_path / "other.safetensors")) as terminal:
        terminal.sees("other.safetensors", "Sequential, 8 layers")
        assert "(new)" not in terminal.text


def summary(path: Path) -> object:
    """What `seqtui summary` says of a file but for its name."""
    command = [sys.executable, "-m", "seqtui", "summary", str(path), "--json"]
    document = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return {key: value for key, value in document.items() if key not in ("file", "metadata")}


def test_twenty_edits_outlive_a_kill(tmp_path: Path) -> None:
    """The real program on a pseudo-terminal, killed in the middle of its edits; then opened again."""
    file = Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))
    with Terminal(seqtui("open", file)) as terminal:
        terminal.sees("61,706 parameters", ": command")
        terminal.press("j", "j", *("t",) * 19, "d")
        terminal.sees("Sequential, 12 layers")
        terminal.process.kill()
        terminal.process.wait()
    with Terminal(seqtui("open", file)) as terminal:
        terminal.sees("20 steps unsaved", "remove tanh1", "r recover")
        terminal.press("r")
        terminal.sees("20 steps recovered", "Sequential, 12 layers")
        terminal.press("u", "u")
        terminal.sees("Sequential, 13 layers", "undone: disable tanh1")
        terminal.press("q")
        terminal.sees("d discard")
        terminal.press("d")
        assert terminal.ends() == 0
        assert terminal.left_behind() == []
