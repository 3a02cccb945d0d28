"""A kind is one row: here one in a table of the test's own is shown, judged, exported and guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from judge import judge
from safetensors.torch import save_file
from torch import nn

import seqtui
from seqtui.engine.catalogue import layer_row
from seqtui.engine.modules import spec_of
from seqtui.formats.source_code import source_code
from seqtui.formats.source_reader import read_source
from seqtui.model import guess_kinds
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import Entry, catalogue, entry_of
from seqtui.model.kinds.kind import Arguments, Kind, Shapes, Signal
from seqtui.model.kinds.recognise import Evidence, Guess, recogniser
from seqtui.model.kinds.sentences import require_at_least, require_dimensions, require_dtype, require_size


class ChannelScale(nn.Module):
    """Multiplies each channel by a number that is learnt."""

    def __init__(self, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != self.gain.dtype or x.dim() != 2 or x.shape[1] != self.channels:
            raise ValueError("the input does not fit")
        return x * self.gain if self.shift is None else x * self.gain + self.shift

    def extra_repr(self) -> str:
        return f"{self.channels}"


# The row: all that has to be written for a new kind, in one module of seqtui/model/kinds.


def _parameters(args: Arguments) -> Shapes:
    channels = (args.integer("channels"),)
    return {"gain": channels, **({"shift": channels} if args.flag("bias") else {})}


def _output(args: Arguments, x: Signal) -> Signal:
    require_dimensions(x, 2)
    require_size(x, 1, args.integer("channels"), "channels")
    require_dtype(x, args)
    return x


def _recognise(evidence: Evidence) -> Guess:
    return Guess("ChannelScale", {"channels": evidence.shapes["gain"][0]})


CHANNEL_SCALE = Kind(
    name="ChannelScale",
    output=_output,
    check=lambda args: require_at_least(0, "channels", args.integer("channels")),
    parameters=_parameters,
    is_elementwise=True,
    words=lambda args: f"{args['channels']} channels",
    recognisers=(recogniser("gain", "shift", _recognise),),
    kept_as={"bias": "shift"},
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The row among the others, the class where torch has its own, and what the catalogue's script says of it."""
    monkeypatch.setitem(KINDS, "ChannelScale", CHANNEL_SCALE)
    monkeypatch.setattr(nn, "ChannelScale", ChannelScale, raising=False)
    entries = cast(dict[str, Entry], catalogue())  # for everyone else it does not change
    monkeypatch.setitem(entries, "ChannelScale", entry_of("ChannelScale", layer_row(ChannelScale)))
    forget_guesses()
    yield
    monkeypatch.undo()
    forget_guesses()


def forget_guesses() -> None:
    for cached in (guess_kinds.recognisers, guess_kinds._fitting, guess_kinds._guess_kind):
        cached.cache_clear()


def test_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    seqtui.summary(nn.Sequential(nn.Linear(2, 3), ChannelScale(3), ChannelScale(4, bias=False)), input_shape=(1, 2))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[3] == "1 ChannelScale 3 channels 1×3 6 ·"
    assert "! 2 takes 4 channels, 3 arrive from 1" in lines


def test_it_is_judged() -> None:
    verdict = judge("ChannelScale", draws=200, seed=0)
    assert not verdict.disagreements
    assert 40 <= verdict.refused <= 120
    assert verdict.varied["bias"] >= 10
    assert verdict.reaches_judged >= 4


def test_it_is_exported_and_read_back() -> None:
    model = spec_of(nn.Sequential(ChannelScale(3, bias=False)))
    text = source_code(model)
    assert "    nn.ChannelScale(3, bias=False),\n" in text
    assert read_source(text).layer("0").args == model.layer("0").args == {"channels": 3, "bias": False}


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    net = nn.Sequential(ChannelScale(3))
    seqtui.save(net, tmp_path / "net.safetensors", input_shape=(1, 3))
    assert torch.equal(seqtui.load_sequential(tmp_path / "net.safetensors")(torch.ones(1, 3)), torch.ones(1, 3))


def test_it_is_guessed(tmp_path: Path) -> None:
    save_file({"scale.gain": torch.ones(5), "scale.shift": torch.ones(5)}, tmp_path / "net.safetensors")
    layer = seqtui.load(tmp_path / "net.safetensors").layer("scale")
    assert (layer.kind, layer.args, layer.origin) == ("ChannelScale", {"channels": 5}, "guessed")
