"""What every command of the client shares: its options, its client, and how it fails.

`convserve --help` has to be there at once. So nothing here or at the top of the other files of this folder imports the
client, or what draws progress: commands do that when they run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.client import Client

Url = Annotated[
    str, typer.Option("--url", envvar="CONVSERVE_URL", help="Where the service is.", show_envvar=True)
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="CONVSERVE_API_KEY", help="Its key, if it wants one.", show_envvar=True),
]
ByName = Annotated[str | None, typer.Option("--name", help="Only those of this name.")]
ByPart = Annotated[str | None, typer.Option("--contains", help="Only those with this in their name.")]
ByTag = Annotated[str | None, typer.Option("--tag", help="Only those with this tag.")]
ByStatus = Annotated[
    str | None, typer.Option("--status", help="Only those that are queued, running, succeeded, failed ...")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the service answers.")]

Webhook = Annotated[
    str | None, typer.Option("--webhook", help="An address that receives a POST when it has ended.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]

_KEY_FILE = "CONVSERVE_API_KEY_FILE"

LOCAL = "http://127.0.0.1:8000"


class CommandError(Exception):
    """A command cannot do what it was asked for.

    Attributes:
        detail: what is wrong, in a sentence.
        hint: what would fix it.
    """

    def __init__(self, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


def check_platform() -> None:
    """Refuse to start a service where there can be none.

    Raises:
        CommandError: this is Windows.
    """
    if os.name == "nt":
        raise CommandError(
            "the service itself runs on Linux and macOS only",
            "run it in WSL 2 or in a container; the other commands work here, with its address in --url",
        )


def connect(url: str, api_key: str | None) -> Client:
    """Return a client of a service, to be closed.

    Where no key is given, the one in the file that the server's own variable names is taken, if there is one.

    Raises:
        CommandError: that file cannot be read.
        ConvserveError: the address or the key cannot be used.
    """
    from app.client import Client

    if api_key is None and (file := os.environ.get(_KEY_FILE)):
        try:
            api_key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"{_KEY_FILE}: cannot read {file}: {error}") from error
    return Client(url, api_key=api_key)


def read_json(option: str, text: str) -> Any:
    """Read JSON, from a file where there is an @ before its name; None for what is neither an object nor a list.

    Raises:
        CommandError: the file cannot be read, or it is no JSON.
    """
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"{option}: cannot read {text[1:]}: {error}") from error
    elif not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option}: this is not JSON: {error}") from error
