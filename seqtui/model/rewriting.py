"""From one model to another of which only the layers are known: the edits that a person would have made.

So a model's code can be changed in any editor, and what was done to the text is done to the model, weights included.
First every layer of the text finds the one that it was, then the tree is put in order, then names, then what the layers
are. Each edit is tried on the model as it is found, so the next one knows what everything is called by then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from seqtui.errors import EditError
from seqtui.model.content_edits import Disable, Enable, Input, Replace, Set
from seqtui.model.edit import Edit
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.language import Place
from seqtui.model.pairing import Item, pair_layers, said_by
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import Insert, Move, Remove, Rename
from seqtui.model.tensor_edits import Cast, Freeze, Unfreeze, Untie
from seqtui.model.tensors import DTYPES
from seqtui.model.ties import tie_groups
from seqtui.model.tree import ANY_NAME, is_numbered, joined
from seqtui.model.weights_kept import COUNTER, own_shapes, with_new_tensors


def edits_between(before: ModelSpec, after: ModelSpec) -> list[Edit]:
    """The edits, none of them a Batch, that give the layers of `before` the structure and the arguments of `after`.

    `after` is what code says: what it cannot say, as metadata, stays as it is, and so do the weights of layers that
    `pair_layers` finds again. Raises EditError where no edits do it.
    """
    rewriting = _Rewriting(before, after)
    rewriting.arrange()
    rewriting.tell_contents()
    return rewriting.edits


class _Rewriting:
    """A model on its way to another, and the edits so far."""

    def __init__(self, before: ModelSpec, after: ModelSpec) -> None:
        self.before = before
        self.after = after
        self.model = before
        self.edits: list[Edit] = []
        self.old, self.new = Item(before.root), Item(after.root)
        pair_layers(self.old, self.new)

    def do(self, edit: Edit) -> None:
        self.model = edit.apply(self.model)
        self.edits.append(edit)

    def arrange(self) -> None:
        """Every layer in its place and under its name; what is gone is removed, at first as far as it is empty."""
        self._remove(lambda item: not item.has_twins())
        self._order(self.new)
        self._remove(lambda item: item.twin is None)
        for chain in (self.new, *self.new.walk()):
            if chain.is_chain:
                self._name(chain)

    def _remove(self, is_gone: Callable[[Item], bool]) -> None:
        def gone(chain: Item) -> Iterator[Item]:
            for item in chain.items:
                if item.layer.is_called and is_gone(item):
                    yield item
                else:
                    yield from gone(item)

        doomed = dict.fromkeys(gone(self.old))
        if doomed:
            self.do(Remove(tuple(item.path for item in doomed)))
        chains = dict.fromkeys(item.parent for item in doomed if item.parent)
        for chain in chains:
            chain.items = [item for item in chain.items if item not in doomed]
        self._see_names(*chains)

    def _order(self, wanted: Item) -> None:
        """The layers of a Sequential in their order, then those inside. As many as can stay where they are."""
        chain = _twin(wanted)
        places = {item: place for place, item in enumerate(chain.items)}
        staying = _longest_rise([item.twin for item in wanted.items if item.twin in places], places)
        previous: Item | None = None
        for item in wanted.items:
            if item.twin is None:
                self._insert(item, chain, previous)
            elif item.twin not in staying:
                self._move(item.twin, chain, previous)
            previous = item.twin
        for item in wanted.items:
            if item.is_chain:
                self._order(item)

    def _insert(self, item: Item, chain: Item, previous: Item | None) -> None:
        layer = item.layer
        is_counted = self._is_numbered(chain) and _is_number(item.name)
        name = ANY_NAME if is_counted else _free(item.name, chain)
        self.do(Insert(name, layer.kind or "", dict(layer.args), _after(chain, previous)))
        new = Item(LayerSpec(name, layer.kind, layer.args))
        new.twin, item.twin = item, new
        self._put(new, chain, previous)
        self._see_names(chain)

    def _move(self, item: Item, chain: Item, previous: Item | None) -> None:
        source = item.parent
        assert source is not None  # the root is where it belongs
        is_taken = source is not chain and any(other.name == item.name for other in chain.items)
        if is_taken and not (self._is_numbered(chain) and _is_number(item.name)):
            self._rename(item, _free(_twin(item).name, chain, source))
        self.do(Move(item.path, _after(chain, previous)))
        source.items.remove(item)
        self._put(item, chain, previous)
        self._see_names(chain, source)

    def _put(self, item: Item, chain: Item, previous: Item | None) -> None:
        """Keep in mind where a layer is now."""
        item.parent = chain
        chain.items.insert(chain.items.index(previous) + 1 if previous else 0, item)

    def _see_names(self, *chains: Item) -> None:
        """What the layers of some Sequentials are called after an edit, the outer first: paths of the inner follow."""
        for chain in sorted(chains, key=lambda chain: chain.path.count(".") + bool(chain.path)):
            for item, layer in zip(chain.items, self.model.layer(chain.path).layers, strict=True):
                item.name = layer.name

    def _is_numbered(self, chain: Item) -> bool:
        return is_numbered(self.model.layer(chain.path).layers)

    def _name(self, wanted: Item) -> None:
        """The names of a Sequential's layers. One that stands in another's way gets a name for the time between."""
        chain = _twin(wanted)
        taken = {item.name for item in chain.items}
        for item in sorted(wanted.items, key=lambda item: item.name in taken):
            layer = _twin(item)
            if layer.name == item.name:
                continue
            for other in chain.items:
                if other.name == item.name and other.twin:
                    self._rename(other, _free(f"{other.name}_", chain))
            self._rename(layer, item.name)

    def _rename(self, item: Item, name: str) -> None:
        self.do(Rename(item.path, name))
        item.name = name

    # What the layers are

    def tell_contents(self) -> None:
        """Arguments, and what is said of tensors, once every layer has its place and its name."""
        self._untie()
        for item in self.new.walk():
            if not item.is_chain:
                self._set(item.path, item.layer)
        self._cast()
        self._switch()
        self._freeze()
        self._feed()

    def _set(self, path: str, wanted: LayerSpec) -> None:
        layer, kind = self.model.layer(path), wanted.kind or ""
        default = {item.name: item.default for item in catalogue()[kind].parameters if not item.is_required}
        now, then = said_by(layer), said_by(wanted)
        back = {name: default[name] for name in layer.args if name in default and name not in then}
        if layer.kind != kind:
            self.do(Replace(path, kind, {**then, **back}))
        elif repr(sorted(now.items())) != repr(sorted(then.items())):
            if lost := now.keys() - then.keys() - back.keys():
                raise EditError(f"{path} needs {', '.join(sorted(lost))}, as every {kind} does")
            changed = {name: value for name, value in then.items() if repr(value) != repr(now.get(name, ...))}
            self.do(Set(path, {**changed, **{name: value for name, value in back.items() if name in now}}))

    def _untie(self) -> None:
        """Part what shares numbers no longer. Raises EditError for what is to share them from now on."""
        wanted = {
            name: frozenset(joined(*place) for place in group)
            for name, group in tie_groups(with_new_tensors(self.after, "")).items()
        }
        for group in dict.fromkeys(tuple(group) for group in tie_groups(self.model).values()):
            names = [joined(*place) for place in group if place[1] in own_shapes(self.model.layer(place[0]))]
            parts = Counter(wanted[name] for name in names if name in wanted)
            kept = parts.most_common(1)[0][0] if parts else frozenset[str]()
            for name in names:
                if name not in kept and name in tie_groups(self.model):
                    self.do(Untie(name))
        now = tie_groups(self.model)
        for name, together in wanted.items():
            if together - {joined(*place) for place in now.get(name, ())}:
                raise EditError(f"{' and '.join(sorted(together))} are to be one, and no edit ties tensors")

    def _cast(self) -> None:
        """All weights in the type that the code gives them, where it gives them another than before."""
        before = {dtype for _, dtype in _types("", self.before.root)}
        given = next((dtype for _, dtype in _types("", self.after.root)), "")
        if before == {given or "F32"} or (not given and len(before) != 1):
            return  # of several types the code cannot tell
        dtype = given or "F32"
        for path in dict.fromkeys(path for path, other in _types("", self.model.root) if other != dtype):
            self.do(Cast(path, DTYPES[dtype].torch))

    def _switch(self) -> None:
        turned = [item for item in self.new.walk() if self.model.layer(item.path).enabled != item.layer.enabled]
        on = tuple(item.path for item in turned if item.layer.enabled)
        off = tuple(item.path for item in turned if not item.layer.enabled)
        if on:
            self.do(Enable(on))
        if off:
            self.do(Disable(off))

    def _freeze(self) -> None:
        now, then = set[str](), set[str]()
        for item in self.new.walk():
            layer = self.model.layer(item.path)
            now |= {joined(item.path, name) for name in layer.frozen & own_shapes(layer).keys()}
            then |= {joined(item.path, name) for name in item.layer.frozen}
        if now - then:
            self.do(Unfreeze(tuple(sorted(now - then))))
        if then - now:
            self.do(Freeze(tuple(sorted(then - now))))

    def _feed(self) -> None:
        """Raises EditError where nothing is fed any more."""
        now, then = self.model.inputs[:1], self.after.inputs
        if now and not then:
            raise EditError("input_shape is gone, and no edit takes it away")
        if then and (not now or now[0][1:] != then[0][1:]):
            self.do(Input(then[0].shape, then[0].dtype, now[0].name if now else then[0].name))


def _twin(item: Item) -> Item:
    assert item.twin is not None  # by now all of the wanted layers are there
    return item.twin


def _after(chain: Item, previous: Item | None) -> Place:
    return Place("after", previous.path) if previous else Place("first", chain.path)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _free(name: str, *chains: Item) -> str:
    """A name that no layer of some Sequentials has: this one, or that with a number."""
    taken = {item.name for chain in chains for item in chain.items}
    names = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in names if other not in taken)


def _longest_rise(items: Sequence[Item | None], places: dict[Item, int]) -> set[Item]:
    """As many of the items as can be, so that their places rise in the order given."""
    ends: list[int] = []
    rows: list[tuple[Item, int]] = []
    for item in filter(None, items):
        length = bisect_left(ends, places[item])
        ends[length : length + 1] = [places[item]]
        rows.append((item, length))
    found: set[Item] = set()
    wanted = len(ends) - 1
    for item, length in reversed(rows):
        if length == wanted:
            found.add(item)
            wanted -= 1
    return found


def _types(path: str, layer: LayerSpec) -> Iterator[tuple[str, str]]:
    """(path of its layer, type) of every tensor that the type in the code is about: those of layers that act."""
    for child in layer.layers:
        if child.is_called and child.enabled:
            below = joined(path, child.name)
            yield from ((below, tensor.dtype) for tensor in child.tensors if tensor.name.rpartition(".")[2] != COUNTER)
            if child.kind == "Sequential":
                yield from _types(below, child)
