"""Labels and values of pictures: what is read as what, what is refused and why, and how they lie on the disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.datasets.readers import open_upload
from app.datasets.readers.splits import DEV, TRAIN
from app.datasets.readers.targets import MAX_TARGETS, check_size, strata
from app.datasets.readers.zip_file import ArchiveLimits
from app.datasets.segments import Segment, write_segment
from app.datasets.storage import StoredDataset
from app.errors import DomainError, Invalid, TooLarge
from app.files.artifacts import LocalArtifacts
from engine.recipe.targets import Target
from tests.http.drawn_pictures import ingested, npz, pack, png, squares, upload

LIMITS = ArchiveLimits(entries=1000, ratio=100, member_bytes=4_000_000, unpacked_bytes=1 << 20)
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8), np.uint8)
FILES = {f"images/{n}.png": str(n).encode() for n in range(1, 5)}
LABELS = "file,label,split\nimages/1.png,sea|boat,train\nimages/2.png,,val\nimages/3.png, boat ,\nimages/4.png,sea|sea,"
VALUES = """Height;FILE;split;wéight
1.5;images/1.png;train;-2e3
0;images/2.png;;4

1;images/3.png;;5
2;images/4.png;;6
"""


def pack_bytes(entries: dict[str, bytes]) -> bytes:
    manifest, *_ = [name for name in entries if name.endswith(".csv")]
    return pack(entries[manifest].decode(), {k: v for k, v in entries.items() if k != manifest}, manifest)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    def read_one(content: bytes, target: Target, labels: bytes | None = None) -> Any:
        (tmp_path / "file").write_bytes(content)
        (tmp_path / "labels").write_bytes(labels or b"")
        beside = None if labels is None else tmp_path / "labels"
        with open_upload(tmp_path / "file", beside, LIMITS, target) as reader:
            return reader, list(reader.items())

    return read_one


@pytest.mark.parametrize("top", ["", "sights/"])
def test_a_manifest_of_labels(read: Callable[..., Any], top: str) -> None:
    entries = {"manifest.csv": LABELS.encode(), **FILES}
    reader, items = read(pack_bytes({top + name: content for name, content in entries.items()}), "labels")
    assert (reader.target, reader.classes, reader.counts.tolist()) == ("labels", ("boat", "sea"), [2, 1, 1])
    found = {item.content: (item.label, item.split, item.target.tolist()) for item in items}
    assert found == {
        b"1": (0, TRAIN, [1, 1]),
        b"2": (2, DEV, [0, 0]),
        b"3": (0, None, [1, 0]),
        b"4": (1, None, [0, 1]),
    }


def test_a_manifest_of_values(read: Callable[..., Any]) -> None:
    reader, items = read(pack_bytes({"labels.csv": VALUES.encode(), **FILES}), "values")
    assert (reader.target, reader.classes, reader.counts.tolist()) == ("values", ("Height", "wéight"), [4])
    assert [item.label for item in items] == [0] * 4
    assert items[0].target.tolist() == [1.5, -2000]
    assert items[0].split == TRAIN
    assert {item.target.dtype for item in items} == {np.dtype(np.float32)}


def test_names_of_values_may_be_quoted_and_many(read: Callable[..., Any]) -> None:
    names = ["height, cm", 'an "odd" one', *(f"number {place}" for place in range(1000))]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in [*names, "file"])
    lines = [",".join(["0.5"] * len(names) + [f"images/{n}.png"]) for n in range(1, 4)]
    reader, items = read(
        pack_bytes({"manifest.csv": "\n".join([header, *lines]).encode(), **FILES}), "values"
    )
    assert list(reader.classes) == names
    assert np.array_equal([item.target for item in items], np.full((3, len(names)), 0.5))


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        ("labels", "file,label\nimages/1.png,a||b", "line 2 has a label without a name"),
        ("labels", "file,label\nimages/1.png,a|", "line 2 has a label without a name"),
        ("labels", "file,label\nimages/1.png,\nimages/2.png,", "no line has a label"),
        ("labels", "file,label\n,a", "line 2 has no file"),
        ("values", "file,x\nimages/1.png,1\nimages/2.png,", "line 3 has nothing as x"),
        ("values", "file,x\nimages/1.png,high", "line 2 has 'high' as x"),
        ("values", "file,x\nimages/1.png,nan", "line 2 has 'nan' as x"),
        ("values", "file,x,y\nimages/1.png,1,inf", "line 2 has 'inf' as y"),
        ("values", "file,x\nimages/1.png,1e39", "line 2 has '1e39' as x"),
        ("values", "file,x,x\nimages/1.png,1,2", "two columns have the same name"),
        ("values", "file,x,\nimages/1.png,1,2", "two columns have the same name, or one has none"),
        ("values", "file,x,split\nimages/1.png,1,sometimes", "says split 'sometimes'"),
    ],
)
def test_a_manifest_that_says_nothing_of_use(
    read: Callable[..., Any], target: Target, text: str, said: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read(pack_bytes({"manifest.csv": text.encode(), **FILES}), target)
    assert said in caught.value.detail
    assert caught.value.code == "bad-manifest"


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float64, np.int64])
def test_an_array_of_labels(read: Callable[..., Any], dtype: type) -> None:
    labels = (np.arange(24 * 3).reshape(24, 3) % 4 == 0).astype(dtype)
    reader, items = read(npz(images=IMAGES, labels=labels), "labels")
    assert reader.classes == ("0", "1", "2")
    assert np.array_equal([item.target for item in items], labels.astype(np.float32))
    assert reader.counts.sum() == 24


def test_arrays_of_values_in_parts(read: Callable[..., Any]) -> None:
    values = np.linspace(-3, 3, 24)
    content = npz(x_train=IMAGES[:20], y_train=values[:20], x_test=IMAGES[20:], y_test=values[20:])
    reader, items = read(content, "values")
    assert reader.classes == ("0",)
    assert [item.target[0] for item in items] == pytest.approx(values)


@pytest.mark.parametrize(
    ("target", "labels", "said"),
    [
        ("labels", np.zeros(24, np.uint8), "uint8 24 for 24 images"),
        ("labels", np.full((24, 2), 2), "neither 0 nor 1"),
        ("labels", np.full((24, 2), np.nan), "neither 0 nor 1"),
        ("labels", np.zeros((23, 2)), "23x2 for 24 images"),
        ("labels", np.zeros((24, 0)), "24x0"),
        ("labels", np.full((24, 2), "a"), "<U1"),
        ("values", np.full(24, "a"), "<U1"),
        ("values", np.zeros((24, 2, 2)), "24x2x2"),
        ("values", np.full(24, np.inf), "not finite"),
        ("values", np.full(24, 1e300), "not finite"),
        ("class", np.zeros((24, 2), np.int64), "target=labels"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_an_array_that_does_not_fit(
    read: Callable[..., Any], target: Target, labels: np.ndarray, said: str
) -> None:
    with pytest.raises(DomainError, match=said):
        read(npz(images=IMAGES, labels=labels), target)


def test_names_must_be_as_many_and_different(read: Callable[..., Any]) -> None:
    labels = np.eye(24, 2)
    for names, said in ((["a"], "2 labels, but 1 class names"), (["a", "a"], "not all different")):
        with pytest.raises(Invalid, match=said):
            read(npz(images=IMAGES, labels=labels, class_names=np.array(names)), "labels")


def test_what_is_too_much() -> None:
    check_size(MAX_TARGETS, 1, "values")
    with pytest.raises(TooLarge, match="send 5000 pictures"):
        check_size(5001, 10_000, "labels")
    with pytest.raises(TooLarge, match="10001 labels"):
        check_size(1, 10_001, "labels")


@pytest.mark.parametrize("target", ["labels", "values"])
def test_a_file_that_does_not_tell_them(http: httpx.Client, target: str) -> None:
    folders = pack(
        "nothing", {f"{name}/{n}.png": png(squares(n)[0]) for name in "ab" for n in range(3)}, "x.txt"
    )
    idx = b"\0\0\x08\x03" + bytes(12)
    for files in ({"file": folders}, {"file": idx, "labels": idx}):
        sent = {name: (name, content) for name, content in files.items()}
        answer = http.post("/v1/datasets", files=sent, data={"target": target})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["parameter"] == "target"
        assert answer.json()["errors"][0]["hint"]


def test_a_manifest_of_values_that_is_taken_for_classes(http: httpx.Client) -> None:
    answer = upload(http, pack("file,x\n1.png,3", {"1.png": png(squares(1)[0])}))
    assert answer.status_code == 422
    assert "target=values" in answer.json()["errors"][0]["hint"]
    assert upload(http, b"", target="numbers").status_code == 422


def test_strata() -> None:
    targets = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1]], np.float32)
    assert strata(targets, "labels").tolist() == [1, 3, 0]
    assert strata(targets, "values").tolist() == [0, 0, 0]


def test_targets_lie_beside_the_pictures(tmp_path: Path) -> None:
    targets = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)

    def write(folder: str, values: np.ndarray) -> Any:
        return write_segment(
            LocalArtifacts(tmp_path / folder),
            "ds_1",
            1,
            (8, 8, 1),
            1,
            ((image[..., np.newaxis], 0) for image in IMAGES),
            lambda labels: (np.arange(24) % 3).astype(np.uint8),
            lambda: ("values", values),
        )

    written = write("a", targets)
    folder = tmp_path / "a" / written.record.path
    assert np.array_equal(np.load(folder / "targets.npy", allow_pickle=False), targets)
    stored = StoredDataset([Segment.open(LocalArtifacts(tmp_path / "a"), written.record.path, "values")])
    for code, name in enumerate(("train", "dev", "test")):
        images, read = stored.split(name).read(np.arange(8))
        assert np.array_equal(images[..., 0], IMAGES[code::3])
        assert np.array_equal(read, targets[code::3])
    assert isinstance(
        Segment.open(LocalArtifacts(tmp_path / "a"), written.record.path, "values").targets, np.memmap
    )
    changed = targets.copy()
    changed[5, 1] += 1
    assert write("b", changed).record.sha256 != written.record.sha256 == write("c", targets).record.sha256
    (folder / "targets.npy").unlink()
    with pytest.raises(FileNotFoundError):
        Segment.open(LocalArtifacts(tmp_path / "a"), written.record.path, "values")


def test_data_sets_of_arrays(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    labels = np.zeros((24, 2), np.uint8)
    labels[::3, 0] = labels[::2, 1] = 1
    names = np.array(["third", "even"])
    dataset = ingested(http, npz(images=IMAGES, labels=labels, class_names=names), wait_for, target="labels")
    assert dataset["classes"] == [{"name": "third", "images": 8}, {"name": "even", "images": 12}]
    dataset = ingested(http, npz(images=IMAGES, labels=np.linspace(-1, 1, 24)), wait_for, target="values")
    assert dataset["classes"] == [{"name": "0", "images": 24}]
    first = http.get(f"/v1/datasets/{dataset['id']}/images/0").headers["Image-Values"]
    assert float(first) == -1

    many = ingested(
        http,
        npz(images=IMAGES, labels=np.full((24, 1500), 0.123)),
        wait_for,
        target="values",
        duplicates="keep",
    )
    headers = http.get(f"/v1/datasets/{many['id']}/images/0").headers
    assert "Image-Values" not in headers
    assert headers["Image-Number"] == "0"

    answer = http.post(
        f"/v1/datasets/{dataset['id']}/images", files={"files": ("a.png", b"x")}, data={"label": "0"}
    )
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-of-classes")


def test_a_label_of_which_no_picture_can_be_read_fails_the_data_set(
    http: httpx.Client, wait_for: Callable[..., Any]
) -> None:
    pictures = {f"{seed}.png": png(squares(seed)[0]) for seed in range(6)}
    lines = [f"{name},a" for name in pictures]
    content = pack("\n".join(["file,label", *lines, "no.png,b"]), {**pictures, "no.png": b"x"})
    dataset = ingested(http, content, wait_for, target="labels")
    assert (dataset["status"], dataset["error"]["code"]) == ("failed", "empty_class")
    assert "'b'" in dataset["error"]["message"]
