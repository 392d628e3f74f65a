"""The commands that move an installation: its rows to another database, its files to another place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.care import explained, room_on, size
from app.cli.options import CommandError, Json
from app.cli.output import say, table
from app.cli.progress import display

if TYPE_CHECKING:
    from app.settings import Settings

_DATABASE = ("postgresql://", "postgresql+psycopg://")
_BUCKET = "s3://"


def migrate_store(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="Where the rows are: a data directory, postgresql+psycopg://user@host/database, or @FILE with such "
            "an address in it, since it may hold a password.",
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Where they are to be, the same way; nothing is there yet.")
    ],
    as_json: Json = False,
) -> None:
    """Move all rows of an installation from its data directory to PostgreSQL, or back.

    The server has to be stopped. Every row is read again and compared; all of them are there afterwards, or none.
    Where they came from they stay. Files are moved by migrate-artifacts.
    """
    with explained():
        from app.care.migrate_store import migrate_store

        before, after = rows_at("FROM", source), rows_at("TO", target)
        with room_on(before.data_dir, after.data_dir), _shown("rows", as_json=as_json) as show:
            done = migrate_store(before, after, lambda name, rows: show(f"{name}: {rows} rows", None))
    if as_json:
        say(json.dumps([asdict(entry) for entry in done], indent=2))
        return
    rows = [[entry.table, str(entry.rows), entry.sha256] for entry in done]
    table(["table", "rows", "sha256"], rows, numbers=["rows"])
    say(f"{sum(entry.rows for entry in done)} rows of {len(done)} tables, the same on both sides")


def migrate_artifacts(
    source: Annotated[
        str,
        typer.Argument(metavar="FROM", help="Where the files are: a data directory, or s3://bucket/prefix."),
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Where they are to be, the same way; nothing else is there.")
    ],
    as_json: Json = False,
) -> None:
    """Carry all files of an installation from its data directory to an object store, or back.

    What is there already is passed over by its size and checksum, so that one that was cut off is begun anew. Where
    they came from they stay. The object store is reached as CONVSERVE_ARTIFACTS_... say, and the rows that name the
    files are in the data directory, or where CONVSERVE_DATABASE_URL says. The status is 1 where something is missing:
    a file was damaged, or a server was at work and may have written more.
    """
    with explained():
        from app.care.migrate_artifacts import migrate_artifacts

        before, after = files_at(source, target)

        with room_on(before.data_dir), _shown("files", as_json=as_json) as show:

            def seen(files: int, of: int, read: int, of_bytes: int) -> None:
                text = f"{files} of {of} files, {size(read)} of {size(of_bytes)}"
                show(text, read / of_bytes if of_bytes else None)

            done = migrate_artifacts(before, after, seen)
    if as_json:
        faults = [fault.model_dump() for fault in done.damaged]
        say(json.dumps(asdict(done) | {"ok": done.ok, "damaged": faults}, indent=2))
    else:
        for fault in done.damaged:
            say(f"Not carried: {fault}", error=True)
        if done.left:
            say(f"{len(done.left)} files belong to no row and stayed: `convserve check` names them")
        say(f"{done.files} files, {size(done.bytes)}, are in {target}; {done.passed_over} were there already")
        if done.in_use is not None:
            say(f"There may be more by now: {done.in_use}. Run this again once it is stopped", error=True)
    if not done.ok:
        raise typer.Exit(1)


@contextmanager
def _shown(name: str, *, as_json: bool) -> Iterator[Callable[[str, float | None], None]]:
    """Give what shows progress; nothing is shown where all that is printed is to be JSON."""
    if as_json:
        yield lambda text, fraction: None
        return
    with display(name) as shown:
        yield shown.update


def rows_at(name: str, text: str) -> Settings:
    """Return settings whose database is where an argument says."""
    from app.settings import change_settings, load_settings

    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"{name}: {text[1:]} cannot be read: {error}") from error
    settings = load_settings()
    if text.startswith(_DATABASE):
        return change_settings(settings, name, database_url=text, database_url_file=None)
    if "://" in text:
        raise CommandError(
            f"{name}: this is neither a directory nor the address of a PostgreSQL database",
            "begin an address with postgresql+psycopg://",
        )
    return change_settings(settings, name, data_dir=Path(text), database_url=None, database_url_file=None)


def files_at(source: str, target: str) -> tuple[Settings, Settings]:
    """Return the settings of an installation with its files where the one and where the other argument says."""
    from app.settings import change_settings, load_settings

    settings = load_settings()
    directories = [text for text in (source, target) if not text.startswith(_BUCKET)]
    if len(directories) != 1:
        raise CommandError(
            "files are carried from a data directory to an object store, or back",
            "name a directory, and an address that begins with s3://",
        )
    settings = change_settings(settings, "FROM or TO", data_dir=Path(directories[0]))
    before, after = (
        change_settings(settings, name, artifacts_url=text if text.startswith(_BUCKET) else None)
        for name, text in (("FROM", source), ("TO", target))
    )
    return before, after
