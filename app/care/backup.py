"""Backups of a living installation: the rows of one moment, and every file that they name.

The server knows nothing of it. The database is copied as it is at one moment (SQLite's backup API, a transaction of
PostgreSQL). Then every file that its rows name gets a second name within the data directory, a hard link, so that what
is deleted meanwhile is still there to be copied. Only the links have to be made soon after the moment. Files that went
before that make another moment necessary; links that were made stay, so that the next attempt takes milliseconds.

An object store has no second names. Its files are fetched, and written to the backup one after another; each further
moment needs only what is new since the one before.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app import version
from app.care.errors import CareError
from app.care.holdings import Held, Holdings, Listing, holdings
from app.care.installation import Moment, check_there, check_version, open_moment
from app.care.keeping import Keeper
from app.care.manifest import Entry, Fault, Manifest
from app.care.places import Target
from app.care.recording import record_checksums
from app.files import paths
from app.files.artifacts import Written
from app.files.bucket.opening import open_artifacts
from app.files.scratch import scratch
from app.jobs.uploads import uploads_of
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.records import Json, now

_MOMENTS = 100
"""Moments that are tried at most; each is over before a job writes its next checkpoint but by chance."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was written.

    Attributes:
        name: by which it is restored.
        manifest: what it consists of.
    """

    name: str
    manifest: Manifest


def back_up(settings: Settings, target: Target) -> BackedUp:
    """Write a backup of an installation, whether a server has it or not.

    Raises:
        CareError: the installation is of a later version, or what was written is not what is read again.
        Unavailable: there is no database, or it cannot be read.
        OSError: there is no room, or no right to read or to write.
    """
    check_there(settings)
    with scratch(settings.data_dir) as room:
        run = _Backup(settings, target, room)
        run.choose_moment()
        return run.write()


class _Backup:
    """A backup that is being written."""

    def __init__(self, settings: Settings, target: Target, room: Path) -> None:
        self._settings, self._target = settings, target
        self._artifacts = open_artifacts(settings)
        self._keeper = Keeper(self._artifacts, room)
        self._links: dict[str, Path] = {}
        self._added: dict[str, Written] = {}
        """What was written to the backup already."""
        self._passing: set[str] = set()
        """Links of jobs that had not ended at the moment: their next attempt may write other files of these names."""
        self._moment, self._read = room / "moment", room / "read"
        self._tables = ""
        self._at = now()
        self._holdings = Holdings()

    def choose_moment(self) -> None:
        """Copy the database of a moment all of whose files are there, but for those that are lost.

        Raises:
            CareError: no moment was found; files are deleted too quickly.
        """
        missing: set[str] = set()
        for _ in range(_MOMENTS):
            before, missing = missing, self._try_moment(missing)
            # What two moments miss in the same way is not being deleted just now: it is lost.
            if not missing or missing == before:
                return
        raise CareError("files are deleted so quickly that no moment has all of its own: try again later")

    def write(self) -> BackedUp:
        """Write files, database and list."""
        entries: list[Entry] = []
        damaged = [Fault(name=name, fault=fault) for name, fault in self._holdings.unusable]
        added: dict[str, Written] = {}
        for name, held in sorted(self._holdings.files.items()):
            if self._is_there(held):
                entries.append(Entry.of(name, Written(name, str(held.sha256), held.bytes or 0)))
                continue
            if name not in self._added and name not in self._links:
                damaged.append(Fault(name=name, fault=f"of {held.owner} is missing"))
                continue
            written = added[name] = self._add(name)
            if held.sha256 is not None and (held.sha256, held.bytes) != (written.sha256, written.bytes):
                damaged.append(Fault(name=name, fault=f"of {held.owner} is not as it was written"))
            entries.append(Entry.of(name, written))
        damaged += self._record(
            {name: file for name, file in added.items() if self._holdings.files[name].recordable}
        )
        database = self._moment / DATABASE_NAME
        stored = self._target.add(DATABASE_NAME, database, database.stat().st_size)
        manifest = Manifest(
            created_at=self._at,
            version=version(),
            tables=self._tables,
            database=Entry.of(DATABASE_NAME, stored),
            files=tuple(entries),
            damaged=tuple(damaged),
        )
        return BackedUp(self._target.finish(manifest), manifest)

    def _try_moment(self, lost: set[str]) -> set[str]:
        """Copy the database of this moment, take its files, and return those that are not there.

        Args:
            lost: what the moment before missed.
        """
        for folder in (self._moment, self._read):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        with open_moment(self._settings) as moment:
            self._at = now()
            self._tables = check_version(moment)
            # What jobs replace every few seconds is taken at once.
            missing = self._take_unfinished(moment)
            if not missing <= lost:
                return missing
            moment.copy(self._moment)
        # The copy that is restored stays as it is; the one that is read may need the tables of this version.
        shutil.copyfile(self._moment / DATABASE_NAME, self._read / DATABASE_NAME)
        with closing(Store(self._read)) as store:
            store.migrate()
            self._holdings = holdings(store, Listing.of(self._artifacts))
        files = self._holdings.files.items()
        return {name for name, held in files if not (self._is_there(held) or self._take_to_stay(name))}

    def _take_unfinished(self, moment: Moment) -> set[str]:
        """Take the files of jobs that have not ended, and return those that are not there."""
        before = {name: self._links.pop(name) for name in self._passing if name in self._links}
        self._passing.clear()
        missing = set()
        for job_id, (request, checkpoint) in moment.unfinished().items():
            named = uploads_of(request) | _checkpoint(checkpoint)
            others = {*self._artifacts.names(paths.directory(job_id))} - {paths.lock(job_id)}
            taken = {name for name in named | others if self._take(name)}
            self._passing |= taken
            missing |= named - taken
        for name, path in before.items():
            if self._links.get(name) != path:  # of a moment that is over: it takes room
                path.unlink(missing_ok=True)
        return missing

    def _take(self, name: str) -> bool:
        """Keep a file as it is now, and tell whether it was there."""
        if name in self._links:
            return True
        link = self._keeper.keep(name)
        if link is None:
            return False
        self._links[name] = link
        return True

    def _take_to_stay(self, name: str) -> bool:
        """Take a file that does not change any more, and tell whether it was there."""
        if name in self._added:
            return True
        found = self._take(name)
        if found and self._artifacts.shared and name not in self._passing:
            # a copy takes room, and no other file ever has its name
            self._add(name)
        return found

    def _add(self, name: str) -> Written:
        """Write a file that was taken to the backup, unless that was done."""
        if name not in self._added:
            link = self._links.pop(name)
            self._added[name] = self._target.add(name, link, link.stat().st_size)
            link.unlink()
        return self._added[name]

    def _is_there(self, held: Held) -> bool:
        """Tell whether an earlier backup has a file already."""
        if held.sha256 is None or held.bytes is None:
            return False
        return self._target.has(Written(held.name, held.sha256, held.bytes))

    def _record(self, files: dict[str, Written]) -> list[Fault]:
        """Record the checksums of files that have none, and return which of these files are damaged."""
        record_checksums(self._settings, self._holdings, files, self._tables)
        unsound = self._holdings.unsound_segments({name: file.sha256 for name, file in files.items()})
        return [Fault(name=folder, fault="of a data set is not as it was written") for folder in unsound]


def _checkpoint(checkpoint: Json) -> set[str]:
    name = checkpoint.get("name")
    return {name} if isinstance(name, str) and "deleted_at" not in checkpoint else set()
