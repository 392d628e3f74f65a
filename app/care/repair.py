"""What can be done about what is wrong with an installation; no good file of a row is ever touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import IO

from app.care.checksums import copy, digest, noted
from app.care.findings import Finding
from app.care.holdings import Held, Holdings
from app.care.places import Source, read_verified
from app.errors import NotFound
from app.files.artifacts import Artifacts
from app.store import Store


@dataclass(frozen=True)
class Repair:
    """Repairs one installation.

    Attributes:
        store: its rows.
        artifacts: its files.
        held: which files there have to be.
        backups: where files that are lost are taken from by their checksums.
    """

    store: Store
    artifacts: Artifacts
    held: Holdings
    backups: Source | None

    def __call__(self, finding: Finding) -> Finding:
        """Do what can be done about something, and return it with what was done.

        Raises:
            BadBackup: what should be put back is damaged in the backup.
        """
        if finding.kind == "debris":
            self._remove(finding.name)
            return replace(finding, repaired="removed")
        held = self.held.files.get(finding.name)
        return finding if held is None else replace(finding, repaired=self._mend(held))

    def _mend(self, held: Held) -> str | None:
        """Do what can be done about a file that is missing or damaged, and say what that was."""
        if self._write_again(held):
            return "written again as it is: it is what it should be, and now has its checksum beside it"
        if held.builtin:
            # a data set is unpacked as a whole
            segment = held.name.rpartition("/")[0]
            self.artifacts.delete(segment if segment in self.held.segments else held.name)
            return "removed; the next start of a server puts it back"
        if self._put_back(held):
            return "put back from a backup"
        if self._forget_checkpoint(held):
            self.artifacts.delete(held.name)
            return "noted: the job has no checkpoint any more, and cannot be continued"
        return None

    def _write_again(self, held: Held) -> bool:
        """Write a file again that is as recorded, and has no such checksum beside it; tell whether it was one."""
        artifacts, name = self.artifacts, held.name
        if not artifacts.shared or held.sha256 in (None, noted(artifacts, name)):
            return False
        try:
            if digest(artifacts.chunks(name)) != held.sha256:
                return False
            artifacts.write(name, lambda file: copy(artifacts.chunks(name), file))
        except FileNotFoundError:
            return False
        return True

    def _put_back(self, held: Held) -> bool:
        """Take a file from the newest backup that has it as it was written, and tell whether there is one."""
        if self.backups is None:
            return False
        for name in reversed(self.backups.names()):
            for entry in self.backups.manifest(name).files:
                if (entry.name, entry.sha256) == (held.name, held.sha256):
                    source = self.backups

                    def put(file: IO[bytes]) -> None:
                        read_verified(source, entry, file)  # noqa: B023 - called within this turn

                    self.artifacts.write(held.name, put)
                    return True
        return False

    def _forget_checkpoint(self, held: Held) -> bool:
        """Note that the checkpoint of a job that has ended is gone, and tell whether the file was one."""
        for job in self.store.files.jobs():
            ended = job.status is not None and job.status.finished
            if ended and (job.checkpoint or {}).get("name") == held.name:
                try:
                    self.store.finished_jobs.expire_checkpoint(job.id)
                except NotFound:  # deleted meanwhile
                    return False
                return True
        return False

    def _remove(self, name: str) -> None:
        try:
            self.artifacts.delete(name)
        except ValueError:  # half written, on this machine
            (self.artifacts.root / name).unlink(missing_ok=True)
