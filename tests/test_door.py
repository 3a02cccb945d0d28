"""torch in a process of its own: what it makes, and what becomes of us when something becomes of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from seqtui.engine.door import Engine, Initialise, Making
from seqtui.errors import EngineError
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


def test_a_process_that_is_killed_is_told_and_started_again(tmp_path: Path) -> None:
    engine = Engine()
    engine.ask(Initialise((), "", str(tmp_path / "first")))
    assert engine._process is not None
    os.kill(engine._process.pid, signal.SIGSTOP)  # so that it is asked, and answers nothing
    threading.Timer(0.3, os.kill, (engine._process.pid, signal.SIGKILL)).start()
    with pytest.raises(EngineError, match="killed, most likely for lack of memory"):
        engine.ask(Initialise((), "", str(tmp_path / "second")))
    engine.ask(Initialise((), "", str(tmp_path / "third")))
    assert (tmp_path / "third").exists()
    engine.close()


def test_cancelling_ends_a_request_that_hangs(tmp_path: Path) -> None:
    engine = Engine()
    engine.ask(Initialise((), "", str(tmp_path / "first")))
    assert engine._process is not None
    os.kill(engine._process.pid, signal.SIGSTOP)
    threading.Timer(0.3, engine.cancel).start()
    with pytest.raises(EngineError, match="killed"):
        engine.ask(Initialise((), "", str(tmp_path / "second")))
    engine.close()


def test_a_torch_in_the_working_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    monkeypatch.chdir(tmp_path)
    engine = Engine()
    engine.ask(Initialise((making("bias", (8,)),), "", str(tmp_path / "new")))
    engine.close()
    assert load_file(tmp_path / "new")["conv.bias"].shape == (8,)
