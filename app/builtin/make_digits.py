"""Make the packaged data set `digits` from the four files of MNIST.

    python -m app.builtin.make_digits FOLDER

The choice involves no random numbers: within each class the pictures are taken in the order of the
SHA-256 of their pixels, which is as good as a shuffle and the same on every machine. The 800 + 100
pictures per class of `train` and `dev` come from MNIST's training file and the 100 of `test` from its
test file, so that the writers of the test pictures are strangers to the training pictures, as in MNIST.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.api.pictures import PictureSpec
from app.builtin.digits import (
    DIGITS,
    DIGITS_CLASSES,
    DIGITS_FILE,
    DIGITS_IMAGES,
    DIGITS_SHAPE,
    RECORD_FILE,
    SEGMENT_FILES,
)
from app.datasets import segments, storage
from app.datasets.options import DatasetOptions
from app.datasets.readers.splits import DEV, TEST, TRAIN
from app.files import paths
from app.files.artifacts import LocalArtifacts

TRAIN_PER_CLASS = 800
DEV_PER_CLASS = 100
TEST_PER_CLASS = 100
CLASSES = 10
IDX_IMAGES = 2051
IDX_LABELS = 2049


def read_idx(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one pair of MNIST files: images (N, 28, 28) and labels (N,).

    Raises:
        ValueError: a file is not the IDX file its name promises.
    """
    images = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    magic, count, height, width = np.frombuffer(images, ">i4", 4).tolist()
    if (magic, height, width) != (IDX_IMAGES, 28, 28) or len(images) != 16 + count * 28 * 28:
        raise ValueError(f"{name}-images-idx3-ubyte.gz is not an IDX file of 28x28 pictures")
    magic, label_count = np.frombuffer(labels, ">i4", 2).tolist()
    if magic != IDX_LABELS or label_count != count or len(labels) != 8 + count:
        raise ValueError(f"{name}-labels-idx1-ubyte.gz is not an IDX file of {count} labels")
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(count, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8),
    )


def choose(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Choose the 10,000 pictures: images (10000, 28, 28, 1), labels (10000,), splits (10000,)."""
    chosen: list[tuple[str, NDArray[np.uint8], int, int]] = []
    for name, counts in (
        ("train", ((TRAIN, TRAIN_PER_CLASS), (DEV, DEV_PER_CLASS))),
        ("t10k", ((TEST, TEST_PER_CLASS),)),
    ):
        images, labels = read_idx(folder, name)
        digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        for label in range(CLASSES):
            members = sorted(np.flatnonzero(labels == label).tolist(), key=lambda member: digests[member])
            start = 0
            for split, count in counts:
                chosen += [(digests[m], images[m], label, split) for m in members[start : start + count]]
                start += count
    chosen.sort(key=lambda picture: picture[0])
    return (
        np.stack([image for _, image, _, _ in chosen])[..., np.newaxis],
        np.array([label for _, _, label, _ in chosen], np.uint8),
        np.array([split for _, _, _, split in chosen], np.uint8),
    )


def pack(images: NDArray[np.uint8], labels: NDArray[np.uint8], splits: NDArray[np.uint8]) -> bytes:
    """Return the bytes of `digits.npz`, the same on every run with the same zlib."""
    if len(images) != DIGITS_IMAGES:
        raise ValueError(f"{len(images)} pictures were chosen instead of {DIGITS_IMAGES}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        arrays: list[NDArray[Any]] = [images, labels.astype(segments.LABEL_TYPE), splits]
        for name, array in zip(SEGMENT_FILES, arrays, strict=True):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # else the bytes would tell the operating system
            archive.writestr(info, entry.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return packed.getvalue()


def describe(
    images: NDArray[np.uint8], labels: NDArray[np.integer], splits: NDArray[np.uint8]
) -> dict[str, Any]:
    """Return the content of `digits.json`: what the rows say once the files are in place, and the files' checksums."""
    # White strokes on black: what has to be padded is padded with the ground they are on.
    picture = PictureSpec(image_shape=DIGITS_SHAPE, background="black")
    record = {
        "name": "digits",
        "image_shape": list(DIGITS_SHAPE),
        "options": DatasetOptions(picture=picture).model_dump(mode="json"),
    }
    with tempfile.TemporaryDirectory() as directory:
        artifacts = LocalArtifacts(Path(directory))
        segment = segments.write_segment(
            artifacts,
            DIGITS,
            number=1,
            image_shape=DIGITS_SHAPE,
            classes=len(DIGITS_CLASSES),
            pictures=zip(images, labels.tolist(), strict=True),
            draw=lambda _: splits,
        )
        folder = paths.segment(DIGITS, 1)
        sha256 = {name: artifacts.checksum(f"{folder}/{name}") for name in SEGMENT_FILES}
    contents = asdict(storage.describe(segment, DIGITS_CLASSES, DIGITS_SHAPE, {}))
    del contents["files"]  # `sha256` has them
    return {
        "record": record,
        "contents": contents | {"segments": list(contents["segments"])},
        "sha256": sha256,
    }


def write_description(path: Path, document: dict[str, Any]) -> None:
    """Write `digits.json`."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Write the packaged file, or another one, from a folder of MNIST's files."""
    parser = argparse.ArgumentParser(prog="python -m app.builtin.make_digits", description=__doc__)
    parser.add_argument("mnist", type=Path, help="folder of the four gzipped IDX files of MNIST")
    parser.add_argument("--output", type=Path, help="file to write instead of the packaged one")
    options = parser.parse_args(arguments)
    output: Path = options.output or Path(__file__).parent / DIGITS_FILE
    chosen = choose(options.mnist)
    content = pack(*chosen)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    write_description(output.with_name(RECORD_FILE), describe(*chosen))
    sys.stdout.write(f"{output}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}\n")


if __name__ == "__main__":
    main()
