"""torch in a process of its own: what it makes, and what becomes of us when something becomes of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import get_args

import numpy as np
import pytest
import torch
from running import subject_of
from safetensors.torch import load_file, save_file
from terminal import SAMPLES, environment
from terminal import seqtui as command
from torch import nn

import seqtui
from seqtui.engine.door import MOMENT, Engine, Told
from seqtui.engine.requests import (
    Device,
    Devices,
    Feed,
    Forward,
    Initialise,
    Making,
    Progress,
    Request,
    RunResult,
    RunSettings,
    Subject,
    Trace,
)
from seqtui.errors import CancelledError, EngineError, FileError, OutOfMemoryError
from seqtui.model.tensors import Shape

torch.set_num_threads(1)

CONV = {"in_channels": 3, "out_channels": 8, "kernel_size": 3}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def making(
    name: str, shape: Shape, seed: int = 7, init: str | None = None, kept: Shape | None = None, dtype: str = "float32"
) -> Making:
    return Making(f"conv.{name}", "Conv2d", CONV, name, dtype, shape, seed, init, kept)


def test_new_weights_are_those_of_torch(engine: Engine, tmp_path: Path) -> None:
    wanted = (making("weight", (8, 3, 3, 3)), making("bias", (8,)))
    engine.ask(Initialise(wanted, "", str(tmp_path / "new")))
    torch.manual_seed(7)
    layer = nn.Conv2d(3, 8, 3)
    made = load_file(tmp_path / "new")
    assert torch.equal(made["conv.weight"], layer.weight)
    assert layer.bias is not None
    assert torch.equal(made["conv.bias"], layer.bias)


def test_a_kept_block_stays_and_the_rest_is_new(engine: Engine, tmp_path: Path) -> None:
    old = torch.arange(6 * 3 * 3 * 3, dtype=torch.float32).reshape(6, 3, 3, 3)
    save_file({"conv.weight": old}, tmp_path / "kept")
    wanted = making("weight", (8, 3, 3, 3), kept=(6, 3, 3, 3))
    engine.ask(Initialise((wanted,), str(tmp_path / "kept"), str(tmp_path / "new")))
    torch.manual_seed(7)
    made = load_file(tmp_path / "new")["conv.weight"]
    assert torch.equal(made[:6], old)
    assert torch.equal(made[6:], nn.Conv2d(3, 8, 3).weight[6:])


def test_numbers_are_converted_and_filled(engine: Engine, tmp_path: Path) -> None:
    old = torch.randn(8, generator=torch.Generator().manual_seed(1))
    save_file({"conv.bias": old}, tmp_path / "kept")
    wanted = (
        making("bias", (8,), kept=(8,), dtype="bfloat16"),
        making("weight", (8, 3, 3, 3), init="kaiming_uniform"),
    )
    engine.ask(Initialise(wanted, str(tmp_path / "kept"), str(tmp_path / "new")))
    made = load_file(tmp_path / "new")
    assert torch.equal(made["conv.bias"], old.bfloat16())
    torch.manual_seed(7)
    assert torch.equal(made["conv.weight"], nn.init.kaiming_uniform_(torch.empty(8, 3, 3, 3)))


def test_what_torch_refuses_is_told_and_the_process_lives(engine: Engine, tmp_path: Path) -> None:
    wrong = Making("x", "Conv2d", {"in_channels": -1}, "weight", "float32", (1,), 0, None, None)
    with pytest.raises(EngineError, match="torch: TypeError"):
        engine.ask(Initialise((wrong,), "", str(tmp_path / "wrong")))
    assert not (tmp_path / "wrong").exists()
    engine.ask(Initialise((making("bias", (8,)),), "", str(tmp_path / "right")))
    assert (tmp_path / "right").exists()


# What becomes of us when something becomes of it, also before it has imported torch (`test_door_struck`: later)


NET = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject_of(NET, tmp_path_factory.mktemp("model") / "net.safetensors", (2, 4))


def state_of(engine: Engine) -> str:
    return engine.state


def process_of(engine: Engine) -> int:
    assert engine._process is not None
    return engine._process.pid


def test_a_process_that_is_killed_is_told_and_started_again(subject: Subject) -> None:
    engine, request = Engine(), Forward(subject, RunSettings())
    with pytest.raises(OutOfMemoryError, match="torch's process was killed, most likely for lack of memory"):
        engine.ask(request, lambda _: os.kill(process_of(engine), signal.SIGKILL))
    assert state_of(engine) == "ended"
    with pytest.raises(EngineError, match="torch's process was ended by SIGSEGV"):
        engine.ask(request, lambda _: os.kill(process_of(engine), signal.SIGSEGV))
    engine.close()


def test_a_process_that_hangs_is_cancelled(subject: Subject) -> None:
    engine, request = Engine(), Forward(subject, RunSettings())

    def hang(_: Progress) -> None:
        os.kill(process_of(engine), signal.SIGSTOP)
        engine.cancel(request)

    with pytest.raises(CancelledError, match="cancelled"):
        engine.ask(request, hang)
    assert state_of(engine) == "ended"
    engine.close()


def test_closing_frees_whoever_waits_for_a_process_that_hangs(subject: Subject) -> None:
    engine, hangs, errors = Engine(), threading.Event(), []

    def hang(_: Progress) -> None:
        os.kill(process_of(engine), signal.SIGSTOP)
        hangs.set()

    def ask() -> None:
        try:
            engine.ask(Forward(subject, RunSettings()), hang)
        except EngineError as error:
            errors.append(type(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]  # the other one waits for its turn
    for thread in threads:
        thread.start()
    assert hangs.wait(60)
    start = monotonic()
    engine.close()
    assert monotonic() - start < MOMENT
    for thread in threads:
        thread.join(60)
    assert errors == [CancelledError, CancelledError]
    with pytest.raises(CancelledError):
        engine.ask(Devices())


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_process_without_memory_is_told_and_started_again(subject: Subject) -> None:
    import resource

    engine, request = Engine(), Forward(subject, RunSettings())

    def starve(_: Progress) -> None:
        resource.prlimit(process_of(engine), resource.RLIMIT_AS, (1 << 27, 1 << 27))

    told = r"^(torch's process|torch cannot be imported|torch: |there is not enough memory)"
    with pytest.raises(EngineError, match=told):
        engine.ask(request, starve)
    assert "cpu" in [device.name for device in asked(engine, Devices())]
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on addresses")
def test_no_memory_to_import_torch_is_told_as_that() -> None:
    shell = ["sh", "-c", 'ulimit -v 400000; exec "$@"', "sh", *command("run", SAMPLES / "lenet5.safetensors")]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120, env=environment())
    assert done.returncode == 5
    assert re.search("there is not enough memory to import torch$|for lack of memory$", done.stderr.splitlines()[0])


def asked(engine: Engine, request: Devices) -> tuple[Device, ...]:
    answer = engine.ask(request)
    assert isinstance(answer, tuple)
    return answer


ENDLESS = RunSettings(passes=10**9)


def test_a_run_is_cancelled_while_torch_computes(subject: Subject) -> None:
    engine, request = Engine(), Forward(subject, ENDLESS)

    def cancel(progress: Progress) -> None:
        if progress.words.startswith("pass 1 of 1,000,000,000"):
            assert state_of(engine) == "busy"
            engine.cancel(request)

    with pytest.raises(CancelledError):
        engine.ask(request, cancel)
    assert isinstance(engine.ask(Forward(subject, RunSettings())), RunResult)
    engine.close()


def test_cancelling_what_waits_for_its_turn_leaves_what_runs_alone(engine: Engine, subject: Subject) -> None:
    engine.ask(Devices())
    process, waiting = process_of(engine), Forward(subject, ENDLESS)
    answer = engine.ask(Forward(subject, RunSettings()), lambda _: engine.cancel(waiting))
    assert isinstance(answer, RunResult)
    with pytest.raises(CancelledError):
        engine.ask(waiting)
    engine.ask(Devices())
    assert process_of(engine) == process


def test_what_waits_is_cancelled_at_once_and_a_process_that_hangs_is_ended(subject: Subject) -> None:
    engine, hangs, waiting = Engine(), threading.Event(), Forward(subject, ENDLESS)
    errors: dict[str, EngineError] = {}

    def hang(_: Progress) -> None:
        os.kill(process_of(engine), signal.SIGSTOP)
        hangs.set()

    def ask(request: Request, told: Told | None) -> None:
        try:
            engine.ask(request, told)
        except EngineError as error:
            errors[type(request).__name__] = error

    first = threading.Thread(target=ask, args=(Trace(subject.model), hang))
    first.start()
    assert hangs.wait(60)
    second = threading.Thread(target=ask, args=(waiting, None))
    second.start()
    engine.cancel(waiting)
    second.join(60)
    assert (list(errors), first.is_alive()) == (["Forward"], True)
    engine.end()
    first.join(60)
    assert [type(error) for error in errors.values()] == [CancelledError, CancelledError]
    assert isinstance(engine.ask(Forward(subject, RunSettings())), RunResult)
    engine.close()


def test_what_hangs_while_nobody_asks_is_cancelled_once_it_is_asked(subject: Subject) -> None:
    engine, request = Engine(), Forward(subject, RunSettings())
    engine.ask(Devices())
    os.kill(process_of(engine), signal.SIGSTOP)
    errors: list[type[EngineError]] = []

    def ask() -> None:
        try:
            engine.ask(request)
        except EngineError as error:
            errors.append(type(error))

    asking = threading.Thread(target=ask)
    asking.start()
    engine.cancel(request)
    asking.join(60)
    assert errors == [CancelledError]
    engine.close()


def test_ending_what_is_idle_or_was_never_started_starts_anew() -> None:
    engine = Engine()
    engine.end()
    assert state_of(engine) == ""
    engine.ask(Devices())
    engine.end()
    assert state_of(engine) == "ended"
    assert asked(engine, Devices())
    engine.close()


def test_the_state_is_told(subject: Subject) -> None:
    engine, states = Engine(), []
    assert state_of(engine) == ""
    engine.ask(Forward(subject, RunSettings()), lambda progress: states.append((progress.words, engine.state)))
    expected = [
        ("importing torch", "starting"),
        ("building the model", "busy"),
        ("running", "busy"),
        ("timing", "busy"),
    ]
    assert states == expected
    assert state_of(engine) == "ready"
    states.clear()
    engine.ask(Forward(subject, RunSettings()), lambda progress: states.append((progress.words, engine.state)))
    assert states == expected[2:]
    engine.close()
    assert state_of(engine) == "ended"


def test_whoever_cannot_bear_to_hear_more_leaves_nothing_behind(subject: Subject) -> None:
    engine = Engine()

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.ask(Forward(subject, RunSettings()), stop)
    assert isinstance(engine.ask(Forward(subject, RunSettings())), RunResult)
    engine.close()


def test_an_engine_that_nobody_asked_closes(capfd: pytest.CaptureFixture[str]) -> None:
    engine = Engine()
    engine.close()
    engine.close()
    assert (state_of(engine), capfd.readouterr()) == ("", ("", ""))


def test_nothing_that_torch_says_is_printed(engine: Engine, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 2, padding="same"))  # of which torch warns
    result = engine.ask(Forward(subject_of(net, tmp_path / "net.safetensors", (1, 1, 4, 4)), RunSettings()))
    assert isinstance(result, RunResult)
    assert capfd.readouterr() == ("", "")


def test_an_error_of_any_kind_arrives_as_it_was_raised(engine: Engine, subject: Subject) -> None:
    feed = Feed("file", "/nowhere/batch.npy")
    with pytest.raises(FileError, match="it cannot be read: No such file or directory") as caught:
        engine.ask(Forward(subject, RunSettings(feed=feed)))
    assert (caught.value.file, caught.value.exit_code) == (feed.path, 4)


WITHOUT_TORCH = """
import sys
sys.path.insert(0, sys.argv[1])
from seqtui.engine.door import WITHOUT_TORCH, Engine
from seqtui.errors import EngineError
for kind in WITHOUT_TORCH:
    try:
        Engine().ask(kind.__new__(kind, *kind._fields))
    except EngineError as error:
        print(error.line())
"""


def test_without_torch_every_request_is_a_sentence() -> None:
    root = str(Path(seqtui.__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", WITHOUT_TORCH, root]  # without the packages that are installed
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(get_args(Request))
    assert all(re.fullmatch(r"torch is not installed, and [a-z' ]+ by it alone", line) for line in lines)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_that_an_error_left_useless_is_there_again_for_the_next_request(tmp_path: Path) -> None:
    engine = Engine()
    net = nn.Sequential(nn.Embedding(3, 2))
    subject = subject_of(net, tmp_path / "net.safetensors", (1, 2), "int64")
    np.save(tmp_path / "batch.npy", np.array([[1, 99]]))
    settings = RunSettings(device="cuda", feed=Feed("file", str(tmp_path / "batch.npy")))
    with pytest.raises(EngineError, match="device-side assert"):
        engine.ask(Forward(subject, settings))
    assert isinstance(engine.ask(Forward(subject, settings._replace(feed=Feed()))), RunResult)
    engine.close()


@pytest.mark.parametrize("is_in_path", [False, True])
def test_a_torch_in_the_working_directory_is_not_run(
    is_in_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    monkeypatch.chdir(tmp_path)
    if is_in_path:  # as an empty entry, which `$PYTHONPATH:/more` leaves where there was none
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("", os.environ.get("PYTHONPATH", ""))))
    engine = Engine()
    engine.ask(Initialise((making("bias", (8,)),), "", str(tmp_path / "new")))
    engine.close()
    assert load_file(tmp_path / "new")["conv.bias"].shape == (8,)
