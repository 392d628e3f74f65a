"""The Python client of the service.

with Client("http://127.0.0.1:8000") as client:
    job = client.training_jobs.create({"preset": "lenet-5"}, "digits", epochs=3)
    for job in client.training_jobs.watch(job.id):
        print(job.status, job.progress)

async with AsyncClient("http://127.0.0.1:8000") as client:
    job = await client.training_jobs.create({"preset": "lenet-5"}, "digits", epochs=3)
    async for event in client.training_jobs.events(job.id):
        print(event.kind, event.data)
"""

from __future__ import annotations

import ssl
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import httpx

from app.api.signed_addresses import SignedAddress
from app.api.system import System, Version
from app.client.calls import Call, Event, Picture, Stream, chosen, record
from app.client.datasets import Datasets, LabelledPicture
from app.client.errors import ConvserveError
from app.client.events import follow_all
from app.client.keys import Keys
from app.client.models import Models
from app.client.operations import Operations
from app.client.resource import M, Resource, call, stream
from app.client.resources import Architectures, BatchPredictions, Catalog, Evaluations
from app.client.training import TrainingJobs, TrainingSteps
from app.client.transport import AsyncTransport, Transport
from app.hosts import is_loopback

__all__ = ["AsyncClient", "Client", "ConvserveError", "Event", "LabelledPicture", "Picture"]


class _Service(Resource[M]):
    """What both clients have."""

    def __init__(self, transport: M) -> None:
        super().__init__(transport)
        self.catalog = Catalog(transport)
        self.architectures = Architectures(transport)
        self.operations = Operations(transport)
        self.datasets = Datasets(transport)
        self.training_jobs = TrainingJobs(transport)
        self.training_steps = TrainingSteps(transport)
        self.models = Models(transport)
        self.evaluations = Evaluations(transport)
        self.batch_predictions = BatchPredictions(transport)
        self.keys = Keys(transport)

    @call
    def ready(self) -> Call[bool]:
        """Return whether the service takes requests; raises `ConvserveError` when it cannot be reached."""
        return Call("GET", "/readyz", lambda answer: answer.is_success, refusable=True)

    @call
    def version(self) -> Call[Version]:
        """Return the versions of the service and of what it is built on."""
        return record(Version, "GET", "/v1/version")

    @call
    def system(self) -> Call[System]:
        """Return what the service is, has and takes, and how many jobs have not ended."""
        return record(System, "GET", "/v1/system")

    @call
    def sign(self, path: str, *, seconds: int | None = None) -> Call[SignedAddress]:
        """Return an address that whoever has it can read for a while without a key: put it behind that of the service.

        Args:
            path: of events, a picture or a download, with its query, such as `/v1/events?job=job_example`.
            seconds: how long it may be asked for, at most 3600; by default 300.
        """
        body = {"path": path} | chosen({"seconds": seconds})
        return record(SignedAddress, "POST", "/v1/signed-addresses", json=body)

    @stream
    def events(
        self,
        *,
        jobs: Collection[str] = (),
        kinds: Collection[str] = (),
        after: int | None = None,
        patience: float = 60.0,
    ) -> Stream[Event]:
        """Yield what happens to jobs of all kinds when it happens, each event with its `job_id` in `data`.

        When the connection breaks, or the service restarts, it goes on after the last event that came.

        Args:
            jobs: the ids of those to follow, from their beginning to the `end` of each; without any it is all jobs,
                from now on and without end.
            kinds: only jobs of these kinds, such as `training` and `evaluation`.
            after: the `id` of an event: begin with the one that follows it.
            patience: seconds without a sign of the service after which to give up.
        """
        return follow_all(jobs, kinds, after, patience)


class Client(_Service[Transport]):
    """A connection to one service; close it, or use it in a `with`.

    Args:
        base_url: where the service is, such as `http://127.0.0.1:8000`.
        api_key: its key, when it wants one.
        timeout: seconds to wait for a connection, and for each piece of an answer.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self._http = httpx.Client(**_connection(base_url, api_key), timeout=timeout)
        super().__init__(Transport(self._http))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Service[AsyncTransport]):
    """The same for asyncio: its methods are awaited, and its lists and streams are for `async for`.

    Args:
        base_url: where the service is, such as `http://127.0.0.1:8000`.
        api_key: its key, when it wants one.
        timeout: seconds to wait for a connection, and for each piece of an answer.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        self._http = httpx.AsyncClient(**_connection(base_url, api_key), timeout=timeout)
        super().__init__(AsyncTransport(self._http))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _connection(base_url: str, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of an HTTP client; raises `ConvserveError` for what cannot be used."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConvserveError(f"{base_url!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConvserveError(f"{base_url!r} is no address", hint="write it like http://127.0.0.1:8000")
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ConvserveError("the API key has characters that cannot be sent in a header")
    local = is_loopback(url.host)
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {api_key}"} if api_key else None,
        # A proxy set for the outside world has no way to this machine's own loopback.
        "trust_env": not local,
        # To read the certificates of all authorities takes longer than a call here, which needs none of them.
        "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local and url.scheme == "http" else True,
    }
