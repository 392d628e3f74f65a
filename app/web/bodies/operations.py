"""The bodies of operations, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from app.api.requests.operations import ConvolveRequest
from app.operations.examples import CONVOLVE
from app.web.bodies.schemas import inlined_schema


def convolve_body() -> dict[str, Any]:
    """Describe what `convolve` takes."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(ConvolveRequest),
                "examples": {name: {"value": body} for name, body in CONVOLVE.items()},
            }
        },
    }
