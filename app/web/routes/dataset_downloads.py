"""Data sets that are published elsewhere, by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response, status

from app.api.common import ListOf
from app.api.datasets import Dataset
from app.api.downloads import Downloadable
from app.api.requests.downloads import DownloadCreate
from app.datasets.fetching import Origin
from app.datasets.published import PUBLISHED
from app.jobs.accept.datasets import new_download
from app.services import ServicesDep
from app.web.answers.datasets import dataset, downloadable
from app.web.bodies.idempotency import OnceDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.dataset_pictures import RETRY_SECONDS

router = APIRouter(prefix="/v1/datasets", route_class=StrictRoute, tags=["datasets"])


@router.get("/downloads", summary="List what can be had by name")
def list_downloads(services: ServicesDep) -> ListOf[Downloadable]:
    """List the well-known data sets that this server can fetch, and where from."""
    mirror = services.settings.dataset_mirror
    return ListOf(data=[downloadable(one, Origin.of(one, mirror).shown()) for one in PUBLISHED.values()])


@router.post(
    "/downloads",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Get a well-known data set",
    responses=problems(400, 409, 413, 415, 422, 503, 507),
)
def download_dataset(
    wanted: Annotated[DownloadCreate, Body(openapi_examples={"MNIST": {"value": {"dataset": "mnist"}}})],
    services: ServicesDep,
    response: Response,
    once: OnceDep,
) -> Dataset:
    """Fetch a data set by name: from where it is published, or from the mirror of this server.

    That happens in the background: look at the address in `Location` until `status` is `ready` or `failed`;
    `progress` says how far it is. Each file is held against its checksum. A download that broke off goes on where
    it stopped, also when it is asked for again after it has failed.
    """
    services.accept_work()
    record, job = new_download(wanted, services.settings)
    headers = {"Location": f"/v1/datasets/{record.id}", "Retry-After": str(RETRY_SECONDS)}
    answer = dataset(record, [job])
    services.store.datasets.create(record, job, once.answer(status.HTTP_202_ACCEPTED, answer, headers))
    services.duties.wake()
    response.headers.update(headers)
    return answer
