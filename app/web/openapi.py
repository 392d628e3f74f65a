"""What routes say of themselves in the OpenAPI document; `app.web.openapi_document` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DESCRIPTION = """\
Define, train and serve small convolutional neural networks, on a CPU.

Every request on this page succeeds as it stands when you press **Execute** on a fresh server: it holds
the data set `digits`, the architecture `arch_example`, the finished training job `job_example` and its
model `model_example`. Only what deletes or cancels needs an id of your own, and so do the findings of an
evaluation or a batch prediction, and what one request added to a data set: start one to get it. Keys are for
servers that have one.

The way of the work: choose a preset or describe an architecture, look at its shapes, start a training
job on a data set, follow it, and send pictures to the model that it made.

Errors are `application/problem+json` (RFC 9457); `errors` names each bad field by a JSON pointer and
says what would fix it. Lists are newest first; to go on, pass `next` as `after`. Shapes are
`[height, width, channels]`.
"""

TAGS = [
    {"name": "catalog", "description": "What there is to build and train with."},
    {"name": "architectures", "description": "Descriptions of networks, and their shapes and costs."},
    {"name": "operations", "description": "Single layers and blocks, applied to your numbers."},
    {"name": "datasets", "description": "Labelled pictures."},
    {"name": "training-jobs", "description": "Training, in a process of its own; it survives restarts."},
    {"name": "training-steps", "description": "One step of training, taken apart."},
    {"name": "models", "description": "Trained networks, and what they see in your pictures."},
    {"name": "batch-predictions", "description": "What a model sees in each picture of an archive."},
    {"name": "evaluations", "description": "How good a model is on a data set, and what to try next."},
    {"name": "events", "description": "What happens to jobs, as it happens."},
    {"name": "keys", "description": "Who may call, and what each may do."},
    {"name": "system", "description": "The server itself."},
]

PROBLEM_TYPE = "application/problem+json"

DESCRIPTIONS: Mapping[int, str] = {
    400: "The request cannot be read: malformed JSON or multipart.",
    401: "The API key is missing or wrong.",
    403: "The key does not allow this call, or the request comes from a page of another site.",
    404: "There is no such thing.",
    409: "Its present state does not allow this.",
    413: "More bytes, pixels or pictures than this server takes.",
    415: "A media type that this call does not take.",
    422: "Well-formed, but wrong; `errors` names the fields.",
    429: "As many requests with this key are being answered as there may be.",
    500: "Something went wrong in the server.",
    501: "It needs a library that this installation was made without.",
    503: "Not now.",
    507: "The disk is full, or the data directory holds as much as it may.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors that a route can answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in statuses
    }


def operation_responses() -> dict[int | str, dict[str, Any]]:
    """Document the answers of an operation: numbers, arrays as a file, a picture or a figure."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {
        "application/json": {"schema": {"$ref": "#/components/schemas/OperationAnswer"}},
        "application/x-npz": binary,
        "image/png": binary,
        "image/svg+xml": binary,
    }
    return {
        200: {"description": "What comes out.", "content": content},
        **problems(400, 404, 413, 415, 422, 503),
    }


def success(description: str, model: Any, *files: str) -> dict[int | str, dict[str, Any]]:
    """Document an answer that is JSON of a type or, by the header Accept, a file of one of these media types."""
    content: dict[str, Any] = {"application/json": {}}
    content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in files}
    return {200: {"description": description, "model": model, "content": content}}
