"""What the owner of a data set decides when it is made; it never changes afterwards."""

from __future__ import annotations

from typing import Literal

from app.datasets.readers.splits import SplitShares
from app.pictures.decode import PictureSpec
from engine.recipe.losses import Target
from engine.spec import Seed, Spec

Duplicates = Literal["skip", "keep"]


class DatasetOptions(Spec):
    """How pictures of a data set become arrays, and how they are split.

    This is what `DatasetRecord.options` holds as JSON. `picture` goes on into every model that is trained
    on the data set, so that predictions treat pictures as training did.
    """

    picture: PictureSpec
    split: SplitShares = SplitShares()
    seed: Seed = 0
    duplicates: Duplicates = "keep"
    """Data sets of before this was asked kept them."""
    target: Target = "class"
    """What is known of each picture: its class, any number of labels, or numbers."""
