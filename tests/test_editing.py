"""Editing by keys alone: what is pressed, what is seen, and what stands on the disk then."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from user import SAMPLES, User, user_of

import seqtui

torch.set_num_threads(1)


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """The article's unnamed Sequential."""
    return Path(shutil.copy(SAMPLES / "article_unnamed.safetensors", tmp_path / "unnamed.safetensors"))


def layers(user: User) -> list[str]:
    """The rows that are no tensors, without the model's own."""
    return [row.path for row in user.table.branches.rows if row.path and row.tensor is None]


LENET = "conv1 tanh1 pool1 conv2 tanh2 pool2 dropout1 flatten fc1 tanh3 fc2 tanh4 fc3".split()  # noqa: SIM905  shorter so


async def test_the_model_counts_the_tensors_that_it_has_now() -> None:
    async with user_of("lenet5", width=120, height=40) as user:
        assert re.search(r"tensors +10 ", user.line("247 kB"))
        await user.press("j", "d", "g")
        assert re.search(r"tensors +8 ", user.line("246 kB"))


async def test_remove_and_undo_and_redo(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        assert layers(user) == ["conv1", *LENET[2:]]
        assert user.at == "pool1"
        await user.sees("lenet5.safetensors +")
        await user.press("u")
        assert layers(user) == LENET
        user.sees_not("lenet5.safetensors +")
        await user.told("undone: remove tanh1")
        await user.press("U")
        assert layers(user) == ["conv1", *LENET[2:]]
        await user.press("u", "u")
        await user.told("there is nothing to undo")


async def test_a_change_shows_what_follows_below(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.command("set conv2 out_channels=24")
        await user.sees("1×24×10×10", "fc1 takes 400 features, 600 arrive from flatten", "62,914 parameters")
        await user.press("right_curly_bracket", "exclamation_mark")
        assert user.at == "fc1"
        await user.sees("Linear 600→120", "86,914 parameters", "no problems")
        await user.press("u", "u")
        await user.sees("61,706 parameters")


async def test_move_copy_and_rename(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "J")
        assert layers(user)[:3] == ["tanh1", "conv1", "pool1"]
        assert user.at == "conv1"
        await user.press("K", "c")
        assert layers(user)[:3] == ["conv1", "conv3", "tanh1"]
        assert user.at == "conv3"
        await user.press("r")
        await user.press(*["backspace"] * 5)
        await user.type("stem")
        await user.press("enter")
        assert layers(user)[:3] == ["conv1", "stem", "tanh1"]
        assert user.at == "stem"
        await user.press("K", "K")
        await user.told("stem is the first already")


async def test_numbered_layers_are_numbered_again(numbered: Path) -> None:
    async with user_of(numbered) as user:
        await user.press("j", "j", "d")
        assert layers(user) == ["0", "1", "2", "3", "4"]
        await user.sees("MaxPool2d 2")
        await user.press("c")
        assert layers(user) == ["0", "1", "2", "3", "4", "5"]
        assert user.at == "2"


async def test_marks_group_and_lift(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "space", "space", "space", "greater_than_sign")
        assert layers(user)[:3] == ["block1", "block1.conv1", "block1.tanh1"] or layers(user)[:2] == ["block1", "conv2"]
        assert user.at == "block1"
        await user.press("less_than_sign")
        assert layers(user) == LENET
        await user.press("g", "j", "v", "j", "j", "v", "t")
        await user.sees("Conv2d 1→6 k5 p2  off", "Tanh  off", "AvgPool2d 2  off")
        await user.press("slash")
        await user.type("tanh")
        await user.press("enter", "asterisk", "d")
        assert [name for name in layers(user) if name.startswith("tanh")] == []


async def test_yank_cut_and_paste(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "y", "j", "p")
        assert layers(user)[:4] == ["conv1", "tanh1", "pool1", "tanh5"]
        await user.press("u", "g", "j", "x", "j", "p")
        assert layers(user)[:3] == ["tanh1", "conv1", "pool1"]
        await user.press("p")
        await user.told("there is nothing to paste")
        await user.press("u", "G", "y", "g", "j", "P")
        assert layers(user)[:2] == ["fc4", "conv1"]


async def test_what_was_cut_goes_into_a_sequential_that_is_open(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "space", "space", "greater_than_sign", "l")
        assert layers(user)[:3] == ["block1", "block1.conv1", "block1.tanh1"]
        await user.press("j", "j", "j", "j", "x", "g", "j", "p")
        assert layers(user)[:4] == ["block1", "block1.conv1", "block1.tanh1", "block1.conv2"]
        assert user.at == "block1.conv2"
        await user.press("y", "g", "j", "h", "p")  # behind one that is closed
        assert layers(user)[:2] == ["block1", "conv2"]


async def test_several_numbered_layers_are_cut_and_pasted(numbered: Path) -> None:
    def kinds(user: User) -> str:
        return " ".join(layer.kind or "" for layer in user.app.workspace.model.layers)

    async with user_of(numbered) as user:
        await user.press("j", "space", "space", "x")
        await user.told("2 layers cut: p moves them here")
        await user.press("G", "p")
        assert layers(user) == ["0", "1", "2", "3", "4", "5"]
        assert (kinds(user), user.at) == ("MaxPool2d Conv2d ReLU MaxPool2d Conv2d ReLU", "4")
        await user.sees("takes 16 channels")
        await user.press("x", "g", "j", "P")
        assert (kinds(user), user.at) == ("Conv2d MaxPool2d Conv2d ReLU MaxPool2d ReLU", "0")
        await user.press("u", "u", "g", "j", "space", "space", "y", "j", "P")
        assert kinds(user) == "Conv2d ReLU MaxPool2d Conv2d ReLU Conv2d ReLU MaxPool2d"
        assert user.at == "3"


async def test_marked_layers_move_as_one_and_stay_marked(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "space", "space", "J", "J")
        assert layers(user)[:4] == ["pool1", "conv2", "conv1", "tanh1"]
        await user.press("K", "c")
        assert layers(user)[:6] == ["pool1", "conv1", "tanh1", "conv3", "tanh5", "conv2"]
        assert user.at == "conv3"


async def test_what_is_so_already_is_no_step(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.command("enable conv1")
        await user.sees("enable conv1 would change nothing")
        await user.press("escape")
        assert user.done() == []
        user.sees_not("lenet5.safetensors +")


async def test_dropout_freezing_and_repeating(tmp_path: Path) -> None:
    file = Path(shutil.copy(SAMPLES / "article_cnn.safetensors", tmp_path / "cnn.safetensors"))
    async with user_of(file) as user:
        await user.press("D")
        assert user.line("dropout1").split()[0] == "○"
        assert user.line("dropout2").split()[0] == "○"
        await user.press("D", "j", "F")
        await user.sees("❄ conv1")
        await user.press("j", "j", "j", "j", "full_stop")
        await user.sees("❄ conv2")
        await user.press("F")
        user.sees_not("❄ conv2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("remove nothing", "there is no layer nothing"),
        ("set fc1 colour=3", "has no argument colour"),
        ("insrt x ReLU last", "Did you mean insert"),
        ("rename conv1 fc1", "there is a layer fc1 already"),
    ],
)
async def test_a_line_that_cannot_be_done_says_so_before_enter(lenet: Path, text: str, sentence: str) -> None:
    async with user_of(lenet) as user:
        await user.press("colon")
        await user.type(text)
        await user.sees(sentence)
        await user.press("enter")
        await user.sees(sentence)
        await user.press("escape")
        assert layers(user) == LENET


async def test_saving_keeps_weights_and_undo_brings_back_the_file(lenet: Path) -> None:
    original = lenet.read_bytes()
    old = load_file(lenet)
    async with user_of(lenet) as user:
        await user.command("insert bn1 BatchNorm2d num_features=6 after conv1")
        assert user.at == "bn1"
        await user.command("set conv2 out_channels=24")
        await user.command("fix")
        await user.sees("no problems")
        await user.press("ctrl+s")
        await user.told("written")
        user.sees_not("lenet5.safetensors +")
        new = load_file(lenet)
        assert torch.equal(new["conv2.weight"][:16], old["conv2.weight"])
        assert torch.equal(new["fc1.weight"][:, :400], old["fc1.weight"])
        assert torch.equal(new["fc3.weight"], old["fc3.weight"])
        net = seqtui.load_sequential(lenet)
        assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
        await user.press("u", "u", "u", "ctrl+s")
        await user.until(lambda: lenet.read_bytes() == original)


async def test_the_head_for_other_classes(lenet: Path) -> None:
    old = load_file(lenet)
    async with user_of(lenet) as user:
        await user.command("set fc3 out_features=5 fresh")
        await user.command("w")
        await user.told("written")
    new = load_file(lenet)
    assert new["fc3.weight"].shape == (5, 84)
    assert not torch.equal(new["fc3.weight"], old["fc3.weight"][:5])
    assert all(torch.equal(new[name], old[name]) for name in old if not name.startswith("fc3"))


async def test_saving_under_another_name_and_as_code(lenet: Path, tmp_path: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d")
        other = tmp_path / "other.safetensors"
        await user.command(f"w {tmp_path}/net.py")
        await user.told("written")
        assert "nn.Tanh()" in (tmp_path / "net.py").read_text()
        await user.sees("lenet5.safetensors +")
        await user.command(f"w {other}")
        await user.sees("other.safetensors")
        user.sees_not("other.safetensors +")
        assert "conv1.weight" not in load_file(other)
    assert "conv1.weight" in load_file(lenet)


async def test_a_file_that_somebody_else_changed_is_not_overwritten_unasked(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d")
        shutil.copy(SAMPLES / "article_cnn.safetensors", lenet.with_suffix(".new"))
        lenet.with_suffix(".new").replace(lenet)
        await user.press("ctrl+s")
        await user.sees("somebody changed it since it was opened", "o overwrite it")
        await user.press("escape")
        assert lenet.read_bytes() == (SAMPLES / "article_cnn.safetensors").read_bytes()
        await user.press("ctrl+s")
        await user.sees("o overwrite it")
        await user.press("o")
        await user.until(lambda: "conv2.bias" in load_file(lenet) and "fc3.bias" in load_file(lenet))


async def test_quitting_asks_once(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d", "q")
        await user.sees("The model has edits that are not saved.", "s save", "d discard", "escape cancel")
        await user.press("escape")
        assert layers(user) == LENET[1:]
        await user.press("q", "s")
        await user.until(lambda: not user.app.is_running)
    assert "conv1.weight" not in load_file(lenet)


async def test_what_was_discarded_does_not_come_back(lenet: Path) -> None:
    for keys in (("q", "d"), ("colon", "q", "exclamation_mark", "enter")):
        async with user_of(lenet) as user:
            await user.press("j", "d", *keys)
            await user.until(lambda: not user.app.is_running)
        async with user_of(lenet) as user:
            await user.pilot.pause(0.2)
            user.sees_not("unsaved")
            assert layers(user) == LENET


async def test_another_file_takes_the_place_of_this_one(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d")
        await user.command(f"e {SAMPLES / 'article_cnn.safetensors'}")
        await user.sees("there are edits that are not saved. w saves them; u undoes them")
        await user.press("escape", "u")
        await user.command("e /absent.safetensors")
        await user.sees("there is no such file")
        await user.press("escape")
        assert layers(user) == LENET
        await user.command(f"e {SAMPLES / 'article_cnn.safetensors'}")
        await user.sees("article_cnn", "relu1")
        await user.press("j", "d")
        assert layers(user)[0] == "relu1"
        await user.press("u")
        await user.command("e")
        await user.told("read again")


async def test_what_was_not_saved_comes_back(lenet: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "d")
        await user.command("set fc3 out_features=5")
        await user.press("u", "U")
        user.app.exit()  # as a dropped line ends it: nobody was asked, nothing saved
    async with user_of(lenet) as user:
        await user.sees("4 steps unsaved", "remove conv1", "set fc3 out_features=5", "r recover", "d discard")
        await user.press("r")
        await user.told("4 steps recovered")
        await user.sees("Linear 84→5")
        assert layers(user) == LENET[1:]
        await user.press("u", "u")
        assert layers(user) == LENET
    async with user_of(lenet) as user:
        await user.sees("steps unsaved", "d discard")
        await user.press("d")
    async with user_of(lenet) as user:
        await user.pilot.pause(0.2)
        user.sees_not("steps unsaved")


async def test_a_second_session_on_the_same_file_is_read_only(lenet: Path) -> None:
    async with user_of(lenet) as first:
        await first.press("j", "d")
        async with user_of(lenet) as second:
            await second.told("Read-only")
            await second.press("j", "d")
            await second.told("nothing can be edited")
            assert layers(second) == LENET
            await second.sees("lenet5.safetensors (read-only)")
            first.app.workspace.forget()
            first.app.workspace.close()
            await second.press("ctrl+l")
            await second.told("read again")
            await second.until(lambda: "(read-only)" not in second.screen()[0])
            await second.press("d")
            assert layers(second) == LENET[1:]


async def test_tensors_without_layers_can_be_edited_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "plain.safetensors"
    save_file({"encoder.fc.weight": torch.ones(4, 3), "encoder.fc.bias": torch.ones(4), "step": torch.ones(1)}, file)
    async with user_of(file) as user:
        await user.command("rename encoder body")
        await user.command("drop step")
        await user.command("cast body.fc.weight bf16")
        await user.command("set body.fc out_features=6")
        await user.press("g", "j", "d")
        await user.told("how the layers are connected is not known. d on a tensor drops that, :drop body all in it.")
        await user.command("w")
        await user.told("written")
    tensors = load_file(file)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "body.fc.weight": (6, 3),
        "body.fc.bias": (6,),
    }
    assert tensors["body.fc.weight"].dtype == torch.bfloat16
    assert torch.equal(tensors["body.fc.weight"][:4].float(), torch.ones(4, 3))


async def test_the_history_as_a_recipe_for_another_checkpoint(lenet: Path, tmp_path: Path) -> None:
    async with user_of(lenet) as user:
        await user.press("j", "j", "d")
        await user.command("set fc3 out_features=5 fresh")
        await user.command(f"recipe {tmp_path}/head.txt")
        await user.told("2 steps written")
        await user.press("u", "u")
        assert layers(user) == LENET
        await user.command(f"replay {tmp_path}/head.txt")
        await user.sees("Linear 84→5")
        assert layers(user) == ["conv1", *LENET[2:]]
        await user.press("u")
        assert layers(user) == LENET
        await user.command(f"replay {tmp_path}/none.txt")
        await user.sees("there is no such file")
    assert (tmp_path / "head.txt").read_text() == "remove tanh1\nset fc3 out_features=5 fresh\n"


async def test_numbers_of_a_tensor_that_is_not_made_yet_are_not_told(lenet: Path) -> None:
    async with user_of(lenet, width=120, height=40) as user:
        await user.press("j", "j", "j", "j")
        await user.sees("weight  16×6×5×5  F32")
        await user.command("set conv2 out_channels=24")
        await user.sees("weight  24×6×5×5  F32   2,400 kept, 1,200 new")
        await user.press("l", "l", "2")
        await user.sees("2,400 kept, 1,200 new when saved")
        await user.press("u")
        await user.sees("mean")


@pytest.mark.parametrize(
    ("keys", "layers_then"),
    [
        (["j", "y", "r", "ctrl+u", *"stem", "enter", "G", "p"], ["stem", *LENET[1:], "stem2"]),
        (["j", "x", "r", "ctrl+u", *"stem", "enter", "G", "p"], [*LENET[1:], "stem"]),
        (["j", "y", "j", "d", "G", "p"], ["conv1", *LENET[2:], "conv3"]),
        (["j", "y", "J", "G", "p"], ["tanh1", "conv1", *LENET[2:], "conv3"]),
    ],
)
async def test_what_was_yanked_is_found_again_after_other_edits(
    lenet: Path, keys: list[str], layers_then: list[str]
) -> None:
    async with user_of(lenet) as user:
        await user.press(*keys)
        assert layers(user) == layers_then


@pytest.mark.parametrize("keys", ["jydp", "jxdp", "jcyup", "Gxdp"])
async def test_what_was_yanked_and_is_gone_is_not_pasted(lenet: Path, keys: str) -> None:
    async with user_of(lenet) as user:
        await user.press(*keys)
        assert "is gone, or another than it was" in user.toasts()[-1]
        assert user.app.failure is None


async def test_a_yanked_number_is_the_layer_that_had_it() -> None:
    async with user_of("article_unnamed") as user:
        await user.press("j", "j", "j", "j", "x", "g", "j", "d", "G", "p")
        assert user.done() == ["remove 0", "move 2 after 4"]
