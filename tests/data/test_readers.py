"""Each format is read as it is meant; what is damaged, too large or ambiguous is refused before it costs anything."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.readers import open_upload
from app.datasets.readers.splits import DEV, TEST, TRAIN
from app.datasets.readers.zip_file import ArchiveLimits
from app.errors import DomainError, Invalid, Malformed, TooLarge

LIMITS = ArchiveLimits(entries=1000, ratio=100, member_bytes=4_000_000, unpacked_bytes=1 << 20)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 5), np.uint8)
LABELS = np.arange(12) % 3


def pack(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npz(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def zipped(content: bytes, level: int = 9) -> bytes:
    """Gzip without the clock in its header: the bytes name tests, which every process must name alike."""
    return gzip.compress(content, level, mtime=0)


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def read(tmp_path: Path):
    def read_one(content: bytes, labels: bytes | None = None, limits: ArchiveLimits = LIMITS):
        (tmp_path / "file").write_bytes(content)
        if labels is not None:
            (tmp_path / "labels").write_bytes(labels)
        beside = tmp_path / "labels" if labels is not None else None
        with open_upload(tmp_path / "file", beside, limits) as reader:
            return reader, list(reader.items())

    return read_one


def refused(read, *arguments: bytes | None, limits: ArchiveLimits = LIMITS) -> DomainError:
    with pytest.raises(DomainError) as caught:
        read(*arguments, limits=limits)
    return caught.value


# Archives of pictures


@pytest.mark.parametrize("top", ["", "pets/"])
@pytest.mark.parametrize("names", [("train", "dev", "test"), ("Training", "val", "TEST")])
def test_split_folders_above_the_classes(read, top: str, names: tuple[str, ...]) -> None:
    entries = {
        f"{top}{split}/{kind}/{n}.png": b"x" for split in names for kind in ("cat", "dog") for n in (1, 2)
    }
    reader, items = read(pack({**entries, f"{top}README": b"x"}))
    assert (reader.format, reader.classes, reader.splits) == ("zip", ("cat", "dog"), {TRAIN, DEV, TEST})
    words = dict(zip(names, (TRAIN, DEV, TEST), strict=True))
    for item in items:
        split, kind, _ = item.name.removeprefix(top).split("/")
        assert (item.split, reader.classes[item.label], item.content) == (words[split], kind, b"x")
    assert [file.name for file in reader.skipped] == [f"{top}README"]


def test_classes_may_be_called_like_splits(read) -> None:
    reader, items = read(pack({f"{name}/{n}.png": b"x" for name in ("train", "plane") for n in (1, 2)}))
    assert reader.classes == ("plane", "train")
    assert {item.split for item in items} == {None}


MANIFEST = "file,label,split\nimages/1.png,cat,train\nimages/2.png,dog,val\nimages/3.png,cat,\n"
FILES = {f"images/{n}.png": str(n).encode() for n in range(1, 5)}


@pytest.mark.parametrize(
    "text",
    [
        MANIFEST,
        MANIFEST.replace(",", ";"),
        MANIFEST.replace("\n", "\r\n"),
        "\ufeff" + MANIFEST,
        'label,id,"file",split\ncat,7,images/1.png,train\n\ndog,8,"images/2.png",DEV\ncat,9,./images/3.png,\n',
    ],
)
@pytest.mark.parametrize("top", ["", "pets/"])
def test_a_manifest(read, text: str, top: str) -> None:
    entries = {"manifest.csv": text.encode(), **FILES}
    reader, items = read(pack({top + name: content for name, content in entries.items()}))
    assert reader.classes == ("cat", "dog")
    assert [(item.label, item.split, item.content) for item in items] == [
        (0, TRAIN, b"1"),
        (0, None, b"3"),
        (1, DEV, b"2"),
    ]
    assert [(file.name, file.kind) for file in reader.skipped] == [(f"{top}images/4.png", "misplaced")]


def test_a_manifest_that_names_what_is_not_there_or_twice(read) -> None:
    text = MANIFEST + "images/9.png,dog,\nimages/1.png,dog,\n../1.png,dog,\n"
    reader, items = read(pack({"list.csv": text.encode(), **FILES}))
    assert len(items) == 3
    reasons = {file.name: (file.kind, file.reason) for file in reader.skipped}
    assert "not in the archive" in reasons["images/9.png"][1]
    assert reasons["images/1.png"][0] == "contradiction"
    assert "line 6" in reasons["images/1.png"][1]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (MANIFEST + "images/4.png,,\n", "line 5 has no label"),
        (MANIFEST + ",cat,\n", "line 5 has no file"),
        (MANIFEST + "images/4.png,cat,later\n", "later"),
        (MANIFEST + "images/4.png,\x07,\n", "unusable label"),
        (MANIFEST + 'images/4.png,"cat\n', "no CSV"),
        ("file,label\nimages/1.png,cat\n", "one class only"),
        ("file,label\nother.png,cat\n", "names no file"),
    ],
)
def test_a_bad_manifest(read, text: str, word: str) -> None:
    assert word in refused(read, pack({"manifest.csv": text.encode(), **FILES})).detail


def test_a_manifest_in_another_encoding(read) -> None:
    for encoding, name in (
        ("latin-1", "Windows-1252"),
        ("cp1252", "Windows-1252"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-8-sig", "UTF-8"),
        ("utf-8", "UTF-8"),
    ):
        for delimiter in ",;\t":
            text = MANIFEST.replace("cat", "été").replace(",", delimiter).encode(encoding)
            reader, items = read(pack({"manifest.csv": text, **FILES}))
            assert reader.classes == ("dog", "été"), encoding
            assert [item.content for item in items] == [b"2", b"1", b"3"]
            assert name in reader.notes[0]


def test_a_table_that_is_no_manifest_is_a_stray_file(read) -> None:
    reader, _ = read(pack({"notes.csv": b"name,age\n", "cat/1.png": b"x", "dog/1.png": b"x"}))
    assert (reader.classes, [file.name for file in reader.skipped]) == (("cat", "dog"), ["notes.csv"])


# Arrays


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(12, 4, 5), (12, 4, 5, 1), (4, 5, 4, 3)])
def test_npz(read, compressed: bool, shape: tuple[int, ...]) -> None:
    images = IMAGES.reshape(shape)
    labels = LABELS[: len(images)] * 10
    reader, items = read(npz(compressed, images=images, labels=labels))
    assert (reader.format, reader.classes, reader.splits) == ("npz", ("0", "10", "20"), frozenset())
    assert reader.image_shape == (*images.shape[1:3], shape[3] if len(shape) == 4 else 1)
    assert np.array_equal(np.stack([item.content for item in items]), images)
    assert [item.label * 10 for item in items] == labels.tolist()
    assert items[7 % len(items)].name == f"images[{7 % len(items)}]"


@pytest.mark.parametrize("split", [np.array(["train", "val", "test"] * 4), np.tile([0, 1, 2], 4)])
def test_npz_with_splits_and_class_names(read, split: np.ndarray) -> None:
    names = np.array(["b", "a", "ü"])
    reader, items = read(npz(images=IMAGES, labels=LABELS[:, None], split=split, class_names=names))
    assert reader.classes == ("b", "a", "ü")
    assert [item.split for item in items] == [TRAIN, DEV, TEST] * 4
    assert read(npz(images=IMAGES, labels=names[LABELS]))[0].classes == ("a", "b", "ü")


def test_npz_of_train_and_test_arrays(read) -> None:
    arrays = {"x_train": IMAGES[:8], "y_train": LABELS[:8], "x_test": IMAGES[8:], "y_test": LABELS[8:]}
    reader, items = read(npz(**arrays))
    assert reader.splits == {TRAIN, TEST}
    assert [item.split for item in items] == [TRAIN] * 8 + [TEST] * 4
    assert np.array_equal(np.stack([item.content for item in items]), IMAGES)
    assert items[8].name == "x_test[0]"


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.astype(np.uint16) * 257,
        IMAGES / 255,
        (IMAGES / 127.5 - 1).astype(np.float32),
        IMAGES.astype(np.float16),
        IMAGES.astype(np.int64),
        IMAGES.astype(">i4") * 257,
    ],
    ids=lambda images: f"{images.dtype} to {images.max():g}",
)
def test_values_of_other_ranges_are_scaled_and_not_clipped(read, images: np.ndarray) -> None:
    images = images.copy()
    images.flat[0], images.flat[1] = images.min(), images.max()
    expected = IMAGES.copy()
    expected.flat[0], expected.flat[1] = IMAGES.min(), IMAGES.max()
    _, items = read(npz(images=images, labels=LABELS))
    assert np.array_equal(np.stack([item.content for item in items]), expected)


def test_truth_values_are_black_and_white(read) -> None:
    _, items = read(npz(images=IMAGES > 99, labels=LABELS))
    assert np.array_equal(np.stack([item.content for item in items]), (IMAGES > 99) * np.uint8(255))


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"pictures": IMAGES, "labels": LABELS}, "images and labels"),
        ({"images": IMAGES[0], "labels": LABELS}, "4x5"),
        ({"images": IMAGES.reshape(12, 2, 5, 2), "labels": LABELS}, "12x2x5x2"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no pictures"),
        ({"images": IMAGES, "labels": LABELS[:11]}, "12 images"),
        ({"images": IMAGES, "labels": LABELS / 2}, "integers"),
        ({"images": IMAGES, "labels": LABELS * 0}, "one class only"),
        ({"images": IMAGES, "labels": LABELS - 1, "class_names": np.array(["a", "b", "c"])}, "-1"),
        ({"images": IMAGES, "labels": LABELS, "class_names": np.array(["a", "b"])}, "2 class names"),
        ({"images": IMAGES, "labels": LABELS, "class_names": np.array(["a", "b", "a"])}, "different"),
        ({"images": IMAGES, "labels": LABELS, "class_names": np.array([], "U1")}, "one value for each class"),
        ({"images": IMAGES, "labels": LABELS, "split": np.array(["train", "later"] * 6)}, "later"),
        ({"images": IMAGES, "labels": LABELS, "split": np.arange(12)}, "'3'"),
        ({"images": np.asfortranarray(IMAGES), "labels": LABELS}, "ascontiguousarray"),
        ({"images": IMAGES * 300.0, "labels": LABELS}, "76500"),
        ({"images": IMAGES - 60.0, "labels": LABELS}, "-60"),
        ({"images": np.where(IMAGES > 9, IMAGES, np.nan), "labels": LABELS}, "finite"),
        ({"images": IMAGES.astype(complex), "labels": LABELS}, "complex"),
        ({"images": np.zeros((1, 3000, 1), np.uint8), "labels": LABELS[:1]}, "2048"),
    ],
)
def test_arrays_that_cannot_be_used(read, arrays: dict[str, np.ndarray], word: str) -> None:
    assert word in refused(read, npz(**arrays)).detail


def test_objects_are_never_unpickled(read) -> None:
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    trap = np.array([Trap()] * 12, object)
    buffer = io.BytesIO()
    np.savez(buffer, images=IMAGES, labels=trap)
    assert "objects" in refused(read, buffer.getvalue()).detail
    buffer = io.BytesIO()
    np.savez(buffer, images=trap, labels=LABELS)
    assert "objects" in refused(read, buffer.getvalue()).detail


def npy(shape: tuple[int, ...], content: bytes, descr: str = "|u1") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


@pytest.mark.parametrize("shape", [(1_000_000, 2000, 2000), (12, 4, 6), (11, 4, 5), (2**62, 2**62, 2)])
def test_a_header_that_promises_what_is_not_there(read, shape: tuple[int, ...]) -> None:
    content = pack({"images.npy": npy(shape, IMAGES.tobytes()), "labels.npy": npy((12,), bytes(12))})
    tracemalloc.start()
    error = refused(read, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, Malformed)
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "header", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff", b"\x93NUMPY\x01\x00\x04\x00{[}("]
)
def test_a_damaged_header(read, header: bytes) -> None:
    content = pack({"images.npy": header, "labels.npy": npy((12,), bytes(12))})
    assert isinstance(refused(read, content), Malformed)


def test_a_bomb_of_zeros(read) -> None:
    zeros = npy((20_000, 32, 32), bytes(20_000 * 1024))
    error = refused(read, pack({"images.npy": zeros, "labels.npy": npy((20_000,), bytes(20_000))}))
    assert error.code == "suspicious-compression"


@given(position=st.integers(0, 3000), value=st.integers(0, 255))
def test_damage_to_an_npz_raises_nothing_but_our_errors(tmp_path_factory, position: int, value: int) -> None:
    content = bytearray(npz(compressed=True, images=IMAGES, labels=LABELS))
    content[position % len(content)] = value
    path = tmp_path_factory.mktemp("npz") / "file"
    path.write_bytes(content)
    try:
        with open_upload(path, None, LIMITS) as reader:
            assert len(list(reader.items())) <= 12
    except DomainError:
        pass


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(12, 4, 5), (12, 4, 5, 1), (4, 5, 4, 3)])
def test_idx(read, packed: bool, shape: tuple[int, ...]) -> None:
    images = IMAGES.reshape(shape)
    labels = LABELS[: len(images)].astype(np.uint8) + 5
    squeeze = zipped if packed else bytes
    reader, items = read(squeeze(idx(images)), squeeze(idx(labels)))
    assert (reader.format, reader.classes, reader.splits) == ("idx", ("5", "6", "7"), frozenset())
    assert np.array_equal(np.stack([item.content for item in items]), images)
    assert [item.label + 5 for item in items] == labels.tolist()


GOOD_LABELS = idx(LABELS.astype(np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "kind", "word"),
    [
        (idx(IMAGES)[:-1], GOOD_LABELS, Malformed, "cut short"),
        (idx(IMAGES) + b"x", GOOD_LABELS, Malformed, "cut short or changed"),
        (zipped(idx(IMAGES)[:-1]), GOOD_LABELS, Malformed, "cut short"),
        (zipped(idx(IMAGES) + b"x"), GOOD_LABELS, Malformed, "more than its header"),
        (zipped(idx(IMAGES))[:-12], GOOD_LABELS, Malformed, "damaged"),
        (zipped(b"hello"), GOOD_LABELS, Invalid, "no IDX file"),
        (b"\x1f\x8b not gzip", GOOD_LABELS, Malformed, "damaged"),
        (idx(IMAGES), GOOD_LABELS[:-1], Malformed, "labels"),
        (idx(IMAGES), idx(LABELS[:11].astype(np.uint8)), Invalid, "12 images and 11 labels"),
        (GOOD_LABELS, idx(IMAGES), Invalid, "mixed up"),
        (idx(IMAGES), idx(IMAGES), Invalid, "dimensions"),
        (GOOD_LABELS, GOOD_LABELS, Invalid, "pictures are"),
        (idx(IMAGES), idx(LABELS.astype(">i4"), 12), Invalid, "0x0c"),
        (idx(IMAGES), None, Invalid, "needs one of labels"),
        (npz(images=IMAGES, labels=LABELS), GOOD_LABELS, Invalid, "holds its own"),
    ],
)
def test_idx_files_that_are_refused(read, images: bytes, labels: bytes | None, kind, word: str) -> None:
    error = refused(read, images, labels)
    assert isinstance(error, kind)
    assert word in error.detail


def test_idx_headers_are_checked_before_anything_is_allocated(read) -> None:
    huge = struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    bomb = zipped(idx(np.zeros((30_000, 32, 32), np.uint8)))
    tracemalloc.start()
    plain, packed = refused(read, huge, GOOD_LABELS), refused(read, zipped(huge), GOOD_LABELS)
    many = refused(read, bomb, GOOD_LABELS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(plain, Malformed)
    assert isinstance(packed, TooLarge)
    assert many.code == "suspicious-compression"
    assert peak < 1_000_000


def test_images_are_read_as_a_stream(read, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32), np.uint8)
    labels = np.arange(20_000) % 10
    (tmp_path / "one").write_bytes(npz(images=noise, labels=labels))
    (tmp_path / "two").write_bytes(zipped(idx(noise), 1))
    (tmp_path / "three").write_bytes(idx(labels.astype(np.uint8)))
    del noise
    for file, beside in (("one", None), ("two", tmp_path / "three")):
        tracemalloc.start()
        with open_upload(tmp_path / file, beside, LIMITS) as reader:
            assert sum(1 for _ in reader.items()) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8_000_000, file
