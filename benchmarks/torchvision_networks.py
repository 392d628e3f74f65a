"""torchvision, also where its wheel was made for another build of PyTorch than is installed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["get_model", "models"]

# Classifiers need none of its own operators, but it refuses to be imported without them.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision import models  # noqa: E402 - after its operators


def get_model(name: str, **arguments: Any) -> nn.Module:
    """Return one of torchvision's networks, with weights as they are drawn there."""
    module: nn.Module = models.get_model(name, weights=None, **arguments)
    return module
