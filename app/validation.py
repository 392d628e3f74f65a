"""Pydantic's findings, told in terms of the caller's own document."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, TypeAdapter, ValidationError

from app.errors import FieldError, Invalid
from app.pointers import find, locate, pointer, readable

T = TypeVar("T")

MOST_FIELDS = 20
"""Faults that one answer lists; a document with more of them is best corrected from the top."""

_HINTS: Mapping[str, str] = {
    "int_type": "write a whole number, such as 3",
    "int_from_float": "write a whole number, such as 3",
    "int_parsing": "write a whole number, such as 3",
    "float_type": "write a number, such as 0.5",
    "bool_type": "write true or false",
    "string_type": "write a string in quotes",
    "tuple_type": "write a list in square brackets",
    "list_type": "write a list in square brackets",
    "model_type": "write an object in braces",
    "model_attributes_type": "write an object in braces",
    "finite_number": "write a finite number",
}


def validate(kind: type[T], document: Any) -> T:
    """Validate a parsed JSON document against a type.

    Raises:
        Invalid: with a pointer for each bad field.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), document, kind, body=False) from None


def invalid(errors: Iterable[Any], document: Any, kind: Any = None, *, body: bool = True) -> Invalid:
    """Make the domain error for what pydantic found; see `field_errors`."""
    fields = field_errors(errors, document, kind, body=body)
    return Invalid(summary(fields), errors=fields)


def field_errors(
    errors: Iterable[Any], document: Any, kind: Any = None, *, body: bool = True
) -> tuple[FieldError, ...]:
    """Turn pydantic's errors into ours, one for each place.

    Args:
        errors: as pydantic or FastAPI lists them.
        document: the body that the caller sent, parsed.
        kind: the type of the body, to name the keys that it knows.
        body: locations begin with FastAPI's word for the part of the request: body, query, path ...
    """
    found: dict[tuple[str | None, str | None], FieldError] = {}
    for error in errors:
        location = tuple(error["loc"])
        part, rest = (str(location[0]), location[1:]) if body and location else ("body", location)
        if part == "body":
            keys = locate(document, rest, missing=error["type"] == "missing")
            field = FieldError(
                pointer=pointer(keys), detail=_detail(error, document, keys), hint=_hint(error, rest, kind)
            )
        else:
            name = str(rest[0]) if rest else part
            field = FieldError(parameter=name, detail=_message(error), hint=_hint(error, rest, None))
        place = (field.pointer, field.parameter)
        known = found.get(place)
        if known is None:
            found[place] = field
        elif field.detail not in known.detail:
            # A field of several possible types gets an error from each of them.
            found[place] = FieldError(
                detail=f"{known.detail}; or: {field.detail}",
                pointer=field.pointer,
                parameter=field.parameter,
                hint=known.hint or field.hint,
            )
    return tuple(found.values())[:MOST_FIELDS]


def summary(fields: Sequence[FieldError]) -> str:
    """Say in one line what is wrong: the first fault, and how many more there are."""
    if not fields:
        return "the request is not valid"
    first = fields[0]
    if first.pointer:
        place = readable([int(key) if key.isdecimal() else key for key in first.pointer.split("/")[1:]])
    else:
        place = first.parameter or "the body"
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return f"{place}: {first.detail}{more}"


def _message(error: Mapping[str, Any]) -> str:
    text = str(error["msg"])
    return text.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _detail(error: Mapping[str, Any], document: Any, keys: Sequence[str | int]) -> str:
    if error["type"] == "missing":
        return "this key is required" if keys else "the request needs a body"
    if error["type"] == "extra_forbidden":
        return f"there is no such key here: {json.dumps(keys[-1]) if keys else 'the body'}"
    text = _message(error)
    value = find(document, keys)
    if isinstance(value, str | int | float) and (received := json.dumps(value)) not in text:
        text += f", received {received[:80]}"
    return text


def _hint(error: Mapping[str, Any], location: Sequence[str | int], kind: Any) -> str | None:
    match error["type"]:
        case "missing":
            return f"add {json.dumps(location[-1])}" if location else "send a JSON document"
        case "extra_forbidden":
            names = [] if kind is None or not location else known_keys(kind, location[:-1])
            return _nearest(str(location[-1]), names) if names else "leave it out, or correct its name"
        case "union_tag_invalid":
            names = [name.strip(" '") for name in error["ctx"]["expected_tags"].split(",")]
            return _nearest(str(error["ctx"]["tag"]), names)
        case "union_tag_not_found":
            return f"add {error['ctx']['discriminator'].replace(chr(39), chr(34))}"
        case other:
            return _HINTS.get(other)


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    listed = ", ".join(sorted(names))
    return f"did you mean {json.dumps(near[0])}?" if near else f"known here: {listed}"


def known_keys(kind: Any, location: Sequence[str | int]) -> list[str]:
    """List the keys of the object at a location of pydantic's inside a type, none if that is no object."""
    candidates = list(_members(kind))
    for key in location:
        candidates = [inner for outer in candidates for inner in _step(outer, key)]
    return sorted({name for model, _ in candidates if _is_model(model) for name in model.model_fields})


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _members(kind: Any, tag: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """Take a union apart into its members without annotations, each with its tag if it has one."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *notes = get_args(kind)
        yield from _members(inner, next((note.tag for note in notes if isinstance(note, Tag)), tag))
    elif origin in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _members(part)
    else:
        own = kind.model_fields.get("type") if _is_model(kind) else None
        yield kind, tag or (str(own.default) if own else None)


def _step(candidate: tuple[Any, str | None], key: str | int) -> Iterator[tuple[Any, str | None]]:
    """Yield what can stand at a key of a type; a name that is no key is a union's word for a member."""
    kind, tag = candidate
    if isinstance(key, int):
        for part in get_args(kind):
            yield from _members(part)
    elif _is_model(kind) and key in kind.model_fields:
        yield from _members(kind.model_fields[key].annotation)
    elif tag is None or key == tag:
        yield candidate
