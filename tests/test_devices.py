"""What there is to run on, and why the rest is not there."""

from __future__ import annotations

import os

import pytest
import torch

from seqtui.engine.devices import devices, require_device
from seqtui.engine.requests import Device, Devices
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError

FOUND = {device.name: device for device in devices(Devices(), Workbench())}
NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def test_the_cpu_is_always_there_with_its_memory() -> None:
    cpu = FOUND["cpu"]
    assert cpu.label
    assert not cpu.absent
    assert cpu.total is not None
    assert cpu.total <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # less in a container
    assert cpu.free is not None
    assert 0 < cpu.free < cpu.total


def test_meta_is_there_and_has_no_memory() -> None:
    assert FOUND["meta"] == Device("meta", "shapes alone, no numbers", None, None, "")


def test_every_kind_is_there_or_says_why_not() -> None:
    assert {name.partition(":")[0] for name in FOUND} == {"cpu", "cuda", "mps", "xpu", "meta"}
    for device in FOUND.values():
        assert bool(device.absent) != bool(device.label)
        assert "\n" not in device.absent
        assert len(device.absent) < 80
        if not device.absent:
            assert require_device(device.name).type == device.name.partition(":")[0]


@NO_CUDA
def test_what_is_absent_says_so_in_a_clause() -> None:
    assert FOUND["cuda"].absent in (
        "this torch was built without it",
        "no NVIDIA driver was found",
        "there is no such device here",
    )


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("cuda:99", "this torch was built without it|no NVIDIA driver was found|there is no such device here"),
        ("mps:3", ".+"),
        ("gpu", "torch knows no device of that name"),
        ("cuda:x", "torch knows no device of that name"),
        ("hpu", "this torch was built without it"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(name: str, clause: str) -> None:
    with pytest.raises(EngineError, match=f"^there is no device {name} here: ({clause})$") as caught:
        require_device(name)
    assert (caught.value.exit_code, caught.value.hint) == (5, "")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graphics_card_has_its_name_and_memory() -> None:
    card = FOUND["cuda:0"]
    assert card.label == torch.cuda.get_device_name(0)
    assert card.total == torch.cuda.mem_get_info(0)[1]
    assert card.free is not None
    assert 0 < card.free <= (card.total or 0)
