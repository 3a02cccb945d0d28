"""Prints the judge's table: `python -m judge [KIND ...] [--draws N] [--seed N]`, from the folder of the tests."""

from __future__ import annotations

import argparse
import sys

from judge import GENERATORS, judge


def main() -> int:
    """0 when torch and every rule agree, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="judge", description="Hold the rules of layer kinds against torch.")
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help="class names in torch.nn; all that have a rule by default"
    )
    parser.add_argument("--draws", type=int, default=200, help="cases a kind (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=3, help="disagreements shown a kind (default 3)")
    options = parser.parse_args()
    print(f"{'kind':22}{'draws':>8}{'refused':>9}{'macs':>7}{'wrong':>7}{'seconds':>9}")
    wrong = 0
    for kind in options.kinds or GENERATORS:
        verdict = judge(kind, options.draws, options.seed)
        wrong += len(verdict.disagreements)
        print(
            f"{kind:22}{verdict.draws:8}{verdict.refused / verdict.draws:9.0%}{verdict.macs_judged:7}"
            f"{len(verdict.disagreements):7}{verdict.seconds:9.2f}",
            flush=True,
        )
        for disagreement in verdict.disagreements[: options.show]:
            print(f"  {disagreement}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
