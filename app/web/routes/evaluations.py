"""Evaluations: how good a model is on a data set, and what to try next."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.common import ListOf, PageOf
from app.api.evaluations import (
    ConfusionMatrix,
    Evaluation,
    FinishedEvaluation,
    Mistake,
    PicturePrediction,
)
from app.api.requests.evaluations import EvaluationCreate
from app.datasets.storage import open_dataset
from app.errors import Conflict, Damaged, Invalid, NotFound
from app.files import paths
from app.jobs.accept.evaluation import new_evaluation
from app.jobs.evaluated import read_rows
from app.jobs.kinds import EVALUATION
from app.pictures import confusion_matrix
from app.pictures.confusion_matrix import MAX_CLASSES
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import JobRecord, Json
from app.text import did_you_mean
from app.web.answers.jobs import evaluation, evaluation_mistakes, finished_evaluation, picture_prediction
from app.web.answers.negotiation import preferred
from app.web.bodies.idempotency import OnceDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.job_calls import JobCalls
from app.web.routes.paging import Limit

router = APIRouter(prefix="/v1/evaluations", route_class=StrictRoute, tags=["evaluations"])

_LOOK_AGAIN_SECONDS = 1
_SVG, _PNG, _JSON = "image/svg+xml", "image/png", "application/json"
_PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def _finished(record: JobRecord) -> None:
    if record.status is not JobStatus.SUCCEEDED:
        raise Conflict(
            f"evaluation {record.id!r} is {record.status} and has found nothing", code="not-finished"
        )


def _findings(record: JobRecord, services: Services) -> Json:
    _finished(record)
    path = services.artifacts.local_path(paths.report(record.id))
    try:
        findings: Json = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the file of its findings cannot be read") from error
    return findings


def _shown(services: Services, records: Sequence[JobRecord]) -> Callable[[JobRecord], Evaluation]:
    return evaluation


def _whole(services: Services, record: JobRecord) -> FinishedEvaluation:
    done = record.status is JobStatus.SUCCEEDED
    return finished_evaluation(record, _findings(record, services) if done else None)


CALLS = JobCalls(
    router,
    EVALUATION,
    "evaluation_id",
    Evaluation,
    _shown,
    look_again=_LOOK_AGAIN_SECONDS,
    whole=(FinishedEvaluation, _whole),
    stands_alone=lambda record: record.status is not JobStatus.SUCCEEDED,
)
EvaluationDep = Annotated[JobRecord, Depends(CALLS.find())]


@router.post(
    "", status_code=202, summary="Evaluate a model", responses=problems(400, 409, 413, 415, 422, 503, 507)
)
def create_evaluation(
    request: Annotated[
        EvaluationCreate,
        Body(
            openapi_examples={
                "built in": {"value": {"model": "model_example", "dataset": "digits", "split": "test"}}
            }
        ),
    ],
    services: ServicesDep,
    once: OnceDep,
    response: Response,
) -> Evaluation:
    """Judge a model by a split of a data set, in the background: look at the address in `Location`.

    It finds the confusion matrix, precision, recall and F1 of each class, top-k accuracy, calibration and the worst
    mistakes; and it reads bias and variance from the errors on train, dev and test, and says what to try next.
    """
    services.accept_work()
    record = new_evaluation(request, services.store)
    answer = evaluation(record)
    headers = CALLS.headers(record.id)
    response.headers.update(headers)
    services.store.jobs.create(record, once.answer(202, answer, headers))
    services.duties.wake()
    return answer


CALLS.add()


@router.get(
    "/{evaluation_id}/confusion-matrix",
    summary="See the confusion matrix",
    response_class=Response,
    responses=problems(404, 409, 422)
    | {
        200: {
            "description": "The matrix, drawn or in numbers.",
            "content": {
                _PNG: _PICTURE,
                _SVG: _PICTURE,
                _JSON: {"schema": {"$ref": "#/components/schemas/ConfusionMatrix"}},
            },
        }
    },
)
def get_confusion_matrix(record: EvaluationDep, request: Request, services: ServicesDep) -> Response:
    """Return how often what was taken for what: as SVG, or as PNG or JSON by the header `Accept`."""
    findings = _findings(record, services)
    if "confusion" not in findings:
        raise Conflict(
            f"evaluation {record.id!r} is of a model that predicts no classes: there is no confusion matrix",
            code="no-confusion-matrix",
        )
    classes, matrix = findings["classes"], findings["confusion"]
    kind = preferred(request, (_SVG, _PNG, _JSON))
    if kind == _JSON:
        return JSONResponse(ConfusionMatrix(classes=classes, matrix=matrix).model_dump(mode="json"))
    if len(classes) > MAX_CLASSES:
        raise Invalid(
            f"the matrix of {len(classes)} classes cannot be drawn, at most {MAX_CLASSES} can; "
            f"ask for its numbers with `Accept: {_JSON}`"
        )
    drawing = confusion_matrix.draw(classes, matrix)
    return Response(drawing.png() if kind == _PNG else drawing.svg(), media_type=kind)


@router.get(
    "/{evaluation_id}/mistakes",
    summary="See the worst mistakes",
    response_class=Response,
    responses=problems(404, 409)
    | success("A sheet of pictures, or what is known of them.", ListOf[Mistake], _PNG),
)
def get_mistakes(record: EvaluationDep, request: Request, services: ServicesDep) -> Response:
    """Return the worst mistakes as one PNG, the worst first; below each what it is and what it was taken for.

    With `Accept: application/json` each is listed with the name of its file and with the calls that correct it, should
    not the model be wrong but the label: their address and the body to send.
    """
    if preferred(request, (_PNG, _JSON)) == _JSON:
        mistakes = evaluation_mistakes(record, _findings(record, services))
        return JSONResponse(ListOf[Mistake](data=mistakes).model_dump(mode="json"))
    _finished(record)
    path = services.artifacts.local_path(paths.mistakes(record.id))
    try:
        picture = path.read_bytes()
    except OSError as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the picture of its mistakes cannot be read") from error
    return Response(picture, media_type=_PNG)


@router.get(
    "/{evaluation_id}/predictions",
    summary="List each picture's prediction",
    responses=problems(404, 409, 422),
)
def list_predictions(
    record: EvaluationDep,
    services: ServicesDep,
    limit: Limit = 50,
    after: Annotated[
        int | None,
        Query(
            ge=0, le=2**31 - 1, description="Return what follows this number: the `next` of the page before."
        ),
    ] = None,
    label: Annotated[str | None, Query(max_length=255, description="Only pictures of this class.")] = None,
    predicted: Annotated[
        str | None, Query(max_length=255, description="Only pictures that were taken for this class.")
    ] = None,
    wrong: Annotated[
        bool | None, Query(description="Only pictures that the model is wrong, or not wrong, about.")
    ] = None,
) -> PageOf[PicturePrediction]:
    """List what was predicted for each picture of the split, in the order of their numbers; of classes only.

    What the model is wrong about has the calls that correct it, should not the model be wrong but the label.
    """
    classes = _findings(record, services).get("classes", ())
    try:
        rows = read_rows(services.artifacts, record.id)
    except (OSError, ValueError) as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the file of its predictions cannot be read") from error
    if rows is None:
        detail = (
            f"evaluation {record.id!r} has no predictions of single pictures: its model predicts no classes, or it was "
            "made by an earlier version"
        )
        raise Conflict(detail, code="no-predictions")
    wanted = np.ones(len(rows), np.bool_)
    for name, asked in (("label", label), ("predicted", predicted)):
        if asked is not None:
            wanted &= rows[name] == _index(classes, asked, name)
    if wrong is not None:
        wanted &= (rows["label"] != rows["predicted"]) == wrong
    if after is not None:
        wanted &= rows["number"] > after
    places = np.flatnonzero(wanted)
    name_of = _names(record, services)
    data = [
        picture_prediction(record, classes, row, name_of(int(row["number"]))) for row in rows[places[:limit]]
    ]
    return PageOf(data=data, next=str(data[-1].number) if len(places) > limit else None)


def _index(classes: Sequence[str], name: str, parameter: str) -> int:
    if name not in classes:
        otherwise = f"its classes are {', '.join(classes[:20])}{' ...' if len(classes) > 20 else ''}"
        hint = did_you_mean(name, classes, otherwise)
        detail = f"the model has no class {name[:100]!r}"
        raise Invalid.at(parameter, detail, hint, parameter=True, code="unknown-class")
    return classes.index(name)


def _names(record: JobRecord, services: Services) -> Callable[[int], str | None]:
    """Return what gives the names of pictures; none of a data set that is gone."""
    try:
        return open_dataset(services.store, services.artifacts, record.request["dataset"]).name
    except (NotFound, Conflict):
        return lambda number: None
