"""`E` on a real terminal: an editor gets the code, and what it did to the text is done to the model, as one step."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from terminal import SAMPLES, Terminal, environment, seqtui
from user import user_of

LENET = SAMPLES / "lenet5.safetensors"


class Typist:
    """An editor that does what a shell script says to the file it is given."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "typist.sh"
        self.edits("true")

    def edits(self, command: str) -> None:
        """From here on run this; `$1` is the file."""
        self.script.write_text(f'printf %s "$1" > "$0.path"\n{command}\n')

    def open(self, *shell: str) -> Terminal:
        """The program, in a shell where one is named."""
        env = environment(EDITOR=f"sh {self.script}", TMPDIR=str(self.script.parent))
        env.pop("VISUAL", None)
        return Terminal([*shell, *seqtui("open", LENET)], env=env)

    @property
    def file(self) -> Path:
        """What it was given last."""
        return Path(self.script.with_name(f"{self.script.name}.path").read_text())


def test_code_goes_out_and_comes_back_as_one_step(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    with typist.open() as terminal:
        terminal.draws("conv1", "q quit")
        terminal.press("E")
        terminal.sees("Nothing changed.")
        assert not typist.file.exists()
        rename = 's/"tanh1", nn.Tanh()/"act1", nn.ReLU()/'
        typist.edits(f"sed -i '{rename}; /dropout1/d; s/120)/100)/; s/(120/(100/' \"$1\"")
        terminal.press("E")
        terminal.sees("act1", "ReLU", "Linear 400→100", "u undoes as one", "lenet5.safetensors +")
        assert not any("● dropout1" in line for line in terminal.lines)
        assert not typist.file.exists()
        terminal.press("u")
        terminal.sees("tanh1", "dropout1", "Linear 400→120")
        typist.edits("echo '# a remark' >> \"$1\"")
        terminal.press("E")
        terminal.sees("The text changed, the model did not.")
        terminal.press("ctrl+q")
        assert terminal.ends() == 0
        assert not terminal.left_behind()


def test_what_is_not_understood_is_kept_and_can_be_edited_again(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    with typist.open() as terminal:
        terminal.draws("conv1", "q quit")
        typist.edits("echo 'import os' >> \"$1\"")
        terminal.press("E")
        terminal.reads("line 22: an import that is not torch's", "e edit again", "d discard the text")
        assert str(typist.file) in "".join(terminal.text.split())  # in as many lines as it needs
        assert typist.file.read_text().endswith("import os\n")
        assert stat.S_IMODE(os.stat(typist.file.parent).st_mode) == 0o700
        typist.edits('sed -i \'/import os/d; s/"tanh1"/"first"/\' "$1"')
        terminal.press("e")
        terminal.sees("rename tanh1 first")
        assert not typist.file.exists()
        typist.edits("echo 'oh no' >> \"$1\"; exit 3")
        terminal.press("E")
        terminal.reads("ended with code 3")
        terminal.press("escape")
        terminal.reads("The text is kept in", "q quit")
        assert typist.file.read_text().endswith("oh no\n")
        typist.edits("printf 'x = 1\\n' > \"$1\"")
        terminal.press("E")
        terminal.reads("there is no nn.Sequential in it")
        terminal.press("d")
        terminal.wait(lambda: not typist.file.exists(), "the text to be gone")


def test_a_file_that_the_editor_removed_is_not_said_to_be_kept(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    typist.edits('rm "$1"')
    with typist.open() as terminal:
        terminal.draws("conv1", "q quit")
        terminal.press("E")
        terminal.reads("The code was not taken back: the file cannot be read again", "q quit")
        assert "kept in" not in " ".join(terminal.text.split())


def test_an_interrupt_ends_the_editor_alone(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    typist.edits("trap 'kill $!; exit 130' INT; sleep 60 & echo editing; wait")  # without a trap some shells miss one
    with typist.open() as terminal:
        terminal.draws("conv1", "q quit")
        terminal.press("E")
        terminal.sees("editing")
        terminal.press("ctrl+c")
        terminal.reads("The code was not taken back", "e edit again")
        typist.edits("true")
        terminal.press("e")
        terminal.sees("Nothing changed.", "q quit")


def test_ctrl_z_in_the_editor_brings_the_shell_and_fg_the_editor(tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    typist.edits('kill -TSTP 0; echo editing on; sed -i \'s/"tanh1"/"first"/\' "$1"')
    script = 'set -m; "$@"; echo the shell is back; fg'
    with typist.open("bash", "--norc", "-c", script, "bash") as terminal:
        terminal.draws("conv1", "q quit")
        terminal.press("E")
        terminal.sees("rename tanh1 first")
        assert re.search(rb"the shell is back.*editing on.*rename tanh1 first", terminal.output, re.DOTALL)
        terminal.press("q")
        terminal.sees("s save", "d discard")
        terminal.press("d")
        assert terminal.ends() == 0


async def test_from_the_code_and_without_a_terminal_it_says_so() -> None:
    async with user_of("lenet5") as user:
        await user.press("4", "E")
        await user.sees("there is no terminal here that an editor could", "discard the text")
        await user.press("d")


async def test_a_model_without_code_says_why(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"mystery.scale": torch.zeros(3)}, tmp_path / "model.safetensors")
    async with user_of(tmp_path / "model.safetensors") as user:
        await user.press("E")
        assert user.toasts()[-1].startswith("the file does not say how its layers are connected")
