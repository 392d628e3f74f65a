"""What several processes do to one database at the same time, and what it says of that afterwards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from app.errors import Conflict, NotFound
from app.ids import JOB, MODEL, new_id
from app.store import Store
from app.store.answers import AnsweredMeanwhile
from app.store.records import AnswerRecord, ArchitectureRecord, JobRecord, ModelRecord, now

PROCESSES = 4
KIND = "training"
Place = tuple[Path, str | None]


def together(work: Callable[[Place, int], list[Any]], place: Place) -> list[list[Any]]:
    """Return what some work has given in each of several processes that did it at once."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, [place] * PROCESSES, range(PROCESSES)))


def opened(place: Place) -> closing[Store]:
    return closing(Store(*place))


def model(name: str) -> ModelRecord:
    return ModelRecord(new_id(MODEL), name, "models/m", "00", 1, ["a"], [1, 1, 1], {}, {})


def claim(place: Place, number: int) -> list[Any]:
    """Claim until there is nothing more, and end every second job with a model."""
    claimed = []
    with opened(place) as store:
        while (job := store.jobs.claim_next([KIND])) is not None:
            claimed.append(job.id)
            store.jobs.record_epoch(job.id, 1, {"epoch": 1})
            made = model("made") if len(claimed) % 2 else None
            store.jobs.succeed(job.id, 1, model=made)
    return claimed


def name_models(place: Place, number: int) -> list[Any]:
    """Make models of one name, and let an alias stand for each of them in turn."""
    versions = []
    with opened(place) as store:
        for _ in range(10):
            made = store.models.create(model("digits"))
            versions.append(made.version)
            store.models.set_alias("digits", "best", made.id)
            # whatever others do, it stands for one that there is
            assert store.models.find("digits@best").name == "digits"
    return versions


def create_once(place: Place, number: int) -> list[Any]:
    """Create under keys that the others use, too; return under each key what the caller is told."""
    told = []
    with opened(place) as store:
        for turn in range(15):
            identifier = f"arch_{number}_{turn}"
            answer = AnswerRecord(
                "POST /v1/architectures", f"key-{turn}", "same", 201, {}, {"id": identifier}
            )
            try:
                store.architectures.create(ArchitectureRecord(identifier, "a", {}), answer)
            except AnsweredMeanwhile as other:
                identifier = other.answer.body["id"]
            told.append(identifier)
    return told


def happen(place: Place, number: int) -> list[Any]:
    """Have all sorts of things happen to jobs, and return those jobs that are left."""
    left = []
    with opened(place) as store:
        for turn in range(10):
            job = store.jobs.create(JobRecord(new_id(JOB), KIND, {})).id
            claimed = store.jobs.claim_next([KIND])
            if claimed is not None:
                store.jobs.beat(claimed.id, claimed.attempt, {"step": turn})
                store.jobs.record_epoch(claimed.id, claimed.attempt, {"epoch": turn})
                store.jobs.lost(claimed.id, claimed.attempt)
            with suppress(Conflict):  # another has claimed it
                if turn % 3 == 0:
                    store.jobs.delete(job)
                    continue
            left.append(job)
    return left


def delete_all(place: Place, number: int) -> list[Any]:
    """Delete what all others delete, too, and return what was there."""
    deleted = []
    with opened(place) as store:
        for turn in range(10):
            with suppress(NotFound):
                store.architectures.delete(f"arch_{turn}")
                deleted.append(turn)
    return deleted


def use(place: Place, number: int) -> list[Any]:
    """Note the use of the same models again and again."""
    with opened(place) as store:
        models = [record.id for record in store.models.page(50).data]
        for _ in range(10):
            store.uses.note(models, now())
    return models
