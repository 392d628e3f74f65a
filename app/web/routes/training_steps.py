"""One training step, taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.requests.training_steps import TrainingStepRequest
from app.api.training_steps import TrainingStep
from app.scopes import READ
from app.services import Services, ServicesDep
from app.training.steps import take_step
from app.web.answers.cancellable import finish
from app.web.answers.training_steps import training_step
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(prefix="/v1/training-steps", route_class=StrictRoute, tags=["training-steps"])

_LENET = {
    "architecture": {"preset": "lenet-5"},
    "dataset": "digits",
    "indices": [0, 1, 2, 3],
    "optimizer": {"type": "sgd", "learning_rate": 0.01, "momentum": 0.0},
    "show": ["conv2d_1/bias"],
}
_TINY = {
    "architecture": {
        "input_shape": [4, 4, 1],
        "layers": [
            {"type": "conv2d", "filters": 1, "kernel_size": 3, "activation": "relu"},
            {"type": "flatten"},
            {"type": "dense", "units": 2},
        ],
    },
    "inputs": [
        [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]],
    ],
    "targets": [0, 1],
    "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.0},
    "show": ["conv2d_1/weight", "dense_1/weight"],
}
_MODEL = {
    "weights": {"model": "model_example"},
    "dataset": "digits",
    "split": "test",
    "indices": [0, 1, 2, 3, 4, 5, 6, 7],
    "numeric_check": {"entries": 10},
}


@router.post(
    "",
    summary="Take one training step apart",
    response_model=TrainingStep,
    responses=problems(400, 409, 413, 415, 422),
)
@needs(READ)
async def take_training_step(
    body: Annotated[
        TrainingStepRequest,
        Body(
            openapi_examples={
                "four digits": {"value": _LENET},
                "two pictures of numbers": {"value": _TINY},
                "a trained model": {"value": _MODEL},
            }
        ),
    ],
    request: Request,
    services: ServicesDep,
) -> Response:
    """Show what one step of training does: losses, gradients, updates, node by node; nothing of it is kept.

    The step is the first one of a training job with the same seed, pictures, loss and optimizer, without augmentations.
    `numeric_check` compares gradients with differences of the loss, in 64-bit floating point; it ends when the
    connection is closed.
    """
    return await finish(request, services, _answer(services, body))


def _answer(services: Services, body: TrainingStepRequest) -> Iterator[Response | None]:
    stores = services.store, services.artifacts, services.predictors
    for step in take_step(body, *stores, services.settings, services.bounds):
        if step is None:
            yield None
        else:
            yield Response(training_step(step, body.show).model_dump_json(), media_type="application/json")
