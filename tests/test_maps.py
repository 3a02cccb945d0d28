"""Feature maps of a run as pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from running import layer_of, run, subject_of
from torch import Tensor, nn

from seqtui.engine.maps import HeldMaps, maps
from seqtui.engine.requests import Images, Maps
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError

torch.set_num_threads(1)


def shown(held: Tensor, request: Maps) -> Images:
    workbench = Workbench()
    workbench.maps[request.path] = held
    return maps(request, workbench)


def test_pixels_are_the_values_between_the_lowest_and_the_highest() -> None:
    held = torch.tensor([[[-2.0, 0.0, 3.0]], [[8.0, 3.0, 1.0]]])
    images = shown(held, Maps("conv", 10, 10))
    assert images == Images("conv", 2, 0, (1, 3), 1, 3, -2.0, 8.0, (bytes([0, 51, 128]), bytes([255, 128, 76])))


def test_all_pages_are_on_one_scale() -> None:
    held = torch.arange(5.0).reshape(5, 1, 1)
    images = shown(held, Maps("conv", 10, 10, first=3, limit=4))
    assert (images.num_channels, images.first, images.low, images.high) == (5, 3, 0.0, 4.0)
    assert images.pixels == (bytes([191]), bytes([255]))
    assert shown(held, Maps("conv", 10, 10, first=5)).pixels == ()


def test_large_maps_are_averaged_down_and_keep_their_form() -> None:
    held = torch.arange(64.0).reshape(1, 4, 16)
    images = shown(held, Maps("conv", 4, 8))
    assert (images.shape, images.height, images.width) == ((4, 16), 2, 8)
    judged = held.reshape(2, 2, 8, 2).mean(dim=(1, 3)) / 63 * 255
    assert list(images.pixels[0]) == judged.round().flatten().int().tolist()


def test_what_is_not_finite_is_darkest_or_brightest() -> None:
    held = torch.tensor([[[float("nan"), float("-inf"), float("inf"), 1.0, 2.0]]])
    assert shown(held, Maps("conv", 9, 9)).pixels == (bytes([0, 0, 255, 0, 255]),)
    assert shown(torch.full((1, 1, 2), float("nan")), Maps("conv", 9, 9)).pixels == (bytes([0, 0]),)
    assert shown(torch.full((1, 1, 2), 7.0), Maps("conv", 9, 9)).pixels == (bytes([0, 0]),)


@pytest.mark.parametrize("size", [3.4e38, 1e-38, 1e-45])
def test_the_greatest_and_the_least_numbers_have_their_shades(size: float) -> None:
    images = shown(torch.tensor([[[-size, 0.0, size]]]), Maps("conv", 9, 9))
    assert images.pixels == (bytes([0, 128, 255]),)


def test_maps_are_of_the_first_sample_of_the_last_run(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.ReLU(inplace=True)), nn.Flatten(), nn.Linear(144, 2))
    workbench = Workbench()
    result = run(subject_of(net, tmp_path / "net.safetensors", (2, 1, 8, 8)), None, workbench)
    assert [layer.path for layer in result.layers if layer.has_maps] == ["0", "1", "1.0"]
    x = torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(workbench.maps["0"], net.get_submodule("0")(x)[0], atol=1e-6)
        assert torch.equal(workbench.maps["1"], workbench.maps["0"].relu())
    images = maps(Maps("0", 99, 99), workbench)
    assert (images.low, images.high) == (float(workbench.maps["0"].min()), float(workbench.maps["0"].max()))
    with pytest.raises(EngineError, match="there are no feature maps of 3"):
        maps(Maps("3", 9, 9), workbench)


@pytest.mark.parametrize(
    ("net", "shape", "expected"),
    [
        (nn.Sequential(nn.Conv2d(3, 5, 1)), (3, 4, 6), (5, 4, 6)),
        (nn.Sequential(nn.Conv1d(3, 5, 1)), (2, 3, 6), (5, 1, 6)),
        (nn.Sequential(nn.Conv3d(3, 5, 1)), (2, 3, 4, 4, 4), None),
        (nn.Sequential(nn.Linear(3, 5)), (2, 4, 3), None),
    ],
    ids=["without a batch", "1d", "3d", "features"],
)
def test_which_outputs_have_maps(
    net: nn.Sequential, shape: tuple[int, ...], expected: tuple[int, ...] | None, tmp_path: Path
) -> None:
    workbench = Workbench()
    result = run(subject_of(net, tmp_path / "net.safetensors", shape), None, workbench)
    assert layer_of(result, "0").has_maps == (expected is not None)
    assert [tuple(held.shape) for held in workbench.maps.values()] == ([expected] if expected else [])


def test_what_there_is_no_room_for_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqtui.engine.maps.MOST_BYTES", 100)
    held = HeldMaps()
    assert held.take("a", torch.zeros(1, 1, 4, 4), 2)
    assert not held.take("b", torch.zeros(1, 1, 4, 4), 2)
    assert held.take("c", torch.zeros(9, 1, 3, 3).bfloat16(), 2)
    assert list(held.maps) == ["a", "c"]
