"""Where a model can run: what torch reports, and in torch's own words why something is not there."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from seqtui.engine.main_memory import main_memory
from seqtui.engine.refusal import reason
from seqtui.engine.requests import Device, Devices
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError

if TYPE_CHECKING:
    import torch

ACCELERATORS = ("cuda", "mps", "xpu")
"""By torch's words, in the order in which they are offered."""

CLAUSES: Mapping[str, str] = {
    "Torch not compiled with": "this torch was built without it",
    "Could not run 'aten": "this torch was built without it",
    "No module named": "this torch was built without it",
    "Found no NVIDIA driver": "no NVIDIA driver was found",
    "No CUDA GPUs are available": "there is no such device here",
    "invalid device ordinal": "there is no such device here",
    "Expected one of cpu": "torch knows no device of that name",
    "Invalid device string": "torch knows no device of that name",
}
"""What stands in torch's words -> the same in a clause."""


def devices(request: Devices, workbench: Workbench) -> tuple[Device, ...]:
    """Every device that torch could have, those that are absent too."""
    return tuple(_all_devices())


def require_device(name: str | torch.device) -> torch.device:
    """A device that can hold a tensor. Raises EngineError."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # NotImplementedError is a RuntimeError
        raise EngineError(f"there is no device {name} here: {_clause(error)}") from error
    return device


def _all_devices() -> Iterator[Device]:
    free, total = main_memory()
    yield Device("cpu", _processor(), free, total, "")
    for kind in ACCELERATORS:
        yield from _accelerators(kind)
    yield Device("meta", "shapes alone, no numbers", None, None, "")


def _accelerators(kind: str) -> Iterator[Device]:
    """Every device of a kind, or the kind itself with why there is none."""
    import torch

    try:
        require_device(kind)
    except EngineError as error:
        yield Device(kind, "", None, None, error.message.partition(": ")[2])
        return
    if kind == "mps":
        used, most = torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        yield Device("mps", "Apple's graphics processor", max(0, most - used), most, "")
        return
    backend = getattr(torch, kind)
    for number in range(backend.device_count()):
        free, total = None, None
        with contextlib.suppress(RuntimeError):  # some drivers do not tell
            free, total = backend.mem_get_info(number)
            free += backend.memory_reserved(number) - backend.memory_allocated(number)  # ours, and free for a run
        yield Device(f"{kind}:{number}", str(backend.get_device_name(number)), free, total, "")


def _clause(error: BaseException) -> str:
    """Why there is no device, in a clause."""
    said = reason(error)
    return next((clause for words, clause in CLAUSES.items() if words in said), said.partition(". ")[0])


def _processor() -> str:
    """The processor's own name, the architecture where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
