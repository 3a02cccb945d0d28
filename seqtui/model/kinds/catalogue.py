"""Every layer of torch.nn by name: arguments, defaults, group, one line of description. Read from a generated file.

`python -m seqtui.engine.catalogue` writes `catalogue.json` from the installed torch; nobody edits it by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, NamedTuple

from seqtui.model.kinds.kind import ArgumentError, Arguments
from seqtui.model.spec import Value

NO_ARGUMENTS = frozenset(
    ("device", "dtype", "_weight", "_freeze", "_random_samples", "size_average", "reduce", "min_value", "max_value")
)
"""Parameters of torch's constructors that no spec holds: where and from what a layer is made, and abandoned names."""


class Parameter(NamedTuple):
    """One argument of a constructor."""

    name: str
    annotation: str
    is_required: bool
    default: Value = None


class Entry(NamedTuple):
    """What torch's own signature and docstring say of a layer."""

    kind: str
    group: str
    """The module of torch.nn that defines it: `conv`, `pooling`."""
    description: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...] = ()
    """The tensors of its forward pass, where it needs more than the one that a Sequential hands on."""


@cache
def _document() -> Any:  # Any: JSON written by our own script
    with open(os.path.join(os.path.dirname(__file__), "catalogue.json"), encoding="utf-8") as file:
        return json.load(file)


@cache
def names_taken() -> frozenset[str]:
    """Names that no layer in a Sequential can have, since its class has them."""
    return frozenset(_document()["taken"])


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every kind by its class name in torch.nn."""
    return {kind: entry_of(kind, row) for kind, row in _document()["layers"].items()}


def entry_of(kind: str, row: Mapping[str, Any]) -> Entry:  # Any: as above
    """An entry from its row in the file."""
    parameters = (
        Parameter(name, annotation, not default, _value(default[0]) if default else None)
        for name, annotation, *default in row["parameters"]
    )
    return Entry(kind, row["group"], row["description"], tuple(parameters), tuple(row.get("inputs", ())))


def bind(kind: str, args: Mapping[str, Value]) -> Arguments:
    """All arguments of a kind, given ones over defaults. Raises ArgumentError for a missing or an unknown one."""
    names, defaults = _signature(kind)
    values = {**defaults, **args}
    if values.keys() != names:
        unknown = next((name for name in args if name not in names), "")
        if unknown in ("device", "dtype"):
            hint = "cast changes the type of weights; @ and --device choose where a model runs."
            raise ArgumentError(f"cannot be given {unknown}: where a model runs, and as what, no file says", hint)
        if unknown in NO_ARGUMENTS:
            raise ArgumentError(f"cannot be given {unknown}, which no file says", did_you_mean(unknown, names))
        if unknown:
            raise ArgumentError(f"has no argument {unknown}", did_you_mean(unknown, names))
        raise ArgumentError(f"needs {next(item.name for item in parameters(kind) if item.name not in values)}")
    return Arguments(values)


def parameters(kind: str) -> list[Parameter]:
    """The arguments of a kind that a layer of a file can have, in the order of its constructor; none of no kind."""
    entry = catalogue().get(kind)
    return [item for item in entry.parameters if item.name not in NO_ARGUMENTS] if entry else []


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A hint at what is known and alike, in whatever case and behind whatever dots; empty where nothing is."""
    from difflib import get_close_matches  # 3 ms that no model without a mistake needs

    by_case = {name.casefold(): name for name in known}
    close = get_close_matches(word.rpartition(".")[2].casefold(), by_case, n=1)
    return f"Did you mean {by_case[close[0]]}?" if close else ""


@cache
def _signature(kind: str) -> tuple[frozenset[str], dict[str, Value]]:
    """The names of the arguments of a kind, and the defaults of those that have one."""
    found = parameters(kind)
    return frozenset(item.name for item in found), {item.name: item.default for item in found if not item.is_required}


def _value(value: object) -> Value:
    """A JSON value with its lists as tuples."""
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    assert value is None or isinstance(value, int | float | str)  # JSON written by our own script; bool is an int
    return value
