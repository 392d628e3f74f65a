"""What a running server is made of, put together in one place."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from app.builtin import pretrained
from app.builtin.install import install
from app.datasets.sweep import sweep
from app.errors import Unavailable
from app.files.artifacts import LocalArtifacts
from app.files.locks import FileLock, read_holder
from app.jobs.cleanup import Cleanup
from app.jobs.runner import Runner
from app.jobs.webhooks import WebhookSender
from app.models.predictors import Predictors
from app.serving.serving import Serving
from app.settings import Settings, SettingsError
from app.store import Store

LOCK_FILE = "server.lock"


@dataclass
class Services:
    """The parts of one server; made when it starts, closed when it stops."""

    settings: Settings
    store: Store
    artifacts: LocalArtifacts
    runner: Runner
    predictors: Predictors
    lock: FileLock
    inference: asyncio.Semaphore
    """Bounds how many computations run at the same time; the others wait without holding a thread."""
    serving: Serving
    cleanup: Cleanup
    webhooks: WebhookSender
    _draining: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Take the data directory, bring its database up to date, and start the runner.

        Raises:
            SettingsError: the data directory cannot be used, or another server has it.
        """
        lock = _take(settings.data_dir)
        store = Store(settings.data_dir)
        try:
            store.migrate()
            artifacts = LocalArtifacts(settings.data_dir)
            artifacts.clean()
            sweep(store, artifacts)
            install(store, artifacts)
            (pretrained.install if settings.builtin_models else pretrained.remove)(store, artifacts)
            runner = Runner(store, artifacts, settings)
            predictors = Predictors(artifacts, settings)
            cleanup = Cleanup(store, artifacts, settings)
            webhooks = WebhookSender(store, settings)
            cleanup.start()
            webhooks.start()
            runner.start()
        except BaseException as error:
            store.close()
            lock.release()
            if isinstance(error, Unavailable):
                raise SettingsError(f"the data directory cannot be used: {error.detail}") from error
            raise
        inference = asyncio.Semaphore(settings.cores)
        return cls(
            settings,
            store,
            artifacts,
            runner,
            predictors,
            lock,
            inference=inference,
            serving=Serving(settings, predictors, inference),
            cleanup=cleanup,
            webhooks=webhooks,
        )

    @property
    def draining(self) -> bool:
        """Whether this server is about to stop."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Take no more work, and let running jobs save themselves and go back to the queue."""
        self._draining.set()
        self.runner.stop(self.settings.grace_seconds)

    def close(self) -> None:
        """Stop what is left and let go of the data directory."""
        try:
            self.drain()
            self.webhooks.stop()
            self.cleanup.stop()
            self.serving.close()
            self.predictors.close()
            self.store.close()
        finally:
            self.lock.release()

    def accept_work(self) -> None:
        """Refuse work that this server has no time or no room for. Reads the database: not for the event loop.

        Raises:
            Unavailable: the server is about to stop.
            StorageFull: the data directory holds as much as it may.
        """
        if self.draining:
            raise Unavailable("this server is about to stop and takes no new work; try again once it is back")
        self.cleanup.check_quota()


def _take(data_dir: Path) -> FileLock:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / LOCK_FILE)
        taken = lock.acquire()
    except OSError as error:
        raise SettingsError(
            f"the data directory {data_dir} cannot be used: {error.strerror}. "
            "Name another one in CONVSERVE_DATA_DIR, or make it writable for this user"
        ) from error
    if not taken:
        holder = read_holder(lock.path)
        who = f"process {holder}" if holder else "another process"
        raise SettingsError(
            f"the data directory {data_dir} is in use by {who}: a data directory has one server. "
            "Stop that one, or name another directory in CONVSERVE_DATA_DIR"
        )
    lock.write_holder()
    return lock


async def _services(request: Request) -> Services:  # not `def`: FastAPI would have it called in a thread
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
