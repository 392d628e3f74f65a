"""Fields that hold one of several records, told apart by what they say is their `type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, SchemaValidator, core_schema


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

    def validate(self, value: Any) -> Any:
        """Return the record that a value describes; an instance stays what it is.

        Raises:
            ValidationError, PydanticKnownError: as pydantic's own unions do.
        """
        if isinstance(value, BaseModel) and type(value) in self.kinds.values():
            return value
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
        return validator.validate_python(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by `validate`; a value is written as what it is."""
        return core_schema.no_info_plain_validator_function(self.validate)

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
