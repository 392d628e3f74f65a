"""The pictures of data sets: more of them, and all of them at a glance; `dataset_images` has each of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Body, Path, Query, Request, Response, status
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.common import ListOf, PageOf
from app.api.dataset_pictures import Addition, AdditionEntry, DatasetStatistics, Samples
from app.api.requests.dataset_pictures import (
    EXAMPLE_PICTURE,
    AdditionDocument,
    AdditionForm,
    PreviewRequest,
)
from app.datasets import statistics, storage
from app.datasets.records import class_names, options
from app.datasets.samples import choose, remark
from app.errors import NotFound, TooLarge
from app.files.unnamed import unless_named
from app.jobs.accept.additions import new_addition
from app.jobs.kinds import ADDITION
from app.jobs.uploads import passed_on
from app.operations.augment import working_bytes
from app.pictures.sheets import encode_sheet, encode_variants, reduce
from app.scopes import READ
from app.services import Services, ServicesDep
from app.store.records import JobRecord
from app.web.answers.cancellable import compute
from app.web.answers.dataset_pictures import dataset_picture, dataset_statistics
from app.web.answers.datasets import addition, addition_entry, checked_addition
from app.web.answers.negotiation import preferred
from app.web.answers.rows import answer_row, answer_rows
from app.web.answers.stored import stored
from app.web.bodies.files import named_as_sent
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.limits import declared_bytes
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute, is_json, media_type
from app.web.bodies.schemas import inlined_schema
from app.web.openapi import problems, success
from app.web.routes.dataset_forms import Received, receive_addition_form, receive_addition_json
from app.web.routes.paging import After, Limit
from engine.augmentations import augment
from engine.errors import EngineError
from engine.recipe.targets import NOUNS

router = APIRouter(prefix="/v1/datasets", route_class=StrictRoute, tags=["datasets"])

PNG, JSON = "image/png", "application/json"
RETRY_SECONDS = 1
MOST_ROWS = 40
MOST_COLUMNS = 32
PREVIEW_BYTES = 16 << 20
"""Of originals that are augmented at once; each takes some ten times its size."""

DatasetId = Annotated[
    str, Path(description="The id of a data set.", openapi_examples={"built in": {"value": "digits"}})
]
SplitQuery = Annotated[
    Literal["train", "dev", "test"] | None,
    Query(description="Count in this split only, instead of in the whole data set."),
]

_PNG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A picture.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _addition() -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(AdditionDocument),
                "examples": {
                    "what a 3 would become": {
                        "value": {"label": "3", "images": [EXAMPLE_PICTURE], "dry_run": True}
                    }
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "Pictures of one `label`.",
                        },
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "Instead of them a zip archive of class folders, or with a manifest.",
                        },
                        **{
                            name: {
                                key: value for key, value in schema.items() if key in ("title", "description")
                            }
                            | {"type": "string"}
                            for name, schema in inlined_schema(AdditionForm)["properties"].items()
                        },
                    },
                }
            },
        },
    }


_PREVIEW_EXAMPLE = {
    "augmentations": [
        {"type": "random_crop", "padding": 2},
        {"type": "rotation", "degrees": 15},
    ],
    "images": 4,
    "variants": 6,
}


@router.post(
    "/{dataset_id}/images",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Add labelled pictures",
    responses=problems(400, 404, 409, 413, 415, 422, 503, 507)
    | {200: {"description": "What would be added, for a dry run.", "model": Addition}},
    openapi_extra={"requestBody": _addition},
)
async def add_images(
    dataset_id: DatasetId, request: Request, services: ServicesDep, once: OnceDep, response: Response
) -> Addition:
    """Add pictures to a data set that is ready: `files` of one `label`, or a zip archive as `file`.

    They are read in the background; the address in `Location` says what became of them. They get the numbers after
    the last one. Splits are drawn for them, or taken from the folders or manifest of the archive; those of earlier
    pictures stay, and so does all that running jobs see. Pictures that the data set has already are left out if it
    was made so. New classes cannot be added, and nothing to data sets of labels or values (409).

    With `dry_run` the answer, 200, tells at once what would be added, and nothing is. Data sets that are built in
    take no more than that.
    """
    size = declared_bytes(request, services.settings.max_upload_bytes)
    await run_in_threadpool(services.accept_work, size)
    receive = receive_addition_json if is_json(media_type(request)) else receive_addition_form
    received = await receive(request, services)
    with unless_named(received.discard):
        answer = await compute(request, services, _add, services, dataset_id, received, once)
    if answer.id is None:
        received.discard()
        response.status_code = status.HTTP_200_OK
        return answer
    response.headers.update(_look_again(dataset_id, answer.id))
    return answer


def _look_again(dataset_id: str, job_id: str) -> dict[str, str]:
    location = f"/v1/datasets/{quote(dataset_id)}/additions/{job_id}"
    return {"Location": location, "Retry-After": str(RETRY_SECONDS)}


def _add(services: Services, dataset_id: str, received: Received[AdditionForm], once: Once) -> Addition:
    with named_as_sent(json=received.json):
        made = new_addition(
            dataset_id,
            received.files,
            received.options,
            services.store,
            services.artifacts,
            services.settings,
            services.bounds,
        )
    if not isinstance(made, JobRecord):
        return checked_addition(dataset_id, made)
    answer = addition(made)
    headers = _look_again(dataset_id, made.id)
    with passed_on(made.request, services.artifacts):
        services.store.jobs.create(made, once.answer(status.HTTP_202_ACCEPTED, answer, headers))
    services.duties.wake()
    return answer


@router.get("/{dataset_id}/additions", summary="List what was added", responses=problems(404, 422))
def list_additions(
    dataset_id: DatasetId, services: ServicesDep, limit: Limit = 50, after: After = None
) -> PageOf[AdditionEntry]:
    """List the requests to add pictures, newest first, with how many were added and left out."""
    record = services.store.datasets.get(dataset_id)
    page = services.store.jobs.page(limit, after, kind=ADDITION.name, dataset_id=record.id)
    return PageOf(data=answer_rows(page.data, addition_entry), next=page.next)


@router.get("/{dataset_id}/additions/{addition_id}", summary="Get what was added", responses=problems(404))
async def get_addition(
    dataset_id: Annotated[str, Path(description="The id of a data set.")],
    addition_id: Annotated[str, Path(description="The id of a request to add pictures.")],
    services: ServicesDep,
) -> Addition:
    """Return a request to add pictures: how far it is, what was added, and which files were left out and why."""
    record = await stored(services.store, services.store.datasets.get, dataset_id)
    job = await stored(services.store, services.store.jobs.get, addition_id)
    if (job.kind, job.dataset_id) != (ADDITION.name, record.id):
        raise NotFound.of(ADDITION.noun, addition_id)
    return answer_row(job, addition)


@router.get("/{dataset_id}/statistics", summary="Get the statistics", responses=problems(404, 409, 503))
async def get_statistics(dataset_id: DatasetId, request: Request, services: ServicesDep) -> DatasetStatistics:
    """Return pictures per class and split, and mean, deviation and range of each channel, in all and for each.

    Also the darkest and the lightest pictures, and those in which a value is least and greatest. Every pixel is looked
    at once; of a large data set the first answer takes some seconds.
    """
    return await compute(request, services, _statistics, dataset_id, services)


def _statistics(dataset_id: str, services: Services) -> DatasetStatistics:
    record = services.store.datasets.get(dataset_id)
    dataset = storage.open_dataset(services.store, services.artifacts, dataset_id)
    go_on = services.computing.go_on
    found = statistics.statistics(record, dataset, services.artifacts, go_on)
    return dataset_statistics(record.id, dataset, found)


@router.get(
    "/{dataset_id}/samples",
    summary="See samples of each class",
    response_class=Response,
    responses=problems(404, 409, 422, 503)
    | success("A sheet of pictures, or what is known of them.", ListOf[Samples], PNG),
)
async def get_samples(
    dataset_id: DatasetId,
    request: Request,
    services: ServicesDep,
    split: SplitQuery = None,
    per_class: Annotated[
        int, Query(ge=1, le=MOST_COLUMNS, description="The most pictures of each class.")
    ] = 10,
    first_class: Annotated[
        int,
        Query(ge=0, le=10_000, description=f"The index of the first class; at most {MOST_ROWS} are shown."),
    ] = 0,
    seed: Annotated[int, Query(ge=0, le=2**32 - 1, description="Decides which pictures are taken.")] = 0,
) -> Response:
    """Return a sheet as PNG with a row for each class: its name, how many pictures there are, and some of them.

    Labels have rows like classes. The row of a value goes from where it is least to where it is greatest. With
    `Accept: application/json` the same pictures are listed: number, split, what they show, file name, and address.
    """
    as_json = preferred(request, (PNG, JSON)) == JSON

    def answer() -> Response:
        return _samples(services, dataset_id, split, per_class, first_class, seed, as_json=as_json)

    return await compute(request, services, answer)


def _samples(
    services: Services,
    dataset_id: str,
    split: str | None,
    per_class: int,
    first_class: int,
    seed: int,
    *,
    as_json: bool,
) -> Response:
    record = services.store.datasets.get(dataset_id)
    target = options(record).target
    dataset = storage.open_dataset(services.store, services.artifacts, dataset_id)
    if first_class >= len(record.classes):
        raise NotFound(f"data set {dataset_id!r} has {len(record.classes)} {NOUNS[target]}")
    rows, listed = [], []
    for label, name in list(enumerate(class_names(record)))[first_class : first_class + MOST_ROWS]:
        services.computing.go_on()
        images, chosen = choose(dataset, target, label, split, per_class, seed)
        if as_json:
            pictures = [dataset_picture(record, dataset, place) for place in chosen.tolist()]
            listed.append(Samples(name=name, images=images, pictures=pictures))
        else:
            said = remark(dataset, target, label, images, chosen)
            rows.append((f"{name} ({said})", [reduce(dataset.read(int(place))[0]) for place in chosen]))
    varies = {"Vary": "Accept"}
    if as_json:
        return JSONResponse(ListOf[Samples](data=listed).model_dump(mode="json"), headers=varies)
    return Response(encode_sheet(rows), media_type=PNG, headers=varies)


@router.post(
    "/{dataset_id}/augmentation-preview",
    summary="See what augmentations do",
    response_class=Response,
    responses=problems(400, 404, 409, 413, 415, 422, 503) | _PNG,
)
@needs(READ)
async def preview_augmentations(
    dataset_id: DatasetId,
    preview: Annotated[
        PreviewRequest,
        Body(openapi_examples={"crop and rotate": {"value": _PREVIEW_EXAMPLE}}),
    ],
    request: Request,
    services: ServicesDep,
) -> Response:
    """Return a sheet as PNG: each row a picture and what the augmentations make of it in each epoch.

    They are drawn as a training job with this seed draws them. Mixing takes the picture of the next row in.
    """
    return await compute(request, services, _preview, dataset_id, preview, services)


def _preview(dataset_id: str, preview: PreviewRequest, services: Services) -> Response:
    dataset = storage.open_dataset(services.store, services.artifacts, dataset_id)
    images = dataset.split(preview.split)
    count = min(preview.images, len(images))
    size = int(np.prod(dataset.image_shape))
    if count * size > PREVIEW_BYTES:
        most = max(1, PREVIEW_BYTES // size)
        detail = f"{count} pictures of this data set are too much at once"
        raise TooLarge.at("images", detail, f"use {most} or less")
    with services.bounds.reserve(working_bytes(count * size, preview.variants)):
        originals, _ = images.read(np.arange(count))
        variants = []
        try:
            for epoch in range(1, preview.variants + 1):
                services.computing.go_on()
                variants.append(augment(originals, preview.augmentations, preview.seed, epoch))
        except EngineError as error:
            raise error.within("augmentations") from None
        return Response(encode_variants(originals, variants), media_type="image/png")
