"""Pydantic's findings, told in terms of the caller's own document."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.errors import MOST_FIELDS, FieldError, Invalid, shorten
from app.web.bodies.pointers import find, locate
from engine import choices
from engine.choices import OneOf, Patience, without_strangers

T = TypeVar("T")

_MOST_ERRORS = 1000
"""Errors of pydantic's that are looked at; many can be about one place."""

_MOST_SHOWN = 80
"""Characters of a value of the caller's that an error repeats."""

_HINTS: Mapping[str, str] = {
    "architecture_form": 'give an object such as {{"preset": "lenet-5"}} or {{"input_shape": [...], "layers": [...]}}, '
    "or the id of a stored architecture",
    "int_type": "write a whole number, such as 3",
    "int_from_float": "write a whole number, such as 3",
    "int_parsing": "write a whole number, such as 3",
    "float_type": "write a number, such as 0.5",
    "float_parsing": "write a number, such as 0.5",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "string_type": "write a string in quotes",
    "tuple_type": "write a list in square brackets",
    "list_type": "write a list in square brackets",
    "dict_type": "write an object in braces",
    "model_type": "write an object in braces",
    "model_attributes_type": "write an object in braces",
    "finite_number": "write a finite number",
    "greater_than": "use a number above {gt}",
    "greater_than_equal": "use {ge} or more",
    "less_than": "use a number below {lt}",
    "less_than_equal": "use {le} or less",
    "too_short": "at least {min_length} are needed",
    "too_long": "at most {max_length} are taken",
    "string_too_long": "use at most {max_length} characters",
    "string_too_short": "use {min_length} or more characters",
}

_PARTS: Mapping[str, str] = {"query": "query parameter", "header": "header", "cookie": "cookie"}

_CLASS = re.compile(r"valid dictionary or instance of \w+")
"""Pydantic names the class that an object would have become, which no caller knows."""

_WORDS: Mapping[str, str] = {
    # The words of Python for things of JSON.
    "valid tuple": "valid list",
    "valid dictionary or object to extract fields from": "valid object",
    "valid dictionary": "valid object",
    "Dictionary should": "The object should",
    ", unable to interpret input": "",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
    "Tuple should": "The list should",
    " after validation, not": "; received",
}


def validate(kind: type[T], document: Any) -> T:
    """Validate a parsed JSON document against a type; no more faults are looked for than are listed.

    Raises:
        Invalid: with a pointer for each bad field.
    """
    looked_at = document
    if _is_model(kind) and isinstance(document, dict):
        looked_at = without_strangers(document, kind, MOST_FIELDS)  # type: ignore[arg-type]
    try:
        return _adapter(kind).validate_python(looked_at, context=Patience(MOST_FIELDS))  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), document, kind, body=False) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def invalid(errors: Iterable[Any], document: Any, kind: Any = None, *, body: bool = True) -> Invalid:
    """Make the domain error for what pydantic found; see `field_errors`."""
    return Invalid.listing(field_errors(errors, document, kind, body=body))


def field_errors(
    errors: Iterable[Any], document: Any, kind: Any = None, *, body: bool = True
) -> tuple[FieldError, ...]:
    """Turn pydantic's errors into ours, one for each place, at most `MOST_FIELDS`.

    Args:
        errors: as pydantic or FastAPI lists them; of very many, the first are looked at.
        document: the body that the caller sent, parsed.
        kind: the type of the body, to name the keys that it knows.
        body: locations begin with FastAPI's word for the part of the request: body, query, path ...
    """
    found: dict[tuple[str | int, ...], _Fault] = {}
    for error in islice(errors, _MOST_ERRORS):
        location = tuple(error["loc"])
        part, rest = (str(location[0]), location[1:]) if body and location else ("body", location)
        if part != "body":
            missing = error["type"] == "missing"
            detail = f"this {_PARTS.get(part, 'parameter')} is required" if missing else _message(error)
            fault = _Fault((str(rest[0]) if rest else part,), True, detail, error, rest)
        elif (keys := _place(error, rest, document)) is not None:
            fault = _Fault(keys, False, _detail(error, document, keys), error, rest)
        else:
            continue
        known = found.get(fault.identity)
        if known is None:
            found[fault.identity] = fault
        elif fault.detail not in known.detail:
            # A field of several possible types gets an error from each of them.
            known.detail, known.location = shorten(f"{known.detail}; or: {fault.detail}"), None
    # A list that could have been a word is no word, says pydantic; what is wrong inside of it says more.
    outer = {identity[:depth] for identity in found for depth in range(2, len(identity))}
    shown = islice((fault for identity, fault in found.items() if identity not in outer), MOST_FIELDS)
    return tuple(fault.field(kind) for fault in shown)


@dataclass(slots=True)
class _Fault:
    """What is wrong at one place; hints cost more than all the rest, and are made for those that are shown.

    Attributes:
        keys: the place in the document, or the name of a parameter.
        parameter: which of the two.
        detail: what is wrong.
        error: pydantic's first error there.
        location: where that was; None where several types were possible, and no hint fits them all.
    """

    keys: tuple[str | int, ...]
    parameter: bool
    detail: str
    error: Mapping[str, Any]
    location: tuple[str | int, ...] | None

    @property
    def identity(self) -> tuple[str | int, ...]:
        return (self.parameter, *self.keys)

    def field(self, kind: Any) -> FieldError:
        hint: str | None
        if self.parameter and self.error["type"] == "missing" and self.error["loc"][0] == "query":
            hint = f"add it to the address: ?{self.keys[0]}=..."
        elif self.location is not None:
            hint = _hint(self.error, self.location, None if self.parameter else kind)
        else:
            hint = _meant(self.error)
        return FieldError.at(self.keys, self.detail, hint, parameter=self.parameter)


def _place(
    error: Mapping[str, Any], location: tuple[str | int, ...], document: Any
) -> tuple[str | int, ...] | None:
    """Return where in the document an error is, None when it is but the echo of another one."""
    match error["type"]:
        case choices.NOT_LOOKED_AT:
            return None
        case "union_tag_invalid" | "union_tag_not_found":
            discriminator = error["ctx"]["discriminator"].strip("'")
            return (*locate(document, location), discriminator)
        case "too_short":
            # Items that are wrong are not counted: then the list is long enough, and they have errors.
            keys = locate(document, location)
            value = find(document, keys)
            enough = isinstance(value, list) and len(value) >= error["ctx"]["min_length"]
            return None if enough else keys
        case other:
            return locate(document, location, missing=other == "missing")


def _message(error: Mapping[str, Any]) -> str:
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    text = _CLASS.sub("valid object", text)
    for python, ours in _WORDS.items():
        text = text.replace(python, ours)
    return text[:1].lower() + text[1:]


def _detail(error: Mapping[str, Any], document: Any, keys: Sequence[str | int]) -> str:
    match error["type"]:
        case "missing" if not keys:
            return "the request needs a body"
        case "missing" if isinstance(keys[-1], int):
            return "a value is missing here"
        case "missing" | "union_tag_not_found":
            return "this key is required"
        case "union_tag_invalid":
            return f"there is no type {_quoted(error['ctx']['tag'])}"
        case "extra_forbidden":
            return f"there is no key {_quoted(keys[-1])} here" if keys else "nothing is expected here"
        case _:
            text, value = _message(error), find(document, keys)
            if isinstance(value, str | int | float) and str(value)[:_MOST_SHOWN] not in text:
                text += f", received {_quoted(value)}"
            return text


def _quoted(value: Any) -> str:
    """Write a value of the caller's as JSON, cut where it is long."""
    return json.dumps(shorten(value, _MOST_SHOWN) if isinstance(value, str) else value)[: _MOST_SHOWN + 10]


def _hint(error: Mapping[str, Any], location: Sequence[str | int], kind: Any) -> str | None:
    context = error.get("ctx", {})
    hint: str | None
    match error["type"]:
        case "missing" if not location:
            hint = "send a JSON document"
        case "missing" if isinstance(location[-1], int):
            hint = "write one more value"
        case "missing":
            hint = f"add {json.dumps(location[-1])}"
        case "extra_forbidden":
            hint = _stranger(location, kind)
        case "union_tag_invalid":
            names = _listed(context["expected_tags"])
            hint = _near(str(context["tag"]), names) or f"the types here are {', '.join(names)}"
        case "union_tag_not_found":
            hint = "add " + json.dumps(context["discriminator"].strip("'"))
        case "literal_error" | "enum":
            values = ", ".join(_listed(context["expected"])) or context["expected"]
            hint = _meant(error) or f"the values here are {values}"
        case "model_attributes_type" if isinstance(error["input"], str) and _types(kind, location):
            names = _types(kind, location)
            near = _similar(error["input"], names)
            hint = f'write {{"type": {json.dumps(near)}}}' if near else _HINTS[error["type"]]
        case other:
            template = _HINTS.get(other)
            hint = template.format(**context) if template else None
    return hint


def _stranger(location: Sequence[str | int], kind: Any) -> str:
    """Return what to do with a key that is none here: one that belongs a level deeper is said to."""
    names = [] if kind is None or not location else known_keys(kind, location[:-1])
    if not names:
        return "leave it out, or correct its name"
    key = str(location[-1])
    inside = [name for name in names if key in known_keys(kind, (*location[:-1], name))]
    if len(inside) == 1:
        return f"write it inside of {json.dumps(inside[0])}"
    return _near(key, names) or f"the keys here are {', '.join(names)}"


def _meant(error: Mapping[str, Any]) -> str | None:
    """Return the word that was probably meant where only some are taken."""
    if error["type"] not in ("literal_error", "enum"):
        return None
    return _near(str(error["input"]), _listed(error["ctx"]["expected"]))


def _listed(words: str) -> list[str]:
    """Return the words that pydantic lists in quotes."""
    return re.findall("'([^']*)'", words)


def _near(name: str, names: Sequence[str]) -> str | None:
    near = _similar(name, names)
    return None if near is None else f"did you mean {json.dumps(near)}?"


def _similar(name: str, names: Sequence[str]) -> str | None:
    """Return the name that is most like one that was written, in capitals or not."""
    spelt = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name[:_MOST_SHOWN].lower(), spelt, 1)
    return spelt[near[0]] if near else None


def known_keys(kind: Any, location: Sequence[str | int]) -> list[str]:
    """List the keys of the object at a location of pydantic's inside a type, none if that is no object."""
    return sorted(
        {
            field.alias or name
            for model, _ in _at(kind, location)
            if _is_model(model)
            for name, field in model.model_fields.items()
        }
    )


def _types(kind: Any, location: Sequence[str | int]) -> list[str]:
    """List what the object at a location can say as its `type`."""
    return [] if kind is None else [tag for _, tag in _at(kind, location) if tag]


def _at(kind: Any, location: Sequence[str | int]) -> list[tuple[Any, str | None]]:
    candidates = list(_members(kind))
    for key in location:
        candidates = [inner for outer in candidates for inner in _step(outer, key)]
    return candidates


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _members(kind: Any, tag: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """Take a union apart into its members without annotations, each with its tag if it has one."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *notes = get_args(kind)
        choice = next((note for note in notes if isinstance(note, OneOf)), None)
        if choice is None:
            yield from _members(inner, next((note.tag for note in notes if isinstance(note, Tag)), tag))
        else:
            yield from ((member, name) for name, member in choice.kinds.items())
    elif origin in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _members(part)
    elif _is_model(kind) and kind.__pydantic_root_model__:
        yield from _members(kind.model_fields["root"].annotation)
    else:
        own = kind.model_fields.get("type") if _is_model(kind) else None
        yield kind, tag or (str(own.default) if own else None)


def _field(kind: type[BaseModel], key: str) -> FieldInfo | None:
    """Return the field that a caller knows as `key`."""
    return next((field for name, field in kind.model_fields.items() if (field.alias or name) == key), None)


def _step(candidate: tuple[Any, str | None], key: str | int) -> Iterator[tuple[Any, str | None]]:
    """Yield what can stand at a key of a type; a name that is no key is a union's word for a member."""
    kind, tag = candidate
    if isinstance(key, int):
        for part in get_args(kind):
            yield from _members(part)
    elif _is_model(kind) and (field := _field(kind, key)) is not None:
        yield from _members(Annotated[field.annotation, None, *field.metadata])
    elif tag is None or key == tag:
        yield candidate
