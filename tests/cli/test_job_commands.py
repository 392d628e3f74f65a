"""The commands about training jobs, and the one that looks at whole archives, each in a process of its own."""

import csv
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

from app.client import Client

Run = Callable[..., subprocess.CompletedProcess[str]]
TINY = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_job_is_watched_shown_and_deleted(run: Run, server: str) -> None:
    with Client(server) as client:
        job = client.training_jobs.create(TINY, "digits", epochs=2, batch_size=256, name="[typed]")
    watched = good(run("jobs", "watch", job.id))
    assert "epoch 2: train loss" in watched
    assert "test accuracy" in watched
    shown = json.loads(good(run("jobs", "show", job.id, "--json")))
    assert (shown["id"], shown["status"], shown["name"]) == (job.id, "succeeded", "[typed]")
    assert shown["memory_bytes"] > 1 << 20
    assert (shown["queue_position"], shown["starts_in_seconds"], shown["webhook"]) == (None, None, None)
    (row,) = [
        line for line in good(run("jobs", "list", "--status", "succeeded")).splitlines() if job.id in line
    ]
    assert "[typed]" in row
    assert "100.0 %" in row
    assert shown["model_id"] in row
    assert job.id not in good(run("jobs", "list", "--status", "failed"))
    assert f"attempt 1 of training {job.id}" in good(run("jobs", "log", job.id))
    assert "is deleted" in good(run("jobs", "delete", job.id))
    gone = run("jobs", "show", job.id, "--json")
    assert (gone.returncode, "no job" in gone.stderr, "Traceback" in gone.stderr) == (1, True, False)


def test_an_evaluation_is_left_and_looked_at_later(run: Run, server: str) -> None:
    begun = json.loads(good(run("evaluate", "model_example", "--split", "dev", "--detach", "--json")))
    told = good(run("evaluate", "model_example", "--split", "dev", "--detach"))
    assert told.startswith("evaluation ")
    with Client(server) as client:
        for identifier in (begun["id"], told.split()[1]):
            assert client.evaluations.wait(identifier).status == "succeeded"
            client.evaluations.delete(identifier)


def test_a_job_is_cancelled(run: Run, server: str) -> None:
    with Client(server) as client:
        job = client.training_jobs.create(TINY, "digits", epochs=100_000)
    assert "cancel" in good(run("jobs", "cancel", job.id))
    watched = run("jobs", "watch", job.id)
    assert watched.returncode == 1
    assert "was cancelled" in watched.stderr
    assert f"convserve jobs log {job.id}" in watched.stderr
    again = run("jobs", "cancel", job.id)
    assert (again.returncode, "cancelled already" in again.stderr) == (1, True)


def test_an_archive_becomes_a_table(run: Run, server: str, tmp_path: Path) -> None:
    archive, table = tmp_path / "scans.zip", tmp_path / "scans.csv"
    with Client(server) as client, zipfile.ZipFile(archive, "w") as packed:
        pictures = [client.datasets.picture("digits", number, split="test") for number in range(3)]
        for picture in pictures:
            packed.writestr(f"{picture.number}.png", picture.content)
        packed.writestr("readme.txt", "no picture")
    said = good(run("models", "predict-batch", "lenet-5-digits@1", str(archive), str(table), "--top", "1"))
    assert "4 files, 1 of which are no picture" in said
    with table.open(encoding="utf-8", newline="") as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    with Client(server) as client:
        for picture in pictures:
            (seen,) = client.models.predict("model_example", [("a.png", picture.content)], top_k=1)
            assert rows[f"{picture.number}.png"]["label"] == seen.label
    refused = run("models", "predict-batch", "nobody@1", str(archive), str(table))
    assert (refused.returncode, "no model" in refused.stderr) == (1, True)
