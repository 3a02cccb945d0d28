"""Whole saves stopped at every call that they make of the system: the process killed there, or the call failing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import get_args

import interrupted_save
import pytest
import torch
from interrupted_save import Case, Echo, Save, calls_of, calls_watched
from safetensors.torch import load
from terminal import SAMPLES, environment

from seqtui.engine.door import Engine, Told
from seqtui.engine.requests import Initialise, Request
from seqtui.errors import SeqtuiError

LENET = SAMPLES / "lenet5.safetensors"
CASES: tuple[Case, ...] = get_args(Case)
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.ENOENT)


class Torch(Engine):
    """The engine itself, whose last answer is kept."""

    answer = b""

    def ask(self, request: Request, told: Told | None = None) -> object:
        done = super().ask(request, told)
        assert isinstance(request, Initialise)
        self.answer = Path(request.path).read_bytes()
        return done


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What torch makes for the save, as it writes it."""
    folder = tmp_path_factory.mktemp("answer")
    engine, before = Torch(), tempfile.tempdir
    save = Save(LENET, engine, folder, "create")
    try:
        save.begin_anew()
        save.run()
    finally:
        tempfile.tempdir = before
        save.opened.close()
        engine.close()
    path = folder / "new.safetensors"
    path.write_bytes(engine.answer)
    return path


@pytest.fixture(params=CASES)
def save(request: pytest.FixtureRequest, answer: Path, tmp_path: Path) -> Iterator[Save]:
    before = tempfile.tempdir
    save = Save(LENET, Echo(answer), tmp_path, request.param)
    yield save
    tempfile.tempdir = before
    save.opened.close()


def faults_at(save: Save, number: int, code: int, new: bytes | None, is_cleaning: bool) -> Iterator[str]:
    """What is wrong after one call has failed. One that removes what is temporary may leave some of it, and no more."""

    def fail(now: int, name: str) -> None:
        if now == number:
            raise OSError(code, os.strerror(code))

    save.begin_anew()
    expected = new
    with calls_watched(fail):
        try:
            save.run()
        except SeqtuiError as error:
            expected = save.old
            if "\n" in error.line():
                yield f"the error is {error.line()!r}"
        except OSError as error:
            yield f"nobody caught {error!r}"
    if save.content() != expected:
        yield "the file is not the old one after an error, or not the new one without any"
    if save.strays() and not is_cleaning:
        yield f"{save.strays()} lie about"


def test_an_undisturbed_save_writes_what_was_edited(save: Save) -> None:
    assert {"mkdir", "copy_file_range", "fsync", "replace", "rmdir"} <= set(calls_of(save))
    content = save.content()
    assert content is not None
    old, new = load(LENET.read_bytes()), load(content)
    assert torch.equal(new["first.weight"], old["fc1.weight"])
    assert torch.equal(new["fc2.weight"][:84], old["fc2.weight"])
    assert new["fc2.weight"].shape == (90, 120)
    assert torch.equal(new["norm.weight"], torch.ones(6))
    assert save.strays() == []


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: errno.errorcode[code])
def test_a_call_that_fails_leaves_the_old_file_with_a_sentence_or_the_new_one(save: Save, code: int) -> None:
    calls = calls_of(save)
    new = save.content()
    finished = len(calls) - calls[::-1].index("fsync")
    faults = [
        f"call {number}, {call}: {fault}"
        for number, call in enumerate(calls)
        for fault in faults_at(save, number, code, new, number >= finished)
    ]
    assert "\n".join(faults) == ""


@pytest.mark.parametrize("case", CASES)
def test_a_killed_save_leaves_the_old_file_until_the_rename_and_the_new_one_after_it(
    answer: Path, tmp_path: Path, case: Case
) -> None:
    command = [sys.executable, *map(str, (interrupted_save.__file__, LENET, answer, tmp_path, case))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, check=True)
    found = json.loads(done.stdout)
    renames = [number for number, (call, _) in enumerate(found) if call == "replace"]
    states = [(state, len(list(group))) for state, group in groupby(state for _, state in found)]
    assert states == [("old", renames[-1] + 1), ("new", len(found) - renames[-1] - 1)]
