"""Every format becomes a data set over HTTP, with the splits it brings, and pictures as they should be."""

import base64
import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.datasets.readers.splits import TEST, TRAIN, UNASSIGNED, SplitShares, place

PHOTOS = Path(__file__).parent / "photos"
DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (30, 6, 7), np.uint8)
LABELS = (np.arange(30) % 3).astype(np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def pack(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def make(http: httpx.Client, wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def one(files: dict[str, bytes], **fields: str) -> dict[str, Any]:
        parts = {name: (name, content) for name, content in files.items()}
        return settle(http.post("/v1/datasets", files=parts, data=fields))

    def settle(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 202, answer.text

        def settled() -> Any:
            dataset = http.get(answer.headers["Location"]).json()
            return dataset if dataset["status"] != "ingesting" else None

        found: dict[str, Any] = wait_for(settled)
        assert found["status"] == "ready", found
        return found

    one.settle = settle  # type: ignore[attr-defined]
    return one


def stored(http: httpx.Client, dataset: str, number: int) -> tuple[np.ndarray, str, str]:
    answer = http.get(f"/v1/datasets/{dataset}/images/{number}")
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    return pixels, answer.headers["Image-Label"], answer.headers["Image-Split"]


def test_an_npz_file(http: httpx.Client, make) -> None:
    names = np.array(["a", "b", "c"])
    split = np.array(["train"] * 20 + ["dev"] * 4 + ["test"] * 6)
    dataset = make({"file": npz(images=IMAGES, labels=LABELS, class_names=names, split=split)})
    assert dataset["image_shape"] == [6, 7, 1]
    assert dataset["splits"] == {"train": 20, "dev": 4, "test": 6}
    assert dataset["report"]["source"]["format"] == "npz"
    for number in (0, 21, 29):
        pixels, label, where = stored(http, dataset["id"], number)
        assert np.array_equal(pixels, IMAGES[number])
        assert (label, where) == (names[number % 3], split[number])


def test_an_npz_file_of_another_shape_than_wanted(http: httpx.Client, make) -> None:
    noise = np.repeat(DRAW.random((9, 20, 20, 1)), 3, axis=3)
    dataset = make({"file": npz(images=noise, labels=LABELS[:9])}, image_size="10", channels="1")
    assert dataset["image_shape"] == [10, 10, 1]
    pixels, _, _ = stored(http, dataset["id"], 0)
    assert abs(pixels.mean() - noise[0].mean() * 255) < 8


@pytest.mark.parametrize("squeeze", [pytest.param(bytes, marks=pytest.mark.slow), gzip.compress])
def test_an_idx_pair(http: httpx.Client, make, squeeze: Callable[[bytes], bytes]) -> None:
    files = {"file": squeeze(idx(IMAGES)), "labels": squeeze(idx(LABELS))}
    dataset = make(files, name="pair")
    assert dataset["classes"] == [{"name": name, "images": 10} for name in "012"]
    assert dataset["splits"] == {"train": 24, "dev": 3, "test": 3}
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    same = make.settle(http.post("/v1/datasets", json=encoded))
    assert same["fingerprint"] == dataset["fingerprint"]
    alone = http.post("/v1/datasets", files={"file": ("images", files["file"])})
    assert alone.status_code == 422
    assert alone.json()["errors"][0]["parameter"] == "labels"
    double = http.post(
        "/v1/datasets",
        files={"file": ("x", npz(images=IMAGES, labels=LABELS)), "labels": ("y", files["labels"])},
    )
    assert double.status_code == 422


def test_split_folders_without_a_dev_set(make) -> None:
    entries = {
        f"{split}/{kind}/{number}.png": png(DRAW.integers(0, 256, (5, 5), np.uint8))
        for split, count in (("train", 18), ("test", 5))
        for kind in ("cat", "dog")
        for number in range(count)
    }
    dataset = make({"file": pack(entries)}, image_size="5", channels="1")
    # 0.8 : 0.1 of eighteen are sixteen and two.
    assert dataset["splits"] == {"train": 32, "dev": 4, "test": 10}


def test_a_manifest(make) -> None:
    entries = {f"p/{number}.png": png(image) for number, image in enumerate(IMAGES[:12])}
    rows = [
        f"p/{number}.png,{'cat' if number % 2 else 'dog'},{'test' if number < 4 else ''}"
        for number in range(12)
    ]
    manifest = "\n".join(["file,label,split", *rows, "p/99.png,cat,"]).encode()
    dataset = make({"file": pack({**entries, "labels.csv": manifest})}, image_size="6x7", channels="1")
    assert dataset["splits"]["test"] >= 4
    assert dataset["images"] == 12
    assert [entry["name"] for entry in dataset["report"]["files"]] == ["p/99.png"]


def test_inversion_and_duplicates(http: httpx.Client, make) -> None:
    entries = {f"{'ab'[number % 2]}/{number}.png": png(image) for number, image in enumerate(IMAGES[:12])}
    entries["b/same-bytes.png"] = entries["a/0.png"]
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[1]).save(buffer, "BMP")
    entries["b/same-pixels.bmp"] = buffer.getvalue()
    fields = {"image_size": "6x7", "channels": "1", "invert": "true"}
    dataset = make({"file": pack(entries)}, **fields)
    assert dataset["images"] == 12
    assert dataset["preprocessing"]["invert"] is True
    counts = {"misplaced": 0, "unreadable": 0, "duplicate": 1, "contradiction": 1}
    assert dataset["report"]["counts"] == counts
    assert {entry["name"]: entry["kind"] for entry in dataset["report"]["files"]} == {
        "b/same-bytes.png": "contradiction",
        "b/same-pixels.bmp": "duplicate",
    }
    assert np.array_equal(stored(http, dataset["id"], 0)[0], 255 - IMAGES[0])
    assert make({"file": pack(entries)}, **fields, duplicates="keep")["images"] == 14


def test_what_is_told_about_splits_is_kept() -> None:
    labels = np.zeros(100, np.int64)
    told = np.full(100, UNASSIGNED, np.uint8)
    told[:10], told[10:20] = TRAIN, TEST
    splits = place(told, labels, 1, SplitShares(), 0)
    assert (splits[10:20] == TEST).all()
    assert (splits[:10] == TRAIN).all()
    assert np.bincount(splits).tolist() == [80, 10, 10]
    # A train and a test set without a dev set: the train set gives some.
    whole = np.repeat([TRAIN, TEST], [90, 10]).astype(np.uint8)
    parted = place(whole, labels, 1, SplitShares(), 0)
    assert (parted[90:] == TEST).all()
    assert np.bincount(parted).tolist() == [80, 10, 10]
    # Of pictures that come later none is drawn that was told.
    later = place(told, labels, 1, SplitShares(), 0, np.array([[80, 10, 10]]))
    assert (later[:10] == TRAIN).all()
    assert (later[10:20] == TEST).all()


def test_real_photos(make) -> None:
    photos = {path.name: path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))}
    assert len(photos) == 3
    entries = {f"{name}/{copy}-{name}": content for name, content in photos.items() for copy in range(3)}
    dataset = make({"file": pack(entries)}, image_size="32x32", channels="3", fit="cover", duplicates="keep")
    assert dataset["report"]["skipped"] == 0
    assert dataset["splits"] == {name: len(photos) for name in ("train", "dev", "test")}
