"""What a running server is made of, put together in one place."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from app.builtin import pretrained
from app.builtin.install import install
from app.errors import Unavailable
from app.files.artifacts import LocalArtifacts
from app.jobs import quota
from app.jobs.duties import Duties
from app.jobs.leftovers import ALONE, remove_leftovers
from app.jobs.watcher import Watcher
from app.models import provenance
from app.models.predictors import Predictors
from app.models.provenance import Provenances
from app.models.upkeep import Upkeep
from app.processes.member import Member
from app.serving.room import Bodies
from app.settings import Settings, SettingsError
from app.store import Store, cache

if TYPE_CHECKING:
    from app.serving.serving import Serving


@dataclass
class Services:
    """The parts of one serving process; made when it starts, closed when it stops."""

    settings: Settings
    store: Store
    artifacts: LocalArtifacts
    duties: Duties
    predictors: Predictors
    provenances: Provenances
    upkeep: Upkeep
    """Of the models in memory; begins once the server answers."""
    member: Member
    inference: asyncio.Semaphore
    """Bounds how many computations run at the same time; the others wait without holding a thread."""
    bodies: Bodies
    """Bounds what the bodies of requests hold that wait in memory."""
    watcher: Watcher = field(init=False)
    """Of what happens to jobs."""
    _draining: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.watcher = Watcher(self.store, self._draining.is_set)

    @classmethod
    def open(cls, settings: Settings, member: Member | None = None) -> Services:
        """Take the data directory, bring its database up to date, and begin with the duties if they are free.

        Args:
            settings: of the installation.
            member: what this process was handed, if it is one of several.

        Raises:
            SettingsError: the data directory cannot be used, or another server has it.
        """
        member = member or Member.alone(settings.data_dir)
        store = Store(settings.data_dir, settings.part(cache.MAX_BYTES))
        try:
            store.migrate()
            artifacts = LocalArtifacts(settings.data_dir)
            if member.first:
                remove_leftovers(store, artifacts, ALONE)
                install(store, artifacts)
                (pretrained.install if settings.builtin_models else pretrained.remove)(store, artifacts)
                quota.measure(store, artifacts, settings)
            share = settings.share()
            predictors = Predictors(artifacts, share)
            duties = Duties(store, artifacts, settings, f"process {member.number}", member.wake)
            duties.start()
        except BaseException as error:
            store.close()
            member.leave()
            if isinstance(error, Unavailable):
                raise SettingsError(f"the data directory cannot be used: {error.detail}") from error
            raise
        inference = asyncio.Semaphore(share.cores)
        return cls(
            settings,
            store,
            artifacts,
            duties,
            predictors,
            Provenances(artifacts, settings.part(provenance.MAX_BYTES)),
            Upkeep(store, predictors),
            member,
            inference=inference,
            bodies=Bodies(share.max_queue_bytes),
        )

    @cached_property
    def serving(self) -> Serving:
        """What answers predictions; made with the first one, and not for several threads at once."""
        # what decodes and computes is imported with it, not with the server
        from app.serving.serving import Serving  # noqa: PLC0415

        return Serving(self.settings.share(), self.predictors, self.inference, self.bodies)

    @property
    def draining(self) -> bool:
        """Whether this server is about to stop."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Take no more work, and let running jobs save themselves and go back to the queue."""
        self._draining.set()
        self.upkeep.stop()
        self.duties.stop_jobs(self.settings.grace_seconds)

    def close(self) -> None:
        """Stop what is left and let go of the data directory."""
        try:
            self.drain()
            self.duties.close()
            if "serving" in self.__dict__:
                self.serving.close()
            self.predictors.close()
            self.store.close()
        finally:
            self.member.leave()

    def accept_work(self) -> None:
        """Refuse work that this server has no time or no room for. Reads the database: not for the event loop.

        Raises:
            Unavailable: the server is about to stop.
            StorageFull: the data directory holds as much as it may.
        """
        if self.draining:
            raise Unavailable("this server is about to stop and takes no new work; try again once it is back")
        quota.check(self.store, self.settings)


async def _services(request: Request) -> Services:  # not `def`: FastAPI would have it called in a thread
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
