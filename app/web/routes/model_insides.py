"""What models make of pictures on the way: activations and embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.insides import Account, Accounts, Activations, Embedding, Embeddings, GradientOf
from app.errors import Invalid, TooLarge
from app.models import insides
from app.models.insides import Slope
from app.models.opened import OpenedModel, open_model
from app.models.prediction import Picture
from app.pictures.drawing import Drawing
from app.scopes import PREDICT
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import NPZ, check_file_numbers, check_numbers, npz, numbers
from app.web.answers.cancellable import compute
from app.web.answers.insides import account, activations, drawn_account, drawn_output, gradient_of
from app.web.answers.negotiation import preferred
from app.web.answers.stored import stored_model
from app.web.bodies.needs import needs
from app.web.bodies.pictures import only_picture, pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.gradient_class import GradientClass
from app.web.routes.model_reference import ModelReference
from engine.arrays import Array
from engine.model.activations import Activation
from engine.model.gradients import Gradients, Of

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_JSON, _PNG = "application/json", "image/png"
_MOST_ROWS = 2000
"""Nodes of all pictures of one account together: each has a thumbnail."""

_MOST_MAPS = 64

Scale = Literal["map", "shared"]
T = TypeVar("T")


@router.post(
    "/{model_id}/activations",
    summary="See what nodes put out",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503)
    | success(
        "What one node, or each node in short, puts out for each picture.", Activations | Accounts, _PNG, NPZ
    ),
    openapi_extra={"requestBody": pictures_body},
)
@needs(PREDICT)
async def show_activations(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str | None,
        Query(
            description="The name of a node of the network, or `input`. Without it, all of them are shown in short.",
            openapi_examples={"the first layer": {"value": "conv2d_1/activation"}},
        ),
    ] = None,
    scale: Annotated[
        Scale,
        Query(
            description="Whether each `map` of a PNG has its own scale of colours, or one is `shared` by all."
        ),
    ] = "map",
    maps: Annotated[
        int | None,
        Query(
            ge=1,
            le=_MOST_MAPS,
            description="Without `node`: give so many maps of each node as small numbers, in place of its thumbnail.",
        ),
    ] = None,
    gradient: Annotated[
        Of | None,
        Query(
            description="Show the gradient with respect to each node's output in place of that output: of the `score` "
            "of a class, label or value, or of the `loss` that the picture would have were it of this class."
        ),
    ] = None,
    name: GradientClass = None,
) -> Response:
    """Return what the nodes of a network put out for pictures, which are sent in one of the forms that `predict` takes.

    With `node`: all numbers of that node and their statistics, up to 100,000 numbers; `Accept: application/x-npz` gives
    them as an array (pictures, height, width, channels) for NumPy, and `Accept: image/png` draws the maps of one
    picture. Without `node`: the way of each picture through the network, with shape, minimum, mean, maximum, share of
    zeros and a thumbnail of every node, or with `maps` the first maps as numbers of one byte; with `Accept: image/png`
    as one drawing for one picture. With `gradient` all of this is of the gradients.

    The network runs as in predictions, with the statistics gathered in training; gradients are taken of scores before
    softmax or sigmoid, so that a final node of that kind has none.
    """
    record = await stored_model(services.store, model_id)
    with services.bodies.room() as arrived:
        pictures = await receive_pictures(request, services.settings, arrived=arrived)
        form = preferred(request, (_JSON, _PNG, NPZ))
        if node is None and form == NPZ:
            raise Invalid.at(
                "node", "only the numbers of one node are given as npz", "name it", parameter=True
            )
        if maps is not None and (node is not None or form != _JSON):
            detail = "small maps are given of all nodes at once, as JSON"
            raise Invalid.at("maps", detail, "leave it out", parameter=True)
        slope = insides.slope_of(record, gradient, name)
        if node is None:
            return await compute(request, services, _accounts, services, record, pictures, form, maps, slope)
        return await compute(
            request, services, _activations, services, record, pictures, node, form, scale, slope
        )


@router.post(
    "/{model_id}/embedding",
    summary="Turn pictures into vectors",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503) | success("A vector for each picture.", Embeddings, NPZ),
    openapi_extra={"requestBody": pictures_body},
)
@needs(PREDICT)
async def embed_pictures(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str | None,
        Query(description="The node whose output is the vector; by default the one that the head reads."),
    ] = None,
) -> Response:
    """Return pictures as vectors, for search by similarity or a classifier of your own.

    By default a vector is what the head reads: the last layer that connects numbers by parameters, mostly the dense
    layer that gives the scores. Any node can be named instead; of a map (height, width, channels) the vector is the
    mean of each channel. Pictures are sent in one of the forms that `predict` takes. `Accept: application/x-npz` gives
    an array `embeddings` (pictures, numbers) for NumPy.
    """
    record = await stored_model(services.store, model_id)
    with services.bodies.room() as arrived:
        pictures = await receive_pictures(request, services.settings, arrived=arrived)
        form = preferred(request, (_JSON, NPZ))
        return await compute(request, services, _embeddings, services, record, pictures, node, form)


def _accounts(
    services: Services,
    record: ModelRecord,
    pictures: Sequence[Picture],
    form: str,
    maps: int | None,
    slope: Slope | None,
) -> Response:
    opened = insides.sloped(
        open_model(services.predictors, record), slope, services.settings.max_training_bytes
    )
    if form == _PNG:
        picture = only_picture(pictures)
        title = f"{record.name}@{record.version}: {picture.filename or 'the picture'} on its way through the network"

        def drawn(nodes: Iterable[Activation], gradient: GradientOf | None) -> Drawing:
            of = "" if gradient is None else f", gradients of the {gradient.of} of {gradient.class_}"
            return drawn_account(title + of, insides.way(nodes, signed=gradient is not None))

        return _drawn(_of_nodes(services, opened, picture, slope, drawn))
    rows = len(opened.network.nodes) + 1
    if rows * len(pictures) > _MOST_ROWS:
        raise TooLarge(
            f"{len(pictures)} pictures at {rows:,} nodes each; at most {_MOST_ROWS:,} are shown: send fewer pictures, "
            "or name a node"
        )
    data = []
    for picture in pictures:

        def shown(
            nodes: Iterable[Activation],
            gradient: GradientOf | None,
            filename: str | None = picture.filename,
        ) -> Account:
            return account(filename, insides.way(nodes, maps, signed=gradient is not None), gradient)

        data.append(_of_nodes(services, opened, picture, slope, shown))
    return JSONResponse(Accounts(model_id=record.id, data=data).model_dump(mode="json"))


def _of_nodes(
    services: Services,
    opened: OpenedModel,
    picture: Picture,
    slope: Slope | None,
    use: Callable[[Iterable[Activation], GradientOf | None], T],
) -> T:
    """Return what `use` makes of what the nodes put out for a picture; or of their gradients, and what these are of."""
    bounds, classes = services.bounds, opened.model.classes
    if slope is None:
        return use(insides.outputs_of(opened, picture, bounds), None)
    return insides.picture_gradients(
        opened, picture, slope, bounds, lambda found: use(found.nodes, gradient_of(found, classes))
    )


def _activations(
    services: Services,
    record: ModelRecord,
    pictures: Sequence[Picture],
    node: str,
    form: str,
    scale: Scale,
    slope: Slope | None,
) -> Response:
    opened = insides.sloped(
        open_model(services.predictors, record), slope, services.settings.max_training_bytes
    )
    place = insides.place(opened, node)
    shape = (len(pictures), *place.shape)
    if form == _PNG:
        only_picture(pictures)
    elif form == NPZ:
        check_file_numbers(shape, "send fewer pictures")
    else:
        check_numbers(shape, "ask for image/png or application/x-npz")
    gradients = None
    if slope is None:
        outputs = insides.outputs(opened, place.name, pictures, services.bounds)
    else:
        outputs, gradients = _gradients(services, opened, place.name, pictures, slope)
    if form == _PNG:
        names = insides.number_names(opened, place.name)
        return _drawn(drawn_output(place, outputs[0], names, shared=scale == "shared"))
    if form == NPZ:
        return npz({place.name: outputs}, f"{record.id}-{place.name}.npz", services.bounds)
    body = activations(record.id, place, [picture.filename for picture in pictures], outputs, gradients)
    return JSONResponse(body.model_dump(mode="json"))


def _gradients(
    services: Services, opened: OpenedModel, node: str, pictures: Sequence[Picture], slope: Slope
) -> tuple[Array, list[GradientOf]]:
    """Return the gradients in one node for each picture (N, ...), and what they are of."""

    def of_node(found: Gradients) -> tuple[Array, GradientOf]:
        gradient = next(each.output[0] for each in found.nodes if each.name == node)
        return gradient.copy(), gradient_of(found, opened.model.classes)

    each = [insides.picture_gradients(opened, one, slope, services.bounds, of_node) for one in pictures]
    found, said = zip(*each, strict=True)
    return np.stack(found), list(said)


def _embeddings(
    services: Services, record: ModelRecord, pictures: Sequence[Picture], node: str | None, form: str
) -> Response:
    opened = open_model(services.predictors, record)
    place = insides.embedding_place(opened, node)
    dimensions = place.shape[-1]
    shape = len(pictures), dimensions
    if form == NPZ:
        check_file_numbers(shape, "send fewer pictures")
    else:
        check_numbers(shape, "ask for application/x-npz, or send fewer pictures")
    vectors = insides.embeddings(opened, place.name, pictures, services.bounds)
    if form == NPZ:
        return npz({"embeddings": vectors}, f"{record.id}-{place.name}.npz", services.bounds)
    data = [
        Embedding(filename=picture.filename, embedding=numbers(vector, ""))
        for picture, vector in zip(pictures, vectors, strict=True)
    ]
    body = Embeddings(model_id=record.id, node=place.name, dimensions=dimensions, data=data)
    return JSONResponse(body.model_dump(mode="json"))


def _drawn(drawing: Drawing) -> Response:
    return Response(drawing.png(), media_type=_PNG)
