"""Training jobs: asked for, looked at, stopped."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response

from app.api.common import ListOf
from app.api.norms import TrainingNorms
from app.api.requests.training_jobs import TrainingJobRequest
from app.api.training_jobs import EpochFigures, TrainingJob, TrainingJobEntry
from app.api.training_reports import TrainingReport
from app.errors import Conflict, Damaged
from app.files import paths
from app.files.unnamed import unless_named
from app.jobs.accept.training import new_job
from app.jobs.findings import found_file
from app.jobs.kinds import TRAINING
from app.pictures import curves
from app.pictures.drawing import Drawing
from app.services import Services, ServicesDep
from app.states import JobStatus
from app.store.records import JobState, Json
from app.web.answers.cancellable import compute
from app.web.answers.evaluations import mistake
from app.web.answers.job_entries import training_places, whole_training_job
from app.web.answers.jobs import epoch_figures, training_job
from app.web.answers.negotiation import preferred
from app.web.answers.norms import norms_chart, training_norms
from app.web.answers.rows import answer_row
from app.web.answers.stored import answered, once
from app.web.bodies.idempotency import OnceDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.job_calls import JobCalls

router = APIRouter(prefix="/v1/training-jobs", route_class=StrictRoute, tags=["training-jobs"])

JSON, SVG, PNG = "application/json", "image/svg+xml", "image/png"
_LOOK_AGAIN_SECONDS = 2

_MISSING = problems(404)

_PRESET_EXAMPLE = {
    "architecture": {"preset": "lenet-5"},
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 64,
    "seed": 0,
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "schedule": {"type": "cosine"},
    "loss": {"type": "softmax_cross_entropy"},
}
_TRANSFER_EXAMPLE = {"initial_weights": "model_example", "dataset": "digits", "train": "head", "epochs": 1}
_CHOSEN_EXAMPLE = {"dataset": "digits", "epochs": 1}
_STORED_EXAMPLE = {"architecture": "arch_example", "dataset": "digits", "epochs": 1}
_WRITTEN_EXAMPLE = {
    "name": "tiny",
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel_size": 5, "stride": 2, "activation": "relu"},
            {"type": "flatten"},
            {"type": "dense", "units": 10},
        ],
    },
    "dataset": "digits",
    "epochs": 1,
    "optimizer": {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9},
}


CALLS = JobCalls(
    router,
    TRAINING,
    "job_id",
    TrainingJobEntry,
    look_again=_LOOK_AGAIN_SECONDS,
    whole=(TrainingJob, whole_training_job),
    stands_alone=lambda record: record.status is not JobStatus.QUEUED,
    example="job_example",
)
JobDep = Annotated[JobState, Depends(CALLS.find_state())]


@router.post(
    "",
    status_code=202,
    summary="Start training",
    responses=problems(400, 409, 413, 415, 422, 503, 507),
)
def create_training_job(
    request: Annotated[
        TrainingJobRequest,
        Body(
            openapi_examples={
                "a preset": {"value": _PRESET_EXAMPLE},
                "a stored architecture": {"value": _STORED_EXAMPLE},
                "written out": {"value": _WRITTEN_EXAMPLE},
                "a data set alone": {"value": _CHOSEN_EXAMPLE},
                "transfer": {"value": _TRANSFER_EXAMPLE},
            }
        ),
    ],
    services: ServicesDep,
    once: OnceDep,
    response: Response,
) -> TrainingJob:
    """Ask for a training run. It starts as soon as the server has room for it.

    Follow it at the address in `Location`; when its `status` is `succeeded`, `model_id` names the model. It
    survives restarts of the server, and goes on from its last checkpoint when its process dies.

    When a data set alone is given, everything else is chosen to fit it; `chosen` in the answer says what, and why.

    With `continue_from` it goes on where a finished job has stopped, for `epochs` more; with `initial_weights` it
    begins with the weights of a model. Without an `architecture` the network is that model's with a new head for the
    classes of the data set, of which `train` says what is trained; what else is not given is chosen to fit the data.

    Everything is checked here: that the shapes meet, that the output fits the classes of the data set, that
    the number of parameters and the memory that it will need are within the limits.

    A data set that is still being filled will do: the job waits for it (`waiting_for`), and what depends on its
    pictures is chosen and checked when it is ready. What does not fit then fails the job, and so does a data set that
    fails.

    With a `webhook` its end is announced by a POST, signed as in Standard Webhooks and repeated until it is received.
    """
    services.accept_work()
    record = new_job(request, services.store, services.artifacts, services.settings)
    place = training_places(services, (), record).get(record.id)
    answer = training_job(record, services.settings.checkpoint_retention, place)
    headers = CALLS.headers(record.id)
    response.headers.update(headers)
    # what it was to begin with
    with unless_named(lambda: services.artifacts.delete(paths.directory(record.id))):
        services.store.jobs.create(record, once.answer(202, answer, headers))
    services.duties.wake()
    return answer


CALLS.add()


@router.get("/{job_id}/metrics", summary="Get the figures of every epoch", responses=_MISSING)
async def get_metrics(record: JobDep, services: ServicesDep) -> ListOf[EpochFigures]:
    """Return loss and accuracy on the train and the dev split after each epoch, in order."""

    def answer(found: list[Json]) -> ListOf[EpochFigures]:
        return ListOf(data=[epoch_figures(figures) for figures in found])

    return await answered(services.store, answer, services.store.jobs.metrics, record.id)


@router.get(
    "/{job_id}/curves",
    summary="Draw the curves",
    response_class=Response,
    responses={
        **_MISSING,
        **problems(503),
        200: {"description": "A picture.", "content": {PNG: {}, SVG: {}}},
    },
)
async def get_curves(record: JobDep, request: Request, services: ServicesDep) -> Response:
    """Draw loss and accuracy on the train and the dev split over the epochs: SVG, or PNG when that is accepted."""
    form = preferred(request, (SVG, PNG))

    def answer() -> Response:
        return _drawn(curves.chart(services.store.jobs.metrics(record.id)), form)

    return await compute(request, services, answer)


@router.get(
    "/{job_id}/norms",
    summary="Get the lengths of gradients and weights",
    response_model=TrainingNorms,
    responses={
        **_MISSING,
        **problems(503),
        200: {"description": "Numbers, or a picture.", "content": {PNG: {}, SVG: {}}},
    },
)
async def get_norms(record: JobDep, request: Request, services: ServicesDep) -> Response:
    """Return how long the gradient and the weights of each node were, epoch by epoch, and name what goes wrong.

    A gradient that is shorter than a thousandth of the longest vanishes: the node hardly learns. One that is more than
    ten times as long as the longest in the first epoch, or as the node's own weights, explodes. With
    `Accept: image/svg+xml` or `image/png` it is drawn, a line for each node on a logarithmic axis.
    """
    form = preferred(request, (JSON, SVG, PNG))

    def answer() -> Response:
        norms = answer_row(record, lambda job: training_norms(services.store.jobs.norms(job.id)))
        if form == JSON:
            return Response(norms.model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})
        return _drawn(norms_chart(norms), form)

    return await compute(request, services, answer)


def _drawn(picture: Drawing, form: str) -> Response:
    content = picture.png() if form == PNG else picture.svg()
    return Response(content, media_type=form, headers={"Vary": "Accept"})


@router.get("/{job_id}/report", summary="Ask whether it is enough", responses=problems(404, 409))
async def get_report(record: JobDep, services: ServicesDep) -> TrainingReport:
    """Return whether the model is good enough, how sure that is, and what would make it better.

    It is made at the end of a job that learns classes: accuracy with its interval, how well each class is recognised,
    pictures of dev and test that look like those of train, and labels that may be wrong. Where features are cached,
    also how good the model is with a quarter and half of the pictures, and every picture of train is judged by a head
    that has not learned from it.
    """
    # all who watch a job ask when they are told of its end
    key = (paths.report(record.id), record.status)
    return await once(services.store, key, partial(_report, services, record))


def _report(services: Services, record: JobState) -> TrainingReport:
    try:
        content = found_file(paths.report, record, services.artifacts).read_bytes()
    except FileNotFoundError:
        detail = (
            f"training job {record.id!r} has no report: one is made at the end of a job that learns classes"
        )
        raise Conflict(f"{detail}, and this one is {record.status}", code="no-report") from None
    try:
        report = TrainingReport.model_validate_json(content)
    except ValueError as error:
        raise Damaged.of(TRAINING.noun, record.id, "its report cannot be read") from error
    if not report.suspicious:
        return report
    dataset = services.store.jobs.get(record.id).request["dataset"]
    suspicious = [mistake(dataset, found) for found in report.suspicious]
    return report.model_copy(update={"suspicious": suspicious})
