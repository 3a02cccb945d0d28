"""Prints the judge's table: `python -m judge [KIND ...] [--draws N] [--seed N]`, from the folder of the tests."""

from __future__ import annotations

import argparse
import sys

from judge import Verdict, judge
from seqtui.model.kinds import KINDS

LINE = "{:30}{:>10}{:>9}{:>10}{:>8}{:>10}{:>7}{:>9}"
"""A kind, its cases, how many of them torch refused, how often each thing was judged, disagreements, seconds."""


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
    print(LINE.format("kind", "draws", "refused", "macs", "reach", "bytes", "wrong", "seconds"))
    verdicts = []
    for kind in options.kinds or KINDS:
        verdict = judge(kind, options.draws, options.seed)
        verdicts.append(verdict)
        print(_line(kind, [verdict]), flush=True)
        for disagreement in verdict.disagreements[: options.show]:
            print(f"  {disagreement}")
    wrong = sum(len(verdict.disagreements) for verdict in verdicts)
    print(_line(_many(len(verdicts), "kind"), verdicts))
    print(_many(wrong, "disagreement"))
    return 1 if wrong else 0


def _line(name: str, verdicts: list[Verdict]) -> str:
    """One line of the table, for all of the verdicts together."""
    draws = sum(verdict.draws for verdict in verdicts)
    refused = sum(verdict.refused for verdict in verdicts)
    return LINE.format(
        name,
        f"{draws:,}",
        f"{refused / max(1, draws):.0%}",
        f"{sum(verdict.macs_judged for verdict in verdicts):,}",
        f"{sum(verdict.reaches_judged for verdict in verdicts):,}",
        f"{sum(verdict.bytes_judged for verdict in verdicts):,}",
        f"{sum(len(verdict.disagreements) for verdict in verdicts):,}",
        f"{sum(verdict.seconds for verdict in verdicts):.2f}",
    )


def _many(count: int, noun: str) -> str:
    return f"{count or 'zero':{',' if count else ''}} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
