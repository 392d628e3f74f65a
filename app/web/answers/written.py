"""Answers that may be long, written where they are computed."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel


def written(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write an answer as JSON now, in the thread of the route: what a route returns otherwise is on the event loop."""
    return Response(body.model_dump_json(), status, headers, "application/json")
