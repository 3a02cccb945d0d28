"""What the layers of a network gave in the passes of a run: in every pass what differs, in the last one all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine import measure
from seqtui.engine.maps import HeldMaps
from seqtui.engine.numbers import dtype_word
from seqtui.engine.refusal import refusal
from seqtui.engine.requests import MOST_VALUES, Gradient, LayerRun
from seqtui.engine.walk import Before, first_tensor, through
from seqtui.model.tree import joined

if TYPE_CHECKING:
    import torch
    from torch import nn

MOST_SPREAD = 1 << 25
"""Elements of which the spread is followed, over all layers: 8 bytes each, in main memory."""
NOT_COMPUTED = measure.Statistics(None, None, None, None, 0, 0, 0)
"""Of an output on meta."""


class _Looked(NamedTuple):
    """What was seen of a layer's output in the last pass."""

    output: tuple[int, ...]
    dtype: str
    numbers: measure.Statistics
    is_nan_born: bool
    units: tuple[int, int] | None
    """(dead, all); None where that is no question."""
    has_maps: bool
    parameters: tuple[str, ...]
    """By their own names, those of a layer that holds others left out."""


class Outputs:
    """One network's outputs; every pass begins with `run`."""

    def __init__(self, network: nn.Sequential, passes: int, told: Before = lambda path: None) -> None:
        """`told` hears the path of each layer that is about to run."""
        self.network = network
        self.told = told
        self.passes = passes
        self.held = HeldMaps()
        self.argmaxes: list[tuple[int, ...] | None] = []
        """Of each pass; None for an output that has none."""
        self.given = NOT_COMPUTED
        """What goes in."""
        self.output: tuple[int, ...] = ()
        self.dtype = ""
        self.values: tuple[float, ...] = ()
        """Of what the last pass gave the shape, the type, and the first of its numbers, of complex ones the magnitude.
        It may be as large as all else, and is not held."""
        self._layers: dict[str, _Looked | None] = {}
        """By path, depth first in execution order."""
        self._spreads: dict[str, measure.Spread] = {}
        self._limit = max(1, MOST_SPREAD // sum(1 for _ in network.modules()))
        self._is_last = False
        self._spatial: int | None = None
        self._not_finite = 0
        """Elements that are not finite in what flows."""

    def run(self, value: torch.Tensor, is_last: bool) -> None:
        """One pass. Raises what `through` raises."""
        self._is_last = is_last
        self._spatial = None
        if is_last and not value.is_meta:
            self.given = measure.statistics(value)
            self._not_finite = self.given.nan + self.given.inf
        output = first_tensor("", through(self.network, value, self._before, self._after))
        has_features = measure.num_spatial(output.dim(), self._spatial) == 0
        self.argmaxes.append(measure.argmax(output) if has_features else None)
        if is_last:
            self.output, self.dtype, self.values = tuple(output.shape), dtype_word(output.dtype), _first(output)

    def layers(self, seconds: Mapping[str, float], gradients: Mapping[str, Gradient]) -> tuple[LayerRun, ...]:
        """All layers; `seconds` are by path, `gradients` by full name."""
        return tuple(
            self._layer(path, looked, seconds.get(path), gradients) for path, looked in self._layers.items() if looked
        )

    def _layer(self, path: str, looked: _Looked, seconds: float | None, gradients: Mapping[str, Gradient]) -> LayerRun:
        dead, units = looked.units or (None, None)
        spread = self._spreads[path].largest() if path in self._spreads else None
        names = (name for name in looked.parameters if joined(path, name) in gradients)
        return LayerRun(
            path,
            looked.output,
            looked.dtype,
            seconds,
            *looked.numbers,
            looked.is_nan_born,
            dead,
            units,
            spread,
            looked.has_maps,
            {name: gradients[joined(path, name)] for name in names},
        )

    def _before(self, path: str) -> None:
        self._layers.setdefault(path, None)  # holds the place
        self.told(path)

    def _after(self, path: str, module: nn.Module, value: object) -> None:
        output = first_tensor(path, value)
        self._spatial = measure.spatial_after(type(module).__name__, self._spatial)
        try:
            if self.passes > 1 and not output.is_meta:
                self._spreads.setdefault(path, measure.Spread(self._limit)).add(output)
            if self._is_last:
                self._layers[path] = self._looked(path, module, output)
        except RuntimeError as error:  # on a graphics card what a layer does wrong comes out once it is looked at
            raise refusal(path, error) from error

    def _looked(self, path: str, module: nn.Module, output: torch.Tensor) -> _Looked:
        from torch import nn

        kind, is_container = type(module).__name__, type(module) is nn.Sequential
        spatial = measure.num_spatial(output.dim(), self._spatial)
        numbers, units, has_maps = NOT_COMPUTED, None, False
        if not output.is_meta:
            numbers = measure.statistics(output)
            units = measure.dead_units(output, spatial) if kind in measure.ZERO_GIVING else None
            has_maps = self.held.take(path, output, spatial)
        not_finite = numbers.nan + numbers.inf
        is_born = bool(not_finite) and not self._not_finite and not is_container
        self._not_finite = not_finite
        own = () if is_container else tuple(name for name, _ in module.named_parameters(remove_duplicate=False))
        return _Looked(tuple(output.shape), dtype_word(output.dtype), numbers, is_born, units, has_maps, own)


def _first(output: torch.Tensor) -> tuple[float, ...]:
    """The first numbers of an output, none on meta."""
    if output.is_meta:
        return ()
    values = output.detach().reshape(-1)[:MOST_VALUES]
    return tuple(map(float, (values.abs() if values.is_complex() else values).tolist()))
