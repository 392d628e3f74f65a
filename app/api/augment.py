"""Answers of augmentations of one picture."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, Numbers


class AugmentAnswer(Body):
    """What augmentations make of a picture."""

    outputs: list[Numbers] = Field(examples=[[[[12, 200], [0, 50]]]])
    """The picture as in the epochs 1, 2, ... of a training job, each as (H, W), or (H, W, C); numbers from 0 to 255."""
    output_shape: list[int] = Field(examples=[[2, 2]])
    """The shape of each."""
