"""The commands about API keys: `convserve keys ...`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.cli.options import LOCAL, ApiKey, Json, Url, connect
from app.cli.output import everything, listing, say
from app.scopes import READ

keys = typer.Typer(name="keys", help="API keys: add, list, revoke.", no_args_is_help=True)


KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="The id or the name of a key.", show_default=False)
]


@keys.command("add")
def add_key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the log will call it.", show_default=False)
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="read (the default), predict, write or admin; can be given several times."
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, max=36500, help="Days after which it expires; by default never.")
    ] = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Make a key and print it: it is shown this once.

    read looks at everything; predict asks models about pictures, and nothing else; write makes, changes and deletes,
    and includes both; admin makes and revokes keys, and includes all.
    """
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with connect(url, api_key) as client:
        made = client.keys.create(name, scope or [READ], expires_at=expires_at)
    if json:
        everything(made, as_json=True)
    else:
        # alone where a program reads it
        say(made.key)
        until = "" if made.expires_at is None else f", until {_time(made.expires_at)}"
        say(f"key {made.name} ({', '.join(made.scopes)}){until}; it is not shown again", error=True)


@keys.command("list")
def list_keys(json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """List the keys, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.keys.list(),
            {
                "id": lambda entry: entry.id,
                "name": lambda entry: entry.name,
                "scopes": lambda entry: ", ".join(entry.scopes),
                "expires": lambda entry: _time(entry.expires_at),
                "last used": lambda entry: _time(entry.last_used_at),
            },
            as_json=json,
            texts=("name",),
        )


@keys.command("revoke")
def revoke_key(key: KeyArgument, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Revoke a key: it is refused from now on."""
    with connect(url, api_key) as client:
        client.keys.revoke(key)
    say(f"key {key} is revoked")


def _time(time: datetime | None) -> str:
    return "never" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
