"""Batch predictions: what a model sees in each picture of an archive, as a table."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from app.api.batch_predictions import BatchPrediction
from app.api.requests.batch_predictions import EXAMPLE_ARCHIVE, BatchPredictionCreate
from app.datasets.readers.sniff import describe
from app.datasets.readers.zip_file import MAGIC
from app.errors import Conflict, Damaged
from app.files import paths
from app.files.paths import UPLOADS
from app.files.unnamed import unless_named
from app.jobs.accept.batch_prediction import new_batch_prediction
from app.jobs.findings import found_file
from app.jobs.kinds import BATCH_PREDICTION
from app.jobs.uploads import passed_on
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import JobRecord
from app.web.answers.attachments import attachment
from app.web.answers.cancellable import compute
from app.web.answers.jobs import batch_prediction
from app.web.bodies.files import FileBody, named_as_sent, receive_file
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.limits import declared_bytes
from app.web.bodies.multipart import FormRules
from app.web.bodies.route import StrictRoute
from app.web.bodies.schemas import inlined_schema
from app.web.openapi import problems
from app.web.routes.job_calls import JobCalls

router = APIRouter(prefix="/v1/batch-predictions", route_class=StrictRoute, tags=["batch-predictions"])

MEDIA_TYPE = "text/csv"
_LOOK_AGAIN_SECONDS = 1
_KIND = "zip archive"


def _body() -> dict[str, Any]:
    schema = inlined_schema(BatchPredictionCreate)
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {
                    "a digit": {"value": {"model": "model_example", "top_k": 3, "file": EXAMPLE_ARCHIVE}}
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "model"],
                    "properties": schema["properties"]
                    | {"file": {"type": "string", "format": "binary", "description": "The zip archive."}},
                }
            },
        },
    }


CALLS = JobCalls(router, BATCH_PREDICTION, "batch_id", BatchPrediction, look_again=_LOOK_AGAIN_SECONDS)
BatchDep = Annotated[JobRecord, Depends(CALLS.find())]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Predict a whole archive",
    responses=problems(400, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _body},
)
async def create_batch_prediction(
    request: Request, services: ServicesDep, once: OnceDep, response: Response
) -> BatchPrediction:
    """Let a model look at every picture in a zip archive, in the background: look at the address in `Location`.

    The pictures may lie in folders; each is treated as `predict` treats it. What cannot be read is named in the table
    with the reason, and does not keep the others from it. Hidden files, `__MACOSX` and `Thumbs.db` are left out.
    """
    size = declared_bytes(request, services.settings.max_upload_bytes)
    await run_in_threadpool(services.accept_work, size)
    rules = FormRules(
        services.settings.max_upload_bytes,
        {"file": 1},
        frozenset({"model", "top_k", "webhook"}),
        MAGIC,
        _KIND,
        describe=describe,
    )
    folder = services.artifacts.here(UPLOADS)
    body = await receive_file(request, folder, rules, BatchPredictionCreate)
    with unless_named(body.discard):
        answer = await compute(request, services, _accept, services, body, once)
    response.headers.update(CALLS.headers(answer.id))
    return answer


def _accept(services: Services, body: FileBody[BatchPredictionCreate], once: Once) -> BatchPrediction:
    with named_as_sent(json=body.json):
        job = new_batch_prediction(
            body.document,
            body.path,
            body.filename,
            services.store,
            services.settings,
            services.computing.memory,
        )
    answer = batch_prediction(job)
    with passed_on(job.request, services.artifacts):
        services.store.jobs.create(job, once.answer(status.HTTP_202_ACCEPTED, answer, CALLS.headers(job.id)))
    services.duties.wake()
    return answer


CALLS.add()


@router.get(
    "/{batch_id}/result",
    summary="Get the table of predictions",
    response_class=Response,
    responses=problems(404, 409)
    | {
        200: {
            "description": "A row for each picture, CSV in UTF-8 (RFC 4180).",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        }
    },
)
def get_result(record: BatchDep, services: ServicesDep) -> Response:
    """Return what the model sees in each picture, in the order of their names.

    The columns are `filename`, `label`, `class_index`, `probability`, the same with `_2`, `_3`, ... for the next most
    probable classes, and `error`: why a file has no prediction. A name that a spreadsheet would take for a formula has
    an apostrophe before it.
    """
    if record.status is not JobStatus.SUCCEEDED:
        raise Conflict(
            f"batch prediction {record.id!r} is {record.status} and has no result", code="not-finished"
        )
    path = found_file(paths.predictions, record, services.artifacts)
    if not path.is_file():
        raise Damaged.of(BATCH_PREDICTION.noun, record.id, "the file of its result is missing")
    return FileResponse(
        path,
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers=attachment(f"{record.id}.csv"),
    )
