"""Answers about data sets that are published elsewhere."""

from __future__ import annotations

from typing import Literal

from app.api.common import Body

PublishedName = Literal["mnist", "fashion-mnist", "cifar-10"]


class Downloadable(Body):
    """A data set that can be had by name."""

    name: PublishedName
    title: str
    source: str
    """Who published it, and when."""
    address: str
    """Where its files are fetched from; of a directory of the server only that it is one."""
    bytes: int
    """Size of its files as they are published."""
    images: int
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
