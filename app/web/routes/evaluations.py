"""Evaluations: how good a model is on a data set, and what to try next."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import JSONResponse

from app.api.common import ListOf
from app.api.evaluations import (
    ConfusionMatrix,
    Evaluation,
    FinishedEvaluation,
    Mistake,
)
from app.api.requests.evaluations import EvaluationCreate
from app.errors import Conflict, Damaged, Invalid
from app.files import paths
from app.jobs.accept.evaluation import new_evaluation
from app.jobs.evaluated import check_finished, findings
from app.jobs.findings import found_file
from app.jobs.kinds import EVALUATION
from app.pictures import confusion_matrix
from app.pictures.confusion_matrix import MAX_CLASSES
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import JobRecord
from app.web.answers.cancellable import compute
from app.web.answers.evaluations import evaluation, evaluation_mistakes, finished_evaluation
from app.web.answers.job_entries import messages
from app.web.answers.negotiation import preferred
from app.web.bodies.idempotency import OnceDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.job_calls import JobCalls

router = APIRouter(prefix="/v1/evaluations", route_class=StrictRoute, tags=["evaluations"])

_LOOK_AGAIN_SECONDS = 1
_SVG, _PNG, _JSON = "image/svg+xml", "image/png", "application/json"
_PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def _whole(services: Services, record: JobRecord) -> FinishedEvaluation:
    done = record.status is JobStatus.SUCCEEDED
    document = findings(record, services.artifacts) if done else None
    return finished_evaluation(record, document, messages(services, [record]).get(record.id))


CALLS = JobCalls(
    router,
    EVALUATION,
    "evaluation_id",
    Evaluation,
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
    record = new_evaluation(request, services.store, services.settings)
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
    responses=problems(404, 409, 422, 503)
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
async def get_confusion_matrix(record: EvaluationDep, request: Request, services: ServicesDep) -> Response:
    """Return how often what was taken for what: as SVG, or as PNG or JSON by the header `Accept`."""
    kind = preferred(request, (_SVG, _PNG, _JSON))
    return await compute(request, services, _confusion_matrix, record, services, kind)


def _confusion_matrix(record: JobRecord, services: Services, kind: str) -> Response:
    found = findings(record, services.artifacts)
    if "confusion" not in found:
        raise Conflict(
            f"evaluation {record.id!r} is of a model that predicts no classes: there is no confusion matrix; "
            "`predictions` takes `missed` and `invented` for labels",
            code="no-confusion-matrix",
        )
    classes, matrix = found["classes"], found["confusion"]
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

    Of labels that is what was missed (-) and invented (+), of values the one that is furthest off.
    With `Accept: application/json` each is listed with the name of its file and with the calls that correct it, should
    not the model be wrong but the label: their address and the body to send.
    """
    if preferred(request, (_PNG, _JSON)) == _JSON:
        mistakes = evaluation_mistakes(record, findings(record, services.artifacts))
        return JSONResponse(ListOf[Mistake](data=mistakes).model_dump(mode="json"))
    check_finished(record)
    path = found_file(paths.mistakes, record, services.artifacts)
    try:
        picture = path.read_bytes()
    except OSError as error:
        raise Damaged.of(EVALUATION.noun, record.id, "the picture of its mistakes cannot be read") from error
    return Response(picture, media_type=_PNG)
