"""Pictures as requests send them: to predictions, and to all that looks inside of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request

from app.api.requests.models import PredictionRequest
from app.errors import FieldError, Invalid, TooLarge, Unsupported
from app.models.prediction import Picture, from_base64
from app.settings import Settings
from app.web.bodies.json import parse
from app.web.bodies.limits import make_sense, read_body
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.route import is_json, media_type
from app.web.bodies.schemas import inlined_schema
from app.web.bodies.sinks import MemorySink
from app.web.bodies.validation import validate

_DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAmklEQVR4nM2RSw7DMAhEn6vcK+RkISczORld+B/aZaXOzvPM"
    "gAD+TGl5icAJh4V/6l3yZLkCdXct1jYigcsMOGN3VW0J+nEgwCdzm4HIvhQMqLHX1mvC+KPMJ+XmvuYvV0rpAGnT1lgDimXX"
    "aN2gdWcfSUtsk0WYS+5dNrkql62puwcm7gKq7rkXzuvLhgC3EaTfDt1pPdtv9QbtGlXun99R5wAAAABJRU5ErkJggg=="
)
"""A three from the test split of the data set `digits`, as a PNG file in base64."""


def pictures_body() -> dict[str, Any]:
    """Describe for the OpenAPI document the forms that `receive_pictures` takes."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(PredictionRequest),
                "examples": {"a digit": {"value": {"images": [_DIGIT]}}},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "description": "Picture files.",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }


_FORMS = (
    "send one picture with `Content-Type: image/png` or application/octet-stream, several as the parts `files` of a "
    'form (`curl -F files=@name`), or JSON as {"images": ["<base64>"]}'
)


async def receive_pictures(
    request: Request,
    settings: Settings,
    *,
    arrived: Callable[[int], None],
    with_faults: bool = False,
) -> list[Picture]:
    """Read the pictures of a request: files of a form, base64 in JSON, or one picture as the body.

    Args:
        request: holds them.
        settings: say how much is taken.
        arrived: see `room`.
        with_faults: whether pictures that are no base64 are returned, too, with their faults.

    Raises:
        Invalid, Malformed: a body that is not what its type says.
        TooLarge: more bytes or pictures than the settings allow.
        Unsupported: a type that holds no pictures.
    """
    received = media_type(request)
    if received.startswith("image/") or received == "application/octet-stream":
        return [Picture(await read_body(request, settings.max_predict_bytes, arrived), parameter="body")]
    if is_json(received):
        body = await read_body(request, settings.max_predict_bytes, arrived)
        most = settings.max_predict_images
        return await make_sense(body, arrived, lambda: _read_json(body, most, with_faults=with_faults))
    if received != "multipart/form-data":
        detail = f"no pictures can be read from {received}" if received else "this header is missing"
        raise Unsupported.at("Content-Type", detail, _FORMS, parameter=True)
    rules = FormRules(
        settings.max_predict_bytes,
        {"files": settings.max_predict_images},
        kind="picture",
        elsewhere={"file": "the part is called files here: `curl -F files=@name`"},
    )
    form = await receive(request, rules, MemorySink, arrived)
    return [Picture(file.content, filename=file.filename, parameter="files") for file in form.files]


def only_picture(pictures: Sequence[Picture]) -> Picture:
    """Return the picture of a call that shows one at a time.

    Raises:
        Invalid: there are several.
    """
    if len(pictures) != 1:
        second = pictures[1]
        detail = f"there are {len(pictures)} pictures, and one is shown at a time"
        raise Invalid.listing([FieldError(detail, second.pointer, second.parameter, "send one")])
    return pictures[0]


def _read_json(body: bytes, most: int, *, with_faults: bool) -> list[Picture]:
    document = parse(body)
    sent = document.get("images") if isinstance(document, dict) else None
    if isinstance(sent, list) and len(sent) > most:
        raise TooLarge.at("images", f"{len(sent)} pictures", f"send at most {most} at a time")
    return from_base64(validate(PredictionRequest, document).images, with_faults=with_faults)
