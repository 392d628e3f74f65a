"""What is written is what is read, through memory maps, over any number of segments."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.segments import Segment, WrittenSegment, write_segment
from app.datasets.storage import StoredDataset
from app.files.artifacts import LocalArtifacts

SHAPE = (4, 3, 1)


def make(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return (
        draw.integers(0, 256, (count, *SHAPE), np.uint8),
        draw.integers(0, 5, count).astype(np.int32),
        draw.integers(0, 3, count).astype(np.uint8),
    )


def write(
    folder: Path, number: int, images: np.ndarray, labels: np.ndarray, splits: np.ndarray
) -> WrittenSegment:
    pictures = zip(images, labels.tolist(), strict=True)
    return write_segment(LocalArtifacts(folder), "ds_1", number, SHAPE, 5, pictures, lambda _: splits)


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[StoredDataset, np.ndarray, np.ndarray, np.ndarray]:
    parts = [make(count, seed) for seed, count in enumerate((10, 1, 25))]
    segments = [
        Segment.open(LocalArtifacts(tmp_path), write(tmp_path, number, *part).record.path)
        for number, part in enumerate(parts, start=1)
    ]
    whole = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    return StoredDataset(segments), whole[0], whole[1], whole[2]


def test_segments_are_read_as_one(dataset) -> None:
    stored, images, labels, splits = dataset
    assert stored.image_shape == SHAPE
    for code, name in enumerate(("train", "dev", "test")):
        part = stored.split(name)
        wanted = np.flatnonzero(splits == code)
        assert len(part) == len(wanted)
        read, classes = part.read(np.arange(len(part)))
        assert np.array_equal(read, images[wanted])
        assert np.array_equal(classes, labels[wanted])
        assert read.dtype == np.uint8
        assert classes.dtype == np.int64


def test_any_order_and_repetition(dataset) -> None:
    stored, images, labels, _ = dataset
    order = np.random.default_rng(1).integers(0, 36, 100)
    everything = stored.split()
    assert np.array_equal(everything.read(order)[0], images[order])
    assert np.array_equal(everything.read(order)[1], labels[order])
    assert everything.read(np.empty(0, np.int64))[0].shape == (0, *SHAPE)
    with pytest.raises(IndexError):
        everything.read(np.array([36]))


def test_what_is_read_is_a_copy(dataset) -> None:
    stored, images, _, _ = dataset
    for number in (0, 30):
        read, _ = stored.read(number)
        read[:] = 0
        assert np.array_equal(stored.read(number)[0], images[number])


@pytest.mark.parametrize("pinned", [1, 10, 11, 20, 36])
def test_a_pinned_number_hides_what_arrived_later(dataset, pinned: int) -> None:
    stored, images, _, splits = dataset
    earlier = StoredDataset(stored.segments, pinned)
    assert len(earlier.split()) == pinned
    assert sum(len(earlier.split(name)) for name in ("train", "dev", "test")) == pinned
    assert earlier.counts(5).sum() == pinned
    train = earlier.split("train")
    assert np.array_equal(train.read(np.arange(len(train)))[0], images[:pinned][splits[:pinned] == 0])


def test_counts(dataset) -> None:
    stored, _, labels, splits = dataset
    counts = stored.counts(5)
    for label in range(5):
        for code in range(3):
            assert counts[label, code] == np.sum((labels == label) & (splits == code))


def test_the_files_are_plain_npy(tmp_path: Path) -> None:
    images, labels, splits = make(7, 0)
    written = write(tmp_path, 1, images, labels, splits)
    folder = tmp_path / written.record.path
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "labels.npy", "splits.npy"]
    assert np.array_equal(np.load(folder / "images.npy", allow_pickle=False), images)
    assert np.array_equal(np.load(folder / "labels.npy", allow_pickle=False), labels)
    assert np.array_equal(np.load(folder / "splits.npy", allow_pickle=False), splits)
    assert written.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert written.counts.sum() == written.record.images == 7


def test_equal_pictures_have_equal_checksums_and_others_have_not(tmp_path: Path) -> None:
    parts = make(7, 0)
    one, same = (write(tmp_path / name, 1, *parts).record.sha256 for name in "ab")
    assert one == same
    for changed in range(3):
        others = [array.copy() for array in parts]
        others[changed].flat[0] = others[changed].flat[0] == 0
        assert write(tmp_path / "c", 1, *others).record.sha256 != one


@given(count=st.integers(1, 30))
def test_any_number_of_pictures(tmp_path_factory: pytest.TempPathFactory, count: int) -> None:
    folder = tmp_path_factory.mktemp("segment")
    images, labels, splits = make(count, count)
    path = write(folder, 1, images, labels, splits).record.path
    stored = StoredDataset([Segment.open(LocalArtifacts(folder), path)])
    assert np.array_equal(stored.split().read(np.arange(count))[0], images)


def test_writing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def pictures() -> Iterator[tuple[np.ndarray, int]]:
        yield np.zeros(SHAPE, np.uint8), 0
        raise KeyError("the source broke")

    with pytest.raises(KeyError, match="broke"):
        write_segment(LocalArtifacts(tmp_path), "ds_1", 1, SHAPE, 1, pictures(), lambda labels: labels)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_segments_that_do_not_fit_together_are_refused(tmp_path: Path, dataset) -> None:
    stored, _, _, _ = dataset
    other = Segment(np.zeros((1, 5, 5, 1), np.uint8), np.zeros(1, np.int32), np.zeros(1, np.uint8))
    with pytest.raises(ValueError, match="different shapes"):
        StoredDataset([*stored.segments, other])
    with pytest.raises(ValueError, match="37 pictures"):
        StoredDataset(stored.segments, 37)
    with pytest.raises(ValueError, match="differ in length"):
        Segment(other.images, np.zeros(2, np.int32), other.splits)
    with pytest.raises(ValueError, match="at least one"):
        StoredDataset([])


def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    shape, count = (128, 128, 3), 1000  # 49 MB
    picture = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    pictures = ((picture, number % 2) for number in range(count))
    tracemalloc.start()
    try:
        written = write_segment(
            LocalArtifacts(tmp_path),
            "ds_1",
            1,
            shape,
            2,
            pictures,
            lambda labels: np.zeros(len(labels), np.uint8),
        )
        stored = StoredDataset([Segment.open(LocalArtifacts(tmp_path), written.record.path)])
        read = stored.split("train").read(np.arange(900, 910))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written.bytes > count * picture.nbytes
    assert np.array_equal(read[0][3], picture)
    assert peak < 5_000_000
