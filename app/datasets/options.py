"""What the owner of a data set decides when it is made; it never changes afterwards."""

from __future__ import annotations

from app.api.choices import Choice
from app.api.datasets import Duplicates, SplitShares
from app.api.pictures import PictureSpec
from engine.recipe.targets import Target
from engine.spec import Seed, Spec


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
    """What each picture comes with: its class, any number of labels, or numbers."""
    chosen: tuple[Choice, ...] = ()
    """What of these its owner left open, see `defaults` of an upload."""
