"""Completes jobs that have waited for their data set.

Such a job was accepted with what could be checked then; what it does depends on the pictures. Once they are there it is
completed by the code that accepts jobs, or fails with the words in which that would have refused it.
"""

from __future__ import annotations

from app.errors import Conflict, LeaseLost, NotFound, Unavailable
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs import quota
from app.jobs.faults import fault_of, passing_fault
from app.jobs.kinds import KINDS
from app.log import Log
from app.settings import Settings
from app.store import Store

log = Log(__name__)


def decide_waiting(store: Store, artifacts: Artifacts, settings: Settings) -> None:
    """Decide what the jobs do whose data set is being filled no more.

    A process that dies meanwhile leaves a job waiting, and the next one to look decides again.

    Raises:
        LeaseLost: another process decides now.
        Unavailable, StorageFault, OSError: database or files cannot be written at the moment.
    """
    for job_id in store.waiting_jobs.due():
        try:
            _decide(job_id, store, artifacts, settings)
        except (LeaseLost, Unavailable):
            raise
        except Exception as error:
            if passing_fault(error) is not None:
                raise
            fault = fault_of(error)
            if fault["code"] == "internal":
                log.exception("job_not_decided", job=job_id)
            store.waiting_jobs.refuse(job_id, fault)


def _decide(job_id: str, store: Store, artifacts: Artifacts, settings: Settings) -> None:
    try:
        job = store.jobs.get(job_id)
    except NotFound:  # deleted meanwhile
        return
    quota.check(store, settings)
    decided = KINDS[job.kind].load_decide()(job, store, artifacts, settings)
    try:
        store.waiting_jobs.decide(decided)
    except Conflict:  # cancelled meanwhile: nobody reads what it was to begin with
        artifacts.delete(paths.initial(job_id))
        return
    log.info("job_decided", job=job_id, dataset=job.waits_for)
