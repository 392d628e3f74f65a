"""Jobs: how many run, what they may take, when they are given up, and who hears of their end."""

import base64
import binascii
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.files.memory import available_memory
from app.hosts import is_loopback
from app.settings.fields import DIVIDED, AnyCase, Group, Place, Seconds, available_cores

_STANDARD_PREFIX = "whsec_"


class Jobs(Group):
    """Jobs and webhooks."""

    max_jobs: int = Field(1, ge=1, description="Training jobs that run at the same time; the rest waits.")
    cores: Annotated[int, DIVIDED] = Field(
        default_factory=available_cores,
        ge=1,
        description="Processor cores to share among the running jobs; by default all it may use.",
    )
    max_training_bytes: int = Field(
        default_factory=lambda values: available_memory() * 4 // 5 // values.get("max_jobs", 1),
        ge=1,
        description="Most memory that a training job may need, by the estimate when it is submitted; by default four "
        "fifths of what the machine or the container has, divided by CONVSERVE_MAX_JOBS.",
    )
    batch_part_images: int = Field(
        2000,
        ge=0,
        description="Pictures above which a batch prediction is cut into parts of about so many, of which "
        "CONVSERVE_MAX_JOBS run at the same time; 0 for never. Where that is 1 there are no parts.",
    )
    evaluation_part_images: int = Field(
        20_000,
        ge=0,
        description="The same of an evaluation, which looks at pictures that are decoded already.",
    )
    launcher: Annotated[Literal["local", "ray"], AnyCase] = Field(
        "local",
        description="Where jobs run: local is processes of this machine, ray the nodes of a Ray cluster.",
    )
    ray_address: str | None = Field(
        None, description="Address of the REST interface of the Ray cluster, such as http://head:8265."
    )
    ray_token: SecretStr | None = Field(
        None,
        description="Token of the Ray cluster (RAY_AUTH_MODE=token), without which only one on a loopback address is "
        "taken.",
    )
    ray_token_file: Place | None = Field(
        None,
        description="File that holds the token of the Ray cluster, in place of CONVSERVE_RAY_TOKEN. When it changes, "
        "Ray is asked with the new one within two seconds.",
    )
    ray_cores: int = Field(1, ge=1, description="Cores of a node that each job on the Ray cluster uses.")
    ray_nodes: int = Field(
        1,
        ge=1,
        description="Most nodes of the Ray cluster that one training job may ask for, each with these cores.",
    )
    checkpoint_seconds: Seconds = Field(
        30.0, description="Longest time between two checkpoints of a running training job."
    )
    heartbeat_timeout: Seconds = Field(
        120.0, description="Seconds without a sign of life after which a worker counts as hung and is killed."
    )
    grace_seconds: Seconds = Field(
        20.0,
        description="Seconds that running jobs get for a last checkpoint when the server is told to stop.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Key that webhooks are signed with: whsec_ and 24 to 64 random bytes in base64. "
        "Without it jobs cannot have webhooks.",
    )
    webhook_secret_file: Place | None = Field(
        None,
        description="File that holds the key of webhooks, in place of CONVSERVE_WEBHOOK_SECRET. When it changes, "
        "messages are signed with the new one within two seconds.",
    )
    webhook_private: bool = Field(
        False,
        description="Whether webhooks may go to loopback, private and link-local addresses.",
    )

    @field_validator("cores", mode="before")
    @classmethod
    def _all_cores(cls, value: Any) -> Any:
        return available_cores() if value is None else value

    @field_validator("webhook_secret", mode="after")
    @classmethod
    def _usable_secret(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if not text:
            return None
        try:
            key = base64.b64decode(text.removeprefix(_STANDARD_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not 24 <= len(key) <= 64:
            raise ValueError(
                "use whsec_ and 24 to 64 random bytes in base64, as from "
                "python3 -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
            )
        return SecretStr(text)

    @field_validator("ray_address", mode="after")
    @classmethod
    def _usable_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("launcher") != "ray":
            return None
        parts = urlsplit(value or "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("use the address of Ray's REST interface, such as http://head:8265")
        return value

    @field_validator("ray_token", mode="after")
    @classmethod
    def _needed_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        token = value.get_secret_value().strip() if value else ""
        host = urlsplit(info.data.get("ray_address") or "").hostname
        if not token and info.data.get("launcher") == "ray" and host and not is_loopback(host):
            raise ValueError(
                "a Ray that others reach runs what anybody sends it: start it with RAY_AUTH_MODE=token, and give its "
                "token here"
            )
        if not token.isascii() or not token.isprintable():
            raise ValueError("it goes into a header: use printable ASCII")
        return SecretStr(token) if token else None

    @property
    def webhook_key(self) -> bytes | None:
        """The bytes that webhooks are signed with."""
        if self.webhook_secret is None:
            return None
        return base64.b64decode(self.webhook_secret.get_secret_value().removeprefix(_STANDARD_PREFIX))

    def batch_parts_of(self, images: int) -> int:
        """Return how many pictures each part of a batch prediction of so many looks at, 0 where it has no parts."""
        return self._parts_of(images, self.batch_part_images)

    def evaluation_parts_of(self, images: int) -> int:
        """Return about how many pictures each part of an evaluation of so many looks at, 0 where it has no parts."""
        return self._parts_of(images, self.evaluation_part_images)

    def _parts_of(self, images: int, most: int) -> int:
        return most if self.max_jobs > 1 and images > most else 0

    @property
    def worker_threads(self) -> int:
        """Cores that each of the concurrently running jobs may use."""
        if self.launcher == "ray":
            return self.ray_cores
        return max(1, self.cores // self.max_jobs)

    @property
    def most_nodes(self) -> int:
        """On how many nodes a training job may run: on this machine each needs a core of those that it may use."""
        return self.ray_nodes if self.launcher == "ray" else self.worker_threads

    def threads_of(self, nodes: int) -> int:
        """Return how many cores each node of a job may use that runs on so many."""
        return self.worker_threads if self.launcher == "ray" else max(1, self.worker_threads // nodes)
