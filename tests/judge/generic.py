"""Draws for a kind that has no generator of its own, made from what the catalogue says of its constructor.

Enough for a kind whose arguments are numbers and flags; one whose input must fit its arguments closely is better
served by a generator in one of the modules beside this one.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Iterator

from judge.answers import is_refused, rule_answer
from judge.draw import Draw, Flaw, argument, flag, flawed, redimensioned, resized, retyped
from seqtui.model.kinds.catalogue import Parameter, catalogue
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import Value

NEVER_DRAWN = ("device", "dtype", "process_group")
"""Arguments that say where a layer is or how exact, which is drawn for all kinds alike."""
KEPT = 0.3
"""Chance of an argument being left at its default."""
TAKEN = 0.6
"""Share of cases that the rule takes, where enough of both sorts are found."""
CANDIDATES = 60
"""Cases that are drawn for one of the wanted sort. torch judges it all the same."""
INTEGERS = (1, 1, 2, 2, 3, 4)
FLOATS = (0.5, 1.0, 0.1, 2, 3.5, 0)


def generic(kind: str, rng: random.Random) -> Draw:
    """A case that the rule takes or refuses, in shares that leave torch much to say on both sides."""
    is_wanted_taken = flag(rng, TAKEN)
    for _ in range(CANDIDATES):
        draw = candidate(kind, rng)
        if is_wanted_taken != is_refused(kind, rule_answer(kind, draw)[0]):
            break
    return draw


def candidate(kind: str, rng: random.Random) -> Draw:
    """A case whose input has sizes that are often those of the arguments."""
    args: dict[str, Value] = {}
    flaws: list[Flaw] = [retyped, redimensioned, resized, resized]
    for parameter in catalogue()[kind].parameters:
        if parameter.name in NEVER_DRAWN or (not parameter.is_required and flag(rng, KEPT)):
            continue
        choices = tuple(_choices(rng, parameter))
        if choices:
            args[parameter.name] = rng.choice(choices)
            flaws += [argument(parameter.name, 0, -1)] if re.search(r"\bint\b", parameter.annotation) else []
    sizes = [*(size for size in _integers(args.values()) if 0 < size < 7), 1, 2, 3, 6]
    shape = tuple(rng.choice(sizes) for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5))))
    return flawed(rng, Draw(args, Signal(shape, "float32")), *flaws)


def _choices(rng: random.Random, parameter: Parameter) -> Iterator[Value]:
    """A value for each type that the annotation names; none for a word or a tensor, of which nothing is known."""
    for name in re.split(r" \| (?![^\[]*\])", parameter.annotation):
        if name in _PLAIN:
            yield rng.choice(_PLAIN[name])
        elif name.startswith("Literal"):
            yield rng.choice(ast.literal_eval(name.removeprefix("Literal")))
        elif name == "Size" or "[int" in name or "[float" in name:
            count = name.count(",") + 1
            is_open = "..." in name or not name.startswith("tuple")
            values = FLOATS if "[float" in name else INTEGERS
            yield tuple(rng.choice(values) for _ in range(rng.randint(1, 3) if is_open else count))


_PLAIN: dict[str, tuple[Value, ...]] = {"int": INTEGERS, "float": FLOATS, "bool": (True, False), "None": (None,)}


def _integers(values: Iterable[Value]) -> Iterator[int]:
    """The whole numbers among arguments and inside their tuples."""
    for value in values:
        if isinstance(value, tuple):
            yield from _integers(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield value
