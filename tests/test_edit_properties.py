"""Random edits against the same surgery done by hand: modules of torch taken apart and put together again."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from edited import model_of, ties
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqtui.engine.arguments import named_tensors
from seqtui.errors import EditError
from seqtui.model.content_edits import Set
from seqtui.model.edit import Edit
from seqtui.model.edits import parse_edit
from seqtui.model.history import History
from seqtui.model.language import Place
from seqtui.model.spec import ModelSpec
from seqtui.model.structure_edits import Copy, Group, Insert, Move, Remove, Rename, Ungroup
from seqtui.model.tensor_edits import Untie
from seqtui.model.tensors import NewTensor, Shape, TensorInfo
from seqtui.model.tree import joined

Entry = tuple[str, nn.Module]
Kept = tuple[str, Shape] | None
"""The tensor at the start of which something is kept, and how much of each dimension."""


class RefusedError(Exception):
    """What the surgeon cannot do either."""


class Surgeon:
    """A network of torch under the knife. Sequentials are rebuilt from ordered dictionaries; the rest is untouched."""

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.kept: dict[int, Kept] = {id(tensor): (name, tuple(tensor.shape)) for name, tensor, _ in named_tensors(net)}
        self.same: dict[str, str] = {
            name: found[0] for name, tensor, _ in named_tensors(net) if (found := self.kept[id(tensor)])
        }
        """Full name of a tensor at the start -> one name for all that are one."""
        self.alive: list[object] = [tensor for _, tensor, _ in named_tensors(net)]
        """So that no id is used twice."""

    def module(self, path: str) -> nn.Module:
        found: nn.Module = self.net
        for name in path.split(".") if path else ():
            if name not in found._modules:
                raise RefusedError
            inside = found._modules[name]
            assert inside is not None
            found = inside
        return found

    def chain(self, path: str) -> nn.Sequential:
        found = self.module(path)
        if not isinstance(found, nn.Sequential):
            raise RefusedError
        return found

    def spot(self, path: str) -> tuple[nn.Sequential, int]:
        parent, _, name = path.rpartition(".")
        chain = self.chain(parent)
        if name not in chain._modules:
            raise RefusedError
        return chain, list(chain._modules).index(name)

    def target(self, place: Place) -> tuple[nn.Sequential, int]:
        if place.where in ("before", "after"):
            chain, index = self.spot(place.path)
            return chain, index + (place.where == "after")
        chain = self.chain(place.path)
        return chain, 0 if place.where == "first" else len(chain)

    def rebuild(self, chain: nn.Sequential, entries: list[Entry]) -> None:
        """Other layers in a Sequential; names 0..n stay that as long as only numbers come in."""
        names = [name for name, _ in entries]
        if list(chain._modules) == [str(number) for number in range(len(chain))] and all(map(is_number, names)):
            made = nn.Sequential(*(module for _, module in entries))
        elif "_" in names or len(set(names)) < len(names):
            raise RefusedError
        else:
            made = nn.Sequential(OrderedDict(entries))
        chain._modules = made._modules

    def new_tensors(self, module: nn.Module) -> None:
        self.alive += [tensor for _, tensor, _ in named_tensors(module)]
        self.kept.update({id(tensor): None for _, tensor, _ in named_tensors(module)})

    # The operations

    def insert(self, name: str, kind: str, args: dict[str, int], place: Place) -> None:
        chain, index = self.target(place)
        module = getattr(nn, kind)(**args)
        self.new_tensors(module)
        entries = entries_of(chain)
        self.rebuild(chain, [*entries[:index], (name, module), *entries[index:]])

    def remove(self, paths: list[str]) -> None:
        doomed: dict[nn.Sequential, list[int]] = {}
        for path in paths:
            chain, index = self.spot(path)
            doomed.setdefault(chain, []).append(index)
        for chain, places in doomed.items():
            self.rebuild(chain, [entry for index, entry in enumerate(entries_of(chain)) if index not in places])

    def move(self, path: str, place: Place) -> None:
        source, index = self.spot(path)
        target, there = self.target(place)
        entry = entries_of(source)[index]
        if target in entry[1].modules():
            raise RefusedError
        if source is target:
            entries = entries_of(source)
            del entries[index]
            entries.insert(there - (there > index), entry)
            self.rebuild(source, entries)
        else:
            entries = entries_of(target)
            self.rebuild(target, [*entries[:there], entry, *entries[there:]])
            self.rebuild(source, [other for other in entries_of(source) if other[1] is not entry[1]])

    def rename(self, path: str, name: str) -> None:
        chain, index = self.spot(path)
        entries = entries_of(chain)
        entries[index] = (name, entries[index][1])
        if name == "_" and path.rpartition(".")[2] != "_":
            raise RefusedError
        if len(dict(entries)) < len(entries):
            raise RefusedError
        chain._modules = nn.Sequential(OrderedDict(entries))._modules

    def copy(self, path: str, name: str) -> None:
        chain, index = self.spot(path)
        entries = entries_of(chain)
        self.rebuild(chain, [*entries[: index + 1], (name, self.twin(entries[index][1])), *entries[index + 1 :]])

    def twin(self, module: nn.Module) -> nn.Module:
        """A copy layer by layer, so that nothing in it is shared."""
        if isinstance(module, nn.Sequential):
            return nn.Sequential(OrderedDict((name, self.twin(inside)) for name, inside in entries_of(module)))
        made = copy.deepcopy(module)
        self.new_tensors(made)
        for (_, new, _), (_, old, _) in zip(named_tensors(made), named_tensors(module), strict=True):
            self.kept[id(new)] = self.kept[id(old)]
        return made

    def group(self, paths: list[str], name: str) -> None:
        spots = [self.spot(path) for path in paths]
        chain, start = spots[0]
        entries = entries_of(chain)
        inside = entries[start : start + len(paths)]
        is_numbered = all(name == str(number) for number, (name, _) in enumerate(entries))
        made = nn.Sequential(*(module for _, module in inside)) if is_numbered else nn.Sequential(OrderedDict(inside))
        self.rebuild(chain, [*entries[:start], (name, made), *entries[start + len(paths) :]])

    def ungroup(self, path: str) -> None:
        chain, index = self.spot(path)
        entries = entries_of(chain)
        self.rebuild(chain, [*entries[:index], *entries_of(self.chain(path)), *entries[index + 1 :]])

    def resize(self, path: str, out_features: int) -> None:
        """Another Linear in the place of one, with the block of weights that both have."""
        old = self.module(path)
        if not isinstance(old, nn.Linear):
            raise RefusedError
        made = nn.Linear(old.in_features, out_features, bias=old.bias is not None)
        self.new_tensors(made)
        for name, parameter in old.named_parameters():
            new = getattr(made, name)
            if new.shape == parameter.shape:
                setattr(made, name, parameter)
                continue
            if sum(one is parameter for one in all_parameters(self.net)) > 1:
                raise RefusedError
            before = self.kept[id(parameter)]
            if before:
                self.kept[id(new)] = (before[0], tuple(map(min, before[1], new.shape)))
        chain, index = self.spot(path)
        entries = entries_of(chain)
        entries[index] = (entries[index][0], made)
        chain._modules = nn.Sequential(OrderedDict(entries))._modules

    def untie(self, name: str) -> None:
        path, _, own = name.rpartition(".")
        module = self.module(path)
        parameter = module._parameters.get(own)
        if parameter is None or sum(one is parameter for one in all_parameters(self.net)) < 2:
            raise RefusedError
        made = nn.Parameter(parameter.detach().clone())
        self.alive.append(made)
        self.kept[id(made)] = self.kept[id(parameter)]
        setattr(module, own, made)

    # What stands at the end

    def outline(self) -> list[object]:
        """(path, kind, own tensors with their shape and what is kept) of every layer, in order."""
        rows: list[object] = []
        for path, module in self.net.named_modules(remove_duplicate=False):
            is_chain = isinstance(module, nn.Sequential)
            own = (
                []
                if is_chain
                else [(name, tuple(one.shape), self.kept[id(one)]) for name, one, _ in named_tensors(module)]
            )
            rows.append((path, type(module).__name__, own))
        return rows[1:]

    def ties(self) -> list[list[str]]:
        """The full names of the tensors that are one, in order."""
        groups: dict[int, list[str]] = {}
        for name, tensor, _ in named_tensors(self.net):
            groups.setdefault(id(tensor), []).append(name)
        return sorted(names for names in groups.values() if len(names) > 1)


def entries_of(chain: nn.Module) -> list[Entry]:
    return [(name, module) for name, module in chain._modules.items() if module is not None]


def all_parameters(net: nn.Module) -> Iterator[Tensor]:
    return (tensor for _, tensor, _ in named_tensors(net))


def is_number(name: str) -> bool:
    return name == "_" or name.isdecimal()


def outline_of(model: ModelSpec, same: dict[str, str]) -> list[object]:
    """The same of a model, where names of `same` stand for one another."""
    return [
        (path, layer.kind, [(tensor.name, tensor.shape, kept(tensor, same)) for tensor in layer.tensors])
        for path, layer in model.walk()
    ]


def kept(tensor: TensorInfo, same: dict[str, str]) -> Kept:
    if isinstance(tensor.ref, NewTensor):
        return (same[tensor.ref.keep.name], tensor.ref.kept) if tensor.ref.keep else None
    assert tensor.ref is not None
    return same[tensor.ref.name], tensor.shape


# Networks to begin with


def linear() -> nn.Linear:
    return nn.Linear(3, 3)


def numbered() -> nn.Sequential:
    return nn.Sequential(linear(), nn.ReLU(), nn.BatchNorm1d(3), linear())


def named() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict({"a": linear(), "b c": nn.Tanh(), "层": nn.Linear(3, 3, bias=False), "d": linear()})
    )


def nested() -> nn.Sequential:
    inner = nn.Sequential(OrderedDict(x=linear(), y=nn.Sequential(linear(), nn.ReLU())))
    return nn.Sequential(OrderedDict(a=linear(), b=inner, c=numbered()))


def tied() -> nn.Sequential:
    net = nested()
    first = net.get_submodule("a")
    net.get_submodule("b.y.0").weight = first.weight
    net.get_submodule("c.3").weight = first.weight
    net.get_submodule("c.0").bias = net.get_submodule("b.x").bias
    return net


NETWORKS: tuple[Callable[[], nn.Sequential], ...] = (numbered, named, nested, tied)
NAMES = st.sampled_from(["_", "a", "x", "new", "b c", "0", "7", "it's", "*"])
KINDS = st.sampled_from([("ReLU", {}), ("Linear", {"in_features": 3, "out_features": 2}), ("Sequential", {})])
OPERATIONS = ("insert", "remove", "move", "rename", "copy", "group", "ungroup", "set", "untie")


def place_among(data: st.DataObject, paths: list[str], chains: list[str]) -> Place:
    is_beside = data.draw(st.booleans())
    if paths and is_beside:
        where: Literal["before", "after"] = data.draw(st.sampled_from(["before", "after"]))
        return Place(where, data.draw(st.sampled_from(paths)))
    end: Literal["first", "last"] = data.draw(st.sampled_from(["first", "last"]))
    return Place(end, data.draw(st.sampled_from(["", *chains])))


def drawn(data: st.DataObject, model: ModelSpec) -> tuple[Edit, Callable[[Surgeon], None]]:
    """An edit and the same for the surgeon; not always one that can be done."""
    paths = [path for path, _ in model.walk()]
    chains = [path for path, layer in model.walk() if layer.kind == "Sequential"]
    operation = data.draw(st.sampled_from(OPERATIONS if paths else ("insert",)))
    path, name = data.draw(st.sampled_from(paths or [""])), data.draw(NAMES)
    match operation:
        case "insert":
            kind, args = data.draw(KINDS)
            place = place_among(data, paths, chains)
            return Insert(name, kind, args, place), lambda surgeon: surgeon.insert(name, kind, args, place)
        case "remove":
            chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3))
            outer = [one for one in set(chosen) if not any(one.startswith(f"{other}.") for other in chosen)]
            return Remove(tuple(chosen)), lambda surgeon: surgeon.remove(outer)
        case "move":
            place = place_among(data, paths, chains)
            return Move(path, place), lambda surgeon: surgeon.move(path, place)
        case "rename":
            return Rename(path, name), lambda surgeon: surgeon.rename(path, name)
        case "copy":
            return Copy(path, name), lambda surgeon: surgeon.copy(path, name)
        case "group":
            parent = path.rpartition(".")[0]
            there = [joined(parent, layer.name) for layer in model.layer(parent).layers]
            run = there[there.index(path) :][: data.draw(st.integers(1, 3))]
            return Group(tuple(run), name), lambda surgeon: surgeon.group(run, name)
        case "ungroup":
            path = data.draw(st.sampled_from([*chains, path]))
            return Ungroup(path), lambda surgeon: surgeon.ungroup(path)
        case "set":
            path = data.draw(st.sampled_from([*(one for one, layer in model.walk() if layer.kind == "Linear"), path]))
            size = data.draw(st.integers(1, 5))
            return Set(path, {"out_features": size}), lambda surgeon: surgeon.resize(path, size)
        case _:
            tensor = data.draw(st.sampled_from([*(one for group in ties(model) for one in group), f"{path}.bias"]))
            return Untie(tensor), lambda surgeon: surgeon.untie(tensor)


@settings(max_examples=150)
@given(st.sampled_from(NETWORKS), st.data())
def test_random_edits_are_the_same_surgery_and_can_be_undone_redone_written_and_replayed(
    network: Callable[[], nn.Sequential], data: st.DataObject
) -> None:
    torch.set_num_threads(1)
    net = network()
    start = model_of(net)
    history, surgeon = History(start), Surgeon(net)
    for _ in range(data.draw(st.integers(1, 8))):
        edit, operate = drawn(data, history.model)
        line = str(edit)
        assert parse_edit(line) == edit
        before, outline = history.model, outline_of(history.model, surgeon.same)
        try:
            history = history.do(edit)
        except EditError:
            assert is_refused(surgeon, operate), line
            assert outline_of(before, surgeon.same) == outline
            continue
        operate(surgeon)
        assert outline_of(history.model, surgeon.same) == surgeon.outline(), line
        assert sorted(ties(history.model)) == surgeon.ties(), line
    check_history(start, history)


def is_refused(surgeon: Surgeon, operate: Callable[[Surgeon], None]) -> bool:
    """Whether the surgeon cannot do it either; tried on a body of its own."""
    memory = {id(surgeon.kept): surgeon.kept, id(surgeon.alive): surgeon.alive}
    spare = copy.deepcopy(surgeon, memory)
    for (_, old, _), (_, new, _) in zip(named_tensors(surgeon.net), named_tensors(spare.net), strict=True):
        surgeon.kept[id(new)] = surgeon.kept[id(old)]
        surgeon.alive.append(new)
    try:
        operate(spare)
    except (RefusedError, KeyError):
        return True
    return False


def check_history(start: ModelSpec, history: History) -> None:
    """Undo to the start, redo to the end, and what the lines of the edits make of the start."""
    end, lines = history.model, [str(step.edit) for step in history.done]
    while history.done:
        history = history.undo()
    assert history.model == start
    while history.undone:
        history = history.redo()
    assert history.model == end
    replayed = start
    for line in lines:
        edit = parse_edit(line)
        assert edit is not None
        replayed = edit.apply(replayed)
    assert replayed == end
