"""The options that every command of the client has."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[
    str, typer.Option("--url", envvar="CONVSERVE_URL", help="Where the service is.", show_envvar=True)
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key", envvar="CONVSERVE_API_KEY", help="Its key, when it wants one.", show_envvar=True
    ),
]

LOCAL = "http://127.0.0.1:8000"
