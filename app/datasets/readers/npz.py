"""Arrays in an npz file: images and labels, or pairs of them for train, dev and test, as Keras and MedMNIST write them.

No object is ever unpickled. The header of each array is held against the size of its member before
anything is allocated, and the images are read as a stream.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.arrays import check_names, check_shape, chunks, index_labels, read_exactly
from app.datasets.readers.base import MAX_CLASSES, MAX_IMAGES, SPLIT_WORDS, Item, Reader
from app.datasets.readers.left_out import LeftOut, Skipped
from app.datasets.readers.scale import Scale, choose_scale
from app.datasets.readers.splits import SPLIT_NAMES
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
_PAIRS = (
    ("x_{}", "y_{}"),
    ("{}_x", "{}_y"),
    ("{}_images", "{}_labels"),
    ("images_{}", "labels_{}"),
    ("{}_data", "{}_labels"),
)
"""What people call the images and labels of a split, in lower case."""
_SMALL_BYTES = 256 << 20
_HEADER_BYTES = 10_000
_MOST_CHARACTERS = 1024
"""Of each string of an array, which has room for the longest one in all places."""
_HINT = "save it with numpy.savez(file, images=..., labels=...), or x_train=..., y_train=..., x_test=..., y_test=..."


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
        scale = self._find_scale()
        position = 0
        for part in self._parts:
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
        arrays = {name: self._header(name, member) for name, member in members.items()}
        self._parts = _find_parts(arrays)
        self.skipped = self._unused(arrays)
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
        given = {part.split for part in self._parts} if self._splits is None else set(self._splits.tolist())
        self.splits = frozenset(split for split in given if split is not None)

    def _find_scale(self) -> Scale:
        pictures = [part.images for part in self._parts]
        scale = choose_scale(
            " and ".join(array.name for array in pictures),
            [array.dtype for array in pictures],
            itertools.chain.from_iterable(map(self._chunks, pictures)),
        )
        self.notes = (scale.note,) if scale.note else ()
        return scale

    def _unused(self, arrays: dict[str, _Array]) -> LeftOut:
        """Return the arrays that are not read, for the report."""
        used = {array.name for part in self._parts for array in (part.images, part.labels)} | {CLASS_NAMES}
        if len(self._parts) == 1:
            used.add(SPLIT)
        odd = [
            member.name
            for member in self._archive.members
            if member.parts[0].removesuffix(".npy") not in arrays
        ]
        return LeftOut(
            Skipped(name, "it is no array that is read")
            for name in (*sorted(arrays.keys() - used), *sorted(odd))
        )

    def _check_labels(self, part: _Part) -> None:
        images, labels = part.images.shape[0], part.labels
        if self.target != "class":
            check_array(labels.shape, labels.dtype, images, self.target)
            return
        if len(labels.shape) == 2 and labels.shape[1] > 1:
            raise self._several_numbers(labels)
        if len(labels.shape) == 1 and labels.dtype.kind in "fbS" and labels.dtype.itemsize:
            raise self._converted(labels)
        _check_vector(labels, images, "iuU")

    def _converted(self, labels: _Array) -> Invalid:
        """Make the error for labels of a type that another one can be made of."""
        detail, kind = f"{labels.name} holds {labels.dtype}", labels.dtype.kind
        integers = f"save {labels.name}.astype(int) as {labels.name}"
        if kind == "S":
            return _unusable(f"{detail}; save {labels.name}.astype(str) as {labels.name}")
        if kind == "b":
            return _unusable(f"{detail}; {integers}, and the names of False and True as {CLASS_NAMES}")
        numbers = self._read(labels)
        if bool((np.isfinite(numbers) & (numbers == np.round(numbers))).all()):
            return _unusable(f"{detail}, and classes are integers or names; {integers}")
        return unfit(
            f"{detail}, numbers that are not whole, and classes are integers or names", "say target=values"
        )

    def _several_numbers(self, labels: _Array) -> Invalid:
        detail = f"{labels.name} holds {labels.shape[1]} numbers for each image, and a class is one"
        if labels.dtype.kind not in "biuf":
            return unfit(detail, "give every image the number or name of its class")
        numbers = self._read(labels)
        whole = bool(np.isin(numbers, (0, 1)).all())
        if whole and bool((numbers.sum(axis=1) == 1).all()):
            return unfit(
                f"{detail}; they are one-hot, a single 1 in each row",
                f"save {labels.name}.argmax(axis=1) as {labels.name}",
            )
        return unfit(detail, "say target=labels" if whole else "say target=values")

    def _read_classes(self, members: dict[str, Member]) -> None:
        kinds = {part.labels.dtype.kind for part in self._parts}
        if "U" in kinds and len(kinds) > 1:
            raise _unusable("some labels are numbers and others are names")
        pieces = itertools.chain.from_iterable(self._pieces(part.labels) for part in self._parts)
        self.classes, self.labels = index_labels(pieces, self._names(members), LABELS)

    def _read_targets(self, members: dict[str, Member]) -> Targets:
        shapes = [part.labels.shape for part in self._parts]
        widths = {shape[1] if len(shape) == 2 else 1 for shape in shapes}
        if len(widths) > 1:
            raise _unusable(f"the arrays hold different numbers of {NOUNS[self.target]}: {sorted(widths)}")
        images, width = sum(shape[0] for shape in shapes), widths.pop()
        check_size(images, width, self.target)
        targets = np.empty((images, width), np.float32)
        done = 0
        for piece in itertools.chain.from_iterable(self._pieces(part.labels) for part in self._parts):
            targets[done : done + len(piece)] = read_array(piece, self.target)
            done += len(piece)
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
        return np.concatenate(list(self._pieces(array)))

    def _pieces(self, array: _Array) -> Iterator[NDArray[Any]]:
        """Read an array piece by piece, and look at its characters."""
        for piece in self._chunks(array):
            if piece.dtype.kind == "U":
                points = piece.view(np.dtype(np.uint32).newbyteorder(piece.dtype.byteorder))
                if points.max(initial=0) > sys.maxunicode:
                    raise _unusable(
                        f"{array.name} holds code points beyond Unicode; save it as strings of NumPy"
                    )
            yield piece

    def _names(self, members: dict[str, Member]) -> tuple[str, ...] | None:
        if CLASS_NAMES not in members:
            return None
        array = self._header(CLASS_NAMES, members[CLASS_NAMES])
        _check_vector(array, None, "U")
        if array.shape[0] > MAX_CLASSES:
            raise TooLarge(f"{CLASS_NAMES} holds {array.shape[0]} names; at most {MAX_CLASSES} are taken")
        return tuple(
            unicodedata.normalize("NFC", str(name))
            for piece in self._pieces(array)
            for name in piece.reshape(-1)
        )

    def _read_splits(self, members: dict[str, Member]) -> NDArray[np.uint8] | None:
        if SPLIT not in members:
            return None
        array = self._header(SPLIT, members[SPLIT])
        _check_vector(array, len(self.labels), "iuU")
        values = self._read(array).reshape(-1)
        meanings: dict[Any, int] = (
            SPLIT_WORDS if values.dtype.kind == "U" else {code: code for code in range(len(SPLIT_NAMES))}
        )
        words, inverse = np.unique(values, return_inverse=True)
        codes = [meanings.get(str(word).lower() if words.dtype.kind == "U" else int(word)) for word in words]
        if None in codes:
            bad = words[codes.index(None)]
            raise _unusable(f"split holds {str(bad)[:40]!r}; write train, dev, test or 0, 1, 2")
        return np.array(codes, np.uint8)[inverse.reshape(-1)]


def is_npz(path: Path) -> bool:
    """Tell by its first entry's name whether a zip archive is an npz file; it may still be refused as one."""
    with path.open("rb") as file:
        head = file.read(30)
        length = int.from_bytes(head[26:28], "little")
        name = file.read(length)
    return name.endswith(b".npy") and b"/" not in name


def _find_parts(arrays: dict[str, _Array]) -> tuple[_Part, ...]:
    """Find the images and their labels.

    Raises:
        Invalid: there are none, or a split has only one of the two.
    """
    if IMAGES in arrays and LABELS in arrays:
        return (_Part(arrays[IMAGES], arrays[LABELS], None),)
    lower = {name.lower(): array for name, array in arrays.items()}
    for images, labels in _PAIRS:
        pairs = [(images.format(word), labels.format(word), split) for word, split in SPLIT_WORDS.items()]
        parts = [_Part(lower[x], lower[y], split) for x, y, split in pairs if x in lower and y in lower]
        if not parts:
            continue
        for x, y, _ in pairs:
            if (x in lower) != (y in lower):
                there, missing = (x, y) if x in lower else (y, x)
                raise _unusable(f"the npz file has {lower[there].name} without {missing}; {_HINT}")
        _check_parts(parts)
        return tuple(parts) if len(parts) > 1 else (_Part(parts[0].images, parts[0].labels, None),)
    found = ", ".join(sorted(arrays)[:20]) or "nothing"
    raise _unusable(f"the npz file must hold the arrays images and labels, and holds {found}; {_HINT}")


def _check_parts(parts: Sequence[_Part]) -> None:
    for one, other in itertools.pairwise(sorted(parts, key=lambda part: part.split or 0)):
        if one.split == other.split:
            raise _unusable(f"the arrays {one.images.name} and {other.images.name} are of the same split")


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
        detail = f"{name} has a header that is not as NumPy writes it; it was changed, or damaged"
        raise Malformed(detail, code="damaged-file") from error
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
    if array.dtype.kind == "U" and array.dtype.itemsize > 4 * _MOST_CHARACTERS:
        raise TooLarge(
            f"{array.name} holds {array.dtype}, strings of more than {_MOST_CHARACTERS} characters each"
        )


def _unusable(detail: str) -> Invalid:
    return Invalid(detail, code="unusable-arrays")
