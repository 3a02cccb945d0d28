"""The judge of the rules in seqtui/model/kinds: what does torch say to the same arguments and the same input?

`judge` draws cases of one kind and holds the rule's answer against that of small real CPU tensors in eval mode, because
the meta device accepts what a CPU refuses. Only multiply-adds are asked of the meta device, where they are counted.
"""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

from judge import plain, windows
from judge.answers import Answer, rule_answer, torch_answer
from judge.draw import Draw, Generator
from seqtui.model.kinds.catalogue import catalogue

GENERATORS: dict[str, Generator] = {**windows.GENERATORS, **plain.GENERATORS}
"""How to draw cases of every kind that has a rule."""

MACS_EVERY = {"RNN": 10, "LSTM": 10, "GRU": 10}
"""Multiply-adds are judged in each so many-th case of these; torch counts them a step at a time."""
UNCOUNTED_MACS_EVERY = 20
"""The same for kinds that torch does not count."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A case of which torch and the rule say different things."""

    draw: Draw
    torch: Answer
    rule: Answer

    def __str__(self) -> str:
        return f"{self.draw.args} on {self.draw.x}\n    torch {self.torch}\n    rule  {self.rule}"


@dataclass(slots=True)
class Verdict:
    """What came of judging one kind."""

    kind: str
    draws: int = 0
    refused: int = 0
    """Cases that torch refuses, in the constructor or in the forward pass."""
    macs_judged: int = 0
    varied: Counter[str] = field(default_factory=Counter)
    """Argument -> cases in which it was not its default."""
    disagreements: list[Disagreement] = field(default_factory=list)
    seconds: float = 0.0


def judge(kind: str, draws: int, seed: int) -> Verdict:
    """The verdict over so many cases; the same for the same seed."""
    import torch

    torch.set_num_threads(1)
    rng = random.Random(f"{kind} {seed}")
    verdict = Verdict(kind)
    started = time.perf_counter()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(draws):
            _judge_draw(verdict, GENERATORS[kind](rng), number)
    verdict.seconds = time.perf_counter() - started
    return verdict


def _judge_draw(verdict: Verdict, draw: Draw, number: int) -> None:
    rule, counts_macs = rule_answer(verdict.kind, draw)
    with_macs = number % (MACS_EVERY.get(verdict.kind, 1) if counts_macs else UNCOUNTED_MACS_EVERY) == 0
    said = torch_answer(verdict.kind, draw, with_macs)
    verdict.draws += 1
    verdict.refused += bool(said.refused_by)
    verdict.macs_judged += said.macs is not None
    verdict.varied.update(_varied(verdict.kind, draw))
    if not said.agrees_with(rule):
        verdict.disagreements.append(Disagreement(draw, said, rule))


def _varied(kind: str, draw: Draw) -> list[str]:
    """The arguments of the draw that are not their default; any value of a required one counts."""
    parameters = {parameter.name: parameter for parameter in catalogue()[kind].parameters}
    return [
        name for name, value in draw.args.items() if parameters[name].is_required or value != parameters[name].default
    ]
