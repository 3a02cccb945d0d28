"""Well-known networks built by hand and saved: every shape and count is that of torch's own forward pass."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import seqtui
from seqtui.model.infer import infer_shapes
from seqtui.model.tensors import Shape

torch.set_num_threads(1)


def vgg19_bn() -> nn.Sequential:
    """VGG-19 with BatchNorm, thinner by eight."""
    layers: list[nn.Module] = []
    channels = 3
    for blocks, width in ((2, 8), (2, 16), (4, 32), (4, 64), (4, 64)):
        for _ in range(blocks):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    head = [nn.Linear(64 * 7 * 7, 128), nn.ReLU(True), nn.Dropout(), nn.Linear(128, 10)]
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(), nn.Sequential(*head))


def mobilenet() -> nn.Sequential:
    """Depthwise and pointwise convolutions in turn."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        return nn.Sequential(
            OrderedDict(
                depthwise=depthwise,
                bn1=nn.BatchNorm2d(inputs),
                relu1=nn.ReLU6(),
                pointwise=pointwise,
                bn2=nn.BatchNorm2d(outputs),
                relu2=nn.ReLU6(),
            )
        )

    blocks = [block(8 * 2 ** (n // 2), 8 * 2 ** ((n + 1) // 2), 1 + n % 2) for n in range(8)]
    stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def unet3d_encoder() -> nn.Sequential:
    """The way down of a 3-d U-Net."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    for level, width in enumerate((8, 16, 32, 64)):
        for half in "ab":
            layers[f"conv{level}{half}"] = nn.Conv3d(channels, width, 3, padding=1)
            layers[f"norm{level}{half}"] = nn.InstanceNorm3d(width, affine=True)
            layers[f"act{level}{half}"] = nn.LeakyReLU(0.01)
            channels = width
        layers[f"down{level}"] = nn.MaxPool3d(2)
    return nn.Sequential(layers)


def wavenet() -> nn.Sequential:
    """Convolutions whose dilation doubles, each behind a gate."""
    layers: list[nn.Module] = [nn.ConstantPad1d((1, 0), 0.0), nn.Conv1d(1, 16, 2)]
    for power in range(10):
        layers += [nn.ConstantPad1d((2**power, 0), 0.0), nn.Conv1d(16, 32, 2, dilation=2**power), nn.GLU(dim=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv1d(16, 256, 1), nn.LogSoftmax(1))


def transformer() -> nn.Sequential:
    """Tokens through twelve encoder layers."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu", norm_first=True)
    encoder = nn.TransformerEncoder(layer, 12, norm=nn.LayerNorm(32), enable_nested_tensor=False)
    return nn.Sequential(OrderedDict(tokens=nn.Embedding(100, 32), encoder=encoder, head=nn.Linear(32, 100)))


def layered_transformer() -> nn.Sequential:
    """The same with each layer at its own place."""
    layers = (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(12))
    return nn.Sequential(nn.Embedding(100, 32), *layers, nn.LayerNorm(32))


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], Shape, str]] = {
    "vgg19_bn": (vgg19_bn, (2, 3, 64, 64), "float32"),
    "mobilenet": (mobilenet, (2, 3, 64, 64), "float32"),
    "unet3d_encoder": (unet3d_encoder, (1, 1, 32, 32, 32), "float32"),
    "wavenet": (wavenet, (1, 1, 1200), "float32"),
    "transformer": (transformer, (2, 20), "int64"),
    "layered_transformer": (layered_transformer, (2, 20), "int64"),
}


def leaves(net: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers that are no Sequential, by path."""
    for name, module in net.named_children():
        if isinstance(module, nn.Sequential):
            yield from leaves(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_counts_are_those_of_torch(name: str, tmp_path: Path) -> None:
    make, shape, dtype = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = make().eval()
    x = torch.zeros(shape, dtype=getattr(torch, dtype))
    seen: dict[str, Shape] = {}
    for path, module in leaves(net):
        module.register_forward_hook(lambda module, args, output, path=path: seen.update({path: tuple(output.shape)}))
    with torch.no_grad():
        output: Tensor = net(x)
    for _, module in leaves(net):
        module._forward_hooks.clear()

    file = tmp_path / f"{name}.safetensors"
    seqtui.save(net, file, input_shape=shape, input_dtype=dtype)
    with torch.no_grad():
        assert torch.equal(seqtui.load_sequential(file).eval()(x), net(x))
    model = seqtui.load(file)
    inference = infer_shapes(model)
    assert not inference.problems
    assert {path: inference.infos[path].output_shape for path in seen} == seen
    assert inference.total.output_shape == tuple(output.shape)
    assert inference.total.num_params == sum(parameter.numel() for parameter in net.parameters())
    for layer_path, module in leaves(net):
        assert inference.infos[layer_path].num_params == sum(p.numel() for p in module.parameters()), layer_path
        assert inference.infos[layer_path].num_buffers == sum(b.numel() for b in module.buffers()), layer_path
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.to("meta")(x.to("meta"))
    assert inference.total.macs == counter.get_total_flops() // 2
    done = subprocess.run([sys.executable, "-m", "seqtui", "summary", str(file)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "×".join(map(str, output.shape)) in done.stdout.splitlines()[1]
