"""The Python client of the service.

with Client("http://127.0.0.1:8000") as client:
    job = client.training_jobs.create({"preset": "lenet-5"}, "digits", epochs=3)
    for job in client.training_jobs.watch(job.id):
        print(job.status, job.progress)
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from app.client.datasets import Datasets
from app.client.records import (
    Addition,
    Alias,
    Architecture,
    CatalogEntry,
    Dataset,
    Downloadable,
    Evaluation,
    Fault,
    LabelledPicture,
    Metrics,
    Model,
    Prediction,
    Progress,
    Summary,
    TrainingJob,
)
from app.client.resources import Architectures, Catalog, Evaluations, Models, Picture, TrainingJobs
from app.client.transport import ConvserveError, Transport
from app.settings import is_loopback

__all__ = [
    "Addition",
    "Alias",
    "Architecture",
    "CatalogEntry",
    "Client",
    "ConvserveError",
    "Dataset",
    "Downloadable",
    "Evaluation",
    "Fault",
    "LabelledPicture",
    "Metrics",
    "Model",
    "Picture",
    "Prediction",
    "Progress",
    "Summary",
    "TrainingJob",
]


class Client:
    """A connection to one service; close it, or use it in a `with`.

    Args:
        base_url: where the service is, such as `http://127.0.0.1:8000`.
        api_key: its key, when it wants one.
        timeout: seconds to wait for a connection, and for each piece of an answer.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ConvserveError(f"{base_url!r} is no address: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ConvserveError(f"{base_url!r} is no address", hint="write it like http://127.0.0.1:8000")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ConvserveError("the API key has characters that cannot be sent in a header")
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=timeout,
            # A proxy set for the outside world has no way to this machine's own loopback.
            trust_env=not is_loopback(url.host),
        )
        self._transport = Transport(self._http)
        self.catalog = Catalog(self._transport)
        self.architectures = Architectures(self._transport)
        self.datasets = Datasets(self._transport)
        self.training_jobs = TrainingJobs(self._transport)
        self.models = Models(self._transport)
        self.evaluations = Evaluations(self._transport)

    def ready(self) -> bool:
        """Tell whether the service takes requests; raises `ConvserveError` when it cannot be reached."""
        try:
            self._transport.request("GET", "/readyz")
        except ConvserveError as error:
            if error.status is None:
                raise
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
