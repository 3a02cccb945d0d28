"""The text of edits: what is written reads back to the same edit, and a bad line gets one sentence that helps."""

from __future__ import annotations

import math
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqtui.errors import EditError
from seqtui.model.content_edits import Disable, Enable, Input, Meta, Replace, Set, Unmeta
from seqtui.model.edit import Edit
from seqtui.model.edits import VERBS, Batch, parse_edit, parse_edits
from seqtui.model.language import Place, form_words, split_words
from seqtui.model.problems import Fix
from seqtui.model.spec import LayerValue, Value
from seqtui.model.structure_edits import Copy, Group, Insert, Move, Remove, Rename, Ungroup
from seqtui.model.tensor_edits import Cast, Drop, Fill, Freeze, Unfreeze, Untie
from seqtui.model.tree import Glob

LINES: dict[str, Edit] = {
    "insert conv3 Conv2d in_channels=16 out_channels=32 kernel_size=(3, 5) padding=same after relu2": Insert(
        "conv3",
        "Conv2d",
        {"in_channels": 16, "out_channels": 32, "kernel_size": (3, 5), "padding": "same"},
        Place("after", "relu2"),
    ),
    "insert _ ReLU first": Insert("_", "ReLU", {}, Place("first")),
    "insert fc Linear in_features=2*8 out_features=-(-4) last in blocks.0": Insert(
        "fc", "Linear", {"in_features": 16, "out_features": 4}, Place("last", "blocks.0")
    ),
    "insert tower TransformerEncoder encoder_layer=nn.TransformerEncoderLayer(nhead=2, d_model=8) num_layers=6 last": (
        Insert(
            "tower",
            "TransformerEncoder",
            {"encoder_layer": LayerValue("TransformerEncoderLayer", (("d_model", 8), ("nhead", 2))), "num_layers": 6},
        )
    ),
    "remove conv1 features.3": Remove(("conv1", "features.3")),
    "remove dropout* **.norm": Remove((Glob("dropout*"), Glob("**.norm"))),
    "move conv1 before fc": Move("conv1", Place("before", "fc")),
    "move conv1 up": Move("conv1", Place("up")),
    "move conv1 down": Move("conv1", Place("down")),
    "rename conv1 stem": Rename("conv1", "stem"),
    'rename "conv 1" "the * one"': Rename("conv 1", "the * one"),
    "copy conv1 conv2": Copy("conv1", "conv2"),
    "copy conv1 conv2 after relu1": Copy("conv1", "conv2", "relu1"),
    "set fc1 out_features=64": Set("fc1", {"out_features": 64}),
    "set fc1 out_features=64 bias=False fresh seed=7": Set("fc1", {"out_features": 64, "bias": False}, True, 7),
    "replace bn1 GroupNorm num_groups=2": Replace("bn1", "GroupNorm", {"num_groups": 2}),
    "group conv1 relu1 block": Group(("conv1", "relu1"), "block"),
    "ungroup block": Ungroup("block"),
    "enable dropout*": Enable((Glob("dropout*"),)),
    "disable dropout1 dropout2": Disable(("dropout1", "dropout2")),
    "freeze features": Freeze(("features",)),
    "unfreeze **.bias": Unfreeze((Glob("**.bias"),)),
    "fill fc1.weight xavier_normal": Fill("fc1.weight", "xavier_normal"),
    "fill fc* zeros seed=3": Fill(Glob("fc*"), "zeros", 3),
    "cast fc1 bfloat16": Cast("fc1", "bfloat16"),
    "drop head.weight *.extra": Drop(("head.weight", Glob("*.extra"))),
    "input 1,3,32,32 float32 input": Input((1, 3, 32, 32)),
    "input 4,12 int64 tokens": Input((4, 12), "int64", "tokens"),
    "input () float32 input": Input(()),
    'meta epoch "3 of 5"': Meta("epoch", "3 of 5"),
    "unmeta epoch": Unmeta("epoch"),
    "untie head.weight": Untie("head.weight"),
    "fix": Fix(),
    "fix features.conv1": Fix("features.conv1"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_reads_to_its_edit_and_the_edit_writes_a_line_that_reads_back(line: str) -> None:
    edit = parse_edit(line)
    assert edit == LINES[line]
    assert parse_edit(str(edit)) == edit
    assert str(parse_edit(str(edit))) == str(edit)


def test_every_verb_is_among_them() -> None:
    assert {line.split()[0] for line in LINES} == set(VERBS)


@pytest.mark.parametrize("short", ["input 1x3x8x8", "input 1,3,8,8 float32", "input 1,3,8,8 F32 input"])
def test_an_input_may_leave_out_what_is_usual(short: str) -> None:
    assert parse_edit(short) == Input((1, 3, 8, 8))


@pytest.mark.parametrize("word", ["bf16", "BF16", "bfloat16", "BFloat16"])
def test_a_type_may_be_said_in_any_way(word: str) -> None:
    assert parse_edit(f"cast fc {word}") == Cast("fc", "bfloat16")


@pytest.mark.parametrize("line", ["", "   ", "# remove conv1", "   # 'unclosed"])
def test_empty_lines_and_comments_are_no_edit(line: str) -> None:
    assert parse_edit(line) is None


@pytest.mark.parametrize(
    ("line", "edit"),
    [
        ("remove conv1 # and more", Remove(("conv1",))),
        ("remove conv1#more", Remove(("conv1",))),
        ('remove "a # b" # c', Remove(("a # b",))),
        ('meta note "#1" # "', Meta("note", "#1")),
    ],
)
def test_a_comment_ends_a_line_but_not_inside_quotes(line: str, edit: Edit) -> None:
    assert parse_edit(line) == edit


def test_blanks_do_not_matter_between_words_and_hold_together_inside_brackets() -> None:
    words = split_words('  set\tc  kernel_size=( 3, 3 )  name="a b" ')
    assert [word.text for word in words] == ["set", "c", "kernel_size=( 3, 3 )", 'name="a b"']
    assert [word.start for word in words] == [2, 6, 9, 31]


# Names


NAMES = [
    "conv 1",
    'a"b',
    "it's",
    "'\"",
    "a#b",
    "*",
    "a*",
    "**",
    "new\nline",
    "tab\t",
    "é",
    "层",
    "🙂",
    "a\\",
    "\\n",
    "=",
]
NAMES += ["(", "x=1", "in", "after", "before", "first", "up", "fresh", "seed=1", " ", "-", "1e5", "None", "\u2028"]
NAMES += ["\x1b[1m", "\udc80", "a\u0301"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_torch_takes_is_written_in_one_line_and_read_back(name: str) -> None:
    assert list(nn.Sequential(OrderedDict({name: nn.ReLU()}))._modules) == [name]
    edits: list[Edit] = [
        Insert(name, "ReLU", {}, Place("last", name)),
        Remove((name, "conv1", name)),
        Move(name, Place("after", name)),
        Rename(name, name),
        Copy(name, name, name),
        Group((name, "b"), name),
        Fill(name, "zeros"),
        Input((1,), "int64", name),
        Meta(name, name),
    ]
    for edit in edits:
        line = str(edit)
        assert line.isprintable()
        assert parse_edit(line) == edit
        assert parse_edit(f"{line} # a comment") == edit


@given(st.text(min_size=1).filter(lambda name: "." not in name))
def test_any_text_is_a_name(name: str) -> None:
    assert parse_edit(str(Rename(name, name))) == Rename(name, name)
    assert parse_edit(str(Meta(name, name))) == Meta(name, name)


def test_a_quoted_name_is_no_glob_and_equals_none() -> None:
    plain, glob = parse_edit('remove "conv*"'), parse_edit("remove conv*")
    assert plain == Remove(("conv*",))
    assert glob == Remove((Glob("conv*"),))
    assert plain != glob
    assert Glob("a*") == Glob("a*")
    assert Glob("a*") != "a*"
    assert len({Glob("a*"), "a*", Glob("a*")}) == 2


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("conv*", ["conv", "conv1"], ["conv1.weight", "aconv"]),
        ("*.weight", ["fc.weight", ".weight"], ["weight", "a.b.weight", "fcxweight"]),
        ("**.bias", ["fc.bias", "a.b.bias"], ["bias", "a.biases"]),
        ("***", ["a", "a.b"], []),
        ("a.**.b", ["a.x.b", "a.x.y.b"], ["a.b"]),
    ],
)
def test_a_star_stays_in_a_name_and_two_cross_dots(glob: str, matching: list[str], others: list[str]) -> None:
    assert [path for path in matching + others if Glob(glob).matches(path)] == matching


# Values


VALUES: list[Value] = [0, -1, 2**63 - 1, -(2**63), 0.5, -0.0, 1e-300, math.inf, -math.inf, True, False, None]
VALUES += ["same", "a b", "", "it's #1", "None", (), (3,), (1, (2.5, None)), ("x", True)]
VALUES += [LayerValue("Linear", (("in_features", 3), ("out_features", 4), ("bias", False))), LayerValue("ReLU")]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_any_value_is_written_and_read_back(value: Value) -> None:
    edit = Set("fc1", {"a": value, "b": 1}, seed=0)
    line = str(edit)
    assert line.isprintable()
    assert repr(parse_edit(line)) == repr(edit)  # by repr, as True == 1


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4).map(tuple),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["p", "kernel_size", "in_features"]), _values, min_size=1))
def test_any_arguments_are_written_and_read_back(args: dict[str, Value]) -> None:
    assert repr(parse_edit(str(Set("fc1", args)))) == repr(Set("fc1", args))


# Lines that are none


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("insrt a ReLU last", "there is no edit insrt", "Did you mean insert?"),
        ("xyzzy", "there is no edit xyzzy", "Edits are insert, remove, move, "),
        ("remove", "remove: needs PATH...", "remove PATH..."),
        ("rename conv1", "rename: needs NAME", "rename PATH NAME"),
        ("rename conv1 a b", "rename: b is left over", "rename PATH NAME"),
        ("rename conv* a", "rename: conv* can name several, one is meant", "rename PATH NAME"),
        ("rename conv-1 a", 'rename: conv-1 is no plain name; write it as "conv-1"', "rename PATH NAME"),
        ('rename "conv a', 'rename: a quote is not closed: "conv a', "rename PATH NAME"),
        ("set fc p=(1, 2", "set: a bracket is not closed: p=(1, 2", "set PATH ARG=VALUE ... [fresh] [seed=N]"),
        ("set fc p=1)", "set: a bracket is closed that is not open: p=1)", "set PATH ARG=VALUE ... [fresh] [seed=N]"),
        ("set fc", "set: needs ARG=VALUE ...", "set PATH ARG=VALUE ... [fresh] [seed=N]"),
        ("set fc p=1 p=2", "set: p is given twice", "set PATH"),
        ("set fc p=", "set: needs a value after =", "set PATH"),
        ("set fc bias=false", "set: false is written False", "set PATH"),
        ("set fc p=1+", "set: 1+ is no value", "set PATH"),
        ("set fc p=open('x')", "set: open is no layer of torch.nn", "set PATH"),
        ("set fc p=9223372036854775808", "set: 9223372036854775808 is out of range", "set PATH"),
        ("set fc p=+9223372036854775808", "set: +9223372036854775808 is out of range", "set PATH"),
        ("set fc p=1/0", "set: 1 / 0 has no value", "set PATH"),
        ("set fc p=1 seed=-1", "set: seed=-1 is left over", "set PATH"),
        (f"set fc p={'-' * 3000}1", "set: ------", "set PATH"),
        (f"set fc p={'(' * 3000}{')' * 3000}", "set: ((((", "set PATH"),
        (
            "insert a ReLU",
            "insert: needs before, after, first or last",
            "insert NAME KIND [ARG=VALUE ...] (before PATH | ",
        ),
        ("insert a ReLU up", "insert: up stands where before, after, first or last is meant", "insert NAME"),
        ("move a sideways", "move: sideways stands where before, after, first, last, up or down is meant", "move PATH"),
        ("move a after", "move: needs PATH", "move PATH"),
        ("copy a b before c", "copy: after PATH is meant, or nothing", "copy PATH NAME [after PATH]"),
        ("group a", "group: needs PATH...", "group PATH... NAME"),
        ("fill a zeros seed=x", "fill: seed=x is left over", "fill PATH INIT [seed=N]"),
        ("cast a float31", "cast: float31 is no type of a tensor", "cast PATH DTYPE"),
        ("cast a F4", "cast: F4 is no type of a tensor", "cast PATH DTYPE"),
        ("input 1,a", "input: '1,a' is no input shape", "Write it as 1,3,32,32"),
        ("input 4,12:int64", "input: 4,12:int64 is no shape; the type stands behind it, after a blank", "input SHAPE"),
        ("meta epoch", "meta: needs VALUE", "meta KEY VALUE"),
        ("meta epoch '3'+'4'", "meta: '3' is no number", "meta KEY VALUE"),
        ("meta epoch '\x00'", "meta: ", "meta KEY VALUE"),
    ],
)
def test_a_bad_line_gets_one_sentence_and_the_form_of_its_verb(line: str, message: str, hint: str) -> None:
    with pytest.raises(EditError) as caught:
        parse_edit(line)
    assert caught.value.message.startswith(message)
    assert len(caught.value.message) < 200
    assert caught.value.hint.startswith(hint)


@given(st.text(max_size=40), st.sampled_from([*VERBS, ""]))
def test_no_line_does_anything_but_parse_or_say_why_not(text: str, verb: str) -> None:
    try:
        edit = parse_edit(f"{verb} {text}")
    except EditError:
        return
    assert edit is None or repr(parse_edit(str(edit))) == repr(edit)


def test_a_name_with_an_unknown_escape_is_taken_as_it_stands() -> None:
    assert parse_edit(r'remove "a\d"') == Remove(("a\\d",))


def test_a_recipe_skips_comments_and_names_the_line_that_is_wrong() -> None:
    assert parse_edits(["# widen", "", "set fc1 out_features=64", "ungroup b"]) == [
        Set("fc1", {"out_features": 64}),
        Ungroup("b"),
    ]
    with pytest.raises(EditError, match="line 3: remove: needs PATH"):
        parse_edits(["", "ungroup b", "remove"])


def test_a_batch_is_written_as_the_lines_of_a_recipe() -> None:
    edits = (Rename("a\nb", "c"), Remove(("c",)))
    assert tuple(parse_edits(str(Batch(edits)).split("\n"))) == edits


def test_forms_are_as_the_documents_show_them() -> None:
    assert form_words("rename", VERBS["rename"].slots) == "rename PATH NAME"
    assert form_words("input", VERBS["input"].slots) == "input SHAPE [DTYPE] [NAME]"
