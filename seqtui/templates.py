"""Models to begin with, as the code that a person would write for them. It is read, not run, and needs no torch.

No weights are made here: a template's tensors are `NewTensor`s, which the engine makes when the model is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from seqtui.errors import UsageError
from seqtui.formats.source_reader import read_source
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.weights_kept import with_new_tensors


class Template(NamedTuple):
    """A model to begin with."""

    description: str
    source: str
    """Its code, imports left out."""


TEMPLATES: Mapping[str, Template] = {
    "article_cnn": Template(
        "two convolutions with names, and dropout",
        """
input_shape = (1, 3, 32, 32)
net = nn.Sequential(OrderedDict(
    conv1=nn.Conv2d(3, 16, 3),
    relu1=nn.ReLU(),
    pool1=nn.MaxPool2d(2),
    dropout1=nn.Dropout(0.5),
    conv2=nn.Conv2d(16, 32, 3),
    relu2=nn.ReLU(),
    pool2=nn.MaxPool2d(2),
    dropout2=nn.Dropout(0.5),
))
""",
    ),
    "article_unnamed": Template(
        "two convolutions without names",
        """
input_shape = (1, 3, 32, 32)
net = nn.Sequential(
    nn.Conv2d(3, 16, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
)
""",
    ),
    "lenet5": Template(
        "LeNet-5 of LeCun et al., 1998, for ten digits",
        """
input_shape = (1, 1, 28, 28)
net = nn.Sequential(OrderedDict(
    conv1=nn.Conv2d(1, 6, 5, padding=2),
    tanh1=nn.Tanh(),
    pool1=nn.AvgPool2d(2),
    conv2=nn.Conv2d(6, 16, 5),
    tanh2=nn.Tanh(),
    pool2=nn.AvgPool2d(2),
    flatten=nn.Flatten(),
    fc1=nn.Linear(400, 120),
    tanh3=nn.Tanh(),
    fc2=nn.Linear(120, 84),
    tanh4=nn.Tanh(),
    fc3=nn.Linear(84, 10),
))
""",
    ),
    "alexnet": Template(
        "AlexNet of Krizhevsky, 2014; tensors are called as in torchvision",
        """
input_shape = (1, 3, 224, 224)
net = nn.Sequential(OrderedDict(
    features=nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
    ),
    avgpool=nn.AdaptiveAvgPool2d((6, 6)),
    flatten=nn.Flatten(),
    classifier=nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(9216, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, 1000),
    ),
))
""",
    ),
    "vgg11": Template(
        "VGG-11 of Simonyan and Zisserman, 2014; tensors are called as in torchvision",
        """
input_shape = (1, 3, 224, 224)
net = nn.Sequential(OrderedDict(
    features=nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(256, 512, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(512, 512, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(512, 512, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(512, 512, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ),
    avgpool=nn.AdaptiveAvgPool2d((7, 7)),
    flatten=nn.Flatten(),
    classifier=nn.Sequential(
        nn.Linear(25088, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 1000),
    ),
))
""",
    ),
    "mlp": Template(
        "a multilayer perceptron for images of 28 by 28",
        """
input_shape = (1, 1, 28, 28)
net = nn.Sequential(OrderedDict(
    flatten=nn.Flatten(),
    fc1=nn.Linear(784, 256),
    relu1=nn.ReLU(),
    dropout1=nn.Dropout(0.2),
    fc2=nn.Linear(256, 128),
    relu2=nn.ReLU(),
    dropout2=nn.Dropout(0.2),
    fc3=nn.Linear(128, 10),
))
""",
    ),
    "autoencoder": Template(
        "an image of 28 by 28 through 32 numbers and back",
        """
input_shape = (1, 1, 28, 28)
net = nn.Sequential(OrderedDict(
    encoder=nn.Sequential(OrderedDict(
        flatten=nn.Flatten(),
        fc1=nn.Linear(784, 128),
        relu1=nn.ReLU(),
        fc2=nn.Linear(128, 32),
    )),
    decoder=nn.Sequential(OrderedDict(
        fc1=nn.Linear(32, 128),
        relu1=nn.ReLU(),
        fc2=nn.Linear(128, 784),
        sigmoid=nn.Sigmoid(),
        image=nn.Unflatten(1, (1, 28, 28)),
    )),
))
""",
    ),
    "text_cnn": Template(
        "64 token ids into two classes, by windows of three tokens, after Kim, 2014",
        """
input_shape = (1, 64)
input_dtype = "int64"
net = nn.Sequential(OrderedDict(
    embedding=nn.Embedding(10000, 128),
    plane=nn.Unflatten(1, (1, 64)),
    conv1=nn.Conv2d(1, 100, (3, 128)),
    relu1=nn.ReLU(),
    pool1=nn.AdaptiveMaxPool2d(1),
    flatten=nn.Flatten(),
    dropout1=nn.Dropout(0.5),
    fc1=nn.Linear(100, 2),
))
""",
    ),
}
"""All templates by name. The windows of a text are a plane's: a Sequential has no layer that would swap dimensions."""


def template_model(name: str) -> ModelSpec:
    """The model of a template, its weights still to be made; without a name an empty Sequential.

    Raises UsageError where there is none of that name.
    """
    if not name:
        return ModelSpec(LayerSpec("", "Sequential"))
    if name not in TEMPLATES:
        close = get_close_matches(name, TEMPLATES, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Templates are {', '.join(TEMPLATES)}."
        raise UsageError(f"there is no template {name}", hint)
    return with_new_tensors(read_source(TEMPLATES[name].source), f"new {name}")
