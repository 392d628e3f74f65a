"""Models: what training made, and what they are called."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from starlette.concurrency import run_in_threadpool

from app.api.common import PageOf
from app.api.models import Model, ModelEntry
from app.api.requests.models import ModelChanges
from app.files.features import delete_features
from app.services import Services, ServicesDep
from app.store.records import ModelRecord, Page
from app.web.answers.models import model, model_entry
from app.web.answers.rows import answer_row, answer_rows, written_row
from app.web.answers.stored import answered, is_small, stored_model
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference
from app.web.routes.paging import After, Limit, NameFilter, PartFilter, TagFilter

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_MISSING = problems(404)


@router.get("", summary="List models", responses=problems(422))
async def list_models(
    services: ServicesDep,
    limit: Limit = 50,
    after: After = None,
    name: NameFilter = None,
    contains: PartFilter = None,
    tag: TagFilter = None,
) -> PageOf[ModelEntry]:
    """List the models, newest first, without their architectures and provenance."""

    def answer(page: Page[ModelRecord]) -> PageOf[ModelEntry]:
        return PageOf(data=answer_rows(page.data, model_entry), next=page.next)

    # all who show the list ask when they are told of another model
    read = services.store.models.page
    return await answered(services.store, answer, read, limit, after, name=name, contains=contains, tag=tag)


@router.get("/{model_id}", summary="Get a model", responses=_MISSING, response_model=Model)
async def get_model(model_id: ModelReference, services: ServicesDep) -> Response:
    """Return a model: its classes, its input, how good it is, how it was made."""
    record = await stored_model(services.store, model_id)
    show = partial(_model, services)
    store = services.store
    if services.provenances.holds(record) and is_small(store, record, store.models.find, model_id):
        return written_row(record, show)
    return await run_in_threadpool(written_row, record, show)


@router.patch(
    "/{model_id}", summary="Describe or rename a model", responses=problems(400, 404, 409, 413, 415, 422)
)
def change_model(
    model_id: ModelReference,
    changes: Annotated[
        ModelChanges,
        Body(
            openapi_examples={
                "described": {"value": {"description": "Reads single digits.", "tags": ["digits"]}}
            }
        ),
    ],
    services: ServicesDep,
) -> Model:
    """Change the name, the description or the tags of a model.

    Under another name it becomes that name's next version. 409 when it has an alias, or is built in: those keep their
    names.
    """
    new = changes.model_dump(include=changes.model_fields_set)
    return shown(services, services.store.models.change(services.store.models.find_id(model_id), new))


@router.delete("/{model_id}", status_code=204, summary="Delete a model", responses=problems(404, 409))
def delete_model(
    model_id: Annotated[str, Path(description="The id of a model, or name and version (`digits@2`).")],
    services: ServicesDep,
) -> None:
    """Delete a model and its file; 409 when it is built in, or when an alias stands for it."""
    identifier = services.store.models.find_id(model_id)
    path = services.store.models.delete(identifier)
    services.predictors.forget(identifier)
    services.artifacts.delete(path)
    delete_features(services.artifacts, identifier)


def shown(services: Services, record: ModelRecord) -> Model:
    """Return the body for a record."""
    return answer_row(record, partial(_model, services))


def _model(services: Services, record: ModelRecord) -> Model:
    return model(record, services.provenances.of(record), services.predictors.library(record.id))
