"""The readers of uploads, one guarded one for each format; nothing else opens what came from outside."""

from __future__ import annotations

from pathlib import Path

from app.datasets.readers.base import Item, Reader
from app.datasets.readers.idx import GZIP_MAGIC, IDX_MAGIC, IdxPair
from app.datasets.readers.left_out import Skipped
from app.datasets.readers.npz import NpzFile, is_npz
from app.datasets.readers.pictures import PictureArchive
from app.datasets.readers.sniff import describe, holds_idx
from app.datasets.readers.targets import unfit
from app.datasets.readers.zip_file import MAGIC as ZIP_MAGIC
from app.datasets.readers.zip_file import ArchiveLimits
from app.errors import Invalid
from engine.recipe.targets import Target

MAGIC = (*ZIP_MAGIC, GZIP_MAGIC, IDX_MAGIC)
"""How files begin that are read."""
_HEAD_BYTES = 4096
KIND = "zip archive, npz file or IDX file"

__all__ = ["KIND", "MAGIC", "ArchiveLimits", "Item", "Reader", "Skipped", "open_upload"]


def open_upload(path: Path, labels: Path | None, limits: ArchiveLimits, target: Target = "class") -> Reader:
    """Open what was uploaded as `file`, and as `labels` beside it, by its content.

    Raises:
        Invalid, Malformed: it is not what it should be.
        TooLarge: it holds too much.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith(ZIP_MAGIC):
        if labels is None and not holds_idx(head):
            hint = "send a zip archive of pictures, an npz file, or IDX files of images and labels"
            raise Invalid.at("file", f"this is {describe(head)}", hint, code="unusable-file")
        if labels is None:
            raise _misplaced(
                "an IDX file of images needs one of labels",
                "send the file of labels, such as train-labels-idx1-ubyte.gz, as `labels`",
            )
        if target != "class":
            raise unfit("IDX files hold one class for each picture", "leave it out, or send an npz file")
        return IdxPair(path, labels, limits)
    if labels is not None:
        raise _misplaced(
            "labels belong to an IDX file of images; a zip archive or npz file holds its own", "leave it out"
        )
    if is_npz(path):
        return NpzFile(path, limits, target)
    return PictureArchive(path, limits, target=target)


def _misplaced(detail: str, hint: str) -> Invalid:
    return Invalid.at("labels", detail, hint)
