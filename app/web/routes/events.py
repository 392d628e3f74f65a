"""What happens to all jobs, in one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Response

from app.errors import NotFound
from app.jobs.kinds import ASKED_FOR
from app.jobs.watcher import Wanted
from app.services import Services, ServicesDep
from app.store.records import JobState
from app.web.answers.streams import EventStream, LastEventId, event_number, of_jobs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(prefix="/v1/events", route_class=StrictRoute, tags=["events"])

MOST_JOBS = 100

if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[ASKED_FOR]


@router.get(
    "",
    summary="Follow all jobs",
    response_class=EventStream,
    responses={
        **problems(404, 422),
        204: {"description": "The jobs that are named have ended, and their ends have been sent."},
    },
)
def get_all_events(
    services: ServicesDep,
    job: Annotated[
        list[str] | None,
        Query(
            description="The id of a job that is followed; several are given one by one.",
            max_length=MOST_JOBS,
            openapi_examples={"built in": {"value": ["job_example"]}},
        ),
    ] = None,
    kind: Annotated[
        list[KindName] | None,
        Query(description="A kind of jobs that is followed; several are given one by one."),
    ] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream what happens to jobs of all kinds as server-sent events: one connection for all of them.

    | event | data |
    |---|---|
    | `status` | the `status` that a job came into, in which `attempt`, and when (`at`) |
    | `progress` | how far it is; has no id, and only the newest is sent |
    | `epoch` | the figures of an epoch of a training job |
    | `end` | `status`, `model_id`, `error`, `at` |
    | `job` | `job`: one that has come into another state, as its list shows it |
    | `counts` | `jobs`: how many of each kind have not ended, as in `/v1/system` |
    | `changed` | `lists`: names of lists that are other than before, such as `models` |

    Those about one job have its `job_id`, its `kind`, and the `dataset_id` of the data set that it reads, makes or adds
    to. The last three say how things are now, for those who show all of them and need not ask again: they have no id,
    of each only the newest is sent, and none where jobs or kinds are chosen. `job` comes for kinds that have a list:
    training jobs, evaluations and batch predictions. `changed` names `architectures`, `datasets` and `models`, and
    `jobs` when some were deleted, or when there is more about them than is told.

    The stream begins with what happens from now on, and with the progress of what runs; who opens it first and
    asks for lists then misses nothing. With `job` it begins at the beginning of these jobs, and ends with the last of
    them. When the connection breaks, or the server stops, connect again with the id of the last event in
    `Last-Event-ID`.
    """
    news = services.store.news
    after = event_number(last_event_id)
    wanted = Wanted(frozenset(job) if job else None, frozenset(kind) if kind else None)
    if wanted.job_ids is None:
        return of_jobs(services, wanted, news.counter() if after is None else after)
    states = [services.store.jobs.state(job_id) for job_id in sorted(wanted.job_ids)]
    if kind:
        states = [state for state in states if state.kind in kind]
        if not states:
            raise NotFound("none of the jobs that are named is of one of these kinds")
    after = after or 0
    left = frozenset(state.id for state in states if not _is_over(state, after, services))
    if not left:
        # Told so, a browser does not connect again.
        return Response(status_code=204)
    return of_jobs(services, Wanted(left), after)


def _is_over(job: JobState, after: int, services: Services) -> bool:
    """Tell whether nothing of a job follows a position any more."""
    is_finished = job.status is not None and job.status.finished
    return is_finished and not services.store.news.events(after, job_ids=(job.id,), limit=1).events
