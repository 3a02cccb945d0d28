"""Files whose every word is hostile, through every way to the screen: nothing that a file says is obeyed."""

from __future__ import annotations

import json
import os
import re
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import faults
import pytest
from terminal import Terminal, seqtui

from seqtui.cli import main

NAMES = [*faults.NAMES.values(), "a.b.weight", "[/]sought.weight"]
OWN_SEQUENCES = re.compile(
    r"\x1b\[[?>]?\d+(?:;\d+)*[mHhlu]"  # colours, places, modes
    r"|\x1b\[<u|\x1b\[\?\d+\$p"  # the keyboard put back, a mode asked for
    r"|\x1b\]22;[a-z]+\x07"  # the shape of the mouse pointer
    r"|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"  # the clipboard, written by Y
    r"|\x07(?=\x1b)"  # the bell of a warning
)
"""What the program itself says to a terminal. A file's own sequences are looked for by their text."""
BLINK = "\x1b[5;45m"
PAYLOADS = [
    "\x1b[31mred",
    BLINK,
    "\x1b[2J",
    "\x1b]52;c;cm0gL",
    "\x1b]52;c;aGk=",
    "\x1b]8",
    "\x1b]0",
    "\x1b]2;",
    "\x1bP",
    "\x9b",
]


def harmless(output: bytes) -> str:
    """Text that went to a terminal or into a pipe, once nothing in it is found that a terminal would obey."""
    text = output.decode()
    assert not [payload for payload in PAYLOADS if payload in text]
    rest = OWN_SEQUENCES.sub("", text)
    assert {character for character in rest if not character.isprintable()} <= {"\r", "\n"}
    return rest


def spec(names: list[str]) -> str:
    """A spec in which every text is one of these."""
    layers: list[dict[str, object]] = [{"name": name, "kind": "Linear", "args": {name: name}} for name in names]
    for number, name in enumerate(names):
        sound = {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding_mode": name}
        layers.append(
            {"name": f"{number}{name}", "kind": "Conv2d", "args": sound, "frozen": [name], "tied": {"b": name}}
        )
    layers.append({"name": "x", "kind": "Sequential", "layers": [{"name": name, "kind": "ReLU"} for name in names]})
    inputs = [{"name": names[0], "shape": [1, 1, 4, 4], "dtype": "float32"}]
    return json.dumps({"seqtui": 1, "kind": "Sequential", "inputs": inputs, "layers": layers})


METADATA = {name: name for name in NAMES} | {"clipboard": "\x1b]52;c;aGk=\x07[red]v[/nope]"}
LAYER_NAMES = list(dict.fromkeys(name.replace(".", "") for name in NAMES if name.strip(".")))
TENSORS: dict[str, faults.Entry] = {name: ("F16", [2, 2]) for name in NAMES}

FILES: dict[str, bytes] = {
    "names": faults.sound(TENSORS, METADATA),
    "spec": faults.sound(
        {f"{name}.weight": ("F16", [1, 1, 1, 1]) for name in LAYER_NAMES} | TENSORS,
        METADATA | {"seqtui.spec": spec(LAYER_NAMES)},
    ),
    "kinds": faults.sound(TENSORS, {"seqtui.spec": spec(LAYER_NAMES).replace('"ReLU"', r'"\u001b[5;45m[red]"')}),
    "types": faults.one(dtype=f"[/]{BLINK}\u202e", name="[/]sought\x1b[2J"),
}
"""Each is sound as a file, and opens."""

ENTRY = f"{{{faults.PLAIN}}}"
ESCAPED = "\\u001b[5;45m[/]\\u009b\\u202e"
REFUSED = {
    "name twice": f'{{"{ESCAPED}":{ENTRY},"{ESCAPED}":{ENTRY}}}',
    "metadata": f'{{"__metadata__":{{"{ESCAPED}":1}},"a":{ENTRY}}}',
    "entry": f'{{"{ESCAPED}":1}}',
    "offsets": f'{{"{ESCAPED}":{{"dtype":"F32","shape":[9],"data_offsets":[0,8]}}}}',
    "field": f'{{"a":{{"{ESCAPED}":1,"{ESCAPED}":2,{faults.PLAIN}}}}}',
    "json": f'{{"{BLINK}": nope}}',
}
"""Headers whose refusal names a hostile word."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file of the table."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in FILES.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    return folder


class Done(NamedTuple):
    """A command that has run."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run(folder: Path, *arguments: str) -> Done:
    """One command, run in this process, as if into pipes."""
    with chdir(folder), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(arguments)
    return Done(code, out.getvalue().encode(), err.getvalue().encode())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "arguments",
    [["summary"], ["summary", "--depth=1"], ["weights"], ["weights", "--histogram"], ["open"]],
    ids=" ".join,
)
def test_pipe(arguments: list[str], file: str, folder: Path) -> None:
    done = run(folder, *arguments, f"{file}.safetensors")
    assert done.returncode in (0, 1)
    text = harmless(done.stdout)
    assert harmless(done.stderr) in (
        "",
        "seqtui: no screen to open here; run it in a terminal, or use seqtui summary\n",
    )
    if file == "names":
        for shown in ("[red]x", "[bold", "[/]x", "␛[31mred", "␛]52;c;", "%s%n{0}{x}", "line1␊line2", "卷积层"):
            assert shown in text


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("verb", ["summary", "weights"])
def test_terminal(verb: str, file: str, folder: Path) -> None:
    with Terminal(seqtui(verb, f"{file}.safetensors"), folder=folder) as terminal:
        assert terminal.ends() in (0, 1)
        harmless(terminal.output)
        assert b"\x1b[" in terminal.output  # there was colour


@pytest.mark.parametrize("verb", ["summary", "weights"])
def test_plain_is_ascii(verb: str, folder: Path) -> None:
    for file in FILES:
        assert harmless(run(folder, verb, f"{file}.safetensors", "--plain").stdout).isascii()


def test_json_is_ascii_and_names_are_exact(folder: Path) -> None:
    done = run(folder, "weights", "names.safetensors", "--json")
    assert harmless(done.stdout).isascii()
    assert {tensor["name"] for tensor in json.loads(done.stdout)["tensors"]} == set(NAMES)
    done = run(folder, "summary", "names.safetensors", "--json")
    assert harmless(done.stdout).isascii()
    document = json.loads(done.stdout)
    assert {tensor["name"] for layer in document["layers"] for tensor in layer["tensors"]} == set(NAMES)
    assert document["metadata"] == METADATA


@pytest.mark.parametrize("name", [name for name in NAMES if name and "\0" not in name])
def test_every_name_can_be_asked_for(name: str, folder: Path) -> None:
    done = run(folder, "weights", "names.safetensors", "--", name)
    assert done.returncode == 0, done.stderr
    assert "count 4 " in harmless(done.stdout)


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
def test_error_is_one_harmless_line(header: str, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(faults.pack(header.encode(), bytes(8)))
    done = run(tmp_path, "summary", "net.safetensors")
    assert done.returncode == 3
    assert done.stdout == b""
    assert is_refusal(harmless(done.stderr))


def is_refusal(text: str) -> bool:
    """Whether it is one sentence, and at most one hint."""
    first, *rest = text.splitlines()
    return first.startswith("seqtui: ") and (not rest or (len(rest) == 1 and rest[0].startswith("hint: ")))


# What is typed may have been pasted


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if name and not {"\0", "/"} & set(name) and len(name.encode()) < 240 and name != "..."],
)
def test_hostile_file_names(name: str, tmp_path: Path) -> None:
    missing = run(tmp_path, "summary", f"./{name}")
    assert missing.returncode == 4
    assert is_refusal(harmless(missing.stderr))
    (tmp_path / name).write_bytes(faults.SMALL)
    done = run(tmp_path, "summary", f"./{name}")
    assert done.returncode == 0
    assert harmless(done.stderr) == ""
    assert "16 parameters" in harmless(done.stdout)


def test_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[5;45m.safetensors")
    missing = run(tmp_path, "summary", name)
    assert (missing.returncode, is_refusal(harmless(missing.stderr))) == (4, True)
    (tmp_path / name).write_bytes(faults.SMALL)
    for arguments in (["summary"], ["summary", "--json"], ["weights"], ["weights", "--json"]):
        done = run(tmp_path, *arguments, name)
        assert done.returncode == 0, done.stderr
        harmless(done.stdout)
    with Terminal(seqtui("open", name), folder=tmp_path) as terminal:
        terminal.sees("<DCFF>␛[5;45m", "16 parameters", "q quit")
        terminal.press("q")
        assert terminal.ends() == 0
        harmless(terminal.output)


@pytest.mark.parametrize(
    "arguments",
    [
        ["summary", "names.safetensors", f"--{BLINK}"],
        [BLINK, "names.safetensors"],
        ["weights", "names.safetensors", "\x1b[2J\u202eno such"],
        ["weights", "names.safetensors", f"[red]x.weight[{BLINK}]"],
        ["summary", "names.safetensors", "--input", BLINK],
        ["summary", "names.safetensors", "--depth", BLINK],
    ],
)
def test_hostile_words_on_the_command_line(arguments: list[str], folder: Path) -> None:
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert is_refusal(harmless(done.stderr))


# The screens


@pytest.mark.parametrize("file", FILES)
def test_screens(file: str, folder: Path) -> None:
    """Every row with its detail beside it, every tensor's numbers, then search, palette, help and clipboard."""
    with Terminal(seqtui("open", f"{file}.safetensors"), 120, 60, folder=folder) as terminal:
        terminal.sees("q quit")
        terminal.press("+", "G")
        if file == "names":
            terminal.sees("卷积层")  # sorted last: drawn before the next key goes back to the top
        terminal.press("g", "j" * 120, "Y")
        terminal.sees("the terminal's clipboard")
        terminal.press("2", "k" * 60, "?")
        terminal.sees("filter the keys")
        terminal.press("\x1b[200~[/]nope\x1b[201~")  # pasted
        terminal.sees("no key for [/]nope")
        terminal.press("escape")
        terminal.wait(lambda: "no key for" not in terminal.text, "the end of the help")
        terminal.press("ctrl+p")
        terminal.sees("Command palette: every action")
        terminal.press("sought")
        terminal.wait(lambda: "[/]sought" in palette(terminal), "what the palette finds")
        terminal.press("escape")
        terminal.wait(lambda: "🔎" not in terminal.text, "the end of the palette")
        terminal.press("/")
        terminal.wait(lambda: "q quit" not in terminal.text, "the search line")
        terminal.press("[/]")
        terminal.sees("/[/]")
        terminal.press("enter")
        terminal.sees("q quit")
        terminal.press("n", "N", "C", "ctrl+q")
        assert terminal.ends() == 0
        text = harmless(terminal.output)
        if file == "names":
            for shown in ("[red]x", "[bold", "[/]x", "␛[31mred", "␛]52;c;", "%s%n{0}{x}", "line1␊line2", "卷积层"):
                assert shown in text


def palette(terminal: Terminal) -> str:
    """What the command palette lists."""
    return terminal.text.partition("🔎")[2].partition("▁▁▁")[0]


def test_names_of_any_width_keep_to_their_column(folder: Path) -> None:
    with Terminal(seqtui("open", "names.safetensors"), 80, 60, folder=folder) as terminal:
        terminal.sees("q quit")
        terminal.press("G")
        terminal.sees("卷积层", "<202E>gnp", "a<200B>b")
        table = [terminal.cells(number)[:79] for number in range(1, 58)]  # the last column is the scrollbar's
        assert {max(at for at, cell in enumerate(cells) if cell != " ") for cells in table} == {78}
