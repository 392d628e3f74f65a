"""What users of such services reported in public, as calls to a real server: each is a sample of its kind.

The kinds themselves are in the tests of archives, arrays, picture modes, letters and figures.
"""

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

PHOTOS = Path(__file__).parent / "photos"
DRAW = np.random.default_rng(1)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(DRAW.integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def upload(http: httpx.Client, wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def send(content: bytes, **fields: str) -> dict[str, Any]:
        answer = http.post("/v1/datasets", files={"file": ("x", content)}, data=fields)
        if answer.status_code != 202:
            return dict(answer.json())

        def settled() -> dict[str, Any] | None:
            found = http.get(answer.headers["Location"]).json()
            return None if found["status"] == "ingesting" else found

        return dict(wait_for(settled))

    return send


def test_a_split_that_lacks_a_class_is_warned_about(upload) -> None:
    folders = ("train/cat", "train/dog", "test/cat", "test/dogs")
    found = upload(pack({f"{folder}/{number}.png": picture() for folder in folders for number in range(4)}))
    assert found["status"] == "ready"
    warnings = " ".join(found["report"]["warnings"])
    assert "the train split has no picture of the class 'dogs': a model cannot learn it" in warnings
    assert "the test split has no picture of the class 'dog': nothing is measured of it" in warnings


@pytest.mark.parametrize("target", ["class", pytest.param("labels", marks=pytest.mark.slow)])
def test_arrays_and_manifests_are_checked_for_each_class_and_split_as_well(upload, target: str) -> None:
    images = DRAW.integers(0, 256, (12, 4, 4), np.uint8)
    split = np.array([0] * 6 + [1] * 3 + [2] * 3)
    classes = np.where(split == 0, 0, 1)
    classes[0] = 2
    labels = classes if target == "class" else np.eye(3, dtype=int)[classes]
    arrays = npz(images=images, labels=labels, split=split, class_names=np.array(["a", "b", "c"]))
    files = {f"{number}.png": picture() for number in range(12)}
    words = ("train", "dev", "test")
    lines = [f"{number}.png,{'abc'[classes[number]]},{words[split[number]]}" for number in range(12)]
    manifest = pack({"manifest.csv": "\n".join(["file,label,split", *lines]).encode(), **files})
    noun = "class" if target == "class" else "label"
    for content in (arrays, manifest):
        warnings = upload(content, target=target)["report"]["warnings"]
        assert warnings == [
            f"the train split has no picture of the {noun} 'b': a model cannot learn it",
            f"the dev split has no picture of the {noun} 'a', 'c': no epoch is chosen by it",
            f"the test split has no picture of the {noun} 'a', 'c': nothing is measured of it",
        ]


def test_values_and_whole_splits_are_not_warned_about(upload) -> None:
    images = DRAW.integers(0, 256, (12, 4, 4), np.uint8)
    assert upload(npz(images=images, labels=np.arange(12) % 2))["report"]["warnings"] == []
    assert upload(npz(images=images, labels=DRAW.random(12)), target="values")["report"]["warnings"] == []


def test_a_picture_without_a_class_is_left_out_and_reported(upload) -> None:
    labelled = {f"train/{kind}/{number}.png": picture() for kind in ("cat", "dog") for number in range(3)}
    found = upload(pack({**labelled, "test/1.png": picture()}))
    assert found["status"] == "ready"
    assert [entry["name"] for entry in found["report"]["files"]] == ["test/1.png"]
    assert "left out" in " ".join(found["report"]["warnings"])


def test_names_in_a_report_are_printable_and_bounded(upload) -> None:
    files = {f"{kind}/{number}.png": picture() for kind in ("cat", "dog") for number in range(3)}
    lines = [f"{name},{name[:3]}" for name in files] + [f"{'x' * 5000}.png,cat", "a\x1b[31m.png,dog"]
    found = upload(pack({"manifest.csv": "\n".join(["file,label", *lines]).encode(), **files}))
    names = [entry["name"] for entry in found["report"]["files"]]
    assert names == ["x" * 1024 + "...", "a\ufffd[31m.png"]


@pytest.mark.parametrize(
    ("target", "keep"),
    [
        ("class", False),
        ("labels", True),
        pytest.param("class", True, marks=pytest.mark.slow),
        pytest.param("labels", False, marks=pytest.mark.slow),
    ],
)
def test_the_same_picture_under_two_classes_is_a_contradiction(upload, keep: bool, target: str) -> None:
    images = DRAW.integers(0, 256, (12, 4, 4), np.uint8)
    images[7] = images[4]  # another class
    images[9] = images[3]  # the same one
    labels = np.arange(12) % 2
    written = labels if target == "class" else np.eye(2, dtype=int)[labels]
    fields = {"target": target, "duplicates": "keep" if keep else "skip"}
    report = upload(npz(images=images, labels=written), **fields)["report"]
    assert [warning for warning in report["warnings"] if "1 pictures contradict" in warning]
    expected = [] if keep else [("images[7]", "contradiction"), ("images[9]", "duplicate")]
    assert [(entry["name"], entry["kind"]) for entry in report["files"]] == expected


def test_photographs_in_two_classes(upload) -> None:
    photos = {path.stem: path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))}
    entries = {f"{name}/{number}.jpg": photo for name, photo in photos.items() for number in range(1)}
    found = upload(pack({**entries, "rocket/cat.jpg": photos["chelsea"], "rocket/2.png": picture()}))
    assert "too few" in found.get("detail", "") + str(found.get("error"))
    entries |= {f"{name}/{number}.png": picture() for name in photos for number in range(3)}
    found = upload(pack({**entries, "rocket/cat.jpg": photos["chelsea"]}))
    (left_out,) = found["report"]["files"]
    assert (left_out["name"], left_out["kind"]) == ("rocket/cat.jpg", "contradiction")
    assert "is said to show 'rocket' and not 'chelsea'" in left_out["reason"]


def test_an_addition_that_contradicts_what_is_there(http: httpx.Client, upload) -> None:
    files = {f"{kind}/{number}.png": picture() for kind in ("cat", "dog") for number in range(3)}
    found = upload(pack(files), image_size="8", channels="3")
    sent = {"files": ("1.png", files["cat/1.png"])}
    form = {"label": "dog", "dry_run": "true"}
    report = http.post(f"/v1/datasets/{found['id']}/images", files=sent, data=form).json()["report"]
    assert (report["added"], report["counts"]["contradiction"]) == (0, 1)
    assert report["warnings"]


def test_numbers_keep_their_range(http: httpx.Client, upload) -> None:
    images = DRAW.random((20, 8, 8)).astype("f4")
    images[:, 0] = 0
    images[0, 1, 1] = -0.001
    labels = np.arange(20) % 2
    found = upload(npz(images=images, labels=labels))
    shown = http.get(f"/v1/datasets/{found['id']}/images/1").content
    assert np.array(Image.open(io.BytesIO(shown)))[0].max() == 0
    assert "0..1; what lies outside was clipped" in found["report"]["notes"][0]
    dark = upload(npz(images=DRAW.integers(2, 17, (20, 8, 8), np.uint8), labels=labels))
    assert "nearly black: no pixel is above 16 of 255" in dark["report"]["warnings"][0]
    light = upload(npz(images=DRAW.integers(230, 256, (20, 8, 8), np.uint8), labels=labels))
    assert "nearly white" in light["report"]["warnings"][0]


def variants(content: bytes) -> list[str]:
    plain = base64.b64encode(content).decode()
    return [
        plain,
        base64.encodebytes(content).decode(),
        base64.urlsafe_b64encode(content).decode().rstrip("="),
        f"data:application/octet-stream;base64,{plain}",
        f"data:image/png;charset=utf-8;BASE64,\r\n{plain}\r\n",
        f"  {plain}\n",
    ]


def test_one_decoder_of_base64(http: httpx.Client) -> None:
    digit = http.get("/v1/datasets/digits/images/3", params={"split": "test"}).content
    archive = pack({f"{kind}/{number}.png": picture() for kind in ("cat", "dog") for number in range(3)})
    weights = http.get("/v1/models/model_example/weights").content
    calls: list[tuple[str, bytes, Callable[[str], dict[str, Any]]]] = [
        ("/v1/models/model_example/predict", digit, lambda text: {"images": [text]}),
        ("/v1/models/model_example/preprocess", digit, lambda text: {"images": [text]}),
        ("/v1/datasets", archive, lambda text: {"file": text}),
        (
            "/v1/datasets/digits/images",
            digit,
            lambda text: {"images": [text], "label": "3", "dry_run": True},
        ),
        ("/v1/batch-predictions", archive, lambda text: {"file": text, "model": "model_example"}),
        ("/v1/models/import", weights, lambda text: {"file": text}),
    ]
    for path, content, body in calls:
        # One of those that start a job or store a file is enough: the decoder is one.
        writes = path in ("/v1/datasets", "/v1/batch-predictions", "/v1/models/import")
        for text in variants(content)[1:2] if writes else variants(content):
            answer = http.post(path, json=body(text))
            if answer.status_code == 413:  # the example is larger than a JSON body may be
                continue
            assert answer.status_code in (200, 201, 202), (path, answer.text)
        for bad in ("data:image/png,x", "a", "@@@@", "AAA=A", "AA====", "", "é"):
            answer = http.post(path, json=body(bad))
            assert answer.status_code == 422, (path, bad, answer.text)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\x1f\x8b\x08\x00" + bytes(40), "gzip"),
        (b"Rar!\x1a\x07\x00" + bytes(40), "a RAR archive"),
        (b"file,label\n1.png,cat\n" * 5, "text"),
        (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
    ],
)
def test_a_form_says_what_was_sent_and_what_to_send(http: httpx.Client, content: bytes, word: str) -> None:
    for path, fields in (("/v1/datasets", {}), ("/v1/batch-predictions", {"model": "model_example"})):
        answer = http.post(path, files={"file": ("x", content)}, data=fields)
        assert answer.status_code == 422
        assert word in answer.json()["detail"]
        assert "zip archive" in answer.text
