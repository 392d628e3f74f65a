"""What any store promises about the norms of epochs: kept beside the values, and bounded when they are read."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.errors import NotFound
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.store import Store
from app.store.job_epochs import MOST_NORMS
from app.store.records import JobRecord


def test_norms_are_kept_beside_the_values_of_an_epoch(store: Store) -> None:
    job = store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {})).id
    assert store.jobs.claim_next([TRAINING.name])
    store.jobs.record_epoch(job, 1, {"epoch": 1, "train_loss": 3.0})
    for epoch, length in ((2, 5.0), (3, 6.0), (2, 7.0)):
        norms = {"dense_1": {"gradient": length}, "conv2d_1": {"gradient": None}}
        store.jobs.record_epoch(job, 1, {"epoch": epoch, "train_loss": 1.0, "norms": norms})
    found = store.jobs.norms(job)
    assert [(each.epoch, each.norms["dense_1"]["gradient"]) for each in found] == [(2, 7.0), (3, 6.0)]
    assert list(found[0].norms) == ["dense_1", "conv2d_1"]
    assert store.jobs.metrics(job)[1:] == [{"epoch": epoch, "train_loss": 1.0} for epoch in (2, 3)]
    assert store.jobs.get(job).metrics == {"epoch": 2, "train_loss": 1.0}
    assert all("norms" not in event.data for event in store.news.events(0, job_ids=[job]).events)
    with pytest.raises(NotFound):
        store.jobs.norms("job_gone")


def test_of_very_many_epochs_not_all_norms_are_read(store: Store) -> None:
    epochs = [{"epoch": epoch, "norms": {"dense_1": {}}} for epoch in range(1, 1001)]
    job = store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {}), epochs=epochs).id
    numbers = [each.epoch for each in store.jobs.norms(job)]
    assert (numbers[0], numbers[-1], len(numbers)) == (1, 1000, MOST_NORMS)
    assert {after - before for before, after in pairwise(numbers)} <= {5, 6}
