"""Each picture of a data set: look at it, see what it is said to show, and correct that."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Body, Header, Path, Query, Request, Response, status
from fastapi.responses import JSONResponse

from app.api.common import PageOf
from app.api.dataset_pictures import DatasetCorrection, DatasetPicture
from app.api.requests.dataset_pictures import Correction, CorrectionsCreate, PictureChange
from app.datasets import correct, storage
from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset
from app.errors import Conflict, Invalid, NotFound
from app.jobs.kinds import ADDITION
from app.pictures.decode import encode_png
from app.pictures.sheets import reduce
from app.services import Services, ServicesDep
from app.store.records import DatasetRecord
from app.text import one_of
from app.web.answers.cancellable import compute
from app.web.answers.conditional import has
from app.web.answers.dataset_pictures import dataset_correction, dataset_picture
from app.web.answers.negotiation import preferred
from app.web.answers.stored import stored
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.dataset_pictures import JSON, PNG, DatasetId, SplitQuery
from app.web.routes.paging import AfterNumber, Limit
from engine.recipe.targets import NOUN, NOUNS

router = APIRouter(prefix="/v1/datasets", route_class=StrictRoute, tags=["datasets"])

MOST_SIZE = 512
"""Pixels of the longer side of a picture that is made small."""
MOST_HEADER = 8000
"""Characters of a header with labels or values."""

_Number = Annotated[
    int,
    Path(
        ge=0,
        le=2**31 - 1,
        description="The number of the picture, from 0.",
        openapi_examples={"first": {"value": 0}},
    ),
]


def _header(description: str, kind: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "schema": kind or {"type": "string"}}


_HEADERS = {
    "Image-Label": _header(
        "The name of its class, as percent-encoded UTF-8; or the names of its labels, with | between them. Left out "
        f"when it had more than {MOST_HEADER} characters."
    ),
    "Image-Class-Index": _header("The index of its class, where it has one.", {"type": "integer"}),
    "Image-Values": _header(
        "Its values with commas between them, in a data set of values; left out when it had more than "
        f"{MOST_HEADER} characters."
    ),
    "Image-Split": _header("The split it belongs to.", {"type": "string", "enum": list(SPLIT_NAMES)}),
    "Image-Number": _header("Its number in the whole data set.", {"type": "integer"}),
    "Image-Name": _header(
        "The name of the file that it came in, as percent-encoded UTF-8, where it had one."
    ),
    "Image-Excluded": _header("`true` where it is left out of its split."),
}


@router.get("/{dataset_id}/images", summary="List the pictures", responses=problems(404, 409, 422))
def list_images(
    dataset_id: DatasetId,
    services: ServicesDep,
    limit: Limit = 50,
    after: AfterNumber = None,
    split: Annotated[
        Literal["train", "dev", "test"] | None, Query(description="Only those of this split.")
    ] = None,
    label: Annotated[
        str | None, Query(max_length=255, description="Only those of this class, or with this label.")
    ] = None,
    excluded: Annotated[
        bool | None, Query(description="Only those that are left out, or only those that are not.")
    ] = None,
    name: Annotated[
        str | None, Query(max_length=1024, description="Only those that came in a file of this name.")
    ] = None,
) -> PageOf[DatasetPicture]:
    """List the pictures in the order of their numbers: file name, class, split, and whether they are left out."""
    record = services.store.datasets.get(dataset_id)
    dataset = storage.open_dataset(services.store, services.artifacts, dataset_id)
    wanted = np.ones(dataset.images, np.bool_)
    wanted[: 0 if after is None else after + 1] = False
    if split is not None:
        wanted &= dataset.splits == SPLIT_NAMES.index(split)
    if excluded is not None:
        wanted &= dataset.used != excluded
    if label is not None:
        wanted &= _showing(record, dataset, label)
    numbers: list[int] = []
    for number in np.flatnonzero(wanted).tolist():
        if name is None or dataset.name(number) == name:
            numbers.append(number)
            if len(numbers) > limit:
                break
    more = len(numbers) > limit
    data = [dataset_picture(record, dataset, number) for number in numbers[:limit]]
    return PageOf(data=data, next=str(numbers[limit - 1]) if more else None)


def _showing(record: DatasetRecord, dataset: StoredDataset, label: str) -> np.ndarray[Any, Any]:
    """Return which pictures show a class or have a label, (N,)."""
    names, target = class_names(record), options(record).target
    if target == "values":
        detail = f"the pictures of data set {record.id!r} have values, and neither classes nor labels"
        raise Invalid.at("label", detail, "leave it out", parameter=True)
    if label not in names:
        hint = one_of(label, names, NOUNS[target])
        detail = f"data set {record.id!r} has no {NOUN[target]} {label[:100]!r}"
        raise Invalid.at("label", detail, hint, parameter=True, code="unknown-class")
    index = names.index(label)
    return dataset.labels == index if dataset.targets is None else dataset.targets[:, index] > 0


@router.get(
    "/{dataset_id}/images/{number}",
    summary="Get one picture",
    response_class=Response,
    responses=problems(404, 409, 422, 503)
    | {
        200: {
            "description": "The picture as training sees it, or what is known of it.",
            "content": {
                PNG: {"schema": {"type": "string", "format": "binary"}},
                JSON: {"schema": {"$ref": "#/components/schemas/DatasetPicture"}},
            },
            "headers": _HEADERS,
        },
        304: {"description": "The picture is the one that `If-None-Match` names."},
    },
)
async def get_image(
    dataset_id: DatasetId,
    number: _Number,
    request: Request,
    services: ServicesDep,
    split: SplitQuery = None,
    size: Annotated[
        int | None,
        Query(
            ge=1,
            le=MOST_SIZE,
            description="The most pixels of its longer side: a larger one is made smaller.",
        ),
    ] = None,
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` of a picture that is there already.")
    ] = None,
) -> Response:
    """Return one picture as PNG, exactly as it is stored and trained on; headers say its class, split and file name.

    With `size` it is a small one. With `Accept: application/json` the answer is what the headers say, in place of the
    picture. `ETag` changes where anything of the picture or its headers may have changed: as long as it does not, a
    browser asks and is not sent the picture again.
    """
    record = await stored(services.store, services.store.datasets.get, dataset_id)
    as_json = preferred(request, (PNG, JSON)) == JSON
    # whatever changes a data set changes one of the first four, the others say which picture it is, and how large
    state = record.id, record.fingerprint, record.images, record.revision, split, number, size
    tag = f'"{hashlib.sha256(repr(state).encode()).hexdigest()}"'
    kept = (
        {"Vary": "Accept"}
        if as_json
        else {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
    )
    if not as_json and record.status == "ready" and if_none_match != "*" and has(if_none_match, tag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=kept)

    def answer() -> Response:
        return _image(services, record, split, number, size, kept, as_json=as_json)

    return await compute(request, services, answer)


def _image(
    services: Services,
    record: DatasetRecord,
    split: str | None,
    number: int,
    size: int | None,
    kept: dict[str, str],
    *,
    as_json: bool,
) -> Response:
    dataset = storage.open_dataset(services.store, services.artifacts, record.id)
    positions = np.arange(dataset.images) if split is None else dataset.positions(split)
    if number >= len(positions):
        where = f"the {split} split of data set" if split else "data set"
        raise NotFound(f"{where} {record.id!r} holds {len(positions)} images, from 0")
    position = int(positions[number])
    if as_json:
        return JSONResponse(dataset_picture(record, dataset, position).model_dump(mode="json"), headers=kept)
    image, _ = dataset.read(position)
    headers = {
        **kept,
        **_target_headers(record, dataset, position),
        "Image-Split": SPLIT_NAMES[dataset.splits[position]],
        "Image-Number": str(position),
    }
    if (name := dataset.name(position)) is not None:
        headers["Image-Name"] = quote(name, safe=" /")
    if not dataset.used[position]:
        headers["Image-Excluded"] = "true"
    return Response(
        encode_png(image if size is None else reduce(image, size)), media_type=PNG, headers=headers
    )


def _target_headers(record: DatasetRecord, dataset: StoredDataset, position: int) -> dict[str, str]:
    """Return the headers that say which class, labels or values a picture has."""
    names = [quote(name, safe=" ") for name in class_names(record)]
    target = options(record).target
    if dataset.targets is None:
        label = int(dataset.labels[position])
        return {"Image-Label": names[label], "Image-Class-Index": str(label)}
    targets = dataset.targets[position]
    if target == "labels":
        header, text = "Image-Label", "|".join(names[label] for label in np.flatnonzero(targets))
    else:
        header, text = "Image-Values", ",".join(f"{value:.9g}" for value in targets)
    # Many clients give up on headers that are longer.
    return {header: text} if len(text) <= MOST_HEADER else {}


@router.patch(
    "/{dataset_id}/images/{number}",
    summary="Correct one picture",
    responses=problems(400, 404, 409, 413, 415, 422),
)
def correct_image(
    dataset_id: DatasetId,
    number: _Number,
    change: Annotated[
        PictureChange,
        Body(openapi_examples={"what would change": {"value": {"label": "7", "dry_run": True}}}),
    ],
    services: ServicesDep,
) -> DatasetCorrection:
    """Say what a picture shows, leave it out, or put it back, in a new revision of the data set.

    `label` is for data sets of classes, `labels` and `values` for those of labels and of values.
    The number is that in the whole data set. Nothing that was trained changes, and jobs that were accepted before go
    on with what they had. Where it is so already, no revision is made.
    """
    record = services.store.datasets.get(dataset_id)
    storage.check_ready(record)
    if number >= record.images:
        raise NotFound(f"data set {dataset_id!r} holds {record.images} images, from 0")
    wish = Correction(number=number, **change.model_dump(exclude={"dry_run"}))
    return _correct(
        services, record, correct.plan(record, [wish], (), services.store, services.artifacts), change.dry_run
    )


@router.post(
    "/{dataset_id}/corrections",
    summary="Correct pictures",
    responses=problems(400, 404, 409, 413, 415, 422),
)
def correct_images(
    dataset_id: DatasetId,
    request: Annotated[
        CorrectionsCreate,
        Body(
            openapi_examples={
                "what would change": {
                    "value": {
                        "corrections": [
                            {"number": 0, "label": "7"},
                            {"number": 1, "excluded": True},
                        ],
                        "dry_run": True,
                    }
                }
            }
        ),
    ],
    services: ServicesDep,
    once: OnceDep,
) -> DatasetCorrection:
    """Say what pictures show, leave them out, or put them back: all of it in one new revision, or nothing of it.

    `label` is for data sets of classes, `labels` and `values` for those of labels and of values.
    Nothing that was trained changes, and jobs that were accepted before go on with what they had. Where all of it is
    so already, no revision is made. 409 while pictures are being added. With `dry_run` the answer says what would
    change, and nothing does; data sets that are built in take no more than that.
    """
    record = services.store.datasets.get(dataset_id)
    planned = correct.plan(record, request.corrections, ("corrections",), services.store, services.artifacts)
    return _correct(services, record, planned, request.dry_run, once)


def _correct(
    services: Services, record: DatasetRecord, planned: correct.Plan, dry_run: bool, once: Once | None = None
) -> DatasetCorrection:
    names = class_names(record)
    made = bool(planned.correction.changes) and not dry_run
    answer = dataset_correction(planned.correction, names, planned.dataset, made=made)
    if not made:
        return answer
    if record.builtin:
        detail = (
            f"data set {record.id!r} is built in and cannot be corrected; `dry_run` says what would change"
        )
        raise Conflict(detail, code="built-in")
    kept = None if once is None else once.answer(200, answer, {})
    services.store.datasets.correct(planned.correction, planned.columns, record.images, [ADDITION.name], kept)
    return answer


@router.get("/{dataset_id}/corrections", summary="List what was corrected", responses=problems(404, 409, 422))
def list_corrections(
    dataset_id: DatasetId,
    services: ServicesDep,
    limit: Limit = 50,
    after: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Return what is older than this revision: the `next` before."),
    ] = None,
) -> PageOf[DatasetCorrection]:
    """List the revisions of a data set, newest first, each with what was corrected in it."""
    record = services.store.datasets.get(dataset_id)
    dataset = storage.open_dataset(services.store, services.artifacts, dataset_id)
    until = record.revision if after is None else after - 1
    found = services.store.datasets.corrections(dataset_id, until, limit + 1)
    names = class_names(record)
    data = [dataset_correction(correction, names, dataset) for correction in found[:limit]]
    return PageOf(data=data, next=str(found[limit - 1].revision) if len(found) > limit else None)
