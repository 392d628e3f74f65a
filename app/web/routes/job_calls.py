"""The calls that every kind of job has: list, get, log, events, cancel, delete."""

# FastAPI reads the annotations of functions that are made here, so that they are not postponed.
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.openapi.models import Example
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from app.api.common import PageOf
from app.errors import Damaged, NotFound
from app.jobs import deletion
from app.jobs.kinds import Kind
from app.jobs.uploads import remove_uploads
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import JobRecord, JobState
from app.web.answers.job_entries import ENTRIES
from app.web.answers.logs import whole_log_of
from app.web.answers.rows import answer_row, answer_rows, row_json
from app.web.answers.stored import is_small, stored
from app.web.answers.streams import EventStream, LastEventId, event_number, of_job
from app.web.bodies.route import polled
from app.web.bodies.whole import Whole
from app.web.openapi import problems
from app.web.routes.paging import After, Limit, NameFilter, PartFilter, TagFilter

B = TypeVar("B", bound=BaseModel)
StatusFilter = Annotated[JobStatus | None, Query(description="Only jobs of this status.")]

_EVENTS = """\
Stream what happens to a job as server-sent events, from its beginning, until it has ended.

| event | data |
|---|---|
| `status` | the `status` that it came into, in which `attempt`, and when (`at`) |
| `progress` | as in the job; has no id, and only the newest is sent |
| `epoch` | the figures of an epoch of training; one that was done again after a crash comes again |
| `end` | `status`, `model_id`, `error`, `at`; then the stream is over |

When the connection breaks, or the server stops, connect again with the id of the last event in
`Last-Event-ID`, as browsers do by themselves: nothing is left out and nothing comes twice."""


@dataclass(frozen=True)
class JobCalls(Generic[B]):
    """The calls of one kind of job.

    Attributes:
        router: where they are added; its prefix is where such jobs are.
        kind: the kind.
        parameter: the name of an id in paths.
        body: what a job looks like in lists.
        look_again: after how many seconds there may be news of a job.
        whole: what one job looks like, if it is more than in a list, and what makes that.
        stands_alone: whether showing a job needs no other row and no file.
        example: a job that every installation has.
    """

    router: APIRouter
    kind: Kind
    parameter: str
    body: type[B]
    look_again: int
    whole: tuple[type[BaseModel], Callable[[Services, JobRecord], BaseModel]] | None = None
    stands_alone: Callable[[JobRecord], bool] = lambda record: True
    example: str | None = None

    @property
    def _a_job(self) -> str:
        return f"{'an' if self.kind.noun[0] in 'aeiou' else 'a'} {self.kind.noun}"

    def headers(self, job_id: str) -> dict[str, str]:
        """Return the headers that say where to look for a job, and when."""
        return {"Location": f"{self.router.prefix}/{job_id}", "Retry-After": str(self.look_again)}

    def find(self, *, example: bool = True) -> Callable[..., Awaitable[JobRecord]]:
        """Return a dependency: the job that the path names.

        Args:
            example: whether the documentation may try the call on the job that every installation has.
        """

        async def job(services: ServicesDep, job_id: str = self._path(example=example)) -> JobRecord:
            jobs = services.store.jobs
            try:
                found = await stored(services.store, jobs.get, job_id)
            except Damaged:
                # of another kind there is none here
                self._check_kind(await run_in_threadpool(jobs.state, job_id))
                raise
            self._check_kind(found)
            return found

        return job

    def find_state(self, *, example: bool = True) -> Callable[..., Awaitable[JobState]]:
        """Return a dependency: where the job is that the path names, also when its record is damaged."""

        async def state(services: ServicesDep, job_id: str = self._path(example=example)) -> JobState:
            found = await stored(services.store, services.store.jobs.state, job_id)
            self._check_kind(found)
            return found

        return state

    def _path(self, *, example: bool) -> Any:
        examples: dict[str, Example] | None = None
        if example and self.example:
            examples = {"built in": {"value": self.example}}
        return Path(alias=self.parameter, description=f"The id of {self._a_job}.", openapi_examples=examples)

    def _check_kind(self, job: JobRecord | JobState) -> None:
        if job.kind != self.kind.name:
            raise NotFound.of(self.kind.noun, job.id)

    def add(self) -> None:
        """Add the calls to the router."""
        self._add_list()
        self._add_get()
        self._add_log()
        self._add_events()
        self._add_cancel()
        self._add_delete()

    def _route(self, method: str, path: str, name: str, **options: Any) -> Callable[[Any], Any]:
        return self.router.api_route(path, methods=[method], name=name.replace(" ", "_"), **options)

    def _add_list(self) -> None:
        kind, entries = self.kind, ENTRIES[self.kind.name]
        noun = f"{kind.noun}s"

        def page(services: Services, limit: int, after: str | None, **conditions: Any) -> PageOf[Any]:
            found = services.store.jobs.page(limit, after, kind=kind.name, **conditions)
            return PageOf(data=answer_rows(found.data, entries(services, found.data)), next=found.next)

        def list_jobs(
            services: ServicesDep, limit: Limit = 50, after: After = None, status: StatusFilter = None
        ) -> PageOf[Any]:
            return page(services, limit, after, status=status)

        def list_named_jobs(
            services: ServicesDep,
            limit: Limit = 50,
            after: After = None,
            status: StatusFilter = None,
            name: NameFilter = None,
            contains: PartFilter = None,
            tag: TagFilter = None,
        ) -> PageOf[Any]:
            conditions = {"status": status, "name": name, "contains": contains, "tag": tag}
            return page(services, limit, after, **conditions)

        self._route(
            "GET",
            "",
            f"list_{noun}",
            summary=f"List {noun}",
            description=f"List the {noun}, newest first.",
            response_model=PageOf[self.body],  # type: ignore[name-defined]
            responses=problems(422),
        )(list_named_jobs if {"name", "tags"} <= set(kind.request.model_fields) else list_jobs)

    def _one(self) -> tuple[type[BaseModel], Callable[[Services, JobRecord], BaseModel]]:
        """Return what one job looks like, and what makes that."""
        entries = ENTRIES[self.kind.name]
        return self.whole or (self.body, lambda services, record: entries(services, [record])(record))

    def _add_get(self) -> None:
        body, one = self._one()
        named = Depends(self.find())

        @polled
        async def get_job(services: ServicesDep, record: JobRecord = named) -> Response:
            def answer() -> bytes:
                return row_json(record, partial(one, services)).encode()

            store = services.store
            content = store.cache.written.find(record.id, record)
            if content is None:
                alone = record.webhook_url is None and self.stands_alone(record)
                if not (alone and is_small(store, record, store.jobs.get, record.id)):
                    return Whole(await run_in_threadpool(answer))
                content = answer()
                # many may wait for one job
                store.cache.written.keep(record.id, record, content)
            return Whole(content)

        self._route(
            "GET",
            f"/{{{self.parameter}}}",
            f"get_{self.kind.noun}",
            summary=f"Get {self._a_job}",
            description="Return a job: what was asked for, its status, how far it is, and what it found.",
            response_model=body,
            responses=problems(404),
        )(get_job)

    def _add_log(self) -> None:
        named = Depends(self.find_state())

        def get_log(services: ServicesDep, record: JobState = named) -> PlainTextResponse:
            return PlainTextResponse(
                whole_log_of(record, services.store, services.artifacts, services.launcher)
            )

        self._route(
            "GET",
            f"/{{{self.parameter}}}/log",
            "get_log",
            summary=f"Get the log of {self._a_job}",
            description="Return what the processes of a job have printed, attempt by attempt; of long logs the end.",
            response_class=PlainTextResponse,
            responses=problems(404),
        )(get_log)

    def _add_events(self) -> None:
        named = Depends(self.find_state())

        def get_events(
            services: ServicesDep, record: JobState = named, last_event_id: LastEventId = None
        ) -> Response:
            news = services.store.news
            number = event_number(last_event_id)
            after = news.position(record.id, number) if number else 0
            if record.status is None:
                raise Damaged.of(self.kind.noun, record.id, "how far it is cannot be read")
            if record.status.finished and not news.events(after, job_ids=(record.id,), limit=1).events:
                # Told so, a browser does not connect again.
                return Response(status_code=204)
            return of_job(services, record.id, after)

        self._route(
            "GET",
            f"/{{{self.parameter}}}/events",
            "get_events",
            summary=f"Follow {self._a_job}",
            description=_EVENTS,
            response_class=EventStream,
            responses={
                **problems(404, 422),
                204: {"description": "It has ended, and its end has been sent."},
            },
        )(get_events)

    def _add_cancel(self) -> None:
        body, one = self._one()
        named = Depends(self.find(example=False))

        def cancel_job(services: ServicesDep, response: Response, record: JobRecord = named) -> Any:
            cancelled = services.store.jobs.request_cancel(record.id)
            if cancelled.status.finished:  # it was waiting, and no worker will see to its files
                remove_uploads(cancelled.request, services.artifacts)
            services.duties.wake()
            response.headers.update(self.headers(record.id))
            return answer_row(cancelled, partial(one, services))

        self._route(
            "POST",
            f"/{{{self.parameter}}}/cancel",
            f"cancel_{self.kind.noun}",
            status_code=202,
            summary=f"Cancel {self._a_job}",
            description="Ask a job to stop: `cancelled` at once while it is queued, else within moments.",
            response_model=body,
            responses=problems(404, 409),
        )(cancel_job)

    def _add_delete(self) -> None:
        named = Depends(self.find_state(example=False))

        def delete_job(services: ServicesDep, record: JobState = named) -> None:
            deletion.delete_job(record.id, services.store, services.artifacts)

        self._route(
            "DELETE",
            f"/{{{self.parameter}}}",
            f"delete_{self.kind.noun}",
            status_code=204,
            summary=f"Delete {self._a_job}",
            description="Delete a job that does not run, with its log and its files. A model that it made stays.",
            responses=problems(404, 409),
        )(delete_job)
