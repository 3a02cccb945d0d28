"""Main memory: what the machine has, and what a container or a batch system leaves of it to this process.

Beyond such a limit the system kills the process or gives it nothing more, however much the machine has free.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes of what can still be taken, caches that would give way included, and of all; None where nobody tells."""

    free: int | None
    total: int | None


class Control(NamedTuple):
    """Where a version of Linux' control groups says how much memory a group may take, and takes."""

    name: str
    """In the lines of /proc/self/cgroup, `4:memory:/job`; the newer version has none, `0::/job`."""
    folder: str
    limit: str
    usage: str
    caches: tuple[str, ...]
    """The entries of memory.stat that count what was read from files, and gives way."""


CONTROLS = (
    Control("", "sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    Control(
        "memory",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)
"""Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst."""


def main_memory(root: Path = Path("/")) -> Memory:
    """That of the machine whose files lie under `root`, or what the tightest limit on this process leaves of it.

    What is free and what there is in all may follow from two limits.
    """
    known = [_of_machine(root), *_of_address_space(root), *_of_groups(root)]
    free = min((memory.free for memory in known if memory.free is not None), default=None)
    return Memory(free, min((memory.total for memory in known if memory.total is not None), default=None))


def _of_machine(root: Path) -> Memory:
    with contextlib.suppress(OSError, KeyError, ValueError):
        rows = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text("ascii").splitlines())
        free, total = (int(rows[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
        return Memory(free, total)
    with contextlib.suppress(OSError, ValueError):
        return Memory(None, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return Memory(None, None)


def _of_address_space(root: Path) -> Iterator[Memory]:
    """What `ulimit -v` leaves, by which some batch systems hold a job: addresses, not bytes in use."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        rows = (root / "proc/self/limits").read_text("ascii").splitlines()
        limit = int(next(row for row in rows if row.startswith("Max address space")).split()[3])
        pages = int((root / "proc/self/statm").read_text("ascii").split()[0])
        yield Memory(max(0, limit - pages * os.sysconf("SC_PAGE_SIZE")), limit)


def _of_groups(root: Path) -> Iterator[Memory]:
    """What each group with a limit may take, and has left: the process's own, and all around it.

    Inside a container the path may be one that only the machine outside knows; its own files are the outermost then.
    """
    paths: dict[str, Path] = {}
    for line in _lines(root / "proc/self/cgroup"):
        with contextlib.suppress(ValueError):
            _, names, path = line.split(":", 2)
            paths |= dict.fromkeys(names.split(","), Path(path.lstrip("/")))
    for control in CONTROLS:
        own = paths.get(control.name)
        for folder in () if own is None else (own, *own.parents):
            with contextlib.suppress(OSError, ValueError):  # no such group, or one without a limit: `max`
                yield _of_group(root / control.folder / folder, control)


def _of_group(folder: Path, control: Control) -> Memory:
    limit, used = (int((folder / name).read_text("ascii")) for name in (control.limit, control.usage))
    counts = dict(line.partition(" ")[::2] for line in _lines(folder / "memory.stat"))
    return Memory(max(0, limit - used + sum(int(counts.get(name, 0)) for name in control.caches)), limit)


def _lines(path: Path) -> list[str]:
    """Those of a file, none where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return path.read_text("utf-8").splitlines()
    return []
