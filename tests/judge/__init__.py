"""The judge of the rules in seqtui/model/kinds: what does torch say to the same arguments and the same input?

`judge` draws cases of one kind and holds the rule's answer against that of small real CPU tensors in eval mode, because
the meta device accepts what a CPU refuses. Only multiply-adds are asked of the meta device, where they are counted.
Judged are constructor and refusals, parameters and buffers, shapes and types of what comes out and its bytes,
multiply-adds, and how far an output element sees.
"""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from judge import numbers, plain, sequences, shapes, windows
from judge.answers import Answer, is_refused, rule_answer, torch_answer
from judge.draw import Draw, Generator, flag
from judge.generic import generic
from judge.reach import Reach, reach_answers
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.kinds.kind import FLOATS, RULED
from seqtui.model.spec import LayerValue

GENERATORS: dict[str, Generator] = {
    **windows.GENERATORS,
    **plain.GENERATORS,
    **numbers.GENERATORS,
    **shapes.GENERATORS,
    **sequences.GENERATORS,
}
"""How to draw cases of the kinds that need better ones than `generic` draws."""

MACS_EVERY = {"RNN": 10, "LSTM": 10, "GRU": 10, "TransformerEncoderLayer": 4, "TransformerEncoder": 10}
"""Multiply-adds are judged in each so many-th case of these, in which torch takes long to count them."""
UNCOUNTED_MACS_EVERY = 10
"""The same for kinds that torch does not count."""
REACH_EVERY = 5
"""A receptive field is judged of one in so many cases that torch takes."""
TYPED = 0.15
"""Chance of an input of any type that the rules speak of, and of weights of any float, of the kinds that have them."""
TYPES = sorted(RULED)
EMPTY_AT_WILL = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
"""Kinds of which size, type and processor choose the library that computes them: where nothing is left of a length some
refuse and some give out nothing, and the rule refuses always."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A case of which torch and the rule say different things."""

    draw: Draw
    torch: Answer | Reach
    rule: Answer | Reach

    def __str__(self) -> str:
        return f"{self.draw.args} of {self.draw.dtype} on {self.draw.x}\n    torch {self.torch}\n    rule  {self.rule}"


@dataclass(slots=True)
class Verdict:
    """What came of judging one kind."""

    kind: str
    draws: int = 0
    refused: int = 0
    """Cases that torch refuses, in the constructor or in the forward pass."""
    macs_judged: int = 0
    bytes_judged: int = 0
    reaches_judged: int = 0
    unseen: int = 0
    """Cases that torch took since a receptive field was judged."""
    varied: Counter[str] = field(default_factory=Counter)
    """Argument -> cases in which it was not its default."""
    disagreements: list[Disagreement] = field(default_factory=list)
    seconds: float = 0.0


def judge(kind: str, draws: int, seed: int) -> Verdict:
    """The verdict over so many cases; the same for the same seed."""
    import torch

    torch.set_num_threads(1)
    rng, type_rng = random.Random(f"{kind} {seed}"), random.Random(f"types of {kind} {seed}")
    draw_next = GENERATORS.get(kind) or partial(generic, kind)
    verdict = Verdict(kind)
    started = time.perf_counter()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(draws):
            _judge_draw(verdict, _typed(type_rng, kind, draw_next(rng)), number)
    verdict.seconds = time.perf_counter() - started
    return verdict


def _typed(rng: random.Random, kind: str, draw: Draw) -> Draw:
    """The case, now and then with numbers of another type, and weights where the kind has some or holds a layer."""
    if not flag(rng, TYPED):
        return draw
    has_weights = any(parameter.name == "dtype" for parameter in catalogue()[kind].parameters)
    if not has_weights and not any(isinstance(value, LayerValue) for value in draw.args.values()):
        return draw._replace(x=draw.x._replace(dtype=rng.choice(TYPES)))
    weights, dtype = rng.choice(FLOATS), draw.x.dtype
    arriving = rng.choice((weights if dtype == "float32" else dtype, rng.choice(FLOATS), rng.choice(TYPES)))
    return Draw(draw.args, draw.x._replace(dtype=arriving), weights)


def _judge_draw(verdict: Verdict, draw: Draw, number: int) -> None:
    kind = verdict.kind
    rule, counts_macs = rule_answer(kind, draw)
    with_macs = number % (MACS_EVERY.get(kind, 1) if counts_macs else UNCOUNTED_MACS_EVERY) == 0
    said = torch_answer(kind, draw, with_macs)
    verdict.draws += 1
    verdict.refused += is_refused(kind, said)
    verdict.macs_judged += said.macs is not None
    verdict.bytes_judged += said.nbytes is not None
    verdict.varied.update(_varied(kind, draw))
    if not said.agrees_with(rule) and not _is_empty_at_will(kind, said, rule):
        verdict.disagreements.append(Disagreement(draw, said, rule))
    elif not said.refused_by:
        _judge_reach(verdict, draw, said)


def _is_empty_at_will(kind: str, said: Answer, rule: Answer) -> bool:
    """Whether it is the one case that torch itself does not always decide alike."""
    is_empty = any(0 in signal.shape for signal in said.outputs)
    return kind in EMPTY_AT_WILL and is_empty and rule.message.startswith("crops everything")


def _judge_reach(verdict: Verdict, draw: Draw, said: Answer) -> None:
    verdict.unseen += 1
    answers = reach_answers(verdict.kind, draw, said.outputs[0].shape) if verdict.unseen >= REACH_EVERY else None
    if answers is None:
        return
    verdict.unseen = 0
    verdict.reaches_judged += 1
    if answers[0] != answers[1]:
        verdict.disagreements.append(Disagreement(draw, *answers))


def _varied(kind: str, draw: Draw) -> list[str]:
    """The arguments of the draw that are not their default; any value of a required one counts."""
    parameters = {parameter.name: parameter for parameter in catalogue()[kind].parameters}
    return [
        name for name, value in draw.args.items() if parameters[name].is_required or value != parameters[name].default
    ]
