"""How long until there is something to read: on the screen, and in a pipe."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import files, hello
from benchmarks.comparison import OURS, Check, Figures, Goal, Measure, Row
from benchmarks.programs import HELLO, Command, environment, imported, program, recorded, seqtui
from benchmarks.terminal import TEXTUAL_STARTS, ScreenSize, Terminal

SIZE = ScreenSize(80, 24)
NOT_FOR_OPEN = ("numpy", "torch")
NOT_FOR_SUMMARY = ("numpy", "platformdirs", "rich", "safetensors", "textual", "torch")


class Side(NamedTuple):
    """A program that shows something, and how one knows that it does."""

    name: str
    command: Command
    """Empty where it is not installed."""
    texts: tuple[str, ...] = ()
    """What stands on its first complete frame: something of its last row, and the totals where it has any."""


def seconds_to_frame(side: Side) -> float:
    """From before the program starts until its texts stand on the terminal."""
    with Terminal(side.command, SIZE) as terminal:
        return terminal.wait_for(side.texts)


def seconds_to_keys(side: Side) -> float:
    """From before the program starts until Textual has drawn its texts: our first frame comes before it."""
    with Terminal(side.command, SIZE) as terminal:
        return terminal.wait_for(side.texts, TEXTUAL_STARTS)


def bytes_at_frame(side: Side) -> float:
    """Resident memory when Textual has drawn its texts."""
    with Terminal(side.command, SIZE) as terminal:
        terminal.wait_for(side.texts, TEXTUAL_STARTS)
        return terminal.resident_bytes()


def seconds_to_end(side: Side) -> float:
    """From before the program starts until it has left, its output read from a pipe."""
    started = time.perf_counter()
    run_quietly(side.command)
    return time.perf_counter() - started


def run_quietly(command: Command) -> None:
    """Run it with pipes in place of a terminal. Raises CalledProcessError when it fails."""
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=environment())


HELLO_SIDE = Side("hello", HELLO, (hello.TEXT,))
SMALL_TEXTS = ("fc3", "850", "61,706 parameters")


def small_on_screen(folder: Path) -> Iterable[Side]:
    """The small model, and the peers' screens of it."""
    yield Side(OURS, seqtui("open", files.SMALL), SMALL_TEXTS)
    yield HELLO_SIDE
    yield Side("sft", program("sft", "browse", files.SMALL), ("fc3.weight", "3.3 KB"))
    yield Side("safe-view", program("safe-view", files.SMALL), ("fc3.weight", "840"))


def gigabyte_on_screen(folder: Path) -> Iterable[Side]:
    """The same rows with larger numbers."""
    yield Side(OURS, seqtui("open", files.gigabyte(folder)), ("fc3", "163,850", "parameters"))
    yield Side("open.small", seqtui("open", files.SMALL), SMALL_TEXTS)


def decoder_on_screen(tensors: int, folder: Path) -> Iterable[Side]:
    """A language model of so many tensors."""
    file = files.decoder(folder, tensors)
    yield Side(OURS, seqtui("open", file), ("lm_head", "parameters"))
    yield HELLO_SIDE
    if tensors >= 100_000:
        yield Side("sft", program("sft", "browse", file), ("lm_head.weight", "layers.0.self_attn.v_proj.weight"))


def flat_on_screen(tensors: int, folder: Path) -> Iterable[Side]:
    """So many tensors without a tree."""
    yield Side(OURS, seqtui("open", files.flat(folder, tensors)), ("tensor_000015", "parameters"))
    yield HELLO_SIDE


def small_in_pipe(folder: Path) -> Iterable[Side]:
    """The summary of the small model, the least that Python can do, and the peer's summary."""
    yield Side(OURS, seqtui("summary", files.SMALL))
    yield Side("python -c pass", (sys.executable, "-c", "pass"))
    yield Side("sft info", program("sft", "info", files.SMALL))


def measured(
    measure: Callable[[Side], float], sides: Callable[[Path], Iterable[Side]]
) -> Callable[[Path], AbstractContextManager[Sequence[Measure]]]:
    """How a row that starts programs is prepared."""

    def figures(side: Side) -> Figures:
        return {side.name: measure(side)}

    return lambda folder: nullcontext([partial(figures, side) for side in sides(folder) if side.command])


def unwanted_modules(folder: Path) -> list[str]:
    """What was imported that nobody should wait for: before Textual has drawn, and for a summary."""
    log = folder / "imports"
    with Terminal(recorded(log, "open", files.SMALL), SIZE) as terminal:
        terminal.wait_for(SMALL_TEXTS, TEXTUAL_STARTS)
        faults = [f"open imports {name}" for name in NOT_FOR_OPEN if name in imported(log)]
    for verb in (["summary"], ["summary", "--json"]):
        run_quietly(recorded(log, *verb, files.SMALL))
        faults += [f"{' '.join(verb)} imports {name}" for name in NOT_FOR_SUMMARY if name in imported(log)]
    return faults


ROWS = (
    Row(
        "open.small",
        (Goal("hello", 1.25), Goal("sft", 0.5), Goal("safe-view", 0.12)),
        measured(seconds_to_frame, small_on_screen),
    ),
    Row("open.keys", (Goal("hello", 1.25),), measured(seconds_to_keys, small_on_screen)),
    Row("open.10k", (Goal("hello", 1.4),), measured(seconds_to_frame, partial(decoder_on_screen, 10_000))),
    Row("open.10k.flat", (Goal("hello", 1.4),), measured(seconds_to_frame, partial(flat_on_screen, 10_000))),
    Row(
        "open.100k",
        (Goal("hello", 2.2), Goal("sft", 0.03)),
        measured(seconds_to_frame, partial(decoder_on_screen, 100_000)),
    ),
    Row("open.100k.flat", (Goal("hello", 2.2),), measured(seconds_to_frame, partial(flat_on_screen, 100_000))),
    Row("open.1gb", (Goal("open.small", 1.1),), measured(seconds_to_frame, gigabyte_on_screen)),
    Check("open.modules", "no torch, no numpy; a summary by the standard library", unwanted_modules),
    Row("open.rss", (Goal("hello", 1.15),), measured(bytes_at_frame, small_on_screen), unit="B"),
    Row(
        "cli.summary",
        (Goal("python -c pass", 8), Goal("sft info", 0.3)),
        measured(seconds_to_end, small_in_pipe),
    ),
)
