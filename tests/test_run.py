"""Runs of models, judged by torch: every number of a result is computed again, by another way."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from running import CNN_INPUT, TRAINING, cnn, drawn, edited, layer_of, run, subject_at, subject_of, without_inputs
from safetensors.torch import save_file
from torch import Tensor, nn

import seqtui
from seqtui.engine.door import Engine
from seqtui.engine.requests import Feed, Progress, RunSettings, Subject
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError, FileError, FormatError, OutOfMemoryError, SeqtuiError, UsageError
from seqtui.formats import open_model
from seqtui.saving import Target, save_model

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("seeded")

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def outputs_of(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every layer gives, by path: torch's own hooks."""
    found: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, path=path: found.__setitem__(path, output.detach().clone()))
        for path, module in net.named_modules()
    ]
    with torch.no_grad():
        net(x.clone())
    for hook in hooks:
        hook.remove()
    return found


def close(value: float) -> object:
    """The same number, but for rounding."""
    return pytest.approx(value, rel=1e-5, abs=1e-6)


# Outputs


def test_every_layer_is_measured_as_torch_computes_it(path: Path) -> None:
    net = cnn()
    result = run(subject_of(net, path, CNN_INPUT), TRAINING)
    torch.manual_seed(5)
    judged = outputs_of(net.train(), drawn(*CNN_INPUT))
    assert [layer.path for layer in result.layers] == [name for name, _ in net.named_modules() if name]
    for layer in result.layers:
        output = judged[layer.path].double()
        assert (layer.output, layer.dtype) == (tuple(output.shape), "float32")
        assert (layer.mean, layer.std) == (close(float(output.mean())), close(float(output.std())))
        assert (layer.min, layer.max) == (float(output.min()), float(output.max()))
        assert (layer.zeros, layer.nan, layer.inf) == (int((output == 0).sum()), 0, 0)
        assert not layer.is_nan_born
    assert result.values == tuple(judged[""].flatten().tolist())
    assert (result.output, result.output_dtype) == ((4, 10), "float32")
    assert result.argmax == tuple(judged[""].argmax(dim=1).tolist())
    assert (result.device, result.dtype, result.is_training, result.passes) == ("cpu", "float32", True, 1)
    assert result.fed == "normal 4×3×16×16, seed 0"
    assert (result.argmax_changed, result.peak_bytes) == (None, None)
    assert {layer.spread for layer in result.layers} == {None}


def test_times_are_those_of_the_parts_and_of_the_whole(path: Path) -> None:
    result = run(subject_of(cnn(), path, CNN_INPUT))
    times = {layer.path: layer.seconds or 0.0 for layer in result.layers}
    assert min(times.values()) > 0
    assert times["features"] > max(times[f"features.{number}"] for number in range(4))
    assert (result.seconds or 0) > max(times.values())


def test_what_differs_is_what_is_random_in_the_model(path: Path) -> None:
    subject = subject_of(cnn(), path, CNN_INPUT)
    workbench = Workbench()
    assert run(subject, RunSettings(is_training=True), workbench).values != (
        run(subject, RunSettings(is_training=True), workbench).values
    )
    assert run(subject, TRAINING, workbench).values == run(subject, TRAINING, workbench).values
    assert run(subject, RunSettings(), workbench).values == run(subject, RunSettings(), workbench).values
    off = edited(subject, "disable drop")
    assert run(off, RunSettings(is_training=True), workbench).values == (
        run(off, RunSettings(is_training=True), workbench).values
    )


def test_a_layer_that_is_off_hands_on_what_arrives(path: Path) -> None:
    subject = edited(subject_of(cnn(), path, CNN_INPUT), "disable drop", "disable head")
    result = run(subject, TRAINING)
    paths = [layer.path for layer in result.layers]
    assert paths == ["features", *(f"features.{number}" for number in range(4)), "drop", "head"]
    assert layer_of(result, "head")[1:3] == layer_of(result, "drop")[1:3] == layer_of(result, "features")[1:3]
    assert layer_of(result, "head").mean == layer_of(result, "features").mean
    assert result.off == {"drop", "head"}


def test_training_leaves_the_model_as_it_was(path: Path) -> None:
    net = nn.Sequential(nn.Embedding(9, 4, max_norm=0.5), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 2))
    subject = subject_of(net, path, (5, 3), "int64")
    workbench = Workbench()
    before = {name: tensor.clone() for name, tensor in workbench.network(subject).state_dict().items()}
    run(subject, RunSettings(is_training=True, passes=3, with_backward=True), workbench)
    network = workbench.network(subject)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
    net[0](torch.tensor([[1, 2, 3]]))
    assert not torch.equal(net.get_parameter("0.weight"), before["0.weight"])  # a plain pass would have changed it


def test_the_input_is_the_same_for_each_pass_of_a_model_that_works_in_place(path: Path) -> None:
    net = nn.Sequential(nn.ELU(inplace=True), nn.ELU(inplace=True))
    result = run(subject_of(net, path, (2, 6)), RunSettings(passes=3))
    with torch.no_grad():
        assert result.values == tuple(net(drawn(2, 6)).flatten().tolist())
    assert layer_of(result, "0").spread == 0


def test_the_first_of_several_tensors_is_meant_and_the_layer_after_is_named(path: Path) -> None:
    net = nn.Sequential(OrderedDict(lstm=nn.LSTM(3, 4, batch_first=True)))
    result = run(subject_of(net, path, (2, 5, 3)))
    with torch.no_grad():
        output, _ = net(drawn(2, 5, 3))
    assert result.output == (2, 5, 4)
    assert result.values == pytest.approx(output.flatten().tolist(), abs=1e-6)
    net.add_module("fc", nn.Linear(4, 2))
    with pytest.raises(EngineError, match=r"^fc: linear\(\): argument 'input' .* must be Tensor, not tuple"):
        run(subject_of(net, path, (2, 5, 3)))


def test_at_most_a_thousand_values_come_back(path: Path) -> None:
    result = run(subject_of(nn.Sequential(nn.Identity()), path, (3, 700)))
    assert result.values == tuple(drawn(3, 700).flatten()[:1000].tolist())
    assert len(result.argmax or ()) == 3


def test_an_empty_network_gives_what_it_is_fed(path: Path) -> None:
    result = run(subject_of(nn.Sequential(), path, (2, 3)))
    assert (result.layers, result.values) == ((), tuple(drawn(2, 3).flatten().tolist()))


# Not finite


def test_the_layer_where_nan_is_born_is_told(path: Path) -> None:
    net = nn.Sequential(
        OrderedDict(fc1=nn.Linear(3, 4), block=nn.Sequential(nn.Linear(4, 5), nn.ReLU()), fc2=nn.Linear(5, 2))
    )
    with torch.no_grad():
        net.get_parameter("block.0.bias")[1] = float("nan")
        net.get_parameter("block.0.bias")[2] = float("inf")
    result = run(subject_of(net, path, (7, 3)))
    assert [layer.path for layer in result.layers if layer.is_nan_born] == ["block.0"]
    born = layer_of(result, "block.0")
    assert (born.nan, born.inf) == (7, 7)
    finite = outputs_of(net, drawn(7, 3))["block.0"][:, [0, 3, 4]]
    assert (born.mean, born.max) == (close(float(finite.mean())), close(float(finite.max())))
    last = layer_of(result, "fc2")
    assert (last.nan, last.mean, last.std, last.min, last.max) == (14, None, None, None, None)


# Units


def test_channels_that_never_fire_are_dead(path: Path) -> None:
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 4, 3), relu1=nn.ReLU(), flat=nn.Flatten(), fc=nn.Linear(144, 6)))
    net.add_module("relu2", nn.ReLU())
    with torch.no_grad():
        net.get_parameter("conv.bias")[torch.tensor([0, 2])] = -100
        net.get_parameter("fc.bias")[3] = -100
    subject = subject_of(net, path, (2, 1, 8, 8))
    result = run(subject)
    assert layer_of(result, "relu1")[-6:-3] == (False, 2, 4)
    judged = outputs_of(net, drawn(2, 1, 8, 8))["relu2"]
    assert (layer_of(result, "relu2").dead, layer_of(result, "relu2").units) == (int((judged == 0).all(dim=0).sum()), 6)
    assert layer_of(result, "conv").dead is None


def test_one_value_a_unit_says_nothing(path: Path) -> None:
    result = run(subject_of(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), path, (1, 3)))
    assert (layer_of(result, "1").dead, layer_of(result, "1").units) == (None, None)


def test_features_stand_last_behind_a_linear_layer(path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    with torch.no_grad():
        net.get_parameter("0.bias")[1] = -100
    result = run(subject_of(net, path, (2, 7, 3)))
    judged = (outputs_of(net, drawn(2, 7, 3))["1"] == 0).flatten(0, 1).all(dim=0).sum()
    assert (layer_of(result, "1").dead, layer_of(result, "1").units) == (int(judged), 5)
    assert not layer_of(result, "1").has_maps


# Passes


def test_the_spread_is_the_largest_deviation_over_the_passes(path: Path) -> None:
    net = cnn()
    result = run(subject_of(net, path, CNN_INPUT), TRAINING._replace(passes=6))
    torch.manual_seed(5)
    passes = [outputs_of(net.train(), drawn(*CNN_INPUT)) for _ in range(6)]
    for layer in result.layers:
        judged = torch.stack([outputs[layer.path].double() for outputs in passes]).std(dim=0).max()
        assert layer.spread == pytest.approx(float(judged), rel=1e-4)
        assert (layer.spread == 0) == layer.path.startswith("features")
    assert result.values == tuple(passes[-1][""].flatten().tolist())


def test_how_often_the_answer_changes(path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.7), nn.Linear(8, 3))
    result = run(subject_of(net, path, (5, 4)), TRAINING._replace(passes=9))
    torch.manual_seed(5)
    answers = torch.stack([outputs_of(net.train(), drawn(5, 4))[""].argmax(dim=1) for _ in range(9)])
    assert result.argmax == tuple(answers[-1].tolist())
    changed = (answers != answers.mode(dim=0).values).double().mean()
    assert 0 < float(changed) == close(result.argmax_changed or 0.0)


# Types, devices, inputs


def test_a_type_is_that_of_tensors_and_input(path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).eval()
    subject = subject_of(net, path, (5, 4))
    result = run(subject, RunSettings(dtype="bfloat16"))
    with torch.no_grad():
        judged = net.bfloat16()(drawn(5, 4).bfloat16())
    assert result.values == tuple(judged.flatten().tolist())
    assert (result.dtype, result.output_dtype) == ("bfloat16", "bfloat16")


def test_on_meta_there_are_shapes_alone(path: Path) -> None:
    subject = subject_of(cnn(), path, CNN_INPUT)
    path.unlink()
    result = run(subject, RunSettings(device="meta", passes=2, with_backward=True))
    judged = outputs_of(cnn(), torch.zeros(CNN_INPUT))
    assert {layer.path: layer.output for layer in result.layers} == {
        name: tuple(output.shape) for name, output in judged.items() if name
    }
    assert (result.device, result.seconds, result.values, result.argmax) == ("meta", None, (), None)
    assert {layer[3:8] for layer in result.layers} == {(None,) * 5}
    assert not any(layer.has_maps or layer.gradients or layer.spread for layer in result.layers)


@pytest.mark.cuda
@NEEDS_CUDA
def test_on_cuda_the_numbers_are_those_of_the_cpu(path: Path) -> None:
    subject = subject_of(cnn(), path, CNN_INPUT)
    here = run(subject, RunSettings(with_backward=True))
    there = run(subject, RunSettings(device="cuda", with_backward=True))
    assert there.values == pytest.approx(here.values, abs=1e-2)
    assert there.peak_bytes is not None
    assert there.peak_bytes > 4 * 3 * 16 * 16 * 4
    for one, other in zip(here.layers, there.layers, strict=True):
        assert other.mean == pytest.approx(one.mean, abs=1e-2)
        assert (other.output, other.has_maps, set(other.gradients)) == (one.output, one.has_maps, set(one.gradients))
        assert other.seconds is not None


@pytest.mark.cuda
@NEEDS_CUDA
def test_on_cuda_too_large_a_model_is_a_sentence(path: Path) -> None:
    subject = subject_of(nn.Sequential(nn.ConstantPad1d((0, 2**40), 0.0)), path, (1, 1))
    with pytest.raises(OutOfMemoryError, match=r"^0: there is not enough memory: it asks for another [0-9.]+ GiB$"):
        run(subject, RunSettings(device="cuda"))
    small = subject_of(nn.Sequential(nn.Linear(2, 2)), path, (1, 2))
    assert run(small, RunSettings(device="cuda")).output == (1, 2)


def test_how_far_it_is_is_told(path: Path) -> None:
    told: list[Progress] = []
    run(subject_of(cnn(), path, CNN_INPUT), RunSettings(passes=2, with_backward=True), Workbench(told.append))
    stages = [step for step in told if "layers" not in step.words]  # how many layers are told is a matter of time
    assert stages == [
        (0, 0, "building the model"),
        (0, 4, "pass 1 of 2"),
        (2, 4, "timing"),
        (3, 4, "backward"),
    ]


def test_long_passes_are_told_layer_by_layer(path: Path) -> None:
    told: list[Progress] = []
    run(subject_of(cnn(), path, CNN_INPUT), RunSettings(passes=400), Workbench(told.append))
    steps = [step for step in told if "layers" in step.words]
    assert steps
    for step in steps:
        found = re.fullmatch(r"pass ([0-9]+) of 400: ([a-z.0-9]+), ([0-9]+) of 10 layers", step.words)
        assert found
        assert (int(found[1]), step.total) == (step.done + 1, 401)
        names = [name for name, _ in cnn().named_modules() if name]
        assert names[int(found[3]) - 1] == found[2]


# Sequences, and inputs that are not finite


def test_each_place_of_a_sequence_has_its_answer(path: Path) -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Dropout(0.5), nn.Linear(4, 6))
    result = run(subject_of(net, path, (2, 5), "int64"), TRAINING._replace(passes=7))
    given = torch.randint(9, (2, 5), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    answers = torch.stack([outputs_of(net.train(), given)[""].argmax(dim=-1).flatten() for _ in range(7)])
    assert result.argmax == tuple(answers[-1].tolist())
    changed = (answers != answers.mode(dim=0).values).double().mean()
    assert 0 < float(changed) == close(result.argmax_changed or 0.0)


def test_without_a_batch_there_is_one_answer_and_of_nan_and_maps_none(path: Path) -> None:
    fc = nn.Linear(4, 6)
    with torch.no_grad():
        assert run(subject_of(nn.Sequential(fc), path, (4,))).argmax == (int(fc(drawn(4)).argmax()),)
        fc.bias.fill_(math.nan)
    assert run(subject_of(nn.Sequential(fc), path, (2, 4)), RunSettings(passes=2))[9:11] == (None, None)
    assert run(subject_of(nn.Sequential(nn.Conv1d(2, 3, 1)), path, (1, 2, 5))).argmax is None


def test_what_goes_in_is_looked_at_too(path: Path, tmp_path: Path) -> None:
    batch = torch.tensor([[math.nan, 1.0, math.inf], [math.nan, 0.0, 0.0]])
    np.save(tmp_path / "batch.npy", batch.numpy())
    settings = RunSettings(feed=Feed("file", str(tmp_path / "batch.npy")))
    result = run(subject_of(nn.Sequential(nn.Linear(3, 2)), path, (2, 3)), settings)
    assert (result.given_nan, result.given_inf, result.layers[0].is_nan_born) == (2, 1, False)


def test_one_value_a_channel_in_train_mode_is_refused_in_a_sentence(path: Path) -> None:
    subject = subject_of(nn.Sequential(OrderedDict(norm=nn.BatchNorm1d(4))), path, (1, 4))
    with pytest.raises(EngineError, match=r"^norm: in train mode it needs more than one value per channel"):
        run(subject, RunSettings(is_training=True))


# What does not go


@pytest.mark.parametrize(
    ("net", "shape", "sentence"),
    [
        (
            nn.Sequential(OrderedDict(a=nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 2)))),
            (1, 3),
            r"^a\.1: mat1 and mat2",
        ),
        (nn.Sequential(nn.Softmax(dim=5)), (1, 3), r"^0: Dimension out of range"),
        (nn.Sequential(nn.Bilinear(3, 3, 2)), (1, 3), r"^0: .*missing 1 required positional argument"),
    ],
)
def test_what_a_layer_raises_is_told_with_its_path(
    net: nn.Sequential, shape: tuple[int, ...], sentence: str, path: Path
) -> None:
    with pytest.raises(EngineError, match=sentence) as caught:
        run(subject_of(net, path, shape))
    assert "\n" not in caught.value.message


def test_too_little_memory_is_an_error_of_its_own(path: Path) -> None:
    subject = subject_of(nn.Sequential(OrderedDict(pad=nn.ConstantPad1d((0, 2**44), 0.0))), path, (1, 1))
    with pytest.raises(OutOfMemoryError, match=r"^pad: there is not enough memory: it asks for another 70.4 TB$"):
        run(subject)


Change = Callable[[Subject], Subject]


@pytest.mark.parametrize(
    ("settings", "change", "error", "sentence"),
    [
        (RunSettings(passes=0), lambda subject: subject, UsageError, "a model is run at least once"),
        (RunSettings(dtype="int64"), lambda subject: subject, UsageError, "int64 is no type to compute in"),
        (RunSettings(device="cuda:7"), lambda subject: subject, EngineError, "there is no device cuda:7 here: "),
        (RunSettings(), without_inputs, UsageError, "nothing says what this model is fed"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    settings: RunSettings, change: Change, error: type[SeqtuiError], sentence: str, path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        run(change(subject_of(cnn(), path, CNN_INPUT)), settings)


def test_tensors_without_an_order_are_not_run(path: Path) -> None:
    save_file({"fc.weight": torch.ones(2, 3)}, path)
    with pytest.raises(FormatError, match="does not say how its layers are connected"):
        run(subject_at(path))


# Files


def test_the_model_that_was_built_last_is_kept(path: Path) -> None:
    subject, workbench = subject_of(cnn(), path, CNN_INPUT), Workbench()
    first = run(subject, RunSettings(), workbench)
    path.unlink()
    assert run(subject, RunSettings(), workbench).values == first.values
    with pytest.raises(FileError, match="the file was replaced since it was opened"):
        run(subject, RunSettings(dtype="float64"), workbench)


def test_a_file_that_was_replaced_is_read_where_it_is_still_open(path: Path) -> None:
    subject = subject_of(cnn(), path, CNN_INPUT)
    values = run(subject).values
    with path.open("rb") as held:
        path.rename(path.with_name("old"))
        seqtui.save(cnn(), path, CNN_INPUT)
        path.with_name("old").unlink()
        with pytest.raises(FileError, match="the file was replaced") as caught:
            run(subject)
        assert caught.value.file == str(path)
        (file,) = subject.files
        reachable = subject._replace(files=(file._replace(open_path=f"/dev/fd/{held.fileno()}"),))
        assert run(reachable).values == values


def test_edits_are_run_as_a_save_would_write_them(path: Path, tmp_path: Path) -> None:
    subject = subject_of(cnn(), path, CNN_INPUT)
    subject = edited(
        subject, "set features.0 out_channels=12", "fix", "insert fc2 Linear in_features=10 out_features=3 last in head"
    )
    values = run(subject).values
    engine, opened = Engine(), open_model(str(path))
    try:
        save_model(subject.model, opened.sources, Target(str(tmp_path / "saved.safetensors"), engine))
    finally:
        engine.close()
        opened.close()
    net = seqtui.load_sequential(tmp_path / "saved.safetensors").eval()
    with torch.no_grad():
        assert values == tuple(net(drawn(*CNN_INPUT)).flatten().tolist())


def test_numbers_that_are_not_finite_come_back_as_they_are(path: Path) -> None:
    result = run(subject_of(nn.Sequential(nn.Threshold(1e9, float("inf"))), path, (1, 2)))
    assert result.values == (math.inf, math.inf)
    assert run(subject_of(nn.Sequential(nn.Identity()), path, (1, 2)), RunSettings(feed=Feed("ones"))).values == (1, 1)
