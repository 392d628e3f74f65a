"""Aliases: words such as `production` that stand for one model of a name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path

from app.api.common import ListOf
from app.api.models import Alias
from app.api.requests.models import AliasTarget
from app.errors import Conflict, Invalid, NotFound
from app.services import ServicesDep
from app.store.models import OTHER_INTERFACE
from app.web.answers.models import alias as show
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(prefix="/v1/models/{model_name}/aliases", route_class=StrictRoute, tags=["models"])

ModelName = Annotated[
    str, Path(description="The name of models.", openapi_examples={"built in": {"value": "lenet-5-digits"}})
]
AliasName = Annotated[
    str,
    Path(
        max_length=64,
        pattern=r"^[a-z][a-z0-9_-]*$",
        description="A lower-case word.",
        openapi_examples={"built in": {"value": "example"}},
    ),
]


@router.get("", summary="List the aliases of a name", responses=problems(404))
def list_aliases(model_name: ModelName, services: ServicesDep) -> ListOf[Alias]:
    """List the aliases of a name, in alphabetical order; none for a name that no model has."""
    return ListOf(data=[show(record) for record in services.store.models.aliases(model_name)])


@router.put("/{alias}", summary="Set an alias", responses=problems(400, 404, 409, 413, 415, 422))
def put_alias(
    model_name: ModelName,
    alias: AliasName,
    target: Annotated[
        AliasTarget, Body(openapi_examples={"built in": {"value": {"model_id": "model_example"}}})
    ],
    services: ServicesDep,
) -> Alias:
    """Let an alias stand for a model, from one request to the next.

    From then on `{name}@{alias}` can be written wherever the id of a model can: `/v1/models/digits@production/predict`.
    Requests that are being answered finish with the model that they began with. An alias that is there moves to a model
    with other classes, another input or another target only with `force` (409).
    """
    try:
        model = services.store.models.find(target.model_id)
        return show(services.store.models.set_alias(model_name, alias, model.id, force=target.force))
    except (NotFound, Conflict) as error:
        if error.code == OTHER_INTERFACE:
            raise
        hint = "name a model of this name; PATCH /v1/models/{id} renames one"
        raise Invalid.at("model_id", error.detail, hint) from None


@router.get("/{alias}", summary="Get an alias", responses=problems(404))
def get_alias(model_name: ModelName, alias: AliasName, services: ServicesDep) -> Alias:
    """Return an alias and what it stands for."""
    return show(services.store.models.get_alias(model_name, alias))


@router.delete("/{alias}", status_code=204, summary="Delete an alias", responses=problems(404))
def delete_alias(
    model_name: Annotated[str, Path(description="The name of models.")],
    alias: Annotated[str, Path(description="The alias.")],
    services: ServicesDep,
) -> None:
    """Delete an alias. The model stays, and can then be deleted or renamed."""
    services.store.models.delete_alias(model_name, alias)
