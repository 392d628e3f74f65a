"""From a backup to PostgreSQL, an object store, or both: first the files, and the rows when all of them are there.

Nothing but rows makes an installation of it. So a restore that was cut off has left none, and the next one passes over
the files that are there.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial

from app.care.installation import files_of, kept_alone
from app.care.manifest import Manifest
from app.care.places import Source, read_verified
from app.care.placing import put, refuse_strange_files
from app.care.restore import Restored, settle
from app.care.rows import refuse_filled, take_rows
from app.files.artifacts import Written
from app.files.bucket.opening import open_artifacts
from app.files.scratch import scratch
from app.jobs.ownership import claim
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.snapshots import move_in


def restore_shared(source: Source, manifest: Manifest, settings: Settings) -> Restored:
    """Make an installation of a backup whose rows, files or both are to be where several servers share them.

    Args:
        source: where the backup is.
        manifest: what it consists of.
        settings: of the new installation.

    Raises:
        CareError: there is something already where it is to be, or somebody is at work there.
        SettingsError: the place for its files is another installation's.
        BadBackup: the backup is damaged; there are no rows.
        StorageFault: the database cannot be used.
        OSError: the data directory or the object store cannot be written.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with kept_alone(settings), scratch(settings.data_dir) as room:
        refuse_filled(settings)
        artifacts = open_artifacts(settings)
        refuse_strange_files(artifacts, files_of(settings), {entry.name for entry in manifest.files})
        with (room / DATABASE_NAME).open("xb") as file:
            read_verified(source, manifest.database, file)
        requeued = settle(room, manifest)
        with closing(Store(room)) as store:
            claim(store, artifacts, files_of(settings), "name a place where nothing is")
        for entry in manifest.files:
            put(
                artifacts,
                Written(entry.name, entry.sha256, entry.bytes),
                partial(read_verified, source, entry),
            )
        if settings.database is not None:
            take_rows(settings.model_copy(update={"data_dir": room, "database_url": None}), settings)
        else:
            move_in(room / DATABASE_NAME, settings.data_dir)
    return Restored(manifest, requeued, None)
