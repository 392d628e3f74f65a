"""Bodies of the calls about the server itself."""

from __future__ import annotations

from typing import Literal

from app.api.common import Body


class Health(Body):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Health):
    """Nothing is wrong."""

    warnings: list[str]
    """What will be wrong before long, such as that little is free on the disk."""


class KindOfJobs(Body):
    """How many jobs of one kind there are that have not ended."""

    kind: str
    running: int
    queued: int


class Limits(Body):
    """What is taken, as the operator has set it; what is larger is refused."""

    max_body_bytes: int
    """Of a JSON body."""
    max_predict_bytes: int
    """Of the body of one prediction."""
    max_predict_images: int
    """Pictures in one prediction."""
    max_upload_bytes: int
    """Of the upload of a data set, and of an addition to one."""
    max_upload_files: int
    """Pictures that are sent as files of one addition to a data set."""
    max_archive_entries: int
    """Files in an archive."""
    max_image_pixels: int
    """Of one picture."""
    max_training_bytes: int
    """Memory that a training job may need, by the estimate."""
    max_parameters: int
    """Of a network."""
    max_jobs: int
    """Training jobs that run at the same time."""


class System(Body):
    """What a server is, has and takes."""

    version: str
    cores: int
    """That it may use."""
    memory_bytes: int
    """That the machine or the container has."""
    processes: int
    """That answer requests."""
    needs_key: bool
    """Whether calls have to carry an API key."""
    jobs: list[KindOfJobs]
    """For each kind of jobs, also where there are none."""
    limits: Limits
    picture_formats: list[str]
    """Formats of pictures that are read."""
    transfer_sides: list[int]
    """Sides that the pictures of a new data set are scaled to by default, for transfer: the largest that their own size
    and their number allow."""
    webhooks: bool
    """Whether training jobs can have webhooks."""


class Version(Body):
    """What is running."""

    version: str
    """Of the service, as `convserve --version` says it."""
    api: Literal["v1"]
    """How the paths of its calls begin."""
    python: str
    engine: int
    """The revision of the arithmetic: models of another one may differ in their last digits."""
    libraries: dict[str, str]
    """The versions of what it is built on, by name."""
