"""Adding a layer, and putting another kind in the place of one, by keys: what the list says is what comes about."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
from textual import events
from torch import nn
from user import DATA, SAMPLES, User, saved, user_of

import seqtui
from seqtui.formats import open_model
from seqtui.model.language import Place
from seqtui.model.tree import layer_at
from seqtui.tui.form import Form
from seqtui.tui.picker import found, offer_at
from seqtui.workspace import Workspace


def kind_at(user: User, path: str) -> tuple[str | None, dict[str, object]]:
    layer = layer_at(user.app.workspace.model, path)
    return layer.kind, dict(layer.args)


def names(user: User, path: str = "") -> list[str]:
    return [layer.name for layer in layer_at(user.app.workspace.model, path).layers]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_a_batch_norm_after_the_first_convolution(width: int, height: int) -> None:
    async with user_of("lenet5", width=width, height=height, select="conv1") as user:
        await user.press("a")
        await user.sees("add after conv1", "1×6×28×28 arrives", "enter add", "tab arguments")
        await user.type("bat")
        assert "› BatchNorm2d" in user.line("BatchNorm2d")
        assert user.line("BatchNorm2d").rstrip(" │").endswith("1×6×28×28")
        assert "does not fit: needs 2 or 3 dimensions, 4 arrive" in user.line("BatchNorm1d")
        await user.sees("bn1  BatchNorm2d(6)", "+12 parameters   nothing breaks below")
        await user.press("enter")
        assert user.at == "bn1"
        assert names(user)[:3] == ["conv1", "bn1", "tanh1"]
        assert kind_at(user, "bn1") == ("BatchNorm2d", {"num_features": 6})
        assert user.done() == ["insert bn1 BatchNorm2d num_features=6 after conv1"]
        await user.press("u")
        assert names(user)[:2] == ["conv1", "tanh1"]


async def test_before_a_layer_and_what_breaks_below() -> None:
    async with user_of("lenet5", select="flatten") as user:
        await user.press("i")
        await user.sees("add before flatten")
        await user.type("maxpool2")
        await user.sees("pool3  MaxPool2d(2)", "+0 parameters   ! fc1 takes 400 features, 64 arrive")
        await user.press("enter")
        assert user.at == "pool3"
        assert names(user)[6:9] == ["dropout1", "pool3", "flatten"]
        await user.sees("fc1 takes 400 features")


async def test_escape_changes_nothing() -> None:
    async with user_of("lenet5", select="conv1") as user:
        before = user.screen()
        await user.press("a")
        await user.type("relu")
        await user.press("down", "tab", "escape", "escape")
        assert user.screen() == before
        assert not user.app.workspace.is_changed


async def test_moving_in_the_list_and_no_match() -> None:
    async with user_of("lenet5", select="conv1") as user:
        await user.press("a")
        assert "Conv2d" in user.line("›")
        await user.press("down", "down")
        assert "BatchNorm2d" in user.line("›")
        await user.press("up")
        assert "ReLU" in user.line("›")
        await user.press("pagedown", "pagedown")
        assert "ReLU" not in user.line("›")
        await user.press("pageup", "pageup", "pageup")
        assert "Conv2d" in user.line("›")
        await user.type("zzz")
        await user.sees("no kind is called zzz")
        await user.press("enter", "tab", "down")
        await user.sees("no kind is called zzz")


async def test_letters_typed_ahead_are_kept() -> None:
    async with user_of("lenet5", select="conv1") as user:
        for key in ("a", "d", "r", "o", "p", "enter"):
            user.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await user.until(lambda: user.at == "dropout2")
        assert kind_at(user, "dropout2") == ("Dropout", {})


async def test_the_arguments_of_a_new_layer_and_its_name() -> None:
    async with user_of("lenet5", select="conv1") as user:
        await user.press("a")
        await user.type("conv2d")
        await user.press("tab")
        await user.sees("new  Conv2d", "conv3", "weight 6×6×3×3   324 new", "enter add")
        await user.press("8", "tab", "5")
        await user.sees("weight 8×6×5×5   1,200 new")
        await user.press("escape")
        await user.sees("add after conv1", "> conv2d")
        await user.press("tab", "8", "tab", "3", "tab", "tab", "1", *["shift+tab"] * 5)
        await user.type("wide")
        await user.sees("! conv2 takes 6 channels, 8 arrive", "ctrl+f fix it too")
        await user.press("ctrl+f")
        await user.sees("fixed too: set conv2 in_channels=8")
        await user.press("enter")
        assert user.at == "wide"
        assert len(user.done()) == 1
        assert kind_at(user, "wide") == (
            "Conv2d",
            {"in_channels": 6, "out_channels": 8, "kernel_size": 3, "padding": 1},
        )
        assert user.app.workspace.view.inference.problems == {}


async def test_a_kind_that_asks_goes_to_its_form(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net = nn.Sequential(nn.Embedding(5, 2))
    seqtui.save(net, str(path), input_shape=(1, 7), input_dtype="int64")
    async with user_of(path) as user:
        await user.press("j", "d", "a")
        await user.sees("add at the end ", "1×7 int64 arrives")
        assert "Embedding" in user.line("›")
        await user.type("embedding")
        await user.sees("asks for num_embeddings, embedding_dim")
        await user.press("enter")
        await user.sees("new  Embedding", "num_embeddings needs a value")
        await user.press("enter")
        await user.sees("new  Embedding")
        await user.press("1", "0", "tab", "4", "enter")
        assert kind_at(user, "embedding1") == ("Embedding", {"num_embeddings": 10, "embedding_dim": 4})
        assert user.at == "embedding1"


async def test_from_nothing_in_a_sequential(tmp_path: Path) -> None:
    path = saved(nn.Sequential(nn.Sequential(), nn.ReLU()), tmp_path, 1, 8)
    async with user_of(path) as user:
        await user.press("j", "a")
        await user.sees("add at the end of 0, inside", "1×8 arrives")
        await user.type("linear")
        await user.press("enter")
        assert user.at == "0.fc1"
        assert kind_at(user, "0.fc1") == ("Linear", {"in_features": 8, "out_features": 8})
        await user.press("h", "a")
        await user.sees("add at the end of 0, inside")
        await user.press("escape", "h", "a")
        await user.sees("add after 0")
        await user.press("escape", "g", "a")
        await user.sees("add at the end ")
        await user.type("softmax")
        await user.press("enter")
        assert user.at == "2"
        await user.press("g", "i")
        await user.sees("add at the start")
        await user.type("seq")
        await user.sees("› Sequential", "layers one after another")
        await user.press("enter")
        assert user.at == "0"
        assert kind_at(user, "0") == ("Sequential", {})
        assert names(user) == ["0", "1", "2", "3"]


async def test_another_kind_in_the_place_of_one() -> None:
    async with user_of("lenet5", select="tanh1") as user:
        await user.press("s")
        await user.sees("replace tanh1, Tanh, by", "enter replace")
        user.sees_not(" Tanh ")
        await user.type("gelu")
        await user.sees("tanh1  GELU()", "+0 parameters   nothing breaks below")
        await user.press("enter")
        assert user.done() == ["replace tanh1 GELU"]
        assert user.at == "tanh1"
        await user.press("s")
        await user.type("dropout")
        await user.press("tab")
        await user.type("0.25")
        await user.press("enter")
        assert kind_at(user, "tanh1") == ("Dropout", {"p": 0.25})


async def test_what_fits_of_the_arguments_is_kept() -> None:
    async with user_of("lenet5", select="conv2") as user:
        await user.press("s")
        await user.type("convt")
        await user.sees("conv2  ConvTranspose2d(6, 16, kernel_size=5)")
        assert "1×16×18×18" in user.line("ConvTranspose2d")
        await user.press("enter")
        assert kind_at(user, "conv2") == (
            "ConvTranspose2d",
            {"in_channels": 6, "out_channels": 16, "kernel_size": 5},
        )
        assert user.app.workspace.view.inference.infos["conv2"].output_shape == (1, 16, 18, 18)


async def test_where_nothing_can_be_added_that_is_said() -> None:
    async with user_of(DATA / "hf_llama_bnb4.safetensors") as user:
        await user.press("j", "a")
        assert "how they are connected is not known" in user.toasts()[-1]
        await user.press("s")
        assert "nothing can replace it" in user.toasts()[-1]
    async with user_of("lenet5") as user:
        await user.press("s")
        assert "this is the model itself" in user.toasts()[-1]


async def test_names_from_a_file_are_shown_as_they_are(tmp_path: Path) -> None:
    path = saved(nn.Sequential(OrderedDict({"[red]x[/]\n": nn.ReLU()})), tmp_path, 1, 8)
    async with user_of(path) as user:
        await user.press("j", "a")
        await user.sees("add after [red]x[/]␊")
        await user.press("escape", "s")
        await user.sees("replace [red]x[/]␊, ReLU, by")


def test_where_it_is_not_known_what_arrives_what_is_common_comes_first_too() -> None:
    view = Workspace(open_model(str(SAMPLES / "broken_cnn.safetensors"))).view
    assert offer_at(view, Place("last")).arriving == ()
    assert [item.kind for item in found(offer_at(view, Place("last")).additions, "")][:2] == ["Conv2d", "ReLU"]


def test_those_that_fit_come_first_and_the_best_match_of_them() -> None:
    view = Workspace(open_model(str(SAMPLES / "lenet5.safetensors"))).view
    additions = offer_at(view, Place("after", "conv1")).additions
    everything = found(additions, "")
    assert len(everything) == len(additions)
    assert [bool(item.problem) for item in everything] == sorted(bool(item.problem) for item in additions)
    assert [item.kind for item in found(additions, "conv2")][:2] == ["Conv2d", "ConvTranspose2d"]
    assert {"GELU", "ReLU", "SELU"} <= {item.kind for item in found(additions, "elu")}
    assert found(additions, "randomized leaky")[0].kind == "RReLU"


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [
        ((2, 8), ["Linear", "ReLU", "BatchNorm1d", "Dropout"], "Conv1d"),
        ((2, 3, 32), ["Linear", "Conv1d", "ReLU", "LayerNorm"], "Conv2d"),
        ((2, 3, 32, 32), ["Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout", "Linear", "Flatten"], "Conv3d"),
        ((2, 3, 8, 8, 8), ["Conv3d", "ReLU", "BatchNorm3d", "MaxPool3d"], "AlphaDropout"),
    ],
)
def test_what_is_added_most_comes_first_and_what_takes_the_batch_for_channels_last(
    shape: tuple[int, ...], first: list[str], last: str, tmp_path: Path
) -> None:
    view = Workspace(open_model(str(saved(nn.Sequential(nn.Identity()), tmp_path, *shape)))).view
    offers = found(offer_at(view, Place("last")).additions, "")
    fitting = [item.kind for item in offers if not item.problem]
    assert fitting[: len(first)] == first
    assert fitting.index(last) > len(fitting) / 2
    assert {item.kind for item in offers} == {item.kind for item in offer_at(view, Place("last")).additions}


async def test_a_problem_that_only_gets_another_number_is_not_caused(tmp_path: Path) -> None:
    path = saved(nn.Sequential(nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 4)), tmp_path, 1, 8)
    async with user_of(path) as user:
        await user.press("colon")
        await user.type("set 1 in_features=9")
        await user.press("enter")
        await user.sees("1 takes 9 features, 8 arrive")
        await user.press("g", "j", "a")
        await user.type("tanh")
        await user.sees("nothing breaks below")
        await user.press("enter")
        assert list(user.app.workspace.view.inference.problems) == ["2"]


async def test_kinds_of_all_sorts_have_a_form() -> None:
    async with user_of("lenet5", select="conv1") as user:
        view = user.app.workspace.view
        offer = offer_at(view, Place("after", "conv1"))
        for kind in ("Sequential", "Softmax2d", "GroupNorm", "LSTM", "TransformerEncoder", "Bilinear"):
            for addition in [item for item in offer.additions if item.kind == kind]:
                await user.app.push_screen(Form(view, offer.draft(addition)))
                await user.sees(f"new  {kind}", "name ")
                await user.press("escape")
