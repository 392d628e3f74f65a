"""Bodies of requests for data sets that are published elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.api.common import Name
from app.api.datasets import Duplicates, SplitShares
from app.api.downloads import PublishedName
from app.api.pictures import Colour, Fit, Resize
from app.api.requests.datasets import ImageSize, Split
from app.api.requests.models import Tag
from app.api.requests.webhooks import Announced
from engine.spec import Flag, Seed, Spec


class DownloadCreate(Spec):
    """Which data set, and how its pictures are treated; by default as they are published."""

    dataset: Annotated[PublishedName, Field(examples=["mnist"])]
    """mnist, fashion-mnist or cifar-10."""
    name: Name | None = None
    """A name for people; by default that of the data set."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64)] = ()
    """Words to find it by."""
    image_size: ImageSize | None = None
    """Size of every picture, a number or [height, width]; by default their own."""
    channels: Literal[1, 3] | None = None
    """1 makes every picture grey, 3 makes it RGB; by default what they have."""
    fit: Fit = "contain"
    """How a picture is fitted to another shape."""
    resize: Resize = None
    """With `cover`: the shorter side is scaled to so many pixels before the middle of `image_size` is cut out."""
    background: Colour | None = None
    """Colour of the padding; by default that of the ground that the pictures are on."""
    invert: Flag = False
    """Turn dark to light and light to dark."""
    duplicates: Duplicates = "keep"
    """Whether equal pictures are left out; figures can be compared with published ones when they are kept."""
    split: Split = SplitShares()
    """The published test set is the test split; of the published train set pictures are drawn for the dev split, by
    the shares of train and dev."""
    seed: Seed = 0
    """Decides which pictures are drawn for the dev split."""
    webhook: Announced = None
    """Where its end is announced: {"url": ...}, or the address alone."""
