"""Jobs in parts: where they are cut, and that what parts have found is what one job would have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest

from app.errors import Damaged, Invalid
from app.files import paths
from app.jobs.faults import PartFailed
from app.jobs.heartbeat import Cancelled, Heartbeat
from app.jobs.kinds import BATCH_PART, BATCH_PREDICTION, EVALUATION, EVALUATION_PART
from app.jobs.requests import PartRequest
from app.jobs.work.evaluate_part import reading
from app.jobs.work.parts import Division, gather
from app.jobs.work.prediction_table import Table, join
from app.models.prediction import Candidate
from app.store import Store
from app.store.records import JobRecord
from tests.jobs.service import Service

IMAGES = 23


def ranges(division: Division) -> list[tuple[int, int]]:
    job = JobRecord(BATCH_PREDICTION.new_id(), BATCH_PREDICTION.name, {})
    asked = [PartRequest.of(part) for part in division.parts(job)]
    return [(part.first, part.images) for part in asked]


def test_parts_begin_where_pictures_are_not_looked_at_together() -> None:
    assert ranges(Division(BATCH_PART, 23, 5, range(0, 23, 4))) == [(0, 8), (8, 8), (16, 7)]
    assert ranges(Division(EVALUATION_PART, 23, 5, [0, 4, 7, 11, 15, 19])) == [(0, 7), (7, 8), (15, 8)]
    assert ranges(Division(BATCH_PART, 5, 50, range(0, 5, 4))) == [(0, 5)]


def test_there_are_a_thousand_at_most() -> None:
    found = ranges(Division(BATCH_PART, 9999, 1, range(9999)))
    assert len(found) == 1000
    assert sum(images for _, images in found) == 9999


def filled(table: Table, first: int, images: int) -> Table:
    """Add rows for pictures, of which some cannot be read, and save them now and then."""
    for number in range(first, first + images):
        row = [Candidate("a", number % 3, 1 / (number + 1))]
        table.add(f"{number:03}.png", Invalid("no picture") if number % 7 == 3 else row)
        if number % 5 == 0:
            table.save()
    table.save()
    return table


def claimed(service: Service, kind: str) -> JobRecord:
    job = service.store.jobs.claim_next([kind])
    assert job is not None
    return job


def whole(service: Service) -> tuple[JobRecord, Division]:
    service.store.jobs.create(JobRecord(BATCH_PREDICTION.new_id(), BATCH_PREDICTION.name, {}))
    return claimed(service, BATCH_PREDICTION.name), Division(BATCH_PART, IMAGES, 5, range(0, IMAGES, 4))


def meanwhile(service: Service, do: Callable[[Store, JobRecord], object]) -> threading.Thread:
    """Do parts in a thread, as soon as there are any, until there are no more."""

    def work() -> None:
        with closing(Store(service.data_dir)) as store:
            done = 0
            while done < 3:
                part = store.jobs.claim_next([BATCH_PART.name])
                if part is not None:
                    do(store, part)
                    done += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_parts_are_joined_to_the_table_of_one_job(service: Service) -> None:
    job, division = whole(service)
    beat = Heartbeat(service.store, job.id, job.attempt)

    def look(store: Store, part: JobRecord) -> None:
        asked = PartRequest.of(part)
        filled(Table(part, store, service.artifacts, 1), asked.first, asked.images)
        store.jobs.succeed(part.id, part.attempt)

    thread = meanwhile(service, look)
    position, names = gather(job, division, service.store, beat)
    thread.join()
    assert (position.images, position.failed) == (IMAGES, 3)
    assert service.job(job.id).progress == {"images": IMAGES, "failed": 3, "of": IMAGES, "fraction": 1.0}
    join(job, names, 1, service.artifacts)
    divided = service.artifacts.local_path(paths.predictions(job.id)).read_bytes()
    service.store.jobs.create(JobRecord("batch_alone", BATCH_PREDICTION.name, {}))
    alone = claimed(service, BATCH_PREDICTION.name)
    table = filled(Table(alone, service.store, service.artifacts, 1), 0, IMAGES)
    join(alone, table.position.names(alone.id), 1, service.artifacts)
    assert divided == service.artifacts.local_path(paths.predictions(alone.id)).read_bytes()


def test_the_first_part_that_cannot_be_done_ends_the_wait(service: Service) -> None:
    job, division = whole(service)
    beat = Heartbeat(service.store, job.id, job.attempt)
    error = {"code": "invalid", "message": "no model"}
    thread = meanwhile(service, lambda store, part: store.jobs.fail(part.id, part.attempt, error))
    with pytest.raises(PartFailed, match="no model"):
        gather(job, division, service.store, beat)
    thread.join()


def test_who_waits_for_parts_hears_that_it_is_cancelled(service: Service) -> None:
    job, division = whole(service)
    beat = Heartbeat(service.store, job.id, job.attempt)
    service.store.jobs.request_cancel(job.id)
    with pytest.raises(Cancelled):
        gather(job, division, service.store, beat)


def test_what_parts_have_predicted_is_read_across_their_files(service: Service) -> None:
    numbers = np.arange(60, dtype=np.float32).reshape(20, 3)
    names = [paths.rows("part_x", part) for part in (1, 2, 3)]
    for name, rows in zip(names, (numbers[:7], numbers[7:8], numbers[8:]), strict=True):
        service.artifacts.write(name, rows.tobytes())
    with reading("eval_x", names, 3, service.artifacts) as predict:
        found = [predict(np.arange(size)) for size in (5, 6, 9)]
        np.testing.assert_array_equal(np.concatenate(found), numbers)
        with pytest.raises(Damaged, match=EVALUATION.noun):
            predict(np.arange(1))
