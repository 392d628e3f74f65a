"""Whether an installation is whole: its database, the file of every row, and that there is nothing else.

It can be looked at while it is in use. What is written or deleted meanwhile may look wrong for a moment: what does is
looked at once more, and files without a row count only once they are older than any request lasts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.care.checksums import digest, noted
from app.care.debris import find_debris
from app.care.errors import CareError
from app.care.findings import Finding, Kind, Report
from app.care.holdings import Held, Holdings, Listing, holdings
from app.care.installation import (
    check_there,
    database_faults,
    is_local,
    kept_alone,
    open_rows,
    refuse_earlier,
    who_works,
)
from app.care.places import Source
from app.care.recording import record_checksums
from app.care.repair import Repair
from app.files.artifacts import Stored, Written
from app.files.bucket.opening import open_artifacts
from app.files.faults import ObjectStoreFault
from app.jobs.leftovers import ALONE, SAFE
from app.jobs.ownership import refuse_marks_of_others
from app.settings import Settings, SettingsError
from app.store import Store
from app.store.database import DATABASE_NAME, newest_version

_AGAIN_SECONDS = 1.0
"""After which what looks wrong is looked at once more, where somebody is at work."""


def check(
    settings: Settings, *, quick: bool = False, repair: bool = False, backups: Source | None = None
) -> Report:
    """Look at everything that an installation has.

    Args:
        settings: of the installation.
        quick: compare sizes, and read no file.
        repair: remove what nobody needs, and put back what can be. No good file of a row is ever touched.
        backups: where files that are lost are taken from by their checksums.

    Raises:
        CareError: the installation is of a later version.
        Unavailable: there is no database, or it cannot be read.
    """
    check_there(settings)
    with _kept_alone(settings, repair=repair) as alone, open_rows(settings) as (store, tables):
        check_of = _Check(settings, store, tables, quick=quick, age=ALONE if alone else SAFE)
        check_of.report.in_use = not alone
        check_of.refuse_another()
        found = check_of.look()
        if found and not alone:
            time.sleep(_AGAIN_SECONDS)
            still = {
                (finding.kind, finding.name) for finding in check_of.look({finding.name for finding in found})
            }
            found = [finding for finding in found if (finding.kind, finding.name) in still]
        if repair:
            refuse_earlier(tables)
            mend = Repair(store, check_of.artifacts, check_of.held, backups)
            found = [mend(finding) for finding in found]
        check_of.report.findings = found
        return check_of.report


class _Check:
    """A look at an installation."""

    def __init__(self, settings: Settings, store: Store, tables: str, *, quick: bool, age: float) -> None:
        self._settings, self._store, self._tables = settings, store, tables
        self._quick, self._age = quick, age
        self.artifacts = open_artifacts(settings)
        self.held = Holdings()
        self.report = Report()

    def refuse_another(self) -> None:
        """Refuse files of another installation: all of them would be debris.

        Raises:
            CareError: they are.
        """
        try:
            refuse_marks_of_others(self._store, self.artifacts)
        except SettingsError as error:
            raise CareError(str(error)) from error

    def look(self, names: set[str] | None = None) -> list[Finding]:
        """Return what is wrong; of these names only, if given."""
        found = [*self._of_database()] if names is None or DATABASE_NAME in names else []
        rows = [*self._store.files.unreadable()]
        found += [Finding("row", f"{row.table} {row.id}", "cannot be read", _DELETE) for row in rows]
        there = Listing.of(self.artifacts)
        self.held = holdings(self._store, there)
        found += [Finding("row", name, fault, _DELETE) for name, fault in self.held.unusable]
        found += self._of_files(names)
        debris = sorted(set(find_debris(self._store, self.artifacts, self.held, there, self._age)))
        found += [Finding("debris", name, "belongs to nothing") for name in debris]
        return found if names is None else [finding for finding in found if finding.name in names]

    def _of_database(self) -> Iterator[Finding]:
        restore = "restore a backup"
        for fault in database_faults(self._settings, quick=self._quick):
            yield Finding("database", DATABASE_NAME, fault, restore)
        if self._tables != newest_version():
            fault = f"has tables of version {self._tables}, and this program's are of {newest_version()}"
            yield Finding("database", DATABASE_NAME, fault, "run `convserve upgrade`, or start the server")

    def _of_files(self, names: set[str] | None) -> list[Finding]:
        found, checked = [], {}
        for name, held in sorted(self.held.files.items()):
            if names is not None and name not in names:
                continue
            fault, written = self._examine(held)
            self.report.files += names is None
            if fault is not None:
                kind: Kind = "missing" if written is None else "damaged"
                found.append(Finding(kind, name, f"of {held.owner} {fault}", _advice(held)))
            elif written is not None:
                checked[name] = written
        new = {name: file for name, file in checked.items() if self.held.files[name].recordable}
        if names is None and new:
            self.report.recorded = record_checksums(self._settings, self.held, new, self._tables)
        unsound = self.held.unsound_segments({name: file.sha256 for name, file in checked.items()})
        fault = "of a data set is not as it was written"
        return found + [Finding("damaged", segment, fault, _DELETE) for segment in unsound]

    def _examine(self, held: Held) -> tuple[str | None, Written | None]:
        """Return what is wrong with a file, and what is in it if that was read or has another size."""
        try:
            stored = self.artifacts.find(held.name)
            if stored is None:
                return "is missing", None
            if held.bytes is not None and stored.bytes != held.bytes:
                fault = f"has {stored.bytes} bytes, not {held.bytes}"
                return fault, Written(held.name, "", stored.bytes)
            if self._quick or held.grows or (held.sha256 is None and not held.recordable):
                return None, None
            return self._read(held, stored)
        except FileNotFoundError:
            return "is missing", None
        except ObjectStoreFault:
            raise
        except OSError as error:
            return f"cannot be read: {error.strerror}", None

    def _read(self, held: Held, stored: Stored) -> tuple[str | None, Written]:
        """Read a file, and return what is wrong with it, and what is in it."""
        written = Written(held.name, digest(self.artifacts.chunks(held.name)), stored.bytes)
        self.report.bytes += written.bytes
        if held.sha256 is not None and written.sha256 != held.sha256:
            return "is not as it was written: its checksum is another", written
        if self.artifacts.shared and written.sha256 != (beside := noted(self.artifacts, held.name)):
            what = "no checksum" if beside is None else "another checksum"
            return f"has {what} beside it in the object store, so that nobody reads it", written
        return None, written


_DELETE = "DELETE it by the service, or restore a backup"


def _advice(held: Held) -> str:
    if held.builtin:
        return "--repair removes it, and the next start of a server puts it back"
    if held.sha256 is None:
        return _DELETE
    return f"--repair --from BACKUPS puts it back; else DELETE {held.owner}. Its SHA-256 is {held.sha256}"


@contextmanager
def _kept_alone(settings: Settings, *, repair: bool) -> Iterator[bool]:
    """Tell whether nobody is at work; a repair keeps servers away as long as it lasts, if so.

    Of what several servers share nobody is ever sure to be alone with it.
    """
    if not is_local(settings) or who_works(settings) is not None:
        yield False
    elif repair:
        with kept_alone(settings):
            yield True
    else:
        yield True
