"""Runs seqtui and writes down every module that it asks for, as it happens: what is loaded by the first frame is then
known from outside, on a real terminal, without stopping the program.

    python benchmarks/imports.py LOG open MODEL
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    log = open(sys.argv[1], "w", buffering=1, encoding="utf-8")  # noqa: SIM115 - open for as long as the program runs

    def write_down(event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook: each import that is not answered from `sys.modules` comes by."""
        if event == "import":
            log.write(f"{arguments[0]}\n")

    sys.addaudithook(write_down)
    del sys.argv[1]
    runpy.run_module("seqtui", run_name="__main__", alter_sys=True)
