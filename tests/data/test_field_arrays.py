"""Arrays as people save them, after public reports: the range of their numbers, their names, and their labels."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from app.datasets.ingestion import archive_limits
from app.datasets.readers import open_upload
from app.datasets.readers.idx import IdxPair
from app.datasets.readers.joined import Joined
from app.datasets.readers.splits import DEV, TEST, TRAIN
from app.errors import DomainError
from app.settings import Settings
from engine.recipe.losses import Target

DRAW = np.random.default_rng(3)
BYTES = DRAW.integers(0, 256, (12, 4, 4), np.uint8)
BYTES.flat[:2] = 0, 255
LABELS = np.arange(12) % 3


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path: Path):
    def one(content: bytes, labels: bytes | None = None, target: Target = "class"):
        (tmp_path / "file").write_bytes(content)
        (tmp_path / "labels").write_bytes(labels or b"")
        beside = None if labels is None else tmp_path / "labels"
        with open_upload(tmp_path / "file", beside, archive_limits(Settings()), target) as reader:
            items = list(reader.items())
            return reader, items

    return one


def pixels(items) -> np.ndarray:
    return np.stack([item.content for item in items])


def refusal(read, *arguments, **options) -> str:
    with pytest.raises(DomainError) as caught:
        read(*arguments, **options)
    return caught.value.message


UNIT = BYTES / 255.0


def with_extremes(least: float, greatest: float) -> np.ndarray:
    images = UNIT * (65535 if greatest > 1000 else 255 if greatest > 2 else 1)
    images.flat[:2] = least, greatest
    return images


@pytest.mark.parametrize(
    ("images", "reading"),
    [
        (with_extremes(-0.001, 1.0), "0..1"),
        (with_extremes(-0.07, 1.09), "0..1"),
        (with_extremes(0.0, np.nextafter(np.float32(255), np.float32(256))), "0..255"),
        (with_extremes(-18.0, 271.0), "0..255"),
        (with_extremes(0, 65535.5), "0..65535"),
        (UNIT * 2 - 1, "-1..1"),
        ((UNIT * 2 - 1) * 1.05, "-1..1"),
        (UNIT.astype(np.float16), "0..1"),
        (BYTES.astype(np.uint16), "0..255"),
        (BYTES.astype(np.uint16) * 257, "0..65535"),
        (BYTES.astype(np.int32), "0..255"),
        ((BYTES > 99).astype(np.uint8), "0..1"),
        ((BYTES > 99).astype(np.int16), "0..1"),
        (BYTES > 99, None),
        (BYTES, None),
    ],
    ids=lambda value: (
        str(value)
        if isinstance(value, str)
        else f"{value.dtype} to {value.max():g}"
        if value is not None
        else ""
    ),
)
def test_numbers_are_read_in_a_range_that_they_fill_and_the_report_says_which(read, images, reading) -> None:
    reader, items = read(npz(images=images, labels=LABELS))
    stored = pixels(items)
    two_tones = images.max() <= 1 and images.dtype.kind in "biu"
    expected = (BYTES > 99) * np.uint8(255) if two_tones else BYTES
    # Beyond the numbers that were put there, and those that overshoot, nothing changes.
    assert np.abs(stored.astype(int) - expected)[np.unravel_index(range(2, 64), stored.shape)].max() <= 7
    assert (stored.min(), stored.max()) == (0, 255)
    assert [note for note in reader.notes if f"read as {reading}" in note] == list(reader.notes)
    assert bool(reader.notes) == (reading is not None)


@pytest.mark.parametrize(
    "images",
    [
        UNIT * 16,  # scikit-learn's digits
        UNIT / 255,  # divided twice
        UNIT - 0.5,
        UNIT * 4 - 2,
        UNIT * 1000,
        (UNIT * 4095).astype(np.uint16),  # 12 bits
        (UNIT * 16).astype(np.int64),
        BYTES.astype(np.int16) - 128,
        UNIT * 1e6,
        np.where(BYTES > 9, UNIT, np.inf),
    ],
    ids=lambda images: f"{images.dtype} {images.min():g} to {images.max():g}",
)
def test_numbers_that_would_become_black_or_washed_out_are_refused(read, images: np.ndarray) -> None:
    detail = refusal(read, npz(images=images, labels=LABELS))
    assert "images" in detail


def test_all_parts_of_a_file_have_one_range(read) -> None:
    # The test part alone would fit 0..1.
    dark = np.minimum(BYTES[8:], 1).astype(np.float32)
    parts = {"x_train": BYTES[:8].astype(np.float32), "x_test": dark}
    _, items = read(npz(**parts, y_train=LABELS[:8], y_test=LABELS[8:]))
    assert pixels(items)[8:].max() == 1
    masks = {"x_train": BYTES[:8], "x_test": np.minimum(BYTES[8:], 1)}
    _, items = read(npz(**masks, y_train=LABELS[:8], y_test=LABELS[8:]))
    assert pixels(items)[8:].max() == 1
    mixed = {"x_train": UNIT[:8], "x_test": BYTES[8:]}
    assert "float64, uint8" in refusal(read, npz(**mixed, y_train=LABELS[:8], y_test=LABELS[8:]))


def test_the_range_of_idx_files(read) -> None:
    def idx(array: np.ndarray) -> bytes:
        return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()

    labels = idx(LABELS.astype(np.uint8))
    reader, items = read(idx((BYTES > 99).astype(np.uint8)), labels)
    assert np.array_equal(pixels(items), (BYTES > 99) * np.uint8(255))
    assert "0..1" in reader.notes[0]
    reader, items = read(idx(BYTES), labels)
    assert np.array_equal(pixels(items), BYTES)
    assert reader.notes == ()
    assert "argmax" in refusal(read, idx(BYTES), idx(np.eye(3, dtype=np.uint8)[LABELS]))
    assert "like text" in refusal(read, idx(BYTES), b"label,image")


def test_several_idx_files_of_one_data_set_have_one_range(tmp_path: Path) -> None:
    def idx(array: np.ndarray, name: str) -> Path:
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (tmp_path / name).write_bytes(head + array.astype(np.uint8).tobytes())
        return tmp_path / name

    limits = archive_limits(Settings())
    labels = idx(LABELS, "labels")
    two_tones = (BYTES > 99).astype(np.uint8)
    for other, factor in ((BYTES, 1), (two_tones, 255)):
        pairs = [
            IdxPair(idx(images, name), labels, limits)
            for images, name in ((two_tones, "one"), (other, "two"))
        ]
        with Joined(pairs) as reader:
            stored = pixels(list(reader.items()))
        assert np.array_equal(stored, np.concatenate([two_tones, other]) * factor)
        assert len(reader.notes) == (factor != 1)


# Names of arrays


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("{}_images", "{}_labels"),  # MedMNIST
        ("x_{}", "y_{}"),
        ("X_{}", "Y_{}"),
        ("{}_x", "{}_y"),
        ("images_{}", "labels_{}"),
        ("{}_data", "{}_labels"),
    ],
)
@pytest.mark.parametrize("words", [("train", "val", "test"), ("training", "valid", "testing")])
def test_arrays_of_splits_by_the_names_that_people_use(read, x: str, y: str, words: tuple[str, ...]) -> None:
    arrays = {}
    for place, word in enumerate(words):
        arrays[x.format(word)] = BYTES[4 * place : 4 * place + 4]
        arrays[y.format(word)] = LABELS[4 * place : 4 * place + 4, None].astype(np.uint8)
    reader, items = read(npz(**arrays))
    assert reader.splits == {TRAIN, DEV, TEST}
    assert [item.split for item in items] == [TRAIN] * 4 + [DEV] * 4 + [TEST] * 4
    assert not reader.skipped


def test_no_array_is_passed_over_in_silence(read) -> None:
    good = {"x_train": BYTES[:8], "y_train": LABELS[:8], "x_test": BYTES[8:], "y_test": LABELS[8:]}
    reader, _ = read(npz(**good, mean=np.zeros(3), split=LABELS))
    assert [file.name for file in reader.skipped] == ["mean", "split"]
    lone = {name: array for name, array in good.items() if name != "y_test"}
    assert "x_test without y_test" in refusal(read, npz(**lone))
    assert "x_val" in refusal(read, npz(**good, x_val=BYTES[:2], y_val=LABELS[:2], x_dev=BYTES, y_dev=LABELS))


# Labels


def test_one_hot_labels_are_refused_with_what_would_fix_them(read) -> None:
    hot = np.eye(3)[LABELS]
    for labels in (hot, hot.astype(np.uint8), hot.astype(bool)):
        detail = refusal(read, npz(images=BYTES, labels=labels))
        assert "labels.argmax(axis=1)" in detail
        assert "target=labels" not in detail
    several = hot.copy()
    several[0] = 1
    assert "target=labels" in refusal(read, npz(images=BYTES, labels=several))
    assert "target=values" in refusal(read, npz(images=BYTES, labels=hot / 2))
    parts = {"x_train": BYTES[:8], "x_test": BYTES[8:], "y_train": hot[:8], "y_test": hot[8:]}
    assert "y_train.argmax(axis=1)" in refusal(read, npz(**parts))


def test_names_with_numbers_sort_as_numbers(read) -> None:
    names = np.array(["fold 1", "fold 2", "fold 10"])
    reader, items = read(npz(images=BYTES, labels=names[LABELS]))
    assert reader.classes == tuple(names)
    assert [item.label for item in items] == LABELS.tolist()


UNUSABLE = ["\ud800", "a\x00b", "a\nb", "x" * 300, "", " ", "\x9f"]


@pytest.mark.parametrize("name", UNUSABLE, ids=ascii)
def test_names_that_no_answer_can_hold_are_refused(read, name: str) -> None:
    labels = np.array(["good", "better", name])
    assert "labels holds the name" in refusal(read, npz(images=BYTES, labels=labels[LABELS]))
    assert "class_names holds the name" in refusal(read, npz(images=BYTES, labels=LABELS, class_names=labels))
    with_values = npz(images=BYTES, labels=np.zeros((12, 3)), class_names=labels)
    assert "class_names holds the name" in refusal(read, with_values, target="values")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08\x00" + bytes(40), "gzip"),
        (b"", "empty"),
        (b"Rar!\x1a\x07\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"file,label\n1.png,cat\n", "text"),
        (b"\x93NUMPY\x01\x00", "npy"),
        (b"\x80\x04\x95", "pickle"),
        (bytes(257) + b"ustar" + bytes(300), "tar"),
        (b"<html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_another_file_is_called_by_its_name_and_what_to_send_is_said(
    read, content: bytes, words: str
) -> None:
    detail = refusal(read, content)
    assert words in detail
    assert "send a zip" in detail


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["labels", "class_names", "split"])
def test_code_points_beyond_unicode_are_refused(read, name: str, order: str) -> None:
    points = np.zeros(12, f"{order}u4") + np.array([0x110000], f"{order}u4")
    words = points.astype(f"{order}u4").view(f"{order}U1")
    content = npz(**{"images": BYTES, "labels": LABELS, name: words})
    assert f"{name} holds code points beyond Unicode" in refusal(read, content)
