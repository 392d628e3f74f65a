"""Architectures: kept under a name, or only looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response

from app.api.architectures import ArchitectureAnswer, ArchitectureEntry
from app.api.common import PageOf
from app.api.requests.architectures import ArchitectureRequest, DescribedArchitecture
from app.ids import ARCHITECTURE, new_id
from app.jobs.accept.architecture import build, read_architecture
from app.scopes import READ
from app.services import Services, ServicesDep
from app.store.records import ArchitectureRecord, Page
from app.web.answers.architectures import architecture as show
from app.web.answers.architectures import architecture_entry
from app.web.answers.cancellable import finish
from app.web.answers.rows import answer_rows, written_row
from app.web.answers.stored import answered, stored
from app.web.answers.written import written
from app.web.bodies.idempotency import OnceDep
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.paging import After, Limit
from engine.graph.costs import Summary
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.hints import find_hints
from engine.presets.lenet import LENET_5

router = APIRouter(prefix="/v1/architectures", route_class=StrictRoute, tags=["architectures"])

_BODY = problems(400, 413, 415, 422, 503)
_MISSING = problems(404, 503)

ArchitectureId = Annotated[
    str,
    Path(
        description="The id of a stored architecture.",
        openapi_examples={"built in": {"value": "arch_example"}},
    ),
]


LENET = {"input_shape": list(LENET_5.input_shape), "layers": list(LENET_5.layers(LENET_5.classes))}
RESIDUAL = {
    "input_shape": [32, 32, 3],
    "layers": [
        {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {
            "type": "residual",
            "layers": [
                {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
                {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same"},
            ],
            "shortcut": "identity",
            "activation": "relu",
        },
        {"type": "global_average_pool2d"},
        {"type": "dense", "units": 10},
    ],
}
PRESET = {"preset": "resnet-20", "classes": 5}


@router.post(
    "/summary",
    summary="Compute shapes and costs",
    responses=_BODY,
    response_model=Summary,
)
@needs(READ)
async def summarize_architecture(
    architecture: Annotated[
        DescribedArchitecture,
        Body(
            openapi_examples={
                "LeNet-5": {"value": LENET},
                "a residual block": {"value": RESIDUAL},
                "a preset": {"value": PRESET},
            }
        ),
    ],
    request: Request,
    services: ServicesDep,
    batch_size: Annotated[
        int, Query(ge=1, le=65_536, description="Pictures in one step, for the memory that training takes.")
    ] = 64,
) -> Response:
    """Compute what a network costs and sees, without storing or allocating anything.

    For each node: the output shape and the formula it follows from, parameters, multiply-adds, memory, the
    receptive field, what a fully connected layer would have needed for the same map, and the share of
    connections that exist. `hints` are what is likely to be a mistake, and what to change. A preset, or the id of a
    stored architecture, can be given as training jobs take them. The limit of parameters is one of training: a network
    beyond it can be looked at.
    """

    def steps() -> Iterator[Response | None]:
        _, network = build(architecture.root, (), services.store)
        yield None
        yield written(summarize(network, batch_size, find_hints(network)))

    return await in_turn(request, services, steps())


@router.post(
    "",
    status_code=201,
    summary="Store an architecture",
    responses={**_BODY, **problems(409)},
    response_model=ArchitectureAnswer,
)
async def create_architecture(
    body: Annotated[
        ArchitectureRequest,
        Body(openapi_examples={"LeNet-5": {"value": {"name": "my-lenet"} | LENET}}),
    ],
    request: Request,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Keep an architecture under a name, so that training jobs can refer to it by its id.

    It is checked as a whole: shapes that do not meet, names that are taken and numbers of parameters beyond the
    limit are refused with a pointer to the layer.
    """

    def steps() -> Iterator[Response | None]:
        architecture = body.architecture()
        network = Network.build(architecture, services.settings.max_parameters)
        yield None
        summary = summarize(network, hints=find_hints(network))
        record = ArchitectureRecord(new_id(ARCHITECTURE), body.name, architecture.document())
        answer = show(record, summary)
        headers = {"Location": f"{router.prefix}/{record.id}"}
        services.store.architectures.create(record, once.answer(201, answer, headers))
        yield written(answer, 201, headers)

    return await in_turn(request, services, steps())


@router.get("", summary="List architectures", responses=problems(422))
async def list_architectures(
    services: ServicesDep, limit: Limit = 50, after: After = None
) -> PageOf[ArchitectureEntry]:
    """List the stored architectures, newest first, without their layers."""

    def answer(page: Page[ArchitectureRecord]) -> PageOf[ArchitectureEntry]:
        return PageOf(data=answer_rows(page.data, architecture_entry), next=page.next)

    return await answered(services.store, answer, services.store.architectures.page, limit, after)


@router.get(
    "/{architecture_id}",
    summary="Get an architecture",
    responses=_MISSING,
    response_model=ArchitectureAnswer,
)
async def get_architecture(
    architecture_id: ArchitectureId, request: Request, services: ServicesDep
) -> Response:
    """Return a stored architecture with its shapes and costs."""
    record = await stored(services.store, services.store.architectures.get, architecture_id)
    answers = (written_row(one, _with_summary) for one in [record])
    return await in_turn(request, services, answers)


@router.delete(
    "/{architecture_id}", status_code=204, summary="Delete an architecture", responses=problems(404, 409)
)
def delete_architecture(
    architecture_id: Annotated[str, Path(description="The id of a stored architecture.")],
    services: ServicesDep,
) -> None:
    """Delete a stored architecture. Jobs and models keep copies of their own."""
    services.store.architectures.delete(architecture_id)


async def in_turn(request: Request, services: Services, steps: Iterator[Response | None]) -> Response:
    """Answer by steps, not more at a time than there are processors: a network of thousands of layers takes seconds.

    Raises:
        ClientDisconnect: the caller has gone.
        Unavailable: the server is about to stop.
    """
    return await finish(request, services, steps)


def stored_network(architecture_id: str, services: Services) -> Network:
    """Return the network of a stored architecture; not held against the limit, which may have been lowered since.

    Raises:
        NotFound, Damaged: there is none of this id, or it cannot be read.
    """
    return Network.build(read_architecture(services.store.architectures.get(architecture_id)))


def _with_summary(record: ArchitectureRecord) -> ArchitectureAnswer:
    network = Network.build(read_architecture(record))
    return show(record, summarize(network, hints=find_hints(network)))
