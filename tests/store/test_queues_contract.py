"""Long queues of jobs, in both databases."""

from __future__ import annotations

from app.ids import JOB, new_id
from app.jobs.forecast import places
from app.jobs.kinds import TRAINING
from app.store import Store
from app.store.records import JobRecord


def test_of_the_first_of_very_many_it_is_foreseen_when_they_start_and_all_have_a_place(
    store: Store,
) -> None:
    made = [
        store.jobs.create(
            JobRecord(new_id(JOB), TRAINING.name, {"epochs": 1}, progress={"eta_seconds": 2.0})
        ).id
        for _ in range(203)
    ]
    new = JobRecord(new_id(JOB), TRAINING.name, {"epochs": 1})
    shown = [store.jobs.get(name) for name in made]
    found = places(store.queues.state(TRAINING.name, shown, new), 1)
    of_one = store.queues.state(TRAINING.name, shown[201:202])
    assert of_one.further == {made[201]: 202}
    assert [found[name].position for name in [*made, new.id]] == [*range(1, 205)]
    assert [found[name].starts_in_seconds for name in made[198:202]] == [396.0, 398.0, None, None]
