"""Fields that hold one of several records, told apart by what they say is their `type`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, SchemaValidator, core_schema

NOT_LOOKED_AT = "not_looked_at"
"""The type of the error of a record that comes after so many faulty ones that nobody looks at it."""


@dataclass
class Patience:
    """How many faults are still looked for; given to a validation as its context, which counts down."""

    faults: int


def without_strangers(value: dict[str, Any], kind: type[BaseModel], most: int) -> dict[str, Any]:
    """Return an object with its keys that a class has, and so many of those that it does not have."""
    known = kind.model_fields
    if len(value) <= len(known) + most:
        return value
    strangers = 0
    kept = {}
    for key, member in value.items():
        strangers += key not in known
        if key in known or strangers <= most:
            kept[key] = member
    return kept


class OneOf:
    """Stands beside a base class in `Annotated`: the value is the one of its kinds that its `type` names.

    Validation, its errors and JSON schema are those of a union with a discriminator. Such a union however makes the
    schemas of all its members wherever it stands, so that a convolution holds every activation and initializer and a
    block every layer: half a second of every start. Here a kind's schema is made when the first value of it comes.

    Args:
        kinds: the classes, each with a default for `type`.
        outline: in JSON schema, show this class in place of each kind in full.
        by_name: let a kind's name stand for its record with all defaults.
    """

    def __init__(
        self,
        kinds: Iterable[type[BaseModel]] = (),
        outline: type[BaseModel] | None = None,
        *,
        by_name: bool = False,
    ) -> None:
        self.kinds: dict[str, type[BaseModel]] = {}
        """The classes by their `type`."""
        self._outline, self._by_name = outline, by_name
        self._validators: dict[str, SchemaValidator] = {}
        self.add(kinds)

    def add(self, kinds: Iterable[type[BaseModel]]) -> None:
        """Add kinds that are made after the first use in an annotation: a block of layers is itself a layer."""
        self.kinds |= {kind.model_fields["type"].default: kind for kind in kinds}

    def validate(self, value: Any, info: ValidationInfo) -> Any:
        """Return the record that a value describes; an instance stays what it is.

        With `Patience` as the context, what comes after the last fault that is looked for is refused unseen.

        Raises:
            ValidationError, PydanticKnownError: as pydantic's own unions do.
        """
        if isinstance(value, BaseModel) and type(value) in self.kinds.values():
            return value
        patience = info.context if isinstance(info.context, Patience) else None
        if patience is None:
            return self._validate(value, None)
        if patience.faults <= 0:
            raise PydanticCustomError(NOT_LOOKED_AT, "not looked at")
        before = patience.faults
        try:
            return self._validate(value, patience)
        except ValidationError as error:
            # Those of records inside of it are counted already.
            patience.faults = min(patience.faults, before - error.error_count())
            raise
        except PydanticKnownError:
            patience.faults -= 1
            raise

    def _validate(self, value: Any, patience: Patience | None) -> Any:
        if self._by_name and isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict):
            raise PydanticKnownError("model_attributes_type")
        if "type" not in value:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
        tag = value["type"]
        kind = self.kinds.get(tag) if isinstance(tag, str) else None
        if kind is None:
            expected = ", ".join(map(repr, self.kinds))
            context = {"discriminator": "'type'", "tag": str(tag), "expected_tags": expected}
            raise PydanticKnownError("union_tag_invalid", context)
        validator = self._validators.get(tag)
        if validator is None:
            # a union of one: its errors say which member they are about
            schema = core_schema.tagged_union_schema({tag: schema_of(kind)}, "type")
            validator = self._validators[tag] = SchemaValidator(schema)
        if patience is not None:
            value = without_strangers(value, kind, patience.faults)
        return validator.validate_python(value, context=patience)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by `validate`; a value is written as what it is."""
        return core_schema.with_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the union of all kinds, or their outline."""
        if self._outline is not None:
            # wrapped, so that the outline is described once and referred to
            return handler(core_schema.definitions_schema(schema_of(self._outline), []))
        choices = {tag: schema_of(kind) for tag, kind in self.kinds.items()}
        union = handler(core_schema.tagged_union_schema(choices, "type"))
        return {"anyOf": [{"type": "string", "enum": list(choices)}, union]} if self._by_name else union


def schema_of(kind: type[BaseModel]) -> CoreSchema:
    """Return the schema of a class, made now if it was not needed before."""
    kind.model_rebuild(_parent_namespace_depth=0)
    return kind.__pydantic_core_schema__
