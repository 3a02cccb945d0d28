"""What each command may import, read from `sys.modules` of fresh interpreters; and that it all works without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import SAMPLES, Terminal, environment

LENET = str(SAMPLES / "lenet5.safetensors")
WIDER = "set conv2 out_channels=20"
BARE = Path(__file__).parent.parent / ".venv-bare" / "bin" / "python"
"""An interpreter with seqtui and all that it needs but torch; `make test` makes it."""

COMMAND = """
import sys
from seqtui.__main__ import main
code = main()
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""
FIRST_FRAME = """
import asyncio, sys
from seqtui.formats import open_model
from seqtui.tui.app import SeqtuiApp
from seqtui.workspace import Workspace

async def look(app):
    async with app.run_test(size=(80, 24)):
        return set(sys.modules)

print(*sorted(asyncio.run(look(SeqtuiApp(Workspace(open_model(sys.argv[1])))))), file=sys.stderr)
"""
"""The app without a terminal, as far as its first frame."""


def loads(code: str, *arguments: str) -> set[str]:
    """The packages that a fresh interpreter has loaded at the end, beyond the standard library."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}
    others = names - sys.stdlib_module_names - {"sitecustomize", "usercustomize"}  # the machine's own
    return {name for name in others if not name.startswith("_")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["summary", "--help"],
        ["summary", LENET],
        ["summary", LENET, "--json"],
        ["summary", LENET, "--style", "markdown"],
        ["summary", LENET, "--style", "torchinfo"],
        ["run", "--help"],
        ["run", LENET],
        ["run", LENET, "--json"],
        ["convert", "--help"],
        ["edit", "--help"],
        ["edit", LENET, "-e", WIDER, "-e", "fix"],
        ["edit", LENET, "-e", WIDER, "-e", "fix", "--json"],
        ["new", "--list"],
        ["new", "alexnet"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(LENET, "lenet5"),
)
def test_standard_library_alone(arguments: list[str]) -> None:
    assert loads(COMMAND, *arguments) == {"seqtui"}


@pytest.mark.parametrize("suffix", ["pt", "py", "md"])
def test_exports_are_standard_library_alone(suffix: str, tmp_path: Path) -> None:
    assert loads(COMMAND, "convert", LENET, str(tmp_path / f"net.{suffix}")) == {"seqtui"}


def test_import_loads_nothing() -> None:
    assert loads("import seqtui, sys; print(*sys.modules, file=sys.stderr)") == {"seqtui"}


def test_load_from_python_is_standard_library_alone() -> None:
    code = "import seqtui, sys; seqtui.load(sys.argv[1]); print(*sys.modules, file=sys.stderr)"
    assert loads(code, LENET) == {"seqtui"}


def test_listing_weights_is_standard_library_alone() -> None:
    assert loads(COMMAND, "weights", LENET) == {"seqtui"}


def test_numbers_of_weights_add_numpy() -> None:
    assert loads(COMMAND, "weights", LENET, "conv1.weight", "--values") == {"seqtui", "numpy"}


def test_first_frame_loads_neither_numpy_nor_torch() -> None:
    loaded = loads(FIRST_FRAME, LENET)
    assert {"seqtui", "textual", "rich"} <= loaded
    assert not loaded & {"numpy", "torch", "torchinfo", "safetensors", "IPython"}


def test_screens_come_without_openssl_and_leave_it_to_be_had() -> None:
    code = """
import sys
from seqtui.cli.open import spare_tls
spare_tls()
import asyncio, seqtui.tui.app
print(*sys.modules, file=sys.stderr)
import ssl
ssl.create_default_context()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    assert {"asyncio", "textual"} <= set(done.stderr.split())
    assert not {"ssl", "_ssl"} & set(done.stderr.split())


def test_table_on_a_terminal_adds_rich(tmp_path: Path) -> None:
    file = tmp_path / "modules"
    command = ["sh", "-c", 'exec "$@" 2> "$0"', str(file), sys.executable, "-c", COMMAND, "summary", LENET]
    with Terminal(command) as terminal:
        assert terminal.ends() == 0
        assert "lenet5" in terminal.text
    loaded = {name.partition(".")[0] for name in file.read_text().split()}
    assert "rich" in loaded
    assert not loaded & {"textual", "numpy", "torch", "safetensors", "platformdirs"}


# Where torch is not installed


@pytest.fixture(scope="module")
def bare() -> str:
    """The interpreter without torch."""
    assert BARE.exists(), "there is no .venv-bare to try seqtui without torch in: make .venv-bare/.installed"
    found = subprocess.run([BARE, "-c", "import torch"], capture_output=True, text=True, timeout=120)
    assert "No module named 'torch'" in found.stderr
    return str(BARE)


def run(*command: str) -> str:
    """What a command prints that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["summary", LENET], ["summary", LENET, "--json"], ["weights", LENET], ["weights", LENET, "fc*.weight", "--json"]],
    ids=lambda arguments: " ".join(arguments).replace(LENET, "lenet5"),
)
def test_without_torch_the_same_is_printed(arguments: list[str], bare: str) -> None:
    assert run(bare, "-m", "seqtui", *arguments) == run(sys.executable, "-m", "seqtui", *arguments)


def test_without_torch_edits_that_make_nothing_anew_are_written(bare: str, tmp_path: Path) -> None:
    command = [bare, "-m", "seqtui", "edit", LENET, "--json", "-o", str(tmp_path / "out.safetensors"), "-e"]
    assert "remove" not in run(*command, "remove fc3")
    done = subprocess.run(
        [*command, "set fc2 out_features=100", "--force"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.splitlines()[0].endswith("torch is not installed, and new weights are made by it alone")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run", LENET], "models are run"),
        (["summary", LENET, "--style", "torchinfo"], "torchinfo's table is made"),
        (["convert", LENET, "net.pt"], "exports are written"),
    ],
    ids=["run", "torchinfo", "convert"],
)
def test_without_torch_the_command_says_so(arguments: list[str], what: str, bare: str, tmp_path: Path) -> None:
    command = [bare, "-m", "seqtui", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.splitlines()[0].endswith(f"torch is not installed, and {what} by it alone")
    assert not list(tmp_path.iterdir())


def test_the_rest_of_a_removed_torch_is_none(bare: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "torch").mkdir(parents=True)
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parent.parent)])}
    command = [bare, "-m", "seqtui", "run", LENET]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**paths), timeout=120)
    assert (done.returncode, done.stdout) == (5, "")
    assert "torch cannot be imported: ModuleNotFoundError: No module named 'torch.nn'" in done.stderr


def test_without_torch_the_screens_open(bare: str) -> None:
    with Terminal([bare, "-m", "seqtui", "open", LENET, "--select", "conv1.weight"]) as terminal:
        terminal.sees("conv1", "6×1×5×5", "fc3", "61,706 parameters", "q quit")
        terminal.press("enter")
        terminal.sees("count 150", "[0, 0, 0, 0]")
        terminal.press("ctrl+q")
        assert terminal.ends() == 0


def test_without_torch_a_model_loads(bare: str) -> None:
    code = "import seqtui, sys; print(*(layer.kind for _, layer in seqtui.load(sys.argv[1]).walk()))"
    assert run(bare, "-c", code, LENET).split()[:3] == ["Conv2d", "Tanh", "AvgPool2d"]


@pytest.mark.parametrize("call", ["save(object(), sys.argv[1] + '.new')", "load_sequential(sys.argv[1])"])
def test_without_torch_what_needs_it_says_so(call: str, bare: str) -> None:
    code = f"import seqtui, sys\nfrom seqtui.errors import EngineError\ntry: seqtui.{call}\n"
    sentence = run(bare, "-c", code + "except EngineError as error: print(error.line())", LENET)
    assert sentence.startswith("torch is not installed")
    assert sentence.count("\n") == 1
