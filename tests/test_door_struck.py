"""torch's process struck in the middle of a request of every kind: killed, hung, and out of memory as it computes."""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import torch

from seqtui.engine.__main__ import HANDLERS
from seqtui.engine.door import MOMENT, Engine
from seqtui.engine.requests import (
    Devices,
    Export,
    Forward,
    Images,
    Initialise,
    Making,
    Maps,
    Request,
    RunResult,
    RunSettings,
    Subject,
    TorchinfoTable,
    Trace,
)
from seqtui.errors import CancelledError, EngineError, OutOfMemoryError
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.tensors import Shape

if sys.platform != "linux":
    pytest.skip("needs /proc and prlimit", allow_module_level=True)

import resource

torch.set_num_threads(1)

PATIENCE = 60.0
"""Seconds after which what is waited for counts as never coming."""
TRIES = 1000
"""How often a request is asked again that was answered before it was struck: that of the devices takes 0.5 ms."""


# What is asked


def model(*layers: LayerSpec, shape: Shape = (1, 1)) -> Subject:
    """Layers without tensors, so that there is no file to read."""
    return Subject(ModelSpec(LayerSpec("", "Sequential", layers=layers), (InputSpec("input", shape),)), ())


def layer(kind: str, **args: Value) -> LayerSpec:
    return LayerSpec("one", kind, args)


SMALL = model(layer("ReLU"))
LONG = model(*(LayerSpec(f"relu{number}", "ReLU") for number in range(10_000)))
"""Takes some seconds to be built, and to be followed; a twentieth of one to be read."""
WIDE = model(layer("ConstantPad1d", padding=(0, 1 << 28), value=0.0))
"""What comes out are 1 GiB."""
MANY_PARTS = model(
    layer(
        "AdaptiveLogSoftmaxWithLoss", in_features=1, n_classes=100_000, cutoffs=tuple(range(1, 99_999)), div_value=1.0
    )
)
"""Made of so many modules that they alone are more than 1 GB."""
PICTURE = model(layer("Upsample", size=(3000, 3000)), shape=(1, 1, 1, 1))
"""Its one map is 36 MB."""


class Kind(NamedTuple):
    """How the requests of one kind are tried. Each is made anew: files are written that must not be there."""

    small: Callable[[], Request]
    """Answered at once. After it the process has at hand all that the others need."""
    large: Callable[[], Request]
    """Keeps it at work."""
    hungry: Callable[[], Request] | None = None
    """Needs more memory than there is; None where none does."""
    seconds: float = 0.02
    """Of a processor, after which it is in the middle of the large one."""


def kinds(folder: Path) -> dict[str, Kind]:
    """One of each."""
    numbers = count()

    def new_path(suffix: str = "") -> str:
        return str(folder / f"{next(numbers)}{suffix}")

    def made(size: int, init: str) -> Initialise:
        return Initialise(
            (Making("x", "Linear", {}, "weight", "float32", (size, size), 0, init, None),), "", new_path()
        )

    return {
        "Initialise": Kind(
            lambda: made(4, "orthogonal"), lambda: made(4_000, "orthogonal"), lambda: made(16_000, "zeros")
        ),
        "Forward": Kind(
            lambda: Forward(SMALL, RunSettings()),
            lambda: Forward(SMALL, RunSettings(passes=10**9)),
            lambda: Forward(WIDE, RunSettings()),
        ),
        "Maps": Kind(lambda: Forward(PICTURE, RunSettings()), lambda: Maps("one", 8, 8), lambda: Maps("one", 8, 8)),
        "Devices": Kind(Devices, Devices, seconds=5e-5),
        "Trace": Kind(
            lambda: Trace(SMALL.model), lambda: Trace(LONG.model), lambda: Trace(MANY_PARTS.model), seconds=0.2
        ),
        "TorchinfoTable": Kind(
            lambda: TorchinfoTable(SMALL.model, None),
            lambda: TorchinfoTable(LONG.model, None),
            lambda: TorchinfoTable(MANY_PARTS.model, None),
            seconds=0.2,
        ),
        "Export": Kind(
            lambda: Export(SMALL, new_path(".pt")),
            lambda: Export(LONG, new_path(".pt")),
            lambda: Export(MANY_PARTS, new_path(".pt")),
            seconds=0.2,
        ),
    }


KINDS = tuple(kinds(Path()))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return kinds(tmp_path)[str(request.param)]


def test_every_kind_of_request_is_tried() -> None:
    assert (
        sorted(KINDS)
        == sorted(kind.__name__ for kind in get_args(Request))
        == sorted(kind.__name__ for kind in HANDLERS)
    )


# How it is struck


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def one_engine() -> Iterator[Engine]:
    """For tests that mostly leave the process alive."""
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def process_of(engine: Engine) -> int:
    assert engine._process is not None
    return engine._process.pid


def status(process: int) -> list[str]:
    """What stands in its `stat` behind the name: first of all its state."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()


def computed(process: int) -> float:
    """Seconds that a process has had processors, now, as clock_getcpuclockid(3) has it: /proc lags behind."""
    return time.clock_gettime(~process << 3 | 2)


def is_taken(engine: Engine) -> bool:
    """Whether the process has read all that it was asked."""
    assert engine._process is not None
    assert engine._process.stdin is not None
    return fcntl.ioctl(engine._process.stdin, termios.FIONREAD, bytes(4)) == bytes(4)


class Asked(NamedTuple):
    """A request that is under way."""

    request: Request
    answer: Future[object]


def stopped(engine: Engine, kind: Kind, thread: ThreadPoolExecutor) -> Asked:
    """A large request in the middle of which the process stands still: it has taken it, and no answer comes."""
    for _ in range(TRIES):
        engine.ask(kind.small())
        process, request = process_of(engine), kind.large()
        while status(process)[0] != "S":
            pass  # it has not come to rest
        enough = computed(process) + kind.seconds
        answer = thread.submit(engine.ask, request)
        while computed(process) < enough and not answer.done():
            pass
        os.kill(process, signal.SIGSTOP)
        os.waitid(os.P_PID, process, os.WSTOPPED | os.WNOWAIT)
        if is_taken(engine) and not wait([answer], 0.02).done:
            return Asked(request, answer)
        os.kill(process, signal.SIGCONT)
        answer.result(PATIENCE)
    raise AssertionError("it was answered each time")


def test_what_strikes_in_the_middle_is_told_and_the_next_request_is_answered(
    kind: Kind, engine: Engine, thread: ThreadPoolExecutor
) -> None:
    _, answer = stopped(engine, kind, thread)
    os.kill(process_of(engine), signal.SIGKILL)
    error = answer.exception(PATIENCE)
    assert isinstance(error, OutOfMemoryError)
    assert error.line() == "torch's process was killed, most likely for lack of memory"
    assert engine.state == "ended"

    request, answer = stopped(engine, kind, thread)
    engine.cancel(request)
    assert isinstance(answer.exception(PATIENCE), CancelledError)
    assert engine.state == "ended"

    _, answer = stopped(engine, kind, thread)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < MOMENT
    assert isinstance(answer.exception(PATIENCE), CancelledError)


def test_a_crash_is_told_by_its_name(engine: Engine, thread: ThreadPoolExecutor, tmp_path: Path) -> None:
    _, answer = stopped(engine, kinds(tmp_path)["Forward"], thread)
    for strike in (signal.SIGSEGV, signal.SIGCONT):
        os.kill(process_of(engine), strike)
    error = answer.exception(PATIENCE)
    assert isinstance(error, EngineError)
    assert error.line() == "torch's process was ended by SIGSEGV"


def test_the_layer_that_takes_long_is_told_as_it_runs(engine: Engine) -> None:
    wide = layer("Upsample", size=(2000, 2000))
    endless = LayerSpec("two", "MaxPool2d", {"kernel_size": 999, "stride": 1, "padding": 499})
    request = Forward(model(wide, endless, shape=(1, 1, 1, 1)), RunSettings())
    with pytest.raises(CancelledError):
        engine.ask(request, lambda told: engine.cancel(request) if told.words == "two, 2 of 2 layers" else None)


ASK_AND_SAY = """
import sys, pickle
from seqtui.engine.door import Engine
engine = Engine()
request = pickle.load(open(sys.argv[1], "rb"))
engine.ask(request, lambda progress: progress.words.startswith("pass") and print(engine._process.pid, flush=True))
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs a way to wait for another's child")
def test_the_process_leaves_when_we_are_killed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(pickle.dumps(Forward(SMALL, RunSettings(passes=10**9))))
    command = [sys.executable, "-c", ASK_AND_SAY, str(tmp_path / "request")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        ended = os.pidfd_open(int(asking.stdout.readline()))
        asking.kill()
    assert select.select([ended], [], [], 60)[0] == [ended]
    os.close(ended)


# Without memory


@contextmanager
def room(engine: Engine, num_bytes: int) -> Iterator[None]:
    """In which torch's process can have so much more memory than it has, however often it is started."""
    process = process_of(engine)
    limit = int(status(process)[20]) + num_bytes
    resource.prlimit(process, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if engine.state == "ready" and process_of(engine) == process:
            resource.prlimit(process, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize("num_bytes", [0, 16 << 20])
def test_without_memory_it_is_told_and_the_next_request_is_answered(
    kind: Kind, num_bytes: int, one_engine: Engine
) -> None:
    one_engine.ask(kind.small())
    with room(one_engine, num_bytes):
        if kind.hungry is None:
            one_engine.ask(kind.large())
            return
        with pytest.raises(OutOfMemoryError) as caught:
            one_engine.ask(kind.hungry())
    assert "memory" in caught.value.message
    one_engine.ask(kind.small())


def test_too_little_memory_for_a_layer_leaves_the_process_alive(one_engine: Engine) -> None:
    one_engine.ask(Forward(SMALL, RunSettings()))
    process = process_of(one_engine)
    sentence = r"^one: there is not enough memory: it asks for another 1.07 GB$"
    with room(one_engine, 256 << 20), pytest.raises(OutOfMemoryError, match=sentence) as caught:
        one_engine.ask(Forward(WIDE, RunSettings()))
    assert caught.value.exit_code == 5
    one_engine.ask(Forward(SMALL, RunSettings()))
    assert process_of(one_engine) == process


def test_what_was_computed_before_a_layer_raised_is_let_go(one_engine: Engine) -> None:
    wide = layer("ConstantPad1d", padding=(0, 1 << 26), value=0.0)
    one_engine.ask(Forward(SMALL, RunSettings()))
    with room(one_engine, 700 << 20):  # a run that looks at this and times it holds it twice, 256 MiB each
        with pytest.raises(EngineError, match=r"^two: Dimension out of range"):
            one_engine.ask(Forward(model(wide, LayerSpec("two", "Softmax", {"dim": 9})), RunSettings()))
        assert isinstance(one_engine.ask(Forward(model(wide), RunSettings())), RunResult)


def test_maps_are_shown_where_there_is_little_more_room_than_they_take(one_engine: Engine) -> None:
    one_engine.ask(Forward(PICTURE, RunSettings()))
    with room(one_engine, 100_000_000):
        assert isinstance(one_engine.ask(Maps("one", 8, 8)), Images)


def test_a_run_without_memory_to_tell_how_far_it_is_comes_to_an_end(engine: Engine, thread: ThreadPoolExecutor) -> None:
    engine.ask(Forward(SMALL, RunSettings()))
    with room(engine, 1 << 20):
        answer = thread.submit(engine.ask, Forward(LONG, RunSettings()))
        assert isinstance(answer.exception(PATIENCE), OutOfMemoryError)
