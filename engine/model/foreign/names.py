"""What torchvision and timm call the layers of the networks that are presets here: a table for each family.

A table pairs a node of ours with a module of theirs. It may name nodes that a network of the family does not have.
Presets without a table have no counterpart: torchvision's GoogLeNet, for one, has other convolutions than the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

Names = Iterator[tuple[str, str]]
"""Pairs of a node of ours and a module of theirs."""
Table = Callable[[], Names]


def _resnet(depths: tuple[int, ...]) -> Names:
    """He et al. 2015; both libraries use the same names."""
    yield "conv2d_1", "conv1"
    yield "batch_norm_1", "bn1"
    places = [(stage, block) for stage, depth in enumerate(depths, 1) for block in range(depth)]
    for number, (stage, block) in enumerate(places, 1):
        ours, theirs = f"residual_{number}", f"layer{stage}.{block}"
        for place in (1, 2, 3):
            yield f"{ours}/body/conv2d_{place}", f"{theirs}.conv{place}"
            yield f"{ours}/body/batch_norm_{place}", f"{theirs}.bn{place}"
        yield f"{ours}/shortcut/conv2d_1", f"{theirs}.downsample.0"
        yield f"{ours}/shortcut/batch_norm_1", f"{theirs}.downsample.1"
    yield "dense_1", "fc"


def _vgg(stages: tuple[int, ...], dense: tuple[str, str, str]) -> Names:
    """Simonyan & Zisserman 2014: in a sequence each convolution is followed by a ReLU, and each stage by a pool."""
    number, place = 0, 0
    for convolutions in stages:
        for _ in range(convolutions):
            number += 1
            yield f"conv2d_{number}", f"features.{place}"
            place += 2
        place += 1
    yield from _numbered("dense_{}", dense)


def _alexnet() -> Names:
    """Krizhevsky 2014, as torchvision has it."""
    yield from _numbered("conv2d_{}", [f"features.{place}" for place in (0, 3, 6, 8, 10)])
    yield from _numbered("dense_{}", [f"classifier.{place}" for place in (1, 4, 6)])


def _squeezenet(fires: tuple[int, ...]) -> Names:
    """Iandola et al. 2016; `fires` are the places of the fire modules in torchvision's sequence."""
    yield "conv2d_1", "features.0"
    for number, place in enumerate(fires, 1):
        yield f"conv2d_{number + 1}", f"features.{place}.squeeze"
        yield f"parallel_{number}/branch_1/conv2d_1", f"features.{place}.expand1x1"
        yield f"parallel_{number}/branch_2/conv2d_1", f"features.{place}.expand3x3"
    yield f"conv2d_{len(fires) + 2}", "classifier.1"


def _densenet(depths: tuple[int, ...]) -> Names:
    """Huang et al. 2016; both libraries use the same names."""
    yield "conv2d_1", "features.conv0"
    yield "batch_norm_1", "features.norm0"
    for stage, depth in enumerate(depths, 1):
        for layer in range(1, depth + 1):
            ours, theirs = (
                f"dense_block_{stage}/layer_{layer}",
                f"features.denseblock{stage}.denselayer{layer}",
            )
            for place in (1, 2):
                yield f"{ours}/batch_norm_{place}", f"{theirs}.norm{place}"
                yield f"{ours}/conv2d_{place}", f"{theirs}.conv{place}"
        if stage < len(depths):
            yield f"batch_norm_{stage + 1}", f"features.transition{stage}.norm"
            yield f"conv2d_{stage + 1}", f"features.transition{stage}.conv"
    yield f"batch_norm_{len(depths) + 1}", "features.norm5"
    yield "dense_1", "classifier"


_INVERTED = ("conv2d_1", "batch_norm_1", "depthwise_conv2d_1", "batch_norm_2", "conv2d_2", "batch_norm_3")
"""The layers of a block that widens its input, and below of one that does not."""
_DEPTHWISE = ("depthwise_conv2d_1", "batch_norm_1", "conv2d_1", "batch_norm_2")


def _block(number: int, layers: tuple[str, ...], module: str, names: tuple[str, ...]) -> Names:
    for layer, name in zip(layers, names, strict=True):
        yield f"inverted_residual_{number}/body/{layer}", f"{module}.{name}"


def _mobilenet_torchvision() -> Names:
    """Sandler et al. 2018, as torchvision has it."""
    yield "conv2d_1", "features.0.0"
    yield "batch_norm_1", "features.0.1"
    yield from _block(1, _DEPTHWISE, "features.1.conv", ("0.0", "0.1", "1", "2"))
    for number in range(2, 18):
        yield from _block(
            number, _INVERTED, f"features.{number}.conv", ("0.0", "0.1", "1.0", "1.1", "2", "3")
        )
    yield "conv2d_2", "features.18.0"
    yield "batch_norm_2", "features.18.1"
    yield "dense_1", "classifier.1"


def _mobilenet_timm() -> Names:
    """The same, as timm's `mobilenetv2_100` has it."""
    yield "conv2d_1", "conv_stem"
    yield "batch_norm_1", "bn1"
    yield from _block(1, _DEPTHWISE, "blocks.0.0", ("conv_dw", "bn1", "conv_pw", "bn2"))
    places = [(stage, block) for stage, depth in enumerate((2, 3, 4, 3, 3, 1), 1) for block in range(depth)]
    names = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
    for number, (stage, block) in enumerate(places, 2):
        yield from _block(number, _INVERTED, f"blocks.{stage}.{block}", names)
    yield "conv2d_2", "conv_head"
    yield "batch_norm_2", "bn2"
    yield "dense_1", "classifier"


def _numbered(node: str, modules: tuple[str, ...] | list[str]) -> Names:
    for number, module in enumerate(modules, 1):
        yield node.format(number), module


_TORCHVISION_DENSE = ("classifier.0", "classifier.3", "classifier.6")
_TIMM_DENSE = ("pre_logits.fc1", "pre_logits.fc2", "head.fc")
_VGG_11, _VGG_16 = (1, 1, 2, 2, 2), (2, 2, 3, 3, 3)

TABLES: Mapping[str, Mapping[str, Table]] = {
    "resnet-18": {"torchvision": partial(_resnet, (2, 2, 2, 2))},
    "resnet-34": {"torchvision": partial(_resnet, (3, 4, 6, 3))},
    "resnet-50": {"torchvision": partial(_resnet, (3, 4, 6, 3))},
    "mobilenet-v2": {"torchvision": _mobilenet_torchvision, "timm": _mobilenet_timm},
    "vgg-11": {
        "torchvision": partial(_vgg, _VGG_11, _TORCHVISION_DENSE),
        "timm": partial(_vgg, _VGG_11, _TIMM_DENSE),
    },
    "vgg-16": {
        "torchvision": partial(_vgg, _VGG_16, _TORCHVISION_DENSE),
        "timm": partial(_vgg, _VGG_16, _TIMM_DENSE),
    },
    "alexnet": {"torchvision": _alexnet},
    "squeezenet-1.0": {"torchvision": partial(_squeezenet, (3, 4, 5, 7, 8, 9, 10, 12))},
    "squeezenet-1.1": {"torchvision": partial(_squeezenet, (3, 4, 6, 7, 9, 10, 11, 12))},
    "densenet-121": {"torchvision": partial(_densenet, (6, 12, 24, 16))},
}
"""The presets that have a counterpart, and for each the libraries whose names differ."""
