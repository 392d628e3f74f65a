"""Records of a registry that are written as query parameters: which one, and its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.errors import FieldError, Invalid
from engine.spec import descriptions


def from_query(
    kinds: Mapping[str, type[BaseModel]], name: str, description: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a dependency of FastAPI that takes a record of one of several kinds out of the query.

    The parameter `name` says of which kind it is. The options of all kinds are parameters too, with the type that they
    have there; an option that several kinds have is of one type.

    Args:
        kinds: the classes by their `type`.
        name: of the parameter that names the kind.
        description: of that parameter.
    """

    async def chosen(**given: Any) -> BaseModel:
        kind = kinds[given.pop(name)]
        options = {key: value for key, value in given.items() if value is not None}
        surplus = [key for key in options if key not in kind.model_fields]
        if surplus:
            own = ", ".join(key for key in kind.model_fields if key != "type")
            detail = f"{kind.model_fields['type'].default} has no such option"
            hint = f"its options are {own}" if own else "it has no options"
            raise Invalid.listing([FieldError.at(key, detail, hint, parameter=True) for key in surplus])
        return kind(**options)

    signature = [_parameter(name, _one_of(tuple(kinds)), _named(kinds, description), ...)]
    signature += [
        _parameter(
            option, Annotated[field.annotation, None, *field.metadata] | None, Query(description=text), None
        )
        for option, (field, text) in _options(kinds).items()
    ]
    chosen.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    return chosen


def _named(kinds: Mapping[str, type[BaseModel]], description: str) -> Any:
    return Query(description=description, openapi_examples={kind: {"value": kind} for kind in kinds})


def _one_of(names: tuple[str, ...]) -> Any:
    return Literal[names]


def _parameter(name: str, kind: Any, query: Any, default: Any) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, keyword, default=default, annotation=Annotated[kind, query])


def _options(kinds: Mapping[str, type[BaseModel]]) -> dict[str, tuple[FieldInfo, str]]:
    """Return each option of any kind with its field and what the kinds say about it."""
    found: dict[str, tuple[FieldInfo, str]] = {}
    for tag, kind in kinds.items():
        texts = descriptions(kind)
        for option, field in kind.model_fields.items():
            if option == "type":
                continue
            default = "" if field.default is None else f" By default {field.default}."
            said = f"Of `{tag}`: {' '.join(texts[option].split())}{default}"
            first, before = found.get(option, (field, ""))
            found[option] = first, f"{before} {said}".strip()
    return found
