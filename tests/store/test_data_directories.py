"""A data directory that an earlier version wrote opens, shows what it held, and goes on with its work."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.store.snapshots import count_rows
from tests.care.installation import as_json
from tests.cluster.seaweed import S3Server

FIXTURES = Path(__file__).parents[1] / "fixtures"
PACKED = sorted(FIXTURES.glob("data-directory-*.tar.xz"))
IN_TURN = [PACKED[0], *(pytest.param(path, marks=pytest.mark.slow) for path in PACKED[1:])]
"""Of the first every migration is run; one of those that came later takes some seconds, too."""
ADDED_TO = ("changes", "job_events")
"""Tables that an upgrade may put rows into."""

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def agrees(now: Any, then: Any) -> bool:
    """Tell whether all that was said then is still said; there may be more now."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(name in now and agrees(now[name], then[name]) for name in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(agrees, now, then))
    return bool(now == then)


def shade(level: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(level, level + 40, (12, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def test_there_is_one_for_each_version() -> None:
    assert [path.name for path in PACKED] == [
        f"data-directory-{number}.tar.xz" for number in range(1, len(PACKED) + 1)
    ]
    assert PACKED


def unpack(packed: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Unpack a data directory, and return it with what was said of it."""
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    data_dir = folder / "data"
    return data_dir, json.loads((data_dir / "facts.json").read_text(encoding="utf-8"))


def shows_and_goes_on(http: httpx.Client, facts: dict[str, Any], finished: Finished) -> None:
    """See that a server has all that there was, and does what was under way."""
    listed = {entry["id"]: entry for entry in http.get("/v1/datasets").json()["data"]}
    assert set(listed) == {"digits", *(entry["id"] for entry in facts["datasets"])}
    for dataset in facts["datasets"]:
        assert agrees(http.get(f"/v1/datasets/{dataset['id']}").json(), dataset)
        picture = http.get(f"/v1/datasets/{dataset['id']}/images/0", params={"split": "test"})
        assert picture.status_code == 200
    assert http.get("/v1/datasets/digits/images/0").status_code == 200

    jobs = {entry["id"]: entry for entry in http.get("/v1/training-jobs").json()["data"]}
    assert set(jobs) == {"job_example", facts["job"]["id"], facts["under_way"], facts["waiting"]}
    assert agrees(jobs[facts["job"]["id"]]["metrics"], facts["job"]["metrics"])
    metrics = http.get(f"/v1/training-jobs/{facts['job']['id']}/metrics").json()["data"]
    assert len(metrics) == facts["job"]["epochs"]
    told = http.get(f"/v1/training-jobs/{facts['job']['id']}/events").text
    assert told.count("event: epoch\n") == facts["job"]["epochs"]
    assert told.count("event: end\n") == 1

    model = http.get(f"/v1/models/{facts['model']['id']}").json()
    assert agrees(
        {name: model[name] for name in ("classes", "input_shape", "metrics")},
        {name: facts["model"][name] for name in ("classes", "input_shape", "metrics")},
    )
    answer = http.post(
        f"/v1/models/{model['id']}/predict",
        files={"files": ("light.png", shade(210, facts["picture_seed"]))},
    )
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["data"]
    assert prediction["label"] == facts["prediction"]["label"]
    assert prediction["probability"] == pytest.approx(facts["prediction"]["probability"], abs=1e-5)
    for identifier in ("model_example", "job_example"):
        kind = "models" if identifier.startswith("model") else "training-jobs"
        assert http.get(f"/v1/{kind}/{identifier}").status_code == 200

    for name in ("under_way", "waiting"):
        job = finished(http, facts[name])
        assert job["status"] == "succeeded", job
        assert len(http.get(f"/v1/training-jobs/{job['id']}/metrics").json()["data"]) == job["epochs"]


@pytest.mark.parametrize("packed", IN_TURN, ids=lambda path: path.name)
def test_an_earlier_data_directory_opens_and_goes_on(
    packed: Path,
    tmp_path: Path,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    finished: Finished,
) -> None:
    _, facts = unpack(packed, tmp_path)
    with connect(start("data", CORES="1").start()) as http:
        shows_and_goes_on(http, facts, finished)


@pytest.mark.cluster
@pytest.mark.parametrize("packed", PACKED, ids=lambda path: path.name)
def test_an_earlier_data_directory_moves_to_shared_services_and_goes_on(
    packed: Path,
    tmp_path: Path,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    finished: Finished,
    s3: S3Server,
    prefix: str,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data_dir, facts = unpack(packed, tmp_path)
    shared = s3.settings(prefix)
    for name, value in shared.items():
        if name != "ARTIFACTS_URL":
            monkeypatch.setenv(f"CONVSERVE_{name}", value)
    before = count_rows(data_dir)
    assert as_json("upgrade", "--data-dir", data_dir)["kept"]
    assert as_json("migrate-artifacts", data_dir, shared["ARTIFACTS_URL"])["damaged"] == []
    moved = {entry["table"]: entry["rows"] for entry in as_json("migrate-store", data_dir, database_url)}
    kept = {table: rows for table, rows in moved.items() if table in before and table not in ADDED_TO}
    assert kept == {table: before[table] for table in kept}
    assert {"jobs", "datasets", "models", "epochs"} <= kept.keys()
    service = start("elsewhere", DATABASE_URL=database_url, **shared)
    with connect(service.start()) as http:
        shows_and_goes_on(http, facts, finished)
