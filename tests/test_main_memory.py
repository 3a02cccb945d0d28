"""How much memory there is, on machines whose files a test lays out: bare, in containers, under batch systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqtui.engine.main_memory import Memory, main_memory

GIB = 1 << 30
MEMINFO = f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1000 kB\nMemAvailable: {40 * GIB // 1024} kB\n"


def machine(root: Path, **groups: str) -> Path:
    """A machine of 64 GiB with 40 free; the other files by their paths, with `__` for a slash."""
    files = {"proc/meminfo": MEMINFO, **{name.replace("__", "/"): text for name, text in groups.items()}}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(root: Path, folder: str, limit: str, used: int, cache: int, version: int = 2) -> None:
    """A control group's files."""
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    place = root / "sys/fs/cgroup" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / names[0]).write_text(f"{limit}\n")
    (place / names[1]).write_text(f"{used}\n")
    counts = STATS[version].format(read_once=cache // 2, read_often=cache - cache // 2)
    (place / "memory.stat").write_text(counts)


STATS = {
    1: "active_file 7\ninactive_file 7\ntotal_inactive_file {read_once}\ntotal_active_file {read_often}\n",
    2: "anon 1\ninactive_file {read_once}\nactive_file {read_often}\n",
}
"""Of the older version the group's own entries leave out the groups inside it."""


def test_without_groups_it_is_the_machine(tmp_path: Path) -> None:
    assert main_memory(machine(tmp_path)) == Memory(40 * GIB, 64 * GIB)


def test_without_any_of_it_the_total_is_what_the_system_counts(tmp_path: Path) -> None:
    assert main_memory(tmp_path).free is None
    assert (main_memory(tmp_path).total or 0) > 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_leaves_what_it_has_not_taken_and_its_caches(version: int, tmp_path: Path) -> None:
    line, folder = ("0::/job", "job") if version == 2 else ("4:cpu,memory:/job", "memory/job")
    root = machine(tmp_path, proc__self__cgroup=f"9:name=systemd:/elsewhere\n{line}\n")
    group(root, folder, str(8 * GIB), 3 * GIB, GIB, version)
    assert main_memory(root) == Memory(6 * GIB, 8 * GIB)


def test_the_tightest_of_all_around_it_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__self__cgroup="0::/user/job/step\n")
    group(root, "user/job/step", "max", GIB, 0)
    group(root, "user/job", str(16 * GIB), 15 * GIB, 0)
    group(root, "user", str(12 * GIB), 2 * GIB, 0)
    assert main_memory(root) == Memory(GIB, 12 * GIB)


def test_in_a_container_that_has_another_name_for_its_group(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__self__cgroup="0::/kubepods/pod1\n")
    group(root, "", str(2 * GIB), 3 * GIB, 0)  # over its limit for a moment
    assert main_memory(root) == Memory(0, 2 * GIB)


def test_a_limit_beyond_the_machine_is_none(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__self__cgroup="no line at all\n4:memory:/\n")
    group(root, "memory", str(2**63 - 4096), GIB, 0, version=1)
    assert main_memory(root) == Memory(40 * GIB, 64 * GIB)


def test_a_group_that_tells_nothing_of_its_caches_keeps_its_limit(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__self__cgroup="no line at all\n0::/job\n")
    group(root, "job", str(8 * GIB), 7 * GIB, 0)
    (root / "sys/fs/cgroup/job/memory.stat").unlink()
    assert main_memory(root) == Memory(GIB, 8 * GIB)


def test_a_limit_on_addresses_counts_what_the_process_has_of_them(tmp_path: Path) -> None:
    row = "Max address space         {0}           {0}           bytes     \n"
    pages = GIB // os.sysconf("SC_PAGE_SIZE")
    files = {"proc__self__statm": f"{pages} 5 4 1 0 3 0\n", "proc__self__limits": row.format(8 * GIB)}
    assert main_memory(machine(tmp_path, **files)) == Memory(7 * GIB, 8 * GIB)
    files["proc__self__limits"] = row.format("unlimited")
    assert main_memory(machine(tmp_path, **files)) == Memory(40 * GIB, 64 * GIB)
