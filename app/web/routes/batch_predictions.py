"""Batch predictions: what a model sees in each picture of an archive, as a table."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response, status
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from app.api.batch_predictions import BatchPrediction
from app.api.common import PageOf
from app.api.requests.batch_predictions import EXAMPLE_ARCHIVE, BatchPredictionCreate
from app.datasets.ingestion import UPLOADS, archive_limits
from app.datasets.readers.zip_file import MAGIC, SafeZip
from app.errors import Conflict, NotFound
from app.files import paths
from app.ids import BATCH_PREDICTION as PREFIX
from app.ids import new_id
from app.jobs.work.predict_batch import BatchPredictionRequest, pictures
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import BATCH_PREDICTION, JobRecord
from app.web.answers.jobs import batch_prediction
from app.web.bodies.files import FileBody, receive_file
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.multipart import FormRules
from app.web.bodies.route import StrictRoute
from app.web.bodies.schemas import inlined_schema
from app.web.openapi import problems
from app.web.routes.paging import After, Limit

router = APIRouter(prefix="/v1/batch-predictions", route_class=StrictRoute, tags=["batch-predictions"])

MEDIA_TYPE = "text/csv"
_LOOK_AGAIN_SECONDS = 1
_KIND = "zip archive"
_SCHEMA = inlined_schema(BatchPredictionCreate)
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _SCHEMA,
            "examples": {
                "a digit": {"value": {"model": "model_example", "top_k": 3, "file": EXAMPLE_ARCHIVE}}
            },
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "model"],
                "properties": _SCHEMA["properties"]
                | {"file": {"type": "string", "format": "binary", "description": "The zip archive."}},
            }
        },
    },
}

BatchId = Annotated[str, Path(description="The id of a batch prediction.")]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Predict a whole archive",
    responses=problems(400, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": _BODY},
)
async def create_batch_prediction(
    request: Request, services: ServicesDep, once: OnceDep, response: Response
) -> BatchPrediction:
    """Let a model look at every picture in a zip archive, in the background: look at the address in `Location`.

    The pictures may lie in folders; each is treated as `predict` treats it. What cannot be read is named in the table
    with the reason, and does not keep the others from it. Hidden files, `__MACOSX` and `Thumbs.db` are left out.
    """
    await run_in_threadpool(services.accept_work)
    rules = FormRules(
        services.settings.max_upload_bytes, {"file": 1}, frozenset({"model", "top_k"}), MAGIC, _KIND
    )
    folder = services.artifacts.local_path(UPLOADS)
    body = await receive_file(request, folder, rules, BatchPredictionCreate)
    try:
        answer = await run_in_threadpool(_accept, services, body, once)
    except BaseException:
        body.path.unlink(missing_ok=True)
        raise
    response.headers.update(_look_again(answer.id))
    return answer


def _accept(services: Services, body: FileBody[BatchPredictionCreate], once: Once) -> BatchPrediction:
    try:
        model = services.store.models.find(body.document.model)
    except NotFound as error:
        raise body.fault("model", error.detail, "list them with GET /v1/models") from None
    if model.target == "values":
        hint = "send its pictures to predict, some at a time"
        raise body.fault("model", "it tells values, and the table holds classes or labels", hint)
    with closing(SafeZip(body.path, archive_limits(services.settings))) as archive:
        images = len(pictures(archive))
    accepted = BatchPredictionRequest(
        model=model.id,
        top_k=body.document.top_k,
        upload=f"{UPLOADS}/{body.path.name}",
        filename=body.filename,
        images=images,
    )
    job = JobRecord(new_id(PREFIX), BATCH_PREDICTION, accepted.model_dump(mode="json"), model_id=model.id)
    answer = batch_prediction(job)
    services.store.jobs.create(job, once.answer(status.HTTP_202_ACCEPTED, answer, _look_again(job.id)))
    services.runner.wake()
    return answer


def _look_again(job_id: str) -> dict[str, str]:
    return {"Location": f"{router.prefix}/{job_id}", "Retry-After": str(_LOOK_AGAIN_SECONDS)}


@router.get("", summary="List batch predictions", responses=problems(422))
def list_batch_predictions(
    services: ServicesDep, limit: Limit = 50, after: After = None
) -> PageOf[BatchPrediction]:
    """List the batch predictions, newest first."""
    page = services.store.jobs.page(limit, after, kind=BATCH_PREDICTION)
    return PageOf(data=[batch_prediction(record) for record in page.data], next=page.next)


@router.get("/{batch_id}", summary="Get a batch prediction", responses=problems(404))
def get_batch_prediction(batch_id: BatchId, services: ServicesDep) -> BatchPrediction:
    """Return a batch prediction: how far it is, and how many files no picture could be read from."""
    return batch_prediction(_get(batch_id, services))


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
def get_result(batch_id: BatchId, services: ServicesDep) -> Response:
    """Return what the model sees in each picture, in the order of their names.

    The columns are `filename`, `label`, `class_index`, `probability`, the same with `_2`, `_3`, ... for the next most
    probable classes, and `error`: why a file has no prediction. A name that a spreadsheet would take for a formula has
    an apostrophe before it.
    """
    record = _get(batch_id, services)
    if record.status is not JobStatus.SUCCEEDED:
        raise Conflict(
            f"batch prediction {record.id!r} is {record.status} and has no result", code="not-finished"
        )
    path = services.artifacts.local_path(paths.predictions(record.id))
    name = quote(f"{record.id}.csv", safe="")
    return FileResponse(
        path,
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


@router.post(
    "/{batch_id}/cancel", status_code=202, summary="Cancel a batch prediction", responses=problems(404, 409)
)
def cancel_batch_prediction(batch_id: BatchId, services: ServicesDep) -> BatchPrediction:
    """Ask a batch prediction to stop: `cancelled` at once while it is queued, else within moments."""
    record = services.store.jobs.request_cancel(_get(batch_id, services).id)
    if record.status.finished:  # it was waiting, and no worker will see to its archive
        services.artifacts.delete(record.request["upload"])
    services.runner.wake()
    return batch_prediction(record)


@router.delete(
    "/{batch_id}", status_code=204, summary="Delete a batch prediction", responses=problems(404, 409)
)
def delete_batch_prediction(batch_id: BatchId, services: ServicesDep) -> None:
    """Delete a batch prediction that does not run, with its archive and its table."""
    record = _get(batch_id, services)
    services.store.jobs.delete(record.id)
    services.artifacts.delete(record.request["upload"])
    services.artifacts.delete(paths.directory(record.id))


def _get(batch_id: str, services: Services) -> JobRecord:
    record = services.store.jobs.get(batch_id)
    if record.kind != BATCH_PREDICTION:
        raise NotFound.of("batch prediction", batch_id)
    return record
