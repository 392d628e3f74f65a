"""What follows when a job has ended: a line in the log, and no files that nobody needs."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from app.api.requests.training_jobs import TrainingJobRequest
from app.errors import Conflict
from app.files import paths
from app.ids import MODEL, new_id
from app.jobs.accept.training import new_job
from app.jobs.cleanup import Cleanup
from app.jobs.ends import Ends
from app.jobs.kinds import BATCH_PART, BATCH_PREDICTION, TRAINING
from app.states import JobStatus
from app.store.database import DATABASE_NAME
from app.store.records import JobRecord, ModelRecord, now
from tests.jobs.service import Service, until

DIVERGED = {"code": "non_finite", "message": "the loss became NaN"}


def with_checkpoint(service: Service) -> str:
    """Make a job whose attempt has written two checkpoints, of which the second counts, and was killed at a third."""
    job_id = service.train(epochs=4)
    service.store.jobs.claim_next([TRAINING.name])
    for step in (16, 32, 40):
        service.artifacts.write(paths.checkpoint(job_id, 1, step), b"weights")
    service.artifacts.write(paths.initial(job_id), b"weights of another job")
    service.artifacts.write(paths.log(job_id, 1), b"done")
    name = paths.checkpoint(job_id, 1, 32)
    service.store.jobs.record_checkpoint(job_id, 1, {"name": name, "epoch": 2, "step": 32})
    return job_id


def files(service: Service, job_id: str) -> set[str]:
    return {name.rpartition("/")[2] for name in service.artifacts.names(paths.directory(job_id))}


def ended(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["values"] for record in caplog.records if record.message == "job_ended"]


def model(service: Service) -> ModelRecord:
    return ModelRecord(new_id(MODEL), "m", "models/m", "0", 1, ["a"], [1, 1, 1], {}, {})


ENDS: dict[str, Callable[[Service, str], object]] = {
    "succeeded": lambda service, job_id: service.store.jobs.succeed(job_id, 1, model=model(service)),
    "failed": lambda service, job_id: service.store.jobs.fail(job_id, 1, DIVERGED),
    "cancelled": lambda service, job_id: (
        service.store.jobs.request_cancel(job_id),
        service.store.jobs.cancelled(job_id, 1),
    ),
}


def test_files_that_cannot_be_removed_keep_nothing_else_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ends = Ends(service.store, service.artifacts)
    stuck, other = with_checkpoint(service), with_checkpoint(service)
    for job_id in (stuck, other):
        ENDS["succeeded"](service, job_id)
    delete = service.artifacts.delete

    def refuse(name: str) -> None:
        if stuck in name:
            raise PermissionError(13, "Permission denied", name)
        delete(name)

    with monkeypatch.context() as patch:
        patch.setattr(service.artifacts, "delete", refuse)
        ends.look()
        ends.look()
    assert len(files(service, other)) == 2
    assert len(files(service, stuck)) == 5
    assert [record.message for record in caplog.records].count("files_not_removed") == 1
    ends.look()
    assert len(files(service, stuck)) == 2


@pytest.mark.parametrize("how", ENDS)
def test_every_end_is_logged_once_and_leaves_one_checkpoint(
    service: Service, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    ends = Ends(service.store, service.artifacts)
    job_id = with_checkpoint(service)
    ends.look()
    assert len(files(service, job_id)) == 5, "nothing goes while it runs"
    ENDS[how](service, job_id)
    with caplog.at_level(logging.INFO):
        ends.look()
        ends.look()
    (line,) = ended(caplog)
    assert (line["job"], line["kind"], line["status"]) == (job_id, "training", how)
    assert line["seconds"] >= 0
    assert line["error"] == ("non_finite" if how == "failed" else None)
    assert files(service, job_id) == {"attempt-1.log", "checkpoint-1-32.safetensors"}
    assert service.job(job_id).checkpoint_kept_since is not None


@pytest.mark.parametrize("of", paths.FINDINGS)
@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_what_attempts_found_that_died_before_they_said_so_goes(
    service: Service, status: str, of: Callable[[str, int], str]
) -> None:
    """A worker that is killed between the writing of a report and the row leaves it to nobody."""
    ends = Ends(service.store, service.artifacts)
    job_id = service.train()
    for attempt in (1, 2):
        service.store.jobs.claim_next([TRAINING.name])
        service.artifacts.write(of(job_id, attempt), b"found")
        if attempt == 1:
            service.store.jobs.lost(job_id, 1)
    ends.look()
    assert len(files(service, job_id)) == 2, "nothing goes while it runs"
    if status == "succeeded":
        service.store.jobs.succeed(job_id, 2, model=model(service))
    else:
        service.store.jobs.fail(job_id, 2, DIVERGED)
    ends.look()
    kept = {of(job_id, 2).rpartition("/")[2]} if status == "succeeded" else set()
    assert files(service, job_id) == kept


def test_what_an_earlier_version_found_in_a_later_attempt_stays(service: Service) -> None:
    """It has written all findings as if by the first attempt."""
    job_id = service.train()
    service.store.jobs.claim_next([TRAINING.name])
    service.store.jobs.lost(job_id, 1)
    service.store.jobs.claim_next([TRAINING.name])
    service.artifacts.write(paths.report(job_id, 1), b"found")
    service.store.jobs.succeed(job_id, 2, model=model(service))
    Ends(service.store, service.artifacts).look()
    assert files(service, job_id) == {"report.json"}


def test_an_end_that_nobody_saw_is_logged_by_the_next_server_and_by_no_other(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    before = with_checkpoint(service)
    service.store.jobs.fail(before, 1, DIVERGED)
    with caplog.at_level(logging.INFO):
        Ends(service.store, service.artifacts).look()
        meanwhile = with_checkpoint(service)
        service.store.jobs.fail(meanwhile, 1, DIVERGED)
        assert [line["job"] for line in ended(caplog)] == [before]
        for _ in range(2):
            Ends(service.store, service.artifacts).look()
    assert [line["job"] for line in ended(caplog)] == [before, meanwhile]
    assert files(service, meanwhile) == {"attempt-1.log", "checkpoint-1-32.safetensors"}


def test_a_job_that_nobody_started_ends_in_the_log_too(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        job_id = service.train()
        service.run(max_jobs=1)
        service.store.jobs.request_cancel(job_id)
        until(lambda: bool(ended(caplog)), "the line")
        service.wait_end(job_id)
    assert [line["job"] for line in ended(caplog)] == [job_id]


def test_what_earlier_versions_left_goes_at_the_start(service: Service) -> None:
    running, ended = with_checkpoint(service), with_checkpoint(service)
    service.store.jobs.fail(ended, 1, DIVERGED)
    cleanup = Cleanup(service.store, service.artifacts, service.settings())
    cleanup.start()
    try:
        until(lambda: len(files(service, ended)) == 2, "the cleaning")
    finally:
        cleanup.stop()
    assert len(files(service, running)) == 5


def age(service: Service, job_id: str, days: float) -> None:
    """Let a job have ended so many days ago."""
    then = (now() - timedelta(days=days)).replace(tzinfo=None).isoformat(" ")
    with closing(sqlite3.connect(service.data_dir / DATABASE_NAME)) as database, database:
        database.execute("UPDATE jobs SET checkpoint_kept_since = ? WHERE id = ?", (then, job_id))


def go_on(service: Service, job_id: str) -> JobRecord:
    request = TrainingJobRequest(continue_from=job_id, epochs=1)
    return new_job(request, service.store, service.artifacts, service.settings())


@pytest.mark.parametrize("how", ENDS)
def test_the_last_checkpoint_goes_after_a_while_and_says_so(service: Service, how: str) -> None:
    old, young = with_checkpoint(service), with_checkpoint(service)
    ENDS[how](service, old)
    ENDS[how](service, young)
    age(service, old, 8)
    age(service, young, 6)
    cleanup = Cleanup(service.store, service.artifacts, service.settings(checkpoint_retention_days=7.0))
    cleanup.start()
    try:
        until(lambda: files(service, old) == {"attempt-1.log"}, "the end of the checkpoint")
    finally:
        cleanup.stop()
    assert "checkpoint-1-32.safetensors" in files(service, young)
    assert go_on(service, young).request["epochs"] == 3
    with pytest.raises(Conflict) as refused:
        go_on(service, old)
    (field,) = refused.value.errors
    assert field.pointer == "/continue_from"
    assert "was deleted on" in field.detail
    assert refused.value.code == "no-checkpoint"
    assert field.hint is not None
    if how == "succeeded":
        assert f'"initial_weights": "{service.job(old).model_id}"' in field.hint
    else:
        assert "initial_weights" not in field.hint


def test_advice_after_a_job_that_diverged_can_be_followed(service: Service) -> None:
    job_id = service.train()
    service.store.jobs.claim_next([TRAINING.name])
    service.store.jobs.fail(job_id, 1, DIVERGED)
    with pytest.raises(Conflict) as refused:
        go_on(service, job_id)
    assert refused.value.message.endswith("start a new job with a smaller learning rate, or with `clip`")


def test_a_model_that_is_deleted_is_not_advised(service: Service) -> None:
    job_id = service.train()
    service.store.jobs.claim_next([TRAINING.name])
    service.store.jobs.succeed(job_id, 1, model=model(service))
    service.store.models.delete(str(service.job(job_id).model_id))
    with pytest.raises(Conflict, match="its model is deleted, too"):
        go_on(service, job_id)
    assert service.job(job_id).status is JobStatus.SUCCEEDED


def test_rows_of_parts_go_when_these_have_ended_with_their_job(service: Service) -> None:
    whole = JobRecord("batch_x", BATCH_PREDICTION.name, {"part_images": 1})
    service.store.jobs.create(whole)
    service.store.jobs.claim_next([BATCH_PREDICTION.name])
    parts = [JobRecord(f"part_x_{n}", BATCH_PART.name, {}, part_of=whole.id) for n in range(3)]
    service.store.job_parts.create(whole.id, 1, parts)
    for part in parts[:2]:
        service.store.jobs.claim_next([BATCH_PART.name])
        service.artifacts.write(paths.rows(part.id, 1), b"a row")
        service.artifacts.write(paths.log(part.id, 1), b"done")
        service.store.jobs.record_checkpoint(part.id, 1, {"parts": 1, "images": 1, "attempts": [1]})
    service.artifacts.write(paths.rows(whole.id, 1), b"a row")
    ended, runs = (part.id for part in parts[:2])
    service.store.jobs.succeed(ended, 1)
    service.store.jobs.request_cancel(whole.id)
    service.store.jobs.cancelled(whole.id, 1)
    cleanup = Cleanup(service.store, service.artifacts, service.settings())
    cleanup.start()
    try:
        until(lambda: not files(service, whole.id), "the end of its own rows")
        until(lambda: files(service, ended) == {"attempt-1.log"}, "the end of the rows of one")
    finally:
        cleanup.stop()
    assert len(files(service, runs)) == 2, "its worker has not seen that it is cancelled"
    service.store.jobs.lost(runs, 1)
    cleanup = Cleanup(service.store, service.artifacts, service.settings())
    cleanup.start()
    try:
        until(lambda: files(service, runs) == {"attempt-1.log"}, "the end of the rows of the other")
    finally:
        cleanup.stop()
    assert service.store.job_parts.spent() == ()
