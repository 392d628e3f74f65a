"""Carries the files of an installation from its data directory to an object store, or back.

What is there already as it should be is passed over: one that was cut off goes on where it was, and one beside a server
leaves little to do for the one after its end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from app.care.checksums import copy, digest, noted
from app.care.errors import CareError
from app.care.holdings import Held, Listing, holdings
from app.care.installation import check_there, files_of, open_rows, refuse_earlier, who_works
from app.care.manifest import Fault
from app.care.placing import put, refuse_strange_files
from app.files.artifacts import Artifacts, Written
from app.files.bucket.opening import open_artifacts
from app.files.paths import is_lock
from app.jobs.ownership import bear_mark, claim
from app.keys.signed import FILE as SIGNING_KEY
from app.settings import Settings

Seen = Callable[[int, int, int, int], None]
"""Is told how many files of how many were looked at, and how many bytes of how many."""


@dataclass
class Carried:
    """What became of the files.

    Attributes:
        files: how many there are now.
        bytes: their size.
        passed_over: how many of them were there already.
        damaged: what is missing, or not as it was written, where they came from; it was not carried.
        left: files that belong to no row, and stayed where they are.
        in_use: who was at work meanwhile, so that there may be more by now; None where nobody was.
    """

    files: int = 0
    bytes: int = 0
    passed_over: int = 0
    damaged: list[Fault] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    in_use: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is there now."""
        return not self.damaged and self.in_use is None


class _NotAsWrittenError(Exception):
    """What was read of a file is not what is recorded of it."""


def migrate_artifacts(
    source: Settings, target: Settings, seen: Seen = lambda files, of, size, of_bytes: None
) -> Carried:
    """Carry every file that a row names to where the settings of the target have files; nothing is removed.

    Where others could have their files, too, the target bears the mark of the installation from the beginning on.

    Args:
        source: of the installation as it is.
        target: of the same installation, with another place for its files.
        seen: told of each file that was looked at.

    Raises:
        CareError: the target has other files, or the tables are of another version.
        SettingsError: the target is another installation's.
        Unavailable: there is no database, or it cannot be read.
        OSError: a place cannot be read or written.
    """
    if (source.artifacts_url is None) == (target.artifacts_url is None):
        raise CareError(
            "name a data directory and an s3:// address: files are carried from the one to the other"
        )
    check_there(source)
    target.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = Carried(in_use=who_works(source))
    here, there = open_artifacts(source), open_artifacts(target)
    with open_rows(source) as (store, tables):
        refuse_earlier(tables)
        listing = Listing.of(here)
        held = holdings(store, listing)
        if not bear_mark(store, there):
            refuse_strange_files(there, files_of(target), held.files)
        if store.shared or there.shared:
            claim(store, there, files_of(target), "name a place where nothing is")
    done.damaged += [Fault(name=name, fault=fault) for name, fault in held.unusable]
    done.left = sorted({file.name for file in listing if not is_lock(file.name)} - set(held.files))
    sizes = {name: _size(here, file) for name, file in held.files.items()}
    whole, looked = sum(sizes.values()), 0
    for number, (name, file) in enumerate(sorted(held.files.items()), start=1):
        _carry(here, there, file, done)
        looked += sizes[name]
        seen(number, len(sizes), looked, whole)
    _carry_key(here, there)
    # one that began meanwhile may have written more
    done.in_use = done.in_use or who_works(source)
    return done


def _carry(here: Artifacts, there: Artifacts, held: Held, done: Carried) -> None:
    try:
        file = _expected(here, held)
        if held.grows and (found := there.find(held.name)) is not None and found.bytes >= file.bytes:
            stored = False  # of a log there is never less than there was
        else:
            stored = put(there, file, lambda opened: _copy(here, file, opened))
    except FileNotFoundError:
        done.damaged.append(Fault(name=held.name, fault=f"of {held.owner} is missing"))
    except _NotAsWrittenError:
        done.damaged.append(Fault(name=held.name, fault=f"of {held.owner} is not as it was written"))
    else:
        done.files += 1
        done.bytes += file.bytes
        done.passed_over += not stored


def _expected(here: Artifacts, held: Held) -> Written:
    """Return what is recorded of a file; of one of which nothing is, what is in it now.

    Raises:
        FileNotFoundError: there is none.
    """
    if held.sha256 is not None and held.bytes is not None:
        return Written(held.name, held.sha256, held.bytes)
    found = here.find(held.name)
    if found is None:
        raise FileNotFoundError(held.name)
    checksum = noted(here, held.name) or digest(here.chunks(held.name))
    return Written(held.name, checksum, found.bytes)


def _copy(here: Artifacts, file: Written, opened: IO[bytes]) -> None:
    if copy(here.chunks(file.name), opened) != file.sha256:
        raise _NotAsWrittenError


def _size(here: Artifacts, held: Held) -> int:
    if held.bytes is not None:
        return held.bytes
    found = here.find(held.name)
    return 0 if found is None else found.bytes


def _carry_key(here: Artifacts, there: Artifacts) -> None:
    """Carry what addresses are signed with, so that those that were given out stay good."""
    with suppress(FileNotFoundError):
        there.write_new(SIGNING_KEY, b"".join(here.chunks(SIGNING_KEY)))
