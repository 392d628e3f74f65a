"""Data sets by name come from a mirror on the loopback address: checked, resumed, read into their published splits."""

import gzip
import hashlib
import http.server
import io
import os
import re
import shutil
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.launch import ServerProcess
from app.datasets.published import PUBLISHED
from app.datasets.readers.cifar import CifarArchive
from app.datasets.readers.splits import TEST, TRAIN
from app.errors import Malformed

# A folder with `mnist/` (its four files) and `cifar10-small.npz`, for whoever has them.
GIVEN = Path(os.environ.get("TEST_DATA", "absent"))
MNIST_FILES = [file.name for file in PUBLISHED["mnist"].files]
has_mnist = pytest.mark.skipif(not (GIVEN / "mnist").is_dir(), reason="TEST_DATA names no folder with mnist/")
CIFAR_FILE = GIVEN / "cifar10-small.npz"
has_cifar = pytest.mark.skipif(not CIFAR_FILE.is_file(), reason="TEST_DATA names no folder with CIFAR-10")


@dataclass
class Mirror:
    """A web server that hands out a directory, and can be made to break off."""

    root: Path
    break_after: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    state = Mirror(tmp_path / "mirror")
    state.root.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = state.root / self.path.lstrip("/")
            state.asked.append((path.name, self.headers["Range"]))
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            start = 0
            if found := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or ""):
                start = int(found[1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            rest = content[start:]
            if state.break_after is not None and len(rest) > state.break_after:
                rest = rest[: state.break_after]
                self.close_connection = True
            self.wfile.write(rest)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def one(http: httpx.Client, **body: Any) -> dict[str, Any]:
        answer = http.post("/v1/datasets/downloads", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "ingesting"

        def settled() -> Any:
            dataset = http.get(answer.headers["Location"]).json()
            return dataset if dataset["status"] != "ingesting" else None

        found: dict[str, Any] = wait_for(settled)
        return found

    return one


def sums(folder: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in folder.iterdir()]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def small(folder: Path, train: int = 60, test: int = 20, seed: int = 0) -> None:
    """Write noise in the form of MNIST and its like."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    for prefix, count in (("train", train), ("t10k", test)):
        images = draw.integers(0, 256, (count, 28, 28), np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx((np.arange(count) % 10).astype(np.uint8)))
    sums(folder)


def cifar(path: Path, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> None:
    """Write pictures (N, 32, 32, 3) in the binary format of CIFAR-10."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def records(images: np.ndarray, labels: np.ndarray) -> bytes:
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), 3072)
        return np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1).tobytes()

    half = len(train[0]) // 2
    parts = {
        "data_batch_1.bin": records(train[0][:half], train[1][:half]),
        "data_batch_2.bin": records(train[0][half:], train[1][half:]),
        "test_batch.bin": records(*test),
        "batches.meta.txt": b"airplane\n",
    }
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in parts.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.slow
def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    mirror: Mirror, start: Callable[..., ServerProcess], connect, get, wait_for
) -> None:
    small(mirror.root / "fashion-mnist")
    largest = "train-images-idx3-ubyte.gz"
    size = (mirror.root / "fashion-mnist" / largest).stat().st_size
    mirror.break_after = size // 2 + 100
    process = start(DATASET_MIRROR=mirror.url)
    with connect(process.start()) as http:
        listed = {entry["name"]: entry for entry in http.get("/v1/datasets/downloads").json()["data"]}
        assert set(listed) == set(PUBLISHED)
        assert listed["mnist"]["address"] == f"{mirror.url}/mnist"
        dataset = get(http, dataset="fashion-mnist", name="clothes")
        assert dataset["status"] == "ready", dataset
        assert dataset["name"] == "clothes"
        assert dataset["images"] == 80
        assert dataset["image_shape"] == [28, 28, 1]
        assert [entry["name"] for entry in dataset["classes"]] == list(PUBLISHED["fashion-mnist"].classes)
        assert dataset["splits"]["test"] == 20
        assert dataset["splits"]["dev"] >= 10
        assert dataset["splits"]["train"] + dataset["splits"]["dev"] == 60
        assert [asked for name, asked in mirror.asked if name == largest] == [
            None,
            f"bytes={size // 2 + 100}-",
        ]
        wait_for(lambda: not list((process.data_dir / "downloads").rglob("*.gz*")))

        # A file that is not what its checksum says, and one that is not there.
        mirror.break_after = None
        folder = mirror.root / "fashion-mnist"
        (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(20, np.uint8)))
        failed = get(http, dataset="fashion-mnist")
        assert failed["error"]["code"] == "checksum_mismatch", failed
        mirror.asked.clear()
        small(folder)
        mended = get(http, dataset="fashion-mnist")
        assert (mended["status"], mended["fingerprint"]) == ("ready", dataset["fingerprint"])
        assert largest not in [name for name, _ in mirror.asked], "what had arrived was kept"
        missing = get(http, dataset="mnist")
        assert missing["error"]["code"] == "download_failed"
        assert "404" in missing["error"]["message"]


@pytest.mark.slow
def test_a_killed_download_goes_on_and_a_cancelled_one_ends(
    mirror: Mirror, start: Callable[..., ServerProcess], connect, wait_for, ready
) -> None:
    # Every piece breaks off after a while, so that there is time to look.
    small(mirror.root / "mnist", train=2000)
    mirror.break_after = 150_000
    process = start(DATASET_MIRROR=mirror.url)
    with connect(process.start()) as http:
        location = http.post("/v1/datasets/downloads", json={"dataset": "mnist"}).headers["Location"]
        part = process.data_dir / "downloads" / "mnist" / "train-images-idx3-ubyte.gz.part"
        wait_for(lambda: part.exists() and part.stat().st_size >= 150_000)
        assert http.delete(location).status_code == 409
        wait_for(lambda: http.get(location).json()["progress"]["stage"] == "downloading")
        cancelled = http.post(f"{location}/cancel")
        assert cancelled.status_code == 202, cancelled.text
        wait_for(lambda: http.get(location).json()["status"] == "failed")
        assert http.get(location).json()["error"]["code"] == "cancelled"
        assert http.post(f"{location}/cancel").status_code == 409
        kept = part.stat().st_size
        assert kept >= 150_000

        mirror.asked.clear()
        mirror.break_after = None
        location = http.post("/v1/datasets/downloads", json={"dataset": "mnist"}).headers["Location"]
        ready(http, location.rpartition("/")[2])
        assert mirror.asked[:2] == [("SHA256SUMS", None), ("train-images-idx3-ubyte.gz", f"bytes={kept}-")]


@pytest.mark.slow
@has_mnist
def test_mnist_from_a_directory(tmp_path: Path, start: Callable[..., ServerProcess], connect, get) -> None:
    folder = tmp_path / "mirror" / "mnist"
    folder.mkdir(parents=True)
    for name in MNIST_FILES:
        shutil.copyfile(GIVEN / "mnist" / name, folder / name)
    with connect(start(DATASET_MIRROR=str(tmp_path / "mirror")).start()) as http:
        # They are packed by another gzip than the published ones: the mirror has to say so.
        assert get(http, dataset="mnist")["error"]["code"] == "checksum_mismatch"
        sums(folder)
        dataset = get(http, dataset="mnist")
        assert dataset["status"] == "ready", dataset
        assert dataset["splits"] == {"train": 53_333, "dev": 6_667, "test": 10_000} or (
            dataset["splits"]["test"] == 10_000 and abs(dataset["splits"]["dev"] - 6_667) <= 10
        )
        assert dataset["images"] == 70_000
        first = http.get(f"/v1/datasets/{dataset['id']}/images/0", params={"split": "test"})
        assert first.headers["Image-Label"] == "7"


@has_cifar
def test_cifar_10_in_its_binary_format(
    mirror: Mirror, start: Callable[..., ServerProcess], connect, get
) -> None:
    arrays = np.load(CIFAR_FILE, allow_pickle=False)
    train = arrays["x_train"][:600], arrays["y_train"][:600]
    test = arrays["x_test"][:200], arrays["y_test"][:200]
    cifar(mirror.root / "cifar-10" / "cifar-10-binary.tar.gz", train, test)
    sums(mirror.root / "cifar-10")
    process = start(DATASET_MIRROR=mirror.url)
    with connect(process.start()) as http:
        dataset = get(http, dataset="cifar-10")
        assert dataset["status"] == "ready", dataset
        assert (dataset["images"], dataset["splits"]["test"]) == (800, 200)
        assert dataset["image_shape"] == [32, 32, 3]
        (folder,) = (process.data_dir / "datasets" / dataset["id"]).glob("segment-0001-*")
        assert np.array_equal(np.load(folder / "images.npy"), np.concatenate([train[0], test[0]]))
        assert np.array_equal(np.load(folder / "labels.npy"), np.concatenate([train[1], test[1]]))


def test_damaged_archives_of_cifar_10(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (6, 32, 32, 3), np.uint8), np.arange(6)
    path = tmp_path / "a.tar.gz"
    cifar(path, (images, labels), (images[:2], labels[:2]))
    with CifarArchive(path, PUBLISHED["cifar-10"].classes) as reader:
        items = list(reader.items())
    assert [item.split for item in items] == [TRAIN] * 6 + [TEST] * 2
    assert np.array_equal(np.stack([item.content for item in items[:6]]), images)
    whole = path.read_bytes()
    cifar(path, (images, labels + 7), (images[:2], labels[:2]))
    for content in (b"", b"no archive", whole[: len(whole) // 2], path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(Malformed), CifarArchive(path, PUBLISHED["cifar-10"].classes) as reader:
            list(reader.items())
