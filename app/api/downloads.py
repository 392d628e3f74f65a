"""Bodies of the calls that get data sets by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.api.common import Body, Name
from app.api.datasets import ImageSize, Split
from app.datasets.known import KNOWN, KnownDataset, KnownName
from app.datasets.options import DatasetOptions, Duplicates
from app.datasets.readers.splits import SplitShares
from app.pictures.decode import Colour, Fit, PictureSpec
from engine.spec import Seed, Spec


class DownloadCreate(Spec):
    """Which data set, and how its pictures are treated; by default as they are published."""

    dataset: Annotated[KnownName, Field(examples=["mnist"])]
    """mnist, fashion-mnist or cifar-10."""
    name: Name | None = None
    """A name for people; by default that of the data set."""
    image_size: ImageSize | None = None
    """Size of every picture, a number or [height, width]; by default their own."""
    channels: Literal[1, 3] | None = None
    """1 makes every picture grey, 3 makes it RGB; by default what they have."""
    fit: Fit = "contain"
    """How a picture is fitted to another shape."""
    background: Colour | None = None
    """Colour of the padding; by default that of the ground that the pictures are on."""
    invert: bool = False
    """Turn dark to light and light to dark."""
    duplicates: Duplicates = "keep"
    """Whether equal pictures are left out; figures can be compared with published ones when they are kept."""
    split: Split = SplitShares()
    """The published test set is the test split; of the published train set pictures are drawn for the dev split, by
    the shares of train and dev."""
    seed: Seed = 0
    """Decides which pictures are drawn for the dev split."""

    def options(self) -> DatasetOptions:
        """Return what the data set remembers."""
        known = KNOWN[self.dataset]
        height, width, channels = known.image_shape
        picture = PictureSpec(
            image_shape=(*(self.image_size or (height, width)), self.channels or channels),
            fit=self.fit,
            background=self.background or known.background,
            invert=self.invert,
        )
        return DatasetOptions(picture=picture, split=self.split, seed=self.seed, duplicates=self.duplicates)


class Downloadable(Body):
    """A data set that can be had by name."""

    name: KnownName
    title: str
    source: str
    """Who published it, and when."""
    address: str
    """Where its files are fetched from."""
    bytes: int
    """Size of its files as they are published."""
    images: int
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, known: KnownDataset, address: str) -> Downloadable:
        """Return the body for a data set that is fetched from this address."""
        return cls(
            name=known.name,
            title=known.title,
            source=known.source,
            address=address,
            bytes=known.bytes,
            images=known.images,
            image_shape=known.image_shape,
            classes=known.classes,
        )
