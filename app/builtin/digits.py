"""The data set `digits`, which comes with the package."""

from __future__ import annotations

import zipfile
from importlib import resources
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.datasets import storage
from app.datasets.options import DatasetOptions
from app.errors import NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import DatasetRecord

DIGITS = "digits"
DIGITS_FILE = "digits.npz"
DIGITS_IMAGES = 10_000
DIGITS_CLASSES = tuple("0123456789")
DIGITS_SHAPE = (28, 28, 1)
_LAST_FILE = f"{paths.segment(DIGITS, 1)}/{storage.SPLITS_FILE}"


class Digits(NamedTuple):
    """The pictures, their class indices and their split codes."""

    images: NDArray[np.uint8]  # (10000, 28, 28, 1)
    labels: NDArray[np.int64]  # (10000,)
    splits: NDArray[np.uint8]  # (10000,), see app.datasets.readers.splits


def load_digits() -> Digits:
    """Read the packaged file.

    Raises:
        ValueError: the file is not the one that was packaged.
    """
    packaged = resources.files("app.builtin") / DIGITS_FILE
    with packaged.open("rb") as file, zipfile.ZipFile(file) as archive:
        images = _read_array(archive, "images", (DIGITS_IMAGES, *DIGITS_SHAPE))
        labels = _read_array(archive, "labels", (DIGITS_IMAGES,))
        splits = _read_array(archive, "splits", (DIGITS_IMAGES,))
    return Digits(images, labels.astype(np.int64), splits)


def install(store: Store, artifacts: Artifacts) -> None:
    """Put `digits` into a data directory that does not have it, or has lost its pictures."""
    try:
        record = store.datasets.get(DIGITS)
    except NotFound:
        # White strokes on black: what has to be padded is padded with the ground they are on.
        picture = PictureSpec(image_shape=DIGITS_SHAPE, background="black")
        options = DatasetOptions(picture=picture).model_dump(mode="json")
        record = DatasetRecord(
            id=DIGITS,
            name="Handwritten digits",
            image_shape=list(DIGITS_SHAPE),
            options=options,
            builtin=True,
        )
        store.datasets.create(record)
    if record.status == "ready" and artifacts.exists(_LAST_FILE):
        return
    digits = load_digits()
    segment = storage.write_segment(
        artifacts,
        DIGITS,
        number=1,
        image_shape=DIGITS_SHAPE,
        classes=len(DIGITS_CLASSES),
        pictures=zip(digits.images, digits.labels.tolist(), strict=True),
        draw=lambda labels: digits.splits,
    )
    if record.status != "ready":
        store.datasets.finish(DIGITS, storage.describe(segment, DIGITS_CLASSES, DIGITS_SHAPE, {}))


def _read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read one member whose header is compared with what it must be before anything is allocated."""
    with archive.open(f"{name}.npy") as member:
        _check_header(member, name, shape)
        content = member.read(int(np.prod(shape)) + 1)
    if len(content) != np.prod(shape):
        raise ValueError(f"{name} in {DIGITS_FILE} is cut short or too long; install the package again")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _check_header(member: IO[bytes], name: str, shape: tuple[int, ...]) -> None:
    version = np.lib.format.read_magic(member)
    found, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    if version != (1, 0) or found != shape or fortran or dtype != np.uint8:
        raise ValueError(
            f"{name} in {DIGITS_FILE} is {dtype} {found}, not uint8 {shape}; install the package again"
        )
