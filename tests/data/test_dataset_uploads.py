"""Data sets over HTTP: good archives become data sets, bad ones are refused and leave nothing."""

import base64
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess


def picture(level: int, seed: int, size: tuple[int, int] = (20, 30), kind: str = "PNG") -> bytes:
    """A noisy picture around a level of grey."""
    noise = np.random.default_rng(seed).integers(level, level + 40, (*size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def pack(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def shades(per_class: int = 10) -> dict[str, bytes]:
    kinds = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
    return {
        f"{name}/{number}.bin": picture(level, number, (10 + number, 30 - number), kinds[number % len(kinds)])
        for name, level in (("dark", 10), ("light", 200))
        for number in range(per_class)
    }


def upload(http: httpx.Client, archive: bytes, filename: str = "shades.zip", **fields: str) -> httpx.Response:
    return http.post("/v1/datasets", files={"file": (filename, archive, "application/zip")}, data=fields)


@pytest.fixture
def ingest(wait_for: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    def wait(http: httpx.Client, archive: bytes, **fields: str) -> dict[str, Any]:
        answer = upload(http, archive, **fields)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "ingesting"
        assert int(answer.headers["Retry-After"]) >= 1
        return settle(http, answer.headers["Location"], wait_for)

    return wait


def settle(http: httpx.Client, location: str, wait_for: Callable[..., Any]) -> dict[str, Any]:
    def settled() -> dict[str, Any] | None:
        dataset = http.get(location).json()
        return dataset if dataset["status"] != "ingesting" else None

    found: dict[str, Any] = wait_for(settled, f"the end of {location}")
    return found


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory, connect: Callable[..., httpx.Client]
) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    """A server whose directory the tests look into, and a client of it; who uses it cleans up."""
    folder = tmp_path_factory.mktemp("own")
    process = ServerProcess(folder / "data", folder / "log", {"CORES": "1", "MAX_UPLOAD_BYTES": "1000000"})
    with process as url, connect(url) as http:
        yield process, http


def files(process: ServerProcess, folder: str) -> list[Path]:
    return [
        path
        for path in (process.data_dir / folder).rglob("*")
        if path.is_file() and "digits" not in path.parts
    ]


def test_upload_train_predict(http: httpx.Client, ingest, finished) -> None:
    entries = {f"shades/{name}": content for name, content in shades(20).items()}
    entries["shades/dark/notes.txt"] = b"no picture"
    entries["shades/dark/cut.png"] = picture(10, 0)[:-200]
    entries["shades/light/empty.png"] = b""
    archive = pack(entries)
    dataset = ingest(http, archive, name="two shades", image_size="8x10", channels="1", fit="stretch")
    assert dataset["status"] == "ready", dataset
    assert dataset["name"] == "two shades"
    assert dataset["classes"] == [{"name": "dark", "images": 20}, {"name": "light", "images": 20}]
    assert dataset["splits"] == {"train": 32, "dev": 4, "test": 4}
    assert dataset["images"] == 40
    assert dataset["image_shape"] == [8, 10, 1]
    assert dataset["preprocessing"] == {
        "image_shape": [8, 10, 1],
        "fit": "stretch",
        "resize": None,
        "background": "#ffffff",
        "invert": False,
    }
    assert dataset["report"]["skipped"] == 3
    assert dataset["report"]["source"] == {
        "filename": "shades.zip",
        "bytes": len(archive),
        "sha256": hashlib.sha256(archive).hexdigest(),
        "format": "zip",
    }
    reasons = {entry["name"]: entry["reason"] for entry in dataset["report"]["files"]}
    assert "no picture" in reasons["shades/dark/notes.txt"]
    assert "cut short" in reasons["shades/dark/cut.png"]
    assert "empty" in reasons["shades/light/empty.png"]

    job = http.post(
        "/v1/training-jobs",
        json={
            "architecture": {
                "input_shape": [8, 10, 1],
                "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}],
            },
            "dataset": dataset["id"],
            "epochs": 5,
            "batch_size": 8,
            "optimizer": {"type": "adam", "learning_rate": 0.01},
        },
    )
    assert job.status_code == 202, job.text
    ended = finished(http, job.json()["id"])
    assert ended["status"] == "succeeded", ended
    model = http.get(f"/v1/models/{ended['model_id']}").json()
    assert model["classes"] == ["dark", "light"]
    assert model["preprocessing"]["picture"] == dataset["preprocessing"]
    assert model["metrics"]["test_accuracy"] == 1.0

    # Of another size, mode and format than anything it was trained on.
    pictures = [
        ("files", ("a.png", picture(10, 99, (64, 48)))),
        ("files", ("b.jpg", picture(200, 98, (7, 9), "JPEG"))),
    ]
    answer = http.post(f"/v1/models/{ended['model_id']}/predict", files=pictures)
    assert [entry["label"] for entry in answer.json()["data"]] == ["dark", "light"], answer.text


def test_a_stored_picture_is_predicted_as_it_was_trained(http: httpx.Client) -> None:
    answer = http.get("/v1/datasets/digits/images/0", params={"split": "test"})
    predicted = http.post(
        "/v1/models/model_example/predict", files={"files": ("0.png", answer.content)}
    ).json()
    assert predicted["data"][0]["label"] == answer.headers["Image-Label"]


def test_pictures_by_number_and_by_split(http: httpx.Client, ingest) -> None:
    names = {"dark": "châtaigne", "light": "ёж"}
    entries = {
        f"{names[name.partition('/')[0]]}/{name.partition('/')[2]}": content
        for name, content in shades().items()
    }
    dataset = ingest(
        http,
        pack(entries),
        image_size="6",
        channels="3",
        fit="stretch",
        split='{"train":0.5,"dev":0.3,"test":0.2}',
    )
    assert dataset["splits"] == {"train": 10, "dev": 6, "test": 4}
    seen = set()
    for split, count in dataset["splits"].items():
        for number in range(count):
            answer = http.get(f"/v1/datasets/{dataset['id']}/images/{number}", params={"split": split})
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["Image-Split"] == split
            label = httpx.URL(f"http://x/{answer.headers['Image-Label']}").path[1:]
            assert label == dataset["classes"][int(answer.headers["Image-Class-Index"])]["name"]
            image = Image.open(io.BytesIO(answer.content))
            assert (image.size, image.mode) == ((6, 6), "RGB")
            assert (np.asarray(image).mean() > 120) == (label == "ёж")
            plain = http.get(f"/v1/datasets/{dataset['id']}/images/{answer.headers['Image-Number']}")
            assert plain.content == answer.content
            seen.add(int(answer.headers["Image-Number"]))
        assert (
            http.get(f"/v1/datasets/{dataset['id']}/images/{count}", params={"split": split}).status_code
            == 404
        )
    assert seen == set(range(20))
    assert http.get(f"/v1/datasets/{dataset['id']}/images/20").status_code == 404
    assert http.get(f"/v1/datasets/{dataset['id']}/images/-1").status_code == 422
    assert http.get(f"/v1/datasets/{dataset['id']}/images/0", params={"split": "dev "}).status_code == 422


def test_equal_uploads_are_equal_data_sets(http: httpx.Client, ingest) -> None:
    archive = pack(shades())
    one, same, other = (ingest(http, archive, image_size="8", seed=seed) for seed in ("0", "0", "1"))
    assert one["id"] != same["id"]
    assert one["fingerprint"] == same["fingerprint"] != other["fingerprint"]


def test_a_small_archive_in_json(http: httpx.Client, wait_for) -> None:
    body = {
        "file": base64.b64encode(pack(shades(3))).decode(),
        "image_size": [8, 9],
        "split": [0.4, 0.3, 0.3],
    }
    answer = http.post("/v1/datasets", json=body)
    assert answer.status_code == 202, answer.text
    dataset = settle(http, answer.headers["Location"], wait_for)
    assert dataset["image_shape"] == [8, 9, 3]
    assert dataset["splits"] == {"train": 2, "dev": 2, "test": 2}
    assert dataset["name"] == "data set"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"file": "no base64!"}, "/file"),
        ({"file": base64.b64encode(b"no zip").decode()}, "/file"),
        ({"file": ""}, "/file"),
        ({"image_size": 0}, "/image_size"),
        ({"image_size": 8, "fit": "cover", "resize": 7}, "/resize"),
        ({"image_size": 8, "resize": 9}, "/resize"),
        ({"fit": "cover", "resize": 64}, "/resize"),
        ({"image_size": [8, 9, 10]}, "/image_size"),
        ({"image_size": "8"}, "/image_size"),
        ({"channels": 2}, "/channels"),
        ({"fit": "crop"}, "/fit"),
        ({"background": "mauve"}, "/background"),
        ({"split": {"train": 1, "dev": 0, "test": 0}}, "/split"),
        ({"split": [0.5, 0.5]}, "/split"),
        ({"seed": -1}, "/seed"),
        ({"name": " padded"}, "/name"),
        ({"colour": True}, "/colour"),
    ],
)
def test_bad_fields_of_the_json_form(http: httpx.Client, changes: dict[str, Any], pointer: str) -> None:
    body = {"file": base64.b64encode(pack(shades(3))).decode(), **changes}
    answer = http.post("/v1/datasets", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}


BAD_FIELDS = [
    ("image_size", "big"),
    ("image_size", "0"),
    ("image_size", "8x8x8"),
    ("image_size", "4096"),
    ("resize", "64"),
    ("channels", "2"),
    ("channels", "1.0"),
    ("fit", "crop"),
    ("background", "mauve"),
    ("split", "0.8,0.1,0.2"),
    ("split", "0.8,0.2"),
    ("split", "NaN,0.1,0.1"),
    ("split", '{"train": 0.8}{'),
    ("split", "1e999,0.1,0.1"),
    ("seed", "-1"),
    ("seed", "one"),
    ("name", "x" * 101),
    ("colour", "yes"),
]


def test_bad_fields_of_the_form(own: tuple[ServerProcess, httpx.Client]) -> None:
    process, http = own
    for field, value in BAD_FIELDS:
        answer = upload(http, pack(shades(3)), **{field: value})
        assert answer.status_code == 422, f"{field}={value}: {answer.text}"
        assert [error["parameter"] for error in answer.json()["errors"]] == [field], answer.text
        assert files(process, "uploads") == [], f"{field}={value}"


def link() -> bytes:
    buffer = io.BytesIO(pack(shades(3)))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("dark/link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


BAD_ARCHIVES: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (lambda: b"", 422, "invalid"),
    "no zip": (lambda: b"GIF89a, perhaps", 422, "invalid"),
    "text": (lambda: b"hello " * 1000, 422, "invalid"),
    "cut short": (lambda: pack(shades(3))[:-30], 422, "damaged-archive"),
    "parent": (lambda: pack({**shades(3), "../dark/9.png": b"x"}), 422, "unsafe-archive"),
    "absolute": (lambda: pack({**shades(3), "/dark/9.png": b"x"}), 422, "unsafe-archive"),
    "link": (link, 422, "unsafe-archive"),
    "bomb": (lambda: pack({**shades(3), "dark/b.png": bytes(50_000_000)}), 413, "suspicious-compression"),
    "no folders": (lambda: pack({"1.png": b"x", "2.png": b"x"}), 422, "unusable-archive"),
    "one class": (lambda: pack({"dark/1.png": b"x"}), 422, "unusable-archive"),
    "too deep": (lambda: pack({"a/b/dark/1.png": b"x", "a/b/light/1.png": b"x"}), 422, "unusable-archive"),
    "too few": (lambda: pack(shades(2)), 422, "too-few-images"),
    "too large": (lambda: os.urandom(1_100_000), 413, "too-large"),
}


def test_bad_archives_are_refused_at_once_and_leave_nothing(own: tuple[ServerProcess, httpx.Client]) -> None:
    process, http = own
    for case, (make, status, code) in BAD_ARCHIVES.items():
        answer = upload(http, make())
        assert answer.status_code == status, f"{case}: {answer.text}"
        assert answer.json()["type"] == f"/problems/{code}", f"{case}: {answer.text}"
        assert files(process, "uploads") == [], case
    assert [dataset["id"] for dataset in http.get("/v1/datasets").json()["data"]] == ["digits"]
    assert files(process, "datasets") == []


def test_requests_that_are_no_upload(http: httpx.Client) -> None:
    assert http.post("/v1/datasets").status_code == 415
    assert (
        http.post("/v1/datasets", content=b"PK", headers={"Content-Type": "application/zip"}).status_code
        == 415
    )
    assert (
        http.post("/v1/datasets", content=b"{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )
    broken = http.post(
        "/v1/datasets", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"}
    )
    assert broken.status_code == 400
    assert upload(http, pack(shades(3)), colour="yes").json()["errors"][0]["parameter"] == "colour"


@pytest.mark.parametrize(
    ("entries", "code", "word"),
    [
        ({**shades(4), "bright/1.png": b"no", "bright/2.png": b"picture"}, "empty_class", "bright/1.png"),
        ({**shades(2), "dark/3.png": b"no picture"}, "too_few_images", "three"),
    ],
)
def test_what_cannot_be_trained_on_fails_and_says_why(
    own: tuple[ServerProcess, httpx.Client], ingest, entries: dict[str, bytes], code: str, word: str
) -> None:
    process, http = own
    dataset = ingest(http, pack(entries))
    assert dataset["status"] == "failed"
    assert dataset["error"]["code"] == code
    assert word in dataset["error"]["message"]
    assert files(process, "datasets") == []
    answer = http.get(f"/v1/datasets/{dataset['id']}/images/0")
    assert answer.status_code == 409
    assert word in answer.json()["detail"]
    job = http.post(
        "/v1/training-jobs", json={"architecture": {"preset": "lenet-5"}, "dataset": dataset["id"]}
    )
    assert job.status_code == 409
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204


def test_deleting(own: tuple[ServerProcess, httpx.Client], ingest, finished) -> None:
    process, http = own
    dataset = ingest(http, pack(shades()), image_size="28", channels="1")
    assert len(files(process, "datasets")) == 5
    job = http.post(
        "/v1/training-jobs",
        json={"architecture": {"preset": "lenet-5"}, "dataset": dataset["id"], "epochs": 100_000},
    ).json()
    refused = http.delete(f"/v1/datasets/{dataset['id']}")
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/in-use"
    http.post(f"/v1/training-jobs/{job['id']}/cancel")
    assert finished(http, job["id"])["status"] == "cancelled"
    assert http.delete(f"/v1/training-jobs/{job['id']}").status_code == 204
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    assert http.get(f"/v1/datasets/{dataset['id']}").status_code == 404
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 404
    assert files(process, "datasets") == []
    assert {path.parent.name for path in files(process, "jobs")} == {"job_example"}
    assert http.delete("/v1/datasets/digits").status_code == 409


def test_lists_are_newest_first_and_in_pages(own: tuple[ServerProcess, httpx.Client], ingest) -> None:
    _, http = own
    made = [ingest(http, pack(shades(3)), name=str(number))["id"] for number in range(2)]
    first = http.get("/v1/datasets", params={"limit": 1}).json()
    assert [dataset["id"] for dataset in first["data"]] == made[1:]
    rest = http.get("/v1/datasets", params={"limit": 2, "after": first["next"]}).json()
    assert [dataset["id"] for dataset in rest["data"]] == [made[0], "digits"]
    assert rest["next"] is None
    for identifier in made:
        http.delete(f"/v1/datasets/{identifier}")
