"""A field with one of several records behaves as pydantic's own union of them, which is what it stands in for."""

from __future__ import annotations

import json
from typing import Annotated, Any, Union

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from engine.augmentations import AUGMENTATIONS, AnyAugmentation
from engine.choices import OneOf
from engine.layers import LAYERS, AnyLayer
from engine.recipe.losses import LOSSES, AnyLoss
from engine.recipe.optimizers import OPTIMIZERS, AnyOptimizer
from engine.recipe.schedules import SCHEDULES, AnySchedule

CHOICES: dict[str, tuple[Any, tuple[type[Any], ...]]] = {
    "layer": (AnyLayer, LAYERS),
    "augmentation": (AnyAugmentation, AUGMENTATIONS),
    "loss": (AnyLoss, LOSSES),
    "optimizer": (AnyOptimizer, OPTIMIZERS),
    "schedule": (AnySchedule, SCHEDULES),
}


def outcome(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Return what a value becomes and how it is written, or the errors."""
    try:
        record = adapter.validate_python([value])
    except ValidationError as error:
        return error.errors(include_url=False)
    return record, adapter.dump_python(record, mode="json"), adapter.dump_json(record)


@pytest.fixture(params=CHOICES)
def pair(request: pytest.FixtureRequest) -> tuple[TypeAdapter[Any], TypeAdapter[Any], tuple[type[Any], ...]]:
    """Our choice, pydantic's, and their members."""
    ours, kinds = CHOICES[request.param]
    union = Annotated[Union[kinds], Field(discriminator="type")]  # noqa: UP007
    return TypeAdapter(list[ours]), TypeAdapter(list[union]), kinds


def test_every_example_is_read_and_written_alike(
    pair: tuple[TypeAdapter[Any], TypeAdapter[Any], tuple[type[Any], ...]],
) -> None:
    ours, union, kinds = pair
    for kind in kinds:
        for example in kind.examples:
            value = getattr(example, "layer", example)
            assert type(outcome(ours, value)[0][0]) is kind
            assert outcome(ours, value) == outcome(union, value)


def test_every_fault_is_found_alike(
    pair: tuple[TypeAdapter[Any], TypeAdapter[Any], tuple[type[Any], ...]],
) -> None:
    ours, union, kinds = pair
    tags = [kind.model_fields["type"].default for kind in kinds]
    values = [None, 3, "word", [], {}, {"type": None}, {"type": 3}, {"type": ["a"]}, {"type": "none such"}]
    for value in [*values, *({"type": tag, "no_key": 1} for tag in tags)]:
        found = outcome(ours, value)
        assert isinstance(found, list), value
        assert found == outcome(union, value)


def test_an_instance_stays_what_it_is(
    pair: tuple[TypeAdapter[Any], TypeAdapter[Any], tuple[type[Any], ...]],
) -> None:
    ours, _, kinds = pair
    example = kinds[0].examples[0]
    record = kinds[0].model_validate(getattr(example, "layer", example))
    assert ours.validate_python([record])[0] is record


def test_a_kind_of_another_choice_is_refused() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyLoss).validate_python(OPTIMIZERS[-1]())


def test_faults_inside_of_blocks_say_where_they_are() -> None:
    block = {"type": "residual", "layers": [{"type": "conv2d", "filters": 0}]}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(AnyLayer).validate_python(block)
    assert ("residual", "layers", 0, "conv2d", "filters") in [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize("name", ["augmentation", "loss", "optimizer", "schedule"])
def test_the_json_schema_is_that_of_the_union(name: str) -> None:
    ours, kinds = CHOICES[name]
    union = Annotated[Union[kinds], Field(discriminator="type")]  # noqa: UP007
    assert json.dumps(TypeAdapter(ours).json_schema()) == json.dumps(TypeAdapter(union).json_schema())


def test_a_kind_is_made_when_the_first_value_of_it_comes() -> None:
    class Record(BaseModel, defer_build=True):
        type: str

    class One(Record):
        type: str = "one"

    class Other(Record):
        type: str = "other"

    adapter = TypeAdapter(Annotated[Record, OneOf((One, Other))])
    adapter.validate_python({"type": "one"})
    assert One.__pydantic_complete__
    assert not Other.__pydantic_complete__
