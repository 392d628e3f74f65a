"""What a running server is made of, put together in one place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from app.builtin import pretrained
from app.builtin.install import install
from app.errors import NotInstalled, StorageFault, Unavailable
from app.files.artifacts import Artifacts
from app.files.bucket.opening import SERVER_PIN_SECONDS, open_artifacts
from app.files.faults import reason, storage_fault
from app.files.reserve import Reserve
from app.files.volume import check_free
from app.health.readiness import Readiness
from app.jobs import quota
from app.jobs.duties import Duties
from app.jobs.launcher import Launcher
from app.jobs.leftovers import ALONE, SAFE, remove_leftovers
from app.jobs.ownership import check_belongs
from app.jobs.processes import LocalLauncher
from app.jobs.watcher import Watcher
from app.keys.peers import Peers
from app.keys.ring import Keyring
from app.keys.secrets import Secrets
from app.keys.signed import Signer
from app.keys.standing import Standing
from app.keys.turns import Turns
from app.metrics.families import (
    BODIES_BYTES,
    BODIES_LIMIT,
    EVENT_STREAMS,
    MODELS_BYTES,
    MODELS_LIMIT,
    MODELS_LOADED,
    QUEUE_LIMIT,
    QUEUE_PICTURES,
)
from app.metrics.faults import expect_faults
from app.metrics.metrics import Metrics, Sample
from app.metrics.process import process_samples
from app.models import provenance
from app.models.predictors import Predictors
from app.models.provenance import Provenances
from app.models.upkeep import Upkeep
from app.pictures.bounds import Bounds
from app.processes.member import Member, unusable
from app.serving.computing import Computing
from app.serving.room import Bodies, Uploads
from app.settings import Settings, SettingsError
from app.store import Store, cache

if TYPE_CHECKING:
    from app.serving.serving import Serving
    from app.tracing.tracing import Tracing


@dataclass
class Services:
    """The parts of one serving process; made when it starts, closed when it stops."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    duties: Duties
    launcher: Launcher
    """Where jobs run; duties start them there."""
    predictors: Predictors
    provenances: Provenances
    upkeep: Upkeep
    """Of the models in memory; begins once the server answers."""
    member: Member
    metrics: Metrics
    """What this process counts."""
    tracing: Tracing | None
    """What makes spans of it, where they are wanted."""
    secrets: Secrets
    """Of the settings; looks at their files until it is stopped."""
    keyring: Keyring
    """Tells who calls."""
    signer: Signer
    """Makes and reads addresses that need no key."""
    turns: Turns | None
    """Bounds the requests of each key that are answered at once; None where nothing does."""
    peers: Peers | None
    """Counts the processes of all servers, where others can have the same database and something is divided."""
    computing: Computing
    """Bounds what is computed at the same time: the others wait without holding a thread."""
    bodies: Bodies
    """Bounds what the bodies of requests hold that wait in memory."""
    uploads: Uploads
    """Bounds how many uploads are received at the same time."""
    standing: Standing = field(init=False)
    """Ends the streams of those whose keys do not hold any more."""
    watcher: Watcher = field(init=False)
    """Of what happens to jobs."""
    readiness: Readiness = field(init=False)
    """Whether this process can do its work."""
    reserve: Reserve = field(init=False)
    """Room on the disk that is given up where something is to be deleted."""
    _draining: threading.Event = field(default_factory=threading.Event)
    _started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.readiness = Readiness(
            self.store, self.artifacts, self.duties, self.settings, self.metrics, self._draining.is_set
        )
        self.reserve = Reserve(self.settings.data_dir)
        self.standing = Standing(self.keyring)
        self.watcher = Watcher(self.store, self._draining.is_set)
        self.metrics.watch(self._samples)

    @classmethod
    def open(
        cls,
        settings: Settings,
        member: Member | None = None,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
    ) -> Services:
        """Take the data directory, bring its database up to date, and begin with the duties if they are free.

        Args:
            settings: of the installation.
            member: what this process was handed, if it is one of several.
            metrics: where it counts what it does.
            tracing: what makes spans of what it does, where they are wanted.

        Raises:
            SettingsError: the data directory cannot be used, or another server has it.
        """
        member = member or Member.alone(settings.data_dir)
        metrics = metrics or Metrics.alone()
        expect_faults(metrics)
        try:
            store = Store(settings.data_dir, settings.database, settings.part(cache.MAX_BYTES))
        except NotInstalled as error:
            member.leave()
            raise SettingsError(error.detail) from error
        try:
            store.migrate()
            artifacts = open_artifacts(settings, SERVER_PIN_SECONDS)
            if member.first:
                check_belongs(store, artifacts)
                # where others have rows or files as well, those of rows that are about to come may be theirs
                shared = store.shared or artifacts.shared
                remove_leftovers(store, artifacts, SAFE if shared else ALONE)
                install(store, artifacts)
                (pretrained.install if settings.builtin_models else pretrained.remove)(store, artifacts)
                quota.measure(store, artifacts, settings)
            share = settings.share()
            predictors = Predictors(artifacts, share)
            secrets = Secrets(settings)
            launcher = _launcher(store, artifacts, settings, secrets)
            duties = Duties(
                store,
                artifacts,
                settings,
                launcher,
                member.owner(settings.data_dir, alone=not store.shared),
                member.wake,
                metrics,
                lambda: secrets.webhook_key,
            )
            duties.start()
        except BaseException as error:
            store.close()
            member.leave()
            if storage_fault(error) is not None:
                if store.shared and isinstance(error, StorageFault) and error.part == "database":
                    raise SettingsError(
                        f"{store.place} cannot be used: {reason(error)}; {store.hint}"
                    ) from error
                raise unusable(settings.data_dir, error) from error
            if isinstance(error, Unavailable):
                raise SettingsError(f"the data directory cannot be used: {error.detail}") from error
            raise
        secrets.start()
        keyring = Keyring(store, secrets)
        most = settings.max_requests_per_key
        turns = None if most is None else Turns(most, settings.workers)
        peers = None
        if turns is not None and store.shared:
            peers = Peers(store, member.owner(settings.data_dir, alone=False), turns.divide, metrics)
            peers.start()
        return cls(
            settings,
            store,
            artifacts,
            duties,
            launcher,
            predictors,
            Provenances(artifacts, settings.part(provenance.MAX_BYTES)),
            Upkeep(store, predictors, also_note=keyring.note_used, metrics=metrics),
            member,
            metrics,
            tracing,
            secrets,
            keyring,
            Signer(artifacts, keyring),
            turns=turns,
            peers=peers,
            computing=Computing(share.cores, share.compute_bytes, share.max_queue),
            bodies=Bodies(share.max_queue_bytes),
            uploads=Uploads(share.max_uploads),
        )

    @cached_property
    def serving(self) -> Serving:
        """What answers predictions; made with the first one, and not for several threads at once."""
        # what decodes and computes is imported with it, not with the server
        from app.serving.serving import Serving  # noqa: PLC0415

        return Serving(
            self.settings.share(), self.predictors, self.computing, self.bodies, self.metrics, self.tracing
        )

    def _samples(self) -> Iterator[Sample]:
        """Yield what this process holds now."""
        yield from process_samples(self.member.number, self._started)
        share = self.settings.share()
        serving = self.__dict__.get("serving")
        yield QUEUE_PICTURES, (), 0 if serving is None else serving.waiting
        yield QUEUE_LIMIT, (), share.max_queue
        yield BODIES_BYTES, (), self.bodies.held
        yield BODIES_LIMIT, (), share.max_queue_bytes
        yield MODELS_LOADED, (), len(self.predictors)
        yield MODELS_BYTES, (), self.predictors.bytes
        yield MODELS_LIMIT, (), share.models_bytes
        yield EVENT_STREAMS, (), self.watcher.followers

    @property
    def bounds(self) -> Bounds:
        """What computing for a request may take here."""
        return Bounds(self.settings.max_image_pixels, self.computing.memory, self.computing.go_on)

    @property
    def draining(self) -> bool:
        """Whether this server is about to stop."""
        return self._draining.is_set()

    @property
    def needs_admin_key(self) -> bool:
        """Whether one of the keys has to be an admin's, since the settings have none."""
        return self.secrets.api_key_digest is None

    def drain(self) -> None:
        """Take no more work, and let running jobs save themselves and go back to the queue."""
        self._draining.set()
        self.upkeep.stop()
        self.duties.stop_jobs(self.settings.grace_seconds)

    def close(self) -> None:
        """Stop what is left and let go of the data directory."""
        try:
            self.drain()
            self.secrets.stop()
            if self.peers is not None:
                self.peers.stop()
            self.duties.close()
            self.launcher.close()
            self.computing.close()
            self.predictors.close()
            self.store.close()
        finally:
            self.member.leave()

    def accept_work(self, size: int | None = None) -> None:
        """Refuse work that this server has no time or no room for. Reads the database: not for the event loop.

        Args:
            size: the bytes of an upload that is about to come, as far as they are known.

        Raises:
            Unavailable: the server is about to stop.
            StorageFull: the data directory holds as much as it may, or little is left on its disk.
        """
        if self.draining:
            raise Unavailable("this server is about to stop and takes no new work; try again once it is back")
        check_free(self.settings.data_dir, self.settings.min_free_bytes, size or 0)
        quota.check(self.store, self.settings)


def _launcher(store: Store, artifacts: Artifacts, settings: Settings, secrets: Secrets) -> Launcher:
    """Return where the jobs of an installation run."""
    if settings.launcher == "local":
        return LocalLauncher(artifacts, settings)
    # with a client of HTTP, which no other server needs to start
    from app.jobs.cluster.launcher import RayLauncher  # noqa: PLC0415

    return RayLauncher(store, artifacts, settings, lambda: secrets.ray_token)


def services_of(request: Request) -> Services:
    """Return the server that a request came to."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]
"""Known to `app.web.bodies.arguments`, like the request itself: nothing waits for it."""
