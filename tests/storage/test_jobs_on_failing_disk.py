"""Jobs of every kind wait for a disk that fails, and make what they would have made; nothing is half there."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.jobs.kinds import ASKED_FOR
from tests.conftest import FINISHED, connect
from tests.data.test_downloads import small
from tests.http.several import WaitFor, pictures
from tests.storage.disks import FailingDisk, failing_disk
from tests.storage.test_failing_disk import SETTINGS, TRAINING

FAULTS = (("fill", 2), ("make_read_only", 11), ("fail_once", 2))
"""What happens to the disk after how many writes; every kind of job meets it in `make test-slow`."""
RARE = (("fill", 11), ("make_read_only", 2), ("fail_once", 11))
"""The same of `make nightly`."""
QUICK = ("ingestion", "fill", 2)
"""The one of `make test`."""


class Place(NamedTuple):
    """A server, its disk, and the data set that additions go to."""

    client: httpx.Client
    disk: FailingDisk
    wait_for: WaitFor


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, wait_for: WaitFor) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("jobs")
    small(folder / "mirror" / "mnist", train=400)
    with failing_disk(folder) as disk:
        settings = SETTINGS | {"DATASET_MIRROR": str(folder / "mirror")}
        with ServerProcess(disk.data, folder / "log", settings) as url, connect(url) as client:
            yield Place(client, disk, wait_for)


def submitted(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def uploaded(place: Place) -> str:
    return submitted(place.client.post("/v1/datasets", files={"file": ("a.zip", pictures(side=40))}))


def dataset(place: Place, address: str) -> bytes:
    """Wait for the end of a data set's job, and return its files."""

    def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = place.client.get(address).json()
        busy = found["status"] == "ingesting" or found["adding"]
        return None if busy else found

    found = place.wait_for(settled, f"the end of {address}")
    assert found["status"] == "ready", found["error"]
    folder = place.disk.data / "datasets" / address.rpartition("/")[2]
    digest = hashlib.sha256()
    for file in sorted(folder.glob("segment-*/*")):
        # the name of a segment has the attempt that wrote it
        digest.update(file.name.encode() + file.read_bytes())
    return digest.digest()


def ended(place: Place, address: str) -> dict[str, Any]:
    def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = place.client.get(address).json()
        return found if found["status"] in FINISHED else None

    found: dict[str, Any] = place.wait_for(settled, f"the end of {address}")
    assert (found["status"], found["attempt"], found["waiting_for"]) == ("succeeded", 1, None), found
    return found


def train(place: Place) -> str:
    return submitted(place.client.post("/v1/training-jobs", json=TRAINING))


def trained(place: Place, address: str) -> bytes:
    model = ended(place, address)["model_id"]
    return place.client.get(f"/v1/models/{model}/weights").content


def evaluate(place: Place) -> str:
    request = {"model": "model_example", "dataset": "digits", "split": "test"}
    return submitted(place.client.post("/v1/evaluations", json=request))


def evaluated(place: Place, address: str) -> bytes:
    return json.dumps(ended(place, address)["report"], sort_keys=True).replace(address, "").encode()


def predict(place: Place) -> str:
    archive = {"file": ("a.zip", pictures(side=40))}
    return submitted(
        place.client.post("/v1/batch-predictions", data={"model": "model_example"}, files=archive)
    )


def predicted(place: Place, address: str) -> bytes:
    ended(place, address)
    answer = place.client.get(f"{address}/result")
    assert answer.status_code == 200, answer.text
    return answer.content


def add(place: Place) -> str:
    address = uploaded(place)
    dataset(place, address)
    more = {"file": ("b.zip", pictures(side=30))}
    answer = place.client.post(f"{address}/images", files=more)
    assert answer.status_code == 202, answer.text
    return address


def download(place: Place) -> str:
    for data_set in place.client.get("/v1/datasets?limit=200").json()["data"]:
        if data_set["name"] == "mnist":
            assert place.client.delete(f"/v1/datasets/{data_set['id']}").status_code == 204
    shutil.rmtree(place.disk.data / "downloads", ignore_errors=True)
    return submitted(place.client.post("/v1/datasets/downloads", json={"dataset": "mnist"}))


Way = tuple[Callable[[Place], str], Callable[[Place, str], bytes]]
WAYS: Mapping[str, Way] = {
    "training": (train, trained),
    "ingestion": (uploaded, dataset),
    "addition": (add, dataset),
    "download": (download, dataset),
    "evaluation": (evaluate, evaluated),
    "batch_prediction": (predict, predicted),
}


def test_every_kind_has_a_way() -> None:
    # nobody asks for a part: a job does
    assert WAYS.keys() == set(ASKED_FOR)


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> Callable[[str], bytes]:
    """What jobs of a kind make that nothing happens to."""
    made: dict[str, bytes] = {}

    def result(kind: str) -> bytes:
        if kind not in made:
            begin, end = WAYS[kind]
            made[kind] = end(place, begin(place))
        return made[kind]

    return result


def half_written(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if ".tmp-" in path.name]


def cases() -> Iterator[Any]:
    for kind in WAYS:
        for fault in (*FAULTS, *RARE):
            marks = [] if (kind, *fault) == QUICK else [pytest.mark.slow]
            yield pytest.param(
                kind, *fault, marks=[*marks, *([pytest.mark.nightly] if fault in RARE else [])]
            )


@pytest.mark.parametrize(("kind", "fault", "after"), list(cases()))
def test_it_ends_as_if_nothing_had_happened(
    place: Place, undisturbed: Callable[[str], bytes], kind: str, fault: str, after: int
) -> None:
    expected = undisturbed(kind)
    begin, end = WAYS[kind]
    address = begin(place)
    try:
        getattr(place.disk, fault)(after=after)
        # long jobs meet it, short ones may have ended before: what counts is that both end well
        place.wait_for(lambda: place.disk.has_failed or quick(place, kind, address), "the fault")
        if fault != "fail_once":
            time.sleep(1.0)  # others try to write, too
        status = place.client.get(address).json()["status"]
        assert status != "failed"
    finally:
        place.disk.mend()
    assert end(place, address) == expected
    assert half_written(place.disk.data) == []
    assert list((place.disk.data / "uploads").glob("*")) == []


def quick(place: Place, kind: str, address: str) -> bool:
    """Tell whether a job has ended, of which no write was refused."""
    found = place.client.get(address).json()
    return found["status"] in (*FINISHED, "ready") and not found.get("adding")
