"""Checksums of files of earlier versions, recorded when somebody reads these files anyway."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing, suppress

from app.care.holdings import Holdings
from app.care.installation import open_store
from app.errors import DomainError
from app.files.artifacts import Written
from app.settings import Settings
from app.store.database import newest_version


def record_checksums(settings: Settings, found: Holdings, files: dict[str, Written], tables: str) -> int:
    """Record checksums in the database of an installation, where it has the tables of this version; return how many.

    Not of a segment that is not as it was written.

    Args:
        settings: of the installation.
        found: its files.
        files: what was found in those whose checksums should be recorded, by name.
        tables: the version of its tables.
    """
    if not files or tables != newest_version():
        return 0
    unsound = tuple(found.unsound_segments({name: file.sha256 for name, file in files.items()}))
    groups: dict[tuple[str | None, str | None], list[Written]] = defaultdict(list)
    for name, file in files.items():
        held = found.files[name]
        if name.rpartition("/")[0] not in unsound:
            groups[held.job_id, held.dataset_id].append(file)
    with closing(open_store(settings)) as store:
        for (job_id, dataset_id), group in groups.items():
            # they are recorded the next time
            with suppress(DomainError):
                store.files.record(group, job_id=job_id, dataset_id=dataset_id)
    return sum(map(len, groups.values()))
