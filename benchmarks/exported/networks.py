"""Networks of torchvision with weights drawn from a seed.

Weights as torchvision draws them hide much: biases are 0, batch norm is the identity, ConvNeXt's layer scale is 1e-6,
and what a deep network answers hardly depends on the picture. So everything is drawn, and batch norm keeps the
statistics of a few pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.exported.files import SIDE, SMALL_SIDE
from benchmarks.exported.pictures import pictures
from benchmarks.torchvision_networks import get_model, models

SMALL_CLASSES = 5
SEED = 16
_CALIBRATION = 8

LARGE: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "resnet50": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "squeezenet1_1": {},
    "densenet121": {},
    "googlenet": {"aux_logits": False, "init_weights": False},
    "vgg11": {},
    "efficientnet_b0": {},
    "shufflenet_v2_x1_0": {},
    "regnet_y_400mf": {},
    "convnext_tiny": {},
}
"""Networks as they are published, by torchvision's names, and what their constructors have to be told."""


def large(name: str) -> nn.Module:
    """Return one of `LARGE`, ready for inference."""
    return _drawn(partial(get_model, name, **LARGE[name]), SIDE)


def small(name: str) -> nn.Module:
    """Return one of `SMALL`, ready for inference."""
    return _drawn(SMALL[name], SMALL_SIDE)


def _densenet() -> nn.Module:
    return models.DenseNet(4, (2, 2), 8, num_classes=SMALL_CLASSES)


def _mobilenet() -> nn.Module:
    block = partial(models.mobilenetv3.InvertedResidualConfig, dilation=1, width_mult=1.0)
    settings = [
        block(16, 3, 24, 16, True, "RE", stride=2),
        block(16, 5, 32, 16, True, "HS", stride=1),
    ]
    return models.MobileNetV3(settings, last_channel=24, num_classes=SMALL_CLASSES)


def _shufflenet() -> nn.Module:
    return models.ShuffleNetV2([2, 1, 1], [8, 16, 24, 32, 40], num_classes=SMALL_CLASSES)


def _regnet() -> nn.Module:
    blocks = models.regnet.BlockParams([1, 2], [8, 16], [4, 8], [1.0, 1.0], [2, 2], se_ratio=0.25)
    return models.RegNet(blocks, num_classes=SMALL_CLASSES, stem_width=8)


def _efficientnet() -> nn.Module:
    block = partial(models.efficientnet.MBConvConfig, width_mult=1.0, depth_mult=1.0)
    settings = [block(1, 3, 1, 8, 8, 1), block(2, 5, 2, 8, 16, 2)]
    return models.EfficientNet(settings, 0.2, num_classes=SMALL_CLASSES, last_channel=24)


def _convnext() -> nn.Module:
    block = models.convnext.CNBlockConfig
    return models.ConvNeXt([block(8, 16, 1), block(16, None, 2)], num_classes=SMALL_CLASSES)


SMALL: dict[str, Callable[[], nn.Module]] = {
    "densenet": _densenet,
    "mobilenet_v3": _mobilenet,
    "shufflenet_v2": _shufflenet,
    "regnet_y": _regnet,
    "efficientnet": _efficientnet,
    "convnext": _convnext,
}
"""Networks of torchvision's parts that are small enough to be kept; together they hold all that the large ones do."""


def _drawn(make: Callable[[], nn.Module], side: int) -> nn.Module:
    """Return a network whose every weight is drawn; batch norm has the statistics of pictures of this side."""
    torch.manual_seed(SEED)
    module = make()
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False))
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(own["weight"], mode="fan_in", nonlinearity="relu")
        elif "weight" in own:
            nn.init.uniform_(own["weight"], 0.7, 1.3)
        if "bias" in own:
            nn.init.normal_(own["bias"], std=0.1)
        if "layer_scale" in own:
            nn.init.uniform_(own["layer_scale"], 0.3, 0.7)
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the mean over all batches, of which there is one
    module.train()
    with torch.no_grad():
        module(torch.from_numpy(pictures(_CALIBRATION, side, side, first=2)))
    return module.eval()
