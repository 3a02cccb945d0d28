"""What tests share; all of them a state folder of their own, so that no journal of one is found by another."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from command import Refused, require_refused
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("terminal", "user")  # what they assert is shown as in a test
settings.register_profile("seqtui", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seqtui")  # to be slow is no failure: no test goes by the clock


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where journals lie during this test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What holds a refusal against what is to be said, in a working folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return partial(require_refused, capsys)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's own network lies."""
    return tmp_path / "net.safetensors"


@pytest.fixture
def seeded() -> None:
    """The same weights at each run, in every network that a test makes."""
    import torch  # a second that many tests need not wait for

    torch.manual_seed(0)
