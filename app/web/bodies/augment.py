"""The body of a request to augment one picture, as the OpenAPI document shows it."""

from __future__ import annotations

from typing import Any

from app.api.requests.augment import AugmentListRequest, AugmentRequest
from app.api.requests.dataset_pictures import EXAMPLE_PICTURE
from app.operations.examples import PICTURE
from app.web.bodies.operations import operation_body

_EXAMPLES = {
    "a 3, turned and moved": {
        "image": EXAMPLE_PICTURE,
        "augmentation": [{"type": "rotation", "degrees": 20}, {"type": "translation", "share": 0.2}],
        "count": 3,
    },
    "numbers, mirrored": {"input": PICTURE, "augmentation": {"type": "horizontal_flip", "probability": 1.0}},
}


def augment_body() -> dict[str, Any]:
    """Describe what `augment` takes; the augmentations are among the components, for training jobs take them too."""
    one, several = (
        kind.model_json_schema(ref_template="#/components/schemas/{model}")
        for kind in (AugmentRequest, AugmentListRequest)
    )
    del one["$defs"]
    choices = [schema["properties"]["augmentation"] for schema in (one, several)]
    one["properties"]["augmentation"] = {
        "anyOf": [{key: value for key, value in each.items() if key != "description"} for each in choices],
        "description": "An augmentation, or several in the order in which they are applied.",
    }
    return operation_body(one, _EXAMPLES)
