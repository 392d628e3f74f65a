"""Models as ONNX files, for other runtimes."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from app.models.onnx_files import onnx_file
from app.services import ServicesDep
from app.web.answers.attachments import attachment
from app.web.answers.cancellable import compute
from app.web.answers.conditional import has
from app.web.answers.stored import stored_model
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

MEDIA_TYPE = "application/octet-stream"


@router.get(
    "/{model_id}/onnx",
    summary="Export a model as ONNX",
    response_class=Response,
    responses=problems(404, 422, 501)
    | {
        200: {
            "description": "One ONNX file.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The file is the one that `If-None-Match` names."},
    },
)
async def get_onnx(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    preprocessing: Annotated[
        Literal["outside", "inside"],
        Query(
            description="`outside`: the input is `input`, float32 [N, channels, height, width], preprocessed as the "
            "metadata says. `inside`: it is `pixels`, uint8 [N, height, width, channels]; the graph does the rest.",
        ),
    ] = "outside",
    if_none_match: Annotated[
        str | None, Header(description="The `ETag` of a file that is there already.")
    ] = None,
) -> Response:
    """Return a model as one ONNX file, for ONNX Runtime and whatever else reads the format.

    The output is `predictions`, float32 [N, classes]: what `predict` answers with, for batches of any size. The
    metadata holds `classes`, `target` and `preprocessing` as JSON. Operators are those of version 17. `ETag` is the
    SHA-256 of the file.

    The library for the format is an extra of the installation, `onnx`; without it the answer is 501.
    """
    record = await stored_model(services.store, model_id)
    file, digest = await compute(
        request,
        services,
        onnx_file,
        services.predictors,
        record,
        preprocessing_inside=preprocessing == "inside",
    )
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if has(if_none_match, tag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    headers |= {"Content-Length": str(len(file)), **attachment(f"{record.name}-{record.version}.onnx")}
    return StreamingResponse(file.pieces(), media_type=MEDIA_TYPE, headers=headers)
