"""Models as files: taken along, and brought back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, status
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from app.api.common import Name
from app.api.models import ImportedModel, ImportReport
from app.api.requests.model_files import EXAMPLE_MODEL, ModelImport
from app.errors import Damaged
from app.files.paths import UPLOADS
from app.models.model_files import ModelSource, import_model
from app.services import Services, ServicesDep
from app.store.records import AnswerRecord, ModelRecord
from app.web.answers.attachments import attachment
from app.web.answers.cancellable import compute
from app.web.answers.conditional import has
from app.web.bodies.files import FileBody, named_as_sent, receive_file
from app.web.bodies.idempotency import Once, OnceDep
from app.web.bodies.limits import declared_bytes
from app.web.bodies.multipart import FormRules
from app.web.bodies.route import StrictRoute
from app.web.bodies.schemas import inlined_schema
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference
from app.web.routes.models import shown

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

MEDIA_TYPE = "application/octet-stream"
FILES = {"file": "The model file.", "external_data": "With an ONNX file: the file with its tensors."}
FORM_FIELDS = frozenset(ModelImport.model_fields) - FILES.keys()
_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


def _body() -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(ModelImport),
                "examples": {"one pixel": {"value": {"file": EXAMPLE_MODEL}}},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        **{name: _BINARY | {"description": text} for name, text in FILES.items()},
                        **{
                            name: {
                                key: value for key, value in schema.items() if key in ("title", "description")
                            }
                            | {"type": "string"}
                            for name, schema in inlined_schema(ModelImport)["properties"].items()
                            if name not in FILES
                        },
                    },
                }
            },
            MEDIA_TYPE: {"schema": _BINARY},
        },
    }


@router.get(
    "/{model_id}/weights",
    summary="Download a model",
    response_class=Response,
    responses=problems(404, 409)
    | {
        200: {"description": "One safetensors file.", "content": {MEDIA_TYPE: {"schema": _BINARY}}},
        304: {"description": "The file is the one that `If-None-Match` names."},
    },
)
def get_weights(
    model_id: ModelReference,
    services: ServicesDep,
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` of a file that is there already.")
    ] = None,
) -> Response:
    """Return a model as one safetensors file: weights, architecture, classes, preprocessing, and how it was made.

    `ETag` is the SHA-256 of the file, `Range` is honoured. `POST /v1/models/import` takes it back, here or at
    another server, and gives the same bytes again.
    """
    record = services.store.models.find(model_id)
    tag = f'"{record.sha256}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if has(if_none_match, tag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    path = services.artifacts.local_path(record.path)
    if not path.is_file():
        raise Damaged.of("model", record.id, "its file is missing")
    headers |= attachment(f"{record.name}-{record.version}.safetensors")
    return FileResponse(path, media_type=MEDIA_TYPE, headers=headers)


@router.post(
    "/import",
    status_code=status.HTTP_201_CREATED,
    summary="Import a model",
    responses=problems(400, 409, 413, 415, 422, 501, 503, 507),
    openapi_extra={"requestBody": _body},
)
async def post_model(
    request: Request,
    services: ServicesDep,
    once: OnceDep,
    response: Response,
    name: Annotated[
        Name | None,
        Query(description="What to call the model, when the body is the file itself."),
    ] = None,
) -> ImportedModel:
    """Take in a model file that a server like this one wrote, or an ONNX file; it becomes the next version of its name.

    Send the file itself (`application/octet-stream`), as `file` of a form, or a small one in JSON, in base64.
    Its header and the shapes of all arrays are held against its architecture before anything is allocated.

    With `preset` a safetensors file whose arrays have the names of torchvision or timm is taken in as well. Of an ONNX
    file, which is known by its content, the whole graph becomes a network here; tensors that lie in a second file come
    with it as `external_data`. A form says `classes`, `input_shape` and `preprocessing` as JSON. `import` in the answer
    accounts for the arrays of the file; what cannot be computed here is listed, all of it.
    """
    size = declared_bytes(request, services.settings.max_upload_bytes)
    await run_in_threadpool(services.accept_work, size)
    rules = FormRules(
        services.settings.max_upload_bytes,
        dict.fromkeys(FILES, 1),
        FORM_FIELDS,
        kind="model file",
        optional=frozenset({"external_data"}),
    )
    folder = services.artifacts.here(UPLOADS)
    body = await receive_file(request, folder, rules, ModelImport, lambda: ModelImport(file="", name=name))
    try:
        model = await compute(request, services, _take_in, services, body, once)
    finally:
        await run_in_threadpool(body.discard)
    response.headers.update(_place(model.id))
    return model


def _place(model_id: str) -> dict[str, str]:
    return {"Location": f"{router.prefix}/{model_id}"}


def _take_in(services: Services, body: FileBody[ModelImport], once: Once) -> ImportedModel:
    def imported(record: ModelRecord, report: ImportReport) -> ImportedModel:
        model = shown(services, record)
        return ImportedModel(
            **{name: getattr(model, name) for name in type(model).model_fields}, **{"import": report}
        )

    def answer(record: ModelRecord, report: ImportReport) -> AnswerRecord | None:
        return once.answer(status.HTTP_201_CREATED, imported(record, report), _place(record.id))

    store, artifacts, settings = services.store, services.artifacts, services.settings
    with named_as_sent(json=body.json):
        source = ModelSource(body.path, body.document, body.filename, body.beside)
        return imported(*import_model(source, store, artifacts, settings, answer, services.computing.go_on))
