"""The text fields of forms about data sets."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from app.api.requests.dataset_pictures import AdditionForm
from app.api.requests.datasets import DatasetCreate
from app.errors import DomainError, Invalid
from app.web.bodies.json import parse
from app.web.bodies.validation import field_errors
from engine.spec import Spec

S = TypeVar("S", bound=Spec)

FORM_FIELDS = frozenset(DatasetCreate.model_fields)

_MOST_PARTS = 100
"""Places at which the value of a field is taken apart; that is more than any has, so that what remains is refused."""


def _number(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?\d{1,20}", text) else text


def _truth(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


def _size(text: str) -> Any:
    numbers = [
        _number(number.strip()) for number in re.split("[x×,]", text.strip("[]() "), maxsplit=_MOST_PARTS)
    ]
    return numbers[0] if len(numbers) == 1 else numbers


def _shares(text: str) -> Any:
    if not text.startswith("{"):
        return [share.strip() for share in text.strip("[]() ").split(",", _MOST_PARTS)]
    try:
        return parse(text.encode())
    except DomainError:
        return text


def _tags(text: str) -> Any:
    return [tag.strip() for tag in text.split(",", _MOST_PARTS)]


_HINTS = {
    "image_size": "write a number such as 28, or height and width such as 28x20",
    "split": "write three shares that add up to 1, such as 0.8,0.1,0.1",
}
_READERS = {
    "image_size": _size,
    "channels": _number,
    "resize": _number,
    "invert": _truth,
    "seed": _number,
    "split": _shares,
    "tags": _tags,
}
"""What makes the value of a text field; text that it cannot read is left for the validation to refuse."""


def read_form(fields: dict[str, str]) -> DatasetCreate:
    """Make sense of the text fields of a form.

    Raises:
        Invalid: with the name of each bad field.
    """
    document = {name: _READERS.get(name, str)(text.strip()) for name, text in fields.items() if text.strip()}
    return read_fields(DatasetCreate, document)


def read_fields(kind: type[S], document: dict[str, Any]) -> S:
    """Validate what the text fields of a form say.

    Raises:
        Invalid: with the name of each bad field.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        found = [{**fault, "loc": ("form", *fault["loc"])} for fault in error.errors(include_url=False)]
        faults = tuple(
            replace(fault, hint=_HINTS.get(fault.parameter or "", fault.hint))
            for fault in field_errors(found, None)
        )
        raise Invalid.listing(faults) from None


def read_addition_form(fields: dict[str, str]) -> AdditionForm:
    """Make sense of the text fields of a form.

    Raises:
        Invalid: with the name of each bad field.
    """
    return read_fields(AdditionForm, dict(fields))
