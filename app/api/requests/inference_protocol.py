"""What clients of the Open Inference Protocol (V2) post under `/v2`.

Keys that are not named here are no fault, unlike under `/v1`: each client of the protocol sends some of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")

Taken = Literal["FP32", "FP16", "FP64", "UINT8", "BYTES"]
Refused = Literal["BOOL", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "BF16"]
"""The other datatypes of the protocol, that an error may name them."""


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)


def _object(value: Any) -> Any:
    return {} if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None else value


OrNull = Annotated[T, BeforeValidator(_object)]
"""An object that some clients write as null where they have nothing to say."""


class InputParameters(_Sent):
    """What a client says about an input."""

    binary_data_size: Annotated[int | None, Field(ge=0)] = None
    """The tensor's bytes, which then lie behind the JSON and not in `data`."""


class InferenceInput(_Sent):
    """One input tensor."""

    name: str
    datatype: Taken | Refused
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=4)]
    data: list[Any] | None = None
    """Row after row, flat or nested."""
    parameters: OrNull[InputParameters] = InputParameters()


class OutputParameters(_Sent):
    """What a client says about an output."""

    binary_data: bool | None = None
    """Whether its tensor is to lie behind the JSON of the answer."""
    classification: Annotated[int | None, Field(ge=0)] = None
    """How many of the largest numbers to name in place of all numbers; 0 is none, as clients write it."""


class RequestedOutput(_Sent):
    """One output tensor that is asked for."""

    name: str
    parameters: OrNull[OutputParameters] = OutputParameters()


class RequestParameters(_Sent):
    """What a client says about a whole request."""

    binary_data_output: bool = False
    """Whether outputs lie behind the JSON of the answer unless they say otherwise themselves."""


class InferenceRequest(_Sent):
    """The JSON of `POST /v2/models/{name}/infer`."""

    id: str | None = None
    """Comes back in the answer."""
    parameters: OrNull[RequestParameters] = RequestParameters()
    inputs: Annotated[list[InferenceInput], Field(min_length=1, max_length=16)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=256), BeforeValidator(_list)] = []


class IndexRequest(_Sent):
    """The JSON of `POST /v2/repository/index`."""

    ready: bool = False
    """Whether only models that can be asked are wanted; all of ours can."""


class LoadRequest(_Sent):
    """The JSON of `POST /v2/repository/models/{name}/load` and `/unload`."""

    parameters: OrNull[dict[str, Any]] = {}
