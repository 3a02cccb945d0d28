"""`python -m seqtui`, and the `seqtui` command."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line. The garbage collector rests until the program has started: all of it lives to the end."""
    gc.disable()
    from seqtui.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
