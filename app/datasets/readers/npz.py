"""Arrays in an npz file: images and labels, or the x_train, y_train, x_test, y_test that Keras writes.

No object is ever unpickled. The header of each array is held against the size of its member before
anything is allocated, and the images are read as a stream.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.arrays import (
    Scale,
    check_names,
    check_shape,
    chunks,
    index_labels,
    needs_range,
    read_exactly,
)
from app.datasets.readers.base import MAX_IMAGES, SPLIT_WORDS, Item, Reader
from app.datasets.readers.splits import DEV, SPLIT_NAMES, TEST, TRAIN
from app.datasets.readers.targets import (
    Targets,
    check_array,
    check_size,
    count_strata,
    read_array,
    strata,
    unfit,
)
from app.datasets.readers.zip_file import ArchiveLimits, Member, SafeZip
from app.errors import Invalid, Malformed, TooLarge
from engine.recipe.targets import NOUNS, Target

IMAGES, LABELS, SPLIT, CLASS_NAMES = "images", "labels", "split", "class_names"
_KERAS = (("x_train", "y_train", TRAIN), ("x_val", "y_val", DEV), ("x_test", "y_test", TEST))
_SMALL_BYTES = 256 << 20
_HEADER_BYTES = 10_000
_HINT = "save it with numpy.savez(file, images=..., labels=...)"


@dataclass(frozen=True, slots=True)
class _Array:
    """A member whose header has been read."""

    name: str
    member: Member
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """Pictures that come with labels of their own."""

    images: _Array
    labels: _Array
    split: int | None


class NpzFile(Reader):
    """An npz file of images and labels, checked when it is opened."""

    format = "npz"

    def __init__(self, path: Path, limits: ArchiveLimits, target: Target = "class") -> None:
        """Open and check a file, and read all of it but the images.

        Raises:
            Invalid, Malformed: it is no npz file, or its arrays are not what they should be.
            TooLarge: they hold too much.
        """
        self.target = target
        self._targets: Targets | None = None
        self._archive = SafeZip(path, limits)
        try:
            self._open()
        except BaseException:
            self._archive.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def items(self) -> Iterator[Item]:
        """Read the images piece by piece; twice where their range must be found first."""
        position = 0
        for part in self._parts:
            scale = self._scale(part.images)
            number = 0
            for chunk in self._chunks(part.images):
                for picture in scale.apply(chunk):
                    split = int(self._splits[position]) if self._splits is not None else part.split
                    name = f"{part.images.name}[{number}]"
                    target = None if self._targets is None else self._targets[position]
                    yield Item(name, int(self.labels[position]), split, picture, target)
                    position, number = position + 1, number + 1

    def _open(self) -> None:
        members = {
            member.parts[0].removesuffix(".npy"): member
            for member in self._archive.members
            if len(member.parts) == 1 and member.parts[0].endswith(".npy")
        }
        self._parts = _find_parts({name: self._header(name, member) for name, member in members.items()})
        shapes = {check_shape(part.images.shape, part.images.name) for part in self._parts}
        if len(shapes) > 1:
            raise _unusable(f"the arrays hold pictures of different shapes: {sorted(shapes)}")
        self.image_shape = shapes.pop()
        for part in self._parts:
            _check_images(part.images)
            self._check_labels(part)
        if sum(part.images.shape[0] for part in self._parts) > MAX_IMAGES:
            raise TooLarge(f"at most {MAX_IMAGES} pictures are taken")
        if self.target == "class":
            self._read_classes(members)
        else:
            self._targets = self._read_targets(members)
        self.counts = count_strata(self.labels, len(self.classes), self.target)
        self._splits = self._read_splits(members) if len(self._parts) == 1 else None
        told = {part.split for part in self._parts} if self._splits is None else set(self._splits.tolist())
        self.told = frozenset(split for split in told if split is not None)

    def _check_labels(self, part: _Part) -> None:
        images, labels = part.images.shape[0], part.labels
        if self.target != "class":
            check_array(labels.shape, labels.dtype, images, self.target)
            return
        if len(labels.shape) == 2 and labels.shape[1] > 1:
            raise unfit(
                f"{labels.name} holds {labels.shape[1]} numbers for each image, and a class is one",
                "say target=labels if they are 0 and 1, or target=values",
            )
        _check_vector(labels, images, "iuU")

    def _read_classes(self, members: dict[str, Member]) -> None:
        kinds = {part.labels.dtype.kind for part in self._parts}
        if "U" in kinds and len(kinds) > 1:
            raise _unusable("some labels are numbers and others are names")
        labels = np.concatenate([self._read(part.labels).reshape(-1) for part in self._parts])
        self.classes, self.labels = index_labels(labels, self._names(members), LABELS)

    def _read_targets(self, members: dict[str, Member]) -> Targets:
        parts = [read_array(self._read(part.labels), self.target) for part in self._parts]
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise _unusable(f"the arrays hold different numbers of {NOUNS[self.target]}: {sorted(widths)}")
        targets = np.concatenate(parts)
        names = self._names(members) or tuple(map(str, range(targets.shape[1])))
        check_names(names)
        if len(names) != targets.shape[1]:
            raise _unusable(
                f"there are {targets.shape[1]} {NOUNS[self.target]}, but {len(names)} class names"
            )
        check_size(len(targets), len(names), self.target)
        self.classes, self.labels = names, strata(targets, self.target).astype(np.int32)
        return targets

    def _header(self, name: str, member: Member) -> _Array:
        with self._archive.open(member) as stream:
            shape, dtype, size = _read_header(stream, name)
        claimed = size + math.prod(shape) * dtype.itemsize
        if claimed != member.info.file_size:
            raise Malformed(
                f"{name} should have {claimed} bytes by its header, and has {member.info.file_size}; "
                "it was cut short or changed",
                code="damaged-file",
            )
        return _Array(name, member, shape, dtype)

    def _chunks(self, array: _Array) -> Iterator[NDArray[Any]]:
        with self._archive.open(array.member) as stream:
            _read_header(stream, array.name)
            yield from chunks(stream, array.shape, array.dtype, array.name)

    def _read(self, array: _Array) -> NDArray[Any]:
        if array.member.info.file_size > _SMALL_BYTES:
            raise TooLarge(
                f"{array.name} has {array.member.info.file_size} bytes; at most {_SMALL_BYTES} are read"
            )
        return np.concatenate(list(self._chunks(array)))

    def _names(self, members: dict[str, Member]) -> tuple[str, ...] | None:
        if CLASS_NAMES not in members:
            return None
        array = self._header(CLASS_NAMES, members[CLASS_NAMES])
        _check_vector(array, None, "U")
        return tuple(str(name) for name in self._read(array))

    def _read_splits(self, members: dict[str, Member]) -> NDArray[np.uint8] | None:
        if SPLIT not in members:
            return None
        array = self._header(SPLIT, members[SPLIT])
        _check_vector(array, len(self.labels), "iuU")
        values = self._read(array).reshape(-1)
        known: dict[Any, int] = (
            SPLIT_WORDS if values.dtype.kind == "U" else {code: code for code in range(len(SPLIT_NAMES))}
        )
        words, inverse = np.unique(values, return_inverse=True)
        codes = [known.get(str(word).lower() if words.dtype.kind == "U" else int(word)) for word in words]
        if None in codes:
            bad = words[codes.index(None)]
            raise _unusable(f"split holds {str(bad)[:40]!r}; write train, dev, test or 0, 1, 2")
        return np.array(codes, np.uint8)[inverse.reshape(-1)]

    def _scale(self, array: _Array) -> Scale:
        if not needs_range(array.dtype):
            return Scale(array.dtype)
        least, greatest = math.inf, -math.inf
        for chunk in self._chunks(array):
            if array.dtype.kind == "f" and not np.isfinite(chunk).all():
                raise _unusable(f"{array.name} holds numbers that are not finite")
            least, greatest = min(least, float(chunk.min())), max(greatest, float(chunk.max()))
        return Scale(array.dtype, least, greatest)


def is_npz(path: Path) -> bool:
    """Tell by its first entry's name whether a zip archive is an npz file; it may still be refused as one."""
    with path.open("rb") as file:
        head = file.read(30)
        length = int.from_bytes(head[26:28], "little")
        name = file.read(length)
    return name.endswith(b".npy") and b"/" not in name


def _find_parts(arrays: dict[str, _Array]) -> tuple[_Part, ...]:
    if IMAGES in arrays and LABELS in arrays:
        return (_Part(arrays[IMAGES], arrays[LABELS], None),)
    parts = tuple(_Part(arrays[x], arrays[y], split) for x, y, split in _KERAS if x in arrays and y in arrays)
    if not parts:
        found = ", ".join(sorted(arrays)[:20]) or "nothing"
        raise _unusable(f"the npz file must hold the arrays images and labels, and holds {found}; {_HINT}")
    return parts if len(parts) > 1 else (_Part(parts[0].images, parts[0].labels, None),)


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and the size of the header itself."""
    start = read_exactly(stream, 8, name)
    if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise Malformed(f"{name} is no npy array", code="damaged-file")
    width = 2 if start[6] == 1 else 4
    length = read_exactly(stream, width, name)
    size = int.from_bytes(length, "little")
    if size > _HEADER_BYTES:
        raise Malformed(f"{name} has a header of {size} bytes", code="damaged-file")
    text = read_exactly(stream, size, name)
    try:
        reader = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(io.BytesIO(length + text), max_header_size=_HEADER_BYTES)
    # It is evaluated as a Python literal, which can fail in many ways.
    except Exception as error:
        raise Malformed(f"{name} has a header that cannot be read: {error}", code="damaged-file") from error
    if dtype.hasobject:
        raise _unusable(
            f"{name} holds Python objects, which are never read; use an array of numbers or strings"
        )
    if any(length < 0 for length in shape):
        raise Malformed(f"{name} has a negative length", code="damaged-file")
    if fortran and len(shape) > 1:
        raise _unusable(f"{name} is stored column by column; save numpy.ascontiguousarray({name}) instead")
    return shape, dtype, 8 + width + size


def _check_images(array: _Array) -> None:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "buif" or size > 8:
        raise _unusable(f"{array.name} holds {array.dtype}; use uint8, uint16 or floating-point numbers")


def _check_vector(array: _Array, length: int | None, kinds: str) -> None:
    shape: Sequence[int] = array.shape[:1] if array.shape[1:] == (1,) else array.shape
    if len(shape) != 1 or array.dtype.itemsize == 0 or shape[0] != (length or shape[0] or -1):
        wanted = (
            "one value for each class" if length is None else f"one value for each of the {length} images"
        )
        raise _unusable(f"{array.name} must hold {wanted}, and is {array.shape}")
    if array.dtype.kind not in kinds:
        raise _unusable(
            f"{array.name} holds {array.dtype}; use {'strings' if kinds == 'U' else 'integers or strings'}"
        )


def _unusable(detail: str) -> Invalid:
    return Invalid(detail, code="unusable-arrays")
