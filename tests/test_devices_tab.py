"""The list of devices by keys alone: what can be chosen, what cannot and why, what fits, and in which type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from lent import lent_engine
from user import user_of

from seqtui.engine.door import Engine
from seqtui.engine.requests import Device
from seqtui.model.footprint import Footprint
from seqtui.tui.devices import device_rows
from seqtui.view import Mode

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="here cuda can be chosen")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with lent_engine() as engine:
        yield engine


async def test_cpu_and_meta_are_chosen_and_runs_go_there(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.press("at")
        await user.sees("cpu", "meta", "shapes alone, no numbers", "To train")
        assert "fits" in user.line("›cpu")
        await user.press("G")
        assert "meta" in user.line("›meta")
        await user.press("g")
        assert "fits" in user.line("›cpu")
        await user.press("end", "enter")
        await user.sees("eval · meta")
        await user.press("C")
        assert user.toasts()[-1].endswith(" --device meta")
        await user.run()
        await user.sees("fed normal 1×1×28×28, on meta", "1×6×28×28")
        await user.press("at")
        await user.sees("›meta")
        await user.press(*["up"] * 9, "enter")
        await user.sees("eval · cpu")
        await user.run()
        await user.sees("sample 0")


async def test_on_meta_there_are_no_gradients(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.press("3", "b", "at")
        await user.sees("›cpu")
        await user.press("G", "enter")
        await user.sees("eval · meta", "no backward on meta")
        assert user.toasts() == ["On meta there are no numbers, and so no gradients."]


async def test_where_a_device_refuses_the_cpu_is_offered(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        user.app.workspace.set_mode(Mode("cuda:77"))
        await user.press("R")
        await user.sees("there is no device cuda:77 here", "run on the cpu")
        await user.press("c")
        await user.sees("eval · cpu", "sample 0")


@needs_no_gpu
async def test_what_is_absent_has_its_reason_and_cannot_be_chosen(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.press("at")
        await user.sees(" cuda ")
        assert "this torch was built without it" in user.line(" cuda ") or "driver" in user.line(" cuda ")
        await user.press("j", "enter")
        await user.sees("cuda cannot be chosen: ")
        await user.press("escape")
        await user.sees("eval · cpu")


async def test_the_type_is_chosen_with_what_each_would_take(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.press("at")
        await user.sees("›as in the file", "›cpu")
        assert "123" in user.line(" bfloat16 ").split()
        assert "247" in user.line(" float32 ").split()
        await user.press("d", "d")
        await user.sees("›bfloat16")
        await user.press("d", "d", "d", "d", "enter")
        await user.sees("eval · cpu · bfloat16")
        await user.run()
        await user.sees("bfloat16   eval", "Output  1×10 bfloat16")
        await user.press("at", "d", "d")
        await user.sees("›as in the file")
        await user.press("escape")
        await user.sees("eval · cpu · bfloat16")


async def test_a_closed_list_takes_no_answer(engine: Engine) -> None:
    async with user_of("lenet5", engine=engine) as user:
        await user.press("at", "escape")
        await user.until(lambda: engine.state == "ready")
        await user.press("j")
        assert user.at == "conv1"


def test_what_fits_is_told_from_the_free_memory() -> None:
    taken = Footprint(weights=1_000, to_run=2_000, to_train=5_000)
    devices = [
        Device("cpu", "a processor", 10_000, 20_000, ""),
        Device("cuda:0", "a card", 3_000, 4_000, ""),
        Device("mps", "", None, None, "it is another machine"),
        Device("xpu:0", "another card", None, None, ""),
        Device("meta", "no numbers", None, None, ""),
    ]
    assert device_rows(devices, taken) == [
        ("cpu", "a processor", "10 kB", "fits, 2 kB", "tight, 5 kB"),
        ("cuda:0", "a card", "3 kB", "tight, 2 kB", "too large, 5 kB"),
        ("mps", "it is another machine"),
        ("xpu:0", "another card", "·", "takes 2 kB", "takes 5 kB"),
        ("meta", "no numbers", "·", "fits", "fits"),
    ]
    unknown = Footprint(weights=1_000, to_run=None, to_train=None)
    assert device_rows(devices[:1], unknown)[0][-2:] == ("input not known", "input not known")
