"""Data sets: upload, look at, delete."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response, status
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from app.api.common import PageOf
from app.api.datasets import Dataset, DatasetEntry
from app.api.requests.datasets import EXAMPLE_ARCHIVE, DatasetCreate, DatasetDocument
from app.errors import Conflict, NotFound
from app.files import paths
from app.files.features import delete_features
from app.files.unnamed import unless_named
from app.ids import JOB, sibling
from app.jobs.accept.datasets import new_dataset
from app.jobs.kinds import ADDITION, DATASET_WRITERS
from app.jobs.uploads import passed_on, remove_uploads
from app.pictures.headers.read import FORMATS
from app.services import Services, ServicesDep
from app.store.records import DatasetRecord, JobRecord, Page
from app.web.answers.cancellable import compute
from app.web.answers.datasets import dataset, dataset_entry
from app.web.answers.logs import log_of
from app.web.answers.rows import answer_rows, written_row
from app.web.answers.stored import answered, is_small, stored
from app.web.bodies.files import named_as_sent
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.limits import declared_bytes
from app.web.bodies.route import StrictRoute, is_json, media_type, polled
from app.web.bodies.schemas import inlined_schema
from app.web.openapi import problems
from app.web.routes.dataset_forms import Received, receive_dataset_form, receive_dataset_json
from app.web.routes.dataset_pictures import RETRY_SECONDS, DatasetId
from app.web.routes.paging import After, Limit, NameFilter, PartFilter, TagFilter

router = APIRouter(prefix="/v1/datasets", route_class=StrictRoute, tags=["datasets"])


OwnDatasetId = Annotated[str, Path(description="The id of a data set.")]

_MISSING = problems(404)
_MOST_LOGS = 50


def _upload() -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(DatasetDocument),
                "examples": {
                    "six tiny pictures": {
                        "value": {
                            "name": "dark and light",
                            "image_size": 8,
                            "channels": 1,
                            "file": EXAMPLE_ARCHIVE,
                        }
                    }
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "The zip archive, npz file or IDX file of images.",
                        },
                        "labels": {
                            "type": "string",
                            "format": "binary",
                            "description": "The IDX file of labels, when `file` is one of images.",
                        },
                        **{
                            name: {
                                key: value for key, value in schema.items() if key in ("title", "description")
                            }
                            | {"type": "string"}
                            for name, schema in inlined_schema(DatasetCreate)["properties"].items()
                        },
                    },
                }
            },
        },
    }


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Upload a data set",
    responses=problems(400, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _upload},
    description=f"""Make a data set of one of these:

- a zip archive with one folder of pictures per class, `cat/1.png`, `dog/7.jpg`, perhaps below `train`, `dev` and
  `test`: `train/cat/1.png`;
- a zip archive with a CSV manifest that has the columns `file` and `label`, and perhaps `split`;
- an npz file with `images` (N, H, W), (N, H, W, 1) or (N, H, W, 3) and `labels` (N,), perhaps `split` and
  `class_names`; or with `x_train`, `y_train`, `x_test`, `y_test`;
- a pair of IDX files, gzipped or not: images as `file`, labels as `labels`.

That is for pictures of one class each. With `target=labels` each picture has any number of labels, or none: the column
`label` of the manifest holds names with `|` between them, or `labels` is an array (N, K) of 0 and 1. With
`target=values` it has numbers: every column of the manifest but `file` and `split` is one, or `labels` is an array (N,)
or (N, K) of finite numbers. `class_names` then names labels or values.

What the upload says about splits is kept; what it leaves open is drawn. Pictures may have any size and mode, in the
formats {", ".join(FORMATS)}; each becomes an array of the size and channels asked for. Hidden files, `__MACOSX`,
`Thumbs.db` and files outside of class folders are left out.

The upload is checked while it arrives and refused at once if it is damaged, harmful or holds no classes. Its
pictures are then read in the background: look at the address in `Location` until `status` is `ready` or `failed`.
Files that are no readable picture, and those that are there already, are left out and named in `report`; a class
that ends up with none fails the data set.

Send a form (`multipart/form-data`) with the file as `file`. A small one can also be sent in JSON, in base64.""",
)
async def create_dataset(
    request: Request, services: ServicesDep, once: OnceDep, response: Response
) -> Dataset:
    """Receive an upload, check it, and leave the rest to a job."""
    size = declared_bytes(request, services.settings.max_upload_bytes)
    await run_in_threadpool(services.accept_work, size)
    receive = receive_dataset_json if is_json(media_type(request)) else receive_dataset_form
    received = await receive(request, services)
    with unless_named(received.discard):
        record = await compute(request, services, _accept, services, received, once)
    response.headers.update(_look_again(record))
    return dataset(record)


def _look_again(record: DatasetRecord) -> dict[str, str]:
    return {"Location": f"{router.prefix}/{record.id}", "Retry-After": str(RETRY_SECONDS)}


def _accept(services: Services, received: Received[DatasetCreate], once: Once) -> DatasetRecord:
    """Check an upload as far as that is quick, and store the data set with the job that makes it."""
    file, labels = received.file("file"), received.file("labels")
    if file is None:
        raise AssertionError("the form had to have a file")
    with named_as_sent(json=received.json):
        record, job = new_dataset(
            received.options, file, labels, services.settings, services.computing.memory
        )
    answer = once.answer(status.HTTP_202_ACCEPTED, dataset(record), _look_again(record))
    with passed_on(job.request, services.artifacts):
        services.store.datasets.create(record, job, answer)
    services.duties.wake()
    return record


def _by_dataset(jobs: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    found: dict[str, list[JobRecord]] = {}
    for job in jobs:
        found.setdefault(str(job.dataset_id), []).append(job)
    return found


@router.get("", summary="List data sets", responses=problems(422))
async def list_datasets(
    services: ServicesDep,
    limit: Limit = 50,
    after: After = None,
    status: Annotated[
        Literal["ingesting", "ready", "failed"] | None, Query(description="Only data sets of this status.")
    ] = None,
    name: NameFilter = None,
    contains: PartFilter = None,
    tag: TagFilter = None,
) -> PageOf[DatasetEntry]:
    """List the data sets, newest first."""
    store = services.store
    # The jobs first, as for a single one.
    writers = _by_dataset(await stored(store, store.jobs.unfinished, DATASET_WRITERS))

    def answer(page: Page[DatasetRecord]) -> PageOf[DatasetEntry]:
        data = answer_rows(page.data, lambda record: dataset_entry(record, writers.get(record.id, ())))
        return PageOf(data=data, next=page.next)

    conditions = {"status": status, "name": name, "contains": contains, "tag": tag}
    return await answered(store, answer, store.datasets.page, limit, after, **conditions)


@router.get(
    "/{dataset_id}/log",
    summary="Get the log of a data set",
    responses=_MISSING,
    response_class=PlainTextResponse,
)
def get_log(dataset_id: DatasetId, services: ServicesDep) -> PlainTextResponse:
    """Return what the processes have printed that made a data set, then those that added pictures to it.

    Of long logs it is the end, of very many additions the last fifty; nothing where their jobs have been deleted.
    """
    record = services.store.datasets.get(dataset_id)
    added = services.store.jobs.page(_MOST_LOGS, kind=ADDITION.name, dataset_id=record.id).data
    found = []
    for job_id in (sibling(record.id, JOB), *(job.id for job in reversed(added))):
        with suppress(NotFound):
            state = services.store.jobs.state(job_id)
            found.append(log_of(state, services.artifacts, services.launcher))
    return PlainTextResponse("".join(found))


@router.get("/{dataset_id}", summary="Get a data set", responses=_MISSING, response_model=Dataset)
@polled
async def get_dataset(dataset_id: DatasetId, services: ServicesDep) -> Response:
    """Return a data set: its status, its classes and splits, how pictures are treated, what was left out."""
    store = services.store
    # The jobs first: one that ends between the two has written to the data set by then.
    writers = _by_dataset(await stored(store, store.jobs.unfinished, DATASET_WRITERS))
    record = await stored(store, store.datasets.get, dataset_id)

    def answer() -> Response:
        return written_row(record, lambda record: dataset(record, writers.get(record.id, ())))

    if is_small(store, record, store.datasets.get, dataset_id):
        return answer()
    return await run_in_threadpool(answer)


@router.delete("/{dataset_id}", status_code=204, summary="Delete a data set", responses=problems(404, 409))
def delete_dataset(dataset_id: OwnDatasetId, services: ServicesDep) -> None:
    """Delete a data set and its pictures. Models that were trained on it stay.

    409 when it is built in, or when a job that is not finished reads it or adds to it; `cancel` stops those that add.
    """
    jobs = services.store.datasets.delete(dataset_id, DATASET_WRITERS)
    services.artifacts.delete(paths.dataset(dataset_id))
    delete_features(services.artifacts, dataset_id)
    for job_id in jobs:
        services.artifacts.delete(paths.directory(job_id))


@router.post(
    "/{dataset_id}/cancel",
    status_code=202,
    summary="Stop an upload or download",
    responses=problems(404, 409),
)
def cancel_dataset(dataset_id: OwnDatasetId, services: ServicesDep) -> Dataset:
    """Stop what is being read or downloaded for a data set. A new one fails by that; one that is ready stays as it is.

    409 when there is no upload or download to stop.
    """
    record = services.store.datasets.get(dataset_id)
    stopped = 0
    for job in services.store.jobs.unfinished(DATASET_WRITERS, dataset_id=dataset_id):
        # It may just have ended.
        with suppress(Conflict, NotFound):
            cancelled = services.store.jobs.request_cancel(job.id)
            stopped += 1
            if cancelled.status.finished:  # it was waiting, and no worker will see to its files
                remove_uploads(job.request, services.artifacts)
    if not stopped:
        raise Conflict(
            f"no upload or download of data set {dataset_id!r} is under way", code="not-being-filled"
        )
    services.duties.wake()
    writers = services.store.jobs.unfinished(DATASET_WRITERS, dataset_id=dataset_id)
    return dataset(services.store.datasets.get(record.id), writers)
