"""Bodies of the calls about the server itself."""

from __future__ import annotations

from typing import Literal

from app.api.common import Body


class Health(Body):
    """Nothing is wrong."""

    status: Literal["ok"]
