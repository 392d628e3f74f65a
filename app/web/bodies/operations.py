"""The bodies of operations: JSON, or a form with a picture file; and how the OpenAPI document shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request

from app.api.requests.operations import ConvolveRequest, Pictured
from app.errors import FieldError, Invalid, Malformed, Unsupported, shorten
from app.files.encoded import HINT, decode_base64
from app.operations.examples import CONVOLVE
from app.settings import Settings
from app.web.bodies.files import named_as_sent
from app.web.bodies.json import parse
from app.web.bodies.limits import make_sense, read_body
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.route import is_json, media_type
from app.web.bodies.schemas import inlined_schema
from app.web.bodies.sinks import MemorySink
from app.web.bodies.validation import validate

T = TypeVar("T", bound=Pictured)

_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBERS = ("input", "inputs", "image")
_QUOTED = "give lists, without quotes"
_PICTURE = "a picture goes into `image`, in base64, or as a file into the part `file` of a form"


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """What was sent.

    Attributes:
        document: all fields but the picture.
        picture: the file, if one was sent.
        place: the field that the file came in.
    """

    document: T
    picture: bytes | None
    place: str

    @property
    def json(self) -> bool:
        """Whether it came as JSON."""
        return self.place == "image"


async def receive_operation(
    request: Request,
    choose: Callable[[Mapping[str, Any]], type[T]],
    fields: frozenset[str],
    settings: Settings,
    arrived: Callable[[int], None],
    elsewhere: Mapping[str, str] | None = None,
) -> Received[T]:
    """Read the body of an operation: JSON, or a form with the part `file` and the other fields as JSON or plain words.

    Args:
        request: with the body.
        choose: what the fields have to be, by the fields themselves.
        fields: the names of those that a form may have.
        settings: with the limits.
        arrived: see `room`.
        elsewhere: what to do with keys that belong deeper in the body, by their names.

    Raises:
        Malformed, TooLarge, Unsupported, Invalid: it is not what its type says.
    """
    kind = media_type(request)
    if is_json(kind):
        body = await read_body(request, settings.max_predict_bytes, arrived)
        return await make_sense(body, arrived, lambda: _from_json(body, choose, elsewhere or {}))
    if kind != "multipart/form-data":
        detail = f"the body must be JSON or a form, not {kind}" if kind else "this header is missing"
        hint = "send `Content-Type: application/json`, or a picture as the part `file` of a form (`curl -F file=@name`)"
        raise Unsupported.at("Content-Type", detail, hint, parameter=True)
    hints = {"files": "the part is called file here: `curl -F file=@name`", **(elsewhere or {})}
    taken = fields - set(_NUMBERS)
    rules = FormRules(settings.max_predict_bytes, {"file": 1}, taken, kind="picture", elsewhere=hints)
    form = await receive(request, rules, MemorySink, arrived)
    (file,) = form.files
    document = {name: _value(name, text) for name, text in form.fields.items() if text.strip()}
    with named_as_sent(json=False):
        _refuse_other_places(document, elsewhere or {})
        return Received(validate(choose(document), document), file.content, "file")


def _from_json(
    body: bytes, choose: Callable[[Mapping[str, Any]], type[T]], elsewhere: Mapping[str, str]
) -> Received[T]:
    parsed = parse(body)
    if isinstance(parsed, dict):
        _refuse_other_places(parsed, elsewhere)
    document = validate(choose(parsed if isinstance(parsed, dict) else {}), parsed)
    picture = None
    if document.image is None:
        _refuse_options_of_pictures(document)
    else:
        given = next((name for name in _NUMBERS[:2] if getattr(document, name, None) is not None), None)
        if given:
            raise Invalid.at("image", f"{given} is given as well", "send a picture or numbers")
        try:
            picture = decode_base64(document.image)
        except ValueError as error:
            raise Invalid.at("image", f"this is no base64: {error}", HINT) from None
    return Received(document, picture, "image")


def _refuse_other_places(document: Mapping[str, Any], elsewhere: Mapping[str, str]) -> None:
    """Refuse what is often written in the wrong place or form, and say where and how it is written."""
    faults = [
        FieldError.at(key, f'there is no key "{key}" here', hint)
        for key, hint in elsewhere.items()
        if key in document
    ]
    input_, positions = document.get("input"), document.get("trace")
    if isinstance(input_, str):
        lists = input_.lstrip().startswith("[")
        faults.append(FieldError.at("input", "this is text, not numbers", _QUOTED if lists else _PICTURE))
    if isinstance(positions, list):
        shown = json.dumps(positions) if len(positions) == 1 else "[[0, 0], ...]"
        hint = f'write {{"positions": {shorten(shown, 80)}}}'
        faults.append(FieldError.at("trace", "this is a list, not true or an object", hint))
    if faults:
        raise Invalid.listing(faults)


def _refuse_options_of_pictures(document: Pictured) -> None:
    for name in ("channels", "scale"):
        if getattr(document, name) != Pictured.model_fields[name].default:
            hint = "leave it out, or send a picture as `image`"
            raise Invalid.at(name, "it is for pictures, and numbers are taken as they are", hint)


def _value(name: str, text: str) -> Any:
    """Return what a field of a form holds: JSON, or a word as it is."""
    try:
        return parse(text.encode())
    except Malformed:
        if _WORD.fullmatch(text.strip()):
            return text.strip()
        hint = "write it as in a JSON body, or a single word without quotes"
        raise Invalid.at(name, "this is no JSON", hint, parameter=True) from None


def form_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a form that takes the same fields as a JSON body with these properties."""
    fields = {
        name: {"type": "string", "description": f"{schema.get('description', '')} As JSON.".strip()}
        for name, schema in properties.items()
        if name not in _NUMBERS
    }
    file = {"type": "string", "format": "binary", "description": "A picture, in place of `image`."}
    return {"type": "object", "required": ["file"], "properties": {"file": file, **fields}}


def convolve_body() -> dict[str, Any]:
    """Describe what `convolve` takes."""
    schema = inlined_schema(ConvolveRequest)
    return operation_body(schema, CONVOLVE)


def operation_body(schema: dict[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a body that is JSON or a form."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {name: {"value": body} for name, body in examples.items()},
            },
            "multipart/form-data": {"schema": form_schema(schema["properties"])},
        },
    }
