"""The filters that a model has learned."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.filters import FilterList, NodeFilters
from app.errors import Invalid
from app.models.opened import open_model, unknown_node
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import NPZ, check_file_numbers, npz
from app.web.answers.cancellable import compute
from app.web.answers.filters import drawn_filters, filter_entry, node_filters
from app.web.answers.negotiation import preferred
from app.web.answers.stored import stored_model
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.model_reference import ModelReference
from engine.model.filters import Filters, filters

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_JSON, _PNG = "application/json", "image/png"


@router.get(
    "/{model_id}/filters",
    summary="See the filters of a model",
    response_class=Response,
    responses=problems(404, 413, 422, 503)
    | success("The filters of one node, or the nodes that have some.", NodeFilters | FilterList, _PNG, NPZ),
)
async def show_filters(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str | None,
        Query(
            description="The name of a node that has filters; without it, those that have some are listed.",
            openapi_examples={"the first layer": {"value": "conv2d_1"}},
        ),
    ] = None,
) -> Response:
    """Return the filters of a convolution, or the weight matrix of a dense layer.

    Without `node`: the nodes that have filters, with shapes, norms and statistics. With `node`: the statistics of each
    filter and all numbers, up to 100,000; `Accept: application/x-npz` gives weight and bias as arrays for NumPy, and
    `Accept: image/png` draws them: filters of three inputs in the colours of a picture, others in blue for negative and
    red for positive numbers, a tile for each pair of a filter and an input.
    """
    record = await stored_model(services.store, model_id)
    form = preferred(request, (_JSON, _PNG, NPZ))
    return await compute(request, services, _filters, services, record, node, form)


def _filters(services: Services, record: ModelRecord, node: str | None, form: str) -> Response:
    opened = open_model(services.predictors, record)
    found = list(filters(opened.network, opened.model.weights))
    if node is None:
        if form != _JSON:
            detail = "only the filters of one node are drawn, or given as npz"
            raise Invalid.at("node", detail, "name it, or ask for application/json", parameter=True)
        listed = FilterList(model_id=record.id, data=[filter_entry(each) for each in found])
        return JSONResponse(listed.model_dump(mode="json"))
    chosen = _choose(found, node)
    if form == _PNG:
        return Response(drawn_filters(chosen).png(), media_type=_PNG)
    if form == NPZ:
        check_file_numbers(chosen.weight.shape, f"take them from the model's file, array {chosen.name!r}")
        arrays = {chosen.name: chosen.weight}
        if chosen.bias is not None:
            arrays[f"{chosen.node.name}/bias"] = chosen.bias
        return npz(arrays, f"{record.id}-{chosen.node.name}.npz", services.bounds)
    body = node_filters(record.id, chosen, "ask for image/png or application/x-npz")
    return JSONResponse(body.model_dump(mode="json"))


def _choose(found: list[Filters], node: str) -> Filters:
    for each in found:
        if each.node.name == node:
            return each
    if not found:
        raise Invalid.at("node", "no node of this network has filters", parameter=True)
    raise unknown_node(node, [each.node.name for each in found], kind="node with filters")
