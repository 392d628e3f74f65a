"""An installation with something of everything moves to PostgreSQL and an object store, and back: nobody notices."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.settings import Settings
from tests.care.installation import SETTINGS, as_json, ended, fill, point, predicted, sha256
from tests.cluster.seaweed import S3Server
from tests.data.dark_and_light import correct
from tests.fixtures.make_data_directory import LAYERS, train, wait

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
KEY = {"API_KEY": "a-long-key-of-the-operator"}
JOB = {"architecture": {"input_shape": [12, 12, 1], "layers": LAYERS}, "epochs": 1, "batch_size": 4}
AGAIN = {"Idempotency-Key": "of-the-first-job"}


def client(url: str, key: str = KEY["API_KEY"]) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, timeout=60, trust_env=False, headers=headers)


def shown(http: httpx.Client, dataset: str, model: str) -> dict[str, Any]:
    """Return what is answered of all that does not change."""
    places = [
        f"/v1/models/{model}",
        f"/v1/models/{model}/weights",
        f"/v1/models/{model}/aliases",
        "/v1/keys",
        f"/v1/datasets/{dataset}",
        f"/v1/datasets/{dataset}/corrections",
        f"/v1/datasets/{dataset}/images/0",
        f"/v1/datasets/{dataset}/statistics",
    ]
    job = http.get(f"/v1/models/{model}").json()["training_job_id"]
    places += [f"/v1/training-jobs/{job}/{part}" for part in ("", "metrics", "report", "log")]
    answers = {place: http.get(place.rstrip("/")) for place in places}
    assert {place: answer.status_code for place, answer in answers.items()} == dict.fromkeys(places, 200)
    found: dict[str, Any] = {place: answer.content for place, answer in answers.items()}
    # what changes by being used: when that was last, and what computes a model that is in memory
    for place in ("/v1/keys", f"/v1/models/{model}"):
        found[place] = re.sub(rb'"(?:last_used_at|computed_by)":[^,}]*', b"", found[place])
    return found


def moved(what: str, source: Path | str, target: Path | str) -> None:
    """Move something, after one that was killed at its fourth step."""
    command = [sys.executable, "-m", "tests.care.moving", what, "4", str(source), str(target)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    if what == "rows":
        as_json("migrate-store", source, target)
    else:
        assert as_json("migrate-artifacts", source, target)["passed_over"] >= 4


def test_there_and_back(
    start: Callable[..., ServerProcess],
    s3: S3Server,
    prefix: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = s3.settings(prefix)
    for name, value in shared.items():
        if name != "ARTIFACTS_URL":
            monkeypatch.setenv(f"CONVSERVE_{name}", value)
    bucket = shared["ARTIFACTS_URL"]
    local = SETTINGS | KEY
    first = start("first", **local)
    with first as url, client(url) as http:
        dataset = fill(http)
        correct(http, dataset, {"number": 0, "excluded": True})
        created = http.post("/v1/training-jobs", json=JOB | {"dataset": dataset}, headers=AGAIN).json()
        model = ended(http, created["id"])["model_id"]
        point(http, f"{http.get(f'/v1/models/{model}').json()['name']}@best", 1)
        camera = http.post("/v1/keys", json={"name": "camera", "scopes": ["predict"]}).json()["key"]
        under_way = train(http, dataset, [12, 12, 1], epochs=60, batch_size=1, name="under-way")
        waiting = train(http, dataset, [12, 12, 1], epochs=1, name="waiting")
        wait(lambda: (http.get(f"/v1/training-jobs/{under_way}").json().get("progress") or {}).get("epoch"))
        before, answer = shown(http, dataset, model), predicted(http, model)
    shutil.copytree(first.data_dir, tmp_path / "undisturbed")

    moved("files", first.data_dir, bucket)
    moved("rows", first.data_dir, database_url)
    there = start("there", **local, **shared, DATABASE_URL=database_url)
    settings = Settings(
        data_dir=there.data_dir,
        database_url=database_url,
        **{name.lower(): value for name, value in shared.items()},
    )
    for name, value in settings.environment(secrets=True).items():
        if name in ("CONVSERVE_DATABASE_URL", "CONVSERVE_ARTIFACTS_URL", "CONVSERVE_DATA_DIR"):
            monkeypatch.setenv(name, value)
    assert as_json("check")["findings"] == []
    with there as url, client(url) as http:
        assert shown(http, dataset, model) == before
        assert predicted(http, model) == answer
        with client(url, camera) as camera_http:
            assert predicted(camera_http, model) == answer
        again = http.post("/v1/training-jobs", json=JOB | {"dataset": dataset}, headers=AGAIN)
        assert again.json() == created
        ends = {job: ended(http, job) for job in (under_way, waiting)}
        assert [job["attempt"] for job in ends.values()] == [1, 1]
        weights = {job: sha256(http, each["model_id"]) for job, each in ends.items()}
        late = train(http, dataset, [12, 12, 1], epochs=60, batch_size=1, name="late")
        wait(lambda: (http.get(f"/v1/training-jobs/{late}").json().get("progress") or {}).get("epoch"))
        events = http.get(f"/v1/training-jobs/{under_way}/metrics").json()
    with start("undisturbed", **local) as url, client(url) as http:
        assert {job: sha256(http, ended(http, job)["model_id"]) for job in weights} == weights, (
            "the same bytes"
        )

    back = start("back", **local)
    moved("files", bucket, back.data_dir)
    moved("rows", database_url, back.data_dir)
    for name in ("CONVSERVE_DATABASE_URL", "CONVSERVE_ARTIFACTS_URL"):
        monkeypatch.delenv(name)
    assert as_json("check", "--data-dir", back.data_dir)["findings"] == []
    with back as url, client(url) as http:
        assert shown(http, dataset, model) == before
        assert predicted(http, model) == answer
        assert {job: sha256(http, each["model_id"]) for job, each in ends.items()} == weights
        assert http.get(f"/v1/training-jobs/{under_way}/metrics").json() == events
        assert ended(http, late)["attempt"] == 1
