"""Data sets grow at their end and nowhere else; what was there stays as it was, for jobs under way too."""

import base64
import io
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.files.locks import read_holder
from tests.jobs.service import pause


def picture(level: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(level, level + 40, (9, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def pack(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def shades(numbers: range) -> dict[str, bytes]:
    levels = {"dark": 10, "light": 200}
    return {f"{name}/{n}.png": picture(level, n) for name, level in levels.items() for n in numbers}


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory, connect: Callable[..., httpx.Client]
) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    folder = tmp_path_factory.mktemp("own")
    process = ServerProcess(folder / "data", folder / "log", {"CORES": "1", "HEARTBEAT_TIMEOUT": "600"})
    with process as url, connect(url) as http:
        yield process, http


@pytest.fixture
def shaded(own: tuple[ServerProcess, httpx.Client], ready: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    _, http = own
    archive = {"file": ("shades.zip", pack(shades(range(20))))}
    answer = http.post("/v1/datasets", files=archive, data={"image_size": "8", "channels": "1"})
    assert answer.status_code == 202, answer.text
    return ready(http, answer.json()["id"])


def pixels(http: httpx.Client, dataset: str, count: int) -> list[tuple[bytes, str, str]]:
    answers = [http.get(f"/v1/datasets/{dataset}/images/{number}") for number in range(count)]
    return [(a.content, a.headers["Image-Split"], a.headers["Image-Label"]) for a in answers]


def settle(http: httpx.Client, answer: httpx.Response, wait_for: Callable[..., Any]) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text

    def ended() -> Any:
        addition = http.get(answer.headers["Location"]).json()
        assert addition["id"] == answer.json()["id"]
        return addition if addition["finished_at"] else None

    found: dict[str, Any] = wait_for(ended)
    return found


@pytest.mark.slow
def test_adding_changes_nothing_that_was_there(
    own: tuple[ServerProcess, httpx.Client], shaded: dict[str, Any], wait_for, finished
) -> None:
    process, http = own
    url = f"/v1/datasets/{shaded['id']}"
    job = http.post(
        "/v1/training-jobs",
        json={
            "architecture": {
                "input_shape": [8, 8, 1],
                "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}],
            },
            "dataset": shaded["id"],
            "epochs": 100_000,
        },
    ).json()
    before = pixels(http, shaded["id"], 40)

    # The job needs no processor to be under way.
    def step() -> int:
        return int(http.get(f"/v1/training-jobs/{job['id']}").json()["progress"]["step"])

    wait_for(step, "its first steps")
    worker = read_holder(process.data_dir / "jobs" / job["id"] / "lock")
    assert worker is not None
    pause(process.data_dir, worker)

    # An archive, with one picture that is there, one given twice, one that is none and one beside the folders.
    entries = shades(range(100, 110))
    entries |= {"dark/same.png": shades(range(1))["dark/0.png"], "light/twice.png": entries["light/105.png"]}
    entries |= {"dark/cut.png": picture(10, 1)[:-30], "notes.txt": b"x"}
    added = settle(http, http.post(f"{url}/images", files={"file": ("m.zip", pack(entries))}), wait_for)
    assert added["status"] == "succeeded", added
    assert added["report"]["added"] == 20
    assert added["report"]["counts"] == {"misplaced": 1, "unreadable": 1, "duplicate": 2, "contradiction": 0}
    reasons = {entry["name"]: entry["reason"] for entry in added["report"]["files"]}
    assert "picture 0 of the data set" in reasons["dark/same.png"]
    assert "light/105.png" in reasons["light/twice.png"]
    assert set(reasons) == {"dark/same.png", "light/twice.png", "dark/cut.png", "notes.txt"}
    (listed,) = http.get(f"{url}/additions").json()["data"]
    assert added["report"].pop("files")
    assert listed == added
    grown = http.get(url).json()
    assert grown["images"] == 60
    assert grown["classes"] == [{"name": "dark", "images": 30}, {"name": "light", "images": 30}]
    assert grown["splits"] == {"train": 48, "dev": 6, "test": 6}
    assert grown["fingerprint"] != shaded["fingerprint"]
    assert grown["bytes"] > shaded["bytes"]
    assert grown["report"] == shaded["report"]
    assert pixels(http, shaded["id"], 40) == before

    # Files of one label; then the same again.
    files = [("files", (f"{n}.png", picture(200, n))) for n in range(200, 203)]
    for wanted in (3, 0):
        added = settle(http, http.post(f"{url}/images", files=files, data={"label": "light"}), wait_for)
        assert (added["status"], added["report"]["added"]) == ("succeeded", wanted)
    again = http.get(url).json()
    assert (again["images"], again["adding"], again["progress"]) == (63, 0, None)
    # The job that made the data set is none of them, and takes no place in a page.
    maker = shaded["id"].replace("ds_", "job_")
    for place in (f"{url}/additions/{maker}", f"/v1/datasets/digits/additions/{added['id']}"):
        assert http.get(place).status_code == 404
    pages = [http.get(f"{url}/additions", params={"limit": 1}).json()]
    while pages[-1]["next"]:
        pages.append(http.get(f"{url}/additions", params={"limit": 1, "after": pages[-1]["next"]}).json())
    assert [page["data"][0]["report"]["added"] for page in pages] == [0, 3, 20]
    assert pixels(http, shaded["id"], 60)[:40] == before
    folder = process.data_dir / "datasets" / shaded["id"]
    adders = [page["data"][0]["id"] for page in reversed(pages[1:])]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        f"segment-{number:04}-{job_id}-1" for number, job_id in enumerate([maker, *adders], 1)
    ]
    assert list((process.data_dir / "uploads").iterdir()) == []

    # The job that was running sees what it began with; a new one sees all.
    assert http.get(f"/v1/training-jobs/{job['id']}").json()["status"] == "running"
    paused_at = step()
    os.kill(worker, signal.SIGCONT)
    wait_for(lambda: step() > paused_at, "more steps")
    http.post(f"/v1/training-jobs/{job['id']}/cancel")
    assert finished(http, job["id"])["status"] == "cancelled"
    new = http.post("/v1/training-jobs", json={**job_body(shaded["id"]), "epochs": 1}).json()
    assert finished(http, new["id"])["status"] == "succeeded"

    # All of it goes together.
    assert http.delete(url).status_code == 204
    assert not folder.exists()
    left = {path.name for path in (process.data_dir / "jobs").iterdir()}
    assert left == {"job_example", job["id"], new["id"]}


def job_body(dataset: str) -> dict[str, Any]:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2}]
    return {"architecture": {"input_shape": [8, 8, 1], "layers": layers}, "dataset": dataset}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_what_cannot_be_added_is_refused_and_leaves_nothing(
    own: tuple[ServerProcess, httpx.Client], shaded: dict[str, Any]
) -> None:
    process, http = own
    url = f"/v1/datasets/{shaded['id']}/images"
    one = encoded(picture(10, 500))
    bodies: list[tuple[dict[str, Any], int, str]] = [
        ({"images": [one]}, 422, "/label"),
        ({"label": "dark"}, 422, "/images"),
        ({"label": "dark", "images": [one], "file": encoded(pack(shades(range(3))))}, 422, "/images"),
        ({"label": "dark", "file": encoded(pack(shades(range(3))))}, 422, "/label"),
        ({"label": "dark", "images": ["no base64!"]}, 422, "/images/0"),
        ({"label": "grey", "images": [one]}, 422, "/label"),
        ({"file": encoded(pack({"grey/1.png": b"x"}))}, 422, "/file"),
        ({"file": encoded(b"no archive")}, 422, ""),
        ({"file": encoded(pack({"../dark/1.png": b"x"}))}, 422, ""),
    ]
    for body, status, place in bodies:
        answer = http.post(url, json=body)
        assert answer.status_code == status, f"{list(body)}: {answer.text}"
        places = [error.get("pointer", error.get("parameter")) for error in answer.json().get("errors", [])]
        assert places == ([place] if place else []), answer.text
    form = http.post(
        url, files={"files": ("a.png", picture(10, 500))}, data={"label": "dark", "dry_run": "maybe"}
    )
    assert form.status_code == 422
    assert form.json()["errors"][0]["parameter"] == "dry_run"
    assert (
        http.post("/v1/datasets/ds_none/images", json={"label": "dark", "images": [one]}).status_code == 404
    )
    builtin = http.post("/v1/datasets/digits/images", json={"label": "3", "images": [one]})
    assert builtin.status_code == 409
    assert list((process.data_dir / "uploads").iterdir()) == []
    assert http.get(f"/v1/datasets/{shaded['id']}/additions").json()["data"] == []


def test_a_dry_run_tells_and_adds_nothing(
    own: tuple[ServerProcess, httpx.Client], shaded: dict[str, Any]
) -> None:
    process, http = own
    images = [encoded(picture(10, 700)), encoded(picture(10, 3)), encoded(b"no picture")]
    body = {"label": "dark", "images": images, "dry_run": True}
    answer = http.post(f"/v1/datasets/{shaded['id']}/images", json=body)
    assert answer.status_code == 200, answer.text
    report = answer.json()["report"]
    assert (report["added"], report["counts"]["duplicate"], report["counts"]["unreadable"]) == (1, 1, 1)
    assert [entry["name"] for entry in report["files"]] == ["image 2", "image 3"]
    assert http.get(f"/v1/datasets/{shaded['id']}").json() == shaded
    assert list((process.data_dir / "uploads").iterdir()) == []


def test_statistics_are_those_of_the_pixels(
    own: tuple[ServerProcess, httpx.Client], shaded: dict[str, Any]
) -> None:
    process, http = own
    answer = http.get(f"/v1/datasets/{shaded['id']}/statistics")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (folder,) = (process.data_dir / "datasets" / shaded["id"]).glob("segment-0001-*")
    images, labels, splits = (np.load(folder / f"{name}.npy") for name in ("images", "labels", "splits"))

    def check(part: dict[str, Any], chosen: np.ndarray) -> None:
        assert part["images"] == chosen.sum()
        (channel,) = part["channels"]
        values = images[chosen].astype(np.float64)
        assert channel["mean"] == pytest.approx(values.mean(), abs=1e-3)
        assert channel["std"] == pytest.approx(values.std(), abs=1e-3)
        assert (channel["min"], channel["max"]) == (values.min(), values.max())

    check(found["all"], labels >= 0)
    for code, name in enumerate(("train", "dev", "test")):
        check(found["splits"][name], splits == code)
    for label, entry in enumerate(found["classes"]):
        check(entry, labels == label)
        assert entry["name"] == shaded["classes"][label]["name"]
        assert entry["splits"] == {
            name: int(((labels == label) & (splits == code)).sum())
            for code, name in enumerate(("train", "dev", "test"))
        }
    assert http.get(f"/v1/datasets/{shaded['id']}/statistics").json() == found
    assert http.get("/v1/datasets/digits/statistics").json()["all"]["images"] == 10_000


def opened(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_samples_have_a_row_for_each_class(http: httpx.Client) -> None:
    sheet = opened(http.get("/v1/datasets/digits/samples"))
    few = opened(http.get("/v1/datasets/digits/samples", params={"per_class": 3, "split": "test"}))
    assert few.shape[1] < sheet.shape[1]
    assert few.shape[0] == sheet.shape[0]
    last = opened(http.get("/v1/datasets/digits/samples", params={"first_class": 8, "per_class": 3}))
    assert last.shape[0] * 5 == pytest.approx(few.shape[0], abs=20)
    other = opened(http.get("/v1/datasets/digits/samples", params={"seed": 1}))
    assert not np.array_equal(other, sheet)
    # Digits are light on black: there is much black on the white sheet.
    assert (sheet[:, sheet.shape[1] // 2 :] < 30).mean() > 0.5
    assert http.get("/v1/datasets/digits/samples", params={"first_class": 10}).status_code == 404
    assert http.get("/v1/datasets/digits/samples", params={"per_class": 0}).status_code == 422


def test_an_augmentation_preview_shows_originals_and_variants(http: httpx.Client) -> None:
    url = "/v1/datasets/digits/augmentation-preview"
    body = {"augmentations": [{"type": "rotation", "degrees": 30}], "images": 2, "variants": 3}
    sheet = opened(http.post(url, json=body))
    assert np.array_equal(opened(http.post(url, json=body)), sheet)
    other = opened(http.post(url, json={**body, "seed": 1}))
    assert other.shape == sheet.shape
    assert not np.array_equal(other, sheet)
    mixed = {"augmentations": [{"type": "mixup"}], "images": 1, "variants": 1, "split": "test"}
    opened(http.post(url, json=mixed))
    # Hue needs three channels, and digits have one.
    colour = http.post(url, json={"augmentations": [{"type": "rotation", "degrees": 3}, {"type": "hue"}]})
    assert colour.status_code == 422
    assert colour.json()["errors"][0]["pointer"].startswith("/augmentations/1")
    unknown = http.post(url, json={"augmentations": [{"type": "rotate"}]})
    assert unknown.status_code == 422
