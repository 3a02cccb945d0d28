"""A model run on a device: what each layer gives and how long it takes, what differs from pass to pass, and gradients.

The network is left as it was: numbers that a pass changes, running statistics above all, are put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.devices import require_device
from seqtui.engine.feed import fed
from seqtui.engine.measure import gradient_norm, share_changed, verdict
from seqtui.engine.numbers import dtype_word
from seqtui.engine.outputs import Outputs
from seqtui.engine.refusal import refusal
from seqtui.engine.requests import Forward, Gradient, Progress, RunResult, RunSettings
from seqtui.engine.walk import first_tensor, num_layers, through
from seqtui.engine.workbench import Workbench
from seqtui.errors import UsageError
from seqtui.model.inputs import FLOAT_TYPES
from seqtui.model.spec import ModelSpec
from seqtui.model.tensors import NewTensor
from seqtui.model.tree import joined
from seqtui.words import plural

if TYPE_CHECKING:
    import torch
    from torch import nn

LEAST_ROUNDS = 5
ENOUGH_SECONDS = 0.3
"""Forward passes are timed until both are reached: whatever else the machine does then stalls a few of them alone."""
MOST_ROUNDS = 300
MOST_SECONDS = 1.0
"""And no longer once one of these is, but for the first pass."""


def forward(request: Forward, workbench: Workbench) -> RunResult:
    """Run a model.

    First come the passes, in which outputs are looked at; they warm up what the timed passes after them need. The
    backward pass is one more. With a seed the first pass, and the backward pass, draw what a plain call draws after
    `torch.manual_seed`. On meta nothing is timed and there are no gradients.

    Raises UsageError for settings that do not fit, EngineError with its path for a layer that raises, OutOfMemoryError
    where the device has too little memory, and what `fed` and `Workbench.network` raise.
    """
    settings = request.settings
    if settings.passes < 1:
        raise UsageError("a model is run at least once")
    if settings.dtype not in ("", *FLOAT_TYPES):
        raise UsageError(f"{settings.dtype} is no type to compute in", hint=f"Types are {', '.join(FLOAT_TYPES)}.")
    device = require_device(settings.device)
    given = fed(request.subject.model, settings.feed, settings.dtype, device.type == "meta")
    network = workbench.network(request.subject, settings.device, settings.dtype)
    workbench.maps = {}
    with _unchanged(network):
        run = _Run(network.train(settings.is_training), device, settings, given.tensor, workbench)
        outputs = run.outputs()
        times = _Times() if device.type == "meta" else run.times()
        gradients = run.gradients() if settings.with_backward and device.type != "meta" else {}
    workbench.maps = outputs.held.maps
    return RunResult(
        device=str(device),
        dtype=settings.dtype or _dtype_of(network, given.tensor),
        is_training=settings.is_training,
        passes=settings.passes,
        fed=given.words,
        seconds=times.whole,
        output=outputs.output,
        output_dtype=outputs.dtype,
        values=outputs.values,
        argmax=outputs.argmaxes[-1],
        argmax_changed=share_changed(outputs.argmaxes),
        layers=outputs.layers(times.layers, gradients),
        peak_bytes=run.peak_bytes(),
        given_nan=outputs.given.nan,
        given_inf=outputs.given.inf,
        with_backward=settings.with_backward,
        off=frozenset(path for path, layer in request.subject.model.walk() if not layer.enabled),
        num_new=_num_new(request.subject.model),
    )


def _num_new(model: ModelSpec) -> int:
    """Tensors of which no number comes from a file."""
    refs = (tensor.ref for _, layer in model.walk() for tensor in layer.tensors)
    return sum(isinstance(ref, NewTensor) and ref.keep is None for ref in refs)


class _Times(NamedTuple):
    """Seconds, medians of several passes."""

    whole: float | None = None
    layers: Mapping[str, float] = {}
    """By path."""


class _Step(NamedTuple):
    """Where a pass is."""

    number: int
    """Of the pass, from 0."""
    place: int
    """Of the layer, from 1."""


class _Run:
    """A network on a device, in its mode, and what it is fed."""

    def __init__(
        self,
        network: nn.Sequential,
        device: torch.device,
        settings: RunSettings,
        given: torch.Tensor,
        workbench: Workbench,
    ) -> None:
        self.network = network
        self.device = device
        self.settings = settings
        self.workbench = workbench
        try:
            self.given = given.to(device)
        except RuntimeError as error:
            raise refusal("the input", error) from error

    def outputs(self) -> Outputs:
        """The passes."""
        import torch

        passes = self.settings.passes
        count = num_layers(self.network)
        steps = (_Step(number, place) for number in range(passes) for place in range(1, count + 1))
        outputs = Outputs(self.network, passes, lambda path: self._tell_layer(path, next(steps), count))
        self._tell(0, f"pass 1 of {passes:,}" if passes > 1 else "running")
        self._seed()
        with torch.no_grad():
            for number in range(passes):
                outputs.run(self.given.clone(), is_last=number == passes - 1)  # cloned: some layers work in place
        return outputs

    def times(self) -> _Times:
        """How long it takes when nothing is looked at."""
        import torch

        self._tell(self.settings.passes, "timing")
        if backend := self._backend():
            backend.reset_peak_memory_stats(self.device)
        whole: list[float] = []
        layers: dict[str, list[float]] = {}
        starts: list[float] = []
        begun = perf_counter()
        with torch.no_grad():
            while not _is_enough(len(whole), perf_counter() - begun):
                value, start = self.given.clone(), self._now()
                through(
                    self.network,
                    value,
                    before=lambda path: starts.append(self._now()),
                    after=lambda path, module, value: layers.setdefault(path, []).append(self._now() - starts.pop()),
                )
                if self.device.type != "cpu":  # elsewhere, waiting for each layer takes time that a plain pass does not
                    value, start = self.given.clone(), self._now()
                    through(self.network, value)
                whole.append(self._now() - start)
        return _Times(median(whole), {path: median(times) for path, times in layers.items()})

    def gradients(self) -> dict[str, Gradient]:
        """Of every parameter that learns, by full name, for the scalar `(output * r).sum()`, r standard normal drawn
        from the input's seed + 1: the plain sum of a Softmax has no gradient.
        """
        import torch

        self._tell(self.settings.passes + 1, "backward")
        self._seed()
        with torch.enable_grad(), _any_backward(self.network):
            output = first_tensor("", through(self.network, self.given.clone()))
            generator = torch.Generator().manual_seed(self.settings.feed.seed + 1)
            weights = torch.randn(output.shape, generator=generator).to(output.device, output.dtype)
            if output.requires_grad:
                try:
                    torch.autograd.backward(output, weights)
                except RuntimeError as error:
                    raise refusal("the backward pass", error) from error
        return {
            joined(path, name): _gradient(parameter)
            for path, module in self.network.named_modules(remove_duplicate=False)
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.requires_grad
        }

    def peak_bytes(self) -> int | None:
        """The most that the timed passes and the backward pass took; None where the device does not tell."""
        backend = self._backend()
        return int(backend.max_memory_allocated(self.device)) if backend else None

    def _backend(self) -> ModuleType | None:
        """What torch has for a device that counts its memory."""
        import torch

        backend: ModuleType | None = getattr(torch, self.device.type) if self.device.type in ("cuda", "xpu") else None
        return backend

    def _seed(self) -> None:
        """What is random in the model begins from the seed; without one, anywhere."""
        import torch

        if self.settings.seed is None:
            torch.seed()
        else:
            torch.manual_seed(self.settings.seed)

    def _now(self) -> float:
        """Seconds, once the device has done all that was asked of it."""
        import torch

        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return perf_counter()

    def _tell(self, done: int, words: str) -> None:
        self.workbench.tell(done, self._num_stages(), words)

    def _tell_layer(self, path: str, step: _Step, count: int) -> None:
        """Say which of all the layers is about to run, now and then."""
        passes = self.settings.passes
        words = f"{path}, {step.place:,} of {plural(count, 'layer')}"
        if passes > 1:
            words = f"pass {step.number + 1:,} of {passes:,}: {words}"
        self.workbench.teller.step(Progress(step.number, self._num_stages(), words))

    def _num_stages(self) -> int:
        """The passes, timing, and the backward pass."""
        return self.settings.passes + 1 + self.settings.with_backward


def _is_enough(rounds: int, seconds: float) -> bool:
    """Whether passes were timed for long enough."""
    if rounds < LEAST_ROUNDS:
        return bool(rounds) and seconds >= MOST_SECONDS
    return rounds >= MOST_ROUNDS or seconds >= ENOUGH_SECONDS


@contextmanager
def _unchanged(network: nn.Sequential) -> Iterator[None]:
    """Puts back what forward passes change, and lets go of gradients.

    Changed are buffers, and the weights that an Embedding with max_norm makes shorter as it looks them up.
    """
    import torch
    from torch import nn

    changed = [*network.buffers()]
    changed += [
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None
    ]
    kept = [(tensor, tensor.detach().clone()) for tensor in changed]
    try:
        yield
    finally:
        with torch.no_grad(), suppress(RuntimeError):  # only a device that is past use refuses, and it is told anyway
            for tensor, before in kept:
                tensor.copy_(before)
        network.zero_grad(set_to_none=True)


def _any_backward(network: nn.Sequential) -> AbstractContextManager[None]:
    """In which every layer has a backward pass: cuDNN's recurrent ones have none in eval mode, torch's own do."""
    import torch
    from torch import nn

    is_barred = not network.training and any(isinstance(module, nn.RNNBase) for module in network.modules())
    without: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=False)
    return without if is_barred else nullcontext()


def _gradient(parameter: nn.Parameter) -> Gradient:
    if parameter.grad is None:
        return Gradient(0.0, "none")
    norm = gradient_norm(parameter.grad)
    return Gradient(norm, verdict(norm, parameter.numel()))


def _dtype_of(network: nn.Sequential, given: torch.Tensor) -> str:
    """The type that a network computes in: that of its first floating parameter, else that of what it is fed."""
    floating = (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())
    return dtype_word(next(floating, given.dtype))
