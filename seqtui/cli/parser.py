"""What can be typed: the verbs, their options, an example for each."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Never

from seqtui import __version__
from seqtui.errors import EngineError, UsageError
from seqtui.safe_text import safe_text


class Parser(argparse.ArgumentParser):
    """argparse with our way of refusing: a UsageError with one line and one hint."""

    def error(self, message: str) -> Never:
        raise UsageError(message, hint=f"{self.prog} --help shows what can be typed.")


def parse(argv: Sequence[str]) -> SimpleNamespace:
    """The options of one command; `verb` names the module beside this one that runs it. Raises UsageError."""
    arguments = list(argv)
    words = [word for word in arguments if not word.startswith("-") or word == "-"]
    is_asking = any(word in ("-h", "--help", "--version") for word in arguments)
    verb = words[0] if words and words[0] in VERBS else "open"
    parser = _parser(VERBS if is_asking else (verb,))
    if not words and not is_asking:
        parser.error("no model named")
    if words and words[0] != verb:
        if _is_mistyped(arguments):
            parser.error(f"{arguments[0]} is neither a verb nor a file")
        arguments.insert(0, verb)
    options, rest = parser.parse_known_args(arguments, SimpleNamespace())
    if rest and (options.verb != "weights" or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # argparse takes the names in one row only, and there was an option between them
        options.names += rest
    return options


def _is_mistyped(arguments: Sequence[str]) -> bool:
    """Whether the first word was meant as a verb: a single word before another, and no file."""
    return (
        len(arguments) > 1
        and arguments[0].isalpha()
        and not arguments[1].startswith("-")
        and not os.path.exists(arguments[0])
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Options that may stand before or after the verb."""
    parser.add_argument("--plain", action="store_true", default=argparse.SUPPRESS, help="ASCII only")
    parser.add_argument("--no-color", action="store_true", default=argparse.SUPPRESS, help="no colours")


def _parser(names: Iterable[str]) -> Parser:
    """A parser of some verbs. Each costs a millisecond, and only who asks for help is to read of all."""
    parser = Parser(
        prog="seqtui",
        description="A terminal workbench for PyTorch models.",
        epilog="seqtui MODEL is short for seqtui open MODEL.",
        allow_abbrev=False,
    )
    _add_common(parser)
    parser.add_argument("--version", action="version", version=f"seqtui {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name in names:
        add, words, example = VERBS[name]
        verb = verbs.add_parser(name, help=words, description=words, epilog=f"example: {example}", allow_abbrev=False)
        _add_common(verb)
        add(verb)
        verb.set_defaults(verb=name)
    return parser


def _add_model(verb: argparse.ArgumentParser) -> None:
    words = "a .safetensors file or a directory that holds one; .py code, a .json spec"
    verb.add_argument("model", metavar="MODEL", help=words)


def _add_screen(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--theme", metavar="NAME", default="", help="one of the themes that ctrl+t lists")
    verb.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def _add_force(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--force", action="store_true", help="replace a file that exists")


def _add_input(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--input", metavar="SHAPE", help="what the model is fed: 1,3,32,32 or 4,12:int64")


def _add_json(verb: argparse._ActionsContainer) -> None:
    verb.add_argument("--json", action="store_true", help="a JSON document on stdout")


def _open(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    _add_input(verb)
    verb.add_argument("--select", metavar="PATH", default="", help="the layer or tensor to start on: conv1.weight")
    _add_device(verb, f"where runs go: {DEVICES}")
    verb.add_argument("--read-only", action="store_true", help="look and run, and change nothing")
    _add_screen(verb)


def _new(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("template", metavar="TEMPLATE", nargs="?", default="", help="one of --list; none: no layers yet")
    verb.add_argument("-o", "--output", metavar="FILE", default="", help=f"{OUTPUT}; without a screen it is written")
    verb.add_argument("--list", action="store_true", help="the templates, with their parameters and what they are fed")
    _add_input(verb)
    _add_force(verb)
    _add_screen(verb)


def _edit(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    edits = verb.add_mutually_exclusive_group(required=True)
    edits.add_argument("-e", "--edit", metavar="EDIT", dest="edits", action="append", help="an edit; may be repeated")
    edits.add_argument("-f", "--file", metavar="RECIPE", dest="recipe", help="a file of edits, one a line; - is stdin")
    target = verb.add_mutually_exclusive_group()
    target.add_argument("-o", "--output", metavar="OUT", default="", help=f"write the result: {OUTPUT}")
    target.add_argument("--in-place", action="store_true", help="write the result into MODEL itself")
    _add_force(verb)
    _add_json(verb)
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = f"{verb.epilog}\n\n{_edit_forms()}"


def _edit_forms() -> str:
    """How each edit is written, a line each."""
    from seqtui.model import edits
    from seqtui.model.language import form_words

    forms = (f"  {form_words(verb, edit.slots)}" for verb, edit in edits.VERBS.items())
    return "\n".join(["edits, in a recipe one a line, # begins a comment:", *forms])


def _summary(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    _add_input(verb)
    verb.add_argument(
        "--depth", metavar="N", type=_whole("number of levels"), help="show so many levels of layers in the table"
    )
    form = verb.add_mutually_exclusive_group()
    form.add_argument(
        "--style", choices=("table", "markdown", "torchinfo"), default="table", help="torchinfo's own table needs torch"
    )
    _add_json(form)


def _weights(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    verb.add_argument("names", metavar="NAME", nargs="*", help="a tensor, a glob, or a part: 'conv1.weight[3, :, 1:4]'")
    verb.add_argument("--values", action="store_true", help="the numbers themselves")
    verb.add_argument("--histogram", action="store_true", help="statistics and a histogram of every tensor listed")
    _add_json(verb)


def _run(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    _add_input(verb)
    verb.add_argument(
        "--from", metavar="WHAT", dest="feed", default="normal", help="zeros, ones, normal, a .npy batch or an image"
    )
    verb.add_argument(
        "--seed", metavar="N", type=_whole("seed"), help="of all that is random, in the input and in the model"
    )
    _add_device(verb, DEVICES)
    _add_dtype(verb, "run in this type: float32, bf16, f16")
    verb.add_argument("--train", action="store_true", help="in training mode: dropout acts")
    verb.add_argument(
        "--passes", metavar="N", type=_whole("number of passes", 1), default=1, help="how often, to see what differs"
    )
    verb.add_argument(
        "--backward",
        action="store_true",
        help="the norm of the gradient of (output * r).sum(), r standard normal, for every parameter",
    )
    _add_json(verb)


def _convert(verb: argparse.ArgumentParser) -> None:
    _add_model(verb)
    verb.add_argument("output", metavar="OUT", help=f"{OUTPUT}; or a .md table")
    _add_input(verb)
    _add_dtype(verb, "write floating numbers in this type: float32, bf16, f16")
    _add_force(verb)


def _add_device(verb: argparse.ArgumentParser, words: str) -> None:
    verb.add_argument("--device", metavar="D", type=parse_device, default="cpu", help=words)


def _add_dtype(verb: argparse.ArgumentParser, words: str) -> None:
    verb.add_argument("--dtype", metavar="T", default="", help=words)


def parse_device(text: str) -> str:
    """torch's word for a device, written in any case, without the number where there is one alone.

    Whether it is there torch alone knows, much later. Raises UsageError where none is named, EngineError for a
    word that never is one.
    """
    device = text.strip().lower()
    if not device:
        raise UsageError("--device takes the name of a device", hint=f"Such as {DEVICES}.")
    if not re.fullmatch(DEVICE, device):
        raise EngineError(f"there is no device {safe_text(device)} here", hint=f"Devices are {DEVICES}.")
    return re.sub("^(cpu|meta|mps):0$", r"\1", device)


def _whole(what: str, least: int = 0) -> Callable[[str], int]:
    """What reads a whole number that torch can hold."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
        return int(text)

    return read


DEVICES = "cpu, cuda:0, mps, xpu or meta"
DEVICE = r"(cpu|meta|mps)(:0)?|(cuda|xpu)(:(0|[1-9][0-9]?))?"
"""torch holds the number of a device in a byte, and takes `cuda:256` for `cuda:0`."""

OUTPUT = "a new .safetensors file, .py code, a .json spec, or for torch and others .pt, .pt2 or .onnx"

VERBS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str, str]] = {
    "open": (_open, "look into a model on the screen", "seqtui open lenet5.safetensors"),
    "new": (_new, "a new model, from a template or from nothing", "seqtui new lenet5 -o lenet5.safetensors"),
    "summary": (_summary, "layers, output shapes, parameters", "seqtui summary lenet5.safetensors --json"),
    "weights": (_weights, "tensors and their numbers", "seqtui weights lenet5.safetensors conv1.weight --values"),
    "edit": (
        _edit,
        "change layers and weights; without -o or --in-place it is only shown what would be written",
        "seqtui edit lenet5.safetensors -e 'set fc1 out_features=64' -e fix -o small.safetensors",
    ),
    "run": (
        _run,
        "what comes out of each layer, in numbers and in time",
        "seqtui run lenet5.safetensors --train --passes 20 --backward",
    ),
    "convert": (
        _convert,
        "the model in another form; what torch writes is read back and compared",
        "seqtui convert lenet5.safetensors lenet5.onnx",
    ),
}
"""What adds each verb's options, what it does, an example."""
