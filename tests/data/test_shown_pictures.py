"""Pictures of data sets as a page shows them: small, not sent again, listed with the names of their files."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from tests.data.dark_and_light import PER_CLASS, correct, told, upload


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def http(folder: Path, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with ServerProcess(folder / "data", folder / "log") as url, connect(url) as client:
        yield client


@pytest.fixture
def own(http: httpx.Client, ready: Callable[..., dict[str, Any]]) -> str:
    return str(upload(http, ready)["id"])


@pytest.fixture(scope="module")
def shared(http: httpx.Client, ready: Callable[..., dict[str, Any]]) -> str:
    """A data set of which nothing is corrected."""
    return str(upload(http, ready)["id"])


def test_a_picture_is_not_sent_again_as_long_as_nothing_changes(http: httpx.Client, own: str) -> None:
    url = f"/v1/datasets/{own}/images/0"
    first = http.get(url)
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    again = http.get(url, headers=known)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    # what is asked for in another way is something else
    tags = {first.headers["ETag"]}
    for place, query in enumerate(("size=4", "split=train"), 2):
        answer = http.get(f"{url}?{query}", headers=known)
        assert answer.status_code == 200
        tags.add(answer.headers["ETag"])
        assert len(tags) == place
    as_json = http.get(url, headers={**known, "Accept": "application/json"})
    assert (as_json.status_code, as_json.headers["Vary"], first.headers["Vary"]) == (200, "Accept", "Accept")
    label = "light" if first.headers["Image-Label"] == "dark" else "dark"
    correct(http, own, {"number": 0, "label": label})
    changed = http.get(url, headers=known)
    assert (changed.status_code, changed.headers["Image-Label"]) == (200, label)
    assert changed.headers["ETag"] not in tags
    assert changed.content == first.content
    assert http.get(f"/v1/datasets/{own}/images/999", headers={"If-None-Match": "*"}).status_code == 404


def test_a_picture_can_be_had_small(http: httpx.Client, shared: str) -> None:
    def shown(**query: int) -> np.ndarray[Any, Any]:
        return np.asarray(
            Image.open(io.BytesIO(http.get(f"/v1/datasets/{shared}/images/3", params=query).content))
        )

    whole, small = shown(), shown(size=4)
    assert (whole.shape, small.shape) == ((8, 8), (4, 4))
    # each pixel is the mean of four
    assert np.abs(small - whole.reshape(4, 2, 4, 2).mean(axis=(1, 3))).max() <= 1
    assert np.array_equal(shown(size=64), whole)
    for size in (0, 513):
        refused = http.get(f"/v1/datasets/{shared}/images/3", params={"size": size})
        assert refused.json()["errors"][0]["parameter"] == "size"


def test_samples_and_extremes_name_their_pictures(http: httpx.Client, shared: str) -> None:
    rows = http.get(
        f"/v1/datasets/{shared}/samples",
        params={"per_class": 3, "split": "train"},
        headers={"Accept": "application/json"},
    ).json()["data"]
    assert [row["name"] for row in rows] == ["dark", "light"]
    statistics = http.get(f"/v1/datasets/{shared}/statistics").json()
    for row, counts in zip(rows, statistics["classes"], strict=True):
        assert row["images"] == counts["splits"]["train"]
        assert len(row["pictures"]) == 3
        for picture in row["pictures"]:
            assert picture == told(http, shared, picture["number"])
            assert (picture["label"], picture["split"]) == (row["name"], "train")
            assert picture["image_url"] == f"/v1/datasets/{shared}/images/{picture['number']}"
    means = {}
    for number in range(2 * PER_CLASS):
        pixels = Image.open(io.BytesIO(http.get(f"/v1/datasets/{shared}/images/{number}").content))
        means[number] = np.asarray(pixels).mean()
    ranking = sorted(means, key=means.__getitem__)
    assert [entry["number"] for entry in statistics["darkest"]] == ranking[:5]
    assert [entry["number"] for entry in statistics["lightest"]] == ranking[:-6:-1]
    for entry in (*statistics["darkest"], *statistics["lightest"]):
        assert entry["value"] == pytest.approx(means[entry["number"]], rel=1e-5)
        assert entry["name"] == told(http, shared, entry["number"])["name"]


def test_statistics_of_earlier_revisions_are_not_kept(http: httpx.Client, own: str, folder: Path) -> None:
    def kept() -> list[str]:
        return sorted(path.name for path in (folder / "data" / "datasets" / own).glob("statistics-*"))

    assert http.get(f"/v1/datasets/{own}/statistics").json()["darkest"][0]["number"] is not None
    (first,) = kept()
    darkest = http.get(f"/v1/datasets/{own}/statistics").json()["darkest"][0]["number"]
    # one that an earlier version wrote
    (folder / "data" / "datasets" / own / "statistics-24-7.json").write_text("{}")
    correct(http, own, {"number": darkest, "excluded": True})
    assert http.get(f"/v1/datasets/{own}/statistics").json()["darkest"][0]["number"] != darkest
    (second,) = kept()
    assert second != first
