"""The commands that look after an installation. They read its rows and its files, whether a server has it or not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import CommandError, Json
from app.cli.output import say, table

if TYPE_CHECKING:
    from app.care.manifest import Manifest
    from app.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="The data directory; by default that of CONVSERVE_DATA_DIR.", show_default=False
    ),
]


def backup(
    target: Annotated[
        Path,
        typer.Argument(
            help="A directory of backups, made if there is none; or a new file that ends in .tar."
        ),
    ],
    data_dir: DataDir = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="How many backups stay in the directory, this one included."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a backup of an installation, which may be in use meanwhile.

    Into a directory only what is new is written: files that an earlier backup has are kept once. The status is 1 where
    files of the installation are missing or damaged; the backup has all others.
    """
    with explained():
        from app.care.archive import SUFFIX, ArchiveWriter
        from app.care.backup import back_up
        from app.care.repository import Repository

        installation = _installation(data_dir)
        if target.resolve().is_relative_to(installation.data_dir.resolve()):
            raise CommandError(
                f"{target} lies within the data directory: what damages one damages both",
                "name another place",
            )
        if target.suffix == SUFFIX:
            if keep is not None:
                raise CommandError("--keep is for directories of backups", "leave it out")
            writer: Any = ArchiveWriter(target)
        else:
            writer = Repository.make(target)
        try:
            with room_on(installation.data_dir, target):
                done = back_up(installation, writer)
            damaged = done.manifest.damaged
            # Files that are damaged now may be whole in an older one.
            gone = writer.keep(keep) if keep is not None and not damaged else []
        finally:
            writer.close()
    if as_json:
        about = _about(done.name, done.manifest) | {"added": writer.added, "added_bytes": writer.added_bytes}
        say(json.dumps(about | {"removed": gone}, indent=2))
    else:
        say(
            f"Backup {done.name} in {target}: {len(done.manifest.files)} files and the database, "
            f"{size(done.manifest.size)}; written {size(writer.added_bytes)}"
        )
        for name in gone:
            say(f"Removed backup {name}")
        for fault in damaged:
            say(f"In the installation: {fault}", error=True)
        if damaged and keep is not None:
            say("No older backup was removed: it may have what is damaged now", error=True)
    if damaged:
        raise typer.Exit(1)


def restore(
    source: Annotated[Path, typer.Argument(help="A directory of backups, or a backup in one file.")],
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option("--backup", help="Which one; by default the newest.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the backups, and do nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check all of it, and write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Move what is in the data directory to a new one beside it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a data directory from a backup.

    It gets its name once all of it is there and was checked. Jobs that were running when the backup was made go on
    from their last checkpoint once a server starts.
    """
    with explained():
        from app.care.installation import is_local, place_of
        from app.care.restore import choose, open_source, restore, verify
        from app.care.restore_shared import restore_shared

        backups = open_source(source)
        if listed:
            _list([(found, backups.manifest(found)) for found in backups.names()], as_json=as_json)
            return
        name = choose(backups, name)
        manifest = backups.manifest(name)
        about: dict[str, Any] = _about(name, manifest)
        said = f"Backup {name}: {len(manifest.files)} files and the database, {size(manifest.size)}"
        if dry_run:
            verify(backups, manifest)
            said += ", all as they were written"
        else:
            place = _installation(data_dir)
            if force and not is_local(place):
                raise CommandError(
                    "--force moves a data directory out of the way, and there is more to this installation",
                    "name an empty database, and a bucket or prefix where nothing is",
                )
            with room_on(place.data_dir):
                if is_local(place):
                    done = restore(backups, manifest, place.data_dir, force=force)
                else:
                    done = restore_shared(backups, manifest, place)
            said += f", restored to {place_of(place)}"
            about |= {"requeued": done.requeued, "moved_to": done.moved and str(done.moved)}
            if done.requeued:
                said += f"\nThese jobs go on when a server starts: {', '.join(done.requeued)}"
            if done.moved:
                said += f"\nWhat was there before is in {done.moved}"
    if manifest.damaged:
        said += "\nDamaged already when the backup was made:"
        said += "".join(f"\n  {fault}" for fault in manifest.damaged)
    say(json.dumps(about, indent=2) if as_json else said)


def check(
    data_dir: DataDir = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes, and read no file.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what nobody needs, and put back what can be.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="A backup that --repair takes lost files from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look whether an installation is whole: its database, the file of each row, and nothing else.

    It may be in use meanwhile. Without --repair nothing is changed, but that checksums of files are recorded that have
    none yet. The status is 1 where something is wrong that was not repaired.
    """
    if source is not None and not repair:
        raise CommandError(
            "--from says where --repair takes lost files from", "add --repair, or leave it out"
        )
    with explained():
        from app.care.check import check
        from app.care.restore import open_source

        backups = None if source is None else open_source(source)
        report = check(_installation(data_dir), quick=quick, repair=repair, backups=backups)
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        about = {"ok": report.ok, "in_use": report.in_use, "files": report.files, "bytes": report.bytes}
        say(json.dumps(about | {"recorded": report.recorded, "findings": findings}, indent=2))
    else:
        for finding in report.findings:
            done = finding.repaired or finding.advice or "--repair removes it"
            say(f"{finding.kind}: {finding.name} {finding.fault} ({done})")
        read = "sizes compared" if quick else f"{size(report.bytes)} read"
        wrong = sum(finding.repaired is None for finding in report.findings)
        say(f"{report.files} files looked at, {read}; {'all is well' if report.ok else f'{wrong} faults'}")
    if not report.ok:
        raise typer.Exit(1)


def upgrade(
    data_dir: DataDir = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try it on a copy of the database; the server may be running.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database of an installation to this version, and keep a copy of it as it was.

    A server does the same when it starts, without that copy. The server has to be stopped; with --dry-run it need not.
    """
    with explained():
        from app.care.upgrade import try_upgrade, upgrade

        done = (try_upgrade if dry_run else upgrade)(_installation(data_dir))
    if as_json:
        steps = [{"version": version, "about": about} for version, about in done.steps]
        kept = done.kept and str(done.kept)
        say(json.dumps(asdict(done) | {"steps": steps, "kept": kept, "dry_run": dry_run}, indent=2))
        return
    for version, about in done.steps:
        say(f"{version}  {about}")
    if not done.steps:
        say(f"The tables are of version {done.tables}, that of this program: there is nothing to do")
    elif dry_run:
        say(
            f"From version {done.tables} to {done.newest}, tried on a copy in {done.seconds:.1f} s: all is well. "
            f"{size(done.needed_bytes)} have to be free on the disk of the database"
            + ("" if done.free_bytes is None else f", {size(done.free_bytes)} are")
        )
    else:
        say(f"From version {done.tables} to {done.newest}. The database as it was is {done.kept}")


@contextmanager
def explained() -> Iterator[None]:
    """Say why something cannot be done, as other commands do."""
    if os.name == "nt":
        raise CommandError("this looks after a service, which runs on Linux and macOS only", "run it there")
    from app.errors import DomainError
    from app.settings import SettingsError

    try:
        yield
    except DomainError as error:
        raise CommandError(error.detail) from error
    except SettingsError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise CommandError(f"{error.strerror or error}{where}") from error


@contextmanager
def room_on(*places: Path) -> Iterator[None]:
    """Say which disk it is, of those that are written to, that has no room left; the system does not."""
    from app.errors import DiskFull
    from app.files.faults import storage_fault
    from app.files.volume import free_bytes

    try:
        yield
    except OSError as error:
        if not isinstance(storage_fault(error), DiskFull):
            raise
        there = [
            next(path for path in (place, *place.absolute().parents) if path.exists()) for place in places
        ]
        free, disk = min((free_bytes(path), path) for path in there)
        raise CommandError(
            f"the disk of {disk} is full: {free} bytes are free on it; nothing that was there is lost",
            "make room there, or name a place on another disk",
        ) from error


def _installation(data_dir: Path | None) -> Settings:
    from app.settings import load_settings

    return load_settings({"data_dir": "--data-dir"}, data_dir=data_dir)


def _about(name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "backup": name,
        "created_at": manifest.created_at.isoformat(),
        "version": manifest.version,
        "tables": manifest.tables,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "damaged": [fault.model_dump() for fault in manifest.damaged],
    }


def _list(found: list[tuple[str, Manifest]], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps([_about(name, manifest) for name, manifest in found], indent=2))
        return
    rows = [
        [name, manifest.version, str(len(manifest.files)), size(manifest.size), str(len(manifest.damaged))]
        for name, manifest in found
    ]
    table(["backup", "version", "files", "size", "damaged"], rows, numbers=["files", "size", "damaged"])


def size(number: int) -> str:
    """Write bytes for people: `1.5 MB`."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if number >= 1000**power:
            return f"{number / 1000**power:.1f} {unit}"
    return f"{number} bytes"
