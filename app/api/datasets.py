"""Bodies of the calls on data sets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from app.api.common import Body, Name, Time
from app.datasets.options import DatasetOptions, Duplicates
from app.datasets.readers.splits import SPLIT_NAMES, SplitShares
from app.errors import Invalid
from app.pictures.decode import MAX_SIDE, Colour, Fit, PictureSpec
from app.states import JobStatus
from app.store.records import DatasetRecord, JobRecord
from app.web.bodies.validation import field_errors, summary
from engine.recipe.losses import Target
from engine.spec import Seed, Spec

S = TypeVar("S", bound=Spec)

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

DEFAULT_SHAPE = (32, 32, 3)
"""Of a data set made of picture files, which may have any."""


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _named(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == len(SPLIT_NAMES):
        return dict(zip(SPLIT_NAMES, value, strict=True))
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
    target: Target = "class"
    """What the file tells of each picture: its `class`; any number of `labels`, as names with | between them in the
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
    background: Annotated[Colour, Field(examples=["#ffffff"])] = "#ffffff"
    """Colour behind transparent pixels and of the padding: #rrggbb, white or black."""
    invert: bool = False
    """Turn dark to light and light to dark, after everything else: ink on paper becomes light strokes on black."""
    duplicates: Duplicates = "skip"
    """What to do with a file whose bytes or whose pixels, as they would be stored, are there already: `skip` leaves
    it out and reports it, `keep` does not look. The same picture in the train and in the test split makes every
    figure too good."""
    split: Split = SplitShares()
    """Shares of train, dev and test in every class, as {"train": 0.8, "dev": 0.1, "test": 0.1} or
    [0.8, 0.1, 0.1]; a form may also say 0.8,0.1,0.1. Each picture's split is drawn once and kept."""
    seed: Seed = 0
    """Decides which picture falls into which split."""

    def options(self, native: tuple[int, int, int] | None = None) -> DatasetOptions:
        """Return what the data set remembers.

        Args:
            native: [height, width, channels] of the pictures in the upload, where they are all alike.
        """
        height, width, channels = native or DEFAULT_SHAPE
        picture = PictureSpec(
            image_shape=(*(self.image_size or (height, width)), self.channels or channels),
            fit=self.fit,
            background=self.background,
            invert=self.invert,
        )
        return DatasetOptions(
            picture=picture,
            split=self.split,
            seed=self.seed,
            duplicates=self.duplicates,
            target=self.target,
        )


class DatasetDocument(DatasetCreate):
    """The same with a small archive in it, for who cannot send a form."""

    file: Annotated[str, Field(min_length=1)]
    """The zip archive, npz file or IDX file in base64."""
    labels: Annotated[str, Field(min_length=1)] | None = None
    """The IDX file of labels in base64, when `file` is one of images."""


FORM_FIELDS = frozenset(DatasetCreate.model_fields)


def _number(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?\d{1,20}", text) else text


def _truth(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


def _size(text: str) -> Any:
    numbers = [_number(number) for number in re.split(r"\s*[x×,]\s*", text.strip("[]() "))]
    return numbers[0] if len(numbers) == 1 else numbers


def _shares(text: str) -> Any:
    if not text.startswith("{"):
        return [share.strip() for share in text.strip("[]() ").split(",")]
    try:
        return json.loads(text)
    except ValueError:
        return text


_HINTS = {
    "image_size": "write a number such as 28, or height and width such as 28x20",
    "split": "write three shares that add up to 1, such as 0.8,0.1,0.1",
}
_READERS = {
    "image_size": _size,
    "channels": _number,
    "invert": _truth,
    "seed": _number,
    "split": _shares,
}
"""What makes the value of a text field; text that it cannot read is left for the validation to refuse."""


def read_form(fields: dict[str, str]) -> DatasetCreate:
    """Make sense of the text fields of a form.

    Raises:
        Invalid: with the name of each bad field.
    """
    document = {name: _READERS.get(name, str)(text.strip()) for name, text in fields.items() if text.strip()}
    return read_fields(DatasetCreate, document)


def read_fields(kind: type[S], document: dict[str, Any]) -> S:
    """Validate what the text fields of a form say.

    Raises:
        Invalid: with the name of each bad field.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        found = [{**fault, "loc": ("form", *fault["loc"])} for fault in error.errors(include_url=False)]
        faults = tuple(
            replace(fault, hint=_HINTS.get(fault.parameter or "", fault.hint))
            for fault in field_errors(found, None)
        )
        raise Invalid(summary(faults), errors=faults) from None


class DatasetClass(Body):
    """A class, a label or a value."""

    name: str
    images: int
    """How many of the pictures show it; all have each value."""


class SplitCounts(Body):
    """Numbers of pictures."""

    train: int = 0
    """Pictures that are trained on."""
    dev: int = 0
    """Pictures that choose the epoch to keep."""
    test: int = 0
    """Pictures that judge the result."""


class SkippedFile(Body):
    """A file that was left out."""

    name: str
    reason: str
    kind: Literal["misplaced", "unreadable", "duplicate"] = "unreadable"
    """Whether it lies where nothing is looked for, is no readable picture, or is there already."""


class SkippedCounts(Body):
    """How many files were left out, by kind."""

    misplaced: int = 0
    unreadable: int = 0
    duplicate: int = 0


class DatasetSource(Body):
    """The file that was uploaded."""

    filename: str
    bytes: int
    sha256: str
    format: str | None = None
    """What it was read as: zip, npz or idx."""


class DatasetReport(Body):
    """What was uploaded, and what of it was left out."""

    source: DatasetSource | None = None
    """The archive; null for what is built in."""
    skipped: int = 0
    """How many files."""
    counts: SkippedCounts | None = None
    """How many of each kind; null for what was uploaded to an earlier version."""
    files: tuple[SkippedFile, ...] = ()
    """Which and why; of very many the first thousand."""


class DatasetFailure(Body):
    """Why a data set failed."""

    code: str = Field(examples=["empty_class"])
    message: str


class FillingProgress(Body):
    """How far a job is that fills a data set."""

    stage: str = Field("queued", examples=["reading"])
    """queued, starting, downloading, comparing (with what is there already) or reading."""
    fraction: float = 0.0
    images: int | None = None
    """Pictures that have been read."""
    of: int | None = None
    """Of how many."""
    bytes: int | None = None
    """Bytes that have been downloaded."""
    of_bytes: int | None = None
    """Of how many, where that is known."""
    file: str | None = None
    """The file that is being downloaded."""

    @classmethod
    def of_job(cls, job: JobRecord) -> FillingProgress | None:
        """Return the body for a job; None once that is over."""
        if job.status.finished:
            return None
        known = cls.model_fields
        stage = "queued" if job.status is JobStatus.QUEUED else "starting"
        return cls(
            **{"stage": stage} | {name: value for name, value in job.progress.items() if name in known}
        )


class Dataset(Body):
    """A data set."""

    id: str = Field(examples=["digits"])
    name: str
    status: Literal["ingesting", "ready", "failed"]
    """`ingesting` while its pictures are read; it can be trained on once it is `ready`."""
    target: Target
    """What is known of each picture: its `class`, any number of `labels`, or `values`."""
    classes: list[DatasetClass]
    """In the order of the class indices, or the labels or values; empty until the pictures are read."""
    images: int
    """All pictures."""
    splits: SplitCounts
    image_shape: tuple[int, int, int]
    """[height, width, channels] of every picture."""
    preprocessing: PictureSpec
    """How a picture of any size and mode becomes an array; models trained on it treat pictures the same way."""
    split: SplitShares
    """Shares of the splits."""
    seed: int
    duplicates: Duplicates
    """Whether pictures that are there already are left out."""
    report: DatasetReport
    progress: FillingProgress | None = None
    """How far its pictures are, while there are some on their way."""
    adding: int = 0
    """How many requests to add pictures are not done yet; see `additions`."""
    error: DatasetFailure | None
    bytes: int
    """Size on disk."""
    fingerprint: str | None
    """Checksum of pictures, labels and splits; equal for equal uploads with equal options."""
    builtin: bool
    """Whether it came with the program; then it cannot be deleted."""
    created_at: Time

    @classmethod
    def of(cls, record: DatasetRecord, filling: Sequence[JobRecord] = ()) -> Dataset:
        """Return the body for a record, and the unfinished jobs that fill it, the oldest first."""
        options = DatasetOptions.model_validate(record.options)
        return cls(
            id=record.id,
            name=record.name,
            status=record.status,
            target=options.target,
            classes=[DatasetClass(**entry) for entry in record.classes],
            images=record.images,
            splits=SplitCounts(**record.splits),
            image_shape=options.picture.image_shape,
            preprocessing=options.picture,
            split=options.split,
            seed=options.seed,
            duplicates=options.duplicates,
            report=DatasetReport(**record.report),
            progress=FillingProgress.of_job(filling[0]) if filling else None,
            adding=len(filling) if record.status == "ready" else 0,
            error=DatasetFailure(**record.error) if record.error else None,
            bytes=record.bytes,
            fingerprint=record.fingerprint,
            builtin=record.builtin,
            created_at=record.created_at,
        )


def inlined_schema(model: type[Spec]) -> dict[str, Any]:
    """Return the JSON schema of a model with its definitions put in where they are used."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def put_in(part: Any) -> Any:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name:
                rest = {key: value for key, value in part.items() if key != "$ref"}
                return put_in(definitions[name]) | rest
            return {key: put_in(value) for key, value in part.items()}
        return [put_in(member) for member in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = put_in(schema)
    return inlined
