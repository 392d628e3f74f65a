"""Bodies of requests about data sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.api.common import Name
from app.api.datasets import Duplicates, SplitShares
from app.api.pictures import MAX_SIDE, Colour, Fit, Resize
from app.api.requests.models import Tag
from app.api.requests.webhooks import Announced
from engine.recipe.targets import Target
from engine.spec import Flag, Seed, Spec

EXAMPLE_ARCHIVE = (
    "UEsDBBQAAAAAAAAAIQDbVaNGEQAAABEAAAAKAAAAZGFyay8xLnBnbVAyIDIgMiA5IDAgMSAwIDEKUEsDBBQAAAAAAAAAIQDE0PLg"
    "EQAAABEAAAAKAAAAZGFyay8yLnBnbVAyIDIgMiA5IDEgMCAxIDAKUEsDBBQAAAAAAAAAIQAb4UM1EQAAABEAAAAKAAAAZGFyay8z"
    "LnBnbVAyIDIgMiA5IDAgMCAxIDEKUEsDBBQAAAAAAAAAIQD76ynSEQAAABEAAAALAAAAbGlnaHQvMS5wZ21QMiAyIDIgOSA5IDgg"
    "OSA4ClBLAwQUAAAAAAAAACEA5G54dBEAAAARAAAACwAAAGxpZ2h0LzIucGdtUDIgMiAyIDkgOCA5IDggOQpQSwMEFAAAAAAAAAAh"
    "ADtfyaERAAAAEQAAAAsAAABsaWdodC8zLnBnbVAyIDIgMiA5IDkgOSA4IDgKUEsBAhQDFAAAAAAAAAAhANtVo0YRAAAAEQAAAAoA"
    "AAAAAAAAAAAAAIABAAAAAGRhcmsvMS5wZ21QSwECFAMUAAAAAAAAACEAxNDy4BEAAAARAAAACgAAAAAAAAAAAAAAgAE5AAAAZGFy"
    "ay8yLnBnbVBLAQIUAxQAAAAAAAAAIQAb4UM1EQAAABEAAAAKAAAAAAAAAAAAAACAAXIAAABkYXJrLzMucGdtUEsBAhQDFAAAAAAA"
    "AAAhAPvrKdIRAAAAEQAAAAsAAAAAAAAAAAAAAIABqwAAAGxpZ2h0LzEucGdtUEsBAhQDFAAAAAAAAAAhAORueHQRAAAAEQAAAAsA"
    "AAAAAAAAAAAAAIAB5QAAAGxpZ2h0LzIucGdtUEsBAhQDFAAAAAAAAAAhADtfyaERAAAAEQAAAAsAAAAAAAAAAAAAAIABHwEAAGxp"
    "Z2h0LzMucGdtUEsFBgAAAAAGAAYAUwEAAFkBAAAAAA=="
)
"""A zip archive in base64: two class folders with three pictures each, of 2 x 2 pixels in PGM format."""


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _named(value: Any) -> Any:
    names = SplitShares.model_fields
    if isinstance(value, list | tuple) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    return value


_Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]
_Shares = list[Annotated[float, Field(ge=0, le=1)]]
ImageSize = Annotated[
    tuple[_Side, _Side], BeforeValidator(_pair, json_schema_input_type=_Side | tuple[_Side, _Side])
]
Split = Annotated[SplitShares, BeforeValidator(_named, json_schema_input_type=SplitShares | _Shares)]


class DatasetCreate(Spec):
    """What a new data set is called, and how its pictures are treated and split."""

    name: Name | None = None
    """A name for people; by default that of the uploaded file."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64)] = ()
    """Words to find it by; a form says them with commas between them."""
    target: Target = "class"
    """What the file says of each picture: its `class`; any number of `labels`, as names with | between them in the
    column `label` of a manifest, or an array (N, K) of 0 and 1; or `values`, as columns of numbers in a manifest, or an
    array (N,) or (N, K) of numbers."""
    image_size: ImageSize | None = None
    """Size of every picture, a number or [height, width]; a form may also say 28x28. By default that of the arrays
    in an npz or IDX file, and 32 for picture files."""
    channels: Annotated[Literal[1, 3] | None, Field(examples=[3])] = None
    """1 makes every picture grey, 3 makes it RGB. By default that of the arrays in an npz or IDX file, and 3 for
    picture files."""
    fit: Fit = "contain"
    """How a picture of another shape is fitted: `contain` scales all of it into the shape and pads it with the
    background, `cover` fills the shape and cuts off what hangs over, `stretch` distorts."""
    resize: Annotated[Resize, Field(examples=[None])] = None
    """With `cover`: the shorter side is scaled to so many pixels before the middle of `image_size` is cut out, as many
    published networks were trained (256 for pictures of 224). By default as little as possible is cut off."""
    background: Annotated[Colour, Field(examples=["#ffffff"])] = "#ffffff"
    """Colour behind transparent pixels and of the padding: #rrggbb, white or black."""
    invert: Flag = False
    """Turn dark to light and light to dark, after everything else: ink on paper becomes light strokes on black."""
    duplicates: Duplicates = "skip"
    """What to do with a file whose bytes or whose pixels, as they would be stored, are there already: `skip` leaves
    it out and reports it, `keep` takes it. One that is said to show something else is reported as a contradiction in
    any case. The same picture in the train and in the test split makes every figure too good."""
    split: Split = SplitShares()
    """Shares of train, dev and test in every class, as {"train": 0.8, "dev": 0.1, "test": 0.1} or
    [0.8, 0.1, 0.1]; a form may also say 0.8,0.1,0.1. Each picture's split is drawn once and kept."""
    seed: Seed = 0
    """Decides which picture falls into which split."""
    defaults: Literal["fixed", "auto"] = "fixed"
    """What becomes of that which is not given: the defaults of this schema, or, with `auto`, what fits a transfer to
    these pictures: their size, `fit` and `split`; `chosen` of the data set says what, and why."""
    webhook: Announced = None
    """Where the end of reading it is announced: {"url": ...}, or the address alone."""


class DatasetDocument(DatasetCreate):
    """The same with a small archive in it, for who cannot send a form."""

    file: Annotated[str, Field(min_length=1)]
    """The zip archive, npz file or IDX file in base64."""
    labels: Annotated[str, Field(min_length=1)] | None = None
    """The IDX file of labels in base64, when `file` is one of images."""
